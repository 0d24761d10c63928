"""A batch held in memory: the online step over its labels, as the grader takes it over its answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from smallpeck.consensus.calibration import NO_CONTROLS, TemperatureCounts
from smallpeck.consensus.method import NOTHING_KNOWN, Budget, Method, SkillCounts, Vote
from smallpeck.consensus.online import Knowledge, control_lesson, control_step, step


@dataclass
class Replay:
    """One batch. `controls` are the known answers of control tasks, as canonical JSON text like all answers here.

    Where it is not `dynamic`, no task closes early.
    """

    method: Method
    controls: Mapping[str, str]
    dynamic: bool
    skills: dict[str, SkillCounts] = field(default_factory=dict)
    population: SkillCounts = NOTHING_KNOWN
    calibration: TemperatureCounts = NO_CONTROLS
    votes: dict[str, Mapping[str, Vote]] = field(default_factory=dict)

    def add(self, task: str, worker: str, answer: str, budget: Budget) -> bool:
        """Takes an answer and credits its worker; True when that closes the task. A repeated answer changes nothing."""
        mine = self.votes.get(task, {})
        if worker in mine:
            return False
        skills = {name: self.skills[name] for name in (*mine, worker) if name in self.skills}
        known = Knowledge(skills, self.population, self.calibration)
        gold = self.controls.get(task)
        if gold is not None:
            self.votes[task] = control_step(
                method=self.method, votes=mine, worker=worker, answer=answer, gold=gold, known=known
            )
            self.calibration = self.calibration.plus(
                control_lesson(method=self.method, votes=self.votes[task], worker=worker, gold=gold, known=known)
            )
            self._learn(worker, self.votes[task][worker].credit)
            return False
        taken = step(
            method=self.method, task_id=task, votes=mine, worker=worker, answer=answer, known=known, budget=budget
        )
        self.votes[task] = taken.votes
        self._learn(worker, taken.votes[worker].credit)
        if not (self.dynamic and taken.decision.final):
            return False
        for name, credit in self.method.closing_credits(votes=taken.votes).items():
            self._learn(name, credit)
        return True

    def _learn(self, worker: str, credit: SkillCounts) -> None:
        self.skills[worker] = self.skills.get(worker, NOTHING_KNOWN).plus(credit)
        self.population = self.population.plus(credit)
