"""An in-memory DynamoDB with the shape of `boto3.client("dynamodb")`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from tests.aws.capacity import Bill, Meter, read_units, write_units
from tests.aws.client import ACCOUNT, REGION, Client, Params, Response
from tests.aws.clock import Clock
from tests.aws.errors import Rejection, invalid
from tests.aws.faults import Faults
from tests.aws.items import Schema, key_of_request
from tests.aws.reads import PAGE_BYTES, query, read_key, scan
from tests.aws.tables import Index, Lag, Table
from tests.aws.transactions import Tokens, transact_get, transact_write
from tests.aws.writes import Intent, commit, prepare, read_request, returned, write

MAX_BATCH_GET = 100
MAX_BATCH_WRITE = 25
BATCH_GET_BYTES = 16 * 1024 * 1024
_RETURNS = {
    "PutItem": ("NONE", "ALL_OLD"),
    "DeleteItem": ("NONE", "ALL_OLD"),
    "UpdateItem": ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"),
}


class Dynamo(Client):
    """Tables in memory behind the methods of the low-level boto3 client.

    Every method takes and returns DynamoDB JSON and raises `ClientError`s as AWS does. `meter` adds up what
    the calls cost. `unprocessed_every` n makes every n-th entry of a batch come back unprocessed (0: none
    does).
    """

    service = "dynamodb"
    pageable: ClassVar = {
        "query": ("ExclusiveStartKey", "LastEvaluatedKey"),
        "scan": ("ExclusiveStartKey", "LastEvaluatedKey"),
    }

    def __init__(self, clock: Clock, faults: Faults, *, validate: bool = True, keep_charges: bool = True) -> None:
        super().__init__(clock, faults, validate=validate)
        self.meter = Meter(keep=keep_charges)
        self.unprocessed_every = 0
        self._tables: dict[str, Table] = {}
        self._tokens = Tokens(clock)
        self._tokens_made = 0
        self._batch_entries = 0

    # --- outside of AWS: seeding, looking, lagging

    def seed(self, table: str, items: Iterable[Mapping[str, Mapping[str, Any]]]) -> int:
        """Put many items without hook or bill; returns how many were new. About 15 microseconds per item."""
        return self._table(table).seed(items)

    def dump(self, table: str) -> list[dict[str, Any]]:
        """Every item of a table, ordered by key; without hook or bill."""
        stored = self._table(table).items
        return [stored[key].item() for key in sorted(stored)]

    def count(self, table: str) -> int:
        """How many items a table holds; without hook or bill."""
        return len(self._table(table).items)

    def lag_indexes(self, table: str, *, writes: int | None = None, seconds: float | None = None) -> None:
        """From now on index queries of `table` see it as it was `writes` writes or `seconds` ago, or, with
        neither, as it is now, until `settle`."""
        self._table(table).lag = Lag(writes, seconds)

    def settle(self, table: str, *, keep_lagging: bool = False) -> None:
        """Let the indexes of `table` catch up; they stay current unless `keep_lagging`."""
        stored = self._table(table)
        stored.catch_up(everything=True)
        if not keep_lagging:
            stored.lag = None

    def _table(self, name: str) -> Table:
        table = self._tables.get(name)
        if table is None:
            raise Rejection("ResourceNotFoundException", "Requested resource not found")
        return table

    # --- tables

    def create_table(self, **params: Any) -> Response:
        """Create a table with its indexes; ResourceInUseException when the name is taken."""
        return self.invoke("CreateTable", params, self._create_table)

    def _create_table(self, params: Params) -> Response:
        name = params["TableName"]
        if name in self._tables:
            raise Rejection("ResourceInUseException", f"Table already exists: {name}")
        types = {entry["AttributeName"]: entry["AttributeType"] for entry in params["AttributeDefinitions"]}
        schema = _schema(params["KeySchema"], types)
        indexes = []
        used = set(schema.names)
        for entry in params.get("GlobalSecondaryIndexes", ()):
            index_schema = _schema(entry["KeySchema"], types)
            used.update(index_schema.names)
            projection = entry["Projection"]
            attributes: frozenset[str] = frozenset()
            if projection["ProjectionType"] != "ALL":
                extra = projection.get("NonKeyAttributes", ())
                attributes = frozenset((*schema.names, *index_schema.names, *extra))
            indexes.append(Index(entry["IndexName"], index_schema, projection["ProjectionType"], attributes))
        if used != set(types):
            invalid(
                "One or more parameter values were invalid: Some AttributeDefinitions are not used. "
                f"AttributeDefinitions: [{', '.join(sorted(types))}], keys used: [{', '.join(sorted(used))}]"
            )
        self._tables[name] = Table(name, schema, indexes, self.clock)
        return {"TableDescription": self._description(params)}

    def describe_table(self, **params: Any) -> Response:
        """Name, status, key schema and number of items of a table."""
        return self.invoke("DescribeTable", params, lambda p: {"Table": self._described(p["TableName"])})

    def _described(self, name: str) -> dict[str, Any]:
        table = self._tables.get(name)
        if table is None:
            message = f"Requested resource not found: Table: {name} not found"
            raise Rejection("ResourceNotFoundException", message)
        definitions = dict(table.schema.types())
        described: dict[str, Any] = {"TableName": name, "KeySchema": _key_schema(table.schema)}
        for index in table.indexes.values():
            definitions.update(index.schema.types())
            described.setdefault("GlobalSecondaryIndexes", []).append(
                {
                    "IndexName": index.name,
                    "KeySchema": _key_schema(index.schema),
                    "Projection": {"ProjectionType": index.projection},
                    "IndexStatus": "ACTIVE",
                }
            )
        described["AttributeDefinitions"] = [
            {"AttributeName": key, "AttributeType": kind} for key, kind in definitions.items()
        ]
        return self._description(described) | {"ItemCount": len(table.items)}

    def _description(self, params: Mapping[str, Any]) -> dict[str, Any]:
        name = params["TableName"]
        fields = ("TableName", "KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes")
        described = {key: params[key] for key in fields if key in params}
        arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
        return {**described, "TableStatus": "ACTIVE", "ItemCount": 0, "TableArn": arn}

    # --- single items

    def get_item(self, **params: Any) -> Response:
        """One item by key; the answer has no Item when there is none."""
        return self.invoke("GetItem", params, self._get_item)

    def _get_item(self, params: Params) -> Response:
        bill = Bill("GetItem")
        item = read_key(self._table(params["TableName"]), params, bill)
        return self._billed(params, bill, {} if item is None else {"Item": item})

    def put_item(self, **params: Any) -> Response:
        """Write a whole item; ConditionalCheckFailedException when its condition does not hold."""
        return self.invoke("PutItem", params, lambda p: self._write("PutItem", "Put", p))

    def update_item(self, **params: Any) -> Response:
        """Change or create an item; ConditionalCheckFailedException when its condition does not hold."""
        return self.invoke("UpdateItem", params, lambda p: self._write("UpdateItem", "Update", p))

    def delete_item(self, **params: Any) -> Response:
        """Delete an item, if there; ConditionalCheckFailedException when its condition does not hold."""
        return self.invoke("DeleteItem", params, lambda p: self._write("DeleteItem", "Delete", p))

    def _write(self, operation: str, kind: str, params: Params) -> Response:
        mode = params.get("ReturnValues", "NONE")
        if mode not in _RETURNS[operation]:
            invalid("Return values set to invalid value")
        intent = read_request(kind, self._table(params["TableName"]), params)
        bill = Bill(operation)
        try:
            change = write(intent, bill)
        except Rejection:
            self.meter.book(bill)
            raise
        attributes = returned(change, mode)
        return self._billed(params, bill, {} if attributes is None else {"Attributes": attributes})

    # --- lists

    def query(self, **params: Any) -> Response:
        """Items of one partition of a table or index, in key order."""
        return self.invoke("Query", params, self._query)

    def _query(self, params: Params) -> Response:
        bill = Bill("Query")
        return self._billed(params, bill, query(self._table(params["TableName"]), params, bill))

    def scan(self, **params: Any) -> Response:
        """Every item of a table or index, or of one segment."""
        return self.invoke("Scan", params, self._scan)

    def _scan(self, params: Params) -> Response:
        bill = Bill("Scan")
        return self._billed(params, bill, scan(self._table(params["TableName"]), params, bill))

    # --- batches

    def batch_get_item(self, **params: Any) -> Response:
        """Up to 100 items by key; what exceeds 16 MB comes back as UnprocessedKeys."""
        return self.invoke("BatchGetItem", params, self._batch_get_item)

    def _batch_get_item(self, params: Params) -> Response:
        bill = Bill("BatchGetItem")
        requests = params["RequestItems"]
        if sum(len(entry["Keys"]) for entry in requests.values()) > MAX_BATCH_GET:
            invalid("Too many items requested for the BatchGetItem call")
        responses: dict[str, list[dict[str, Any]]] = {}
        unprocessed: dict[str, dict[str, Any]] = {}
        total = 0
        for name, entry in requests.items():
            table = self._table(name)
            keys = [key_of_request(table.schema, key)[0] for key in entry["Keys"]]
            if len(set(keys)) < len(keys):
                invalid("Provided list of item keys contains duplicates")
            responses[name] = []
            for raw, key in zip(entry["Keys"], keys, strict=True):
                stored = table.items.get(key)
                total += stored.size if stored is not None else 0
                if total > BATCH_GET_BYTES or self._skips():
                    unprocessed.setdefault(name, {**entry, "Keys": []})["Keys"].append(raw)
                    continue
                item = read_key(table, {**entry, "Key": raw}, bill)
                if item is not None:
                    responses[name].append(item)
        return self._billed(params, bill, {"Responses": responses, "UnprocessedKeys": unprocessed}, several=True)

    def batch_write_item(self, **params: Any) -> Response:
        """Up to 25 puts and deletes without conditions, each by itself."""
        return self.invoke("BatchWriteItem", params, self._batch_write_item)

    def _batch_write_item(self, params: Params) -> Response:
        bill = Bill("BatchWriteItem")
        requests = params["RequestItems"]
        if not 1 <= sum(map(len, requests.values())) <= MAX_BATCH_WRITE:
            invalid(
                "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: Map "
                "value must "
                "satisfy constraint: [Member must have length less than or equal to 25, Member must have "
                "length "
                "greater than or equal to 1]"
            )
        intents: list[tuple[str, Any, Intent]] = []
        for name, entries in requests.items():
            table = self._table(name)
            for entry in entries:
                if len(entry) != 1:
                    invalid("Supplied WriteRequest must contain exactly one of PutRequest or DeleteRequest")
                ((kind, part),) = entry.items()
                intents.append((name, entry, read_request(kind.removesuffix("Request"), table, part)))
        if len({(name, intent.key) for name, _, intent in intents}) < len(intents):
            invalid("Provided list of item keys contains duplicates")
        unprocessed: dict[str, list[Any]] = {}
        for name, entry, intent in intents:
            if self._skips():
                unprocessed.setdefault(name, []).append(entry)
            else:
                commit(prepare(intent), bill)
        return self._billed(params, bill, {"UnprocessedItems": unprocessed}, several=True)

    def _skips(self) -> bool:
        self._batch_entries += 1
        return bool(self.unprocessed_every) and self._batch_entries % self.unprocessed_every == 0

    # --- transactions

    def transact_write_items(self, **params: Any) -> Response:
        """Up to 100 writes, all or none. As boto3, fills in a ClientRequestToken when the caller has none."""
        if "ClientRequestToken" not in params:
            self._tokens_made += 1
            params = {**params, "ClientRequestToken": f"made-by-client-{self._tokens_made}"}
        return self.invoke("TransactWriteItems", params, self._transact_write_items)

    def _transact_write_items(self, params: Params) -> Response:
        bill = Bill("TransactWriteItems")
        try:
            transact_write(params, self._table, self._tokens, bill)
        except Rejection:
            self.meter.book(bill)
            raise
        return self._billed(params, bill, {}, several=True)

    def transact_get_items(self, **params: Any) -> Response:
        """Up to 100 items as of one moment."""
        return self.invoke("TransactGetItems", params, self._transact_get_items)

    def _transact_get_items(self, params: Params) -> Response:
        bill = Bill("TransactGetItems")
        responses = transact_get(params, self._table, bill)
        return self._billed(params, bill, {"Responses": responses}, several=True)

    def _billed(self, params: Params, bill: Bill, answer: Response, *, several: bool = False) -> Response:
        self.meter.book(bill)
        mode = params.get("ReturnConsumedCapacity", "NONE")
        if mode != "NONE":
            consumed = bill.consumed(mode)
            answer["ConsumedCapacity"] = consumed if several else consumed[0]
        return answer


def _schema(key_schema: list[dict[str, str]], types: Mapping[str, str]) -> Schema:
    names = {entry["KeyType"]: entry["AttributeName"] for entry in key_schema}
    for name in names.values():
        if name not in types:
            invalid(
                "One or more parameter values were invalid: Some index key attributes are not defined in "
                f"AttributeDefinitions. Keys: [{', '.join(names.values())}], "
                f"AttributeDefinitions: [{', '.join(types)}]"
            )
    sort = names.get("RANGE", "")
    return Schema(names["HASH"], types[names["HASH"]], sort, types.get(sort, "S"))


def _key_schema(schema: Schema) -> list[dict[str, str]]:
    kinds = ("HASH", "RANGE")
    return [{"AttributeName": n, "KeyType": kind} for n, kind in zip(schema.names, kinds, strict=False)]


__all__ = ["PAGE_BYTES", "Dynamo", "read_units", "write_units"]
