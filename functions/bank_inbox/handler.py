"""What the bank says of payouts, and of money that requesters sent, out of the files that it answers with."""

from functions.bank_inbox.schemas import Step, TakeInAllStep, TakeInStep, TakenIn
from smallpeck.runtime import bank_inbox
from smallpeck.runtime.steps import step
from smallpeck.runtime.wiring import current


@step(Step)
def handler(asked: TakeInStep | TakeInAllStep) -> TakenIn:
    """Takes in one answer, or again all of the last days."""
    match asked:
        case TakeInStep():
            return TakenIn(answers=bank_inbox.take_in(current(), asked.key))
        case TakeInAllStep():
            return TakenIn(answers=bank_inbox.take_in_all(current()))
