"""The payout run's function: its steps over the real wiring, in the order in which the real workflow calls them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from functions.payout_run.handler import handler
from local.provider import Provider, serving
from smallpeck.payouts.model import PayoutState
from smallpeck.people.service import put_destination
from smallpeck.runtime.destinations import offered_rails
from smallpeck.runtime.payout_rails import payout_ports
from smallpeck.runtime.problems import WorkflowError
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring, wired
from tests.unit.payouts.world import FIVE, PayoutWorld
from tests.unit.people.fake_kms import FakeKms

ASL = Path(__file__).resolve().parents[2] / "infra" / "workflows" / "payout_run.asl.json"
SECRET = "a-secret"


class FakeSecrets:
    def get_secret_value(self, **arguments: Any) -> dict[str, str]:
        assert arguments == {"SecretId": "arn:secret"}
        return {"SecretString": SECRET}


@dataclass
class Desk:
    world: PayoutWorld
    wiring: Wiring
    provider: Provider

    def asks(self, worker_id: str, address: str) -> str:
        """A worker with 5.00 gives an address and asks to be paid there."""
        world = self.world
        world.earn(worker_id, FIVE)
        destinations = self.wiring.once(payout_ports).destinations
        put_destination(
            worker_id=worker_id,
            rail="gateway",
            address=address,
            now_ms=world.now_ms(),
            rails=self.wiring.once(offered_rails),
            destinations=destinations,  # type: ignore[arg-type]
        )
        return world.ask(worker_id).payout_id


@pytest.fixture
def desk() -> Iterator[Desk]:
    world, provider = PayoutWorld(), Provider()
    tables = {f"{name}_table": name for name in ("platform", "ledger", "people", "keys")}
    with serving(provider, secret=SECRET) as url:
        environment = Settings.environment(
            stage="local", gateway_url=url, gateway_secret_arn="arn:secret", data_key_arn="arn:key", **tables
        )
        clients = {"dynamodb": world.aws.dynamodb, "secretsmanager": FakeSecrets(), "kms": FakeKms()}
        wiring = Wiring(Settings.from_environment(environment), clock=world, clients=clients)
        with wired(wiring):
            yield Desk(world, wiring, provider)
        wiring.once(payout_ports).rails["gateway"].http.clear()  # type: ignore[attr-defined]


def test_the_steps_of_a_run(desk: Desk) -> None:
    addresses = ("ann@example.com", "refuse-bob@example.com", "timeout-after-cy@example.com", "never-di@example.com")
    payout_ids = [desk.asks(f"w{number}", address) for number, address in enumerate(addresses)]
    run_id = desk.world.start_run().run_id
    assert handler({"step": "freeze", "run_id": run_id}, None) == {"members": 4, "chunks": [0], "parcels": []}
    assert handler({"step": "send", "run_id": run_id, "chunk": 0}, None) == {"done": True}
    assert handler({"step": "query", "run_id": run_id}, None) == {"done": True}
    ended = handler({"step": "end", "run_id": run_id, "round": 0}, None)
    assert ended == {
        "state": "waiting", "settled": 1, "released": 1, "returned": 0, "frozen": 0, "unresolved": 2,
        "again": True, "told": False, "chunks": [0], "wait_seconds": 60, "next_round": 1,
    }  # fmt: skip
    handler({"step": "query", "run_id": run_id, "chunk": 0}, None)
    last = handler({"step": "end", "run_id": run_id, "round": 8}, None)
    assert last is not None
    assert (last["settled"], last["unresolved"], last["again"], last["chunks"]) == (2, 1, False, [])
    states = [desk.world.payout(one).state for one in payout_ids]
    assert states == [PayoutState.SETTLED, PayoutState.RELEASED, PayoutState.SETTLED, PayoutState.UNKNOWN]
    assert desk.provider.books()["most_payments_per_key"] == 1
    destinations = {payment.body["destination"] for payment in desk.provider.payments.values()}
    assert destinations == set(addresses[:3])


def test_what_is_left_at_the_end_calls_somebody(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.asks("w", "never-ann@example.com")
    run = desk.world.start_run()
    handler({"step": "freeze", "run_id": run.run_id}, None)
    handler({"step": "send", "run_id": run.run_id, "chunk": 0}, None)
    capsys.readouterr()
    handler({"step": "end", "run_id": run.run_id, "round": 8}, None)
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [one["PayoutsUnresolved"] for one in metrics] == [[1.0]]


@pytest.mark.parametrize("event", [
    {}, {"step": "freeze"}, {"run_id": "r_" + "0" * 26}, {"step": "burn", "run_id": "r_" + "0" * 26},
    {"step": "send", "run_id": "r_" + "0" * 26}, {"step": "send", "run_id": "r_" + "0" * 26, "chunk": "0"},
    {"step": "end", "run_id": "r_" + "0" * 26, "round": -1}, {"step": "freeze", "run_id": "r_#"},
    {"step": "freeze", "run_id": "r_" + "0" * 26, "more": 1},
])  # fmt: skip
def test_a_payload_that_is_no_step_has_its_name(desk: Desk, event: dict[str, Any]) -> None:
    with pytest.raises(WorkflowError, match="bad_step") as raised:
        handler(event, None)
    assert type(raised.value).__name__ == "SmallPeck.Invalid"
    assert desk.world.every_payout() == []


def test_a_run_that_never_was_has_its_name(desk: Desk) -> None:
    with pytest.raises(WorkflowError, match="run_not_found") as raised:
        handler({"step": "freeze", "run_id": "r_" + "0" * 26}, None)
    assert type(raised.value).__name__ == "SmallPeck.NotFound"
    assert desk.provider.payments == {}


def states(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in definition["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


def test_every_step_of_the_workflow_is_one_of_the_functions() -> None:
    """The payloads in the file, filled with plausible values, pass the function's schema."""
    definition = json.loads(ASL.read_text())
    filled = {"$.run_id": "r_" + "0" * 26, "$.chunk": 0, "$.parcel": 0, "$.ended.next_round": 0, "$$.Task.Token": "t"}
    tasks = [(name, state) for name, state in states(definition) if state["Type"] == "Task"]
    told = {name: state["Parameters"].get("Payload", state["Parameters"]) for name, state in tasks}
    assert {one["step"] for one in told.values()} == {"freeze", "send", "send_parcel", "query", "end", "wait"}
    for name, parameters in told.items():
        payload = {
            key.removesuffix(".$"): filled[value] if key.endswith(".$") else value for key, value in parameters.items()
        }
        with wired(Wiring(Settings())), pytest.raises(Exception) as raised:
            handler(payload, None)
        assert "bad_step" not in str(raised.value), name


def test_every_task_is_repeated_where_that_helps_and_caught_where_it_does_not() -> None:
    for name, state in states(json.loads(ASL.read_text())):
        if state["Type"] == "Task":
            first, refused, *others = state["Retry"]
            assert "SmallPeck.Unavailable" in first["ErrorEquals"], name
            assert refused["MaxAttempts"] == 0
            if name == "WaitToBeTold":
                # Time that runs out is no failure there: the rails are asked.
                assert "States.Timeout" not in first["ErrorEquals"]
            else:
                assert [one["ErrorEquals"] for one in others] == [["States.TaskFailed"]]
            assert state["Catch"][0]["ErrorEquals"] == ["States.ALL"]
