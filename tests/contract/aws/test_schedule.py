"""Interleaving: one actor at a time, switching at calls, the same order for the same schedule."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random

import pytest

from tests.aws import Aws, Crash, Fault, Plan
from tests.aws.schedule import Interleaving, Schedule, interleave, reads_first
from tests.contract.aws.steps import n, s
from tests.contract.aws.tables import create


def build(*, validate: bool = True) -> Aws:
    aws = Aws(validate=validate)
    create(aws.dynamodb)
    aws.dynamodb.put_item(TableName="solo", Item={"id": s("a"), "v": n(0)})
    return aws


def careless(aws: Aws) -> Callable[[], None]:
    """Read, add, write: loses updates when interleaved."""

    def flow() -> None:
        value = int(aws.dynamodb.get_item(TableName="solo", Key={"id": s("a")})["Item"]["v"]["N"])
        aws.dynamodb.put_item(TableName="solo", Item={"id": s("a"), "v": n(value + 1)})

    return flow


def value(aws: Aws) -> int:
    return int(aws.dynamodb.dump("solo")[0]["v"]["N"])


@pytest.mark.parametrize(
    ("schedule", "order", "left"),
    [
        (["x", "x", "y", "y"], "xxyy", 2),
        (["x", "y", "x", "y"], "xyxy", 1),
        (["y*"], "yyxx", 2),
        (["x", "y*"], "xyyx", 1),
        ([], "xxyy", 2),
        (reads_first, "xyxy", 1),
    ],
)
def test_the_schedule_decides(schedule: Schedule, order: str, left: int) -> None:
    aws = build()
    done = interleave(aws.faults, {"x": careless(aws), "y": careless(aws)}, schedule)
    assert "".join(actor for actor, _ in done.history) == order
    assert value(aws) == left
    assert done.errors == {}


def run(seed: int) -> tuple[Aws, Interleaving]:
    aws = build()
    return aws, interleave(aws.faults, [careless(aws) for _ in range(6)], seed)


def test_a_seed_decides_and_repeats() -> None:
    first, again = run(3), run(3)
    assert first[1].history == again[1].history
    assert first[0].faults.trace_hash == again[0].faults.trace_hash
    assert len({str(run(seed)[1].history) for seed in range(5)}) == 5
    assert len({value(run(seed)[0]) for seed in range(10)}) > 1


def test_results_and_errors_stay_with_their_actors() -> None:
    aws = build()

    def fine() -> str:
        careless(aws)()
        return "fine"

    def broken() -> None:
        careless(aws)()
        raise ValueError("broken")

    done = interleave(aws.faults, {"fine": fine, "broken": broken, "idle": lambda: 7})
    assert done.results == {"fine": "fine", "broken": None, "idle": 7}
    assert [type(error) for error in done.errors.values()] == [ValueError]
    with pytest.raises(ValueError, match="broken"):
        done.check()


def test_a_fault_kills_only_its_actor() -> None:
    aws = build()
    with aws.faults.planned(Plan(Fault.CRASH_BEFORE, "dynamodb.PutItem:solo")):
        done = interleave(aws.faults, {"x": careless(aws), "y": careless(aws)}, ["x", "x", "y", "y"])
    assert isinstance(done.errors["x"], Crash)
    assert list(done.errors) == ["x"]
    assert value(aws) == 1


def test_the_trace_names_the_actors() -> None:
    aws = build()
    interleave(aws.faults, {"x": careless(aws)})
    assert aws.faults.trace[-1].split(" ")[1:] == ["x", "dynamodb.PutItem:solo", "ok"]


def test_bad_schedules_are_refused_and_leave_no_thread() -> None:
    aws = build()
    before = threading.active_count()
    with pytest.raises(KeyError):
        interleave(aws.faults, {"x": careless(aws)}, ["z"])

    def confused(call: object) -> bool:
        raise RuntimeError("cannot decide")

    with pytest.raises(RuntimeError, match="cannot decide"):
        interleave(aws.faults, {"x": careless(aws), "y": careless(aws)}, confused)
    assert threading.active_count() == before
    assert aws.faults.pause is None
    interleave(aws.faults, {"x": careless(aws)}).check()
    assert value(aws) == 1


def test_no_flows_is_no_work() -> None:
    assert interleave(build().faults, []).history == []


def test_a_thousand_actors() -> None:
    aws = build(validate=False)
    rng = Random(1)

    def actor() -> None:
        for _ in range(3):
            careless(aws)()

    done = interleave(aws.faults, [actor] * 1000, rng.randrange(100)).check()
    assert len(done.history) == 6000
    assert 0 < value(aws) < 3000
