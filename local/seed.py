"""People and work to try the platform with: what `make local` puts there, and how it is told."""

import json
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cli.client import Client
from local import answers as who
from local import errands
from local.clients import sign_up
from local.running import Platform

PEOPLE = {"rita": "requester", "oscar": "operator", "wanda": "worker", "wim": "worker"}
TEST_MONEY = "100.00"
ANSWERS_PER_TASK = 2
"""As many as there are workers, so that the two of them can finish the batch."""
LEASE_SECONDS = 14_400
LEASE_KEY = "first-page"


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """What stands there. The page is already leased: whoever asks under the same key is given it again."""

    people: tuple[Client, ...]
    batch_id: str
    page: Any
    answers: list[dict[str, str]]

    def person(self, audience: str) -> Client:
        """The first person of an audience."""
        return next(one for one in self.people if one.audience == audience)


def seed(platform: Platform) -> Seeded:
    """Signs people up, gives the requester money, publishes the sample, and leases a page of it for a worker."""
    with ThreadPoolExecutor(len(PEOPLE)) as pool:
        people = tuple(pool.map(lambda name: sign_up(platform, PEOPLE[name], name), PEOPLE))
    requester = next(one for one in people if one.audience == "requester")
    worker = next(one for one in people if one.audience == "worker")
    sample = who.sample()
    batch = errands.describe(
        sample, min_answers=ANSWERS_PER_TASK, max_answers=ANSWERS_PER_TASK, lease_seconds=LEASE_SECONDS
    )
    batch_id, _report = errands.imported(requester, batch, sample.file)
    requester.post("/deposits", {"amount": TEST_MONEY, "currency": errands.CURRENCY})
    errands.published(requester, batch_id)
    page = worker.post("/pages", {"batch_id": batch_id}, key=LEASE_KEY)["page"]
    rows = {task["task_id"]: task["row_id"] for task in requester.every(f"/batches/{batch_id}/tasks", "tasks")}
    answers = [{"task_id": one["task_id"], "answer": sample.gold[rows[one["task_id"]]]} for one in page["assignments"]]
    return Seeded(people=people, batch_id=batch_id, page=page, answers=answers)


def told(platform: Platform, seeded: Seeded) -> Iterator[str]:
    """The address, who there is, and five lines to paste in another terminal."""
    yield f"API  {platform.api}"
    yield ""
    yield f"Pay  {platform.checkout.base} (POST /v1/requester/checkouts answers a page there; open it, or POST to it)"
    yield ""
    yield "People (their tokens are good for an hour)"
    for one in seeded.people:
        yield f"  {one.audience:<10} {one.email}  password {one.password}"
        yield f"  token      {one.token}"
    yield ""
    yield "To paste in another terminal, one after the other"
    for line in curl_lines(seeded):
        yield ""
        yield line
    yield ""


def curl_lines(seeded: Seeded) -> list[str]:
    """A worker sees what there is to do, leases a page, submits it and is paid; the requester sees how far it is."""
    worker, requester = seeded.person("worker"), seeded.person("requester")
    return [
        _curl(worker, "/batches"),
        _curl(worker, "/pages", {"batch_id": seeded.batch_id}, key=LEASE_KEY),
        _curl(worker, f"/pages/{seeded.page['page_id']}/submission", {"answers": seeded.answers}),
        _curl(worker, "/balance"),
        _curl(requester, f"/batches/{seeded.batch_id}/progress"),
    ]


def _curl(who_asks: Client, path: str, body: Any = None, *, key: str | None = None) -> str:
    words = ["curl", "-sS", f"{who_asks.api}/v1/{who_asks.audience}{path}"]
    words += ["-H", f"authorization: Bearer {who_asks.token}"]
    if key is not None:
        words += ["-H", f"idempotency-key: {key}"]
    if body is not None:
        words += ["-H", "content-type: application/json", "-d", json.dumps(body)]
    return shlex.join([*words, "-w", r"\n"])
