"""The platform for tests of its functions: their handlers over the in-memory AWS, spoken to as clients speak."""

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from functions.batch_finish.handler import handler as batch_finish
from functions.books_audit.handler import handler as books_audit
from functions.books_seal.handler import handler as books_seal
from functions.grader.handler import handler as grader
from functions.import_part.handler import handler as import_part
from functions.import_report.handler import handler as import_report
from functions.import_split.handler import handler as import_split
from functions.reestimate.handler import handler as reestimate
from functions.sweeper.handler import handler as sweeper
from smallpeck.kernel.errors import SmallPeckError
from smallpeck.ledger.audit_service import SEGMENTS as AUDIT_SEGMENTS
from smallpeck.runtime.http import Api
from smallpeck.runtime.routes import Route
from smallpeck.runtime.settings import Settings
from smallpeck.runtime.wiring import Wiring
from tests.aws import Drained, drain
from tests.aws.delivery import Handler
from tests.aws.stepfunctions import Execution
from tests.gateway import NO_BODY, Answer, Context, ask, claims, event
from tests.support import REQUESTER, TABLE_NAMES, World
from tests.unit.people.fake_kms import FakeKms

AUDIENCES = ("worker", "requester", "operator")
APIS: dict[str, Api] = {name: importlib.import_module(f"functions.{name}_api.handler").api for name in AUDIENCES}
ROUTES: list[tuple[str, Route]] = [(name, route) for name, api in APIS.items() for route in api.table.routes]

UPLOADS, WORK, SEALS = "uploads-bucket", "work-bucket", "seals-bucket"
PUBLIC = {route.path for _, route in ROUTES if route.public}
MACHINES = {
    name: f"arn:aws:states:eu-central-1:000000000000:stateMachine:{name}"
    for name in ("batch_finish", "batch_export", "payout_run", "books_audit")
}
VISIBILITY_SECONDS = 360
MAX_RECEIVES = 5
TWO_WEEKS_SECONDS = 14 * 86_400
RECOUNTS_MAX = 100


class Secrets:
    """The secrets that functions read."""

    def get_secret_value(self, **arguments: Any) -> dict[str, str]:
        assert arguments.keys() == {"SecretId"}
        return {"SecretString": f"the secret of {arguments['SecretId']}"}


class Tokens:
    """Stands for STS: hands out credentials and remembers for which role and policy."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def assume_role(self, **arguments: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        held = {"AccessKeyId": "ASIA", "SecretAccessKey": "secret", "SessionToken": "token"}
        return {"Credentials": {**held, "Expiration": datetime(2033, 1, 1, tzinfo=UTC)}}


@dataclass(frozen=True)
class WorldClock:
    """The world's clock, as functions ask it."""

    world: World

    def now_ms(self) -> int:
        return self.world.now_ms


