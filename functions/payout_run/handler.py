"""The steps of the payout run workflow."""

from typing import Annotated

from pydantic import BaseModel, Field

from functions.payout_run.schemas import Done, Ended, EndStep, FreezeStep, Frozen, QueryStep, SendStep
from smallpeck.payouts import running
from smallpeck.payouts.runs import Ports
from smallpeck.runtime.steps import step
from smallpeck.runtime.wiring import current, payout_ports

Step = Annotated[FreezeStep | SendStep | QueryStep | EndStep, Field(discriminator="step")]


@step(Step)
def handler(asked: Step) -> BaseModel:
    """Freezes the membership, sends, asks, or counts."""
    ports = current().once(payout_ports)
    match asked:
        case FreezeStep():
            run = running.freeze(run_id=asked.run_id, ports=ports)
            return Frozen(members=run.members, chunks=list(range(run.chunks)))
        case SendStep():
            running.send(run_id=asked.run_id, chunk=asked.chunk, ports=ports)
            return Done()
        case QueryStep(chunk=None):
            running.query_earlier(ports=ports)
            return Done()
        case QueryStep(chunk=int(chunk)):
            running.query(run_id=asked.run_id, chunk=chunk, ports=ports)
            return Done()
        case EndStep():
            return _ended(asked, ports)
    raise TypeError(f"not a step: {asked!r}")


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
