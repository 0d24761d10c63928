"""Single choice, as `evaluate` replays it: the online step over a batch held in memory, then the re-estimation."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from smallpeck.consensus.calibration import NO_CONTROLS, best_temperature, observed, summed
from smallpeck.consensus.choice import (
    NOTHING_KNOWN,
    ChoicePolicy,
    SkillCounts,
    Vote,
    accuracy_ppm,
    cast,
    closing_credits,
    confidences,
    control_credit,
    decide,
    refreshed,
)
from smallpeck.consensus.evaluate import Answer, Engine, Label, Setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from smallpeck.consensus.reestimate import Chunk, Fitted, Floats, Shape

TEMPERATURE_OF_BATCH = 1.5
CHUNK_TASKS = 50_000


@dataclass
class ChoiceEngine:
    """One batch of single-choice tasks."""

    setting: Setting
    policy: ChoicePolicy
    skills: dict[str, SkillCounts] = field(default_factory=dict)
    population: SkillCounts = NOTHING_KNOWN
    votes: dict[str, dict[str, Vote]] = field(default_factory=dict)
    taken: list[Label] = field(default_factory=list)

    def add(self, label: Label) -> bool:
        """Take a vote, credit its worker, and close the task if it is certain enough."""
        mine = self.votes.setdefault(label.task, {})
        if label.worker in mine:
            return False
        self.taken.append(label)
        mine.update(refreshed(votes=mine, skills=self.skills, population=self.population, policy=self.policy))
        accuracy = accuracy_ppm(
            worker=self.skills.get(label.worker, NOTHING_KNOWN), population=self.population, policy=self.policy
        )
        gold = self.setting.controls.get(label.task)
        if gold is not None:
            vote = Vote(label.label, accuracy, control_credit(answer=label.label, gold=gold))
        else:
            vote = cast(votes=mine, answer=label.label, accuracy=accuracy, policy=self.policy)
        mine[label.worker] = vote
        self._learn(label.worker, vote.credit)
        if gold is not None or not self.setting.dynamic:
            return False
        policy = replace(self.policy, max_answers=self.setting.seats[label.task])
        if not decide(task_id=label.task, votes=mine, policy=policy).final:
            return False
        for worker, credit in closing_credits(votes=mine, policy=self.policy).items():
            self._learn(worker, credit)
        return True

    def online_answers(self) -> dict[str, Answer]:
        """What the votes amount to without the re-estimation."""
        found = {}
        for task, mine in self.votes.items():
            decision = decide(task_id=task, votes=mine, policy=self.policy)
            if task not in self.setting.controls and decision.answer is not None:
                found[task] = Answer(decision.answer, confidences(votes=mine, policy=self.policy)[decision.answer])
        return found

    def finish(self) -> Mapping[str, Answer]:
        """The re-estimated results, control tasks aside."""
        return reestimated(self.taken, self.setting.options, self.setting.controls)

    def _learn(self, worker: str, credit: SkillCounts) -> None:
        self.skills[worker] = self.skills.get(worker, NOTHING_KNOWN).plus(credit)
        self.population = self.population.plus(credit)


class ChoiceKind:
    """One answer out of a few."""

    def engine(self, setting: Setting) -> Engine:
        policy = ChoicePolicy(options=len(setting.options), min_answers=1, max_answers=max(setting.seats.values()))
        if setting.target_ppm is not None:
            policy = replace(policy, target_ppm=setting.target_ppm)
        return ChoiceEngine(setting, policy)

    def score(self, answers: Mapping[str, Answer], gold: Mapping[str, str]) -> Mapping[str, float]:
        right = sum(1 for task, truth in gold.items() if task in answers and answers[task].value == truth)
        return {"accuracy": right / max(1, len(gold))}

    def rightness(self, answer: Answer, gold: str) -> Sequence[tuple[float, float]]:
        return [(answer.confidence, 1.0 if answer.value == gold else 0.0)]

    def majority_vote_accuracy(self, labels: Mapping[str, Sequence[str]], gold: Mapping[str, str]) -> float | None:
        return sum(majority_share(labels.get(task, ()), truth) for task, truth in gold.items()) / max(1, len(gold))


def majority_share(labels: Sequence[str], truth: str) -> float:
    """1 where the commonest label is the truth, 1/n where it is one of n commonest, else 0."""
    counts = Counter(labels)
    if not counts:
        return 0.0
    most = max(counts.values())
    return (counts[truth] == most) / sum(1 for count in counts.values() if count == most)


def reestimated(labels: Sequence[Label], options: Sequence[str], controls: Mapping[str, str]) -> dict[str, Answer]:
    """Every task's answer after the re-estimation over all labels; control tasks teach, and are left out."""
    from smallpeck.consensus import reestimate

    if not labels:
        return {}
    tasks, chunks, shape = chunked(labels, options)
    temperature = TEMPERATURE_OF_BATCH
    clamp = None
    place = {option: number for number, option in enumerate(options)}
    if controls:
        fitted = reestimate.estimate(lambda: chunks, shape)
        temperature = _learnt_temperature(tasks, chunks, fitted, shape, {t: place.get(g) for t, g in controls.items()})
        clamp = _clamp(tasks, chunks, {t: place[g] for t, g in controls.items() if g in place})
    fitted = reestimate.estimate(lambda: chunks, shape, clamp=clamp)
    found = {}
    names = iter(tasks)
    for chunk in chunks:
        posterior = reestimate.tempered(reestimate.averaged(chunk, fitted, shape), temperature)
        best = posterior.argmax(axis=1).tolist()
        sure = posterior.max(axis=1).tolist()
        for number, confidence in zip(best, sure, strict=True):
            task = next(names)
            if task not in controls:
                found[task] = Answer(options[number], confidence)
    return found