class Platform:
    """Everything that is deployed. Use its clients inside `wired(platform.wiring)`."""

    def __init__(self, *, stage: str = "local", **settings: Any) -> None:
        self.world = World()
        self.aws = self.world.aws
        self.answered: set[tuple[str, str]] = set()
        self.ids: dict[str, str] = {}
        """Ids of what a test has put there, by the names that paths give them."""
        self.tokens = Tokens()
        self.dead_url = self._queue("submissions-dead")
        dead_arn = self.aws.sqs.queue(self.dead_url).arn
        policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVES})
        self.queue_url = self._queue("submissions", VisibilityTimeout=str(VISIBILITY_SECONDS), RedrivePolicy=policy)
        for bucket in (UPLOADS, WORK, SEALS):
            self.aws.s3.create_bucket(Bucket=bucket)
        for bucket in (UPLOADS, SEALS):
            self.aws.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        given: dict[str, Any] = {
            "stage": stage,
            "uploads_bucket": UPLOADS,
            "work_bucket": WORK,
            "seals_bucket": SEALS,
            "statement_key_arn": "arn:statements",
            "root_key_arn": "arn:roots",
            "submissions_queue_url": self.queue_url,
            "data_key_arn": "arn:key",
            "cursor_secret_arn": "arn:cursors",
            "inbox_role_arn": "arn:aws:iam::1:role/drop",
            **{f"{name}_arn": arn for name, arn in MACHINES.items()},
            **{f"{table}_table": name for table, name in TABLE_NAMES.items()},
        }
        clients = {
            "dynamodb": self.aws.dynamodb,
            "sqs": self.aws.sqs,
            "s3": self.aws.s3,
            "stepfunctions": self.aws.sfn,
            "kms": FakeKms(),
            "secretsmanager": Secrets(),
            "sts": self.tokens,
        }
        self.wiring = Wiring(Settings(**(given | settings)), clock=WorldClock(self.world), clients=clients)
        # The same store, but one that never sleeps between its attempts.
        self.wiring.table = self.world.table

    def _queue(self, name: str, **attributes: str) -> str:
        url: str = self.aws.sqs.create_queue(
            QueueName=name, Attributes={"MessageRetentionPeriod": str(TWO_WEEKS_SECONDS), **attributes}
        )["QueueUrl"]
        return url

    # Clients

    def worker(self, user: str = "ann") -> "Client":
        return Client(self, "worker", user)

    def requester(self, user: str = REQUESTER) -> "Client":
        return Client(self, "requester", user)

    def operator(self, user: str = "op") -> "Client":
        return Client(self, "operator", user)

    def client(self, audience: str, user: str) -> "Client":
        return Client(self, audience, user)

    # What is held

    def dump(self) -> dict[str, Any]:
        """Everything that is stored, queued and started."""
        tables: dict[str, Any] = {
            name: sorted(self.aws.dynamodb.dump(name), key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
            for name in TABLE_NAMES.values()
        }
        buckets = {
            name: {key: len(v) for key, v in self.aws.s3.bucket(name).versions.items()}
            for name in (UPLOADS, WORK, SEALS)
        }
        queues = {url: self.aws.sqs.peek(url) for url in (self.queue_url, self.dead_url)}
        started = [(one.state_machine, one.name, one.input) for one in self.aws.sfn.executions]
        return {**tables, **buckets, **queues, "started": started}

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Nothing that is stored, queued or started differs after the block."""
        before = self.dump()
        yield
        after = self.dump()
        assert {name for name in before if after[name] != before[name]} == set()

    def fetch(self, address: str) -> bytes:
        """What a signed address leads to."""
        parts = urlsplit(address)
        assert "X-Amz-Signature=" in parts.query
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        body: bytes = self.aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    # Uploads

    def upload(self, form: Mapping[str, Any], body: bytes) -> dict[str, str]:
        """Posts a file with a form; what the rule then tells the import workflow."""
        return self.put(form["fields"]["key"], body)

    def put(self, key: str, body: bytes) -> dict[str, str]:
        stored = self.aws.s3.put_object(Bucket=UPLOADS, Key=key, Body=body)
        return {"bucket": UPLOADS, "key": key, "version_id": stored["VersionId"]}

    def run_import(self, upload: Mapping[str, str]) -> dict[str, Any]:
        """The steps of the import workflow, as its file orders them."""
        begun = stepped(import_report, {"step": "begin", **upload})
        if begun["ignored"] is not None:
            return begun
        ids = {name: begun[name] for name in ("batch_id", "import_id")}
        found = stepped(import_split, {**ids, **upload})
        if found["state"] != "writing":
            return found
        manifest = json.loads(self.aws.s3.get_object(Bucket=WORK, Key=found["manifest_key"])["Body"].read())
        for one in manifest:
            stepped(import_part, {**ids, "shards": found["shards"], "part": one["part"], "key": one["key"]})
        return stepped(import_report, {"step": "complete", **ids})

    # Queue and schedule

    def send(self, body: str, **attributes: Any) -> None:
        """Puts a message on the submissions queue."""
        self.aws.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body, **attributes)

    def nudge(self, page_id: str) -> None:
        self.send(json.dumps({"v": 1, "page_id": page_id}))

    def deliver(self, handler: Handler = grader, **how: Any) -> Drained:
        """Delivers what is queued to the grader, as Lambda does."""
        return drain(self.aws.sqs, self.queue_url, handler, **how)

    @property
    def queued(self) -> list[str]:
        return self.aws.sqs.peek(self.queue_url)

    @property
    def held(self) -> list[str]:
        """The messages in the dead-letter queue."""
        return self.aws.sqs.peek(self.dead_url)

    def redrive(self) -> None:
        self.aws.sqs.start_message_move_task(SourceArn=self.aws.sqs.queue(self.dead_url).arn)

    def sweep(self) -> dict[str, int]:
        return sweeper({}, Context())

    # Seals

    def seal(self, scheduled_at: str) -> dict[str, Any]:
        """The steps of the workflow that seals the day before a moment, as its file orders them."""
        begun = stepped(books_seal, {"step": "begin", "scheduled_at": scheduled_at})
        if begun["sealed"]:
            return begun
        runs = [stepped(books_seal, {"step": "scan", "segment": one})["runs"] for one in begun["segments"]]
        asked = {name: begun[name] for name in ("day", "known")}
        return stepped(books_seal, {"step": "seal", **asked, "runs": runs})

    # Audits

    def audit_parts(self, table: str, again: str = "") -> list[str]:
        """The files of a table's scan, part by part."""
        asked = {"step": table, **({"again": again} if table == "ledger" else {})}
        return [stepped(books_audit, {**asked, "segment": one})["file"] for one in range(AUDIT_SEGMENTS)]

    def audit_look(
        self, begun: Mapping[str, Any], audit_id: str, platform: list[str], ledger: list[str], again: str = ""
    ) -> dict[str, Any]:
        """The look at these parts."""
        given = {"platform": platform, "ledger": ledger, "again": again, "started_at_ms": begun["started_at_ms"]}
        return stepped(books_audit, {"step": "look", "audit_id": audit_id, **given})

    def audit(self, audit_id: str) -> dict[str, Any]:
        """The steps of the workflow that audits the books, as its file orders them."""
        begun = looked = stepped(books_audit, {"step": "begin", "audit_id": audit_id})
        platform = [] if begun["finished"] else self.audit_parts("platform")
        while not looked["finished"]:
            ledger = self.audit_parts("ledger", again=looked["again"])
            looked = self.audit_look(begun, audit_id, platform, ledger, looked["again"])
        return looked

    # Finishing

    @property
    def finishing(self) -> list[Execution]:
        """Started executions of the workflow that finishes a batch."""
        return [one for one in self.aws.sfn.executions if one.state_machine == MACHINES["batch_finish"]]

    def step(self, step: str, batch_id: str, **more: str) -> dict[str, Any]:
        """One step of that workflow."""
        return stepped(batch_finish, {"step": step, "batch_id": batch_id, **more})

    def finish(self, batch_id: str = "b1", final: str = "closed") -> None:
        """Its steps, as its file orders them."""
        self.step("begin", batch_id, final=final)
        for _ in range(RECOUNTS_MAX):
            found = self.step("recount", batch_id)
            if found["ready"]:
                break
            self.aws.clock.advance(found["wait_seconds"])
        else:
            raise AssertionError(f"{batch_id} is never ready: {found}")
        self.step("refund", batch_id)
        self.estimate_again(batch_id)
        for step in ("publish", "end"):
            self.step(step, batch_id)

    def reestimate(self, step: str, batch_id: str = "b1", **more: int) -> dict[str, Any]:
        """One step of its re-estimation."""
        return stepped(reestimate, {"step": step, "batch_id": batch_id, **more})

    def estimate_again(self, batch_id: str = "b1") -> None:
        """The steps of the re-estimation, as the workflow's file orders them."""
        planned, fitted = self.reestimate("plan", batch_id), {"round": 0, "done": False}
        if planned["way"] != "none":
            for chunk in planned["chunks"]:
                self.reestimate("gather", batch_id, chunk=chunk)
            fitted = self.reestimate("fit", batch_id, round=0)
            while not fitted["done"]:
                for chunk in planned["chunks"]:
                    self.reestimate("tally", batch_id, chunk=chunk, round=fitted["round"])
                fitted = self.reestimate("fit", batch_id, round=fitted["round"])
        for chunk in planned["chunks"]:
            self.reestimate("decide", batch_id, chunk=chunk, round=fitted["round"])
        self.reestimate("conclude", batch_id, round=fitted["round"])


@dataclass(frozen=True)
class Client:
    """Somebody's app."""

    platform: Platform
    audience: str
    user: str

    def ask(self, method: str, path: str, **asked: Any) -> Answer:
        """Sends a request; `path` is relative to the audience, but for public ones. See `tests.gateway.event`."""
        whole = path if path in PUBLIC else f"/v1/{self.audience}{path}"
        who = claims(self.user, f"[{self.audience}]")
        answer = ask(APIS[self.audience].handler, event(method, whole, **{"token": who, **asked}))
        if answer.status < 300:
            self.platform.answered.add((self.audience, route_of(self.audience, method, whole)))
        return answer

    def get(self, path: str, query: str = "", **asked: Any) -> Answer:
        return self.ask("GET", path, query=query, **asked)

    def post(self, path: str, body: Any = NO_BODY, *, key: str | None = None, **asked: Any) -> Answer:
        return self.ask("POST", path, body=body, key=key, **asked)

    def put(self, path: str, body: Any = NO_BODY, **asked: Any) -> Answer:
        return self.ask("PUT", path, body=body, **asked)

    def refused(self, method: str, path: str, status: int, code: str, **asked: Any) -> Answer:
        """Asks for what is refused with this status and code, and changes nothing."""
        with self.platform.unchanged():
            answer = self.ask(method, path, **asked)
        told = answer.json
        assert (answer.status, told.get("code")) == (status, code), f"{method} {path}: {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json"
        assert told["status"] == status
        assert told.keys() == {
            "type", "title", "status", "detail", "instance", "code", "errors", "correlation_id",
        }  # fmt: skip
        assert "Traceback" not in answer.text
        return answer

    # Use cases in a line each

    def leased(self, key: str = "k1", batch_id: str = "b1", **more: Any) -> dict[str, Any]:
        """A new page."""
        answer = self.post("/pages", {"batch_id": batch_id, **more}, key=key)
        assert answer.status == 201, answer.text
        page: dict[str, Any] = answer.json["page"]
        return page

    def submitted(self, page: Mapping[str, Any], answer: Any = "cat") -> dict[str, Any]:
        """Answers every task of a page alike."""
        sent = self.post(f"/pages/{page['page_id']}/submission", answers_to(page, answer))
        assert sent.status == 202, sent.text
        told: dict[str, Any] = sent.json
        return told

    def everything(self, path: str, name: str, query: str = "", limit: int = 100) -> list[Any]:
        """A whole list, asked for `limit` at a time."""
        found: list[Any] = []
        cursor = ""
        for _ in range(1_000):
            answer = self.get(path, f"{query}limit={limit}{cursor}")
            assert answer.status == 200, answer.text
            assert len(answer.json[name]) <= limit
            found += answer.json[name]
            if answer.json["next_cursor"] is None:
                return found
            cursor = f"&cursor={answer.json['next_cursor']}"
        raise AssertionError(f"{path} never ends")


def answers_to(page: Mapping[str, Any], answer: Any = "cat") -> dict[str, Any]:
    """The body of a submission that answers every task of a page alike."""
    return {"answers": [{"task_id": one["task_id"], "answer": answer} for one in page["assignments"]]}


def stepped(handler: Handler, payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a step of a workflow answers."""
    answer: dict[str, Any] = handler(dict(payload), Context())
    assert answer is not None
    return answer


def route_of(audience: str, method: str, path: str) -> str:
    """The name of the route that a request means; the request itself where it means none."""
    try:
        methods, _ = APIS[audience].table.find(path)
    except SmallPeckError:
        return f"{method} {path}"
    return methods[method].name


def routes_of(audience: str) -> set[tuple[str, str]]:
    """Every registered route of an audience."""
    return {(name, route.name) for name, route in ROUTES if name == audience}
