"""What the provider of checkouts says by itself. Nobody has a token here; the provider's signature counts."""

from functions.funding_events.schemas import FundingEventView
from smallpeck.funding import hearing
from smallpeck.funding.port import ForgedEvent, ProviderSilent, UnreadableEvent
from smallpeck.runtime import funding
from smallpeck.runtime.http import Api, Call
from smallpeck.runtime.observability import count
from smallpeck.runtime.wiring import current

api = Api("webhooks")
handler = api.handler


@api.route(
    "POST",
    "/v1/webhooks/funding/stripe",
    reply=FundingEventView,
    public=True,
    raw=True,
    errors=(ForgedEvent, UnreadableEvent, ProviderSilent),
    summary="What Stripe says of deposits by itself",
)
def take_funding_event(call: Call) -> FundingEventView:
    """Any event that was signed is taken, also one that means nothing here; anything else is refused."""
    here = current()
    if call.raw is None:
        raise LookupError("a webhook takes bodies as they are")
    event = here.once(funding.event_reader).read(call.raw.headers, call.raw.body, now_ms=call.now_ms)
    outcome = hearing.hear(event=event, now_ms=call.now_ms, ports=here.once(funding.funding_ports))
    count(f"FundingEvents{outcome.value.capitalize()}")
    return FundingEventView(outcome=outcome)
