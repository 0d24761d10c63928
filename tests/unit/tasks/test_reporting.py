"""The quality report of a batch: what is counted, how counts add up, and which figures they give."""

import json
import random
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest

from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Decision, SkillCounts
from smallpeck.consensus.plurality import Plurality
from smallpeck.consensus.shapes import Shapes
from smallpeck.tasks.model import Result, Task
from smallpeck.tasks.report_counts import (
    MAX_OPTIONS,
    MOST_DISPUTED,
    OTHER_OPTIONS,
    ReportCounts,
    TaskFacts,
    WorkerCounts,
    counted,
    worker_counts,
)
from smallpeck.tasks.reporting import NoReport, WorkerSkill, interval, report, reported
from tests.unit.tasks.reported_batch import BATCH, facts, task
from tests.unit.tasks.reported_batch import reported as told


def many(count: int, seed: int = 1) -> list[TaskFacts]:
    """Facts of so many tasks, every fifth a control task."""
    drawn = random.Random(seed)
    workers = [f"w{number}" for number in range(12)]
    found: list[Task] = []
    for number in range(count):
        answers = [drawn.choice(["cat", "dog"]) for _ in range(drawn.randint(0, 3))]
        drawn.shuffle(workers)
        result = Result(json.dumps(answers[0]) if answers else None, drawn.randrange(PPM + 1), drawn.random() < 0.1)
        gold = drawn.choice(["cat", "dog"]) if number % 5 == 0 else None
        found.append(task(f"t{number}", answers, result, gold=gold, workers=tuple(workers)))
    return facts(found)


# Counting


def test_counts_are_the_same_in_whatever_pieces_and_order_tasks_are_read() -> None:
    found = many(400)
    whole = counted(found)
    drawn = random.Random(2)
    for size in (1, 7, 133):
        drawn.shuffle(found)
        pieces = [counted(found[start : start + size]) for start in range(0, len(found), size)]
        assert reduce(ReportCounts.plus, pieces) == whole
        assert reduce(lambda right, left: left.plus(right), reversed(pieces)) == whole
    assert whole.plus(ReportCounts()) == whole == ReportCounts().plus(whole)


def test_counts_go_through_json_as_they_are() -> None:
    counts = counted(many(200))
    assert ReportCounts.from_json(json.loads(json.dumps(counts.as_json()))) == counts
    assert ReportCounts.from_json(ReportCounts().as_json()) == ReportCounts()
    for one in worker_counts(many(20)).values():
        assert WorkerCounts(**json.loads(json.dumps(one.as_json()))) == one


def test_counts_are_no_larger_for_a_larger_batch() -> None:
    sizes = [len(json.dumps(counted(many(count)).as_json())) for count in (500, 5_000)]
    assert sizes[1] < sizes[0] * 1.1
    named = [f"option {number}" for number in range(500)]
    batch = replace(BATCH, answer_schema=json.dumps({"enum": named}))
    wide = counted(facts([task(name, [name, name], Result(f'"{name}"', PPM, tied=False)) for name in named], batch))
    assert len(wide.options) == MAX_OPTIONS + 1
    assert wide.options[OTHER_OPTIONS] == (450, 900)


