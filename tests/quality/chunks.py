"""The labels of a set as the arrays that `smallpeck.consensus.reestimate` works on."""

from collections.abc import Sequence

import numpy as np

from smallpeck.consensus.evaluate import Label
from smallpeck.consensus.reestimate import Chunk, Shape

CHUNK_TASKS = 50_000


def chunked(labels: Sequence[Label], options: Sequence[str]) -> tuple[list[str], list[Chunk], Shape]:
    """The names of the tasks in order, their chunks, and the batch's shape."""
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
