"""python -m tests.quality.oracle (`make oracle`): the engine against crowd-kit, in one run; prints one JSON object.

Accuracy over all labels against crowd-kit's Dawid-Skene, and times as ratios: whatever is compared takes turns, and
the median of its turns counts. The exit code is 1 where a floor is not met, 2 where the public sets are not here.
crowd-kit is large and lives in an environment of its own, so that nothing else can come to need it.
"""

import importlib
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from smallpeck.consensus.choice import Choice
from smallpeck.consensus.choice_kind import ChoiceKind, reestimated
from smallpeck.consensus.evaluate import Label, read_gold, read_labels, shuffled
from smallpeck.consensus.method import Budget
from smallpeck.consensus.replaying import Replay
from tests.quality.shared_sets import CHOICE_SETS, DATASETS
from tests.quality.synthetic import RECIPES, Recipe, made

FULL_ROUNDS = 100
TURNS = 5
ONE_BATCH = Recipe("a batch of 1,000 tasks", options=2, answers=5, workers=100, tasks=1_000)
MOST_ONLINE_SHARE = 1 / 20
MOST_BATCH_SHARE = 1.0


def dawid_skene(rounds: int) -> Any:
    """crowd-kit's, not fitted yet."""
    return importlib.import_module("crowdkit.aggregation").DawidSkene(n_iter=rounds)


def framed(labels: Sequence[Label]) -> Any:
    """Labels as crowd-kit wants them."""
    rows = [(row.task, row.worker, row.label) for row in labels]
    return importlib.import_module("pandas").DataFrame(rows, columns=["task", "worker", "label"])


def options_of(labels: Sequence[Label]) -> list[str]:
    return sorted({row.label for row in labels})


def accuracies(labels: Sequence[Label], gold: Mapping[str, str]) -> dict[str, float]:
    """Of the engine and of Dawid-Skene over all labels."""
    ours = ChoiceKind().score(reestimated(labels, options_of(labels), {}), gold)["accuracy"]
    theirs = dawid_skene(FULL_ROUNDS).fit_predict(framed(labels)).to_dict()
    right = sum(1 for task, truth in gold.items() if theirs.get(task) == truth)
    return {"engine": round(ours, 6), "dawid_skene": round(right / len(gold), 6)}


def mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {who: round(statistics.fmean(one[who] for one in found), 6) for who in ("engine", "dawid_skene")}


def online_seconds(labels: Sequence[Label]) -> float:
    """One online step, in the mean over a batch whose labels come in a shuffled order."""
    batch = Replay(Choice(options=len(options_of(labels))), {}, dynamic=False)
    budget = Budget(1, ONE_BATCH.answers)
    order = shuffled(labels, 1)
    begun = perf_counter()
    for row in order:
        batch.add(row.task, row.worker, row.label, budget)
    return (perf_counter() - begun) / len(order)


def seconds(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def in_turns(ours: Callable[[], float], theirs: Callable[[], float], turns: int = TURNS) -> dict[str, float]:
    """Both medians, and ours as a share of theirs."""
    pairs = [(ours(), theirs()) for _ in range(turns)]
    mine, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {"engine_seconds": round(mine, 6), "crowd_kit_seconds": round(other, 6), "ratio": round(mine / other, 5)}


def measured() -> dict[str, Any]:
    """Every figure."""
    sets = {
        name: (read_labels(DATASETS / name / "labels.csv"), read_gold(DATASETS / name / "gold.csv"))
        for name in CHOICE_SETS
    }
    found = {name: accuracies(*both) for name, both in sets.items()}
    generated = [accuracies(*made(recipe, 1)) for recipe in RECIPES]
    small, _ = made(ONE_BATCH, 1)
    small_frame = framed(small)
    pairs = sets["d_product"][0]
    pairs_frame, pair_options = framed(pairs), options_of(pairs)
    return {
        "accuracy": {**found, "mean": mean(list(found.values()))},
        "accuracy_on_synthetic_batches": mean(generated),
        "online_step": in_turns(
            lambda: online_seconds(small), lambda: seconds(lambda: dawid_skene(1).fit_predict(small_frame))
        ),
        "reestimation_of_d_product": in_turns(
            lambda: seconds(lambda: reestimated(pairs, pair_options, {})),
            lambda: seconds(lambda: dawid_skene(FULL_ROUNDS).fit_predict(pairs_frame)),
            turns=3,
        ),
    }


def floors(figures: Mapping[str, Any]) -> dict[str, bool]:
    """What is promised, and whether it holds."""
    both = figures["accuracy"]["mean"]
    return {
        "mean accuracy at least Dawid-Skene's": both["engine"] >= both["dawid_skene"],
        "online step at most 1/20 of a one-step refit": figures["online_step"]["ratio"] <= MOST_ONLINE_SHARE,
        "re-estimation at least as fast": figures["reestimation_of_d_product"]["ratio"] <= MOST_BATCH_SHARE,
    }


def main() -> int:
    """Measure, print, and say by the exit code whether every floor holds."""
    missing = [name for name in CHOICE_SETS if not (DATASETS / name / "labels.csv").exists()]
    if missing:
        sys.stderr.write(f"not on this machine: {', '.join(str(DATASETS / name) for name in missing)}\n")
        return 2
    figures = measured()
    held = floors(figures)
    sys.stdout.write(json.dumps({**figures, "floors": held}, indent=2) + "\n")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
