"""What is known of the workers of a batch: two counts each, on an item of its own.

They change with the settlement of the worker's own page, and with the vote that closes a task they voted on: both are
transactions that happen once. All workers' counts together stand on the batch's progress counters, and beside them
what control tasks have shown of how far votes can be believed.
"""

from collections.abc import Iterable, Mapping

from smallpeck.consensus.calibration import GRID, NO_CONTROLS, TemperatureCounts
from smallpeck.consensus.method import NOTHING_KNOWN, SkillCounts
from smallpeck.consensus.online import Knowledge
from smallpeck.kernel.ids import spread
from smallpeck.kernel.writes import Change, Path, Ref, ref

SKILL_SHARDS = 16
_LESSONS = "calibration_lessons"


def skill_shard(worker_id: str) -> int:
    """In which partition of a batch's skills a worker stands."""
    return spread(SKILL_SHARDS, worker_id)


def skill_ref(batch_id: str, worker_id: str) -> Ref:
    """The item of a worker's skill in a batch."""
    return ref("skill", batch_id, skill_shard(worker_id), worker_id)


def counts(credit: SkillCounts) -> dict[Path, int]:
    """What counters go up by; nothing where nothing was learnt."""
    fields: dict[Path, int] = {"hits_ppm": credit.hits_ppm, "weight_ppm": credit.weight_ppm}
    return {name: value for name, value in fields.items() if value}


def counted(item: Mapping[str, int]) -> SkillCounts:
    """The counts on an item."""
    return SkillCounts(item.get("hits_ppm", 0), item.get("weight_ppm", 0))


def credit_writes(batch_id: str, gains: Mapping[str, SkillCounts]) -> list[Change]:
    """The writes that credit workers."""
    added = ((worker, counts(credit)) for worker, credit in sorted(gains.items()))
    return [Change(skill_ref(batch_id, worker), add=fields) for worker, fields in added if fields]


def lesson_writes(counters: Ref, lesson: TemperatureCounts) -> list[Change]:
    """The write that counts what a vote on a control task has shown; none where it shows nothing."""
    if not lesson.tasks:
        return []
    losses: dict[Path, int] = {_loss(step): loss for step, loss in enumerate(lesson.loss_micros) if loss}
    return [Change(counters, add={**losses, _LESSONS: lesson.tasks})]


def knowledge(skills: Mapping[str, SkillCounts], counters: Iterable[Mapping[str, int]]) -> Knowledge:
    """What is known, from workers' counts and all progress counters of their batch."""
    population, calibration = NOTHING_KNOWN, NO_CONTROLS
    for item in counters:
        population = population.plus(counted(item))
        if _LESSONS in item:
            losses = tuple(item.get(_loss(step), 0) for step in range(len(GRID)))
            calibration = calibration.plus(TemperatureCounts(losses, item[_LESSONS]))
    return Knowledge(skills, population, calibration)


def _loss(step: int) -> str:
    return f"calibration_{step:02d}"
