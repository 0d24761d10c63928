"""The one hook that every in-memory AWS call passes, and the faults it can inject there.

A call is one attempt inside the SDK. With `max_attempts` above 1 the hook repeats a failed attempt as
botocore's standard retry mode does (throttling, 5xx, timeouts), moving the virtual clock instead of
sleeping.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Generic, Protocol, TypeVar

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.aws.clock import Clock
from tests.aws.errors import client_error

T = TypeVar("T")


class Crash(BaseException):
    """The death of the process at a call. Not an Exception, so that no `except Exception` survives it."""


class Fault(StrEnum):
    """What can go wrong at one call."""

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    THROTTLED_ONCE = "throttled once"
    THROTTLED_ON = "throttled on and on"
    ERROR_BEFORE = "500 before commit"
    ERROR_AFTER = "500 after commit"
    TIMEOUT_BEFORE = "timeout before"
    TIMEOUT_AFTER = "timeout after commit"
    CONFLICT = "transaction conflict"
    RACE = "race"


_AFTER = frozenset({Fault.CRASH_AFTER, Fault.ERROR_AFTER, Fault.TIMEOUT_AFTER})
_PLAIN_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
_TRANSACTIONS = frozenset({"TransactWriteItems", "TransactGetItems"})
_READS = ("Get", "Query", "Scan", "BatchGet", "TransactGet", "Describe", "List", "Head", "Receive")
_THROTTLES = {
    "dynamodb": ("ThrottlingException", 400),
    "sqs": ("RequestThrottled", 403),
    "s3": ("SlowDown", 503),
    "stepfunctions": ("ThrottlingException", 400),
}
_FAILURES = {
    "dynamodb": "InternalServerError",
    "sqs": "InternalFailure",
    "s3": "InternalError",
    "stepfunctions": "InternalServerError",
}
_RETRIED = frozenset(
    {"ThrottlingException", "RequestThrottled", "SlowDown", "ProvisionedThroughputExceededException"}
    | {"TransactionInProgressException", "RequestLimitExceeded", "InternalError", "InternalFailure"}
    | {"InternalServerError"}
)


def _target(params: Mapping[str, Any]) -> str:
    """The table, queue, bucket or state machine that a call is about; several are joined by commas."""
    for name in ("TableName", "Bucket"):
        if name in params:
            return str(params[name])
    if "QueueUrl" in params:
        return str(params["QueueUrl"]).rsplit("/", 1)[-1]
    if "RequestItems" in params:
        return ",".join(params["RequestItems"])
    if "TransactItems" in params:
        tables = (str(request["TableName"]) for entry in params["TransactItems"] for request in entry.values())
        return ",".join(dict.fromkeys(tables))
    for name in ("stateMachineArn", "QueueName", "SourceArn"):
        if name in params:
            return str(params[name]).rsplit(":", 1)[-1]
    return ""


@dataclass(slots=True)
class Call:
    """One attempt at one AWS operation, as the hook, the plans and the scheduler see it."""

    service: str
    operation: str
    params: Mapping[str, Any]
    attempt: int = 1
    depth: int = 0
    actor: str = ""
    index: int = -1
    """Position in the world's order of calls; set when the call starts."""

    @property
    def label(self) -> str:
        """`service.Operation:target`, for instance `dynamodb.PutItem:platform`."""
        return f"{self.service}.{self.operation}:{_target(self.params)}"

    @property
    def is_write(self) -> bool:
        """Whether the operation may change something."""
        return not self.operation.startswith(_READS)

    def accepts(self, fault: Fault) -> bool:
        """Whether a fault makes sense here: only DynamoDB item operations know conflicts."""
        if fault is not Fault.CONFLICT:
            return True
        return self.service == "dynamodb" and self.operation in _PLAIN_WRITES | _TRANSACTIONS


