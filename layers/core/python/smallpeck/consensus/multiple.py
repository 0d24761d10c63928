"""Multiple choice: every option is a yes-or-no question of its own, answered by ticking it or not."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from smallpeck.consensus.choice import ChoicePolicy, Vote, Votes, confidences, decide
from smallpeck.consensus.plurality import PPM

TICKED = "yes"
LEFT_OUT = "no"


@dataclass(frozen=True)
class TickedDecision:
    """The options that hold, and for every option how sure that is. Final when every option is."""

    ticked: tuple[str, ...]
    confidence_ppm: Mapping[str, int]
    final: bool


def option_votes(
    *, options: Collection[str], answers: Mapping[str, Collection[str]], accuracies_ppm: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, Vote]]:
    """By option, each worker's vote for or against it. `accuracies_ppm` is by option and worker: some options are
    harder to tell than others.
    """
    return {
        option: {
            worker: Vote(TICKED if option in ticked else LEFT_OUT, accuracies_ppm[option][worker])
            for worker, ticked in answers.items()
        }
        for option in options
    }


def decide_ticked(*, task_id: str, votes: Mapping[str, Votes], policy: ChoicePolicy) -> TickedDecision:
    """What holds of each option. `policy.options` is 2: ticked or not."""
    ticked = []
    sure: dict[str, int] = {}
    final = True
    for option in sorted(votes):
        decision = decide(task_id=f"{task_id}\0{option}", votes=votes[option], policy=policy)
        shares = confidences(votes=votes[option], policy=policy) if votes[option] else {}
        if decision.answer == TICKED:
            ticked.append(option)
        sure[option] = round(PPM * max(shares.values(), default=0.0))
        final = final and decision.final
    return TickedDecision(tuple(ticked), sure, final)
