"""Seals in AWS: the ledger table read whole, files that are never overwritten, and what the platform remembers."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from smallpeck.kernel.ids import canonical_json
from smallpeck.kernel.writes import Create, Ref, Value, WriteConflict, ref
from smallpeck.ledger import seals
from smallpeck.ledger.chain import leaf, row_hash
from smallpeck.ledger.seal_service import DamagedFile, Found, SealFact
from smallpeck.ledger.signatures import Document
from smallpeck.table import keys
from smallpeck.table.client import Table

LISTS: Final = "lists"
ROOTS: Final = "roots"
RUNS: Final = "seal-runs"
_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion", "AccessDenied"})
_KEPT_FILES: Final = 48


class ObjectApi(Protocol):
    """The operations of boto3's S3 client that are used, with its argument names and answers."""

    def get_object(self, **arguments: Any) -> Any: ...
    def put_object(self, **arguments: Any) -> Any: ...


@dataclass(frozen=True)
class LedgerScan:
    """See `smallpeck.ledger.seal_service.LedgerItems`."""

    table: Table

    def found(self, segment: int, segments: int) -> Iterator[Found]:
        """See `LedgerItems`."""
        return map(found_of, self.table.segment("ledger", segment, segments))


@dataclass(frozen=True)
class HashedFiles:
    """See `smallpeck.ledger.seal_service.Files`. Files that were read are kept for the next who asks, some of them."""

    api: ObjectApi
    bucket: str
    prefix: str
    _kept: "OrderedDict[str, bytes]" = field(default_factory=OrderedDict, compare=False, repr=False)

    def put(self, text: bytes, /) -> str:
        """See `Files`."""
        file = hashlib.sha256(text).hexdigest()
        _put_once(self.api, self.bucket, f"{self.prefix}/{file}.json", text)
        return file

    def get(self, file: str, /) -> bytes:
        """See `Files`."""
        if file in self._kept:
            self._kept.move_to_end(file)
            return self._kept[file]
        text = _get(self.api, self.bucket, f"{self.prefix}/{file}.json")
        if hashlib.sha256(text).hexdigest() != file:
            raise DamagedFile(f"{self.prefix}/{file} is not what its name says")
        self._kept[file] = text
        if len(self._kept) > _KEPT_FILES:
            self._kept.popitem(last=False)
        return text


@dataclass(frozen=True)
class RootStore:
    """See `smallpeck.ledger.seal_service.Roots`."""

    api: ObjectApi
    bucket: str
    table: Table

    def put(self, number: int, root: Document) -> bool:
        """See `Roots`."""
        return _put_once(self.api, self.bucket, _root_key(number), canonical_json(root).encode())

    def get(self, number: int) -> Document:
        """See `Roots`."""
        text = _get(self.api, self.bucket, _root_key(number))
        try:
            root: Document = json.loads(text)
        except ValueError as error:
            raise DamagedFile(f"root {number} is damaged") from error
        return root

    def remember(self, fact: SealFact) -> None:
        """See `Roots`."""
        fields: dict[str, Value] = {"number": fact.number, "log_leaf": fact.log_leaf}
        try:
            self.table.commit([Create(seal_ref(fact.day), fields)])
        except WriteConflict:
            return

    def facts(self, *, since: str = "") -> list[SealFact]:
        """See `Roots`."""
        facts: list[SealFact] = []
        after: str | None = None
        while True:
            run = self.table.slice("seal", first=since or None, after=after)
            facts += map(_fact, run.items)
            after = run.next_after
            if after is None:
                return facts

    def of_day(self, day: str) -> SealFact | None:
        """What is remembered of one day."""
        item = self.table.get(seal_ref(day))
        return None if item is None else _fact(item)

    def newest(self) -> SealFact | None:
        """See `Roots`."""
        run = self.table.slice("seal", limit=1, newest_first=True)
        return _fact(run.items[0]) if run.items else None


def seal_ref(day: str) -> Ref:
    """The item that remembers a seal."""
    return ref("seal", day)


def found_of(item: Mapping[str, Any]) -> Found:
    """An item of the ledger table as seals see it, whatever has become of it."""
    at_ms = item.get("at_ms")
    name, fingerprint, as_hashed = _seen(item)
    return Found(name, fingerprint, at_ms if isinstance(at_ms, int) else 0, as_hashed)


def _seen(item: Mapping[str, Any]) -> tuple[str, bytes, bool]:
    try:
        if item[keys.PARTITION_KEY].startswith(keys.ENTITIES["entry"].pk.partition("{")[0]):
            fingerprint = leaf(item)
            as_hashed = item.get("entry_hash", fingerprint.hex()) == fingerprint.hex()
            return seals.entry_name(keys.parts_of_item("entry", item)[0]), fingerprint, as_hashed
        account, seq = keys.parts_of_item("statement_row", item)
        fingerprint = seals.row_fingerprint(account, item)
        as_hashed = not item.keys() & {"row_hash", "previous_hash"} or (
            item.keys() >= {"row_hash", "previous_hash"} and item["row_hash"] == row_hash(account, item)
        )
        return seals.row_name(account, int(seq)), fingerprint, as_hashed
    except (TypeError, ValueError):
        # No entry and no row: nothing of ours wrote it.
        text = repr(sorted(item.items())).encode()
        return f"{item[keys.PARTITION_KEY]}/{item[keys.SORT_KEY]}", hashlib.sha256(text).digest(), False


def _fact(item: Mapping[str, Any]) -> SealFact:
    return SealFact(keys.parts_of_item("seal", item)[0], int(item["number"]), bytes(item["log_leaf"]))


def _root_key(number: int) -> str:
    return f"{ROOTS}/{number:06d}.json"


def _put_once(api: ObjectApi, bucket: str, key: str, text: bytes) -> bool:
    """Puts an object where there is none; whether it did. Objects under a lock must come with a checksum."""
    try:
        api.put_object(
            Bucket=bucket,
            Key=key,
            Body=text,
            ContentType="application/json",
            ChecksumAlgorithm="SHA256",
            IfNoneMatch="*",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        return False
    return True


def _get(api: ObjectApi, bucket: str, key: str) -> bytes:
    try:
        return bytes(api.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
        raise DamagedFile(f"{key} is gone") from error
