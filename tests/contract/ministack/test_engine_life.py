"""The emulator ends with whoever started it, however that ends, and leaves nothing."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli.wait import until
from local.engine import HOST, Engine, EngineFailed
from local.paths import ROOT
from tests.contract.ministack.lab import Lab

PARENT = """
import json, signal, sys, threading
from local.engine import Engine
from tests.contract.ministack.lab import Lab

# Whoever runs this in the background may have it ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
with Engine() as engine:
    lab = Lab(engine)
    lab.invoke(lab.function("def handler(event, context): return 1"))
    busy = lab.function("import threading\\ndef handler(event, context): threading.Event().wait(60)", timeout=90)
    lab.client("lambda").invoke(FunctionName=busy, InvocationType="Event")
    print(engine.pid, engine.port, engine.log_path.parent, flush=True)
    threading.Event().wait()
"""


_PS = shutil.which("ps") or "ps"


def _members(group: int) -> list[str]:
    """The commands of the group's living processes."""
    listed = subprocess.run([_PS, "-A", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True)  # noqa: S603
    rows = (line.split(None, 2) for line in listed.stdout.splitlines())
    return [row[2] for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_parent_is_ended(how: signal.Signals) -> None:
    parent = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    try:
        group, port, data = parent.stdout.readline().split()
        until(lambda: len(_members(int(group))) >= 3, what="the emulator and its two workers")
        parent.send_signal(how)
        parent.wait(timeout=30)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    until(lambda: not _members(int(group)), what="the end of every process", seconds=15)
    until(lambda: not Path(data).exists(), what="the end of the data", seconds=15)
    until(lambda: not _listens(int(port)), what="the end of the listener", seconds=15)


def test_stopping_ends_the_workers_and_removes_the_data() -> None:
    engine = Engine().start()
    group, data = engine.pid, engine.log_path.parent
    try:
        lab = Lab(engine)
        assert lab.invoke(lab.function("def handler(event, context): return 1")) == 1
        assert len(_members(group)) >= 2
    finally:
        engine.stop()
    assert _members(group) == []
    assert not data.exists()
    assert not engine.running
    engine.stop()


def test_it_listens_on_loopback_only(engine: Engine) -> None:
    assert engine.url.startswith("http://127.0.0.1:")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address this machine would use
        outside = probe.getsockname()[0]
    with socket.socket() as probe:
        probe.settimeout(5)
        assert probe.connect_ex((outside, engine.port)) != 0


def test_a_port_in_use_is_a_clear_failure(engine: Engine) -> None:
    with pytest.raises(EngineFailed, match="already in use"):
        Engine(port=engine.port).start()


def test_the_callers_credentials_and_endpoint_do_not_reach_functions(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "real-money")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://example.org")
    log = tmp_path / "kept" / "engine.log"
    with Engine(log_path=log) as other:
        own = Lab(other)
        code = "import os\ndef handler(event, context): return dict(os.environ)"
        seen = own.invoke(own.function(code))
    assert "AWS_PROFILE" not in seen
    assert seen["AWS_ENDPOINT_URL"] == other.url != lab.engine.url
    assert seen["AWS_SECRET_ACCESS_KEY"] == "test"
    assert "Ready" in log.read_text()
    assert os.environ["AWS_PROFILE"] == "real-money"


def test_the_wait_scale_can_change_while_running(engine: Engine) -> None:
    engine.set_wait_scale(0.05)
    with pytest.raises(EngineFailed, match="refused"):
        engine.set_wait_scale(-1.0)
