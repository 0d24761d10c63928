"""The results of a batch as files, for its requester. Written again they are the same."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from smallpeck.consensus.plurality import PPM
from smallpeck.tasks.model import Batch, Task, TaskStatus
from smallpeck.tasks.results import CONTENT_TYPES, TaskResult, lines_of, results_key


class PublishingReads(Protocol):
    """What publishing reads."""

    def every_task_with_input(self, batch: Batch) -> Iterator[tuple[Task, dict[str, Any]]]: ...


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
    """What a file of results holds: tasks, and how many of them are closed."""

    tasks: int
    closed: int


def publish_results(*, batch: Batch, reads: PublishingReads, files: ResultFiles) -> int:
    """Writes the results as CSV and JSON Lines, in the order of the uploaded file; returns how many tasks they hold."""
    keys = {form: results_key(batch.batch_id, form) for form in CONTENT_TYPES}
    return write_results(batch=batch, keys=keys, reads=reads, files=files).tasks


def write_results(*, batch: Batch, keys: Mapping[str, str], reads: PublishingReads, files: ResultFiles) -> Written:
    """Writes what is known of each task to the key of each form. A task is read once, and no file appears in part.

    Answers are those that are approved: what is undecided or rejected stands in no task. A task that is still open has
    no result yet.
    """
    columns = tuple(json.loads(batch.task_schema).get("properties", ()))
    outlets = [(lines_of(form, columns), files.writer(key, CONTENT_TYPES[form])) for form, key in keys.items()]
    tasks = closed = 0
    try:
        for result in _results(batch, reads):
            tasks += 1
            closed += result.status == TaskStatus.CLOSED
            for lines, writer in outlets:
                chunk = lines.add(result)
                if chunk:
                    writer.write(chunk)
        for lines, writer in outlets:
            writer.write(lines.end())
    except BaseException:
        for _, writer in outlets:
            writer.abandon()
        raise
    for _, writer in outlets:
        writer.close()
    return Written(tasks, closed)


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
        status=task.status,
        answers=_answers(task),
    )


def _answers(task: Task) -> Sequence[Mapping[str, Any]]:
    return [{"worker_id": worker, "answer": json.loads(vote.answer)} for worker, vote in sorted(task.votes.items())]
