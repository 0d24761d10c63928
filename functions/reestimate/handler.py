"""The steps of the finishing workflow that estimate a batch again and report on it."""

from pydantic import BaseModel

from functions.reestimate.schemas import (
    Concluded,
    ConcludeStep,
    Decided,
    DecideStep,
    FitStep,
    Fitted,
    Gathered,
    GatherStep,
    Planned,
    PlanStep,
    Step,
    Tallied,
    TallyStep,
)
from smallpeck.runtime import reestimating, wiring
from smallpeck.runtime.steps import step


@step(Step)
def handler(asked: Step) -> BaseModel:
    """Plans, gathers, fits, tallies, decides or concludes."""
    here, batch_id = wiring.current(), asked.batch_id
    match asked:
        case PlanStep():
            planned = reestimating.plan_chunks(here, batch_id)
            return Planned(way=planned.way, chunks=list(range(planned.chunks)))
        case GatherStep():
            return Gathered(tasks=reestimating.gather_chunk(here, batch_id, asked.chunk))
        case FitStep():
            fitted = reestimating.fit_chunks(here, batch_id, asked.round)
            return Fitted(round=fitted.round, done=fitted.done)
        case TallyStep():
            return Tallied(workers=reestimating.tally_chunk(here, batch_id, asked.chunk, asked.round))
        case DecideStep():
            return Decided(**reestimating.decide_chunk(here, batch_id, asked.chunk, asked.round).__dict__)
        case ConcludeStep():
            return Concluded(tasks=reestimating.conclude_chunks(here, batch_id, asked.round))
