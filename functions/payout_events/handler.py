"""The webhooks of payout rails: verified, then acted on. Nobody has a token here; the rail's signature counts."""

from collections.abc import Callable
from functools import partial

from functions.payout_events.schemas import Taken
from smallpeck.payouts import events
from smallpeck.payouts.rails import WEBHOOKS
from smallpeck.payouts.rails.port import Forged, Unreadable
from smallpeck.runtime import payout_rails
from smallpeck.runtime.http import Api, Call
from smallpeck.runtime.observability import count
from smallpeck.runtime.wiring import current

PREFIX = "/v1/webhooks/"

api = Api("webhooks")
handler = api.handler


def taking(rail: str) -> Callable[[Call], Taken]:
    """The route of a rail."""

    def take(call: Call) -> Taken:
        """Any event that the rail has signed is taken, also one that means nothing here; anything else is refused."""
        if call.raw is None:
            raise LookupError("a webhook takes bodies as they are")
        here = current()
        event = here.once(_READERS[rail]).read(call.raw.headers, call.raw.body, now_ms=call.now_ms)
        state = events.receive(rail=rail, event=event, ports=here.once(payout_rails.event_ports))
        count(f"RailEvents{state.value.capitalize()}")
        return Taken(state=state)

    take.__name__ = f"take_{rail}"
    return take


_READERS = {rail: partial(payout_rails.event_reader, rail=rail) for rail in WEBHOOKS}
for _rail in _READERS:
    api.route(
        "POST",
        PREFIX + _rail,
        reply=Taken,
        public=True,
        raw=True,
        errors=(Forged, Unreadable, payout_rails.NoWebhook),
        summary=f"What {_rail} says of payouts by itself",
    )(taking(_rail))
