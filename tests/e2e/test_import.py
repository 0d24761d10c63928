"""A file becomes tasks: through the upload form, the import workflow and its Distributed Map."""

import io
import json
import time
from collections import Counter
from typing import Any

import pytest

from cli.client import fetch, upload
from cli.errands import import_report
from cli.wait import until
from tests.e2e.market import PATIENCE_SECONDS, Market, Offer, csv_file, csv_rows

ROWS = 2_000
WORD_SCHEMA = {
    "type": "object",
    "properties": {"word": {"type": "string", "maxLength": 40}},
    "required": ["word"],
}
BAD_ROWS = {
    100: ("w000001,the id stands further up", "duplicate_row_id"),
    700: ("one cell", "ragged_row"),
    1_300: ("w900001,a,b", "ragged_row"),
    1_999: ("w900002," + "long " * 20, "schema"),
}
"""Line of the file -> the row there, and why it cannot be used."""


def test_two_thousand_rows_become_tasks_and_bad_rows_go_to_quarantine(market: Market) -> None:
    lines = csv_rows(ROWS)
    for line, (row, _reason) in BAD_ROWS.items():
        lines.insert(line - 2, row)

    offer = market.draft(csv_file(lines), task_schema=WORD_SCHEMA)

    report = offer.report
    assert (report["rows_read"], report["rows_accepted"], report["rows_rejected"]) == (ROWS + 4, ROWS, 4)
    quarantined = [json.loads(line) for line in fetch(report["quarantine_url"]).splitlines()]
    assert {one["line"]: one["reason"] for one in quarantined} == {
        line: reason for line, (_row, reason) in BAD_ROWS.items()
    }
    batch, tasks = offer.get(), offer.tasks()
    assert (batch["state"], batch["task_count"]) == ("ready", ROWS)
    assert [task["row_id"] for task in tasks] == [row.partition(",")[0] for row in csv_rows(ROWS)]
    assert tasks[7]["input"] == {"id": "w000007", "word": "word 7"}
    assert len({task["task_id"] for task in tasks}) == ROWS


def test_the_same_file_again_makes_no_more_tasks(market: Market) -> None:
    """Twice at once, and once more when its tasks stand; each is a version of its own, with an event of its own."""
    requester, content = market.person("requester"), csv_file(csv_rows(40))
    created = requester.post("/batches", market.described())
    offer = Offer(batch_id=created["batch"]["batch_id"], requester=requester, report=None)
    for _ in range(2):
        upload(created["upload"], io.BytesIO(content))
    import_report(requester, offer.batch_id)
    tasks = offer.tasks()

    upload(created["upload"], io.BytesIO(content))
    until(lambda: _imports(market, offer)["SUCCEEDED"] == 3, what="the last import", seconds=PATIENCE_SECONDS)

    assert offer.tasks() == tasks
    assert offer.get("/import")["rows_accepted"] == offer.get()["task_count"] == len(tasks) == 40


def test_two_batches_of_the_same_file_share_nothing(market: Market) -> None:
    content = csv_file(csv_rows(20))
    one, other = market.draft(content), market.draft(content)
    assert not {task["task_id"] for task in one.tasks()} & {task["task_id"] for task in other.tasks()}


@pytest.mark.slow
def test_fifty_thousand_rows_take_ten_times_as_long_as_five_thousand(market: Market) -> None:
    market.draft(csv_file(csv_rows(100)))  # starts the functions
    seconds = {count: _import_seconds(market, count) for count in (5_000, 50_000)}
    assert seconds[50_000] < 15 * seconds[5_000], seconds


def _import_seconds(market: Market, count: int) -> float:
    started = time.monotonic()
    offer = market.draft(csv_file(csv_rows(count)))
    taken = time.monotonic() - started
    assert offer.report["rows_accepted"] == offer.get()["task_count"] == count
    return taken


def _imports(market: Market, offer: Offer) -> Counter[str]:
    """How many imports of the batch there were, by how they stand."""
    machines: Any = market.platform.engine.client("stepfunctions")
    arn = market.platform.deployment.output("ImportMachineArn")
    executions = [
        one
        for page in machines.get_paginator("list_executions").paginate(stateMachineArn=arn)
        for one in page["executions"]
    ]
    return Counter(
        one["status"]
        for one in executions
        if offer.batch_id in machines.describe_execution(executionArn=one["executionArn"])["input"]
    )
