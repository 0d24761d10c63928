"""Puts stores and clients behind what the features ask for. Everything is made when it is first used, then kept.

A function takes what it needs from `current()`; a test puts its own in place with `wired(...)`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from smallpeck.kernel.clock import Clock, SystemClock
from smallpeck.runtime.clients import Clients
from smallpeck.runtime.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_stepfunctions.client import SFNClient

    from smallpeck.ledger.audit_store import AuditStore
    from smallpeck.ledger.store import LedgerStore
    from smallpeck.payouts.service import PayoutRules, WorkerPayoutFacts
    from smallpeck.payouts.store import PayoutStore
    from smallpeck.people.store import DestinationFactStore, DestinationStore, ProfileStore
    from smallpeck.runtime.cursors import Cursors, Scope
    from smallpeck.table.client import Table
    from smallpeck.tasks.import_store import ImportStore
    from smallpeck.tasks.model import Batch, BatchState, WorkerFacts
    from smallpeck.tasks.object_store import ImportFiles
    from smallpeck.tasks.pages import Page
    from smallpeck.tasks.schema import Checker
    from smallpeck.tasks.store import TaskStore

T = TypeVar("T")

LINK_SECONDS = 3600
UPLOAD_MAX_BYTES = 1_000_000_000


class Wiring:
    """One per process: settings, clock, one AWS session, and what is made from them."""

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, clients: Mapping[str, Any] | Clients | None = None
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self._clients = clients if isinstance(clients, Clients) else Clients(clients or {})
        self._made: dict[Callable[[Wiring], Any], Any] = {}
        self._secrets: dict[str, str] = {}

    def once(self, make: "Callable[[Wiring], T]") -> T:
        """`make(self)`, made at its first use and the same from then on."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast("T", self._made[make])

    def client(self, service: str) -> Any:
        """The client of an AWS service, made when something is first asked of it."""
        return self._clients.get(service)

    def secret(self, arn: str) -> str:
        """The text of a secret, read once per process."""
        if arn not in self._secrets:
            self._secrets[arn] = self.secrets.get_secret_value(SecretId=arn)["SecretString"]
        return self._secrets[arn]

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

    def position(self, cursor: str | None, scope: "Scope") -> str | None:
        """Where a list goes on; raises BadCursor. The secret is only fetched where there is a cursor."""
        return None if cursor is None else self.cursors.read(cursor, scope)

    def cursor(self, position: str | None, scope: "Scope") -> str | None:
        """The cursor of a position; None at the end of a list."""
        return None if position is None else self.cursors.sign(position, scope)


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
    offered = {name: RAILS[name] for name in settings.rails.split(",")}
    return PayoutRules(settings.payout_threshold_micros, settings.cooling_off_seconds, offered)


@dataclass(frozen=True)
class PayoutWorkers:
    """What payouts ask of people; see `smallpeck.payouts.service.Workers`."""

    profiles: "ProfileStore"
    destinations: "DestinationFactStore"

    def payout_facts(self, worker_id: str) -> "WorkerPayoutFacts":
        """See `smallpeck.payouts.service.Workers`."""
        from smallpeck.payouts.service import WorkerPayoutFacts

        profile = self.profiles.worker(worker_id)
        held = self.destinations.facts(worker_id)
        return WorkerPayoutFacts(
            threshold_micros=None if profile is None else profile.payout_threshold_micros,
            destination_version=None if held is None else held.version,
            rail=None if held is None else held.rail,
            destination_changed_at_ms=None if held is None else held.changed_at_ms,
            automatic=profile is not None and profile.automatic_payouts,
        )


def payout_workers(wiring: Wiring) -> PayoutWorkers:
    return PayoutWorkers(wiring.once(profile_store), wiring.once(destination_facts))


def profile_store(wiring: Wiring) -> "ProfileStore":
    from smallpeck.people.store import ProfileStore

    return ProfileStore(wiring.table)


def destination_facts(wiring: Wiring) -> "DestinationFactStore":
    from smallpeck.people.store import DestinationFactStore

    return DestinationFactStore(wiring.table)


def destination_store(wiring: Wiring) -> "DestinationStore":
    from smallpeck.people.store import DestinationStore, PersonKeys

    return DestinationStore(wiring.table, PersonKeys(wiring.table, wiring.kms, wiring.settings.data_key_arn))


def task_store(wiring: Wiring) -> "TaskStore":
    from smallpeck.tasks.store import TaskStore

    return TaskStore(wiring.table)


def worker_facts(wiring: Wiring, worker_id: str) -> "WorkerFacts":
    from smallpeck.tasks.model import WorkerFacts

    profile = wiring.once(profile_store).worker(worker_id)
    if profile is None:
        return WorkerFacts(worker_id)
    return WorkerFacts(worker_id, profile.country, frozenset(profile.languages))


