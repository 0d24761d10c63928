"""python -m tests.quality.adversaries: accuracy when 30% of the workers answer at random, all the same, or together.

Adversaries `join`, as many as make up 30% of the workers, each answering the tasks of an honest worker drawn by the
seed; or they `replace` 30% of the workers, so that those workers' own answers are missing as well. Leaving out the
answers of those replaced ("honest left") is what an engine that knew them all by name could do.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from smallpeck.consensus.choice_kind import ChoiceKind, reestimated
from smallpeck.consensus.evaluate import Label, read_gold, read_labels
from tests.quality.shared_sets import CHOICE_SETS, DATASETS

SHARE = 0.3
KINDS = ("random", "same", "colluding")


@dataclass(frozen=True)
class Row:
    """How the engine and plain majority vote did against one kind of adversary."""

    how: str
    kind: str
    engine: float
    majority: float


def spoiled(labels: Sequence[Label], kind: str, seed: int, how: str) -> list[Label]:
    """The labels with those of the adversaries.

    `random`: any option. `same`: always the commonest option. `colluding`: on each task all of them give the same
    option, one that most honest workers do not give.
    """
    draw = random.Random(seed)
    by_worker: dict[str, list[Label]] = {}
    for row in labels:
        by_worker.setdefault(row.worker, []).append(row)
    workers = sorted(by_worker)
    if how == "join":
        copied = draw.choices(workers, k=round(len(workers) * SHARE / (1 - SHARE)))
        bad = [Label(row.task, f"bad {n}", "") for n, worker in enumerate(copied) for row in by_worker[worker]]
        honest = list(labels)
    else:
        names = set(draw.sample(workers, round(SHARE * len(workers))))
        bad = [row for row in labels if row.worker in names]
        honest = [row for row in labels if row.worker not in names]
    return honest + _answered(bad, honest, kind, draw, sorted({row.label for row in labels}))


def _answered(
    bad: Sequence[Label], honest: Sequence[Label], kind: str, draw: random.Random, options: Sequence[str]
) -> list[Label]:
    if kind == "missing":
        return []
    commonest = Counter(row.label for row in honest).most_common(1)[0][0]
    votes: dict[str, Counter[str]] = {}
    for row in honest:
        votes.setdefault(row.task, Counter())[row.label] += 1
    agreed = {}
    for task in sorted({row.task for row in bad}):
        leader = votes[task].most_common(1)[0][0] if task in votes else None
        agreed[task] = draw.choice([option for option in options if option != leader])
    answer: dict[str, Callable[[str], str]] = {
        "random": lambda _: draw.choice(options),
        "same": lambda _: commonest,
        "colluding": lambda task: agreed[task],
    }
    return [Label(row.task, row.worker, answer[kind](row.task)) for row in bad]


def table(labels: Sequence[Label], gold: Mapping[str, str], seed: int = 1) -> list[Row]:
    """One row per kind of adversary, the clean run first."""
    rows = [_row("", "clean", labels, gold)]
    for how, kinds in (("join", KINDS), ("replace", ("missing", *KINDS))):
        rows += [_row(how, kind, spoiled(labels, kind, seed, how), gold) for kind in kinds]
    return rows


def _row(how: str, kind: str, labels: Sequence[Label], gold: Mapping[str, str]) -> Row:
    by_task: dict[str, list[str]] = {}
    for row in labels:
        by_task.setdefault(row.task, []).append(row.label)
    answers = reestimated(labels, sorted({row.label for row in labels}), {})
    majority = ChoiceKind().majority_vote_accuracy(by_task, gold)
    return Row(how, kind, ChoiceKind().score(answers, gold)["accuracy"], majority or 0.0)


def main() -> int:
    """Print the table for the shared sets."""
    for name in CHOICE_SETS:
        labels, gold = read_labels(DATASETS / name / "labels.csv"), read_gold(DATASETS / name / "gold.csv")
        for row in table(labels, gold):
            sys.stdout.write(
                f"{name:10s} {row.how:8s} {row.kind:10s} engine {row.engine:.4f}  majority vote {row.majority:.4f}\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
