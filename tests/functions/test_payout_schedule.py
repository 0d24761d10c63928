"""The payout schedule's function over the real wiring, and its workflow's file."""

import json
from pathlib import Path
from typing import Any

import pytest

from functions.payout_schedule.handler import handler
from smallpeck.runtime.problems import WorkflowError
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring, wired
from tests.functions.world import MACHINES, Client, Platform
from tests.gateway import Context

ASL = Path(__file__).resolve().parents[2] / "infra" / "workflows" / "payout_schedule.asl.json"
DUE = "2026-11-22T06:00:00Z"
DOLLAR: dict[str, Any] = {"price_micros": 1_000_000, "reward_micros": 600_000, "fee_micros": 400_000}


def ask(step: str, due: str = DUE, **more: str) -> dict[str, Any]:
    answer = handler({"step": step, "scheduled_at": due, **more}, Context())
    assert answer is not None
    return answer


def earner(platform: Platform, name: str, **profile: Any) -> Client:
    """A worker with 6.00, a destination and this profile."""
    platform.world.active(10, batch_id=f"for-{name}", **DOLLAR)
    client = platform.worker(name)
    client.submitted(client.leased(f"k-{name}", f"for-{name}"))
    platform.deliver()
    client.put("/payout-destination", {"rail": "gateway", "address": f"{name}@example.com"})
    assert client.put("/profile", profile).status == 200
    return client


def test_the_steps_of_a_day(platform: Platform) -> None:
    ann = earner(platform, "ann", automatic_payouts=True)
    bob = earner(platform, "bob", automatic_payouts=True, payout_threshold="6.01")
    cy = earner(platform, "cy")
    assert ask("request", after="") == {"payouts": 1, "after": "", "more": False}
    assert [one["amount"] for one in ann.get("/payouts").json["payouts"]] == ["6.00"]
    assert bob.get("/payouts").json["payouts"] == cy.get("/payouts").json["payouts"] == []
    (run_id,) = ask("start")["run_ids"]
    (run,) = [one for one in platform.aws.sfn.executions if one.state_machine == MACHINES["payout_run"]]
    assert (run.name, json.loads(run.input)) == (run_id, {"run_id": run_id})
    assert platform.operator().get(f"/payout-runs/{run_id}").json["state"] == "collecting"
    with platform.unchanged():
        assert ask("request", after="")["payouts"] == 0
        assert ask("start", "2026-11-22T23:00:00Z")["run_ids"] == [run_id]
    assert ask("start", "2026-11-23T06:00:00Z")["run_ids"] != [run_id]


def test_who_switches_it_off_is_listed_no_more(platform: Platform) -> None:
    ann = earner(platform, "ann", automatic_payouts=True)
    ann.put("/profile", {"country": "KE", "automatic_payouts": True})
    ann.put("/profile", {"country": "KE"})
    assert ask("request", after="")["payouts"] == 0
    ann.put("/profile", {"automatic_payouts": True})
    assert ask("request", after="")["payouts"] == 1


def test_the_list_goes_on_where_it_ended(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smallpeck.payouts.scheduling.WORKERS_AT_ONCE", 2)
    for name in ("ann", "bob", "cy"):
        earner(platform, name, automatic_payouts=True)
    first = ask("request", after="")
    assert first == {"payouts": 2, "after": first["after"], "more": True}
    assert ask("request", after=first["after"]) == {"payouts": 1, "after": "", "more": False}


@pytest.mark.parametrize("event", [
    {}, {"step": "request", "scheduled_at": DUE}, {"step": "burn", "scheduled_at": DUE}, {"step": "start"},
    {"step": "request", "scheduled_at": DUE, "after": "a#b"}, {"step": "request", "scheduled_at": DUE, "after": None},
    {"step": "start", "scheduled_at": 7}, {"step": "start", "scheduled_at": DUE, "more": 1},
    {"step": "start", "scheduled_at": "<aws.scheduler.scheduled-time>"}, {"step": "start", "scheduled_at": ""},
])  # fmt: skip
def test_a_payload_that_is_no_step_has_its_name_and_changes_nothing(platform: Platform, event: dict[str, Any]) -> None:
    with platform.unchanged(), pytest.raises(WorkflowError) as raised:
        handler(event, Context())
    assert type(raised.value).__name__ == "SmallPeck.Invalid"


def test_every_step_of_the_workflow_is_one_of_the_function() -> None:
    """The payloads in the file, filled with plausible values, pass the function's schema."""
    filled = {"$.scheduled_at": DUE, "$.asked.after": ""}
    tasks = {name: one for name, one in json.loads(ASL.read_text())["States"].items() if one["Type"] == "Task"}
    assert {one["Parameters"]["step"] for one in tasks.values()} == {"request", "start"}
    for name, task in tasks.items():
        payload = {
            key.removesuffix(".$"): filled[value] if key.endswith(".$") else value
            for key, value in task["Parameters"].items()
        }
        with wired(Wiring(Settings())), pytest.raises(Exception) as raised:
            handler(payload, Context())
        assert "bad_step" not in str(raised.value), name
