"""The proof of the books on the running platform: a day is sealed, and a worker checks their statement without it."""

import itertools
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from cli.wait import until
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.ledger import __main__ as command
from tests.e2e.market import Market, work_through

DAY_MS = 86_400_000
AHEAD = itertools.count(1)


def fetched(market: Market, path: str) -> Any:
    """What anybody gets."""
    answer = urllib3.request("GET", f"{market.platform.api}{path}", retries=False)
    assert answer.status == 200, answer.data
    return answer.json()


def seal(market: Market, **more: bool) -> Mapping[str, Any]:
    """An execution of the workflow that seals a day, each time a later one: it holds all there is."""
    machines = market.platform.engine.client("stepfunctions")
    due = to_rfc3339(time.time_ns() // 1_000_000 + next(AHEAD) * DAY_MS)
    started = machines.start_execution(
        stateMachineArn=market.platform.deployment.output("BooksSealMachineArn"),
        input=json.dumps({"scheduled_at": due, **more}),
    )

    def ended() -> Mapping[str, Any] | None:
        told: Mapping[str, Any] = machines.describe_execution(executionArn=started["executionArn"])
        return told if told["status"] != "RUNNING" else None

    return until(ended, what="the end of the seal", seconds=120, every=0.2)


def test_a_worker_checks_their_statement_with_what_everybody_may_fetch(market: Market, tmp_path: Path) -> None:
    offer = market.offer(3, min_answers=1, max_answers=1)
    worker = market.person("worker")
    assert work_through(worker, offer.batch_id) == 3
    offer.ends()
    until(lambda: worker.get("/statement")["rows"], what="the credit", seconds=60, every=0.2)

    assert seal(market)["status"] == "SUCCEEDED"
    assert seal(market)["status"] == "SUCCEEDED"
    assert seal(market, verify=True)["status"] == "SUCCEEDED"

    files = {
        "statement": worker.get("/statement.json"),
        "root": fetched(market, "/v1/root"),
        "jwks": fetched(market, "/v1/keys"),
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    asked = [
        "verify", str(tmp_path / "statement.json"),
        "--root", str(tmp_path / "root.json"), "--key", str(tmp_path / "jwks.json"),
    ]  # fmt: skip
    assert command.main(asked) == 0
    assert all(one["row"] and one["entry"] for one in files["statement"]["proofs"])
    files["statement"]["rows"][0]["amount_micros"] += 1
    (tmp_path / "statement.json").write_text(json.dumps(files["statement"]), encoding="utf-8")
    assert command.main(asked) == 1


def test_nobody_deletes_a_root(market: Market) -> None:
    s3, bucket = market.platform.engine.client("s3"), market.platform.deployment.output("SealsBucketName")
    seal(market)
    key = "roots/000000.json"
    version = s3.get_object(Bucket=bucket, Key=key)["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