@dataclass(slots=True)
class Plan:
    """One fault at one call.

    `at` is the index of the call (counted from when the plan was set), or a pattern for its label
    (`dynamodb.Put*:ledger`), or `@name` for a function that must be on the caller's stack; `nth` picks a
    later match of a pattern. `race` is what runs, whole and nested, just before the call of a RACE; what it
    raises is kept in `race_errors`, since it belongs to the other invocation.
    """

    fault: Fault
    at: int | str
    nth: int = 1
    race: Callable[[], object] | None = None
    fired: list[str] = field(default_factory=list)
    race_errors: list[Exception] = field(default_factory=list)
    _seen: int = 0
    _throttled: str = ""

    def strikes(self, call: Call, position: int) -> bool:
        """Whether this call is the one; counts the matches of a pattern."""
        if self._throttled:
            return call.label == self._throttled
        if self.fired or call.depth or not call.accepts(self.fault):
            return False
        if isinstance(self.at, int):
            hit = position == self.at
        elif self.at.startswith("@"):
            hit = _on_stack(self.at[1:])
        else:
            hit = fnmatchcase(call.label, self.at)
        if hit and not isinstance(self.at, int):
            self._seen += 1
            hit = self._seen == self.nth
        return hit

    def mark(self, call: Call) -> None:
        """Remember that the fault happened."""
        self.fired.append(f"{call.index} {call.label}")
        if self.fault is Fault.THROTTLED_ON:
            self._throttled = call.label


def _on_stack(name: str) -> bool:
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if name in (code.co_name, code.co_qualname):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


class Faults:
    """The hook of one world: numbers the calls, keeps the trace, injects the planned faults."""

    def __init__(self, clock: Clock, *, max_attempts: int = 1, keep_trace: bool = True) -> None:
        """`max_attempts` 1 shows every injected error to the caller; 3 is botocore's standard mode."""
        self.clock = clock
        self.max_attempts = max_attempts
        self.timeout_seconds = 5.0
        self.calls = 0
        self.trace: deque[str] = deque(maxlen=None if keep_trace else 0)
        self.pause: Callable[[Call], None] | None = None
        self.watch: Callable[[Call], None] | None = None
        self._plans: list[Plan] = []
        self._origin = 0
        self._digest = hashlib.sha256()
        self._local = threading.local()
        self._lock = threading.RLock()

    @property
    def trace_hash(self) -> str:
        """A digest of every call so far: order, actor, parameters and outcome. Same seed, same hash."""
        return self._digest.hexdigest()

    def plan(self, *plans: Plan) -> None:
        """Replace the plans; indexes of `Plan.at` count from here."""
        self._plans = list(plans)
        self._origin = self.calls

    def clear(self) -> None:
        """No more faults."""
        self._plans = []

    @contextmanager
    def planned(self, *plans: Plan) -> Iterator[None]:
        """The plans hold inside the `with` block only."""
        self.plan(*plans)
        try:
            yield
        finally:
            self.clear()

    def count_calls(self, flow: Callable[[], object]) -> int:
        """Run `flow` and return how many calls it made."""
        start = self.calls
        flow()
        return self.calls - start

    @contextmanager
    def acting_as(self, name: str) -> Iterator[None]:
        """Calls of this thread carry `name` as their actor inside the block."""
        previous = getattr(self._local, "actor", "")
        self._local.actor = name
        try:
            yield
        finally:
            self._local.actor = previous

    def run(self, service: str, operation: str, params: Mapping[str, Any], act: Callable[[], T]) -> T:
        """Pass one client call through the hook, repeating attempts as the SDK would."""
        attempt = 1
        while True:
            call = Call(service, operation, params, attempt, getattr(self._local, "depth", 0))
            call.actor = getattr(self._local, "actor", "")
            outcome = "ok"
            try:
                pending = self.before(call)
                with self._lock:
                    result = act()
                self.after(call, pending)
                return result
            except ClientError as error:
                outcome = str(error.response["Error"]["Code"])
                if attempt >= self.max_attempts or outcome not in _RETRIED:
                    raise
            except ReadTimeoutError:
                outcome = "timeout"
                if attempt >= self.max_attempts:
                    raise
            except BaseException as error:
                outcome = type(error).__name__
                raise
            finally:
                self._record(call, outcome)
            self.clock.advance(0.05 * 2 ** (attempt - 1))
            attempt += 1

    def before(self, call: Call) -> Plan | None:
        """Called before each attempt; returns the plan that strikes after it, if any."""
        if self.pause is not None:
            self.pause(call)
        call.index = self.calls
        self.calls += 1
        if self.watch is not None:
            self.watch(call)
        pending: Plan | None = None
        for plan in self._plans:
            if plan.strikes(call, call.index - self._origin):
                plan.mark(call)
                if plan.fault in _AFTER:
                    pending = plan
                else:
                    self._inject(plan, call)
        return pending

    def after(self, call: Call, pending: Plan | None) -> None:
        """Called after each attempt that took effect."""
        if pending is not None:
            self._inject(pending, call)

    def _inject(self, plan: Plan, call: Call) -> None:
        fault = plan.fault
        if fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            raise Crash(f"{fault} {call.label}")
        if fault in (Fault.THROTTLED_ONCE, Fault.THROTTLED_ON):
            code, status = _THROTTLES[call.service]
            raise client_error(call.operation, code, "Rate exceeded", status)
        if fault in (Fault.ERROR_BEFORE, Fault.ERROR_AFTER):
            raise client_error(call.operation, _FAILURES[call.service], "Internal failure", 500)
        if fault in (Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER):
            self.clock.advance(self.timeout_seconds)
            raise ReadTimeoutError(endpoint_url=f"https://{call.service}.amazonaws.com/")
        if fault is Fault.CONFLICT:
            raise _conflict(call)
        self._race(plan)

    def _race(self, plan: Plan) -> None:
        if plan.race is None:
            raise ValueError("a plan with the fault RACE needs `race`")
        self._local.depth = getattr(self._local, "depth", 0) + 1
        try:
            plan.race()
        except Exception as error:  # noqa: BLE001 - it belongs to the other invocation
            plan.race_errors.append(error)
        finally:
            self._local.depth -= 1

    def _record(self, call: Call, outcome: str) -> None:
        line = f"{call.index} {call.actor}{'>' * call.depth} {call.label} {outcome}"
        self.trace.append(line)
        self._digest.update(line.encode())
        try:
            self._digest.update(marshal.dumps(dict(call.params), 0))
        except ValueError:
            self._digest.update(",".join(call.params).encode())


