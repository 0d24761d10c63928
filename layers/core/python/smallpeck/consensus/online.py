"""The online step: one more answer to a task. The grader and `evaluate` both go through here.

Nothing is looked up and nothing kept: the caller brings the votes of the task and what is known of the workers, and
stores what comes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from smallpeck.consensus.calibration import (
    NO_CONTROLS,
    Believing,
    TemperatureCounts,
    best_temperature,
    observed,
    tempered_ppm,
)
from smallpeck.consensus.method import NOTHING_KNOWN, Budget, Decision, Method, SkillCounts, Vote, Votes

LESSONS_PER_CONTROL = 8
_LESSON_WEIGHT = 0.1
_LOOSENESS = 0.2


@dataclass(frozen=True)
class Knowledge:
    """What is known of the workers: skill by worker (those of the task and who answers now), and of all together.

    `calibration` is what control tasks showed of how far votes can be believed.
    """

    skills: Mapping[str, SkillCounts]
    population: SkillCounts = NOTHING_KNOWN
    calibration: TemperatureCounts = NO_CONTROLS

    def accuracy_ppm(self, worker: str, method: Method) -> int:
        """How often the worker is believed to be right; of a method with beliefs, as control tasks correct them."""
        bare = method.accuracy_ppm(worker=self.skills.get(worker, NOTHING_KNOWN), population=self.population)
        if not (self.calibration.tasks and _believes(type(method))):
            return bare
        return tempered_ppm(bare, best_temperature(self.calibration, 1.0, _LOOSENESS))


@dataclass(frozen=True)
class Step:
    """A task with one more vote: all its votes as they stand now, and what they amount to."""

    votes: Mapping[str, Vote]
    decision: Decision


def step(
    *, method: Method, task_id: str, votes: Votes, worker: str, answer: str, known: Knowledge, budget: Budget
) -> Step:
    """Takes an answer: earlier votes are weighed anew, the new one is cast and credited, all are decided on."""
    earlier = refreshed(votes=votes, known=known, method=method)
    vote = method.cast(votes=earlier, answer=answer, accuracy_ppm=known.accuracy_ppm(worker, method))
    after = {**earlier, worker: vote}
    return Step(after, method.decide(task_id=task_id, votes=after, budget=budget))


def control_step(
    *, method: Method, votes: Votes, worker: str, answer: str, gold: str, known: Knowledge
) -> Mapping[str, Vote]:
    """Takes an answer to a control task: it is credited by what is known to be right, and decides nothing."""
    credit = method.control_credit(answer=answer, gold=gold)
    return {**votes, worker: Vote(answer, known.accuracy_ppm(worker, method), credit)}


def control_lesson(*, method: Method, votes: Votes, worker: str, gold: str, known: Knowledge) -> TemperatureCounts:
    """What a worker's vote on a control task, the last of `votes`, adds to the calibration.

    All votes on it are believed as on any other task, each worker being judged without what this task said of them,
    and held against what is known. Only the first few votes on a control task teach: as many as a task usually takes.
    """
    if len(votes) > LESSONS_PER_CONTROL or not isinstance(method, Believing):
        return NO_CONTROLS
    unaided = {name: known.skills[name].minus(vote.credit) for name, vote in votes.items() if name in known.skills}
    unaided[worker] = known.skills.get(worker, NOTHING_KNOWN)
    bare = Knowledge(unaided, known.population)
    shares, right = method.belief(votes=refreshed(votes=votes, known=bare, method=method), gold=gold)
    return observed(shares, right, weight=_LESSON_WEIGHT)


def refreshed(*, votes: Votes, known: Knowledge, method: Method) -> dict[str, Vote]:
    """The votes with what is believed of their workers by now; of whom nothing is said, that stays as it was.

    The credits stay, so nothing is counted twice.
    """
    return {
        worker: replace(vote, accuracy_ppm=known.accuracy_ppm(worker, method)) if worker in known.skills else vote
        for worker, vote in votes.items()
    }


@lru_cache(maxsize=64)
def _believes(method: type) -> bool:
    return issubclass(method, Believing)
