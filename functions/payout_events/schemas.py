"""What a rail is told of its webhook call."""

from smallpeck.runtime.schemas import View


class Taken(View):
    """The event is stored; what became of it."""

    state: str
