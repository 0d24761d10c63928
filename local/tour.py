"""A walk through what makes the platform comfortable, by one client, against the platform on this machine.

`python -m local.tour` prints the transcript; `--write` puts it into docs/tour.md. Every step checks what it shows, so a
transcript that was written is one that held.
"""

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import boto3
import urllib3
from botocore.exceptions import ClientError
from rich.console import Console

from cli.client import Client, fetch, upload
from cli.errands import audited, import_report
from cli.wait import until
from local.clients import sign_up
from local.paths import ROOT
from local.running import FAILURES, Platform, running

TRANSCRIPT = ROOT / "docs" / "tour.md"
TASKS = 30
PAGE_SIZE = 10
SHOWN = 2
PATIENCE_SECONDS = 180.0
CURRENCY = "USD"
RUBRIC = "Say what kind of thing the word means, not what it rhymes with."
BATCH = {
    "title": "What kind of thing is it?",
    "instructions": "Choose the label that fits best.",
    "price": "0.50",
    "min_answers": 1,
    "max_answers": 1,
    "answer_schema": {"enum": ["fruit", "tool"]},
    "expected_seconds": 12,
    "review": {"mode": "deadline", "seconds": 86_400},
    "rubric": [RUBRIC],
}
_INTRODUCTION = """# A walk through Small Peck

What `python -m local.tour --write` printed: one client, the platform on this machine, everything over HTTP and S3. Long
answers are cut (`...`); ids, times and links differ from run to run. `tests/e2e/test_tour.py` walks it in CI.
"""


class NotAsShown(Exception):
    """A step did not do what it is there to show."""


