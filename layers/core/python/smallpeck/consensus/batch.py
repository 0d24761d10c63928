"""A whole batch estimated again when it ends, in steps that can be made on many machines and made again.

A chunk is some of the batch's tasks with all their answers. There are two ways. By *models*:
`smallpeck.consensus.choice_batch` fits models to all answers together, once to learn from control tasks how far to
believe them and once to say for every task what its answers lean to. By *counts*: a round looks at every chunk with
what the round before left and leaves a tally by worker, which adds up over chunks in any order and in whole numbers;
the rounds are those of `smallpeck.consensus.reweighing`. Either way every chunk is then decided by itself.

`evaluate` takes the same steps in memory (`reestimated`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from smallpeck.consensus import reweighing
from smallpeck.consensus.choice import Choice
from smallpeck.consensus.choice_batch import Leaning, chosen, learnt_temperature, modelled, packed
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, Method, SkillCounts, Vote
from smallpeck.consensus.online import Knowledge
from smallpeck.consensus.plurality import Plurality

NOBODY = Knowledge({})
_STEADYING = 4.0
_MOST = 0.99


@dataclass(frozen=True, slots=True)
class Answered:
    """One task with its answers by worker, all as canonical JSON text. `gold` is the known answer of a control task.

    `ordinal` and `version` are whose it is to know which task that was, and in which state.
    """

    task_id: str
    answers: Mapping[str, str]
    gold: str | None = None
    ordinal: int = 0
    version: int = 0

    @property
    def row(self) -> list[Any]:
        """The task as a JSON value."""
        return [self.ordinal, self.task_id, self.version, self.gold, dict(sorted(self.answers.items()))]


def answered(row: Sequence[Any]) -> Answered:
    """The task of a row."""
    ordinal, task_id, version, gold, answers = row
    return Answered(task_id, answers, gold, ordinal, version)


class Way(StrEnum):
    """How a batch is estimated again."""

    NONE = "none"
    MODELS = "models"
    COUNTS = "counts"


ROUNDS: Mapping[Way, int] = {Way.NONE: 0, Way.MODELS: 0, Way.COUNTS: reweighing.ROUNDS}
"""How many rounds of tallies each way takes."""


def way_of(method: Method) -> Way:
    """What re-estimation there is for a method. Plurality trusts everybody alike, so nothing is left to estimate."""
    if isinstance(method, Plurality):
        return Way.NONE
    return Way.MODELS if isinstance(method, Choice) else Way.COUNTS


@dataclass(frozen=True, slots=True)
class Tally:
    """What a worker's answers say about their skill: `hits_ppm` of `weight_ppm`, as `SkillCounts`, over `answers`.

    The sums of the squares and products of the single answers' hits and weights (in millionths of millionths) say how
    far the share of hits is to be trusted.
    """

    answers: int = 0
    hits_ppm: int = 0
    weight_ppm: int = 0
    hits_squared: int = 0
    products: int = 0
    weight_squared: int = 0

    def plus(self, other: "Tally") -> "Tally":
        return Tally(*(mine + theirs for mine, theirs in zip(self.row, other.row, strict=True)))

    @property
    def skill(self) -> SkillCounts:
        """The counts that methods take."""
        return SkillCounts(self.hits_ppm, self.weight_ppm)

    def evidence(self, usual: float) -> SkillCounts:
        """The same share of hits, out of as many plain right-or-wrong answers as would be as sure of it.

        Hits over weight is a ratio estimate, whose variance is that of its residuals: the sum of
        (hits - share * weight)^2, over weight^2 (Cochran, Sampling Techniques, 1977, ch. 6); n plain answers have
        share * (1 - share) / n. So answers to uncertain tasks, which scatter more than they weigh, count for less, and
        none counts for more than one. `usual` is the share of all workers, by which that of few answers is steadied.
        """
        weight = self.weight_ppm / PPM
        share = (self.hits_ppm / PPM + _STEADYING * usual) / (max(0.0, weight) + _STEADYING)
        share = min(_MOST, max(1 - _MOST, share))
        squares = (self.hits_squared - 2 * share * self.products + share * share * self.weight_squared) / PPM**2
        many = float(self.answers)
        if squares > 0:
            many = min(many, share * (1 - share) * weight * weight / squares)
        return SkillCounts(round(self.hits_ppm * many / weight), round(many * PPM)) if weight > 0 else NOTHING_KNOWN

    @property
    def row(self) -> tuple[int, ...]:
        """The tally as a JSON value: the arguments that make it."""
        return (
            self.answers,
            self.hits_ppm,
            self.weight_ppm,
            self.hits_squared,
            self.products,
            self.weight_squared,
        )


NO_TALLY = Tally()
Tallies = Mapping[str, Tally]
"""By worker."""


def tallied(*, method: Method, chunk: Iterable[Answered], known: Knowledge) -> dict[str, Tally]:
    """What a round leaves of a chunk: each worker's agreement with the others' answers, or with what is known."""
    found: dict[str, Tally] = {}
    for task in chunk:
        credits_ = reweighing.counted(
            method=method,
            tasks={task.task_id: _votes(task)},
            controls={} if task.gold is None else {task.task_id: task.gold},
            known=known,
        )
        for worker in task.answers:
            hits, weight = 0, 0
            if worker in credits_:
                hits, weight = credits_[worker].hits_ppm, credits_[worker].weight_ppm
            one = Tally(1, hits, weight, hits * hits, hits * weight, weight * weight)
            found[worker] = found.get(worker, NO_TALLY).plus(one)
    return found


def together(parts: Iterable[Tallies]) -> dict[str, Tally]:
    """The tallies of all chunks."""
    total: dict[str, Tally] = {}
    for part in parts:
        for worker, tally in part.items():
            total[worker] = total.get(worker, NO_TALLY).plus(tally)
    return total


def known_from(skills: reweighing.Skills) -> Knowledge:
    """What is known of the workers where these are all of them."""
    return reweighing.together(skills)


def decided(
    *,
    method: Method,
    chunk: Iterable[Answered],
    known: Knowledge,
    leanings: Iterable[Leaning] | None = None,
    options: Sequence[str] = (),
) -> Iterator[tuple[Answered, Decision]]:
    """The tasks of a chunk with what they come to, control tasks aside: their answer is known.

    `leanings` are those of the chunk's tasks, control tasks among them, over `options`; None where the method decides.
    """
    told = iter(leanings) if leanings is not None else None
    for task in chunk:
        leaning = next(told) if told is not None else None
        if task.gold is not None:
            continue
        if leaning is not None:
            yield task, chosen(task.task_id, task.answers, leaning, options)
            continue
        votes = reweighing.weighed(method=method, votes=_votes(task), known=known)
        yield task, method.decide(task_id=task.task_id, votes=votes, budget=Budget(0, len(votes)))


def evidence(tallies: Tallies) -> dict[str, SkillCounts]:
    """What is known of every worker, in plain answers (`Tally.evidence`)."""
    usual = usual_of({worker: tally.skill for worker, tally in tallies.items()})
    return {worker: tallies[worker].evidence(usual) for worker in sorted(tallies)}


def believed(known: SkillCounts, usual: float) -> tuple[float, float]:
    """How often a worker is right, and of how many plain answers that is the share: what is known of them, and four
    answers more that are right as often as those of all workers.
    """
    many = max(0.0, known.weight_ppm / PPM) + _STEADYING
    return min(1.0, max(0.0, (known.hits_ppm / PPM + _STEADYING * usual) / many)), many


def usual_of(skills: Mapping[str, SkillCounts]) -> float:
    """How often the workers are right, all together."""
    hits = sum(known.hits_ppm for known in skills.values())
    weight = sum(known.weight_ppm for known in skills.values())
    return min(1.0, max(0.0, hits / weight)) if weight > 0 else 0.5


@dataclass(frozen=True)
class Reestimation:
    """What a batch comes to: decisions by task, control tasks aside, and what is known of its workers.

    `skills` are in plain right-or-wrong answers, fewer than were given where it is not sure which were right.
    """

    decisions: Mapping[str, Decision]
    skills: Mapping[str, SkillCounts]


def reestimated(*, method: Method, tasks: Sequence[Answered], skills: reweighing.Skills) -> Reestimation:
    """The whole re-estimation in memory, by the steps that it is made in on many machines.

    `skills` are those that were known when the batch ended.
    """
    chunk = [task for task in tasks if task.answers]
    answers = packed([chunk]) if way_of(method) is Way.MODELS else None
    if answers is not None:
        model = modelled(answers, learnt_temperature(answers))
        found = decided(method=method, chunk=chunk, known=NOBODY, leanings=model.leanings(0), options=model.options)
        return Reestimation({task.task_id: decision for task, decision in found}, model.skills)
    tallies: dict[str, Tally] = {}
    for _ in range(ROUNDS[Way.COUNTS]):
        tallies = together([tallied(method=method, chunk=chunk, known=known_from(skills))])
        skills = {worker: tally.skill for worker, tally in tallies.items()}
    found = decided(method=method, chunk=chunk, known=known_from(skills))
    return Reestimation({task.task_id: decision for task, decision in found}, evidence(tallies))


def _votes(task: Answered) -> dict[str, Vote]:
    return {worker: Vote(answer, 0) for worker, answer in task.answers.items()}
