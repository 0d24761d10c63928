"""What is counted of a batch's tasks for its quality report. Counts add up, in whatever order and in however many
pieces the tasks are read, and a sum is no larger than what it is made of.
"""

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Final

from smallpeck.consensus import method as methods
from smallpeck.consensus.method import PPM, Decision, Method, SkillCounts
from smallpeck.tasks.model import Batch, Task
from smallpeck.tasks.result_forms.facts import CLASSES, SHAPES, class_text, declared_classes

CONFIDENCE_BINS: Final = 20
CALIBRATION_BINS: Final = 10
MOST_DISPUTED: Final = 50
MAX_OPTIONS: Final = 50
OTHER_OPTIONS: Final = "(other)"
_NUMBERS: Final = frozenset({"numeric", "ordinal"})
_SHARED: Final = "text"
"""The method whose confidence is the share of an answer that is right. Of the others it is the chance that all is."""


@dataclass(frozen=True)
class TaskFacts:
    """What one task adds to the report.

    `rightness_ppm` says by worker how close each answer came to the result, of a control task to what is known; None
    where that says nothing. `complete`: the task was closed by a vote, not by the end of the batch. Of a control task
    `unaided` is what its answers would have amounted to for a requester who does not know the right one, and
    `right_ppm` how right that is; both are None with fewer answers than any task gets. `result_options` and
    `given_options` are the declared options that stand in the result and in the answers.
    """

    task_id: str
    control: bool
    complete: bool
    answered: bool
    confidence_ppm: int
    tied: bool
    disputed: bool
    rightness_ppm: Mapping[str, int | None]
    unaided: Decision | None = None
    right_ppm: int | None = None
    result_options: tuple[str, ...] = ()
    given_options: tuple[str, ...] = ()

    @property
    def answers(self) -> int:
        """How many answers the task got."""
        return len(self.rightness_ppm)

    @property
    def compared(self) -> list[int]:
        """The closeness of its answers, where there are others to compare with."""
        found = [one for one in self.rightness_ppm.values() if one is not None]
        return found if self.answers > 1 else []


@dataclass(frozen=True)
class Disputed:
    """A task whose result is among the least sure. `agreement_ppm` is None where there was a single answer; `row_id` is
    for whoever reports it to look up, which is cheaper than reading the rows of all tasks.
    """

    task_id: str
    confidence_ppm: int
    answers: int
    agreement_ppm: int | None
    tied: bool
    row_id: str | None = None


@dataclass(frozen=True)
class ReportCounts:
    """Sums over tasks. `control_*` are about control tasks, all else about the others.

    `complete_*` are those that a vote closed. `confidences` has the tasks in each twentieth of confidence;
    `calibration` for each tenth (tasks, sum of confidences, sum of rightness) of the control tasks' unaided results;
    `options` by declared option (results, answers) that name it.
    """

    tasks: int = 0
    answered: int = 0
    tied: int = 0
    disputed: int = 0
    answers: int = 0
    complete_tasks: int = 0
    complete_answers: int = 0
    confidence_ppm: int = 0
    compared: int = 0
    agreement_ppm: int = 0
    control_tasks: int = 0
    control_answers: int = 0
    control_judged: int = 0
    control_right_ppm: int = 0
    answers_per_task: Mapping[int, int] = field(default_factory=dict)
    confidences: tuple[int, ...] = (0,) * CONFIDENCE_BINS
    calibration: tuple[tuple[int, int, int], ...] = ((0, 0, 0),) * CALIBRATION_BINS
    most_disputed: tuple[Disputed, ...] = ()
    options: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def plus(self, other: "ReportCounts") -> "ReportCounts":
        """Both together."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _SUMS}
        per_task = Counter(self.answers_per_task)
        per_task.update(other.answers_per_task)
        named = {**self.options, **other.options}
        return ReportCounts(
            **sums,
            answers_per_task=dict(sorted(per_task.items())),
            confidences=tuple(map(sum, zip(self.confidences, other.confidences, strict=True))),
            calibration=tuple(map(_three, self.calibration, other.calibration)),
            most_disputed=_most((*self.most_disputed, *other.most_disputed)),
            options={name: _two(self.options.get(name), other.options.get(name)) for name in sorted(named)},
        )

    def as_json(self) -> dict[str, Any]:
        """The counts as values of JSON."""
        return asdict(self) | {"answers_per_task": {str(many): n for many, n in self.answers_per_task.items()}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ReportCounts":
        """The counts that `as_json` gave, before or after they were written as text."""
        return cls(
            **{name: int(value[name]) for name in _SUMS},
            answers_per_task={int(many): int(n) for many, n in value["answers_per_task"].items()},
            confidences=tuple(value["confidences"]),
            calibration=tuple((n, sure, right) for n, sure, right in value["calibration"]),
            most_disputed=tuple(Disputed(**one) for one in value["most_disputed"]),
            options={name: (results, given) for name, (results, given) in value["options"].items()},
        )


_SUMS: Final = tuple(name for name, one in ReportCounts.__dataclass_fields__.items() if one.default == 0)


@dataclass(frozen=True)
class WorkerCounts:
    """Sums over one worker's answers: all, those compared with a result of several, and those to control tasks."""

    answers: int = 0
    compared: int = 0
    agreement_ppm: int = 0
    control_answers: int = 0
    control_right_ppm: int = 0

    def plus(self, other: "WorkerCounts") -> "WorkerCounts":
        """Both together."""
        return WorkerCounts(
            self.answers + other.answers,
            self.compared + other.compared,
            self.agreement_ppm + other.agreement_ppm,
            self.control_answers + other.control_answers,
            self.control_right_ppm + other.control_right_ppm,
        )

    def as_json(self) -> dict[str, int]:
        """The counts as values of JSON; `WorkerCounts(**them)` gives them back."""
        return asdict(self)


