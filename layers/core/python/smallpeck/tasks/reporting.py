"""The quality report of a batch: what its counts and its workers' skill amount to, as one JSON document.

Shares are numbers from 0 to 1, amounts decimal strings with their micros beside them. A share that nothing is known of
is null. Workers stand with the opaque ids that the results have.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from smallpeck.consensus.method import PPM
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.errors import Conflict
from smallpeck.kernel.money import format_amount
from smallpeck.tasks.model import Batch
from smallpeck.tasks.report_counts import (
    CALIBRATION_BINS,
    CONFIDENCE_BINS,
    ReportCounts,
    WorkerCounts,
    options_of,
)
from smallpeck.tasks.result_forms import method_of

VERSION: Final = 1
ReportForm: TypeAlias = Literal["html", "json"]
REPORT_FORMS: Final[tuple[ReportForm, ...]] = get_args(ReportForm)
REPORT_TYPES: Final[Mapping[str, str]] = {"html": "text/html; charset=utf-8", "json": "application/json"}
CONTROL_LEVEL: Final = 0.95
WORKER_LEVEL: Final = 0.9
_DEVIATES: Final = {CONTROL_LEVEL: 1.959964, WORKER_LEVEL: 1.644854}


class NoReport(Conflict):
    """The batch has not ended, so nothing is reported of it; or nobody was ever asked."""

    code = "no_report_yet"


@dataclass(frozen=True)
class WorkerSkill:
    """What the report says of a worker: counts, and the accuracy believed of them with the ends of its interval."""

    worker_id: str
    counts: WorkerCounts
    accuracy_ppm: int
    low_ppm: int
    high_ppm: int


def report_key(batch_id: str, form: ReportForm) -> str:
    """Where the report of a batch stands in the work bucket."""
    return f"results/{batch_id}/report.{form}"


def reported(batch: Batch) -> Batch:
    """The batch, if it has a report; NoReport otherwise."""
    if batch.published_at_ms is None or batch.closed_at_ms is None:
        raise NoReport("the report is written when a batch that was published has ended")
    return batch


def interval(share: float, many: float, *, level: float) -> tuple[float, float]:
    """Between which shares the true one lies, where `share` of `many` were right (Wilson 1927). Partly right ones
    scatter less than that supposes, so for them it is on the safe side. `level` is 0.9 or 0.95.
    """
    if many <= 0:
        return 0.0, 1.0
    z = _DEVIATES[level]
    middle = (share + z * z / (2 * many)) / (1 + z * z / many)
    reach = z / (1 + z * z / many) * math.sqrt(max(0.0, share * (1 - share)) / many + z * z / (4 * many * many))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def report(*, batch: Batch, counts: ReportCounts, workers: Iterable[WorkerSkill]) -> dict[str, Any]:
    """The report as a value of JSON; `docs/consensus.md` says what each field means."""
    ranked = sorted(workers, key=lambda one: (-one.counts.answers, one.worker_id))
    fixed = counts.complete_tasks * batch.max_answers
    return {
        "version": VERSION,
        "batch": _batch(batch),
        "tasks": {
            "total": counts.tasks,
            "answered": counts.answered,
            "unanswered": counts.tasks - counts.answered,
            "complete": counts.complete_tasks,
            "tied": counts.tied,
            "disputed": counts.disputed,
            "control": counts.control_tasks,
        },
        "answers": {
            "used": counts.answers,
            "control": counts.control_answers,
            "per_task": _of(counts.answers, counts.tasks),
            "fixed_overlap": fixed,
            "saved": fixed - counts.complete_answers,
            "saved_share": _of(fixed - counts.complete_answers, fixed),
            "by_task": [{"answers": many, "tasks": tasks} for many, tasks in sorted(counts.answers_per_task.items())],
        },
        "cost": _cost(batch, counts, fixed),
        "accuracy": {
            "expected": _mean(counts.confidence_ppm, counts.answered),
            "control_results": _shown(_control_right(counts), sum(n for n, _, _ in counts.calibration)),
            "control_answers": _shown(counts.control_right_ppm, counts.control_judged),
        },
        "agreement": {"mean": _mean(counts.agreement_ppm, counts.compared), "answers": counts.compared},
        "confidence": {"bins": _bins([{"tasks": tasks} for tasks in counts.confidences], CONFIDENCE_BINS)},
        "calibration": _calibration(counts.calibration),
        "options": _options(batch, counts),
        "most_disputed": [
            {
                "task_id": one.task_id,
                "row_id": one.row_id,
                "confidence": one.confidence_ppm / PPM,
                "answers": one.answers,
                "agreement": None if one.agreement_ppm is None else one.agreement_ppm / PPM,
                "tied": one.tied,
            }
            for one in counts.most_disputed
        ],
        "worker_interval": WORKER_LEVEL,
        "workers": [_worker(one) for one in ranked],
    }


def _batch(batch: Batch) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "title": batch.title,
        "kind": batch.kind,
        "method": method_of(batch),
        "currency": batch.currency,
        "price": format_amount(batch.price_micros, batch.currency),
        "min_answers": batch.min_answers,
        "max_answers": batch.max_answers,
        "target_confidence": None if batch.target_ppm is None else batch.target_ppm / PPM,
        "published_at": None if batch.published_at_ms is None else to_rfc3339(batch.published_at_ms),
    }


def _cost(batch: Batch, counts: ReportCounts, fixed: int) -> dict[str, Any]:
    micros = {
        "spent": (counts.answers + counts.control_answers) * batch.price_micros,
        "control": counts.control_answers * batch.price_micros,
        "saved": (fixed - counts.complete_answers) * batch.price_micros,
    }
    told: dict[str, Any] = {"currency": batch.currency}
    for name, value in micros.items():
        told |= {name: format_amount(value, batch.currency), f"{name}_micros": value}
    return told


def _calibration(found: Sequence[tuple[int, int, int]]) -> dict[str, Any] | None:
    """How far confidence is from what turns out right, in the mean over the tasks, by tenths of confidence."""
    tasks = sum(n for n, _, _ in found)
    if not tasks:
        return None
    told = [
        {"tasks": n, "confidence": _mean(sure, n), "right": _mean(right, n), "interval": _ends(right, n)}
        for n, sure, right in found
    ]
    apart = sum(abs(sure - right) for _, sure, right in found)
    return {"tasks": tasks, "error": _mean(apart, tasks), "bins": _bins(told, CALIBRATION_BINS)}


def _options(batch: Batch, counts: ReportCounts) -> list[dict[str, Any]] | None:
    declared = options_of(batch)
    if not declared:
        return None
    names = dict.fromkeys((*declared, *counts.options))
    found = [(name, *counts.options.get(name, (0, 0))) for name in names]
    return [{"option": name, "results": results, "answers": given} for name, results, given in found]


def _worker(one: WorkerSkill) -> dict[str, Any]:
    counts = one.counts
    return {
        "worker_id": one.worker_id,
        "answers": counts.answers,
        "control_answers": counts.control_answers,
        "control_accuracy": _mean(counts.control_right_ppm, counts.control_answers),
        "agreement": _mean(counts.agreement_ppm, counts.compared),
        "accuracy": one.accuracy_ppm / PPM,
        "interval": [one.low_ppm / PPM, one.high_ppm / PPM],
    }


def _control_right(counts: ReportCounts) -> int:
    return sum(right for _, _, right in counts.calibration)


def _shown(right_ppm: int, many: int) -> dict[str, Any] | None:
    if not many:
        return None
    return {
        "count": many,
        "accuracy": _mean(right_ppm, many),
        "interval": _ends(right_ppm, many),
        "level": CONTROL_LEVEL,
    }


def _ends(right_ppm: int, many: int) -> list[float] | None:
    if not many:
        return None
    return [round(end, 6) for end in interval(right_ppm / PPM / many, many, level=CONTROL_LEVEL)]


def _bins(found: Sequence[Mapping[str, Any]], many: int) -> list[dict[str, Any]]:
    return [{"from": place / many, "to": (place + 1) / many, **one} for place, one in enumerate(found)]


def _mean(sum_ppm: int, many: int) -> float | None:
    return round(sum_ppm / PPM / many, 6) if many else None


def _of(some: int, many: int) -> float | None:
    return round(some / many, 6) if many else None
