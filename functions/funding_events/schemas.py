"""What a provider is told of its webhook call."""

from smallpeck.runtime.schemas import View


class FundingEventView(View):
    """The event is stored; what became of it."""

    outcome: str
