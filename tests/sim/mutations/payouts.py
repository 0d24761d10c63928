"""Bugs on the way of a payout."""

from dataclasses import replace
from typing import Any

from smallpeck.kernel.entropy import random_bytes
from smallpeck.payouts import events, model, recording, sending, service
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails import gateway
from tests.sim.breaking import apart, instead, no_condition, overwriting, returning
from tests.sim.mutations import Mutations
from tests.sim.mutations.ledger import ENTRY_OVERWRITES, NEVER_RECORDED, by_chance
from tests.sim.mutations.work import always_new, paid_first, paid_last

ANY_PAYOUT = no_condition("payout")


def _another_key(real: Any) -> Any:
    return lambda payout: replace(real(payout), key=f"k_{random_bytes(8).hex()}")


def _careless(_real: Any) -> Any:
    """Sends first and writes it down afterwards."""

    def send(payout: Any, ports: Any) -> None:
        destination = ports.destinations.at_version(payout.worker_id, payout.destination_version)
        marked = model.begin_send(payout, now_ms=ports.clock.now_ms())
        answer = ports.rails[payout.rail].pay(sending._order(marked), destination)
        ports.unit.commit([model.change(payout, marked)])
        recording.record(marked, answer, ports)

    return send


def _silence_is_no(real: Any) -> Any:
    def outcome(reply: Any, order: Any) -> Answer:
        answer: Answer = real(reply, order)
        return Answer(Fact.REFUSED, reason="silent") if answer.fact is Fact.UNCLEAR else answer

    return outcome


def _silence_is_yes(real: Any) -> Any:
    def outcome(reply: Any, order: Any) -> Answer:
        answer: Answer = real(reply, order)
        return Answer(Fact.PAID) if answer.fact is Fact.UNCLEAR else answer

    return outcome


def _gone_for_good(_real: Any) -> Any:
    """What the rail has never heard of is given back at once."""

    def believed(_payout: Any, answer: Answer, **_more: Any) -> Answer:
        return Answer(Fact.REFUSED) if answer.fact is Fact.NEVER_HEARD else answer

    return believed


def _anew(real: Any) -> Any:
    """A resend is a first send: with a key and a moment of its own."""

    def begin(payout: Any, **more: Any) -> Any:
        sending_ = real(replace(payout, rail_key=None, sending_started_at_ms=None), **more)
        return replace(sending_, rail_key=f"k_{random_bytes(8).hex()}")

    return begin


def _twice_back(real: Any) -> Any:
    """What came back comes back again with every word of the rail."""

    def learn(payout: Any, answer: Answer, **more: Any) -> Any:
        if payout.state is model.PayoutState.RETURNED and answer.fact is Fact.RETURNED:
            return model._next(payout, more["now_ms"], state=model.PayoutState.RETURNED)
        return real(payout, answer, **more)

    return learn


def _less_back(real: Any) -> Any:
    def entry(payout: Any, **more: Any) -> Any:
        whole = real(payout, **more)
        part = replace(whole.postings[0], amount_micros=whole.postings[0].amount_micros - 10_000)
        return replace(whole, postings=(part, *whole.postings[1:]))

    return entry


MUTANTS: Mutations = {
    "another key": ("a payout keeps its first key", "payout_straggler", [instead(model, "begin_send", _anew)]),
    "a key for each send": (
        "the key that is sent is the stored one",
        "payout_sent",
        [instead(sending, "_order", _another_key)],
    ),
    "sent before it is written down": (
        "a send is written down first",
        "payout_sent",
        [instead(sending, "_send", _careless)],
    ),
    "sent after the window": (
        "nothing is sent again after the rail's window",
        "payout_sent",
        [returning(model, "may_resend", value=True)],
    ),
    "payout at any version": (
        "a payout changes only as it was read",
        "payout_refused",
        [ANY_PAYOUT],
        [ENTRY_OVERWRITES, NEVER_RECORDED],
    ),
    "silence is a refusal": (
        "an unknown outcome is not a failure",
        "payout_sent",
        [instead(gateway, "_outcome", _silence_is_no)],
    ),
    "silence is a payment": (
        "an unknown outcome is not a payment",
        "payout_sent",
        [instead(gateway, "_outcome", _silence_is_yes)],
    ),
    "never heard is a refusal": (
        "what a rail forgets it may have paid",
        "payout_sent",
        [instead(model, "believed", _gone_for_good)],
    ),
    "reserved apart": (
        "payout and reserve are one transaction",
        "payout_asked",
        [instead(service, "post", paid_first)],
    ),
    "asked apart": ("payout and reserve are one transaction", "payout_asked", [instead(service, "post", paid_last)]),
    "request by chance": ("a payout's id follows from its request", "payout_asked", [by_chance(model, "payout_id")]),
    "settled apart": ("outcome and entry are one transaction", "payout_sent", [instead(recording, "post", paid_first)]),
    "outcome before its entry": (
        "outcome and entry are one transaction",
        "payout_sent",
        [instead(recording, "post", paid_last)],
    ),
    "settled by chance": (
        "the id of a payout's entry follows from the payout",
        "payout_sent",
        [instead(recording, "post", always_new), ANY_PAYOUT],
    ),
    "taken by two runs": (
        "a payout is a member of one run",
        "payout_two_runs",
        [ANY_PAYOUT, no_condition("run"), overwriting("run_member")],
    ),
    "members apart": (
        "membership and payout are one transaction",
        "payout_frozen",
        [apart("run_member", before=False)],
    ),
    "returned twice": (
        "what came back is credited once",
        "payout_returned",
        [instead(model, "learn", _twice_back), instead(recording, "post", always_new)],
    ),
    "return apart": (
        "return and credit are one transaction",
        "payout_returned",
        [instead(recording, "post", paid_last)],
    ),
    "less comes back": (
        "what came back is credited in full",
        "payout_returned",
        [instead(recording, "return_entry", _less_back)],
    ),
    "event done before it is done": (
        "an event is marked when it was acted on",
        "payout_returned",
        [instead(events, "_learn", lambda _real: lambda *_args: True)],
    ),
}
