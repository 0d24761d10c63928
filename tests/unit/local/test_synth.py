"""The templates are synthesized again when something they are made of has changed, and only then."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from local import synth


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The runs of the app, which here only writes a manifest. It reads the folder `infra`."""
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "app.py").write_text("1")
    (tmp_path / "uv.lock").write_text("")
    made: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        made.append(command)
        (Path(options["env"]["CDK_OUTDIR"]) / "manifest.json").write_text("{}")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(synth, "ROOT", tmp_path)
    monkeypatch.setattr(synth, "LOCK", tmp_path / "uv.lock")
    monkeypatch.setattr(synth, "CLOUD_ASSEMBLY", tmp_path / "cdk.out" / "local")
    monkeypatch.setattr(synth, "_INPUTS", ("infra",))
    monkeypatch.setattr("local.synth.shutil.which", lambda _name: "node")
    monkeypatch.setattr("local.synth.subprocess.run", run)
    return made


def test_a_second_run_uses_what_the_first_has_made(tmp_path: Path, runs: list[list[str]]) -> None:
    for _ in range(2):
        assert (synth.synthesize(vendor=tmp_path / "vendor") / "manifest.json").is_file()
    assert len(runs) == 1


@pytest.mark.parametrize("change", ["an input", "a new input", "no manifest"])
def test_a_change_is_noticed(tmp_path: Path, runs: list[list[str]], change: str) -> None:
    made = synth.synthesize(vendor=tmp_path / "vendor")
    match change:
        case "an input":
            (tmp_path / "infra" / "app.py").write_text("2")
        case "a new input":
            (tmp_path / "infra" / "more.py").write_text("")
        case _:
            (made / "manifest.json").unlink()
    synth.synthesize(vendor=tmp_path / "vendor")
    assert len(runs) == 2


def test_bytecode_is_no_change(tmp_path: Path, runs: list[list[str]]) -> None:
    synth.synthesize(vendor=tmp_path / "vendor")
    cache = tmp_path / "infra" / "__pycache__"
    cache.mkdir()
    (cache / "app.pyc").write_bytes(b"1")
    synth.synthesize(vendor=tmp_path / "vendor")
    assert len(runs) == 1


def test_without_node_it_says_so(tmp_path: Path, runs: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.synth.shutil.which", lambda _name: None)
    with pytest.raises(synth.SynthFailed, match="node is missing"):
        synth.synthesize(vendor=tmp_path / "vendor")
    assert runs == []