def _conflict(call: Call) -> ClientError:
    if call.operation not in _TRANSACTIONS:
        message = "Transaction is ongoing for the item"
        return client_error(call.operation, "TransactionConflictException", message)
    count = len(call.params["TransactItems"])
    reasons: list[dict[str, Any]] = [{"Code": "None"} for _ in range(count)]
    reasons[0] = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return client_error(call.operation, "TransactionCanceledException", message, CancellationReasons=reasons)


class World(Protocol):
    """Whatever a sweep builds anew for each run; it has one hook."""

    @property
    def faults(self) -> Faults:
        """The hook of this world."""


W = TypeVar("W", bound=World)


@dataclass(frozen=True, slots=True)
class Run(Generic[W]):
    """One run of a sweep: the world as the fault left it, and what the flow raised (None: it returned)."""

    world: W
    plans: tuple[Plan, ...]
    error: BaseException | None

    def __str__(self) -> str:
        struck = "; ".join(f"{plan.fault} at {', '.join(plan.fired) or 'nothing'}" for plan in self.plans)
        return f"{struck} -> {type(self.error).__name__ if self.error is not None else 'returned'}"


def sweep(
    build: Callable[[], W],
    flow: Callable[[W], object],
    *,
    faults: Iterable[Fault] = tuple(Fault),
    race: Callable[[W], object] | None = None,
    pairs: bool = False,
) -> Iterator[Run[W]]:
    """Run `flow` once for each (call, fault), each time in a new world; the caller recovers and checks.

    The calls are learnt from a clean run. `race` is what runs nested for RACE (default: `flow`, as a
    duplicate invocation would). A fault that a call cannot have is left out. With `pairs` each run is
    followed by runs with a second fault at each later call that the first run made. Faults are cleared
    before a run is handed out.
    """
    chosen = tuple(faults)
    rival = race if race is not None else flow
    _, calls = _attempt(build, flow, (), rival)
    for at, call in enumerate(calls):
        for fault in filter(call.accepts, chosen):
            first, later = _attempt(build, flow, ((at, fault),), rival)
            yield first
            if not pairs:
                continue
            for second_at in range(at + 1, len(later)):
                for second in filter(later[second_at].accepts, chosen):
                    yield _attempt(build, flow, ((at, fault), (second_at, second)), rival)[0]


def _attempt(
    build: Callable[[], W],
    flow: Callable[[W], object],
    strikes: tuple[tuple[int, Fault], ...],
    rival: Callable[[W], object],
) -> tuple[Run[W], list[Call]]:
    world = build()
    hook = world.faults
    plans = tuple(Plan(fault, at, race=lambda: rival(world)) for at, fault in strikes)
    calls: list[Call] = []
    hook.watch = calls.append
    error: BaseException | None = None
    hook.plan(*plans)
    try:
        flow(world)
    except (Exception, Crash) as raised:  # noqa: BLE001 - handed to the caller
        error = raised
    finally:
        hook.clear()
        hook.watch = None
    return Run(world, plans, error), calls