def own_page_and_batch(reads: "TaskStore", page_id: str, worker_id: str) -> "tuple[Page, Batch]":
    from smallpeck.tasks.model import BatchNotFound
    from smallpeck.tasks.seats import own_page

    page = own_page(reads.page(page_id), worker_id)
    batch = reads.batch(page.batch_id)
    if batch is None:
        raise BatchNotFound
    return page, batch


def answer_check(batch: "Batch") -> "Checker":
    import json

    from smallpeck.tasks.schema import Checker

    return Checker(json.loads(batch.answer_schema))


def nudge(wiring: Wiring) -> "Callable[[str], None]":
    """Tells the grader of a page."""
    url = wiring.settings.submissions_queue_url

    def send(page_id: str) -> None:
        wiring.sqs.send_message(QueueUrl=url, MessageBody=f'{{"v":1,"page_id":"{page_id}"}}')

    return send


def start_workflow(wiring: Wiring, arn: str, name: str, payload: "Mapping[str, Any]") -> None:
    """Starts an execution under a name that stands for one business fact; starting it again does nothing."""
    import json

    try:
        wiring.workflows.start_execution(stateMachineArn=arn, name=name, input=json.dumps(payload))
    except wiring.workflows.exceptions.ExecutionAlreadyExists:
        return


def start_finish(wiring: Wiring) -> "Callable[[str], None]":
    """Starts the workflow that finishes a batch."""

    def start(batch_id: str) -> None:
        payload = {"batch_id": batch_id, "final": "closed"}
        start_workflow(wiring, wiring.settings.batch_finish_arn, f"finish-{batch_id}", payload)

    return start


def import_store(wiring: Wiring) -> "ImportStore":
    from smallpeck.tasks.import_store import ImportStore

    return ImportStore(wiring.table)


def import_files(wiring: Wiring) -> "ImportFiles":
    from smallpeck.tasks.object_store import ImportFiles

    return ImportFiles(wiring.client("s3"), wiring.settings.work_bucket)


def own_batch(batch_id: str, requester_id: str) -> "Batch":
    from smallpeck.tasks.batches import own_batch

    return own_batch(current().once(task_store).batch(batch_id), requester_id)


def finish_batch(batch_id: str, requester_id: str, final: "BatchState") -> "Batch":
    from smallpeck.tasks.batches import finish

    here = current()
    return finish(
        batch=own_batch(batch_id, requester_id),
        final=final,
        reads=here.once(task_store),
        unit=here.table,
        start_finish=here.once(start_finish),
    )


def upload_form(wiring: Wiring, batch: "Batch", filename: str) -> "Mapping[str, Any]":
    """A form that uploads one file of bounded size to one key that belongs to the requester and the batch."""
    return wiring.s3.generate_presigned_post(
        Bucket=wiring.settings.uploads_bucket,
        Key=f"uploads/{batch.requester_id}/{batch.batch_id}/{filename}",
        Conditions=[["content-length-range", 1, UPLOAD_MAX_BYTES]],
        ExpiresIn=LINK_SECONDS,
    )


def signed_link(wiring: Wiring, key: str) -> str:
    """A short-lived address of a file in the work bucket."""
    return wiring.s3.generate_presigned_url(
        "get_object", Params={"Bucket": wiring.settings.work_bucket, "Key": key}, ExpiresIn=LINK_SECONDS
    )


def audit_store(wiring: Wiring) -> "AuditStore":
    from smallpeck.ledger.audit_store import AuditStore
    from smallpeck.runtime.claims import claimants

    return AuditStore(wiring.table, claimants)


def start_audit(wiring: Wiring) -> "Callable[[str], None]":
    """Starts the workflow that audits the books."""

    def start(audit_id: str) -> None:
        start_workflow(wiring, wiring.settings.books_audit_arn, audit_id, {"audit_id": audit_id})

    return start


@dataclass(frozen=True)
class PayoutWorkflow:
    """See `smallpeck.payouts.running.Workflow`."""

    wiring: Wiring

    def start(self, run_id: str) -> None:
        """See `smallpeck.payouts.running.Workflow`."""
        start_workflow(self.wiring, self.wiring.settings.payout_run_arn, run_id, {"run_id": run_id})


def payout_workflow(wiring: Wiring) -> PayoutWorkflow:
    return PayoutWorkflow(wiring)


def publish_results(wiring: Wiring, batch_id: str) -> int:
    """Writes the results files of a batch; returns how many tasks they hold."""
    from smallpeck.tasks import publishing
    from smallpeck.tasks.model import BatchNotFound
    from smallpeck.tasks.object_store import ResultFolder

    reads = wiring.once(task_store)
    batch = reads.batch(batch_id)
    if batch is None:
        raise BatchNotFound
    files = ResultFolder(wiring.client("s3"), wiring.settings.work_bucket)
    return publishing.publish_results(batch=batch, reads=reads, files=files)
