"""Errands: what takes a client of the API several requests and some waiting."""

import io
from typing import Any

from cli.client import Client, upload
from cli.errands import import_report
from local.answers import Labels

PRICE = "0.50"
CURRENCY = "USD"
NAMED_PAGE = 50
_MANY_LABELS = 100


def describe(labels: Labels, **others: Any) -> dict[str, Any]:
    """The batch for a set of labels, as the API wants it; `others` override."""
    answer_schema = {"type": "string", "maxLength": 3_000} if len(labels.labels) > _MANY_LABELS else None
    return {
        "title": labels.title,
        "instructions": "Choose the label that fits best.",
        "price": PRICE,
        "currency": CURRENCY,
        "min_answers": 1 if labels.dynamic else labels.overlap,
        "max_answers": labels.overlap,
        "page_size": NAMED_PAGE if labels.named else 10,
        "named": labels.named,
        "answer_schema": answer_schema or {"enum": labels.labels},
    } | others


def imported(requester: Client, batch: dict[str, Any], content: bytes) -> tuple[str, Any]:
    """Creates the batch, puts its file where the API says, and waits for the import: the batch's id, the report."""
    created = requester.post("/batches", batch)
    batch_id: str = created["batch"]["batch_id"]
    upload(created["upload"], io.BytesIO(content))
    return batch_id, import_report(requester, batch_id)


def published(requester: Client, batch_id: str) -> None:
    """Pays in what the batch costs, and publishes it."""
    cost = requester.get(f"/batches/{batch_id}")["cost"]
    requester.post("/deposits", {"amount": cost, "currency": CURRENCY})
    requester.post(f"/batches/{batch_id}/publish")
