"""TransactWriteItems and TransactGetItems: all or nothing, with reasons, and idempotent by request token."""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.aws.capacity import Bill, read_units, write_units
from tests.aws.clock import Clock
from tests.aws.errors import Rejection, invalid
from tests.aws.items import Key
from tests.aws.reads import read_key
from tests.aws.tables import Table
from tests.aws.writes import Change, ConditionFailed, Intent, commit, prepare, read_request

MAX_ITEMS = 100
MAX_BYTES = 4 * 1024 * 1024
TOKEN_SECONDS = 600


class _Done(NamedTuple):
    fingerprint: str
    expires: float
    sizes: tuple[tuple[str, int], ...]


class Tokens:
    """The request tokens of transactions that were committed in the last ten minutes of virtual time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._done: dict[str, _Done] = {}

    def find(self, token: str, fingerprint: str) -> _Done | None:
        """The earlier commit under this token; other parameters raise "
        "IdempotentParameterMismatchException."""
        done = self._done.get(token)
        if done is None:
            return None
        if done.expires <= self._clock.now():
            del self._done[token]
            return None
        if done.fingerprint != fingerprint:
            raise Rejection(
                "IdempotentParameterMismatchException",
                "Provided idempotent parameters do not match the parameters of the previous request",
            )
        return done

    def keep(self, token: str, fingerprint: str, sizes: tuple[tuple[str, int], ...]) -> None:
        """Remember a commit; drops what has expired (tokens are kept in the order of their expiry)."""
        now = self._clock.now()
        while self._done:
            oldest, done = next(iter(self._done.items()))
            if done.expires > now:
                break
            del self._done[oldest]
        self._done[token] = _Done(fingerprint, now + TOKEN_SECONDS, sizes)


def transact_write(request: Mapping[str, Any], table_of: Callable[[str], Table], tokens: Tokens, bill: Bill) -> None:
    """Commit every write of the request or none. Raises TransactionCanceledException with one reason per
    item.
    """
    entries = request["TransactItems"]
    _check_count(entries, "transactItems")
    token = request["ClientRequestToken"]
    fingerprint = _fingerprint(entries)
    done = tokens.find(token, fingerprint)
    if done is not None:
        for table_name, size in done.sizes:
            bill.read(table_name, read_units(size, consistent=True, transactional=True))
        return
    intents = _read(entries, table_of)
    changes: list[Change] = []
    reasons: list[dict[str, Any]] = []
    failed_sizes: list[int] = []
    for intent in intents:
        reason: dict[str, Any] = {"Code": "None"}
        size = 0
        try:
            change = prepare(intent)
            changes.append(change)
            size = change.size
        except ConditionFailed as failed:
            reason = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
            if intent.on_failure == "ALL_OLD" and failed.item is not None:
                reason["Item"] = failed.item
            size = failed.size
        except Rejection as refused:
            reason = {"Code": "ValidationError", "Message": refused.message}
        reasons.append(reason)
        failed_sizes.append(size)
    if sum(failed_sizes) > MAX_BYTES:
        invalid("Aggregate size of the items in the transaction cannot exceed 4 MB")
    if len(changes) < len(intents):
        for intent, size in zip(intents, failed_sizes, strict=True):
            bill.write(intent.table.name, write_units(size, transactional=True))
        raise canceled(reasons)
    for change in changes:
        commit(change, bill, transactional=True)
    tokens.keep(token, fingerprint, tuple((change.table.name, change.size) for change in changes))


def _read(entries: list[Mapping[str, Any]], table_of: Callable[[str], Table]) -> list[Intent]:
    intents: list[Intent] = []
    seen: set[tuple[str, Key]] = set()
    for entry in entries:
        if len(entry) != 1:
            invalid("TransactItems can only contain one of Check, Put, Update or Delete")
        ((kind, part),) = entry.items()
        intent = read_request(kind, table_of(part["TableName"]), part)
        if (intent.table.name, intent.key) in seen:
            invalid("Transaction request cannot include multiple operations on one item")
        seen.add((intent.table.name, intent.key))
        intents.append(intent)
    return intents


def canceled(reasons: list[dict[str, Any]]) -> Rejection:
    """The cancellation with its reasons in the order of the request."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    return Rejection(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        400,
        CancellationReasons=reasons,
    )


def transact_get(request: Mapping[str, Any], table_of: Callable[[str], Table], bill: Bill) -> list[dict[str, Any]]:
    """The Responses of TransactGetItems, in order; an absent item is an empty dict."""
    entries = request["TransactItems"]
    _check_count(entries, "transactItems")
    answers: list[dict[str, Any]] = []
    for entry in entries:
        part = entry["Get"]
        found = read_key(table_of(part["TableName"]), part, bill, transactional=True)
        answers.append({} if found is None else {"Item": found})
    return answers


def _check_count(entries: list[Any], name: str) -> None:
    if len(entries) > MAX_ITEMS:
        invalid(
            f"1 validation error detected: Value at '{name}' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MAX_ITEMS}"
        )


def _fingerprint(entries: list[Any]) -> str:
    try:
        data = marshal.dumps(entries, 0)
    except ValueError:
        data = repr(entries).encode()
    return hashlib.sha256(data).hexdigest()
