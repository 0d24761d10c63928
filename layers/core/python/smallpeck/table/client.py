"""The one place that speaks DynamoDB: reads by item, key range and index; writes through one unit of work.

boto3's call path can be replaced here where it is hot: `DynamoApi` is all that is asked of it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

from smallpeck.kernel.writes import Change, Check, Contention, Fields, Ref, Value, Write, WriteConflict
from smallpeck.table import keys
from smallpeck.table.expressions import spell
from smallpeck.table.marshal import from_item, to_attribute, to_item

TRANSACTION_ATTEMPTS = 6
MAX_TRANSACTION_ITEMS = 100
_BATCH_GET_ITEMS = 100
_BATCH_WRITE_ITEMS = 25
_BUSY_CODES = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


class DynamoApi(Protocol):
    """The operations of boto3's DynamoDB client that are used, with its argument names and answers."""

    def get_item(self, **arguments: Any) -> Any: ...
    def batch_get_item(self, **arguments: Any) -> Any: ...
    def query(self, **arguments: Any) -> Any: ...
    def scan(self, **arguments: Any) -> Any: ...
    def put_item(self, **arguments: Any) -> Any: ...
    def update_item(self, **arguments: Any) -> Any: ...
    def batch_write_item(self, **arguments: Any) -> Any: ...
    def transact_write_items(self, **arguments: Any) -> Any: ...


@dataclass(frozen=True)
class Slice:
    """A run of items in key order, and the sort key after which the next run starts (None at the end)."""

    items: list[dict[str, Any]]
    next_after: str | None


