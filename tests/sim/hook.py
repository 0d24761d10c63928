"""The in-memory AWS of the simulation: faults by the position of a call in a run, and a state that can be put back."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.aws import Aws, Clock, Crash, Dynamo, Fault, Faults, Sfn
from tests.aws.errors import client_error
from tests.aws.faults import _AFTER, _FAILURES, _PLAIN_WRITES, _RETRIED, _THROTTLES, _TRANSACTIONS, _target
from tests.aws.tables import Partitions, Table

T = TypeVar("T")
RAIL = "rail"
INJECTED = frozenset(code for code, _ in _THROTTLES.values()) | frozenset(_FAILURES.values())
"""Codes of the errors that faults answer with."""
_READS = ("Get", "Query", "Scan", "BatchGet", "TransactGet")
TIMEOUT_SECONDS = 8.0


class RailTrouble(Exception):
    """A rail answers with this HTTP status and nothing else."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


def accepts(label: str, fault: Fault) -> bool:
    """Whether a fault makes sense at a call: only DynamoDB's item operations know conflicts."""
    if fault is not Fault.CONFLICT:
        return True
    service, _, rest = label.partition(".")
    return service == "dynamodb" and rest.partition(":")[0] in _PLAIN_WRITES | _TRANSACTIONS


def is_read(label: str) -> bool:
    """Whether the call changes nothing, so that before and after it are the same."""
    service, _, rest = label.partition(".")
    return service == "dynamodb" and rest.startswith(_READS)


