"""The platform on this machine: build, synthesize, boot, deploy; and nothing is left of it afterwards."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cli.wait import NeverHappened
from local import vendor
from local.assembly import BrokenAssembly
from local.deploy import DeployFailed, Deployment, deploy
from local.engine import Engine, EngineFailed, free_port
from local.paths import CACHE
from local.provider import Provider, serving
from local.synth import SynthFailed, synthesize

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
        gateway_port = free_port()
        parameters = {"GatewayUrl": f"http://127.0.0.1:{gateway_port}"}
        deployment = deploy(engine, assembly, parameters=parameters, console=say)
        secret = engine.client("secretsmanager").get_secret_value(SecretId=deployment.output("GatewaySecretArn"))
        provider = Provider()
        with serving(provider, secret=secret["SecretString"], port=gateway_port):
            yield Platform(engine=engine, deployment=deployment, provider=provider)
    finally:
        engine.stop()
