"""`make local` as a person uses it: its lines of curl work when pasted, and Ctrl-C leaves nothing behind."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from cli.wait import until
from local.paths import ROOT

PATIENCE_SECONDS = 240.0
_PS = shutil.which("ps") or "ps"
_BASH = shutil.which("bash") or "bash"


@dataclass(frozen=True)
class Local:
    """A run, and what it has printed."""

    process: subprocess.Popen[bytes]
    text: str

    @property
    def lines(self) -> list[str]:
        """The lines to paste."""
        return [line for line in self.text.splitlines() if line.startswith("curl ")]

    @property
    def port(self) -> int:
        """Where the emulator listens."""
        found = re.search(r"^API  http://127\.0\.0\.1:(\d+)/", self.text, re.MULTILINE)
        assert found, self.text
        return int(found[1])


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """`python -m local.up`, once it has said everything; ended at the end in any case."""
    out, told = tmp_path / "out", tmp_path / "told"
    files = ["--log", str(tmp_path / "engine.log"), "--state", str(tmp_path / "local.json")]
    with out.open("wb") as stdout, told.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "local.up", *files],
            cwd=ROOT,
            stdout=stdout,
            stderr=stderr,
        )

    def up() -> bool:
        assert process.poll() is None, told.read_text()
        return "Ctrl-C" in told.read_text()

    try:
        until(up, what="the platform", seconds=PATIENCE_SECONDS, every=0.2)
        yield Local(process, out.read_text())
    finally:
        process.kill()
        process.wait()


def test_five_lines_work_when_pasted_and_ctrl_c_leaves_nothing(local: Local, tmp_path: Path) -> None:
    assert len(local.lines) == 5
    for audience in ("requester", "operator", "worker"):
        assert re.search(rf"^  {audience} .*\n  token      ey[\w-]+\.", local.text, re.MULTILINE)
    for line in local.lines * 2:  # whoever pastes one again does no harm
        answer = tmp_path / "answer"
        done = subprocess.run(  # noqa: S603
            [_BASH, "-c", line + f" -o '{answer}' -w '%{{http_code}}'"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout[0] == "2", (line, done.stdout, answer.read_text())

    page = re.search(r"^Docs (http://127\.0\.0\.1:\d+) ", local.text, re.MULTILINE)
    token = re.search(r"^  worker .*\n  token      (\S+)", local.text, re.MULTILINE)
    assert page, local.text
    assert token, local.text
    assert b"SwaggerUIBundle" in urllib3.request("GET", page[1]).data
    assert "/v1/worker/batches" in urllib3.request("GET", f"{page[1]}/openapi.json").json()["paths"]
    authorized = {"authorization": f"Bearer {token[1]}"}
    assert urllib3.request("GET", f"{page[1]}/v1/worker/batches", headers=authorized).json()["batches"]
    assert (tmp_path / "local.json").stat().st_mode & 0o077 == 0

    descendants = _descendants(local.process.pid)
    assert len(descendants) > 2, "the emulator and its workers"
    local.process.send_signal(signal.SIGINT)

    assert local.process.wait(timeout=30) in (0, 130)
    until(lambda: not _alive(descendants), what="the end of every process", seconds=15)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", local.port)) != 0
    assert not list(tmp_path.glob("local.*"))


def _descendants(root: int) -> set[int]:
    found, seen = {root}, 0
    while len(found) > seen:
        seen = len(found)
        found |= {child for child, parent in _processes().items() if parent in found}
    return found - {root}


def _alive(processes: set[int]) -> set[int]:
    return processes & _processes().keys()


def _processes() -> dict[int, int]:
    """Each living process and its parent."""
    listed = subprocess.run([_PS, "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)  # noqa: S603
    rows = (line.split() for line in listed.stdout.splitlines())
    return {int(process): int(parent) for process, parent, state in rows if not state.startswith("Z")}
