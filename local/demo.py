"""The main job, end to end, on the platform on this machine, over HTTP as real clients would do it.

    python -m local.demo                                    the project's own sample
    python -m local.demo --dataset ../shared/datasets/rte --tasks 100
    python -m local.demo --dataset ../shared/datasets/rte --tasks 100 --dynamic

Ends with a table and, as its last line, one JSON object. Exits with 1 if the books do not balance, anything accepted
is undecided, or a row is unaccounted for.
"""

import argparse
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.client import Client, Refused, fetch
from cli.errands import PATIENCE_SECONDS, POLL_SECONDS, audited, paid_out
from cli.wait import NeverHappened, pause, until
from local import answers as who
from local import errands
from local.answers import BadDataset, Labels
from local.clients import sign_up
from local.decisions import decided_otherwise
from local.errands import CURRENCY, NAMED_PAGE
from local.running import DEFAULT_LOG, FAILURES, Platform, running
from local.summary import MICROS, Facts, accuracy, faults, parse_results, summary

AT_ONCE = 8


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
    answered: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def stage(self, what: str, total: int) -> Iterator[TaskID]:
        """A progress bar that is full at the end."""
        bar = self.show.add_task(what, total=total)
        yield bar
        self.show.update(bar, completed=total)

    def batch(self, rest: str = "") -> str:
        """The path of the batch, or of something below it."""
        return f"/batches/{self.batch_id}{rest}"

    def submitted(self, worker: Client, page_id: str, answers: int) -> None:
        """Remembers a page that was accepted."""
        with self.lock:
            self.pages.append((worker, page_id))
            self.answered += answers


def people_sign_up(job: Job) -> None:
    """A requester, an operator, and every worker."""
    names = list(job.labels.answers)
    with job.stage("people sign up", len(names) + 2) as bar, ThreadPoolExecutor(AT_ONCE) as pool:

        def joined(audience: str, name: str) -> Client:
            client = sign_up(job.platform, audience, name)
            job.show.advance(bar)
            return client

        requester = pool.submit(joined, "requester", "requester")
        operator = pool.submit(joined, "operator", "operator")
        workers = pool.map(lambda name: joined("worker", f"worker-{name}"), names)
        job.workers = dict(zip(names, workers, strict=True))
        job.requester, job.operator = requester.result(), operator.result()


def batch_is_published(job: Job) -> Any:
    """The requester describes the batch, uploads its file, waits for the import, pays and publishes: the report."""
    with job.stage("file is imported", job.labels.rows):
        job.batch_id, report = errands.imported(job.requester, errands.describe(job.labels), job.labels.file)
    with job.stage("batch is paid and published", 1):
        errands.published(job.requester, job.batch_id)
    return report


def workers_answer(job: Job) -> None:
    """Workers lease pages and submit answers, until there are as many as wanted."""
    tasks = {task["row_id"]: task["task_id"] for task in job.requester.every(job.batch("/tasks"), "tasks")}
    given = {
        name: {tasks[row]: label for row, label in answers.items()} for name, answers in job.labels.answers.items()
    }
    with job.stage("workers answer", job.labels.available) as bar, ThreadPoolExecutor(AT_ONCE) as pool:
        if job.labels.dynamic:
            _work_until_certain(job, bar, pool, given)
        else:
            work = _work_by_name if job.labels.named else _work
            list(pool.map(lambda name: work(job, bar, job.workers[name], given[name]), given))


def _work(job: Job, bar: TaskID, worker: Client, labels: Mapping[str, str]) -> None:
    """Takes what the platform hands out. Nothing to do is not the end: a seat may open again."""
    while job.answered < job.labels.available:
        try:
            leased = worker.post("/pages", {"batch_id": job.batch_id})
        except Refused as refused:
            if refused.code == "batch_not_active":
                return
            raise
        if leased["page"] is None:
            pause(POLL_SECONDS)
        else:
            _submit(job, bar, worker, leased["page"], labels)