def facts_of(task: Task, *, method: Method, batch: Batch) -> TaskFacts:
    """What a closed task, with its final result, adds to the report. `method` is the batch's."""
    result = task.result
    control, answer = task.gold is not None, None if result is None else result.answer
    truth = task.gold if control else answer
    rightness = {
        worker: None if truth is None else _share(method.control_credit(answer=vote.answer, gold=truth))
        for worker, vote in sorted(task.votes.items())
    }
    decided = _unaided(task, method, batch) if control else None
    right = None if decided is None or task.gold is None else _rightness(decided, task.gold, method, batch)
    declared = () if control else options_of(batch)
    return TaskFacts(
        task_id=task.task_id,
        control=control,
        complete=any(vote.page_id == task.closed_by for vote in task.votes.values()),
        answered=answer is not None,
        confidence_ppm=result.confidence_ppm if result is not None else 0,
        tied=result is not None and result.tied,
        disputed=task.disputed,
        rightness_ppm=rightness,
        unaided=None if right is None else decided,
        right_ppm=right,
        result_options=_named(answer, declared),
        given_options=tuple(name for vote in task.votes.values() for name in _named(vote.answer, declared)),
    )


def _unaided(task: Task, method: Method, batch: Batch) -> Decision | None:
    """What the answers to a control task would have amounted to, had it been a task as others: those that came until it
    was decided. None with fewer answers than a task of this batch gets.
    """
    came = sorted(task.votes.items(), key=lambda one: (one[1].accepted_at_ms, one[0]))
    if len(came) < max(1, batch.min_answers):
        return None
    seen: dict[str, methods.Vote] = {}
    decision = None
    for worker, vote in came:
        seen[worker] = methods.Vote(vote.answer, vote.accuracy_ppm, vote.credit)
        if len(seen) >= batch.min_answers:
            decision = method.decide(task_id=task.task_id, votes=seen, budget=batch.budget)
            if decision.final:
                break
    return decision


def _rightness(decision: Decision, gold: str, method: Method, batch: Batch) -> int | None:
    """How right a result is, in the sense that the method's confidence has: all of it or not, or the share of it. None
    where no answer can be read, or the known one cannot.
    """
    if decision.answer is None:
        return None
    share = _share(method.control_credit(answer=decision.answer, gold=gold))
    settings = json.loads(batch.consensus)
    if share is None or settings["method"] == _SHARED:
        return share
    if settings["method"] in _NUMBERS:
        whole = _near(json.loads(decision.answer), json.loads(gold), settings)
    else:
        whole = _all_match(decision.answer, gold, method) if settings["method"] in SHAPES else share == PPM
    return PPM if whole else 0


