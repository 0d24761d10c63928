"""What a flow plays in: the platform's stores on the in-memory AWS, its queue and rail, and a state to go back to."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Protocol, Self, cast
from unittest.mock import patch

import urllib3
from botocore.exceptions import ReadTimeoutError

from local.provider import Payment, Provider, Reply
from smallpeck.kernel import ids
from smallpeck.ledger.store import LedgerStore
from smallpeck.table.client import Table
from tests.aws import Clock
from tests.sim.hook import RAIL, Hook, RailTrouble, SimAws
from tests.support import World
from tests.unit.payouts.world import PayoutWorld, ProviderHttp

RAIL_FORGETS_SECONDS = 30 * 24 * 3600


class Outbox(list[str]):
    """What is told to a queue or a workflow: every append is a call, and what it brought stands in the list."""

    def __init__(self, hook: Hook, service: str, operation: str, target: str) -> None:
        super().__init__()
        self._call = (hook, service, operation, {"QueueUrl": target})

    def append(self, one: str) -> None:
        """Sends."""
        hook, service, operation, params = self._call
        hook.run(service, operation, params, lambda: super(Outbox, self).append(one))


class SimClock:
    """The virtual clock, as functions ask it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self._clock.millis()


class Scene(Protocol):
    """One platform, as the simulation sees it."""

    aws: SimAws
    table: Table
    books: LedgerStore
    notes: dict[str, Any]
    """What the flow wants to remember of a run: ids, what was accepted."""

    def containers(self) -> list[Any]:
        """The lists, sets and dicts (of values that are never changed) that belong to its state."""
        ...


class TaskScene(World):
    """Batches, workers and the grader's queue."""

    aws: SimAws

    def __init__(self) -> None:
        aws = SimAws()
        self.notes: dict[str, Any] = {"accepted": frozenset()}
        super().__init__(
            aws=aws,
            nudged=Outbox(aws.hook, "sqs", "SendMessage", "submissions"),
            told_to_finish=Outbox(aws.hook, "stepfunctions", "StartExecution", "batch_finish"),
        )

    def containers(self) -> list[Any]:
        return [self.nudged, self.told_to_finish, self.notes]


class SimRail(ProviderHttp):
    """The provider behind the hook, and it forgets: a key is remembered for 30 days after its first use."""

    def request(self, method: str, url: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
        key = arguments["headers"].get("Idempotency-Key", "")

        def act() -> urllib3.BaseHTTPResponse | None:
            provider = cast("SimProvider", self.provider)
            provider.forget(self.aws.clock.now())
            if method == "POST" and provider.is_delayed(key, json.loads(arguments["body"])):
                return None
            answer = self._answer(method, url, key, arguments["body"])
            provider.arrive()
            return answer

        try:
            answer = self.aws.faults.run(RAIL, method.capitalize(), {"TableName": "gateway"}, act)
        except RailTrouble as trouble:
            return urllib3.HTTPResponse(io.BytesIO(b"{}"), status=trouble.status, preload_content=False)
        except ReadTimeoutError:
            answer = None
        if answer is None:
            raise urllib3.exceptions.TimeoutError
        return answer


class SimProvider(Provider):
    """The simulated provider with its window."""

    def __init__(self) -> None:
        super().__init__()
        self.first_heard: dict[str, float] = {}
        self.paid: list[tuple[str, int]] = []
        """(payout id, micros) of every payment that was really made; nothing forgets it."""
        self.now = 0.0
        self.delayed: dict[str, dict[str, Any]] = {}
        self.delayed_before: dict[str, bool] = {}

    def is_delayed(self, key: str, body: dict[str, Any]) -> bool:
        """Whether this message goes astray for a while: the first one to an address that says so, by worker."""
        who = str(body["destination"])
        if not who.startswith("straggler-") or who in self.delayed_before:
            return False
        self.delayed_before[who] = True
        self.delayed[key] = body
        return True

    def arrive(self) -> None:
        """What went astray arrives, after the next message was answered."""
        while self.delayed:
            key, body = self.delayed.popitem()
            self.pay(key, body)

    def forget(self, now: float) -> None:
        """Drops what its window has passed for."""
        self.now = now
        for key in [one for one, heard in self.first_heard.items() if now - heard > RAIL_FORGETS_SECONDS]:
            del self.first_heard[key]
            self.payments.pop(key, None)
            self.lost.pop(key, None)

    def pay(self, key: str, body: dict[str, Any]) -> Reply | None:
        self.first_heard.setdefault(key, self.now)
        return super().pay(key, body)

    def _execute(self, payment: Payment) -> None:
        super()._execute(payment)
        self.paid.append((payment.body["payout_id"], round(float(payment.body["amount"]) * 1_000_000)))


class PayoutScene(PayoutWorld):
    """Workers with money, payout runs and a provider."""

    aws: SimAws
    provider: SimProvider

    def __init__(self) -> None:
        aws = SimAws()
        super().__init__(
            aws=aws,
            provider=SimProvider(),
            started=Outbox(aws.hook, "stepfunctions", "StartExecution", "payout_run"),
        )
        self.notes: dict[str, Any] = {}

    def __post_init__(self) -> None:
        with patch("tests.unit.payouts.world.ProviderHttp", SimRail):
            super().__post_init__()

    def containers(self) -> list[Any]:
        provider = self.provider
        return [
            self.started,
            self.alarms,
            self.notes,
            self.http.requests,
            provider.payments,
            provider.executed,
            provider.lost,
            provider.first_heard,
            provider.paid,
            provider.delayed,
            provider.delayed_before,
        ]


class Saved:
    """The state of a scene, to be put back before each run."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._aws = scene.aws.save()
        self._copies = [_copy(one) for one in scene.containers()]

    def restore(self) -> None:
        """The scene as it was."""
        self._scene.aws.restore(self._aws)
        for container, copy in zip(self._scene.containers(), self._copies, strict=True):
            container.clear()
            if isinstance(container, list):
                container.extend(_copy(copy))
            else:
                container.update(_copy(copy))


def _copy(container: Any) -> Any:
    if isinstance(container, Mapping):
        return {key: replace(one) if isinstance(one, Payment) else one for key, one in container.items()}
    return list(container)


class SeededEntropy:
    """Random bytes of the kernel, from a seed."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._patch = patch.object(ids, "random_bytes", self.bytes)

    def bytes(self, count: int) -> bytes:
        """`count` bytes."""
        return self._random.randbytes(count)

    def seed(self, seed: str) -> None:
        """Begin again."""
        self._random.seed(seed)

    def __enter__(self) -> Self:
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()


def spelled(value: object) -> str:
    """A value as canonical text, for digests."""
    return json.dumps(value, sort_keys=True, default=_plain)


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)


Act = Callable[[Any], object]
