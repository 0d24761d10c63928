"""The emulator as a child process that cannot outlive its parent.

    with Engine() as engine:
        engine.client("s3").list_buckets()

The child's standard input is its lifeline: it holds one end of a pipe whose other end only this process has, so
however this process ends (return, Ctrl-C, SIGTERM, SIGKILL) the child sees the end of the file, kills its Lambda
workers, removes its data and exits. Stopping on purpose is the same thing done early.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import botocore.session
from botocore.config import Config

from cli.wait import NeverHappened, until
from local.paths import ROOT

HOST = "127.0.0.1"
REGION = "us-east-1"
ACCOUNT = "000000000000"
_ANYTHING = "test"  # the emulator takes every key but one of twelve digits, which would be an account

_HEALTH = "/_ministack/health"
_CONFIG = "/_ministack/config"
_WAIT_SCALE = "stepfunctions._SFN_WAIT_SCALE"
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")


class EngineFailed(RuntimeError):
    """The emulator did not come up; the message ends with the tail of its log."""


class Engine:
    """A MiniStack on loopback with its own data, its own process group and its own log."""

    def __init__(
        self,
        *,
        port: int | None = None,
        log_path: Path | None = None,
        wait_scale: float = 1.0,
        function_processes: int = 2,
        start_seconds: float = 90.0,
    ) -> None:
        """Prepare; nothing starts before `start` or `with`.

        `wait_scale` shortens the Wait states and retry intervals of Step Functions (0.01 turns a minute into
        0.6 s). `function_processes` bounds the worker processes of one Lambda function: further invocations wait.
        `log_path` keeps the log in a place of your choice; otherwise it goes away with the data.
        """
        self._wanted_port = port
        self._wanted_log = log_path
        self._wait_scale = wait_scale
        self._function_processes = function_processes
        self._start_seconds = start_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._data: Path | None = None
        self._session = boto3.Session(botocore_session=_session_of_its_own())
        self._clients: dict[str, Any] = {}
        self.port = 0
        self.log_path = Path()

    # -- life -----------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Boot the emulator and wait until it answers."""
        if self._child is not None:
            raise EngineFailed("this engine runs already")
        if self._wanted_port and not _is_free(self._wanted_port):
            raise EngineFailed(f"port {self._wanted_port} is already in use")
        self.port = self._wanted_port or free_port()
        self._data = Path(tempfile.mkdtemp(prefix="small-peck-engine-"))
        self.log_path = self._wanted_log or self._data / "engine.log"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.log_path.open("wb") as log:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "local.emulator", str(self._data)],
                    cwd=ROOT,
                    env=self._environment(self._data),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._await_health(self._child)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the emulator and all of its workers, and remove its data. Harmless when it is not running."""
        child, self._child = self._child, None
        self._clients.clear()
        if child is not None:
            if child.stdin is not None:
                with contextlib.suppress(OSError):
                    child.stdin.close()
            try:
                child.wait(timeout=15)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait(timeout=15)
        if self._data is not None:
            shutil.rmtree(self._data, ignore_errors=True)
            self._data = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- use ------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The endpoint of every emulated service."""
        return f"http://{HOST}:{self.port}"

    @property
    def region(self) -> str:
        """The region everything is deployed to."""
        return REGION

    @property
    def account(self) -> str:
        """The account everything is deployed to."""
        return ACCOUNT

    @property
    def running(self) -> bool:
        """Whether the child process is alive."""
        return self._child is not None and self._child.poll() is None

    def ensure_running(self) -> None:
        """Raises EngineFailed where the emulator has died."""
        if not self.running:
            raise EngineFailed(f"the emulator died\n{self.log_tail()}")

    @property
    def pid(self) -> int:
        """The emulator's process id, which is also its process group."""
        if self._child is None:
            raise EngineFailed("the engine is not running")
        return self._child.pid

    def client(self, service: str) -> Any:
        """A boto3 client of this emulator, one per service. Untyped: annotate at the call."""
        if service not in self._clients:
            self._clients[service] = self._session.client(  # type: ignore[call-overload]
                service,
                endpoint_url=self.url,
                region_name=REGION,
                aws_access_key_id=_ANYTHING,
                aws_secret_access_key=_ANYTHING,
                config=Config(
                    retries={"max_attempts": 3, "mode": "standard"},
                    read_timeout=120,
                    s3={"addressing_style": "path"},
                    max_pool_connections=50,
                ),
            )
        return self._clients[service]

    def api_url(self, api_id: str, stage: str = "$default") -> str:
        """Where an HTTP API answers: by path, because `*.localhost` does not resolve on every machine."""
        return f"{self.url}/_aws/execute-api/{api_id}/{stage}"

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment for boto3 to speak with this emulator."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": _ANYTHING,
            "AWS_SECRET_ACCESS_KEY": _ANYTHING,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
        }

    def set_wait_scale(self, scale: float) -> None:
        """Change how fast Step Functions wait, while running."""
        status, answer = self._ask("POST", _CONFIG, json.dumps({_WAIT_SCALE: scale}))
        if status != HTTPStatus.OK or _WAIT_SCALE not in json.loads(answer)["applied"]:
            raise EngineFailed(f"the emulator refused the wait scale {scale}")

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the emulator's log."""
        try:
            text = self.log_path.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    # -- inside ---------------------------------------------------------------------------------------------

    def _environment(self, data: Path) -> dict[str, str]:
        # Built up from nothing: a profile, proxy or endpoint of the caller must not reach the workers.
        kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        return kept | {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": HOST,
            "MINISTACK_HOST": HOST,
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_WORKER_THREADS": "256",
            "SMALL_PECK_FUNCTION_PROCESSES": str(self._function_processes),
            "LAMBDA_WARM_TTL_SECONDS": "120",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "PERSIST_STATE": "0",
            "S3_PERSIST": "0",
            "COGNITO_EMAIL_ENABLED": "false",
            "SFN_WAIT_SCALE": repr(self._wait_scale),
            "STATE_DIR": str(data / "state"),
            "S3_DATA_DIR": str(data / "s3"),
            "TMPDIR": str(data),
            "PYTHONUNBUFFERED": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **self.environment(),
        }

    def _await_health(self, child: subprocess.Popen[bytes]) -> None:
        def answers() -> bool:
            if child.poll() is not None:
                raise EngineFailed(f"the emulator ended with code {child.returncode}\n{self.log_tail()}")
            try:
                return self._ask("GET", _HEALTH)[0] == HTTPStatus.OK
            except OSError:
                return False

        try:
            until(answers, what=f"the emulator on {self.url}", seconds=self._start_seconds, every=0.1)
        except NeverHappened as late:
            raise EngineFailed(f"{late}\n{self.log_tail()}") from late

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _session_of_its_own() -> botocore.session.Session:
    # A profile, even a missing one, that the caller has chosen for AWS has no say here.
    nothing = (None, None, os.devnull, None)
    return botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": nothing,
            "credentials_file": nothing,
        }
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
