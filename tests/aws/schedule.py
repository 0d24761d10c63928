"""Scripted interleaving of flows: many actors, one runs at a time, and each AWS call is a point of
switching.

Actors are threads that hand a baton to each other, so that the code under test stays ordinary code. Nothing
depends on time: the same flows and the same schedule give the same order of calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from random import Random
from typing import Any

from tests.aws.faults import Call, Faults

Schedule = Sequence[str] | int | Callable[[Call], bool]
STACK_BYTES = 512 * 1024


class _Stop(BaseException):
    """Unwinds the actors when a schedule cannot go on."""


@dataclass(slots=True, eq=False)
class Actor:
    """One flow. Between its turns `pending` is the call that it is about to make."""

    name: str
    flow: Callable[[], object]
    number: int
    pending: Call | None = None
    rank: tuple[int, int] = (0, 0)
    result: Any = None
    error: BaseException | None = None
    gate: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Interleaving:
    """The end of a run: results and errors by actor, and the order in which calls were made."""

    results: dict[str, Any]
    errors: dict[str, BaseException]
    history: list[tuple[str, str]]
    """(actor, label of the call) in order."""

    def check(self) -> Interleaving:
        """Raise the first actor's error, if any; otherwise return self."""
        for error in self.errors.values():
            raise error
        return self


def reads_first(call: Call) -> bool:
    """A schedule: every read that can go, goes before any write."""
    return not call.is_write


def interleave(
    faults: Faults,
    flows: Mapping[str, Callable[[], object]] | Iterable[Callable[[], object]],
    schedule: Schedule = 0,
) -> Interleaving:
    """Run flows side by side, switching at each AWS call as the schedule says.

    First every flow runs up to its first call, in order. Then one flow at a time makes its pending call and
    runs on to its next: chosen by a list of actor names (`"a"`: one call of a, `"a*"`: a to its end; when
    the list is over, the rest go in order; a name that has ended is skipped, one that never was is a
    KeyError), by a number (the seed of a random choice), or by a predicate on the pending call (those for
    which it holds go first, in order). Unnamed flows are called "0", "1", ... What a flow raises, a Crash
    too, is kept in `errors`.
    """
    named = flows.items() if isinstance(flows, Mapping) else ((str(n), flow) for n, flow in enumerate(flows))
    return _Stage(faults, [Actor(name, flow, n) for n, (name, flow) in enumerate(named)], schedule).run()


class _Stage:
    def __init__(self, faults: Faults, actors: list[Actor], schedule: Schedule) -> None:
        self.faults = faults
        self.actors = actors
        self.waiting = list(actors)
        self.first = schedule if callable(schedule) else None
        self.rng = Random(schedule) if isinstance(schedule, int) else None
        self.script = [] if callable(schedule) or isinstance(schedule, int) else list(schedule)[::-1]
        self.by_name = {actor.name: actor for actor in actors}
        if len(self.by_name) < len(actors):
            raise ValueError("two actors have the same name")
        for step in self.script:
            if step.rstrip("*") not in self.by_name:
                raise KeyError(step)
        self.ended: set[str] = set()
        self.history: list[tuple[str, str]] = []
        self.local = threading.local()
        self.main = threading.Lock()
        self.failure: BaseException | None = None
        self.started = 0

    def run(self) -> Interleaving:
        if self.faults.pause is not None:
            raise RuntimeError("this world is being interleaved already")
        self.faults.pause = self.pause
        self.main.acquire()
        for actor in self.actors:
            actor.gate.acquire()
        previous = threading.stack_size(STACK_BYTES)
        threads = [threading.Thread(target=self.play, args=(actor,), daemon=True) for actor in self.actors]
        try:
            for thread in threads:
                thread.start()
        finally:
            threading.stack_size(previous)
        try:
            if self.actors:
                self.pass_on()
                self.main.acquire()
            for thread in threads:
                thread.join()
        finally:
            self.faults.pause = None
        if self.failure is not None:
            raise self.failure
        results = {actor.name: actor.result for actor in self.actors}
        errors = {actor.name: actor.error for actor in self.actors if actor.error is not None}
        return Interleaving(results, errors, self.history)

    def play(self, actor: Actor) -> None:
        """The body of an actor's thread."""
        actor.gate.acquire()
        self.local.actor = actor
        try:
            with self.faults.acting_as(actor.name):
                self.stop_if_failed()
                actor.result = actor.flow()
        except _Stop:
            return
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            actor.error = error
        self.waiting.remove(actor)
        self.ended.add(actor.name)
        try:
            self.pass_on()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            self.fail(error)

    def pause(self, call: Call) -> None:
        """Called by the hook before each call: wait here until it is this actor's turn."""
        actor: Actor | None = getattr(self.local, "actor", None)
        if actor is None:
            return
        actor.pending = call
        try:
            actor.rank = (0 if self.first is not None and self.first(call) else 1, actor.number)
            following = self.choose()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            self.fail(error)
            raise _Stop from None
        if following is not actor:
            following.gate.release()
            actor.gate.acquire()
            self.stop_if_failed()
        actor.pending = None
        self.history.append((actor.name, call.label))

    def pass_on(self) -> None:
        """Give the baton to the next actor, or back to the caller when all have ended."""
        if self.waiting:
            self.choose().gate.release()
        else:
            self.main.release()

    def choose(self) -> Actor:
        if self.started < len(self.actors):
            self.started += 1
            return self.actors[self.started - 1]
        while self.script:
            step = self.script[-1]
            name = step.rstrip("*")
            if name in self.ended:
                self.script.pop()
                continue
            if step == name:
                self.script.pop()
            return self.by_name[name]
        if self.rng is not None:
            return self.waiting[self.rng.randrange(len(self.waiting))]
        if self.first is not None:
            return min(self.waiting, key=attrgetter("rank"))
        return self.waiting[0]

    def fail(self, error: BaseException) -> None:
        """End the run: every waiting actor unwinds, the caller gets the error."""
        self.failure = error
        current = getattr(self.local, "actor", None)
        for actor in self.waiting:
            if actor is not current:
                actor.gate.release()
        self.main.release()

    def stop_if_failed(self) -> None:
        if self.failure is not None:
            raise _Stop
