"""Single choice on public sets: what the engine promises, measured. Sets and numpy missing: skipped, and says so."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from smallpeck.consensus.choice_kind import majority_share, reestimated
from smallpeck.consensus.evaluate import Run, evaluate, read_gold, read_labels
from tests.quality.adversaries import table
from tests.quality.shared_sets import CHOICE_SETS, files
from tests.quality.synthetic import RECIPES, made

# What crowd-kit 1.4.2's Dawid-Skene (100 rounds) scores on the three sets, in the mean; measured with its own code.
DAWID_SKENE_MEAN = 0.9032
DRAWS = 400


def run(name: str, mode: str, **wanted: float) -> Run:
    labels, gold = files(name)
    return evaluate(kind="choice", labels=labels, gold=gold, mode=mode, **wanted)  # type: ignore[arg-type]


def differences(labels: Path, gold: Path, found: Run) -> list[float]:
    """By task, right or wrong less what majority vote scores on it."""
    truth = read_gold(gold)
    votes: dict[str, list[str]] = {}
    for row in read_labels(labels):
        votes.setdefault(row.task, []).append(row.label)
    return [(found.answers[task].value == truth[task]) - majority_share(votes[task], truth[task]) for task in votes]


def significantly_under(apart: list[float]) -> bool:
    """Whether 97.5% of the paired bootstrap means over tasks are below zero."""
    draw = random.Random(1)
    means = sorted(sum(draw.choices(apart, k=len(apart))) for _ in range(DRAWS))
    return means[int(0.975 * DRAWS)] < 0


@pytest.fixture(scope="module")
def everything() -> dict[str, Run]:
    return {name: run(name, "all") for name in CHOICE_SETS}


@pytest.fixture(scope="module")
def stopping() -> dict[str, Run]:
    return {name: run(name, "dynamic") for name in CHOICE_SETS}


def figure(runs: dict[str, Run], name: str, part_of: str = "") -> float:
    """The mean over the sets of a figure, or of one as a part of another."""
    parts = [float(str(one.report[name])) / float(str(one.report.get(part_of, 1))) for one in runs.values()]
    return sum(parts) / len(parts)


def test_all_labels_reach_dawid_skene_in_the_mean(everything: dict[str, Run]) -> None:
    assert figure(everything, "accuracy") >= DAWID_SKENE_MEAN


def test_no_set_is_significantly_under_majority_vote(everything: dict[str, Run], stopping: dict[str, Run]) -> None:
    for runs in (everything, stopping):
        for name in CHOICE_SETS:
            assert not significantly_under(differences(*files(name), runs[name])), name


def test_dynamic_saves_half_the_labels_at_the_accuracy_of_all_of_them(stopping: dict[str, Run]) -> None:
    saved = 1 - figure(stopping, "labels_used", "labels_available")
    assert saved >= 0.5
    assert figure(stopping, "accuracy") >= figure(stopping, "majority_vote_accuracy")


@pytest.mark.parametrize("mode", ["all", "dynamic"])
def test_confidence_is_honest_over_the_sets_with_one_task_in_twenty_known(mode: str) -> None:
    errors, tasks = 0.0, 0
    for name in CHOICE_SETS:
        report = run(name, mode, controls=0.05).report
        errors += float(str(report["calibration_error"])) * int(str(report["tasks"]))
        tasks += int(str(report["tasks"]))
    assert errors / tasks <= 0.05


@pytest.mark.parametrize("name", CHOICE_SETS)
def test_joining_careless_workers_cost_at_most_a_point(name: str) -> None:
    labels, gold = files(name)
    rows = table(read_labels(labels), read_gold(gold))
    clean = rows[0].engine
    found = {(row.how, row.kind): row for row in rows}
    assert found["join", "random"].engine >= clean - 0.01
    assert found["replace", "random"].engine >= found["replace", "missing"].engine - 0.01
    assert all(row.engine >= row.majority for row in rows)


@pytest.mark.parametrize("recipe", RECIPES[:6], ids=lambda recipe: recipe.name)
def test_batches_of_many_kinds_are_not_significantly_under_majority_vote(recipe: object) -> None:
    labels, truth = made(recipe, 7)  # type: ignore[arg-type]
    found = reestimated(labels, sorted({row.label for row in labels}), {})
    votes: dict[str, list[str]] = {}
    for row in labels:
        votes.setdefault(row.task, []).append(row.label)
    apart = [(found[task].value == truth[task]) - majority_share(votes[task], truth[task]) for task in votes]
    assert not significantly_under(apart)


@pytest.mark.slow
def test_no_order_of_the_labels_loses_a_point_of_majority_vote_or_half_of_the_savings() -> None:
    saved, over = [], []
    for name in CHOICE_SETS:
        for seed in range(1, 11):
            found = run(name, "dynamic", seed=seed)
            apart = differences(*files(name), found)
            assert not significantly_under(apart), (name, seed)
            assert sum(apart) / len(apart) >= -0.01, (name, seed)
            over.append(sum(apart) / len(apart))
            saved.append(1 - figure({name: found}, "labels_used", "labels_available"))
    assert sum(saved) / len(saved) >= 0.5
    assert sum(over) / len(over) >= 0.005


MEASURED = """
import json, resource, sys
from pathlib import Path
from smallpeck.consensus.evaluate import evaluate
folder, mode = Path(sys.argv[1]), sys.argv[2]
report = evaluate(kind="choice", labels=folder / "labels.csv", gold=folder / "gold.csv", mode=mode).report
print(json.dumps({**report, "kilobytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["all", "dynamic"])
def test_a_million_labels_fit_in_a_gigabyte(tmp_path: Path, mode: str) -> None:
    draw = random.Random(1)
    with (tmp_path / "labels.csv").open("w") as labels, (tmp_path / "gold.csv").open("w") as gold:
        labels.write("task,worker,label\n")
        gold.write("task,label\n")
        for task in range(200_000):
            truth = draw.choice("abc")
            gold.write(f"{task},{truth}\n")
            for worker in draw.sample(range(5_000), 5):
                labels.write(f"{task},w{worker},{truth if draw.random() < 0.8 else draw.choice('abc')}\n")
    layer = Path(__file__).resolve().parents[2] / "layers/core/python"
    asked = [sys.executable, "-c", MEASURED, str(tmp_path), mode]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=layer)  # noqa: S603
    report = json.loads(done.stdout)
    assert report["labels_available"] == 1_000_000
    assert report["kilobytes"] < 1_000_000
