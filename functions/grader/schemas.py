"""The message that names a page to grade."""

from typing import Literal

from pydantic import ValidationError

from smallpeck.kernel.errors import Malformed
from smallpeck.runtime.schemas import Body, IdText


class BadMessage(Malformed):
    """A message that is not one of ours, or of a version that this function does not know."""

    code = "bad_message"


class PageSubmitted(Body):
    """Answers were accepted for a page, and it waits to be graded."""

    v: Literal[1]
    page_id: IdText


def read_message(text: str) -> str:
    """The page id of a message; raises BadMessage."""
    try:
        return PageSubmitted.model_validate_json(text).page_id
    except ValidationError as error:
        raise BadMessage("the message is not one that is known here") from error
