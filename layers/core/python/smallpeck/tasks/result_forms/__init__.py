"""The forms that results are written in: what each is called, where its file stands, and which answers it can hold.

| form | what it is | for the methods |
|---|---|---|
| `csv`, `jsonl` | a line a task | all |
| `coco` | COCO, for pycocotools and all that reads it | boxes, polygons, points |
| `labelstudio` | tasks to import into Label Studio | all but ranking |
| `groundtruth` | an augmented manifest of SageMaker Ground Truth | all |
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.errors import Invalid
from smallpeck.tasks.model import Batch
from smallpeck.tasks.result_forms import coco, ground_truth, label_studio
from smallpeck.tasks.result_forms.facts import (
    METHODS,
    SHAPES,
    WITH_PARTS,
    Subject,
    Unfit,
    class_text,
    declared_classes,
    declared_properties,
    needed_image,
    needed_size,
)
from smallpeck.tasks.results import CsvLines, JsonLines, Lines

ResultForm: TypeAlias = Literal["csv", "jsonl", "coco", "labelstudio", "groundtruth"]
FORM_NAMES: Final[tuple[ResultForm, ...]] = get_args(ResultForm)
SAMPLE_ROWS: Final = 20
"""How many rows are looked at to see whether a batch has what a form needs."""


_ALIKE: Final[Mapping[str, str]] = {"ordinal": "numeric"}


class FormUnfit(Invalid):
    """The results of this batch cannot be told in this form."""

    code = "form_unfit"


@dataclass(frozen=True)
class Form:
    """One form. `methods` are those whose answers it can hold, `needs` raises Unfit for a row that lacks something."""

    content_type: str
    extension: str
    methods: frozenset[str]
    begin: Callable[[Subject], Lines]
    needs: Callable[[str, Mapping[str, Any]], object] | None = None


def _csv(subject: Subject) -> Lines:
    return CsvLines(subject.columns, with_parts=subject.method in {*WITH_PARTS, "ranking"})


def _needs_image(_method: str, row: Mapping[str, Any]) -> None:
    needed_image(row)


def _needs_sized_image(method: str, row: Mapping[str, Any]) -> None:
    if method in SHAPES:
        needed_image(row)
        needed_size(row)


def _needs_sized_boxes(method: str, row: Mapping[str, Any]) -> None:
    if method == "boxes":
        _needs_sized_image(method, row)


FORMS: Final[Mapping[str, Form]] = {
    "csv": Form("text/csv; charset=utf-8", "csv", METHODS, _csv),
    "jsonl": Form("application/jsonl", "jsonl", METHODS, lambda _subject: JsonLines()),
    "coco": Form("application/json", "coco.json", coco.METHODS, coco.CocoLines, _needs_image),
    "labelstudio": Form(
        "application/json",
        "labelstudio.json",
        label_studio.METHODS,
        label_studio.LabelStudioLines,
        _needs_sized_image,
    ),
    "groundtruth": Form(
        "application/jsonl", "manifest", ground_truth.METHODS, ground_truth.GroundTruthLines, _needs_sized_boxes
    ),
}


def method_of(batch: Batch) -> str:
    """The method that puts the answers of a batch together."""
    return str(json.loads(batch.consensus)["method"])


def answers_of(batch: Batch) -> str:
    """How the answers of a batch are made, by the method that is for such answers. Plurality takes any, and so may
    methods that no form knows: then the kind of the batch says it.
    """
    method = method_of(batch)
    for name in (_ALIKE.get(method, method), batch.kind):
        if name in METHODS and name != "plurality":
            return name
    return "plurality"


def subject_of(batch: Batch) -> Subject:
    """What the forms need to know of a batch."""
    method, answers = answers_of(batch), json.loads(batch.answer_schema)
    options = json.loads(batch.consensus).get("options")
    listed = tuple(map(class_text, options)) if isinstance(options, list) else ()
    return Subject(
        batch_id=batch.batch_id,
        title=batch.title,
        method=method,
        columns=declared_properties(json.loads(batch.task_schema)),
        classes=declared_classes(method, answers) or listed,
        fields=declared_properties(answers) if method == "fields" else (),
        options=listed,
        dated_at=to_rfc3339(batch.published_at_ms or batch.created_at_ms),
    )


def forms_for(method: str) -> list[str]:
    """The forms that hold answers of this method."""
    return [name for name, form in FORMS.items() if method in form.methods]


def misfit(form: str, method: str, rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Why the results cannot be told in this form, or None. `rows` are the first of the batch: one that fits is enough,
    because a row that does not stands in the file all the same, with the reason.
    """
    needs = FORMS[form].needs
    if method not in FORMS[form].methods:
        return f"{form} cannot hold the answers of this batch ({method}); it is for {_listed(FORMS[form].methods)}"
    if needs is None:
        return None
    reason = None
    for row in rows:
        try:
            needs(method, row)
        except Unfit as unfit:
            reason = reason or f"{form} cannot be written: {unfit}"
        else:
            return None
    return reason


def label_config_of(form: str, batch: Batch, rows: Iterable[Mapping[str, Any]]) -> str | None:
    """The labelling configuration that goes with a file for Label Studio; None for the other forms."""
    if form != "labelstudio":
        return None
    return label_studio.label_config(subject_of(batch), next(iter(rows), {}))


def results_key(batch_id: str, form: str) -> str:
    """Where the results file of a batch stands in the work bucket."""
    return f"results/{batch_id}/results.{FORMS[form].extension}"


def export_key(batch_id: str, export_id: str, form: str) -> str:
    """Where an export of a batch's results so far stands in the work bucket."""
    return f"results/{batch_id}/exports/{export_id}.{FORMS[form].extension}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
