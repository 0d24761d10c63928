"""The steps of the payout run workflow."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from functions.payout_run.schemas import Done, Ended, EndStep, FreezeStep, Frozen, QueryStep, SendStep
from smallpeck.kernel.errors import Invalid, Problem
from smallpeck.payouts import running
from smallpeck.payouts.runs import Ports
from smallpeck.runtime.observability import workflow_step
from smallpeck.runtime.wiring import current, payout_ports

_STEPS: TypeAdapter[FreezeStep | SendStep | QueryStep | EndStep] = TypeAdapter(
    Annotated[FreezeStep | SendStep | QueryStep | EndStep, Field(discriminator="step")]
)


class BadStep(Invalid):
    """A payload that is no step of this workflow."""

    code = "bad_step"


@workflow_step
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Lambda entry: one step."""
    try:
        step = _STEPS.validate_python(event)
    except ValidationError as error:
        problems = [Problem("/" + "/".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        raise BadStep("this is no step of a payout run", problems=problems) from error
    return _run(step, current().once(payout_ports)).model_dump()


def _run(step: FreezeStep | SendStep | QueryStep | EndStep, ports: Ports) -> BaseModel:
    match step:
        case FreezeStep():
            run = running.freeze(run_id=step.run_id, ports=ports)
            return Frozen(members=run.members, chunks=list(range(run.chunks)))
        case SendStep():
            running.send(run_id=step.run_id, chunk=step.chunk, ports=ports)
            return Done()
        case QueryStep(chunk=None):
            running.query_earlier(ports=ports)
            return Done()
        case QueryStep(chunk=int(chunk)):
            running.query(run_id=step.run_id, chunk=chunk, ports=ports)
            return Done()
        case EndStep():
            return _ended(step, ports)
    raise TypeError(f"not a step: {step!r}")


def _ended(step: EndStep, ports: Ports) -> Ended:
    ending = running.end(run_id=step.run_id, ports=ports)
    tally = ending.run.tally
    again = ending.again(step.round)
    if tally.unresolved and not again:
        ports.signals.alarm("PayoutsUnresolved", step.run_id)
    return Ended(
        state=ending.run.state.value,
        settled=tally.settled,
        released=tally.released,
        frozen=tally.frozen,
        unresolved=tally.unresolved,
        again=again,
        chunks=ending.to_ask(step.round) if again else [],
        wait_seconds=ending.run.waits.before(step.round),
        next_round=step.round + 1,
    )
