"""The main job, end to end, on the platform on this machine, over HTTP as real clients would do it.

    python -m local.demo                                    the project's own sample
    python -m local.demo --dataset ../shared/datasets/rte --tasks 100

Ends with a table and, as its last line, one JSON object. Exits with 1 if the books do not balance, anything accepted
is undecided, or a row is unaccounted for.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from local import answers as who
from local.answers import BadDataset, Labels
from local.clients import Client, Refused, fetch, sign_up, upload
from local.up import FAILURES, Platform, running
from local.wait import NeverHappened, until

PRICE = "0.50"
CURRENCY = "USD"
MICROS = 1_000_000
AT_ONCE = 8
PATIENCE_SECONDS = 900.0


@dataclass
class Job:
    """One run of the demo, as it goes on."""

    platform: Platform
    labels: Labels
    show: Progress
    requester: Client = field(init=False)
    operator: Client = field(init=False)
    workers: dict[str, Client] = field(default_factory=dict)
    batch_id: str = ""
    pages: list[tuple[Client, str]] = field(default_factory=list)

    @contextmanager
    def stage(self, what: str, total: int) -> Iterator[TaskID]:
        """A progress bar that is full at the end."""
        bar = self.show.add_task(what, total=total)
        yield bar
        self.show.update(bar, completed=total)

    def batch(self, rest: str = "") -> str:
        """The path of the batch, or of something below it."""
        return f"/batches/{self.batch_id}{rest}"


def people_sign_up(job: Job) -> None:
    """A requester, an operator, and every worker."""
    names = list(job.labels.answers)
    with job.stage("people sign up", len(names) + 2) as bar, ThreadPoolExecutor(AT_ONCE) as pool:
        job.requester = sign_up(job.platform, "requester", "requester")
        job.operator = sign_up(job.platform, "operator", "operator")
        job.show.advance(bar, 2)
        for name, client in zip(
            names, pool.map(lambda name: sign_up(job.platform, "worker", f"worker-{name}"), names), strict=True
        ):
            job.workers[name] = client
            job.show.advance(bar)


def batch_is_imported(job: Job) -> Any:
    """The requester describes the batch, uploads its file, and waits for the import."""
    labels = job.labels
    created = job.requester.post(
        "/batches",
        {
            "title": labels.title,
            "instructions": "Choose the label that fits best.",
            "price": PRICE,
            "currency": CURRENCY,
            "min_answers": labels.overlap,
            "max_answers": labels.overlap,
            "page_size": 50 if labels.named else 10,
            "named": labels.named,
            "answer_schema": {"type": "string", "maxLength": 4000}
            if len(labels.labels) > 100
            else {"enum": labels.labels},
        },
    )
    job.batch_id = created["batch"]["batch_id"]
    with job.stage("file is imported", len(labels.gold)):
        upload(created["upload"], labels.file)

        def imported() -> Any:
            report = job.requester.get(job.batch("/import"))
            return report if report["state"] in ("done", "failed") else None

        report = until(imported, what="the import", seconds=PATIENCE_SECONDS, every=0.3)
        if report["state"] == "failed":
            raise Refused("PUT", "the file", 422, report)
    return report


def batch_is_published(job: Job) -> None:
    """The requester pays in what the batch costs and publishes it."""
    with job.stage("batch is paid and published", 1):
        cost = job.requester.get(job.batch())["cost"]
        job.requester.post("/deposits", {"amount": cost, "currency": CURRENCY})
        job.requester.post(job.batch("/publish"))


def workers_answer(job: Job) -> int:
    """Workers lease pages and submit answers; returns how many answers were accepted."""
    total = (
        sum(map(len, job.labels.answers.values())) if job.labels.named else len(job.labels.gold) * job.labels.overlap
    )
    rows = {task["task_id"]: task["row_id"] for task in job.requester.every(job.batch("/tasks"), "tasks")}
    tasks = {row: task_id for task_id, row in rows.items()}
    with job.stage("workers answer", total) as bar, ThreadPoolExecutor(AT_ONCE) as pool:

        def work(name: str) -> int:
            given = job.labels.answers[name]
            wanted = [tasks[row] for row in given] if job.labels.named else None
            return _work(job, bar, job.workers[name], {tasks[row]: label for row, label in given.items()}, wanted)

        return sum(pool.map(work, job.labels.answers))


def _work(job: Job, bar: TaskID, worker: Client, labels: Mapping[str, str], wanted: list[str] | None) -> int:
    answered = 0
    while wanted is None or wanted:
        ask: dict[str, Any] = {"batch_id": job.batch_id}
        if wanted is not None:
            ask["tasks"] = wanted[:50]
        try:
            page = worker.post("/pages", ask)["page"]
        except Refused as refused:
            if refused.code == "batch_not_active":
                return answered
            raise
        if page is None:
            return answered
        got = [one["task_id"] for one in page["assignments"]]
        worker.call(
            "POST",
            f"/pages/{page['page_id']}/submission",
            {"answers": [{"task_id": task_id, "answer": labels[task_id]} for task_id in got]},
        )
        job.pages.append((worker, page["page_id"]))
        answered += len(got)
        job.show.advance(bar, len(got))
        if wanted is not None:
            wanted = [task_id for task_id in wanted if task_id not in got]
    return answered


def batch_ends(job: Job, answered: int) -> int:
    """Every accepted answer is decided, the batch is closed; returns how many accepted answers are undecided."""
    with job.stage("answers are graded", answered) as bar:

        def graded() -> bool | None:
            done = job.requester.get(job.batch("/progress"))["answers_approved"]
            job.show.update(bar, completed=done)
            return done >= answered or None

        until(graded, what="the grading", seconds=PATIENCE_SECONDS, every=0.3)
    with job.stage("batch is finished", 1):
        progress = job.requester.get(job.batch("/progress"))
        if progress["state"] == "active" and progress["tasks_closed"] < progress["task_count"]:
            job.requester.post(job.batch("/close"))  # some rows have fewer labels than others

        def ended() -> bool | None:
            return job.requester.get(job.batch())["state"] == "closed" or None

        until(ended, what="the end of the batch", seconds=PATIENCE_SECONDS, every=0.3)
    undecided = 0
    for worker, page_id in job.pages:
        submission = worker.get(f"/pages/{page_id}/submission")
        undecided += sum(one["state"] == "submitted" for one in submission["assignments"])
    return undecided


def workers_are_paid(job: Job) -> tuple[int, Decimal]:
    """Workers above the threshold ask for their money; a payout run sends it. Returns how many were settled, and how much."""
    rich = [
        worker
        for worker in job.workers.values()
        if Decimal(worker.get("/balance")["available"]) >= Decimal(worker.get("/profile")["payout_threshold"])
    ]
    with job.stage("payouts", len(rich)) as bar:
        for worker in rich:
            worker.put("/payout-destination", {"rail": "gateway", "address": f"{worker.name}@example.com"})
            worker.post("/payouts", {"currency": CURRENCY})
        run_id = job.operator.post("/payout-runs", {"rounds": 8, "first_wait_seconds": 1})["run_id"]

        def finished() -> Any:
            run = job.operator.get(f"/payout-runs/{run_id}")
            job.show.update(bar, completed=run["settled"])
            return run if run["state"] in ("finished", "waiting") else None

        run = until(finished, what="the payout run", seconds=PATIENCE_SECONDS, every=0.3)
    return run["settled"], Decimal(run["paid"].get(CURRENCY, "0"))


def books_are_audited(job: Job) -> Any:
    """An operator has every balance recomputed from the entries."""
    with job.stage("books are audited", 1):
        audit_id = job.operator.post("/audits")["audit_id"]

        def audited() -> Any:
            audit = job.operator.get(f"/audits/{audit_id}")
            return audit if audit["state"] != "running" else None

        return until(audited, what="the audit", seconds=PATIENCE_SECONDS, every=0.3)


def accuracy(job: Job) -> float:
    """The share of gold rows whose published result is right. A tie counts for the share of its answers that are."""
    link = job.requester.get(job.batch("/results"), format="jsonl")["url"]
    right = 0.0
    for line in fetch(link).decode().splitlines():
        result = json.loads(line)
        truth = job.labels.gold[result["row_id"]]
        counts = Counter(one["answer"] if isinstance(one, dict) else one for one in result["answers"])
        best = max(counts.values(), default=0)
        leaders = [answer for answer, count in counts.items() if count == best]
        if result["tied"]:
            right += (truth in leaders) / len(leaders)
        else:
            right += result["answer"] == truth
    return right / len(job.labels.gold)


def run(job: Job) -> dict[str, Any]:
    """Everything, in order; returns the summary."""
    started = time.monotonic()
    people_sign_up(job)
    report = batch_is_imported(job)
    batch_is_published(job)
    answered = workers_answer(job)
    undecided = batch_ends(job, answered)
    settled, paid = workers_are_paid(job)
    audit = books_are_audited(job)
    movements = {row["kind"]: Decimal(row["amount"]) for row in job.requester.every("/statement", "rows")}
    batch = job.requester.get(job.batch())
    approved = job.requester.get(job.batch("/progress"))["answers_approved"]
    credited, fee = approved * Decimal(batch["reward"]), approved * Decimal(batch["fee"])
    escrowed, refunded = -movements["escrow"], movements.get("refund", Decimal(0))
    left = Decimal(audit["totals"].get("escrow", {}).get(CURRENCY, "0"))
    provider = Decimal(job.platform.provider.totals()["paid"].get(CURRENCY, "0"))
    balanced = bool(audit["books_balanced"]) and credited + fee + refunded == escrowed and provider == paid
    rows = report["rows_accepted"] + report["rows_rejected"] == report["rows_read"]
    return {
        "tasks": report["rows_accepted"],
        "answers": approved,
        "accuracy": round(accuracy(job), 6),
        "credited_micros": int(credited * MICROS),
        "fee_micros": int(fee * MICROS),
        "escrow_left_micros": int(left * MICROS),
        "payouts_settled": settled,
        "paid_out_micros": int(paid * MICROS),
        "rows_rejected": report["rows_rejected"],
        "books_balanced": balanced and undecided == 0 and rows,
        "seconds": round(time.monotonic() - started, 1),
    }


def tell(console: Console, summary: Mapping[str, Any]) -> None:
    """The table for people, then the line for programs."""
    table = Table(title="What came of it", show_header=False)
    for name, value in summary.items():
        shown = (
            f"{value / MICROS:,.6f} {CURRENCY}"
            if name.endswith("_micros")
            else f"{value:,}"
            if type(value) is int
            else str(value)
        )
        table.add_row(name.removesuffix("_micros").replace("_", " "), shown)
    console.print(table)
    print(json.dumps(summary), flush=True)


def main() -> int:
    """Runs the demo; 0 where all is well."""
    options = argparse.ArgumentParser(prog="local.demo", description=__doc__)
    options.add_argument("--dataset", type=Path, help="a folder with labels.csv and gold.csv")
    options.add_argument("--tasks", type=int, help="only the first so many tasks of gold.csv")
    chosen = options.parse_args()
    console = Console(stderr=True)
    try:
        labels = who.from_folder(chosen.dataset, chosen.tasks) if chosen.dataset else who.sample()
        columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with running(console=console) as platform, Progress(*columns, console=console) as show:
            summary = run(Job(platform, labels, show))
    except (*FAILURES, BadDataset, Refused, NeverHappened) as failed:
        console.print(str(failed), style="red", markup=False, highlight=False)
        return 1
    tell(console, summary)
    return 0 if summary["books_balanced"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
