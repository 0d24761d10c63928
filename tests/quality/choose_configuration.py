"""python -m tests.quality.choose_configuration: how the fixed configuration of single choice was chosen.

Leave one set out: a candidate is chosen on the other public sets (and, for all labels, on synthetic batches), and
reported on the set that had no say. The configuration in the code is the one chosen with all sets. Needs
numpy and the shared sets; takes minutes. `all` or `dynamic` as an argument: that part only.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from smallpeck.consensus import reestimate
from smallpeck.consensus.choice import Choice
from smallpeck.consensus.choice_kind import ChoiceKind
from smallpeck.consensus.evaluate import BatchEngine, Label, Setting, read_gold, read_labels, replay, shuffled
from smallpeck.consensus.method import Method
from smallpeck.consensus.reestimate import Model
from tests.quality.chunks import chunked
from tests.quality.shared_sets import CHOICE_SETS, DATASETS
from tests.quality.synthetic import RECIPES, STOPPING_RECIPES, made

SEEDS = range(1, 7)
TEMPERATURES = (1.0, 1.25, 1.5, 2.0)
ONE_COIN, LOOSE, MIDDLE, FIRM = (
    Model(1.0, None, learns_shares=False), Model(1.0, 0.5), Model(1.0, 2.0), Model(1.0, 4.0, own=4.0)
)  # fmt: skip
ENSEMBLES: Mapping[str, tuple[tuple[Model, ...], float]] = {
    "one-coin alone": ((ONE_COIN,), 0.0),
    "confusion 0.5 alone": ((LOOSE,), 0.0),
    "confusion 2 alone": ((MIDDLE,), 0.0),
    "confusion 4, bent, alone": ((FIRM,), 0.0),
    "the four": ((ONE_COIN, LOOSE, MIDDLE, FIRM), 0.0),
    "the four and half a plurality": ((ONE_COIN, LOOSE, MIDDLE, FIRM), 0.5),
    "the four and a plurality": ((ONE_COIN, LOOSE, MIDDLE, FIRM), 1.0),
}
ONLINE: Mapping[str, Choice] = {
    **{f"confidence {target / 1e6}": Choice(options=2, target_ppm=target) for target in (860_000, 930_000, 950_000)},
    **{
        f"gain {gain}, worker weight {weight:.0f}": Choice(options=2, least_gain=gain, worker_weight=weight)
        for gain, weight in ((0.08, 12.0), (0.1, 12.0), (0.12, 12.0), (0.1, 8.0))
    },
}


Scores = Mapping[str, Mapping[str, tuple[float, ...]]]
"""By set and by candidate."""


@dataclass(frozen=True)
class Trial(ChoiceKind):
    """Single choice, by a candidate."""

    candidate: Choice

    def method(self, options: Sequence[str]) -> Method:
        return replace(self.candidate, options=len(options))


@dataclass(frozen=True)
class Batch:
    """A set with its gold."""

    labels: Sequence[Label]
    gold: Mapping[str, str]

    def majority(self) -> float:
        by_task: dict[str, list[str]] = {}
        for row in self.labels:
            by_task.setdefault(row.task, []).append(row.label)
        return ChoiceKind().majority_vote_accuracy(by_task, self.gold) or 0.0


def ensemble_scores(batch: Batch) -> dict[str, tuple[float, float]]:
    """By candidate: accuracy over plain majority vote, and Brier's score (0 is perfect), which asks for both a right
    answer and an honest confidence.
    """
    options = sorted({row.label for row in batch.labels})
    tasks, chunks, shape = chunked(batch.labels, options)
    parts = {
        model: reestimate.expect(
            chunks[0], reestimate.estimate(lambda: chunks, shape, models=(model,))[0], shape
        )[0]
        for model in (ONE_COIN, LOOSE, MIDDLE, FIRM)
    }  # fmt: skip
    votes = reestimate.vote_shares(chunks[0], shape)
    found = {}
    for name, (models, plurality) in ENSEMBLES.items():
        total = sum((parts[model] for model in models), plurality * votes) / (len(models) + plurality)
        known = [(row, options.index(batch.gold[task])) for row, task in enumerate(tasks) if task in batch.gold]
        right = sum(float(total[row].argmax() == truth) for row, truth in known) / len(known)
        for temperature in TEMPERATURES:
            belief = reestimate.tempered(total, temperature)
            brier = sum(1 - 2 * float(belief[row, truth]) + float(belief[row] @ belief[row]) for row, truth in known)
            found[f"{name}, temperature {temperature}"] = (right - batch.majority(), brier / len(known))
    return found


def online_scores(batch: Batch, seeds: Sequence[int] = SEEDS) -> dict[str, tuple[float, float, float]]:
    """By candidate: labels saved, accuracy over plain majority vote on all labels, and the same at the worst seed."""
    found = {}
    seats: dict[str, int] = {}
    for row in batch.labels:
        seats[row.task] = seats.get(row.task, 0) + 1
    setting = Setting(seats, sorted({row.label for row in batch.labels}), {}, dynamic=True)
    majority = batch.majority()
    for name, candidate in ONLINE.items():
        saved, over = 0.0, []
        for seed in seeds:
            engine = BatchEngine(Trial(candidate), setting)
            used = replay(engine, shuffled(batch.labels, seed), {}, dynamic=True)
            saved += (1 - used / len(batch.labels)) / len(seeds)
            over.append(ChoiceKind().score(engine.finish(), batch.gold)["accuracy"] - majority)
        found[name] = (saved, sum(over) / len(over), min(over))
    return found


def best_ensemble(scores: Scores) -> str:
    """The smallest mean of Brier's score, the public sets together weighing as much as the synthetic batches."""
    public = [score for name, score in scores.items() if name in CHOICE_SETS]
    synthetic = [score for name, score in scores.items() if name not in CHOICE_SETS]

    def merit(name: str) -> float:
        return sum(sum(score[name][1] for score in half) / len(half) for half in (public, synthetic))

    return min(public[0], key=merit)


