"""Replays a file of labels through the engine and scores what it decided.

A kind of task takes part by one line in `KINDS`: the name and where its `Kind` is found. Gold is opened after every
decision is made, save that of control tasks.
"""

import csv
import importlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

from smallpeck.consensus.method import Budget, Method
from smallpeck.consensus.replaying import Replay

KINDS = {
    "choice": "smallpeck.consensus.choice_kind:ChoiceKind",
    "boxes": "smallpeck.consensus.boxes_kind:BoxesKind",
    "text": "smallpeck.consensus.text_kind:TextKind",
}
DEFAULT_SEED = 1
_BINS = 10


@dataclass(frozen=True, slots=True)
class Label:
    """One worker's answer to one task, as it stands in the file."""

    task: str
    worker: str
    label: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task came to, and how likely it is right."""

    value: str
    confidence: float


@dataclass(frozen=True)
class Setting:
    """What an engine may know before the first label: seats, target, and the gold of control tasks only.

    `seats` is the number of answers each task can get; `target_ppm` is None where the kind's own default holds.
    `dynamic` says whether tasks may close early.
    """

    seats: Mapping[str, int]
    options: Sequence[str]
    controls: Mapping[str, str]
    dynamic: bool
    target_ppm: int | None = None


class Engine(Protocol):
    """One batch being decided."""

    def add(self, label: Label) -> bool:
        """Take a vote; True when its task has closed. Never called again for a closed task."""
        ...

    def finish(self) -> Mapping[str, Answer]:
        """The results after the batch's re-estimation over every label taken, control tasks aside."""
        ...


class Kind(Protocol):
    """What a kind of task brings to be evaluated."""

    def method(self, options: Sequence[str]) -> Method:
        """How its answers become a result; `options` are the labels that occur."""
        ...

    def answer(self, label: str) -> str:
        """A label of the file as the answer it means, canonical JSON text."""
        ...

    def finish(self, replay: Replay, taken: Sequence[Label], setting: Setting) -> Mapping[str, Answer]:
        """The results after the re-estimation over every label taken, control tasks aside."""
        ...

    def score(self, answers: Mapping[str, Answer], gold: Mapping[str, str]) -> Mapping[str, float]:
        """The kind's own measures, `accuracy` or `f1` and `mean_iou` or `wer`, by name."""
        ...

    def rightness(self, answer: Answer, gold: str) -> Sequence[tuple[float, float]]:
        """Pairs of (confidence, 1 right or 0 wrong) in one answer: one for a choice, one per object for boxes."""
        ...

    def majority_vote_accuracy(self, labels: Mapping[str, Sequence[str]], gold: Mapping[str, str]) -> float | None:
        """What plain majority vote over all labels scores, ties fractionally; None where there is no such thing."""
        ...


class BatchEngine:
    """A batch of some kind, decided as the grader decides it."""

    def __init__(self, kind: Kind, setting: Setting) -> None:
        self.kind, self.setting = kind, setting
        controls = {task: kind.answer(gold) for task, gold in setting.controls.items()}
        self.replay = Replay(kind.method(setting.options), controls, setting.dynamic)
        self.taken: list[Label] = []

    def add(self, label: Label) -> bool:
        """See `Engine`."""
        if label.worker in self.replay.votes.get(label.task, {}):
            return False
        self.taken.append(label)
        budget = Budget(1, self.setting.seats[label.task], self.setting.target_ppm)
        return self.replay.add(label.task, label.worker, self.kind.answer(label.label), budget)

    def finish(self) -> Mapping[str, Answer]:
        """See `Engine`."""
        return self.kind.finish(self.replay, self.taken, self.setting)


@dataclass(frozen=True)
class Run:
    """A replay: the decisions, and what they are scored with."""

    report: Mapping[str, object]
    answers: Mapping[str, Answer]


def kind_named(name: str) -> Kind:
    """The registered kind; its module is loaded only now."""
    module, _, attribute = KINDS[name].partition(":")
    made: Kind = getattr(importlib.import_module(module), attribute)()
    return made


