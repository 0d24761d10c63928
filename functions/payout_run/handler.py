"""The steps of the payout run workflow."""

from typing import Annotated

from pydantic import BaseModel, Field

from functions.payout_run.schemas import (
    Done,
    Ended,
    EndStep,
    FreezeStep,
    Frozen,
    QueryStep,
    SendParcelStep,
    SendStep,
    WaitStep,
)
from smallpeck.payouts import running
from smallpeck.payouts.runs import Ports, Run
from smallpeck.runtime import payout_rails
from smallpeck.runtime.steps import step
from smallpeck.runtime.wiring import current

Step = Annotated[FreezeStep | SendStep | SendParcelStep | QueryStep | EndStep | WaitStep, Field(discriminator="step")]


@step(Step)
def handler(asked: Step) -> BaseModel:
    """Freezes the membership, sends, asks, counts, or waits to be told."""
    ports = current().once(payout_rails.payout_ports)
    match asked:
        case FreezeStep():
            return _frozen(running.freeze(run_id=asked.run_id, ports=ports))
        case SendStep():
            running.send(run_id=asked.run_id, chunk=asked.chunk, ports=ports)
        case SendParcelStep():
            running.send_parcel(run_id=asked.run_id, parcel=asked.parcel, ports=ports)
        case QueryStep(chunk=None):
            running.query_earlier(ports=ports)
            payout_rails.follow_all(current())
        case QueryStep(chunk=int(chunk)):
            running.query(run_id=asked.run_id, chunk=chunk, ports=ports)
        case EndStep():
            return _ended(asked, ports)
        case WaitStep():
            payout_rails.wait(current(), asked.run_id, asked.token)
    return Done()


def _frozen(run: Run) -> Frozen:
    return Frozen(members=run.members, chunks=list(range(run.chunks)), parcels=list(range(run.parcels)))


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
        returned=tally.returned,
        frozen=tally.frozen,
        unresolved=tally.unresolved,
        again=again,
        told=again and ending.told,
        chunks=ending.to_ask(step.round) if again else [],
        wait_seconds=ending.run.waits.before(step.round),
        next_round=step.round + 1,
    )
