"""Errands: what takes a client of the API a request and some waiting."""

import itertools
from collections.abc import Callable
from typing import Any

from cli.client import Client, Refused
from cli.wait import until

PATIENCE_SECONDS = 900.0
POLL_SECONDS = 0.2
Seen = Callable[[Any], None]
_IMPORT_ENDED = ("done", "failed", "held")
_LOOKS_UNTIL_THE_SAME_IS_NEWS = 100


def _nobody(_document: Any) -> None:
    """Looks at nothing."""


def import_report(requester: Client, batch_id: str, *, seen: Seen = _nobody, after: Any = None) -> Any:
    """The report of an import that went well; Refused with the report where the file as a whole was no good.

    `after` is the report that stood before the file was sent; `seen` gets the report each time it is looked at.
    """
    same = itertools.count(1)
    moved = False

    def settled() -> Any:
        nonlocal moved
        report = requester.get(f"/batches/{batch_id}/import")
        seen(report)
        moved = moved or _told(report) != _told(after)
        # The same file may fail the same way again, between two looks.
        is_news = moved or next(same) > _LOOKS_UNTIL_THE_SAME_IS_NEWS
        return report if is_news and report["state"] in _IMPORT_ENDED else None

    report = until(settled, what="the import", seconds=PATIENCE_SECONDS, every=POLL_SECONDS)
    if report["state"] != "done":
        raise Refused("PUT", "the file", 422, report)
    return report


def _told(report: Any) -> Any:
    # Every look at a report signs another link.
    return report and {name: value for name, value in report.items() if not name.endswith("_url")}


def audited(operator: Client, *, seen: Seen = _nobody) -> Any:
    """The report of a books audit."""
    audit_id = operator.post("/audits")["audit_id"]

    def finished() -> Any:
        audit = operator.get(f"/audits/{audit_id}")
        seen(audit)
        return audit if audit["state"] != "running" else None

    return until(finished, what="the audit", seconds=PATIENCE_SECONDS, every=POLL_SECONDS)


def paid_out(operator: Client, *, rounds: int = 8, first_wait_seconds: int = 1, seen: Seen = _nobody) -> Any:
    """A payout run in which every member has an outcome; `seen` gets it each time it is looked at."""
    run_id = operator.post("/payout-runs", {"rounds": rounds, "first_wait_seconds": first_wait_seconds})["run_id"]

    def finished() -> Any:
        run = operator.get(f"/payout-runs/{run_id}")
        seen(run)
        return run if run["state"] == "finished" else None

    return until(finished, what="the payout run", seconds=PATIENCE_SECONDS, every=POLL_SECONDS)