def best_online(scores: Scores) -> str:
    """The most labels saved among those that lose at most a point anywhere, at any seed; else what loses least."""

    def merit(name: str) -> tuple[float, float]:
        worst = min(score[name][2] for score in scores.values())
        return (min(0.0, worst + 0.01), sum(score[name][0] for score in scores.values()))

    return max(next(iter(scores.values())), key=merit)


def on_synthetic_batches() -> None:
    """Print how each way to stop does on them; they have no say."""
    found = [online_scores(Batch(*made(recipe, 1)), seeds=(1,)) for recipe in STOPPING_RECIPES]
    sys.stdout.write("\nsynthetic batches: labels saved and points over majority vote in the mean, and on the worst\n")
    for name in ONLINE:
        saved, over = (sum(one[name][part] for one in found) / len(found) for part in (0, 1))
        sys.stdout.write(f"{name:55s} {saved:.3f}/{over:+.3f}/{min(one[name][1] for one in found):+.3f}\n")


def main() -> int:
    """Print the table and the choices."""
    public = {name: Batch(read_labels(DATASETS / name / "labels.csv"), read_gold(DATASETS / name / "gold.csv"))
              for name in CHOICE_SETS}  # fmt: skip
    synthetic = {recipe.name: Batch(*made(recipe, 1)) for recipe in RECIPES}
    wanted = sys.argv[1:] or ["all", "dynamic"]
    for title, score, choose, with_synthetic in (
        ("all labels: over majority vote, Brier's score", ensemble_scores, best_ensemble, True),
        (
            "dynamic: labels saved, over majority vote in the mean and at the worst seed",
            online_scores,
            best_online,
            False,
        ),
    ):
        if title.split(":")[0].split()[0] not in wanted:
            continue
        chosen_from = {**public, **synthetic} if with_synthetic else public
        scores = {name: score(batch) for name, batch in chosen_from.items()}
        sys.stdout.write(f"\n{title}\n")
        for candidate in next(iter(scores.values())):
            cells = "  ".join("/".join(f"{figure:+.3f}" for figure in s[candidate]) for s in scores.values())
            sys.stdout.write(f"{candidate:55s} {cells}\n")
        for left_out in public:
            choice = choose({name: s for name, s in scores.items() if name != left_out})
            figures = " / ".join(f"{figure:+.4f}" for figure in scores[left_out][choice])
            sys.stdout.write(f"without {left_out}: {choice}; on {left_out}: {figures}\n")
        sys.stdout.write(f"with all: {choose(scores)}\n")
    if "dynamic" in wanted:
        on_synthetic_batches()
    return 0


if __name__ == "__main__":
    sys.exit(main())
