"""What the demo says of a run, and what makes it fail."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from local.demo import tell
from local.summary import Facts, accuracy, faults, parse_results, summary

WELL = Facts(
    rows_sent=62,
    rows_read=62,
    rows_accepted=60,
    rows_rejected=2,
    rows_published=60,
    answers_accepted=180,
    answers_undecided=0,
    answers_approved=180,
    accuracy=0.9555555,
    labels_available=240,
    decided_otherwise=0,
    reward=Decimal("0.40"),
    fee=Decimal("0.10"),
    escrowed=Decimal(100),
    refunded=Decimal(10),
    payouts_settled=6,
    paid_out=Decimal(70),
    provider_paid=Decimal(70),
    audit_balanced=True,
    totals={
        "escrow": Decimal(0),
        "requester": Decimal(10),
        "worker": Decimal(2),
        "rail:gateway:cash": Decimal(70),
        "rail:gateway:clearing": Decimal(0),
        "platform:revenue": Decimal(18),
        "funding:test": Decimal(-100),
    },
    seconds=12.34,
)

UNBALANCED = {
    "the audit found a difference": replace(WELL, audit_balanced=False),
    "a refund that was too small": replace(WELL, refunded=Decimal("9.99")),
    "the provider paid more than we know of": replace(WELL, provider_paid=Decimal("70.01")),
    "the journal gives workers more than was approved": replace(WELL, totals={**WELL.totals, "worker": Decimal(3)}),
    "the platform kept a micro too much": replace(
        WELL, totals={**WELL.totals, "platform:revenue": Decimal("18.000001")}
    ),
}
UNDECIDED = {
    "an answer that waits": replace(WELL, answers_undecided=1),
    "an answer that nobody counted": replace(WELL, answers_accepted=181),
}
UNACCOUNTED = {
    "a row that was never read": replace(WELL, rows_sent=63),
    "a row neither accepted nor rejected": replace(WELL, rows_rejected=1),
    "a task without a result": replace(WELL, rows_published=59),
}


def told(facts: Facts, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    code = tell(Console(stderr=True), facts)
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(WELL, capsys) == (
        0,
        {
            "tasks": 60,
            "answers": 180,
            "accuracy": 0.955556,
            "labels_saved": 0.25,
            "decided_as_evaluated": True,
            "credited_micros": 72_000_000,
            "fee_micros": 18_000_000,
            "escrow_left_micros": 0,
            "payouts_settled": 6,
            "paid_out_micros": 70_000_000,
            "rows_rejected": 2,
            "books_balanced": True,
            "seconds": 12.3,
        },
    )


@pytest.mark.parametrize("what", UNBALANCED)
def test_books_that_do_not_balance_are_a_failure(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = told(UNBALANCED[what], capsys)
    assert (code, line["books_balanced"]) == (1, False)


@pytest.mark.parametrize("what", UNDECIDED)
def test_undecided_answers_are_a_failure(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = told(UNDECIDED[what], capsys)
    assert (code, line["books_balanced"]) == (1, True), "the books have nothing to do with it"


@pytest.mark.parametrize("what", UNACCOUNTED)
def test_rows_unaccounted_for_are_a_failure(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = told(UNACCOUNTED[what], capsys)
    assert (code, line["books_balanced"]) == (1, True), "the books have nothing to do with it"


def test_a_failure_says_what_is_wrong() -> None:
    worst = replace(WELL, audit_balanced=False, answers_undecided=3, rows_read=60)
    assert faults(WELL) == []
    assert faults(worst) == [
        "the books do not balance",
        "3 of 180 accepted answers are not decided",
        "rows are unaccounted for: 62 sent, 60 read, 60 accepted, 2 rejected, 60 in the results",
    ]


def test_a_result_that_the_engine_would_not_have_given_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = told(replace(WELL, decided_otherwise=2), capsys)
    assert (code, line["decided_as_evaluated"]) == (1, False)
    assert faults(replace(WELL, decided_otherwise=2)) == ["2 results are not what the engine makes of the same answers"]


def test_money_still_in_escrow_is_told() -> None:
    left = replace(WELL, totals={**WELL.totals, "escrow": Decimal("0.000001")})
    assert summary(left)["escrow_left_micros"] == 1


def test_accuracy_is_the_share_of_results_that_are_right() -> None:
    results = parse_results(
        b'{"row_id":"1","answer":"x","tied":false,"answers":[{"answer":"x"},{"answer":"x"},{"answer":"y"}]}\n'
        b'{"row_id":"2","answer":"x","tied":true,"answers":[{"answer":"x"},{"answer":"y"}]}\n'
        b'{"row_id":"3","answer":"x","tied":true,"answers":[{"answer":"x"},{"answer":"y"},{"answer":"z"}]}\n'
        b'{"row_id":"4","answer":null,"tied":false,"answers":[]}\n'
    )
    assert accuracy(results, {"1": "x", "2": "y", "3": "q", "4": "x"}) == pytest.approx(1 / 4)
