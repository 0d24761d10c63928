"""The platform on this machine: build, synthesize, boot, deploy. `python -m local.up` keeps it up until Ctrl-C."""

import argparse
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from local import vendor
from local.assembly import BrokenAssembly
from local.deploy import DeployFailed, Deployment, deploy
from local.engine import Engine, EngineFailed, free_port
from local.paths import CACHE
from local.provider import Provider, serving
from local.synth import SynthFailed, synthesize
from local.wait import NeverHappened

FAILURES = (vendor.VendorFailed, SynthFailed, EngineFailed, BrokenAssembly, DeployFailed, NeverHappened)
"""What can go wrong on the way up. Each message says what to do; none needs a stack trace."""

DEFAULT_LOG = CACHE / "local.log"


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The running platform, and the simulated provider that its payouts go to."""

    engine: Engine
    deployment: Deployment
    provider: Provider

    @property
    def api(self) -> str:
        """The address of the HTTP API, to be followed by `/v1/...`."""
        return self.engine.api_url(self.deployment.output("ApiId"))


@contextlib.contextmanager
def running(
    *,
    console: Console | None = None,
    port: int | None = None,
    log_path: Path = DEFAULT_LOG,
    wait_scale: float = 1.0,
    function_processes: int = 2,
) -> Iterator[Platform]:
    """Bring the platform up, hand it over, and leave nothing behind."""
    say = console or Console(stderr=True)
    layer = vendor.build("local")
    with say.status("synthesizing the templates (reused while nothing changes)"):
        assembly = synthesize(vendor=layer)
    engine = Engine(port=port, log_path=log_path, wait_scale=wait_scale, function_processes=function_processes)
    with say.status("starting the emulator"):
        engine.start()
    try:
        say.print(f"  emulator  {engine.url}", highlight=False)
        port = free_port()
        parameters = {"GatewayUrl": f"http://127.0.0.1:{port}"}
        deployment = deploy(engine, assembly, parameters=parameters, console=say)
        secret = engine.client("secretsmanager").get_secret_value(SecretId=deployment.output("GatewaySecretArn"))
        provider = Provider()
        with serving(provider, secret=secret["SecretString"], port=port):
            yield Platform(engine=engine, deployment=deployment, provider=provider)
    finally:
        engine.stop()


def main() -> int:
    """Run until interrupted."""
    options = argparse.ArgumentParser(prog="local.up", description=__doc__)
    options.add_argument("--port", type=int, help="port of the emulator (default: a free one)")
    options.add_argument("--log", type=Path, default=DEFAULT_LOG, help="where its log goes")
    options.add_argument("--processes", type=int, default=2, help="worker processes per function")
    chosen = options.parse_args()
    say = Console(stderr=True)
    done = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        if done.is_set():
            raise KeyboardInterrupt
        done.set()

    try:
        with running(
            console=say, port=chosen.port, log_path=chosen.log, function_processes=chosen.processes
        ) as platform:
            signal.signal(signal.SIGINT, end)
            signal.signal(signal.SIGTERM, end)
            say.print(f"  api       {platform.api}", highlight=False)
            for name, value in platform.engine.environment().items():
                print(f"export {name}={value}")
            sys.stdout.flush()
            say.print(f"  log       {platform.engine.log_path}\n  Ctrl-C ends it", highlight=False)
            while platform.engine.running and not done.wait(1.0):
                pass
            if not done.is_set():
                raise EngineFailed(f"the emulator died\n{platform.engine.log_tail()}")
    except FAILURES as failed:
        say.print(str(failed), style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