def evaluate(
    *,
    kind: str,
    labels: Path,
    gold: Path,
    mode: str,
    seed: int = DEFAULT_SEED,
    target_confidence: float | None = None,
    controls: float = 0.0,
    max_answers: int | None = None,
) -> Run:
    """Replay `labels` in `mode` ("all" or "dynamic") and score the decisions against `gold`.

    With `max_answers` no task takes more than so many labels, the first in an order drawn by the seed.
    """
    chosen = kind_named(kind)
    rows = read_labels(labels)
    by_task: dict[str, list[Label]] = {}
    for row in rows:
        by_task.setdefault(row.task, []).append(row)
    known = draw_controls(gold, by_task, controls, seed) if controls else {}
    most = max_answers or len(rows)
    setting = Setting(
        seats={task: min(most, len(mine)) for task, mine in by_task.items()},
        options=sorted({row.label for row in rows}),
        controls=known,
        dynamic=mode == "dynamic",
        target_ppm=None if target_confidence is None else round(target_confidence * 1_000_000),
    )
    begun = perf_counter()
    engine = BatchEngine(chosen, setting)
    in_file_order = mode == "all" and max_answers is None
    shown = rows if in_file_order else within(shuffled(rows, seed), most, known)
    used = replay(engine, shown, known, dynamic=setting.dynamic)
    answers = engine.finish()
    seconds = perf_counter() - begun
    truth = {task: label for task, label in read_gold(gold).items() if task not in known and task in by_task}
    scored = {task: answer for task, answer in answers.items() if task in truth}
    open_labels = {task: [row.label for row in mine] for task, mine in by_task.items() if task not in known}
    available = sum(len(mine) for mine in open_labels.values())
    report: dict[str, object] = {
        "tasks": len(open_labels),
        "labels_available": available,
        "labels_used": used,
        "labels_per_task": round(used / max(1, len(open_labels)), 4),
        **{name: round(value, 6) for name, value in chosen.score(scored, truth).items()},
    }
    majority = chosen.majority_vote_accuracy(open_labels, truth)
    report["majority_vote_accuracy"] = None if majority is None else round(majority, 6)
    pairs = [pair for task, answer in scored.items() for pair in chosen.rightness(answer, truth[task])]
    report["calibration_error"] = round(calibration_error(pairs), 6)
    report["seconds"] = round(seconds, 3)
    return Run(report, answers)


def replay(engine: Engine, rows: Iterable[Label], controls: Mapping[str, str], *, dynamic: bool) -> int:
    """Show the engine one label after another, leaving out those of closed tasks; how many of open work it saw.

    Labels of control tasks are all shown: their answer is known, and they say what the workers are worth.
    """
    closed: set[str] = set()
    used = 0
    for row in rows:
        if row.task in closed:
            continue
        if row.task not in controls:
            used += 1
        if engine.add(row) and dynamic and row.task not in controls:
            closed.add(row.task)
    return used


def shuffled(rows: Sequence[Label], seed: int) -> list[Label]:
    """The labels of all tasks in one order drawn by the seed: workers come as they like, to any open task."""
    order = sorted(rows, key=lambda row: (row.task, row.worker))
    random.Random(seed).shuffle(order)  # noqa: S311 (a repeatable order, not a secret)
    return order


def within(rows: Iterable[Label], most: int, controls: Mapping[str, str]) -> Iterator[Label]:
    """The first `most` labels of each task, and all of control tasks."""
    seen: Counter[str] = Counter()
    for row in rows:
        seen[row.task] += 1
        if seen[row.task] <= most or row.task in controls:
            yield row


def draw_controls(gold: Path, tasks: Mapping[str, object], share: float, seed: int) -> dict[str, str]:
    """The gold of that share of the tasks, drawn by the seed. The rest of the file is not kept."""
    known = read_gold(gold)
    names = sorted(task for task in known if task in tasks)
    drawn = random.Random(seed).sample(names, round(share * len(names)))  # noqa: S311
    return {task: known[task] for task in drawn}


def read_labels(path: Path) -> list[Label]:
    """task,worker,label rows; a repeated answer of a worker to a task counts once, the first."""
    found: dict[tuple[str, str], Label] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["task"], row["worker"]), Label(row["task"], row["worker"], row["label"]))
    return list(found.values())


def read_gold(path: Path) -> dict[str, str]:
    """task,label rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["task"]: row["label"] for row in csv.DictReader(file)}


def calibration_error(pairs: Sequence[tuple[float, float]]) -> float:
    """Expected calibration error over ten bins of confidence: how far, in the mean, confidence is from the share
    that is right.
    """
    bins: list[list[tuple[float, float]]] = [[] for _ in range(_BINS)]
    for confidence, right in pairs:
        bins[min(_BINS - 1, int(confidence * _BINS))].append((confidence, right))
    apart = [abs(sum(confidence - right for confidence, right in mine)) for mine in bins]
    return sum(apart) / max(1, len(pairs))
