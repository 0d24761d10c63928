"""What routing by expected change saves: simulated workers of mixed skill on the in-memory AWS, answer by answer.

`python -m tests.quality.routing [--tasks N] [--seeds N] [--target P]` compares the index ordered by what an answer
would change with the index in the order of the file, and prints one line of JSON.
"""

import argparse
import json
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest import mock

from smallpeck.consensus.method import PPM
from smallpeck.tasks.model import TaskStatus
from smallpeck.tasks.pages import Page
from tests.support import World

OPTIONS = ("bird", "cat", "dog", "fish")
CONSENSUS = '{"method":"choice","options":4}'
PAGE_SIZE = 5
WORKERS = 24
MAX_ANSWERS = 7
MAX_ROUNDS = 500


@dataclass(frozen=True)
class Outcome:
    """How a batch ended: answers used, and tasks whose result is right."""

    tasks: int
    answers: int
    right: int


def in_order_of_the_file() -> AbstractContextManager[object]:
    """All tasks are listed in one band."""
    return mock.patch("smallpeck.tasks.voting.band_of", return_value=0)


def simulate(*, tasks: int, seed: int, target_ppm: int | None = None) -> Outcome:
    """Answers a batch to its end, one to seven answers a task. Tasks that the seed makes hard are answered worse by
    everybody.
    """
    draw = Random(seed)
    truths = [draw.choice(OPTIONS) for _ in range(tasks)]
    ease = [draw.choice((1.0, 1.0, 1.0, 0.6)) for _ in range(tasks)]
    skills = {f"worker-{n:02d}": draw.choice((0.5, 0.65, 0.8, 0.95)) for n in range(WORKERS)}
    world = World()
    facts: dict[str, Any] = {"consensus": CONSENSUS, "page_size": PAGE_SIZE, "lease_seconds": 86_400}
    batch = world.active(tasks, min_answers=1, max_answers=MAX_ANSWERS, target_ppm=target_ppm, **facts)
    given = {name: Random(f"{seed}:{name}") for name in skills}

    def answer(worker: str, ordinal: int) -> str:
        right = 0.25 + (skills[worker] - 0.25) * ease[ordinal]
        draws = given[worker]
        if draws.random() < right:
            return truths[ordinal]
        return draws.choice([one for one in OPTIONS if one != truths[ordinal]])

    for turn in range(MAX_ROUNDS):
        pages = []
        for worker in draw.sample(sorted(skills), WORKERS):
            page = world.lease(worker, batch=batch, key=f"k{turn}")
            if isinstance(page, Page):
                pages.append(page)
        if not pages:
            break
        for page in pages:
            world.submit(page, answers=[(one.task_id, answer(page.worker_id, one.ordinal)) for one in page.assignments])
            world.grade(page.page_id)
    found = world.every_task(batch)
    assert all(task.status is TaskStatus.CLOSED for task in found)
    assert all(task.seats_taken == len(task.votes) <= MAX_ANSWERS for task in found)
    right = sum(task.result is not None and task.result.answer == json.dumps(truths[task.ordinal]) for task in found)
    return Outcome(tasks, sum(len(task.votes) for task in found), right)


def compared(*, tasks: int, seeds: int, target_ppm: int | None = None) -> tuple[Outcome, Outcome]:
    """Over all seeds: by expected change, and in the order of the file. The target holds for the first alone, so that
    both can be had at the same accuracy.
    """
    routed = [simulate(tasks=tasks, seed=seed, target_ppm=target_ppm) for seed in range(seeds)]
    with in_order_of_the_file():
        plain = [simulate(tasks=tasks, seed=seed) for seed in range(seeds)]
    return _summed(routed), _summed(plain)


def _summed(outcomes: list[Outcome]) -> Outcome:
    return Outcome(
        sum(one.tasks for one in outcomes), sum(one.answers for one in outcomes), sum(one.right for one in outcomes)
    )


def told(outcome: Outcome) -> dict[str, float]:
    """An outcome per task."""
    return {
        "answers_per_task": round(outcome.answers / outcome.tasks, 4),
        "accuracy": round(outcome.right / outcome.tasks, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--target", type=float, help="the target confidence of what is routed; default: the method's")
    asked = parser.parse_args()
    target_ppm = None if asked.target is None else round(asked.target * PPM)
    routed, plain = compared(tasks=asked.tasks, seeds=asked.seeds, target_ppm=target_ppm)
    sys.stdout.write(json.dumps({"by_expected_change": told(routed), "in_order_of_the_file": told(plain)}) + "\n")


if __name__ == "__main__":
    main()
