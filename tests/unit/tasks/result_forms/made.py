"""Results of every kind, for tests of the forms they are written in."""

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

from smallpeck.tasks.result_forms import FORMS
from smallpeck.tasks.result_forms.facts import METHODS, Subject
from smallpeck.tasks.results import Lines, TaskResult, chunks

DATED_AT = "2026-01-02T03:04:05.678Z"
ANSWERED_AT = "2026-01-03T00:00:00.250Z"
LABELS = ("cat", "Hündin & <Rüde>")

ANSWERS: dict[str, Any] = {
    "plurality": "cat",
    "choice": "cat",
    "multiple": ["cat", "Hündin & <Rüde>"],
    "numeric": 4.5,
    "ranking": ["b", "a", "c"],
    "boxes": [
        {"x": 10, "y": 20, "width": 30.5, "height": 40, "label": "cat"},
        {"x": 190, "y": 90, "width": 20, "height": 20, "label": "Hündin & <Rüde>"},
    ],
    "polygons": [{"points": [[10, 10], [60, 10], [60, 40], [10, 40]], "label": "cat"}],
    "points": [{"x": 5, "y": 6, "label": "cat"}, {"x": 7.5, "y": 8, "label": "Hündin & <Rüde>"}],
    "lines": [{"points": [[0, 0], [10, 10], [20, 0]], "label": "cat"}],
    "text": "ein Satz",
    "fields": {"name": "Ada", "phone": "+49 1", "born": None},
}
assert ANSWERS.keys() == METHODS


def subject(method: str = "boxes", **facts: Any) -> Subject:
    defaults: dict[str, Any] = {
        "classes": LABELS if method not in {"numeric", "text", "fields", "ranking"} else (),
        "fields": ("name", "phone", "born") if method == "fields" else (),
        "options": LABELS if method == "multiple" else (),
        "dated_at": DATED_AT,
    }
    return Subject("b1", 'Finde "Tiere" 🐈', method, **(defaults | facts))


def result(number: int = 1, **facts: Any) -> TaskResult:
    defaults: dict[str, Any] = {
        "task_id": f"t{number}",
        "row_id": f"r{number}",
        "line": number + 1,
        "input": {"image": f"s3://pictures/ä/{number}.jpg", "width": 200, "height": 100, "note": "für später"},
        "answer": None,
        "confidence": 0.75,
        "tied": False,
        "status": "closed",
        "answers": [],
        "answered_at": ANSWERED_AT,
    }
    return TaskResult(**(defaults | facts))


def begun(form: str, about: Subject) -> Lines:
    return FORMS[form].begin(about)


def written(form: str, about: Subject, results: Iterable[TaskResult]) -> bytes:
    return b"".join(chunks(begun(form, about), results))


def peak_bytes(form: str, about: Subject, results: Iterator[TaskResult]) -> int:
    """The most memory that writing them took."""
    tracemalloc.start()
    size = sum(len(chunk) for chunk in chunks(begun(form, about), results))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size
    return most


def read(form: str, about: Subject, results: Iterable[TaskResult]) -> Any:
    """The file as JSON; its lines where it is one object a line."""
    text = written(form, about, results).decode()
    return [json.loads(line) for line in text.splitlines()] if form == "groundtruth" else json.loads(text)
