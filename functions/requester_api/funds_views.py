"""What requesters are told of the money they bring in, in the words of the wire."""

from functions.requester_api.funds_schemas import BankTransferView, CheckoutView, FundsView
from smallpeck.funding.bank import BankReference
from smallpeck.funding.creditor_reference import printed
from smallpeck.funding.model import Deposit, DepositState
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.money import format_amount
from smallpeck.ledger.freezing import Freeze
from smallpeck.ledger.posting import Balance
from smallpeck.runtime.funding import BankAccount


def checkout(found: Deposit, now_ms: int) -> CheckoutView:
    payable = found.state is DepositState.CREATED and now_ms < found.expires_at_ms
    return CheckoutView(
        deposit_id=found.deposit_id,
        state=found.state,
        amount=format_amount(found.amount_micros, found.currency),
        currency=found.currency,
        url=found.url if payable else None,
        created_at=to_rfc3339(found.created_at_ms),
        expires_at=to_rfc3339(found.expires_at_ms),
        credited_at=to_rfc3339(found.credited_at_ms) if found.credited_at_ms is not None else None,
        disputed=format_amount(found.disputed_micros, found.currency),
        refunded=format_amount(found.refunded_micros, found.currency),
        reason=found.reason,
    )


def bank_transfer(made: BankReference, account: BankAccount) -> BankTransferView:
    return BankTransferView(
        reference=made.reference,
        printed=printed(made.reference),
        currency=made.currency,
        holder=account.holder,
        iban=account.iban,
        bic=account.bic,
    )


def funds(freeze: Freeze, available: Balance, owed: Balance, currency: str) -> FundsView:
    return FundsView(
        currency=currency,
        available=format_amount(available.balance_micros, currency),
        owed=format_amount(-owed.balance_micros, currency),
        frozen=freeze.is_frozen,
        open_disputes=freeze.open_disputes,
    )
