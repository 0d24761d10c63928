"""Queues and messages of the in-memory SQS: visibility, retention, dead letters; no API shapes here."""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.aws.clock import Clock


@dataclass(slots=True, eq=False)
class Message:
    """One message. Times are in seconds since 1970."""

    id: str
    body: str
    attributes: dict[str, Any]
    sent: float
    origin: str
    """ARN of the queue it was first sent to."""
    visible_at: float = 0.0
    receive_count: int = 0
    first_received: float = 0.0
    handle: str = ""
    deleted: bool = False
    in_flight: bool = False
    queued: bool = False
    """Whether it stands in its queue's list of visible messages."""


@dataclass(slots=True, eq=False)
class Queue:
    """One standard queue. Periods are in seconds."""

    name: str
    url: str
    arn: str
    clock: Clock
    visibility: float = 30.0
    retention: float = 345_600.0
    delay: float = 0.0
    max_bytes: int = 1_048_576
    dead_letter_arn: str = ""
    max_receives: int = 0
    given: dict[str, str] = field(default_factory=dict)
    """The attributes as they were set."""
    messages: dict[str, Message] = field(default_factory=dict)
    _ready: deque[Message] = field(default_factory=deque)
    _waiting: list[tuple[float, int, Message]] = field(default_factory=list)
    _order: int = 0

    def configure(self, attributes: dict[str, str]) -> None:
        """Apply queue attributes as SetQueueAttributes takes them."""
        self.given.update(attributes)
        self.visibility = float(self.given.get("VisibilityTimeout", 30))
        self.retention = float(self.given.get("MessageRetentionPeriod", 345_600))
        self.delay = float(self.given.get("DelaySeconds", 0))
        self.max_bytes = int(self.given.get("MaximumMessageSize", 1_048_576))
        policy = json.loads(self.given.get("RedrivePolicy") or "{}")
        self.dead_letter_arn = policy.get("deadLetterTargetArn", "")
        self.max_receives = int(policy.get("maxReceiveCount", 0))

    def add(self, message: Message, delay: float = 0.0) -> None:
        """Take a message; it becomes visible after `delay` seconds."""
        self.messages[message.id] = message
        message.in_flight = False
        self._hide(message, delay)

    def _hide(self, message: Message, seconds: float) -> None:
        message.visible_at = self.clock.now() + seconds
        if seconds <= 0:
            self._show(message)
            return
        self._order += 1
        heapq.heappush(self._waiting, (message.visible_at, self._order, message))

    def _show(self, message: Message) -> None:
        if not message.queued:
            message.queued = True
            self._ready.append(message)

    def _wake(self) -> None:
        now = self.clock.now()
        while self._waiting and self._waiting[0][0] <= now:
            moment, _, message = heapq.heappop(self._waiting)
            if not message.deleted and message.visible_at == moment:
                message.in_flight = False
                self._show(message)

    def take(self, limit: int, visibility: float, bury: Callable[[Message], None], rng: Random | None) -> list[Message]:
        """Up to `limit` visible messages, hidden for `visibility` seconds. Messages that were received too
        often go to `bury`; with `rng` the order is random.
        """
        self._wake()
        now = self.clock.now()
        taken: list[Message] = []
        while self._ready and len(taken) < limit:
            if rng is not None:
                self._ready.rotate(-rng.randrange(len(self._ready)))
            message = self._ready.popleft()
            message.queued = False
            if message.deleted or message.in_flight:
                continue
            if message.sent + self.retention <= now:
                self.remove(message)
            elif self.dead_letter_arn and message.receive_count >= self.max_receives:
                del self.messages[message.id]
                bury(message)
            else:
                taken.append(message)
        for message in taken:
            self.receive(message, visibility)
        return taken

    def receive(self, message: Message, visibility: float) -> None:
        """Mark one delivery: count, new handle, hidden for `visibility` seconds."""
        message.receive_count += 1
        message.first_received = message.first_received or self.clock.now()
        message.handle = f"{message.id}#{message.receive_count}"
        message.in_flight = visibility > 0
        self._hide(message, visibility)

    def remove(self, message: Message) -> None:
        """Delete a message."""
        message.deleted = True
        self.messages.pop(message.id, None)

    def set_visibility(self, message: Message, seconds: float) -> None:
        """Hide a message in flight for `seconds` from now (0: visible at once)."""
        if seconds <= 0:
            message.in_flight = False
        self._hide(message, seconds)

    def next_visible(self) -> float | None:
        """When the next hidden message becomes visible; None when none is hidden or one is visible now."""
        self._wake()
        if any(not message.deleted and not message.in_flight for message in self._ready):
            return None
        live = (moment for moment, _, m in self._waiting if not m.deleted and m.visible_at == moment)
        return min(live, default=None)

    def live(self) -> Iterator[Message]:
        """Messages that retention has not removed."""
        self._wake()
        now = self.clock.now()
        return (message for message in self.messages.values() if message.sent + self.retention > now)

    def counts(self) -> tuple[int, int, int]:
        """How many messages are visible, in flight, and delayed."""
        now = self.clock.now()
        visible = flying = delayed = 0
        for message in self.live():
            if message.in_flight:
                flying += 1
            elif message.visible_at > now:
                delayed += 1
            else:
                visible += 1
        return visible, flying, delayed