def test_the_most_disputed_tasks_are_the_least_sure_and_ties_fall_by_their_id() -> None:
    tasks = [task(f"t{n:03d}", ["cat", "dog"], Result('"cat"', 500_000 + n // 100, tied=True)) for n in range(300)]
    random.Random(3).shuffle(tasks)
    found = counted(facts(tasks)).most_disputed
    assert [one.task_id for one in found] == [f"t{n:03d}" for n in range(MOST_DISPUTED)]
    assert found[0].agreement_ppm == 500_000


def test_workers_are_counted_by_agreement_and_on_control_tasks() -> None:
    found = worker_counts(facts())
    assert found == {
        "ann": WorkerCounts(6, 3, 2 * PPM, 3, 2 * PPM),
        "bob": WorkerCounts(5, 3, 2 * PPM, 2, PPM),
        "cy": WorkerCounts(2, 1, PPM, 1, 0),
    }
    whole: dict[str, WorkerCounts] = {}
    for one in facts():
        for worker, counts in worker_counts([one]).items():
            whole[worker] = whole.get(worker, WorkerCounts()).plus(counts)
    assert whole == found


def test_a_single_answer_agrees_with_nobody() -> None:
    counts = counted(facts([task("t", ["cat"], Result('"cat"', 800_000, tied=False))]))
    assert (counts.answers, counts.compared, counts.most_disputed[0].agreement_ppm) == (1, 0, None)


# Control tasks


def test_a_control_task_counts_as_it_would_have_been_decided_without_its_answer() -> None:
    decided = {one.task_id: (one.unaided, one.right_ppm) for one in facts() if one.control}
    # Two that agree settle a task of at most three, so the third answer to c0 would not have been asked for.
    assert decided["c0"] == (Decision('"cat"', PPM, tied=False, final=True), PPM)
    assert decided["c1"] == (Decision('"cat"', PPM, tied=False, final=True), 0)
    assert decided["c2"] == (None, None)


def test_answers_count_in_the_order_in_which_they_came() -> None:
    came = task("c", ["dog", "cat", "cat"], gold="cat")
    again = replace(came, votes=dict(reversed(list(came.votes.items()))))
    assert facts([came]) == facts([again])
    one = facts([came])[0]
    assert (one.right_ppm, one.unaided and one.unaided.confidence_ppm) == (PPM, 666_666)


NUMERIC = '{"high":10,"low":0,"method":"numeric"}'


@pytest.mark.parametrize(
    ("consensus", "answer", "gold", "right"),
    [
        ('{"method":"multiple","options":["a","b"]}', ["a"], ["a"], PPM),
        ('{"method":"multiple","options":["a","b"]}', ["a"], ["a", "b"], 0),
        (NUMERIC, 4, 5, PPM),
        (NUMERIC, 3.9, 5, 0),
        ('{"high":10,"low":0,"method":"numeric","tolerance":0.5}', 4, 5, 0),
        ('{"levels":[1,2,3],"method":"ordinal"}', 2, 2, PPM),
        ('{"levels":[1,2,3],"method":"ordinal"}', 2, 3, 0),
    ],
)
def test_right_means_what_the_method_is_sure_of(consensus: str, answer: Any, gold: Any, right: int) -> None:
    batch = replace(BATCH, consensus=consensus, min_answers=1, max_answers=1)
    assert facts([task("c", [answer], gold=gold)], batch)[0].right_ppm == right


class HalfRight(Plurality):
    """Whatever is said, half of it is right."""

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        del answer, gold
        return SkillCounts(PPM // 2, PPM)


@pytest.mark.parametrize(("method", "right"), [("text", PPM // 2), ("fields", 0), ("choice", 0)])
def test_only_of_a_text_a_part_is_right(method: str, right: int) -> None:
    batch = replace(BATCH, consensus=json.dumps({"method": method}), answer_schema="{}")
    one = facts([task("c", ["x", "y"], gold="z")], batch, HalfRight())[0]
    assert (one.right_ppm, one.rightness_ppm) == (right, {"ann": PPM // 2, "bob": PPM // 2})


def box(x: int, label: str = "cat", width: int = 10) -> dict[str, Any]:
    return {"x": x, "y": 0, "width": width, "height": 10, "label": label}


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ([box(0), box(50)], PPM),
        ([box(50), box(0, width=12)], PPM),
        ([box(0)], 0),
        ([box(0), box(50), box(90)], 0),
        ([box(0), box(58)], 0),
        ([box(0), box(50, "dog")], 0),
    ],
)
def test_boxes_are_right_where_all_lie_where_they_should(answer: list[Any], right: int) -> None:
    batch = replace(BATCH, consensus='{"method":"boxes"}', answer_schema="{}")
    one = facts([task("c", [answer, answer], gold=[box(0), box(50)])], batch, Shapes("boxes"))[0]
    assert one.right_ppm == right
    assert all((share or 0) > 0 for share in one.rightness_ppm.values())


class Unreadable(Plurality):
    """Nothing can be said of an answer."""

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        del answer, gold
        return NOTHING_KNOWN


def test_what_nothing_is_known_of_is_counted_as_an_answer_alone() -> None:
    counts = counted(facts(method=Unreadable()))
    assert (counts.answers, counts.compared, counts.control_answers, counts.control_judged) == (7, 0, 6, 0)
    assert report(batch=BATCH, counts=counts, workers=[])["calibration"] is None


# Figures


def test_the_figures_of_a_small_batch() -> None:
    found = told()
    assert found["tasks"] == {
        "total": 4, "answered": 3, "unanswered": 1, "complete": 2, "tied": 1, "disputed": 1, "control": 3,
    }  # fmt: skip
    assert found["answers"] == {
        "used": 7, "control": 6, "per_task": 1.75, "fixed_overlap": 6, "saved": 1, "saved_share": 0.166667,
        "by_task": [{"answers": 0, "tasks": 1}, {"answers": 2, "tasks": 2}, {"answers": 3, "tasks": 1}],
    }  # fmt: skip
    assert found["cost"] == {
        "currency": "USD", "spent": "0.65", "spent_micros": 650_000, "control": "0.30", "control_micros": 300_000,
        "saved": "0.05", "saved_micros": 50_000,
    }  # fmt: skip
    assert found["agreement"] == {"mean": 0.714286, "answers": 7}
    accuracy = found["accuracy"]
    assert accuracy["expected"] == 0.722222
    assert (accuracy["control_results"]["accuracy"], accuracy["control_results"]["count"]) == (0.5, 2)
    assert (accuracy["control_answers"]["accuracy"], accuracy["control_answers"]["count"]) == (0.5, 6)
    assert found["calibration"]["error"] == 0.5
    assert [one["tasks"] for one in found["confidence"]["bins"]] == [0] * 10 + [1, 0, 0, 1] + [0] * 5 + [1]
    assert found["options"] == [
        {"option": "cat", "results": 3, "answers": 5}, {"option": "dog", "results": 0, "answers": 2},
    ]  # fmt: skip
    assert [one["task_id"] for one in found["most_disputed"]] == ["t2", "t1", "t0"]
    assert found["most_disputed"][0] == {
        "task_id": "t2", "row_id": "row-t2", "confidence": 0.5, "answers": 2, "agreement": 0.5, "tied": True,
    }  # fmt: skip
    assert [(one["worker_id"], one["answers"]) for one in found["workers"]] == [("ann", 6), ("bob", 5), ("cy", 2)]


def test_a_report_is_json_and_says_its_version_and_batch() -> None:
    found = told()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["version"] == 1
    assert (found["batch"]["batch_id"], found["batch"]["method"], found["batch"]["price"]) == (
        "b1",
        "plurality",
        "0.05",
    )


def test_a_batch_that_nobody_answered_has_a_report() -> None:
    found = told([task("t0", [], Result(None, 0, tied=False))])
    assert (found["answers"]["saved_share"], found["accuracy"]["expected"], found["calibration"]) == (None, None, None)
    assert found["accuracy"]["control_results"] is None
    assert (found["workers"], found["most_disputed"]) == ([], [])


def test_saved_are_only_answers_that_nobody_needed() -> None:
    # A batch that is stopped early saves nothing on the tasks that it left half done.
    found = told([task("t0", ["cat"], Result('"cat"', PPM, tied=False), closed_by="finish")])
    assert (found["answers"]["saved"], found["answers"]["fixed_overlap"]) == (0, 0)


@pytest.mark.parametrize(
    ("right", "tasks", "level", "ends"),
    [
        (0.8, 10, 0.95, (0.4902, 0.9433)),
        (0.5, 100, 0.9, (0.4188, 0.5812)),
        (1, 20, 0.95, (0.8389, 1)),
        (0, 0, 0.9, (0, 1)),
    ],
)
def test_the_interval_of_a_share(right: float, tasks: int, level: float, ends: tuple[float, float]) -> None:
    assert interval(right, tasks, level=level) == pytest.approx(ends, abs=5e-5)


def test_every_worker_is_in_the_report_the_most_active_first() -> None:
    workers = [WorkerSkill(f"w{n}", WorkerCounts(answers=n), 800_000, 700_000, 900_000) for n in range(500)]
    found = report(batch=BATCH, counts=ReportCounts(), workers=workers)["workers"]
    assert [one["answers"] for one in found] == list(reversed(range(500)))
    assert found[0]["interval"] == [0.7, 0.9]
    assert (found[0]["agreement"], found[0]["control_accuracy"]) == (None, None)


@pytest.mark.parametrize("changed", [{"closed_at_ms": None}, {"published_at_ms": None}])
def test_only_a_batch_that_was_published_and_has_ended_has_a_report(changed: dict[str, None]) -> None:
    with pytest.raises(NoReport):
        reported(replace(BATCH, **changed))  # type: ignore[arg-type]
    assert reported(BATCH) is BATCH
