"""Statements as they are told over HTTP; workers and requesters have the same."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.money import format_amount
from smallpeck.ledger.accounts import Account
from smallpeck.runtime.http import Call
from smallpeck.runtime.schemas import CurrencyText, ListQuery, Query, View
from smallpeck.runtime.wiring import Wiring


class CurrencyQuery(Query):
    """Which currency."""

    currency: CurrencyText = "USD"


class StatementQuery(ListQuery):
    """Which statement, how much of it, and from where."""

    currency: CurrencyText = "USD"


class StatementRow(View):
    """One movement of an account."""

    seq: int
    at: str
    kind: str
    amount: str = Field(description="Negative where money left the account.")
    balance: str = Field(description="After this movement.")
    reference: str
    entry_id: str


class StatementView(View):
    """Movements of an account, newest first."""

    currency: str
    rows: list[StatementRow]
    next_cursor: str | None


def statement(call: Call[Any, StatementQuery], account: Account, wiring: Wiring) -> StatementView:
    """One run of an account's statement."""
    currency = call.query.currency
    before = wiring.cursors.read(call.query.cursor, call.scope) if call.query.cursor else None
    run = wiring.ledger.statement(account, currency, before=before, limit=call.query.limit)
    next_cursor = wiring.cursors.sign(run.next_after, call.scope) if run.next_after else None
    return StatementView(currency=currency, rows=[_row(item) for item in run.items], next_cursor=next_cursor)


def _row(item: Mapping[str, Any]) -> StatementRow:
    return StatementRow(
        seq=item["seq"],
        at=to_rfc3339(item["at_ms"]),
        kind=item["kind"],
        amount=format_amount(item["amount_micros"], item["currency"]),
        balance=format_amount(item["balance_micros"], item["currency"]),
        reference=item["reference"],
        entry_id=item["entry_id"],
    )