def counted(facts: Iterable[TaskFacts]) -> ReportCounts:
    """The sums over these tasks."""
    sums: Counter[str] = Counter()
    per_task: Counter[int] = Counter()
    confidences = [0] * CONFIDENCE_BINS
    calibration = [(0, 0, 0)] * CALIBRATION_BINS
    options: dict[str, tuple[int, int]] = {}
    unsure: list[Disputed] = []
    for one in facts:
        if one.control:
            judged = [share for share in one.rightness_ppm.values() if share is not None]
            sums.update(control_tasks=1, control_answers=one.answers)
            sums.update(control_judged=len(judged), control_right_ppm=sum(judged))
            if one.unaided is not None and one.right_ppm is not None:
                place = _bin(one.unaided.confidence_ppm, CALIBRATION_BINS)
                pair = (1, one.unaided.confidence_ppm, one.right_ppm)
                calibration[place] = _three(calibration[place], pair)
            continue
        close = one.compared
        sums.update(tasks=1, answers=one.answers, compared=len(close), agreement_ppm=sum(close))
        per_task[one.answers] += 1
        if one.complete:
            sums.update(complete_tasks=1, complete_answers=one.answers)
        if one.answered:
            sums.update(answered=1, tied=one.tied, disputed=one.disputed, confidence_ppm=one.confidence_ppm)
            confidences[_bin(one.confidence_ppm, CONFIDENCE_BINS)] += 1
            unsure.append(_disputed(one, close))
        for results, given, names in ((1, 0, one.result_options), (0, 1, one.given_options)):
            for name in names:
                options[name] = _two(options.get(name), (results, given))
        if len(unsure) > 2 * MOST_DISPUTED:
            unsure = list(_most(unsure))
    return ReportCounts(
        **sums,
        answers_per_task=dict(sorted(per_task.items())),
        confidences=tuple(confidences),
        calibration=tuple(calibration),
        most_disputed=_most(unsure),
        options=dict(sorted(options.items())),
    )


def worker_counts(facts: Iterable[TaskFacts]) -> dict[str, WorkerCounts]:
    """The sums over these tasks by worker."""
    found: dict[str, WorkerCounts] = {}
    for one in facts:
        for worker, share in one.rightness_ppm.items():
            judged = share is not None and (one.control or one.answers > 1)
            pair = (int(judged), (share or 0) if judged else 0)
            mine = WorkerCounts(1, 0, 0, *pair) if one.control else WorkerCounts(1, *pair)
            found[worker] = found.get(worker, WorkerCounts()).plus(mine)
    return found


def options_of(batch: Batch) -> tuple[str, ...]:
    """The options that the answers of a batch choose from, in the order of its schema; none for other kinds. Beyond
    `MAX_OPTIONS` they are one.
    """
    return _options(batch.consensus, batch.answer_schema)


@lru_cache(maxsize=64)
def _options(consensus: str, answer_schema: str) -> tuple[str, ...]:
    method = json.loads(consensus)["method"]
    if method not in {*CLASSES, "multiple"}:
        return ()
    declared = declared_classes(method, json.loads(answer_schema))
    return declared if len(declared) <= MAX_OPTIONS else (*declared[:MAX_OPTIONS], OTHER_OPTIONS)


def _named(answer: str | None, declared: tuple[str, ...]) -> tuple[str, ...]:
    if answer is None or not declared:
        return ()
    value = json.loads(answer)
    names = [class_text(one) for one in (value if isinstance(value, list) else [value])]
    return tuple(name if name in declared else OTHER_OPTIONS for name in names)


def _near(answer: float, gold: float, settings: Mapping[str, Any]) -> bool:
    """Whether a number is right, as `smallpeck.consensus.numeric.Numeric` has it."""
    allowed = settings.get("tolerance")
    if allowed is None:
        if settings.get("levels"):
            return answer == gold
        allowed = max(settings.get("step") or 0.0, (settings["high"] - settings["low"]) / 5) / 2
    return bool(abs(answer - gold) <= allowed)


def _all_match(answer: str, gold: str, method: Method) -> bool:
    """Whether an answer has all objects that there are, where they are and with their labels, and no others."""
    from smallpeck.consensus.shapes import SAME, Shapes

    if not isinstance(method, Shapes):
        return False
    found, truth = method.read(answer), method.read(gold)
    if found is None or truth is None or len(found) != len(truth):
        return False
    pairs = method.pairs(found, truth, least=SAME)
    return len(pairs) == len(truth) and all(found[one].label == truth[other].label for one, other, _ in pairs)


def _share(credit: SkillCounts) -> int | None:
    return None if credit.weight_ppm <= 0 else min(max(credit.hits_ppm * PPM // credit.weight_ppm, 0), PPM)


def _disputed(one: TaskFacts, close: list[int]) -> Disputed:
    agreement = sum(close) // len(close) if close else None
    return Disputed(one.task_id, one.confidence_ppm, one.answers, agreement, one.tied)


def _most(found: Iterable[Disputed]) -> tuple[Disputed, ...]:
    return tuple(heapq.nsmallest(MOST_DISPUTED, found, key=lambda one: (one.confidence_ppm, one.task_id)))


def _bin(share_ppm: int, bins: int) -> int:
    return min(bins - 1, share_ppm * bins // PPM)


def _two(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int]:
    (a, b), (c, d) = one or (0, 0), other or (0, 0)
    return a + c, b + d


def _three(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
