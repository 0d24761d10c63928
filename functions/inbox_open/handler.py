"""The steps of the inbox workflow: a dropped spec becomes a batch and, whatever happens, a report."""

from pydantic import BaseModel

from functions.inbox_open.schemas import ConcludeStep, EndedView, FailStep, OpenedView, OpenStep, Step
from smallpeck.runtime import inboxes, wiring
from smallpeck.runtime.steps import step
from smallpeck.tasks.dropping import DropReport


@step(Step)
def handler(asked: Step) -> BaseModel:
    """Opens or concludes a drop, or reports that it failed."""
    here, drop = wiring.current(), asked.drop()
    if drop is None:
        return EndedView(state="ignored")
    match asked:
        case OpenStep():
            found = inboxes.open_drop(here, drop)
            if isinstance(found, DropReport):
                inboxes.tell(here, drop, found)
            return OpenedView.of(found)
        case ConcludeStep():
            report = inboxes.conclude(here, drop, asked.result())
        case FailStep():
            report = inboxes.failed(here, drop)
    inboxes.tell(here, drop, report)
    return EndedView(state=report.state, batch_id=report.batch_id)
