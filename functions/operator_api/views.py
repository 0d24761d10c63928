"""What operators are told of things, in the words of the wire."""

from functions.operator_api.schemas import AuditView, DifferenceView, RunView
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.kernel.money import format_amount
from smallpeck.ledger.audit import Difference
from smallpeck.ledger.audit_service import Audit
from smallpeck.payouts.runs import Run


def run(found: Run) -> RunView:
    tally = found.tally
    return RunView(
        run_id=found.run_id,
        state=found.state,
        started_at=to_rfc3339(found.started_at_ms),
        members=found.members,
        settled=tally.settled,
        released=tally.released,
        frozen=tally.frozen,
        unresolved=tally.unresolved,
        paid={currency: format_amount(micros, currency) for currency, micros in tally.paid.items()},
        reconciled=found.reconciled,
    )


def audit(found: Audit) -> AuditView:
    report = found.report
    return AuditView(
        audit_id=found.audit_id,
        state=found.state,
        requested_at=to_rfc3339(found.requested_at_ms),
        books_balanced=report.books_balanced if report else None,
        entries=report.entries if report else None,
        accounts=report.accounts if report else None,
        in_motion=report.in_motion if report else None,
        difference_count=report.difference_count if report else None,
        differences=[_difference(one) for one in report.differences] if report else [],
        totals={
            name: {currency: format_amount(micros, currency) for currency, micros in sums.items()}
            for name, sums in (report.totals if report else {}).items()
        },
    )


def _difference(found: Difference) -> DifferenceView:
    return DifferenceView(
        subject=found.subject,
        what=found.what,
        expected_micros=found.expected_micros,
        found_micros=found.found_micros,
    )