class Hook(Faults):
    """What every call passes. Faults strike calls of the invocation itself, never those of one nested in it by a race.

    `sdk` is how often the SDK tries a call of AWS; a rail is called once.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, keep_trace=False)
        self.attempts = 0
        self.struck = 0
        self.lines: list[str] = []
        self.sites: list[str] = []
        """The labels of the calls that faults can strike, in order."""
        self._strikes: Mapping[int, Fault] = {}
        self._armed = False
        self._sdk = 1
        self._throttled = ""
        self._depth = 0
        self._rival: Callable[[], object] | None = None

    def arm(self, strikes: Mapping[int, Fault], sdk: int) -> None:
        """Begin a run."""
        self._strikes, self._sdk, self._armed = strikes, sdk, True
        self.attempts = self.struck = 0
        self.sites, self.lines = [], []
        self.between(None)

    def between(self, race: Callable[[], object] | None) -> None:
        """Another invocation begins; `race` is what a race runs inside of it."""
        self._throttled, self._rival = "", race

    def disarm(self) -> None:
        """No more faults; attempts are still counted."""
        self._armed, self._throttled = False, ""

    def run(self, service: str, operation: str, params: Mapping[str, Any], act: Callable[[], T]) -> T:
        label = f"{service}.{operation}:{_target(params)}"
        attempt = 1
        while True:
            try:
                return self._attempt(label, service, operation, params, act)
            except ClientError as error:
                if attempt >= self._tries(service) or str(error.response["Error"]["Code"]) not in _RETRIED:
                    raise
            except ReadTimeoutError:
                if attempt >= self._tries(service):
                    raise
            self.clock.advance(0.05 * 2 ** (attempt - 1))
            attempt += 1

    def _tries(self, service: str) -> int:
        return 1 if service == RAIL else self._sdk

    def _attempt(self, label: str, service: str, operation: str, params: Mapping[str, Any], act: Callable[[], T]) -> T:
        self.attempts += 1
        fault = self._strike(label)
        outcome = "ok"
        try:
            if fault is not None and fault not in _AFTER:
                self._raise(fault, label, service, operation, params)
            result = act()
            if fault is not None and fault in _AFTER:
                self._raise(fault, label, service, operation, params)
            return result
        except ClientError as error:
            outcome = str(error.response["Error"]["Code"])
            raise
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            self.lines.append(f"{self._depth} {label} {outcome}")

    def _strike(self, label: str) -> Fault | None:
        if not self._armed or self._depth:
            return None
        fault = self._strikes.get(len(self.sites))
        self.sites.append(label)
        if self._throttled == label:
            return Fault.THROTTLED_ON
        if fault is None or not accepts(label, fault):
            return None
        self.struck += 1
        if fault is Fault.THROTTLED_ON:
            self._throttled = label
        return fault

    def _raise(self, fault: Fault, label: str, service: str, operation: str, params: Mapping[str, Any]) -> None:
        match fault:
            case Fault.CRASH_BEFORE | Fault.CRASH_AFTER:
                raise Crash(f"{fault} {label}")
            case Fault.TIMEOUT_BEFORE | Fault.TIMEOUT_AFTER:
                self.clock.advance(TIMEOUT_SECONDS)
                raise ReadTimeoutError(endpoint_url=f"https://{service}.test/")
            case Fault.RACE:
                self._run_race()
            case Fault.CONFLICT:
                raise _conflict(operation, params)
            case Fault.THROTTLED_ONCE | Fault.THROTTLED_ON if service == RAIL:
                raise RailTrouble(429)
            case Fault.THROTTLED_ONCE | Fault.THROTTLED_ON:
                code, status = _THROTTLES[service]
                raise client_error(operation, code, "Rate exceeded", status)
            case _ if service == RAIL:
                raise RailTrouble(500)
            case _:
                raise client_error(operation, _FAILURES[service], "Internal failure", 500)

    def _run_race(self) -> None:
        if self._rival is None:
            return
        self._depth += 1
        try:
            self._rival()
        finally:
            self._depth -= 1


def _conflict(operation: str, params: Mapping[str, Any]) -> ClientError:
    message = "Transaction is ongoing for the item"
    if operation not in _TRANSACTIONS:
        return client_error(operation, "TransactionConflictException", message)
    reasons: list[dict[str, Any]] = [{"Code": "None"} for _ in params["TransactItems"]]
    reasons[-1] = {"Code": "TransactionConflict", "Message": message}
    return client_error(operation, "TransactionCanceledException", message, CancellationReasons=reasons)


Copies = dict[Any, Any]


class SimAws(Aws):
    """An in-memory AWS whose tables can be put back to what they were."""

    def __init__(self) -> None:
        super().__init__(validate=False, keep_history=False)
        self.hook = Hook(self.clock)
        self.faults = self.hook
        self.dynamodb = Dynamo(self.clock, self.hook, validate=False, keep_charges=False)
        self.sfn = Sfn(self.clock, self.hook, validate=False)

    def save(self) -> "SavedAws":
        """What is stored, and when."""
        tables = [_saved(table) for table in self.dynamodb._tables.values()]
        tokens, made = dict(self.dynamodb._tokens._done), self.dynamodb._tokens_made
        return SavedAws(self.clock._micros, tables, tokens, made)

    def restore(self, saved: "SavedAws") -> None:
        """As it was when it was saved."""
        self.clock._micros = saved.micros
        for table, copies in zip(self.dynamodb._tables.values(), saved.tables, strict=True):
            _put_back(table, copies)
        self.dynamodb._tokens._done = dict(saved.tokens)
        self.dynamodb._tokens_made = saved.tokens_made
        self.sfn.executions.clear()
        self.sfn._by_arn.clear()


class SavedAws(NamedTuple):
    """What is stored: the clock, the copies of each table, and the request tokens that are remembered."""

    micros: int
    tables: list[list[Copies]]
    tokens: dict[Any, Any]
    tokens_made: int


def _saved(table: Table) -> list[Copies]:
    parts = [table.partitions, *(index.partitions for index in table.indexes.values())]
    return [dict(table.items), *(_lists(part.lists) for part in parts)]


def _put_back(table: Table, copies: list[Copies]) -> None:
    parts: list[Partitions] = [table.partitions, *(index.partitions for index in table.indexes.values())]
    table.items = dict(copies[0])
    for part, lists in zip(parts, copies[1:], strict=True):
        part.lists = _lists(lists)
        part._order = None


def _lists(lists: Mapping[Any, list[Any]]) -> dict[Any, Any]:
    return {partition: list(entries) for partition, entries in lists.items()}