def _work_by_name(job: Job, bar: TaskID, worker: Client, labels: Mapping[str, str]) -> None:
    """Does exactly the tasks that the worker did in the data."""
    left = list(labels)
    while left:
        page = worker.post("/pages", {"batch_id": job.batch_id, "tasks": left[:NAMED_PAGE]})["page"]
        done = set(_submit(job, bar, worker, page, labels))
        left = [task_id for task_id in left if task_id not in done]


def _work_until_certain(
    job: Job, bar: TaskID, pool: ThreadPoolExecutor, given: Mapping[str, Mapping[str, str]]
) -> None:
    """Rounds in which every worker offers their labels and does what is still asked for, until no task takes more.

    Every page is sent twice, as from a phone that got no answer, so that the grader hears of each more than once.
    """
    left = {name: dict(labels) for name, labels in given.items()}

    def work(name: str) -> int:
        try:
            page = job.workers[name].post("/pages", {"batch_id": job.batch_id, "tasks": list(left[name])[:NAMED_PAGE]})[
                "page"
            ]
        except Refused as refused:
            if refused.code in ("tasks_not_offered", "batch_not_active"):
                return 0
            raise
        done = _submit(job, bar, job.workers[name], page, left[name], times=2)
        for task_id in done:
            del left[name][task_id]
        return len(done)

    while any(left.values()):
        if not sum(pool.map(work, [name for name, labels in left.items() if labels])):
            return
        _all_graded(job)
        still_open = {
            task["task_id"] for task in job.requester.every(job.batch("/tasks"), "tasks") if task["status"] == "open"
        }
        for name, labels in left.items():
            left[name] = {task_id: label for task_id, label in labels.items() if task_id in still_open}


def _all_graded(job: Job) -> Any:
    """Waits until every answer that was accepted counts; the progress then."""

    def graded() -> Any:
        progress = job.requester.get(job.batch("/progress"))
        return progress if progress["answers_approved"] >= job.answered else None

    return until(graded, what="the grading", seconds=PATIENCE_SECONDS, every=POLL_SECONDS)


def _submit(job: Job, bar: TaskID, worker: Client, page: Any, labels: Mapping[str, str], times: int = 1) -> list[str]:
    got = [one["task_id"] for one in page["assignments"]]
    answers = [{"task_id": task_id, "answer": labels[task_id]} for task_id in got]
    for _ in range(times):
        worker.call("POST", f"/pages/{page['page_id']}/submission", {"answers": answers})
    job.submitted(worker, page["page_id"], len(got))
    job.show.advance(bar, len(got))
    return got


def batch_ends(job: Job) -> int:
    """Every accepted answer is decided, the batch is closed; returns how many accepted answers are undecided."""
    with job.stage("answers are graded", job.answered):
        progress = _all_graded(job)
    with job.stage("batch is finished", 1), ThreadPoolExecutor(AT_ONCE) as pool:
        if progress["state"] == "active" and progress["tasks_closed"] < progress["task_count"]:
            job.requester.post(job.batch("/close"))  # some rows have fewer labels than others
        undecided = sum(pool.map(lambda page: _undecided(*page), job.pages))

        def ended() -> bool:
            return bool(job.requester.get(job.batch())["state"] == "closed")

        until(ended, what="the end of the batch", seconds=PATIENCE_SECONDS, every=POLL_SECONDS)
    return undecided


def _undecided(worker: Client, page_id: str) -> int:
    submission = worker.get(f"/pages/{page_id}/submission")
    return sum(one["state"] == "submitted" for one in submission["assignments"])


def workers_are_paid(job: Job) -> Any:
    """Workers above the threshold ask for their money; a payout run sends it. Returns the run."""
    with job.stage("payouts", len(job.workers)) as bar, ThreadPoolExecutor(AT_ONCE) as pool:
        asking = sum(pool.map(_asks_for_money, job.workers.values()))
        job.show.update(bar, total=asking)
        return paid_out(job.operator, seen=lambda run: job.show.update(bar, completed=run["settled"]))


