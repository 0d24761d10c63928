"""The results of a batch as files, for its requester. Written again they are the same."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from smallpeck.consensus.plurality import PPM
from smallpeck.tasks.model import Batch, Task
from smallpeck.tasks.results import CONTENT_TYPES, TaskResult, csv_chunks, json_chunks, results_key


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


def publish_results(*, batch: Batch, reads: PublishingReads, files: ResultFiles) -> int:
    """Writes the results as CSV and JSON Lines, in the order of the uploaded file; returns how many tasks they hold."""
    columns = tuple(json.loads(batch.task_schema).get("properties", ()))
    _write(files, batch, "csv", csv_chunks(_results(batch, reads), input_columns=columns))
    _write(files, batch, "jsonl", json_chunks(_results(batch, reads)))
    return batch.task_count


def _write(files: ResultFiles, batch: Batch, form: str, chunks: Iterator[bytes]) -> None:
    writer = files.writer(results_key(batch.batch_id, form), CONTENT_TYPES[form])
    try:
        for chunk in chunks:
            writer.write(chunk)
    except BaseException:
        writer.abandon()
        raise
    writer.close()


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