@dataclass
class Tour:
    """The walk so far."""

    platform: Platform
    say: Callable[[str], None]
    lines: list[str] = field(default_factory=list)

    def chapter(self, title: str) -> None:
        """Begins a chapter."""
        self._line(f"## {title}\n")

    def show(self, what: str, asked: str, answer: Any, *names: str) -> Any:
        """Writes a step down, with the named parts of its answer, and returns the whole of it."""
        shown = {name: answer[name] for name in names} if names else answer
        text = shown if isinstance(shown, str) else json.dumps(_cut(shown), ensure_ascii=False)
        asked = asked.replace(" /batches", " /v1/requester/batches")
        self._line(f"{what}\n\n```\n{asked}\n{text}\n```\n")
        return answer

    def holds(self, fact: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
        """Ends the walk where something is not as it should be."""
        if not fact:
            raise NotAsShown(what)

    def _line(self, text: str) -> None:
        self.lines.append(text)
        self.say(text)


def walk(tour: Tour) -> None:
    """The whole walk."""
    requester = sign_up(tour.platform, "requester", "tour-requester")
    worker = sign_up(tour.platform, "worker", "tour-worker")
    operator = sign_up(tour.platform, "operator", "tour-operator")
    batch = before_money_moves(tour, requester)
    publishing(tour, requester, batch)
    pages = working(tour, worker, batch)
    steering(tour, requester, batch)
    reviewing(tour, requester, worker, batch, pages)
    being_paid(tour, worker)
    dropping(tour, requester, sign_up(tour.platform, "requester", "tour-neighbour"))
    tour.chapter("The books")
    audit = tour.show("An operator audits them.", "POST /v1/operator/audits", audited(operator), "books_balanced")
    tour.holds(audit["books_balanced"], "the books balance")


def before_money_moves(tour: Tour, requester: Client) -> str:
    """Validate, price and preview."""
    tour.chapter("Requesters: before any money moves")
    created = requester.post("/batches", BATCH)
    path = f"/batches/{created['batch']['batch_id']}"
    rows = [*(f"w{n:02d},word {n}" for n in range(TASKS)), "w99,one,cell too many"]
    upload(created["upload"], io.BytesIO("\n".join(["id,word", *rows, ""]).encode()))
    import_report(requester, created["batch"]["batch_id"])
    checked = tour.show(
        "`validate` says line by line what is wrong, and what is missing on the account.",
        f"POST {path}/validate",
        requester.post(f"{path}/validate"),
        *("publishable", "rejected_rows", "cost", "available", "missing"),
    )
    tour.holds(len(checked["rejected_rows"]) == 1, "the bad row is named")
    price = tour.show(
        "`price` says what it costs, how long it takes five workers, and what they earn an hour.",
        f"POST {path}/price?workers=5",
        requester.call("POST", f"{path}/price?workers=5", {}),
        *("cost", "reward", "fee", "duration_seconds", "hourly_pay"),
    )
    tour.holds(price["cost"] == checked["missing"] == "15.00", "price and validate agree")
    preview = tour.show(
        "`preview` is the page that a worker would get.",
        f"GET {path}/preview",
        requester.get(f"{path}/preview"),
        "page",
    )
    tour.holds(len(preview["page"]["assignments"]) == PAGE_SIZE, "a page has ten tasks")
    tour.holds(requester.get("/statement")["rows"] == [], "nothing has moved")
    return str(created["batch"]["batch_id"])


def publishing(tour: Tour, requester: Client, batch_id: str) -> None:
    """What publishing takes is what `price` said."""
    requester.post("/deposits", {"amount": "40.00"})
    requester.post(f"/batches/{batch_id}/publish")
    moved = requester.get("/statement")["rows"][0]
    tour.show("Publishing takes exactly that.", "GET /v1/requester/statement", moved, "kind", "amount", "balance")
    tour.holds(moved["amount"] == "-15.00", "what is reserved equals the price")


def working(tour: Tour, worker: Client, batch_id: str) -> list[Any]:
    """Sorting, fetching ahead, skipping."""
    tour.chapter("Workers: choose, fetch ahead, skip")
    listed = worker.get("/batches", sort="hourly", kind="choice", currency=CURRENCY, min_reward="0.10")
    tour.show(
        "Sorted by the true hourly rate, filtered by kind and reward.",
        "GET /v1/worker/batches?sort=hourly&kind=choice&currency=USD&min_reward=0.10",
        [{name: one[name] for name in ("title", "reward", "hourly", "median_seconds")} for one in listed["batches"]],
    )
    first = worker.post("/pages", {"batch_id": batch_id})["page"]
    answers: list[dict[str, str]] = [{"task_id": one["task_id"], "answer": "fruit"} for one in first["assignments"][1:]]
    answers.append({"task_id": first["assignments"][0]["task_id"], "skip": "unclear_instructions"})
    path = f"/pages/{first['page_id']}/submission"
    receipt = worker.call("POST", path, {"answers": answers, "next": {"idempotency_key": "second-page"}})
    tour.show(
        "One task is skipped with a reason, and the receipt brings the next page.",
        f"POST /v1/worker{path}",
        receipt,
        *("state", "next_page"),
    )
    second = receipt["next_page"]
    tour.holds(second is not None and second["page_id"] != first["page_id"], "the receipt carries another page")
    worker.call(
        "POST",
        f"/pages/{second['page_id']}/submission",
        {"answers": [{"task_id": one["task_id"], "answer": "tool"} for one in second["assignments"]]},
    )
    return [first, second]


def steering(tour: Tour, requester: Client, batch_id: str) -> None:
    """Progress, pausing, extending, results while it runs."""
    tour.chapter("Requesters: while it runs")
    path = f"/batches/{batch_id}"

    def in_review() -> Any:
        progress = requester.get(f"{path}/progress")
        return progress if progress["answers_in_review"] == 2 * PAGE_SIZE - 1 else None

    progress = until(in_review, what="the pages in review", seconds=PATIENCE_SECONDS, every=0.2)
    names = ("state", "tasks_closed", "tasks_disputed", "answers_in_review", "spent", "refund_expected", "expected_end")
    tour.show("Live progress.", f"GET {path}/progress", progress, *names)
    plot = _text(requester, f"{path}/progress.svg")
    tour.show("The same as a plot, drawn by the server.", f"GET {path}/progress.svg", f"{plot[:90]}...")
    tour.holds(plot.startswith("<svg"), "the plot is SVG")
    for turn, state in (("pause", "paused"), ("resume", "active")):
        turned = tour.show(f"`{turn}`.", f"POST {path}/{turn}", requester.post(f"{path}/{turn}"), "state")
        tour.holds(turned["state"] == state, f"the batch is {state}")
    longer = tour.show(
        "One more answer for every task.",
        f"POST {path}/extend",
        requester.post(f"{path}/extend", {"more_answers": 1}),
        *("min_answers", "max_answers", "cost"),
    )
    tour.holds((longer["max_answers"], longer["cost"]) == (2, "30.00"), "the extension is paid for")


def reviewing(tour: Tour, requester: Client, worker: Client, batch_id: str, pages: list[Any]) -> None:
    """Bulk decisions, and results while the batch runs."""
    tour.chapter("Requesters: decide in bulk, and look at results early")
    path = f"/batches/{batch_id}"
    first, second = pages
    refused = second["assignments"][0]["task_id"]
    explanation = "The word names something that grows on a tree."
    decisions = [
        {"page_id": first["page_id"], "decision": "approve"},
        {
            "page_id": second["page_id"],
            "task_id": refused,
            "decision": "reject",
            "clause": 0,
            "explanation": explanation,
        },
        {"page_id": second["page_id"], "decision": "approve"},
    ]
    outcome = requester.post(f"{path}/decisions", {"decisions": decisions})
    tour.show("All approved but one, which breaks a clause of the rubric.", f"POST {path}/decisions", outcome)

    def decided() -> Any:
        submission = worker.get(f"/pages/{second['page_id']}/submission")
        return submission if submission["state"] == "decided" else None

    submission = until(decided, what="the decision", seconds=PATIENCE_SECONDS, every=0.2)
    tour.show(
        "The worker sees what became of each answer.",
        f"GET /v1/worker/pages/{second['page_id']}/submission",
        submission,
        *("state", "credited"),
    )
    tour.holds(submission["credited"] == "3.60", "nine of ten are paid")
    export_id = requester.post(f"{path}/exports", {"format": "jsonl"})["export_id"]

    def exported() -> Any:
        export = requester.get(f"{path}/exports/{export_id}")
        return export if export["state"] == "done" else None

    export = until(exported, what="the export", seconds=PATIENCE_SECONDS, every=0.2)
    results = [json.loads(line) for line in fetch(export["url"]).splitlines()]
    answered = sum(bool(one["answers"]) for one in results)
    tour.show("Results while the batch runs.", f"POST {path}/exports", {"tasks": len(results), "answered": answered})
    rejected = next(one for one in results if one["task_id"] == refused)
    tour.holds(rejected["answers"] == [], "a rejected answer reaches no export")


def being_paid(tour: Tour, worker: Client) -> None:
    """Earnings per day, what a payout costs and when it arrives, and paying out by itself."""
    tour.chapter("Workers: what was earned, and how it is paid")
    today = datetime.now(UTC).date().isoformat()
    asked = {"from": today, "to": today}
    earnings = worker.get("/earnings", **asked)
    tour.show(
        "Earnings per day.",
        f"GET /v1/worker/earnings?from={today}&to={today}",
        earnings,
        *("credited", "answers", "days"),
    )
    tour.holds(
        Decimal(earnings["credited"]) == Decimal(worker.get("/balance")["available"]), "earnings are the balance"
    )
    worker.put("/payout-destination", {"rail": "gateway", "address": "worker@example.com"})
    tour.show(
        "Fee and arrival, before anything is confirmed.",
        "GET /v1/worker/payout-quote?amount=5.00",
        worker.get("/payout-quote", amount="5.00"),
        *("amount", "fee", "arrives", "earliest_arrival", "latest_arrival", "missing"),
    )
    tour.show(
        "Paid out by itself from their own threshold on.",
        "PUT /v1/worker/profile",
        worker.put("/profile", {"payout_threshold": "6.00", "automatic_payouts": True}),
        *("payout_threshold", "automatic_payouts"),
    )
    _scheduled(tour)
    paid = until(
        lambda: [one for one in worker.get("/payouts")["payouts"] if one["state"] == "settled"] or None,
        what="the scheduled payout run",
        seconds=PATIENCE_SECONDS,
        every=0.2,
    )
    tour.show("The day's run has paid.", "GET /v1/worker/payouts", paid[0], "amount", "state")


def _scheduled(tour: Tour) -> None:
    """What the scheduler does once a day, now."""
    workflows = tour.platform.engine.client("stepfunctions")
    machine = tour.platform.deployment.output("PayoutScheduleMachineArn")
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    workflows.start_execution(stateMachineArn=machine, input=json.dumps({"scheduled_at": moment}))


def dropping(tour: Tour, requester: Client, neighbour: Client) -> None:
    """A batch by two files in S3, and what happens where the spec is wrong."""
    tour.chapter("Requesters: publish by dropping files")
    given = requester.post("/inbox-credentials")
    tour.show("Credentials that reach one inbox for an hour.", "POST /v1/requester/inbox-credentials", given, "prefix")
    s3 = boto3.client(
        "s3",
        endpoint_url=tour.platform.engine.url,
        region_name=tour.platform.engine.region,
        aws_access_key_id=given["access_key_id"],
        aws_secret_access_key=given["secret_access_key"],
        aws_session_token=given["session_token"],
    )

    def put(name: str, body: str) -> str:
        return str(s3.put_object(Bucket=given["bucket"], Key=given["prefix"] + name, Body=body.encode())["VersionId"])

    def reported(name: str) -> Any:
        def report() -> Any:
            try:
                answer = s3.get_object(Bucket=given["bucket"], Key=f"{given['prefix']}{name}.report.json")
            except ClientError:
                return None
            return json.loads(answer["Body"].read())

        return until(report, what="the report", seconds=PATIENCE_SECONDS, every=0.2)

    version = put("batch.csv", "id,word\n1,apple\n2,hammer\n")
    spec = (
        'title: Dropped\ninstructions: Choose.\nprice: "0.50"\nanswer_schema: {enum: [fruit, tool]}\n'
        f'data: {{key: batch.csv, version_id: "{version}"}}\npublish: true\n'
    )
    put("batch.yaml", spec)
    good = reported("batch.yaml")
    tour.show("Data and spec are dropped; a report appears beside them.", "batch.yaml.report.json", good)
    tour.holds(good["state"] == "published", "the drop is published")
    put("wrong.yaml", spec.replace('"0.50"', '"nothing"'))
    wrong = reported("wrong.yaml")
    tour.show("A spec with an error ends as a report too.", "wrong.yaml.report.json", wrong, "state", "problems")
    tour.holds(wrong["state"] == "refused", "the wrong spec is refused")
    prefixes = {given["prefix"], neighbour.post("/inbox-credentials")["prefix"]}
    tour.holds(len(prefixes) > 1, "each requester has their own prefix")


def _text(client: Client, path: str) -> str:
    """A page or picture of the API."""
    address = f"{client.api}/v1/{client.audience}{path}"
    return urllib3.request("GET", address, headers={"authorization": f"Bearer {client.token}"}).data.decode()


def _cut(value: Any, depth: int = 0) -> Any:
    """At most two members of each list, and none of what lies deep."""
    if isinstance(value, dict):
        return {name: _cut(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [*(_cut(inner, depth + 1) for inner in value[:SHOWN]), *(["..."] if len(value) > SHOWN else [])]
    return value


def transcript(lines: Iterable[str]) -> str:
    """The document."""
    return "\n".join((_INTRODUCTION, *lines))


def main() -> int:
    """Walks."""
    options = argparse.ArgumentParser(prog="local.tour", description=__doc__)
    options.add_argument("--write", action="store_true", help="put the transcript into docs/tour.md")
    chosen = options.parse_args()
    console = Console(stderr=True)
    try:
        with running(console=console, wait_scale=0.1) as platform:
            tour = Tour(platform, print)
            walk(tour)
    except (*FAILURES, NotAsShown) as failed:
        console.print(str(failed), style="red", markup=False, highlight=False)
        return 1
    if chosen.write:
        TRANSCRIPT.write_text(transcript(tour.lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
