"""The steps of the payout schedule's workflow."""

from typing import Annotated

from pydantic import BaseModel, Field

from functions.payout_schedule.schemas import Asked, RequestStep, Started, StartStep
from smallpeck.payouts import scheduling
from smallpeck.runtime.observability import count
from smallpeck.runtime.payout_schedule import schedule_ports
from smallpeck.runtime.steps import step
from smallpeck.runtime.wiring import current

Step = Annotated[RequestStep | StartStep, Field(discriminator="step")]


@step(Step)
def handler(asked: Step) -> BaseModel:
    """Asks for what is due, or starts the runs that pay it."""
    ports = current().once(schedule_ports)
    day = scheduling.day_of(asked.scheduled_at)
    match asked:
        case RequestStep():
            done = scheduling.request_due(day=day, after=asked.after or None, ports=ports)
            count("AutomaticPayouts", done.payouts)
            return Asked(payouts=done.payouts, after=done.after or "", more=done.after is not None)
        case StartStep():
            return Started(run_ids=[run.run_id for run in scheduling.start_runs(day=day, ports=ports)])
    raise TypeError(f"not a step: {asked!r}")
