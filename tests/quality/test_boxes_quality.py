"""Boxes on a public set: what the engine promises, measured. Where the set is missing: skipped, and says so."""

import pytest

from smallpeck.consensus.evaluate import Run, evaluate
from tests.quality.shared_sets import files

SEEDS = range(1, 6)
# Stopping when two workers agree (equal counts, every pair overlapping by 0.6) gives F1 .906 at 2.48 answers an image,
# and all seven answers .908.
FLOOR = 0.906
ALL_SEVEN = 0.908


def run(mode: str = "dynamic", **wanted: float) -> Run:
    labels, gold = files("pedestrian_boxes")
    return evaluate(kind="boxes", labels=labels, gold=gold, mode=mode, **wanted)  # type: ignore[arg-type]


def figure(runs: list[Run], name: str) -> float:
    """The mean over the runs."""
    return sum(float(str(one.report[name])) for one in runs) / len(runs)


@pytest.fixture(scope="module")
def stopping() -> list[Run]:
    return [run(seed=seed) for seed in SEEDS]


def test_two_and_a_half_answers_do_as_well_as_all_seven_merged_plainly(stopping: list[Run]) -> None:
    assert figure(stopping, "f1") >= ALL_SEVEN
    assert figure(stopping, "labels_per_task") <= 2.45


def test_the_usual_seed_reaches_the_floor(stopping: list[Run]) -> None:
    assert figure(stopping[:1], "f1") >= FLOOR
    assert figure(stopping[:1], "labels_per_task") <= 2.5


def test_confidence_in_single_boxes_is_honest(stopping: list[Run]) -> None:
    assert figure(stopping, "calibration_error") <= 0.05
    assert figure([run(controls=0.05)], "calibration_error") <= 0.05


def test_all_answers_together_beat_their_plain_merging() -> None:
    report = run("all").report
    assert float(str(report["f1"])) >= 0.92
    assert float(str(report["calibration_error"])) <= 0.05
    assert report["majority_vote_accuracy"] is None
