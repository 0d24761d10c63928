"""Who answers what in a demo: real labels from a folder, or the project's own sample with simulated workers."""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SAMPLE = Path(__file__).parent / "sample"
SIMULATED_WORKERS = {"ada": 95, "ben": 90, "cleo": 90, "dan": 85, "eve": 80, "finn": 75}
"""How often, in percent, each simulated worker is right."""


class BadDataset(Exception):
    """The folder does not hold what a demo needs."""


@dataclass(frozen=True)
class Labels:
    """A file to upload, the truth about its rows, and what each worker answers. Rows are named by their id."""

    title: str
    file: bytes
    gold: Mapping[str, str]
    answers: Mapping[str, Mapping[str, str]]
    """worker -> row -> label"""
    bad_rows: int
    named: bool
    """Whether each worker does only tasks that `answers` gives them."""
    dynamic: bool = False
    """Whether a task closes as soon as it is certain enough, and its other labels are not asked for."""

    @property
    def rows(self) -> int:
        """How many rows the file has."""
        return len(self.gold) + self.bad_rows

    @property
    def labels(self) -> list[str]:
        """Every label that occurs."""
        given = {label for answers in self.answers.values() for label in answers.values()}
        return sorted(given | set(self.gold.values()))

    @property
    def available(self) -> int:
        """How many labels there are, or of the sample, how many are asked for."""
        return sum(map(len, self.answers.values())) if self.named else len(self.gold) * self.overlap

    @property
    def overlap(self) -> int:
        """The most answers that any row gets; of the sample, three."""
        if not self.named:
            return 3
        counts: dict[str, int] = defaultdict(int)
        for answers in self.answers.values():
            for row in answers:
                counts[row] += 1
        return max(counts.values())


def sample() -> Labels:
    """The project's own batch: sixty words and two bad rows, for workers who are right as often as stated."""
    gold = _gold(SAMPLE)
    labels = sorted(set(gold.values()))
    answers = {
        worker: {row: _guess(worker, row, truth, labels, skill_percent) for row, truth in gold.items()}
        for worker, skill_percent in SIMULATED_WORKERS.items()
    }
    file = (SAMPLE / "tasks.csv").read_bytes()
    return Labels("What kind of thing is it?", file, gold, answers, bad_rows=2, named=False)


def from_folder(folder: Path, tasks: int | None, *, dynamic: bool = False) -> Labels:
    """Real answers: `labels.csv` (task,worker,label) and `gold.csv` (task,label); the first `tasks` of the gold."""
    if not folder.is_dir():
        raise BadDataset(f"{folder} is not a folder")
    gold = _gold(folder)
    if tasks is not None:
        gold = dict(list(gold.items())[:tasks])
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for row in _rows(folder / "labels.csv", ("task", "worker", "label")):
        if row["task"] in gold:
            answers[row["worker"]].setdefault(row["task"], row["label"])
    if not answers:
        raise BadDataset(f"{folder}: no label belongs to a task of gold.csv")
    labelled = {row for given in answers.values() for row in given}
    gold = {row: truth for row, truth in gold.items() if row in labelled}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "task"])
    writer.writerows([row, row] for row in gold)
    title = folder.resolve().name
    return Labels(title, text.getvalue().encode(), gold, answers, bad_rows=0, named=True, dynamic=dynamic)


def _gold(folder: Path) -> dict[str, str]:
    return {row["task"]: row["label"] for row in _rows(folder / "gold.csv", ("task", "label"))}


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.is_file():
        raise BadDataset(f"{path} is missing")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not set(columns) <= set(reader.fieldnames or ()):
                raise BadDataset(f"{path} needs the columns {', '.join(columns)}")
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadDataset(f"{path} is no CSV in UTF-8: {error}") from error
    for number, row in enumerate(rows, start=1):
        if any(row[column] is None for column in columns):
            raise BadDataset(f"{path}: row {number} lacks one of {', '.join(columns)}")
    return rows


def _guess(worker: str, row: str, truth: str, labels: list[str], skill_percent: int) -> str:
    """What a simulated worker answers: the same at every run."""
    draw = int.from_bytes(hashlib.sha256(f"{worker}/{row}".encode()).digest()[:4], "big")
    if draw % 100 < skill_percent:
        return truth
    wrong = [label for label in labels if label != truth]
    return wrong[draw // 100 % len(wrong)]
