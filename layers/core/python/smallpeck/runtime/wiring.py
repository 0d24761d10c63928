"""Puts stores and clients behind what the features ask for. Everything is made when it is first used, then kept.

A function takes what it needs from `current()`; a test puts its own in place with `wired(...)`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from smallpeck.kernel.clock import Clock, SystemClock
from smallpeck.runtime.settings import Settings

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_stepfunctions.client import SFNClient

    from smallpeck.ledger.store import LedgerStore
    from smallpeck.payouts.runs import Ports
    from smallpeck.payouts.service import PayoutRules
    from smallpeck.payouts.store import PayoutStore
    from smallpeck.runtime.cursors import Cursors
    from smallpeck.table.client import Table

T = TypeVar("T")

# Connections are kept open while a warm function sleeps; a dead one must be noticed well within a request's time.
_CONNECT_SECONDS = 2
_READ_SECONDS = 8


class Wiring:
    """One per process: settings, clock, one AWS session, and what is made from them."""

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, clients: Mapping[str, Any] | None = None
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self._clients: dict[str, Any] = dict(clients or {})
        self._made: dict[Callable[[Wiring], Any], Any] = {}
        self._secrets: dict[str, str] = {}

    def once(self, make: "Callable[[Wiring], T]") -> T:
        """`make(self)`, made at its first use and the same from then on."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast("T", self._made[make])

    def client(self, service: str) -> Any:
        """The client of an AWS service. Its address follows AWS_ENDPOINT_URL where that is set."""
        if service not in self._clients:
            from botocore.config import Config

            config = Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"mode": "standard", "max_attempts": 4},
                # Presigned forms and addresses must carry the signature that new regions accept.
                signature_version="s3v4" if service == "s3" else None,
            )
            # The overloads of the session name every service; which one this is, is known to the caller.
            self._clients[service] = cast("Any", self._session).client(service, config=config)
        return self._clients[service]

    def secret(self, arn: str) -> str:
        """The text of a secret, read once per process."""
        if arn not in self._secrets:
            self._secrets[arn] = self.secrets.get_secret_value(SecretId=arn)["SecretString"]
        return self._secrets[arn]

    @cached_property
    def _session(self) -> "Session":
        from boto3.session import Session

        return Session()

    @property
    def dynamodb(self) -> "DynamoDBClient":
        return cast("DynamoDBClient", self.client("dynamodb"))

    @property
    def s3(self) -> "S3Client":
        return cast("S3Client", self.client("s3"))

    @property
    def sqs(self) -> "SQSClient":
        return cast("SQSClient", self.client("sqs"))

    @property
    def workflows(self) -> "SFNClient":
        return cast("SFNClient", self.client("stepfunctions"))

    @property
    def kms(self) -> "KMSClient":
        return cast("KMSClient", self.client("kms"))

    @property
    def secrets(self) -> "SecretsManagerClient":
        return cast("SecretsManagerClient", self.client("secretsmanager"))

    @cached_property
    def table(self) -> "Table":
        """The tables that this function was given; asking for another one is a KeyError in `Table`."""
        from smallpeck.runtime.settings import MissingSetting
        from smallpeck.table import keys
        from smallpeck.table.client import Table

        names = {}
        for table in keys.TABLES:
            try:
                names[table] = getattr(self.settings, f"{table}_table")
            except MissingSetting:
                continue
        return Table(api=self.client("dynamodb"), names=names)

    @cached_property
    def ledger(self) -> "LedgerStore":
        from smallpeck.ledger.store import LedgerStore

        return LedgerStore(self.table)

    @cached_property
    def cursors(self) -> "Cursors":
        from smallpeck.runtime.cursors import Cursors

        return Cursors(self.secret(self.settings.cursor_secret_arn).encode())


_process: list[Wiring] = []


def current() -> Wiring:
    """The wiring of this process, from its environment."""
    if not _process:
        _process.append(Wiring(Settings.from_environment(os.environ)))
    return _process[-1]


@contextmanager
def wired(wiring: Wiring) -> Iterator[Wiring]:
    """Puts `wiring` in the place of the process's own while the block runs."""
    _process.append(wiring)
    try:
        yield wiring
    finally:
        _process.remove(wiring)


def payout_store(wiring: Wiring) -> "PayoutStore":
    from smallpeck.payouts.store import PayoutStore

    return PayoutStore(wiring.table)


def payout_rules(wiring: Wiring) -> "PayoutRules":
    from smallpeck.payouts.rails import RAILS
    from smallpeck.payouts.service import PayoutRules

    settings = wiring.settings
    return PayoutRules(settings.payout_threshold_micros, settings.cooling_off_seconds, RAILS)


def payout_ports(wiring: Wiring) -> "Ports":
    """What a payout run needs. Rails are connected to here, so that a bad address stops a run before it begins."""
    from smallpeck.payouts.rails import RAILS, connect
    from smallpeck.payouts.runs import Ports
    from smallpeck.people.store import DestinationStore, PersonKeys
    from smallpeck.runtime import observability

    settings = wiring.settings
    secret = wiring.secret(settings.gateway_secret_arn)
    return Ports(
        payouts=payout_store(wiring),
        books=wiring.ledger,
        unit=wiring.table,
        rails={name: connect(name, url=settings.gateway_url, secret=secret, stage=settings.stage) for name in RAILS},
        terms=RAILS,
        destinations=DestinationStore(
            wiring.table, PersonKeys(wiring.table, wiring.kms, settings.data_key_arn)
        ),
        clock=wiring.clock,
        signals=observability,
    )
