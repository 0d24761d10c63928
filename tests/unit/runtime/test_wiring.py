"""Clients and stores are made when they are first used, once, and a test puts its own in place."""

from typing import Any, ClassVar

import pytest

from smallpeck.kernel.writes import ref
from smallpeck.runtime.clients import Clients
from smallpeck.runtime.cursors import Scope
from smallpeck.runtime.settings import MissingSetting, Settings
from smallpeck.runtime.wiring import Wiring, current, wired


class Secrets:
    """Secrets Manager, counting."""

    def __init__(self) -> None:
        self.asked = 0

    def get_secret_value(self, **_arguments: Any) -> dict[str, str]:
        self.asked += 1
        return {"SecretString": "a secret of enough bytes"}


class Dynamo:
    """Remembers which tables were asked."""

    def __init__(self) -> None:
        self.tables: list[str] = []

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        self.tables.append(arguments["TableName"])
        return {}


def test_a_client_is_made_once_and_from_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    wiring = Wiring(Settings())
    assert wiring.sqs is wiring.sqs
    assert wiring.sqs.send_message.__self__ is wiring.sqs.receive_message.__self__  # type: ignore[attr-defined]
    assert wiring.sqs.meta.endpoint_url == "http://127.0.0.1:4566"
    assert wiring.sqs.meta.region_name == "eu-central-1"


def test_holding_a_client_makes_none() -> None:
    class Counting(Clients):
        made: ClassVar[list[str]] = []

        def make(self, service: str) -> Any:
            self.made.append(service)
            return Secrets()

    wiring = Wiring(Settings(), clients=Counting({}))
    held = wiring.secrets
    assert wiring.table
    assert Counting.made == []
    for _ in range(2):
        held.get_secret_value(SecretId="arn")
    assert Counting.made == ["secretsmanager"]
    with pytest.raises(AttributeError):
        _ = held.no_such_operation  # type: ignore[attr-defined]


def test_a_presigned_form_has_the_newer_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    form = Wiring(Settings()).s3.generate_presigned_post("uploads", "k")
    assert form["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"


def test_the_store_speaks_to_the_tables_that_were_given() -> None:
    dynamo = Dynamo()
    wiring = Wiring(Settings(platform_table="p-table"), clients={"dynamodb": dynamo})
    assert wiring.table.get(ref("page", "p1")) is None
    assert dynamo.tables == ["p-table"]
    with pytest.raises(KeyError, match="ledger"):
        wiring.table.get(ref("entry", "e1"))


def test_a_secret_is_read_once() -> None:
    secrets = Secrets()
    wiring = Wiring(Settings(cursor_secret_arn="arn"), clients={"secretsmanager": secrets})
    scope = Scope("u", "r")
    assert wiring.cursors.read(wiring.cursors.sign("7", scope), scope) == "7"
    assert secrets.asked == 1


def test_without_the_secret_there_are_no_cursors() -> None:
    with pytest.raises(MissingSetting, match="SMALLPECK_CURSOR_SECRET_ARN"):
        _ = Wiring(Settings()).cursors


def test_what_a_feature_needs_is_made_once() -> None:
    wiring = Wiring(Settings())
    made: list[Wiring] = []

    def feature(given: Wiring) -> list[Wiring]:
        made.append(given)
        return made

    assert wiring.once(feature) is wiring.once(feature)
    assert made == [wiring]


def test_a_test_puts_its_own_in_place_and_takes_it_out() -> None:
    before = current()
    with wired(Wiring(Settings(stage="local"))) as outer:
        assert current() is outer
        with wired(Wiring(Settings(stage="dev"))) as inner:
            assert current() is inner
        assert current() is outer
    assert current() is before
