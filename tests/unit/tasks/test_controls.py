"""Control tasks: read from a file, handed out among other tasks, never told apart, and paid as all are."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from smallpeck.kernel.errors import Invalid
from smallpeck.kernel.ids import task_id
from smallpeck.tasks.controls import KnownAnswers
from smallpeck.tasks.dispatch import NothingToDo, TasksNotOffered
from smallpeck.tasks.finishing import is_done
from smallpeck.tasks.lines import Refusal
from smallpeck.tasks.model import CONTROL_RANKS, BatchState, Task, TaskStatus, shards_for
from smallpeck.tasks.pages import Page
from smallpeck.tasks.rows import BadRow, Row
from smallpeck.tasks.shuffling import id_of_task, ordinal_of
from smallpeck.tasks.splitting import Split, SplitOrder, parse_part, split
from tests.aws import Crash, Fault, Plan
from tests.support import CHOICE, World
from tests.unit.tasks.test_crashes_and_races import check_books
from tests.unit.tasks.test_splitting import Sink, quarantined

CAT = '"cat"'
KEY = "secret"


def known_answer(value: Any, schema: Mapping[str, Any], *, cells: bool) -> str | BadRow | None:
    return KnownAnswers("gold", schema).take(Row(2, {"gold": value, "text": "x"}, cells=cells))


@pytest.mark.parametrize(
    ("cell", "schema", "gold"),
    [
        ("cat", CHOICE, '"cat"'),
        ("3", {"enum": ["3", "4"]}, '"3"'),
        ("3", {"enum": [3, 4]}, "3"),
        ("3.5", {"type": "number"}, "3.5"),
        ("true", {"type": "boolean"}, "true"),
        ("[]", {"type": "array"}, "[]"),
        ('[{"x":1,"w":2}]', {"type": "array"}, '[{"w":2,"x":1}]'),
        ("a b", {"type": "string"}, '"a b"'),
        ("", CHOICE, None),
    ],
)
def test_a_cell_is_the_text_that_an_answer_can_be_or_the_json_that_it_spells(
    cell: str, schema: Any, gold: str | None
) -> None:
    assert known_answer(cell, schema, cells=True) == gold


@pytest.mark.parametrize(
    ("value", "schema", "gold"),
    [
        ("cat", CHOICE, '"cat"'),
        (3, {"enum": [3]}, "3"),
        ([], {"type": "array"}, "[]"),
        (None, CHOICE, None),
        ("", CHOICE, None),
    ],
)
def test_a_json_value_is_what_it_is(value: Any, schema: Any, gold: str | None) -> None:
    assert known_answer(value, schema, cells=False) == gold


@pytest.mark.parametrize(
    ("value", "schema", "cells", "why"),
    [
        ("cow", CHOICE, True, "the known answer: is none of the allowed values"),
        ("3", {"type": "integer"}, False, "the known answer: must be integer"),
        ("{", {"type": "array"}, True, "the known answer: must be array"),
        ('{"a":1,"a":2}', {"type": "object"}, True, "the known answer: must be object"),
        ("x" * 4_000, {"type": "string"}, True, "a known answer has at most 3072 bytes"),
    ],
)
def test_what_no_worker_could_answer_is_no_known_answer(value: Any, schema: Any, *, cells: bool, why: str) -> None:
    bad = known_answer(value, schema, cells=cells)
    assert isinstance(bad, BadRow)
    assert (bad.reason, bad.detail) == ("bad_control", why)


def run(body: bytes, *, name: str = "x.csv", task_schema: Any = None) -> tuple[Split, Sink]:
    schema = {"type": "object", "properties": {"text": {}}, "additionalProperties": False}
    sink = Sink()
    order = SplitOrder("b1", name, schema if task_schema is None else task_schema, CHOICE, "gold", KEY)
    return split(chunks=iter([body]), order=order, sink=sink), sink


def test_the_known_answers_of_a_file_are_kept_apart_from_what_workers_see() -> None:
    found, sink = run(b"text,gold\na,cat\nb,\nc,dog\nd,cow\n")
    assert (found.read, found.accepted, found.rejected, found.controls) == (4, 3, 1, 2)
    assert quarantined(sink) == [(5, "bad_control")]
    rows = parse_part(sink.files["parts/000000.jsonl"])
    assert [(row.input_text, row.gold) for row in rows] == [
        ('{"text":"a"}', '"cat"'),
        ('{"text":"b"}', None),
        ('{"text":"c"}', '"dog"'),
    ]
    assert [ordinal_of(row.task_id, KEY) for row in rows] == [0, 1, 2]


def test_json_lines_have_known_answers_in_a_property() -> None:
    found, sink = run(b'{"text":"a","gold":"cat"}\n{"text":"b"}\n{"text":"c","gold":null}\n', name="x.jsonl")
    assert (found.accepted, found.controls) == (3, 1)
    assert [row.gold for row in parse_part(sink.files["parts/000000.jsonl"])] == ['"cat"', None, None]


def test_a_row_and_its_control_are_the_same_row() -> None:
    _, sink = run(b"text,gold\na,cat\na,\n")
    assert quarantined(sink) == [(3, "duplicate_row")]


def test_a_file_without_the_control_column_is_refused() -> None:
    found, sink = run(b"text,golden\na,cat\n", task_schema={})
    assert found.refused is not None
    assert found.refused.refusal is Refusal.NO_CONTROL_COLUMN
    assert "manifest.json" not in sink.files


# Handing out


def with_controls(tasks: int, controls: int, **facts: Any) -> World:
    """A published batch whose first tasks are control tasks, as in a file that begins with them."""
    world = World()
    world.active(tasks, controls=dict.fromkeys(range(controls), CAT), shuffle_key=KEY, **facts)
    return world


def controls_of(world: World) -> list[Task]:
    return [task for task in world.every_task(world.batch()) if task.is_control]


def met(world: World, page: Page) -> list[Task]:
    """The control tasks of a page."""
    on_page = {one.task_id for one in page.assignments}
    return [task for task in controls_of(world) if task.task_id in on_page]


def listed(world: World) -> int:
    """How many control tasks seem to have a free seat."""
    batch = world.batch()
    return sum(
        len(world.tasks.controls(batch, shard, first=0, before=CONTROL_RANKS, limit=10_000))
        for shard in range(shards_for(batch.control_count))
    )


def test_a_new_worker_meets_control_tasks_among_others_and_is_paid_for_them() -> None:
    world = with_controls(200, 20)
    page = world.leased("ann")
    assert (len(page.assignments), len(met(world, page))) == (10, 2)
    world.submit(page)
    world.grade(page.page_id)
    assert world.earned("ann") == 10 * 300_000
    for task in controls_of(world):
        assert (task.status, task.wanted) == (TaskStatus.OPEN, True)
    check_books(world)


def test_no_worker_meets_the_same_control_task_twice() -> None:
    world = with_controls(200, 5)
    seen: list[str] = []
    for n in range(16):
        page = world.leased("ann", key=f"k{n}")
        seen += [task.task_id for task in met(world, page)]
        world.submit(page)
    assert len(set(seen)) == len(seen)
    assert 3 <= len(seen) <= 5


def test_a_page_is_as_scattered_as_its_control_tasks() -> None:
    """Neither the order within a page nor the neighbourhood of its tasks says which is which."""
    places = []
    for n in range(40):
        world = with_controls(400, 40)
        page = world.leased(f"worker-{n}")
        ordinals = [one.ordinal for one in page.assignments if one.ordinal >= 40]
        assert len({ordinal // 40 for ordinal in ordinals}) >= 3
        controls = {task.task_id for task in met(world, page)}
        places += [place for place, one in enumerate(page.assignments) if one.task_id in controls]
    assert len(set(places)) == 10


def test_tickets_pass_control_tasks_over_and_list_them_nowhere() -> None:
    world = with_controls(40, 20, page_size=4, min_answers=1, max_answers=1)
    batch = world.batch()
    for n in range(60):
        if isinstance(world.lease(f"worker-{n}"), NothingToDo):
            break
    assert all(task.seats_taken == 1 for task in world.every_task(batch) if not task.is_control)
    assert world.tasks.wanted(batch, 0, first=(0, 0), before=(8, 0), limit=100) == []


def test_a_control_task_is_listed_until_its_last_seat_is_taken_and_again_when_one_is_given_back() -> None:
    world = with_controls(100, 1, page_size=5)
    pages = [world.leased(f"worker-{n}") for n in range(3)]
    (control,) = controls_of(world)
    assert (control.seats_taken, control.wanted, listed(world)) == (3, False, 0)
    assert met(world, world.leased("dee")) == []
    world.give_back(pages[0])
    (control,) = controls_of(world)
    assert (control.seats_taken, control.wanted, listed(world)) == (2, True, 1)
    assert len(met(world, world.leased("eve"))) == 1


def test_an_expired_lease_gives_its_control_seat_back() -> None:
    world = with_controls(100, 1, page_size=5, max_answers=1, min_answers=1)
    page = world.leased("ann")
    assert len(met(world, page)) == 1
    world.aws.clock.advance(601)
    world.sweep()
    assert listed(world) == 1


def test_a_control_task_cannot_be_named() -> None:
    world = with_controls(20, 1, named=True)
    control, other = (id_of_task(n, str(n).encode(), "b1", KEY) for n in (0, 5))
    with pytest.raises(TasksNotOffered):
        world.lease("ann", tasks=[control])
    page = world.leased("ann", key="k2", tasks=[control, other])
    assert [one.task_id for one in page.assignments] == [other]
    with pytest.raises(Invalid):
        world.lease("ann", key="k3", tasks=[task_id(2**34, b"5", "b1")])


@pytest.mark.parametrize("page_size", [1, 4])
def test_control_tasks_alone_are_no_work_and_do_not_keep_a_batch_open(page_size: int) -> None:
    world = with_controls(8, 4, page_size=page_size, min_answers=1, max_answers=1)
    for n in range(40):
        for k in range(10):
            if isinstance(world.lease(f"worker-{n}", key=f"k{k}"), NothingToDo):
                break
            page = world.leased(f"worker-{n}", key=f"k{k}")
            world.submit(page)
            world.grade(page.page_id)
    batch, tasks = world.batch(), world.every_task(world.batch())
    assert is_done(batch, world.tasks.progress("b1"))
    assert {task.status for task in tasks if not task.is_control} == {TaskStatus.CLOSED}
    assert isinstance(world.lease("somebody new"), NothingToDo)
    check_books(world)
    assert world.finish().state is BatchState.CLOSED
    assert {task.result.answer for task in controls_of(world) if task.result} == {CAT}


def test_a_batch_of_mostly_control_tasks_cannot_be_published() -> None:
    world = World()
    batch = world.ready(4, controls={0: CAT, 1: CAT, 2: CAT})
    world.deposit(batch.cost_micros)
    with pytest.raises(Invalid) as refused:
        world.publish(batch)
    assert [one.pointer for one in refused.value.problems] == ["/control_column"]
    assert world.batch().state is BatchState.READY


def test_finding_control_tasks_costs_the_same_however_many_there_are() -> None:
    def cost(tasks: int) -> tuple[int, float]:
        world = with_controls(tasks, tasks // 10)
        batch = world.batch()
        world.leased("early", batch=batch)
        world.aws.dynamodb.meter.reset()
        calls = world.aws.faults.count_calls(lambda: world.leased("ann", batch=batch))
        return calls, world.aws.dynamodb.meter.read

    calls, read = cost(500)
    assert read <= 2 * 10
    assert abs(cost(20_000)[0] - calls) <= 4  # two more tickets where the first ones named a control task


# Dying and racing

DYING = [Fault.CRASH_BEFORE, Fault.CRASH_AFTER]
FEW: Mapping[str, Any] = {"page_size": 3, "min_answers": 1, "max_answers": 1}


def leasing() -> tuple[World, Callable[[], object]]:
    world = with_controls(4, 2, **FEW)
    return world, lambda: world.lease("ann")


def returning() -> tuple[World, Callable[[], object]]:
    world = with_controls(4, 2, **FEW)
    page = world.leased("ann")
    return world, lambda: world.give_back(page)


def grading() -> tuple[World, Callable[[], object]]:
    world = with_controls(4, 2, **FEW)
    page = world.leased("ann")
    world.submit(page)
    return world, lambda: world.grade(page.page_id)


def calls_of(prepare: Callable[[], tuple[World, Callable[[], object]]]) -> int:
    world, act = prepare()
    return world.aws.faults.count_calls(act)


def check_listed(world: World) -> None:
    """Who asks is listed, and nobody stands where work is listed but work."""
    batch = world.batch()
    wanted = {n for _, n in world.tasks.wanted(batch, 0, first=(0, 0), before=(8, 0), limit=100)}
    for task in controls_of(world):
        assert task.ordinal not in wanted
        assert task.wanted or not task.asks(batch)


@pytest.mark.parametrize("fault", DYING)
@pytest.mark.parametrize("call", range(calls_of(leasing)))
def test_a_lease_that_dies_at_any_call_keeps_or_frees_its_control_seats(fault: Fault, call: int) -> None:
    world, lease = leasing()
    with world.aws.faults.planned(Plan(fault, at=call)), pytest.raises(Crash):
        lease()
    world.aws.clock.advance(620)
    world.sweep()
    world.lease("ann")
    assert all(not task.holders for task in world.every_task(world.batch()) if "ann" not in task.holders)
    check_listed(world)
    page = world.leased("bob", key="k2") if not isinstance(world.lease("bob", key="k2"), NothingToDo) else None
    assert page is None or len(met(world, page)) < len(page.assignments)
    check_books(world)


@pytest.mark.parametrize("fault", DYING)
@pytest.mark.parametrize("call", range(calls_of(returning)))
def test_a_return_that_dies_at_any_call_lists_its_control_tasks_again(fault: Fault, call: int) -> None:
    world, give_back = returning()
    with world.aws.faults.planned(Plan(fault, at=call)), pytest.raises(Crash):
        give_back()
    give_back()
    check_listed(world)
    assert listed(world) == 2
    check_books(world)


@pytest.mark.parametrize("call", range(calls_of(grading)))
def test_grading_control_tasks_twice_at_once_pays_and_teaches_once(call: int) -> None:
    world, grade = grading()
    rival = Plan(Fault.RACE, at=call, race=grade)
    with world.aws.faults.planned(rival):
        grade()
    assert rival.race_errors == []
    check_books(world)
    (task,) = [task for task in controls_of(world) if task.votes]
    assert world.tasks.skill(world.batch(), "ann") == task.votes["ann"].credit


@pytest.mark.parametrize("call", range(calls_of(leasing)))
def test_two_workers_on_the_last_control_seats(call: int) -> None:
    world, lease = leasing()
    rival = Plan(Fault.RACE, at=call, race=partial(world.lease, "bob"))
    with world.aws.faults.planned(rival):
        lease()
    assert rival.race_errors == []
    check_listed(world)
    check_books(world)


def test_the_stored_answer_is_nowhere_but_on_the_task() -> None:
    world = with_controls(20, 2)
    world.leased("ann")
    held = [json.dumps(item) for item in world.aws.dynamodb.dump("platform")]
    assert {("TASKS#" in one) for one in held if "gold" in one} == {True}
