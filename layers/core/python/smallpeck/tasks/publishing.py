"""The results of a batch as files, for its requester. Written again they are the same."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from smallpeck.consensus.method import PPM
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.tasks.model import Batch, Task, TaskStatus
from smallpeck.tasks.result_forms import (
    FORMS,
    SAMPLE_ROWS,
    answers_of,
    forms_for,
    label_config_of,
    misfit,
    results_key,
    subject_of,
)
from smallpeck.tasks.results import TaskResult


class PublishingReads(Protocol):
    """What publishing reads."""

    def every_task_with_input(self, batch: Batch) -> Iterator[tuple[Task, dict[str, Any]]]: ...


class FirstRows(Protocol):
    """What telling whether a form fits reads."""

    def inputs(self, batch: Batch, ordinals: Sequence[int]) -> dict[int, dict[str, Any]]: ...


class Writer(Protocol):
    """A file that appears with `close`."""

    def write(self, body: bytes) -> None: ...
    def close(self) -> object: ...
    def abandon(self) -> None: ...


class ResultFiles(Protocol):
    """Where results go."""

    def writer(self, key: str, content_type: str, /) -> Writer:
        """A new file in place of an earlier one."""
        ...


@dataclass(frozen=True)
class Written:
    """What files of results hold: tasks, how many of them are closed, and by form how many without their answer."""

    tasks: int
    closed: int
    left_out: Mapping[str, int] = field(default_factory=dict)


def first_rows(batch: Batch, reads: FirstRows) -> Iterator[Mapping[str, Any]]:
    """The first rows of a batch; nothing is read before the first is asked for."""
    ordinals = range(min(SAMPLE_ROWS, batch.task_count))
    found = reads.inputs(batch, ordinals)
    yield from (json.loads(found[ordinal]["input"]) for ordinal in ordinals if ordinal in found)


def form_problem(*, batch: Batch, form: str, reads: FirstRows) -> str | None:
    """Why the results of this batch cannot be told in this form, or None."""
    return misfit(form, answers_of(batch), first_rows(batch, reads))


def label_config(*, batch: Batch, form: str, reads: FirstRows) -> str | None:
    """The labelling configuration (XML) that goes with a file for Label Studio; None for the other forms."""
    return label_config_of(form, batch, first_rows(batch, reads))


def publish_results(*, batch: Batch, reads: PublishingReads, files: ResultFiles) -> int:
    """Writes the results in every form that can hold them, in the order of the uploaded file; returns how many tasks
    they hold.
    """
    keys = {form: results_key(batch.batch_id, form) for form in forms_for(answers_of(batch))}
    return write_results(batch=batch, keys=keys, reads=reads, files=files).tasks


def write_results(*, batch: Batch, keys: Mapping[str, str], reads: PublishingReads, files: ResultFiles) -> Written:
    """Writes what is known of each task to the key of each form. A task is read once, and no file appears in part.

    Answers are those that are approved: what is undecided or rejected stands in no task. A task that is still open has
    no result yet.
    """
    subject = subject_of(batch)
    with ExitStack() as held:
        outlets = [
            (held.enter_context(closing(FORMS[form].begin(subject))), files.writer(key, FORMS[form].content_type))
            for form, key in keys.items()
        ]
        tasks = closed = 0
        try:
            for result in _results(batch, reads):
                tasks += 1
                closed += result.status != TaskStatus.OPEN
                for lines, writer in outlets:
                    chunk = lines.add(result)
                    if chunk:
                        writer.write(chunk)
            for lines, writer in outlets:
                for chunk in lines.end():
                    writer.write(chunk)
        except BaseException:
            for _, writer in outlets:
                writer.abandon()
            raise
        for _, writer in outlets:
            writer.close()
        left_out = {form: lines.left_out for form, (lines, _) in zip(keys, outlets, strict=True)}
    return Written(tasks, closed, left_out)


def _results(batch: Batch, reads: PublishingReads) -> Iterator[TaskResult]:
    return (_result(task, given) for task, given in reads.every_task_with_input(batch))


def _result(task: Task, given: Mapping[str, Any]) -> TaskResult:
    result = task.result
    return TaskResult(
        task_id=task.task_id,
        row_id=given["row_id"],
        line=given["line"],
        input=json.loads(given["input"]),
        answer=json.loads(result.answer) if result is not None and result.answer is not None else None,
        confidence=result.confidence_ppm / PPM if result is not None else 0.0,
        tied=result is not None and result.tied,
        status=task.shown_status,
        answers=_answers(task),
        parts=[one / PPM for one in result.parts_ppm] if result is not None else [],
        answered_at=_answered_at(task),
    )


def _answers(task: Task) -> Sequence[Mapping[str, Any]]:
    return [{"worker_id": worker, "answer": json.loads(vote.answer)} for worker, vote in sorted(task.votes.items())]


def _answered_at(task: Task) -> str | None:
    return to_rfc3339(max(vote.accepted_at_ms for vote in task.votes.values())) if task.votes else None
