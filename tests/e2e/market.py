"""People and batches on the running platform, in a line each."""

import itertools
import secrets
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cli.client import Client, fetch
from cli.errands import audited
from cli.wait import until
from local import errands
from local.clients import sign_up
from local.running import Platform
from local.summary import parse_results

LABELS = ("cat", "dog")
PATIENCE_SECONDS = 240.0


def csv_rows(count: int, *, first: int = 0) -> list[str]:
    """Lines of a file with the columns id and word."""
    return [f"w{number:06d},word {number}" for number in range(first, first + count)]


def csv_file(rows: list[str]) -> bytes:
    """A file with these lines under its header."""
    return "\n".join(["id,word", *rows, ""]).encode()


@dataclass(frozen=True)
class Offer:
    """A batch and whose it is."""

    batch_id: str
    requester: Client
    report: Any

    def get(self, rest: str = "", **query: str | int) -> Any:
        """What the API says of the batch, or of something below it."""
        return self.requester.get(f"/batches/{self.batch_id}{rest}", **query)

    def tasks(self) -> list[Any]:
        """Every task."""
        return self.requester.every(f"/batches/{self.batch_id}/tasks", "tasks")

    def results(self) -> list[Any]:
        """The published results."""
        return parse_results(fetch(self.get("/results", format="jsonl")["url"]))

    def movements(self) -> dict[str, Decimal]:
        """What the requester's statement says, by kind."""
        return {row["kind"]: Decimal(row["amount"]) for row in self.requester.every("/statement", "rows")}

    def ends(self) -> None:
        """Waits until the batch has closed."""
        until(lambda: self.get()["state"] == "closed", what="the end of the batch", seconds=PATIENCE_SECONDS, every=0.2)


class Market:
    """The platform, and short ways to use it. Nobody is called the same twice."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._numbers = itertools.count(1)

    def person(self, audience: str) -> Client:
        """Somebody new."""
        return sign_up(self.platform, audience, f"{audience}-{next(self._numbers)}")

    def offer(self, rows: int, **batch: Any) -> Offer:
        """A published batch with so many tasks."""
        offer = self.draft(csv_file(csv_rows(rows)), **batch)
        errands.published(offer.requester, offer.batch_id)
        return offer

    def draft(self, content: bytes, **batch: Any) -> Offer:
        """A batch with an imported file."""
        requester = self.person("requester")
        batch_id, report = errands.imported(requester, self.described(**batch), content)
        return Offer(batch_id, requester, report)

    def described(self, **batch: Any) -> dict[str, Any]:
        """A batch as the API wants it."""
        return {
            "title": "Cat or dog?",
            "instructions": "Look.",
            "price": "0.50",
            "answer_schema": {"enum": list(LABELS)},
        } | batch

    def books_balance(self) -> bool:
        """Whether a books audit says so."""
        return bool(audited(self.person("operator"))["books_balanced"])


def lease(worker: Client, batch_id: str, *, key: str | None = None) -> Any:
    """The next page, or None."""
    return worker.post("/pages", {"batch_id": batch_id}, key=key)["page"]


def answers(page: Any) -> dict[str, Any]:
    """A submission of the page: the same answer to the same task from everybody."""
    given = [{"task_id": one["task_id"], "answer": answer_to(one["task_id"])} for one in page["assignments"]]
    return {"answers": given}


def answer_to(task_id: str) -> str:
    """What everybody says about a task."""
    return LABELS[sum(task_id.encode()) % len(LABELS)]


def submit(worker: Client, page: Any) -> Any:
    """Sends the answers to a page."""
    return worker.call("POST", f"/pages/{page['page_id']}/submission", answers(page))


def work_through(worker: Client, batch_id: str) -> int:
    """Answers whatever there is for this worker; returns how many."""
    answered = 0
    while (page := lease(worker, batch_id)) is not None:
        submit(worker, page)
        answered += len(page["assignments"])
    return answered


def decided(worker: Client, page_id: str) -> Any:
    """Waits for the decision of a submission, and returns it."""

    def known() -> Any:
        submission = worker.get(f"/pages/{page_id}/submission")
        return submission if submission["decided_at"] else None

    return until(known, what="the decision", seconds=PATIENCE_SECONDS, every=0.2)


def fresh() -> str:
    """An Idempotency-Key."""
    return secrets.token_hex(8)
