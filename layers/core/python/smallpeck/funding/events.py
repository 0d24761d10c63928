"""What is remembered for ever of what a provider said: each event once, under the provider's own id of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from smallpeck.funding.model import Alarm
from smallpeck.funding.port import FundingEvent
from smallpeck.kernel.writes import Create, Ref, Value, ref


class Outcome(StrEnum):
    """What became of an event."""

    APPLIED = "applied"
    """It was about a deposit, and is recorded there as far as it was new."""
    IGNORED = "ignored"
    """It says nothing that is acted on."""
    HELD = "held"
    """It is about money that the books do not know; a person was called."""


@dataclass(frozen=True)
class HeardBefore:
    """An event that is recorded."""

    outcome: Outcome
    deposit_id: str | None = None
    alarm: Alarm | None = None


class EventReads(Protocol):
    """What hearing reads of events."""

    def event(self, source: str, event_id: str) -> HeardBefore | None: ...


def event_ref(source: str, event_id: str) -> Ref:
    """The item of a provider's event."""
    return ref("funding_event", source, event_id)


def remember(event: FundingEvent, found: HeardBefore, now_ms: int) -> Create:
    """Writes an event that was not heard before."""
    fields: dict[str, Value] = {
        "source": event.source,
        "event_id": event.event_id,
        "kind": event.kind,
        "outcome": found.outcome,
        "heard_at_ms": now_ms,
        **({"deposit_id": found.deposit_id} if found.deposit_id else {}),
        **({"alarm": found.alarm} if found.alarm else {}),
    }
    return Create(event_ref(event.source, event.event_id), fields)


def heard_before(item: Mapping[str, Any]) -> HeardBefore:
    """An event from its stored fields."""
    alarm = item.get("alarm")
    return HeardBefore(Outcome(item["outcome"]), item.get("deposit_id"), None if alarm is None else Alarm(alarm))
