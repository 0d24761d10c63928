"""The platform on this machine: build, synthesize, boot, deploy; and nothing is left of it afterwards."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cli.wait import NeverHappened
from local import checkout_server, vendor
from local.assembly import BrokenAssembly
from local.checkout import Checkout
from local.deploy import DeployFailed, Deployment, deploy
from local.engine import Engine, EngineFailed, free_port
from local.paths import CACHE
from local.provider import Provider, serving
from local.rails import circle as circle_peer
from local.rails import peer, working
from local.rails.circle import TOPIC_ARN, Announcer, Circle
from local.rails.paypal import PayPal
from local.rails.sepa_bank import Bank
from local.rails.stripe import Stripe
from local.synth import SynthFailed, synthesize
from smallpeck.payouts.mailbox_store import S3Mailbox

FAILURES = (vendor.VendorFailed, SynthFailed, EngineFailed, BrokenAssembly, DeployFailed, NeverHappened)
"""What can go wrong on the way up. Each message says what to do; none needs a stack trace."""

DEFAULT_LOG = CACHE / "local.log"
BANK_ACCOUNT = "DE89370400440532013000"
"""The account that payouts by bank leave: one that the IBAN registry gives as an example."""
_CIRCLE_KEY = "local-circle-key"


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The running platform, and the simulated providers that its money goes to and comes from."""

    engine: Engine
    deployment: Deployment
    provider: Provider
    paypal: PayPal
    stripe: Stripe
    circle: Circle
    bank: Bank
    checkout: Checkout

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
        ports = {name: free_port() for name in ("Gateway", "Paypal", "Stripe", "Circle")}
        parameters = {f"{name}Url": f"http://127.0.0.1:{port}" for name, port in ports.items()}
        checkout_port = free_port()
        parameters |= checkout_server.parameters(checkout_port)
        deployment = deploy(engine, assembly, parameters=parameters, console=say)
        with (
            _providers(engine, deployment, ports) as (provider, paypal, stripe),
            _circle(engine, deployment, ports["Circle"]) as circle,
            _bank(engine, deployment) as bank,
            checkout_server.in_front_of(engine, deployment, port=checkout_port) as checkout,
        ):
            yield Platform(
                engine=engine,
                deployment=deployment,
                provider=provider,
                paypal=paypal,
                stripe=stripe,
                circle=circle,
                bank=bank,
                checkout=checkout,
            )
    finally:
        engine.stop()


@contextlib.contextmanager
def _providers(
    engine: Engine, deployment: Deployment, ports: Mapping[str, int]
) -> Iterator[tuple[Provider, PayPal, Stripe]]:
    """The simulated providers on their ports, with the secrets that they and the platform know each other by."""
    secrets = engine.client("secretsmanager")
    host = f"127.0.0.1:{ports['Paypal']}"
    provider, paypal, stripe = Provider(), PayPal(url=f"http://{host}"), Stripe()
    told = {
        "paypal": paypal.webhook_secret(plain_host=host),
        "stripe": stripe.webhook_secret(),
        "circle": {"topic_arn": TOPIC_ARN, "plain_host": f"127.0.0.1:{ports['Circle']}"},
    }
    for name, text in {"Paypal": paypal.secret, "Stripe": stripe.secret, "RailEvents": json.dumps(told)}.items():
        secrets.put_secret_value(SecretId=deployment.output(f"{name}SecretArn"), SecretString=text)
    gateway = secrets.get_secret_value(SecretId=deployment.output("GatewaySecretArn"))["SecretString"]
    webhooks = f"{engine.api_url(deployment.output('ApiId'))}/v1/webhooks"
    with (
        serving(provider, secret=gateway, port=ports["Gateway"]),
        peer.serving(paypal, port=ports["Paypal"]),
        peer.serving(stripe, port=ports["Stripe"]),
        peer.telling(paypal, f"{webhooks}/paypal"),
        peer.telling(stripe, f"{webhooks}/stripe"),
    ):
        yield provider, paypal, stripe


@contextlib.contextmanager
def _circle(engine: Engine, deployment: Deployment, port: int) -> Iterator[Circle]:
    """The simulated Circle, which tells what became of its payouts."""
    circle, announcer = Circle(), Announcer()
    references = f"s3://{deployment.output('WorkBucketName')}/circle"
    secret = {"api_key": _CIRCLE_KEY, "wallet_id": "1000000001", "references": references}
    engine.client("secretsmanager").put_secret_value(
        SecretId=deployment.output("CircleSecretArn"), SecretString=json.dumps(secret)
    )
    webhook = f"{engine.api_url(deployment.output('ApiId'))}/v1/webhooks/circle"
    with (
        circle_peer.serving(circle, api_key=_CIRCLE_KEY, port=port, announcer=announcer),
        working.announcing(circle, announcer, webhook),
    ):
        yield circle


@contextlib.contextmanager
def _bank(engine: Engine, deployment: Deployment) -> Iterator[Bank]:
    """The simulated bank behind the mailbox in the work bucket."""
    secret = {"name": "Small Peck", "iban": BANK_ACCOUNT}
    engine.client("secretsmanager").put_secret_value(
        SecretId=deployment.output("SepaSecretArn"), SecretString=json.dumps(secret)
    )
    mailbox = S3Mailbox(engine.client("s3"), deployment.output("WorkBucketName"), "sepa")
    bank = Bank(mailbox, BANK_ACCOUNT)
    with working.banking(bank):
        yield bank
