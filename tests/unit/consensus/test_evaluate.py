"""Replaying labels: what an engine is shown, what it never sees, and how it is scored."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from smallpeck.consensus.calibration import GRID, best_temperature, observed, summed
from smallpeck.consensus.choice_kind import ChoiceKind, majority_share
from smallpeck.consensus.evaluate import (
    Answer,
    BatchEngine,
    Label,
    Setting,
    calibration_error,
    draw_controls,
    evaluate,
    replay,
    shuffled,
    within,
)


class Closing:
    """Closes every task with its second label."""

    def __init__(self) -> None:
        self.seen: list[Label] = []

    def add(self, label: Label) -> bool:
        self.seen.append(label)
        return sum(1 for one in self.seen if one.task == label.task) >= 2

    def finish(self) -> Mapping[str, Answer]:
        return {}


ROWS = [Label(task, worker, "x") for task in "ab" for worker in "123"]


def test_labels_of_closed_tasks_are_skipped_in_dynamic_mode_only() -> None:
    engine = Closing()
    assert replay(engine, ROWS, {}, dynamic=True) == 4
    assert len(engine.seen) == 4
    assert replay(Closing(), ROWS, {}, dynamic=False) == 6


def test_control_tasks_are_shown_in_full_and_not_counted() -> None:
    engine = Closing()
    assert replay(engine, ROWS, {"a": "x"}, dynamic=True) == 2
    assert sum(1 for one in engine.seen if one.task == "a") == 3


def test_the_order_depends_on_the_seed_and_not_on_the_file() -> None:
    assert shuffled(ROWS, 3) == shuffled(ROWS[::-1], 3)
    assert shuffled(ROWS, 3) != shuffled(ROWS, 4)


def test_controls_are_drawn_by_the_seed_from_tasks_that_have_labels(tmp_path: Path) -> None:
    gold = tmp_path / "gold.csv"
    gold.write_text("task,label\n" + "".join(f"{n},x\n" for n in range(40)))
    tasks = {str(n): 1 for n in range(20)}
    drawn = draw_controls(gold, tasks, 0.25, 1)
    assert len(drawn) == 5
    assert set(drawn) <= set(tasks)
    assert drawn == draw_controls(gold, tasks, 0.25, 1)
    assert drawn != draw_controls(gold, tasks, 0.25, 2)


@pytest.mark.parametrize(
    ("labels", "truth", "share"),
    [("aab", "a", 1), ("ab", "a", 0.5), ("abc", "c", 1 / 3), ("aab", "b", 0), ("", "a", 0)],
)
def test_majority_vote_scores_ties_fractionally(labels: str, truth: str, share: float) -> None:
    assert majority_share(labels, truth) == pytest.approx(share)


def test_calibration_error_is_how_far_confidence_is_from_being_right() -> None:
    assert calibration_error([(0.95, 1.0)] * 19 + [(0.95, 0.0)]) == pytest.approx(0)
    assert calibration_error([(1.0, 0.0), (1.0, 1.0)]) == pytest.approx(0.5)
    assert calibration_error([(0.55, 1.0), (0.95, 0.0)]) == pytest.approx((0.45 + 0.95) / 2)


def fed(order: Sequence[Label], *, dynamic: bool) -> BatchEngine:
    engine = BatchEngine(ChoiceKind(), Setting({"a": 4, "b": 4}, ["x", "y"], {}, dynamic=dynamic))
    replay(engine, order, {}, dynamic=dynamic)
    return engine


def test_a_label_delivered_twice_counts_once() -> None:
    once, twice = fed(ROWS, dynamic=False), fed([row for row in ROWS for _ in range(2)], dynamic=False)
    assert once.replay == twice.replay
    assert once.finish() == twice.finish()


def test_no_task_takes_more_labels_than_it_may_save_control_tasks() -> None:
    kept = list(within(ROWS, 2, {"b": "x"}))
    assert [row.worker for row in kept if row.task == "a"] == ["1", "2"]
    assert [row.worker for row in kept if row.task == "b"] == ["1", "2", "3"]


def test_a_report_says_what_was_used_and_what_came_of_it(tmp_path: Path) -> None:
    labels, gold = tmp_path / "labels.csv", tmp_path / "gold.csv"
    labels.write_text(
        "task,worker,label\n" + "".join(f"{task},{worker},{task}\n" for task in "ab" for worker in "1234")
    )
    gold.write_text("task,label\na,a\nb,b\n")
    report = evaluate(kind="choice", labels=labels, gold=gold, mode="dynamic", max_answers=3).report
    assert (report["tasks"], report["labels_available"], report["labels_used"]) == (2, 8, 4)
    assert (report["accuracy"], report["majority_vote_accuracy"]) == (1.0, 1.0)
    whole = evaluate(kind="choice", labels=labels, gold=gold, mode="all", max_answers=3).report
    assert whole["labels_used"] == 6


def test_over_confidence_on_control_tasks_raises_the_temperature() -> None:
    wrong_often = [observed([0.99, 0.01], 0.99 if n % 4 else 0.01) for n in range(40)]
    right_always = [observed([0.75, 0.25], 0.75)] * 40
    assert best_temperature(summed(wrong_often), 1.2) > 2
    assert best_temperature(summed(right_always), 1.2) < 0.9
    assert best_temperature(summed([]), 1.2) == 1.2
    assert best_temperature(summed(wrong_often[:1]), 1.2) < best_temperature(summed(wrong_often), 1.2)
    assert summed(wrong_often) == summed(wrong_often[::-1])
    assert best_temperature(summed(wrong_often), 1.2) in GRID


def test_importing_the_engine_loads_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import smallpeck.consensus, smallpeck.consensus.__main__, "
        "smallpeck.consensus.choice_kind, smallpeck.consensus.reestimate, smallpeck.consensus.reweighing; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - sys.stdlib_module_names - {'smallpeck'}))"
    )
    layer = Path(__file__).resolve().parents[3] / "layers/core/python"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=layer)  # noqa: S603
    assert done.stdout.strip() == "[]"