@dataclass(frozen=True)
class Table:
    """The four tables behind one small interface. `names` maps the keys of `keys.TABLES` to real table names."""

    api: DynamoApi
    names: Mapping[str, str]
    pause: Callable[[float], None] = time.sleep

    def get(self, item: Ref, *, consistent: bool = True) -> dict[str, Any] | None:
        """The item in Python values, or None. A consistent read sees every write acknowledged before it."""
        table, key = keys.key_of(item)
        answer = self.api.get_item(TableName=self.names[table], Key=to_item(key), ConsistentRead=consistent)
        found = answer.get("Item")
        return None if found is None else from_item(found)

    def get_many(self, items: Sequence[Ref], *, consistent: bool = True) -> dict[Ref, dict[str, Any]]:
        """The items that exist, by ref. Every ref names an item of one table."""
        found: dict[Ref, dict[str, Any]] = {}
        by_key = {(key["pk"], key["sk"]): item for item in items for _, key in (keys.key_of(item),)}
        wanted = [to_item({"pk": pk, "sk": sk}) for pk, sk in by_key]
        table = self.names[keys.key_of(items[0])[0]] if items else ""
        attempt = 0
        while wanted:
            request = {table: {"Keys": wanted[:_BATCH_GET_ITEMS], "ConsistentRead": consistent}}
            answer = self.api.batch_get_item(RequestItems=request)
            for item in answer["Responses"].get(table, []):
                fields = from_item(item)
                found[by_key[fields["pk"], fields["sk"]]] = fields
            unread = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
            progress = len(unread) < len(wanted[:_BATCH_GET_ITEMS])
            wanted = unread + wanted[_BATCH_GET_ITEMS:]
            attempt = self._pause_before_retry(0 if progress else attempt) if unread else 0
        return found

    def increment(self, item: Ref, field: str, by: int, *, below: int) -> int | None:
        """Adds to a number that is below a limit (absent counts as 0); the new value, or None where it is not below.

        A lost answer may add twice.
        """
        table, key = keys.key_of(item)
        try:
            answer = self.api.update_item(
                TableName=self.names[table],
                Key=to_item(key),
                UpdateExpression="ADD #n :by",
                ConditionExpression="attribute_not_exists(#n) OR #n < :below",
                ExpressionAttributeNames={"#n": field},
                ExpressionAttributeValues={":by": to_attribute(by), ":below": to_attribute(below)},
                ReturnValues="UPDATED_NEW",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return None
            raise
        return int(from_item(answer["Attributes"])[field])

    def slice(
        self,
        entity: str,
        *partition: str | int,
        first: str | None = None,
        last: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        consistent: bool = True,
        newest_first: bool = False,
    ) -> Slice:
        """One run of a partition's items of `entity`.

        `first` and `last` are sort keys (both included; by default all sort keys of the entity), `after` is where an
        earlier slice ended.
        """
        table, pk = keys.partition_of(entity, *partition)
        lowest, highest = keys.sort_range(entity)
        return self._query(
            table=table,
            pk=pk,
            bounds=(first if first is not None else lowest, last if last is not None else highest),
            after=after,
            limit=limit,
            consistent=consistent,
            newest_first=newest_first,
        )

    def every(
        self, entity: str, *partition: str | int, consistent: bool = True, at_once: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """All items of `entity` in one partition, in key order, read as they are asked for.

        `at_once` bounds how many are held, for who reads many partitions side by side; else it is what 1 MB holds.
        """
        after: str | None = None
        while True:
            run = self.slice(entity, *partition, after=after, limit=at_once, consistent=consistent)
            yield from run.items
            after = run.next_after
            if after is None:
                return

    def listed(
        self,
        entry: str,
        *partition: str | int,
        first: str | None = None,
        before: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Slice:
        """One run of an index: items hold keys only, eventually consistent. `before` is excluded, `first` is not."""
        index, pk_name, sk_name = keys.index_names(entry)
        run = self._query(
            table="platform",
            pk=keys.index_partition(entry, *partition),
            bounds=(first if first is not None else " ", before if before is not None else "\uffff"),
            after=after,
            limit=limit,
            consistent=False,
            newest_first=newest_first,
            index=(index, pk_name, sk_name),
        )
        return Slice([item for item in run.items if item[sk_name] != before], run.next_after)

    def segment(self, table: str, segment: int, segments: int) -> Iterator[dict[str, Any]]:
        """All items of one of `segments` equal parts of a whole table."""
        start: dict[str, Any] = {}
        while True:
            answer = self.api.scan(
                TableName=self.names[table], Segment=segment, TotalSegments=segments, ConsistentRead=True, **start
            )
            yield from map(from_item, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def put_all(self, items: Sequence[tuple[Ref, Fields]]) -> None:
        """Puts immutable items, unconditionally: only for items whose content follows from their key."""
        requests: list[tuple[str, dict[str, Any]]] = []
        for item, fields in items:
            table, key = keys.key_of(item)
            requests.append((self.names[table], {"PutRequest": {"Item": to_item({**key, **fields})}}))
        attempt = 0
        while requests:
            batch: dict[str, list[dict[str, Any]]] = {}
            for table, request in requests[:_BATCH_WRITE_ITEMS]:
                batch.setdefault(table, []).append(request)
            answer = self.api.batch_write_item(RequestItems=batch)
            unwritten = [(table, one) for table, some in answer.get("UnprocessedItems", {}).items() for one in some]
            progress = len(unwritten) < len(requests[:_BATCH_WRITE_ITEMS])
            requests = unwritten + requests[_BATCH_WRITE_ITEMS:]
            attempt = self._pause_before_retry(0 if progress else attempt) if unwritten else 0

    def commit(self, writes: Sequence[Write], /) -> None:
        """All of `writes` or none (`smallpeck.kernel.writes.UnitOfWork`)."""
        if len(writes) > MAX_TRANSACTION_ITEMS:
            raise ValueError(f"{len(writes)} writes in one transaction; at most {MAX_TRANSACTION_ITEMS}")
        if len(writes) == 1 and not isinstance(writes[0], Check):
            self._write_one(writes[0])
        else:
            self._write_together(writes)

    def _write_one(self, write: Write) -> None:
        _, arguments = spell(write, self.names)
        operation = self.api.update_item if isinstance(write, Change) else self.api.put_item
        attempt = 0
        while True:
            try:
                operation(**arguments)
                return
            except ClientError as error:
                match error.response["Error"]["Code"]:
                    case "ConditionalCheckFailedException":
                        raise WriteConflict([write]) from error
                    case "TransactionConflictException":
                        attempt = self._pause_before_retry(attempt)
                    case _:
                        raise

    def _write_together(self, writes: Sequence[Write]) -> None:
        members = [{kind: arguments} for kind, arguments in (spell(write, self.names) for write in writes)]
        attempt = 0
        while True:
            try:
                self.api.transact_write_items(TransactItems=members)
                return
            except ClientError as error:
                if error.response["Error"]["Code"] not in (
                    "TransactionCanceledException",
                    "TransactionInProgressException",
                ):
                    raise
                codes = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                failed = [w for w, code in zip(writes, codes, strict=False) if code == "ConditionalCheckFailed"]
                if failed:
                    raise WriteConflict(failed) from error
                if codes and not _BUSY_CODES.intersection(filter(None, codes)):
                    raise
                attempt = self._pause_before_retry(attempt)

    def _pause_before_retry(self, attempt: int) -> int:
        if attempt + 1 >= TRANSACTION_ATTEMPTS:
            raise Contention("the store is busy; try again")
        self.pause(0.02 * 2**attempt)
        return attempt + 1

    def _query(
        self,
        *,
        table: str,
        pk: str,
        bounds: tuple[str, str],
        after: str | None,
        limit: int | None,
        consistent: bool,
        newest_first: bool,
        index: tuple[str, str, str] | None = None,
    ) -> Slice:
        name, pk_name, sk_name = index or (None, keys.PARTITION_KEY, keys.SORT_KEY)
        low, high = bounds
        if after is not None:
            low, high = (low, after) if newest_first else (after, high)
        if low > high:
            # BETWEEN refuses bounds in the wrong order; nothing lies between them.
            return Slice([], None)
        arguments: dict[str, Any] = {
            "TableName": self.names[table],
            "KeyConditionExpression": "#pk = :pk AND #sk BETWEEN :low AND :high",
            "ExpressionAttributeNames": {"#pk": pk_name, "#sk": sk_name},
            "ExpressionAttributeValues": _values({":pk": pk, ":low": low, ":high": high}),
            "ScanIndexForward": not newest_first,
        }
        if name is not None:
            arguments["IndexName"] = name
        else:
            arguments["ConsistentRead"] = consistent
        if limit is not None:
            # `after` itself comes back once more because BETWEEN includes its bounds.
            arguments["Limit"] = limit + (after is not None)
        answer = self.api.query(**arguments)
        items = [from_item(item) for item in answer["Items"]]
        next_after = items[-1][sk_name] if items and "LastEvaluatedKey" in answer else None
        return Slice([item for item in items if item[sk_name] != after], next_after)


def _values(values: Mapping[str, Value]) -> dict[str, Any]:
    return {name: to_attribute(value) for name, value in values.items()}