def _asks_for_money(worker: Client) -> bool:
    balance, profile = worker.get("/balance", currency=CURRENCY), worker.get("/profile")
    if Decimal(balance["available"]) < Decimal(profile["payout_threshold"]):
        return False
    worker.put("/payout-destination", {"rail": "gateway", "address": worker.email})
    worker.post("/payouts", {"currency": CURRENCY})
    return True


def run(job: Job) -> Facts:
    """Everything, in order."""
    started = time.monotonic()
    people_sign_up(job)
    report = batch_is_published(job)
    workers_answer(job)
    undecided = batch_ends(job)
    payouts = workers_are_paid(job)
    with job.stage("books are audited", 1):
        audit = audited(job.operator)
    movements = {row["kind"]: Decimal(row["amount"]) for row in job.requester.every("/statement", "rows")}
    batch = job.requester.get(job.batch())
    results = parse_results(fetch(job.requester.get(job.batch("/results"), format="jsonl")["url"]))
    return Facts(
        rows_sent=job.labels.rows,
        rows_read=report["rows_read"],
        rows_accepted=report["rows_accepted"],
        rows_rejected=report["rows_rejected"],
        rows_published=len({result["row_id"] for result in results}),
        answers_accepted=job.answered,
        answers_undecided=undecided,
        answers_approved=job.requester.get(job.batch("/progress"))["answers_approved"],
        accuracy=accuracy(results, job.labels.gold),
        labels_available=job.labels.available,
        decided_otherwise=decided_otherwise(results, job.labels.labels),
        reward=Decimal(batch["reward"]),
        fee=Decimal(batch["fee"]),
        escrowed=-movements["escrow"],
        refunded=movements.get("refund", Decimal(0)),
        payouts_settled=payouts["settled"],
        paid_out=Decimal(payouts["paid"].get(CURRENCY, "0")),
        provider_paid=Decimal(job.platform.provider.totals()["paid"].get(CURRENCY, "0")),
        audit_balanced=bool(audit["books_balanced"]),
        totals={name: Decimal(sums.get(CURRENCY, "0")) for name, sums in audit["totals"].items()},
        seconds=time.monotonic() - started,
    )


def tell(console: Console, facts: Facts) -> int:
    """The table for people, what is wrong, and the line for programs. Returns the exit code."""
    told, wrong = summary(facts), faults(facts)
    table = Table(title="What came of it", show_header=False)
    for name, value in told.items():
        table.add_row(name.removesuffix("_micros").replace("_", " "), _shown(name, value))
    console.print(table)
    for fault in wrong:
        console.print(fault, style="red", markup=False, highlight=False)
    print(json.dumps(told), flush=True)
    return 1 if wrong else 0


def _shown(name: str, value: Any) -> str:
    if name.endswith("_micros"):
        return f"{value / MICROS:,.6f} {CURRENCY}"
    return f"{value:,}" if type(value) is int else str(value)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tasks; it takes a whole number from 1 on")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo; 0 where all is well."""
    options = argparse.ArgumentParser(
        prog="local.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--dataset", type=Path, help="a folder with labels.csv and gold.csv")
    options.add_argument("--tasks", type=_count, help="only the first so many tasks of gold.csv")
    options.add_argument("--dynamic", action="store_true", help="tasks close as soon as they are certain enough")
    options.add_argument("--log", type=Path, default=DEFAULT_LOG, help="where the emulator's log goes")
    chosen = options.parse_args(arguments)
    if chosen.tasks and not chosen.dataset:
        options.error("--tasks takes the first tasks of a data set: say which with --dataset")
    if chosen.dynamic and not chosen.dataset:
        options.error("--dynamic leaves out labels of a data set: say which with --dataset")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        labels = (
            who.from_folder(chosen.dataset, chosen.tasks, dynamic=chosen.dynamic) if chosen.dataset else who.sample()
        )
        with running(console=console, log_path=chosen.log) as platform, Progress(*columns, console=console) as show:
            facts = run(Job(platform, labels, show))
    except (*FAILURES, BadDataset, Refused, NeverHappened) as failed:
        console.print(str(failed), style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return tell(console, facts)


if __name__ == "__main__":
    raise SystemExit(main())
