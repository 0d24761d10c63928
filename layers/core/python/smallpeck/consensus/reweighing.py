"""The re-estimation that works for every method: skills from all votes of a batch, then every decision again.

A round takes each worker's agreement with the others' votes on every task, weighed by the accuracies of the round
before. What a round leaves is additive counts of skill, so that rounds over chunks are maps and a sum.
"""

from collections.abc import Mapping
from dataclasses import replace

from smallpeck.consensus.method import NOTHING_KNOWN, Budget, Decision, Method, SkillCounts, Votes
from smallpeck.consensus.online import Knowledge

ROUNDS = 3

Skills = Mapping[str, SkillCounts]


def counted(
    *, method: Method, tasks: Mapping[str, Votes], controls: Mapping[str, str], known: Knowledge
) -> dict[str, SkillCounts]:
    """What the votes of these tasks say about their workers, seen with what is known of them."""
    found: dict[str, SkillCounts] = {}
    for task in sorted(tasks):
        gold = controls.get(task)
        if gold is not None:
            gains = {
                worker: method.control_credit(answer=vote.answer, gold=gold) for worker, vote in tasks[task].items()
            }
        else:
            gains = method.closing_credits(votes=weighed(method=method, votes=tasks[task], known=known))
        for worker, credit in gains.items():
            found[worker] = found.get(worker, NOTHING_KNOWN).plus(credit)
    return found


def weighed(*, method: Method, votes: Votes, known: Knowledge) -> Votes:
    """The votes with what is known of their workers, and nothing credited yet."""
    return {
        worker: replace(vote, accuracy_ppm=known.accuracy_ppm(worker, method), credit=NOTHING_KNOWN)
        for worker, vote in votes.items()
    }


def together(skills: Skills) -> Knowledge:
    """What is known where these are all the workers."""
    population = NOTHING_KNOWN
    for worker in sorted(skills):
        population = population.plus(skills[worker])
    return Knowledge(skills, population)


def reweighed(
    *, method: Method, tasks: Mapping[str, Votes], controls: Mapping[str, str], skills: Skills, rounds: int = ROUNDS
) -> tuple[dict[str, Decision], Skills]:
    """Every task decided with the skills that all votes together show, control tasks aside; and those skills.

    `skills` are those to begin with: what was known when the batch ended.
    """
    for _ in range(rounds):
        skills = counted(method=method, tasks=tasks, controls=controls, known=together(skills))
    known = together(skills)
    return {
        task: method.decide(
            task_id=task,
            votes=weighed(method=method, votes=votes, known=known),
            budget=Budget(0, len(votes)),
        )
        for task, votes in tasks.items()
        if task not in controls and votes
    }, skills