def chunked(labels: Sequence[Label], options: Sequence[str]) -> tuple[list[str], list["Chunk"], "Shape"]:
    """The names of the tasks in order, their chunks, and the batch's shape."""
    import numpy as np

    from smallpeck.consensus.reestimate import Chunk, Shape

    place = {option: number for number, option in enumerate(options)}
    tasks: dict[str, int] = {}
    workers: dict[str, int] = {}
    count = len(labels)
    task_of = np.fromiter((tasks.setdefault(row.task, len(tasks)) for row in labels), np.intp, count)
    worker_of = np.fromiter((workers.setdefault(row.worker, len(workers)) for row in labels), np.intp, count)
    answer_of = np.fromiter((place[row.label] for row in labels), np.intp, count)
    order = np.argsort(task_of, kind="stable")
    worker_of, answer_of = worker_of[order], answer_of[order]
    starts = np.searchsorted(task_of[order], np.arange(len(tasks)))
    chunks = []
    for first in range(0, len(tasks), CHUNK_TASKS):
        mine = starts[first : first + CHUNK_TASKS]
        end = starts[first + CHUNK_TASKS] if first + CHUNK_TASKS < len(tasks) else count
        chunks.append(Chunk(worker_of[mine[0] : end], answer_of[mine[0] : end], mine - mine[0]))
    return list(tasks), chunks, Shape(len(workers), len(options))


def _numbered(tasks: Sequence[str], chunks: Sequence["Chunk"]) -> Iterator[tuple[str, int, int]]:
    names = iter(tasks)
    for number, chunk in enumerate(chunks):
        for row in range(len(chunk.starts)):
            yield next(names), number, row


def _learnt_temperature(
    tasks: Sequence[str],
    chunks: Sequence["Chunk"],
    fitted: Sequence["Fitted"],
    shape: "Shape",
    controls: Mapping[str, int | None],
) -> float:
    from smallpeck.consensus import reestimate

    beliefs = [reestimate.averaged(chunk, fitted, shape) for chunk in chunks]
    seen = []
    for task, number, row in _numbered(tasks, chunks):
        if task in controls:
            shares = beliefs[number][row].tolist()
            gold = controls[task]
            seen.append(observed(shares, 0.0 if gold is None else shares[gold]))
    return best_temperature(summed(seen) if seen else NO_CONTROLS, TEMPERATURE_OF_BATCH)


def _clamp(
    tasks: Sequence[str], chunks: Sequence["Chunk"], controls: Mapping[str, int]
) -> "Callable[[int, Floats], Floats]":
    known: dict[int, list[tuple[int, int]]] = {}
    for task, number, row in _numbered(tasks, chunks):
        if task in controls:
            known.setdefault(number, []).append((row, controls[task]))

    def clamp(number: int, posterior: "Floats") -> "Floats":
        for row, option in known.get(number, ()):
            posterior[row] = 0.0
            posterior[row, option] = 1.0
        return posterior

    return clamp
