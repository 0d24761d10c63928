"""Errands: what takes a client of the API several requests and some waiting."""

from collections.abc import Callable
from typing import Any

from local.answers import Labels
from local.clients import Client, Refused, upload
from local.wait import until

PRICE = "0.50"
CURRENCY = "USD"
NAMED_PAGE = 50
PATIENCE_SECONDS = 900.0
POLL_SECONDS = 0.2
_MANY_LABELS = 100


def describe(labels: Labels, **others: Any) -> dict[str, Any]:
    """The batch for a set of labels, as the API wants it; `others` override."""
    answer_schema = {"type": "string", "maxLength": 4_000} if len(labels.labels) > _MANY_LABELS else None
    return {
        "title": labels.title,
        "instructions": "Choose the label that fits best.",
        "price": PRICE,
        "currency": CURRENCY,
        "min_answers": labels.overlap,
        "max_answers": labels.overlap,
        "page_size": NAMED_PAGE if labels.named else 10,
        "named": labels.named,
        "answer_schema": answer_schema or {"enum": labels.labels},
    } | others


def imported(requester: Client, batch: dict[str, Any], content: bytes) -> tuple[str, Any]:
    """Creates the batch, puts its file where the API says, and waits for the import: the batch's id, the report."""
    created = requester.post("/batches", batch)
    batch_id: str = created["batch"]["batch_id"]
    upload(created["upload"], content)
    return batch_id, import_report(requester, batch_id)


def import_report(requester: Client, batch_id: str) -> Any:
    """The report of an import that went well; Refused with the report where the file as a whole was no good."""

    def settled() -> Any:
        report = requester.get(f"/batches/{batch_id}/import")
        return report if report["state"] in ("done", "failed") else None

    report = until(settled, what="the import", seconds=PATIENCE_SECONDS, every=POLL_SECONDS)
    if report["state"] == "failed":
        raise Refused("PUT", "the file", 422, report)
    return report


def published(requester: Client, batch_id: str) -> None:
    """Pays in what the batch costs, and publishes it."""
    cost = requester.get(f"/batches/{batch_id}")["cost"]
    requester.post("/deposits", {"amount": cost, "currency": CURRENCY})
    requester.post(f"/batches/{batch_id}/publish")


def audited(operator: Client) -> Any:
    """The report of a books audit."""
    audit_id = operator.post("/audits")["audit_id"]

    def finished() -> Any:
        audit = operator.get(f"/audits/{audit_id}")
        return audit if audit["state"] != "running" else None

    return until(finished, what="the audit", seconds=PATIENCE_SECONDS, every=POLL_SECONDS)


def paid_out(
    operator: Client, *, rounds: int = 8, first_wait_seconds: int = 1, seen: Callable[[Any], None] = lambda _run: None
) -> Any:
    """A payout run in which every member has an outcome; `seen` gets it each time it is looked at."""
    run_id = operator.post("/payout-runs", {"rounds": rounds, "first_wait_seconds": first_wait_seconds})["run_id"]

    def finished() -> Any:
        run = operator.get(f"/payout-runs/{run_id}")
        seen(run)
        return run if run["state"] == "finished" else None

    return until(finished, what="the payout run", seconds=PATIENCE_SECONDS, every=POLL_SECONDS)
