"""Signing in: the token is kept for its owner alone, never shown, and used as long as it is good."""

import json
import os
from pathlib import Path

import pytest

from cli.main import main
from cli.signing import PASSWORD_VARIABLE, signed_in, tokens_path
from cli.stages import STATE_VARIABLE, Failed, open_stage
from tests.unit.cli.conftest import PASSWORD, FakeStage, token


def test_a_token_is_kept_for_its_owner_and_never_shown(
    stage: FakeStage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    for more in ([], ["--json"]):
        assert main(["login", "requester", "--email", "ruth@example.com", *more]) == 0
    told = capsys.readouterr()
    kept = json.loads(tokens_path().read_text())["local/requester"]
    assert kept["email"] == "ruth@example.com"
    assert kept["token"] not in told.out + told.err
    assert PASSWORD not in told.out + told.err
    assert tokens_path().stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tokens_path().parent.iterdir()] == ["tokens.json"]
    assert signed_in(open_stage("local"), "requester").token == kept["token"]


def test_a_wrong_password_is_said_and_keeps_nothing(
    stage: FakeStage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong")
    assert main(["login", "requester", "--email", "ruth@example.com"]) == 1
    assert "Incorrect username or password" in capsys.readouterr().err
    assert not tokens_path().exists()


def test_demo_people_sign_in_by_themselves_and_again_when_their_hour_is_over(stage: FakeStage) -> None:
    assert signed_in(open_stage("local"), "operator").name == "oscar"
    assert stage.requests == []
    state = json.loads((stage.folder / "local.json").read_text())
    state["people"][1]["token"] = token("oscar", seconds=30)
    (stage.folder / "local.json").write_text(json.dumps(state))
    fresh = signed_in(open_stage("local"), "operator")
    assert fresh.token != state["people"][1]["token"]
    assert [one.document["ClientId"] for one in stage.requests] == ["client-o"]


def test_a_token_of_an_earlier_run_is_not_used(stage: FakeStage) -> None:
    tokens_path().parent.mkdir(parents=True)
    old = {"api": "http://127.0.0.1:1", "email": "x@example.com", "token": token("old")}
    tokens_path().write_text(json.dumps({"local/requester": old}))
    assert signed_in(open_stage("local"), "requester").name == "rita"


def test_who_is_not_there_has_to_sign_in(stage: FakeStage, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failed, match="smallpeck login worker"):
        signed_in(open_stage("local"), "worker")
    assert main(["login", "worker"]) == 2
    assert "--email" in capsys.readouterr().err


def test_what_does_not_run_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "local.json"
    monkeypatch.setenv(STATE_VARIABLE, str(path))
    assert main(["outputs"]) == 1
    assert "make local" in capsys.readouterr().err
    ended = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(ended, 0)
    path.write_text(json.dumps({"pid": ended}))
    assert main(["outputs", "--json"]) == 1
    assert "make local" in json.loads(capsys.readouterr().err)["title"]
