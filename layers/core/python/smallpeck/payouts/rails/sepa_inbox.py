"""Taking in the bank's answers: each is read, and what it says goes to the payouts, as often as anybody likes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from smallpeck.kernel.ids import canonical_json, derived_id
from smallpeck.payouts.rails.mailbox import Folder
from smallpeck.payouts.rails.port import RailEvent
from smallpeck.payouts.rails.sepa import SepaRail, Taken
from smallpeck.payouts.rails.sepa_answers import BadAnswer, Credit

EVENT_ITEMS = 1_000
"""How many payouts one event names at most: an event is stored as one item."""


class Signals(Protocol):
    """Where a person is called."""

    def alarm(self, name: str, subject: str) -> None:
        """Something stands still until a person looks at it; `subject` is an id."""
        ...


@dataclass(frozen=True)
class Inbox:
    """What it takes to take in an answer.

    `hear` acts on an event (`smallpeck.payouts.events.receive` for this rail). `credit` takes money that came in and is
    no payout's, and says whether it is somebody's; None: nobody waits for any.
    """

    rail: SepaRail
    hear: Callable[[RailEvent], object]
    signals: Signals
    credit: Callable[[Credit], bool] | None = None


def take_in(*, name: str, inbox: Inbox) -> Taken:
    """Acts on the answer of this name; raises what the mailbox or the tables raise, and may then be done again.

    An answer that cannot be relied on changes nothing. It, and whatever in an answer nobody can place, is held: noted
    in the folder `held` under an id, with an alarm that names the id.
    """
    try:
        taken = inbox.rail.read(name)
    except BadAnswer as error:
        taken = Taken("unreadable", held=(str(error),))
    for number, start in enumerate(range(0, len(taken.news), EVENT_ITEMS)):
        news = taken.news[start : start + EVENT_ITEMS]
        # By content: banks send a file twice, under another name.
        inbox.hear(RailEvent(f"{taken.digest}-{number}", taken.kind, news))
    unplaced = [credit for credit in taken.credits if inbox.credit is None or not inbox.credit(credit)]
    held = sorted({*taken.held, *(["credit_of_nobody"] if unplaced else [])})
    if held:
        _hold(name, taken.kind, held, inbox)
    return taken


def take_in_all(*, since_ms: int, inbox: Inbox) -> int:
    """Acts on every answer since then, again where that was done; returns how many there were.

    One that fails holds up no other; the first error comes last.
    """
    listed = inbox.rail.mailbox.listed(Folder.IN, since_ms=since_ms)
    errors: list[Exception] = []
    for one in listed:
        try:
            take_in(name=one.name, inbox=inbox)
        except Exception as error:  # noqa: BLE001 - raised again below
            errors.append(error)
    if errors:
        raise errors[0]
    return len(listed)


def _hold(name: str, kind: str, reasons: Sequence[str], inbox: Inbox) -> None:
    held_id = derived_id("a_", name)
    note = canonical_json({"name": name, "kind": kind, "reasons": list(reasons)})
    inbox.rail.mailbox.replace(Folder.HELD, f"{held_id}.json", note.encode())
    inbox.signals.alarm("BankAnswerHeld", held_id)
