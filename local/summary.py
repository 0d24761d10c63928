"""What a run of the demo came to: its facts, the summary of them, and what is wrong with them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MICROS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the API, the books audit and the payout provider said. Amounts are in units of the one currency."""

    rows_sent: int
    """How many rows the file had."""
    rows_read: int
    rows_accepted: int
    rows_rejected: int
    rows_published: int
    """How many rows the results have."""
    answers_accepted: int
    """How many answers were answered with 202."""
    answers_undecided: int
    answers_approved: int
    accuracy: float
    labels_available: int
    """How many labels the data have, or the batch asks for."""
    decided_otherwise: int
    """How many results are not what the engine makes of the same answers outside the platform."""
    reward: Decimal
    fee: Decimal
    escrowed: Decimal
    refunded: Decimal
    payouts_settled: int
    paid_out: Decimal
    provider_paid: Decimal
    """What the provider's own books say."""
    audit_balanced: bool
    totals: Mapping[str, Decimal]
    """What stands in each class of accounts, as recomputed by the audit."""
    seconds: float

    @property
    def credited(self) -> Decimal:
        """What workers have earned."""
        return self.answers_approved * self.reward

    @property
    def fees(self) -> Decimal:
        """What the platform has earned."""
        return self.answers_approved * self.fee

    def total(self, account_class: str) -> Decimal:
        """What stands in a class of accounts."""
        return self.totals.get(account_class, Decimal(0))

    @property
    def books_balanced(self) -> bool:
        """Whether the audit, the batch's own numbers and the provider's books agree to the last micro."""
        with_workers = sum(
            (self.total(name) for name in self.totals if name.startswith(("worker", "rail:"))), Decimal(0)
        )
        return (
            self.audit_balanced
            and self.credited + self.fees + self.refunded == self.escrowed
            and self.credited == with_workers
            and self.fees == self.total("platform:revenue")
            and self.paid_out == self.provider_paid
        )


def faults(facts: Facts) -> list[str]:
    """What makes a run a failure, in words; empty where all is well."""
    found = []
    if not facts.books_balanced:
        found.append("the books do not balance")
    if facts.answers_undecided or facts.answers_approved != facts.answers_accepted:
        open_ = facts.answers_undecided or facts.answers_accepted - facts.answers_approved
        found.append(f"{open_} of {facts.answers_accepted} accepted answers are not decided")
    accounted = facts.rows_accepted + facts.rows_rejected
    if not facts.rows_sent == facts.rows_read == accounted or facts.rows_published != facts.rows_accepted:
        found.append(
            f"rows are unaccounted for: {facts.rows_sent} sent, {facts.rows_read} read, {facts.rows_accepted} "
            f"accepted, {facts.rows_rejected} rejected, {facts.rows_published} in the results"
        )
    if facts.decided_otherwise:
        found.append(f"{facts.decided_otherwise} results are not what the engine makes of the same answers")
    return found


def summary(facts: Facts) -> dict[str, Any]:
    """The one line for programs, in the order of its names."""
    return {
        "tasks": facts.rows_accepted,
        "answers": facts.answers_approved,
        "accuracy": round(facts.accuracy, 6),
        "labels_saved": round(1 - facts.answers_approved / facts.labels_available, 6),
        "decided_as_evaluated": not facts.decided_otherwise,
        "credited_micros": _micros(facts.credited),
        "fee_micros": _micros(facts.fees),
        "escrow_left_micros": _micros(facts.total("escrow")),
        "payouts_settled": facts.payouts_settled,
        "paid_out_micros": _micros(facts.paid_out),
        "rows_rejected": facts.rows_rejected,
        "books_balanced": facts.books_balanced,
        "seconds": round(facts.seconds, 1),
    }


def parse_results(content: bytes) -> list[Any]:
    """The rows of a results file in JSON Lines."""
    return [json.loads(line) for line in content.splitlines()]


def accuracy(results: Iterable[Mapping[str, Any]], gold: Mapping[str, str]) -> float:
    """The share of gold rows whose published result is right."""
    right = sum(1 for result in results if result["answer"] == gold[result["row_id"]])
    return right / len(gold)


def _micros(amount: Decimal) -> int:
    return int(amount * MICROS)
