"""python -m tests.quality.choose_configuration: how the fixed configuration of single choice was chosen.

Leave one set out: a candidate is chosen on the other public sets (and, for all labels, on synthetic batches), and
reported on the set that had no say. The configuration in the code is the one chosen with all sets. Needs
numpy and the shared sets; takes minutes. `all` or `dynamic` as an argument: that part only.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from smallpeck.consensus import reestimate
from smallpeck.consensus.choice import ChoicePolicy
from smallpeck.consensus.choice_kind import ChoiceEngine, ChoiceKind, chunked
from smallpeck.consensus.evaluate import Label, Setting, read_gold, read_labels, replay, shuffled
from smallpeck.consensus.reestimate import Model
from tests.quality.shared_sets import CHOICE_SETS, DATASETS
from tests.quality.synthetic import RECIPES, made

SEEDS = (1, 2, 3, 4)
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
ONLINE: Sequence[tuple[float, float, int]] = (
    (1.0, 0.0, 970_000), (1.3, 0.0, 950_000), (1.6, 0.0, 930_000), (1.8, 0.0, 920_000), (1.4, 0.1, 930_000),
    (1.4, 0.1, 920_000), (1.6, 0.05, 930_000), (1.4, 0.2, 930_000), (1.2, 0.2, 930_000),
)  # fmt: skip


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


def online_scores(batch: Batch) -> dict[str, tuple[float, float]]:
    """By candidate: labels saved, and accuracy over plain majority vote on all labels."""
    found = {}
    seats: dict[str, int] = {}
    for row in batch.labels:
        seats[row.task] = seats.get(row.task, 0) + 1
    setting = Setting(seats, sorted({row.label for row in batch.labels}), {}, dynamic=True)
    for temperature, correlation, target in ONLINE:
        saved = over = 0.0
        for seed in SEEDS:
            policy = ChoicePolicy(options=len(setting.options), min_answers=1, max_answers=max(seats.values()))
            policy = replace(policy, temperature=temperature, correlation=correlation, target_ppm=target)
            engine = ChoiceEngine(setting, policy)
            used = replay(engine, shuffled(batch.labels, seed), {}, dynamic=True)
            saved += (1 - used / len(batch.labels)) / len(SEEDS)
            over += ChoiceKind().score(engine.finish(), batch.gold)["accuracy"] / len(SEEDS)
        found[f"temperature {temperature}, correlation {correlation}, target {target / 1e6}"] = (
            saved, over - batch.majority(),
        )  # fmt: skip
    return found


def best_ensemble(scores: Mapping[str, Mapping[str, tuple[float, float]]]) -> str:
    """The smallest mean of Brier's score, the public sets together weighing as much as the synthetic batches."""
    public = [score for name, score in scores.items() if name in CHOICE_SETS]
    synthetic = [score for name, score in scores.items() if name not in CHOICE_SETS]

    def merit(name: str) -> float:
        return sum(sum(score[name][1] for score in half) / len(half) for half in (public, synthetic))

    return min(public[0], key=merit)


def best_online(scores: Mapping[str, Mapping[str, tuple[float, float]]]) -> str:
    """The most labels saved among those that lose at most a point anywhere; else the one that loses least."""

    def merit(name: str) -> tuple[float, float]:
        worst = min(score[name][1] for score in scores.values())
        return (min(0.0, worst + 0.01), sum(score[name][0] for score in scores.values()))

    return max(next(iter(scores.values())), key=merit)


def main() -> int:
    """Print the table and the choices."""
    public = {name: Batch(read_labels(DATASETS / name / "labels.csv"), read_gold(DATASETS / name / "gold.csv"))
              for name in CHOICE_SETS}  # fmt: skip
    synthetic = {recipe.name: Batch(*made(recipe, 1)) for recipe in RECIPES}
    wanted = sys.argv[1:] or ["all", "dynamic"]
    for title, score, choose, with_synthetic in (
        ("all labels: over majority vote, Brier's score", ensemble_scores, best_ensemble, True),
        ("dynamic: labels saved, points over majority vote", online_scores, best_online, False),
    ):
        if title.split(":")[0].split()[0] not in wanted:
            continue
        chosen_from = {**public, **synthetic} if with_synthetic else public
        scores = {name: score(batch) for name, batch in chosen_from.items()}
        sys.stdout.write(f"\n{title}\n")
        for candidate in next(iter(scores.values())):
            cells = "  ".join(f"{s[candidate][0]:.3f}/{s[candidate][1]:+.3f}" for s in scores.values())
            sys.stdout.write(f"{candidate:55s} {cells}\n")
        for left_out in public:
            choice = choose({name: s for name, s in scores.items() if name != left_out})
            one, two = scores[left_out][choice]
            sys.stdout.write(f"without {left_out}: {choice}; on {left_out}: {one:.4f} / {two:+.4f}\n")
        sys.stdout.write(f"with all: {choose(scores)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
