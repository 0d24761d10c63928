"""What the part step is told, and what it answers."""

from typing import Annotated

from pydantic import Field

from smallpeck.runtime.schemas import Body, IdText, View
from smallpeck.tasks.model import MAX_SHARDS


class PartStep(Body):
    """One part of an import, named by the manifest."""

    batch_id: IdText
    import_id: IdText
    shards: Annotated[int, Field(ge=1, le=MAX_SHARDS)]
    part: Annotated[int, Field(ge=0)]
    key: str


class PartView(View):
    """How many tasks of the part stand."""

    tasks: int
