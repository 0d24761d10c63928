"""What rails say by themselves: webhook events, and the files that banks send back.

An event is stored under the rail's own id for it, for ever, before it is acted on, and marked when that is done. So a
replay never acts twice, and one that died half-way is finished by the next delivery. What it says is a fact for the
payout's state machine, as an answer to a question is: in any order, more than once, whatever it contradicts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from smallpeck.kernel.ids import derived_id, is_id
from smallpeck.kernel.writes import Change, Create, Equals, Ref, UnitOfWork, Value, WriteConflict, ref
from smallpeck.payouts import runs
from smallpeck.payouts.model import UNRESOLVED, Answer, Fact, IllegalTransition, Payout
from smallpeck.payouts.rails.port import Following, News, RailEvent
from smallpeck.payouts.recording import record
from smallpeck.payouts.runs import CHUNK, RecordPorts
from smallpeck.payouts.service import PayoutNotFound

FOLLOW_AT_ONCE = 20
FOLLOW_ALARM_SECONDS = 24 * 3600


class EventState(StrEnum):
    """What became of an event."""

    RECEIVED = "received"
    """Stored; acting on it has begun."""
    APPLIED = "applied"
    IGNORED = "ignored"
    """Of a kind that nothing is done about."""
    FOLLOWED = "followed"
    """The rail must be asked what it comes to; a payout run does that."""
    HELD = "held"
    """It names a payout that is unknown, or that was never sent; a person must look."""


class EventReads(Protocol):
    """Reads of stored events."""

    def event_state(self, event_id: str) -> EventState | None:
        """What became of an event, by our id of it; None where it was never heard; consistent."""
        ...

    def followed(self, *, limit: int) -> list[Mapping[str, Any]]:
        """Events that wait for a question, oldest first, as they are stored; may be stale."""
        ...


class Waiting(Protocol):
    """Whose workflows wait to be told."""

    def tell(self, token: str) -> None:
        """Lets a workflow go on; does nothing where it went on before."""
        ...


@dataclass(frozen=True, kw_only=True)
class EventPorts(RecordPorts):
    """What it takes to act on an event."""

    events: EventReads
    waiting: Waiting


def receive(*, rail: str, event: RailEvent, ports: EventPorts) -> EventState:
    """Stores a verified event and acts on it; a replay of one that was acted on does nothing."""
    event_id = our_id(rail, event.event_id)
    try:
        ports.unit.commit([_create(rail, event, event_id, ports.clock.now_ms())])
    except WriteConflict:
        state = ports.events.event_state(event_id)
        if state is not None and state is not EventState.RECEIVED:
            return state
    if not event.is_known:
        return _mark(event_id, EventState.IGNORED, ports.unit)
    if event.follow is not None:
        return _mark(event_id, EventState.FOLLOWED, ports.unit, at_ms=ports.clock.now_ms())
    _name_parcel(event, ports)
    held = [news for news in event.news if not _learn(rail, news, ports)]
    if held:
        ports.signals.alarm("RailEventHeld", event_id)
    return _mark(event_id, EventState.HELD if held else EventState.APPLIED, ports.unit)


def learn_fact(*, rail: str, news: News, ports: EventPorts) -> Payout:
    """A payout with what a rail said about it; raises PayoutNotFound where this rail has no such payout, and
    IllegalTransition where it was never sent.
    """
    payout = ports.payouts.payout(news.payout_id) if is_id(news.payout_id) else None
    if payout is None or payout.rail != rail:
        raise PayoutNotFound
    after = record(payout, _checked(payout, news), ports)
    if after.state not in UNRESOLVED:
        _tell_run(after, ports)
    return after


def follow_all(*, rails: Mapping[str, Following], ports: EventPorts) -> int:
    """Asks what the events that wait for a question come to; returns how many were asked about."""
    found = ports.events.followed(limit=FOLLOW_AT_ONCE)
    for stored in found:
        rail, what, event_id = str(stored["rail"]), str(stored["follow"]), str(stored["event_id"])
        news = rails[rail].follow(what) if rail in rails else None
        if news is None:
            if ports.clock.now_ms() - int(stored["at_ms"]) > FOLLOW_ALARM_SECONDS * 1000:
                ports.signals.alarm("RailEventHeld", event_id)
            continue
        held = [one for one in news if not _learn(rail, one, ports)]
        if held:
            ports.signals.alarm("RailEventHeld", event_id)
        _mark(event_id, EventState.HELD if held else EventState.APPLIED, ports.unit)
    return len(found)


def wait(*, run_id: str, token: str, open_chunks: frozenset[int], ports: EventPorts) -> None:
    """Has the workflow behind `token` go on when all members of these chunks of a run have an outcome.

    `open_chunks` may have been counted before; the token is stored first and they are looked at again after that.
    """
    if not open_chunks:
        ports.waiting.tell(token)
        return
    names = frozenset(str(chunk) for chunk in open_chunks)
    ports.unit.commit([Change(runs.wait_ref(run_id), set={"token": token, "chunks": names})])
    _answered(run_id, frozenset(str(one) for one in open_chunks if _is_answered(run_id, one, ports)), ports)


def our_id(rail: str, event_id: str) -> str:
    """The id under which an event of a rail is stored."""
    return derived_id("e_", rail, event_id)


def event_ref(event_id: str) -> Ref:
    """The item of an event."""
    return ref("rail_event", event_id)


def _create(rail: str, event: RailEvent, event_id: str, now_ms: int) -> Create:
    fields: dict[str, Value] = {
        "event_id": event_id,
        "rail": rail,
        "kind": event.kind[:100],
        "state": EventState.RECEIVED,
        "at_ms": now_ms,
        "payouts": [news.payout_id for news in event.news],
    }
    if event.follow is not None:
        fields["follow"] = event.follow
    return Create(event_ref(event_id), fields)


def _mark(event_id: str, state: EventState, unit: UnitOfWork, *, at_ms: int | None = None) -> EventState:
    index = {"followed": None if at_ms is None else (at_ms, event_id)}
    before = EventState.RECEIVED if at_ms is not None else None
    when = () if before is None else (Equals("state", before),)
    try:
        unit.commit([Change(event_ref(event_id), set={"state": state}, when=when, index=index)])
    except WriteConflict:
        # The same delivery ran beside this one, and came further.
        return state
    return state


def _name_parcel(event: RailEvent, ports: EventPorts) -> None:
    place = runs.parcel_of_key(event.parcel_key or "")
    if place is None or event.parcel_reference is None:
        return
    parcel = ports.payouts.parcel(*place)
    if parcel is not None and parcel.reference is None:
        try:
            ports.unit.commit([runs.name_parcel(parcel, event.parcel_reference)])
        except WriteConflict:
            return


def _learn(rail: str, news: News, ports: EventPorts) -> bool:
    try:
        learn_fact(rail=rail, news=news, ports=ports)
    except (PayoutNotFound, IllegalTransition):
        return False
    return True


def _checked(payout: Payout, news: News) -> Answer:
    """What the news is worth: of another amount or currency than ours, it is about another payment."""
    other = news.amount_micros not in (None, payout.sent_micros) or news.currency not in (None, payout.currency)
    return Answer(Fact.MISMATCH, at_ms=news.answer.at_ms) if other else news.answer


def _tell_run(payout: Payout, ports: EventPorts) -> None:
    """Lets the workflow of the payout's run go on where this was the last outcome it waited for."""
    if payout.run_id is None or payout.number is None or ports.payouts.wait(payout.run_id) is None:
        return
    chunk = payout.number // CHUNK
    if _is_answered(payout.run_id, chunk, ports):
        _answered(payout.run_id, frozenset({str(chunk)}), ports)


def _answered(run_id: str, chunks: frozenset[str], ports: EventPorts) -> None:
    # Written first and read after: of two that do so at once, the later one sees both.
    if chunks:
        ports.unit.commit([Change(runs.wait_ref(run_id), extend={"answered": chunks})])
    waits = ports.payouts.wait(run_id)
    if waits is not None and waits.is_over and waits.token is not None:
        ports.waiting.tell(waits.token)


def _is_answered(run_id: str, chunk: int, ports: EventPorts) -> bool:
    members = ports.payouts.members(run_id, chunk * CHUNK, (chunk + 1) * CHUNK - 1)
    return all(member.state not in UNRESOLVED for member in members)
