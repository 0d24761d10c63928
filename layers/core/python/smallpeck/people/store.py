"""Profiles in the platform table; personal data in the people table, each person's under their own key.

The `people` table holds ciphertext, the `keys` table holds the key to it, wrapped by KMS for that person alone. Reading
takes both: where the key's item is deleted, what it sealed is gone for good.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from smallpeck.kernel.writes import Absent, Change, Condition, Create, Equals, Path, Value, WriteConflict, ref
from smallpeck.people.model import (
    KEPT_VERSIONS,
    Destination,
    DestinationFacts,
    HeldDestination,
    RequesterProfile,
    WorkerProfile,
)
from smallpeck.people.sealing import Unreadable, seal, unseal
from smallpeck.table.client import Table
from smallpeck.table.keys import parts_of_item

_DESTINATION = "destination"


class KmsApi(Protocol):
    """The operations of boto3's KMS client that are used."""

    @property
    def generate_data_key(self) -> Callable[..., Any]: ...
    @property
    def decrypt(self) -> Callable[..., Any]: ...


@dataclass(frozen=True)
class ProfileStore:
    """See `smallpeck.people.service.Profiles`."""

    table: Table

    def worker(self, worker_id: str) -> WorkerProfile | None:
        """See `smallpeck.people.service.Profiles`."""
        item = self.table.get(ref("worker", worker_id))
        if item is None:
            return None
        return WorkerProfile(
            worker_id,
            item["created_at_ms"],
            item.get("country"),
            tuple(item.get("languages", ())),
            item.get("payout_threshold_micros"),
            item.get("automatic_payouts", False),
        )

    def automatic(self, *, after: str | None, limit: int) -> tuple[list[str], str | None]:
        """Some of the workers who are paid out without asking, and where the next ones stand; may be stale."""
        listed = self.table.listed("automatic", after=after, limit=limit)
        return [parts_of_item("worker", item)[0] for item in listed.items], listed.next_after

    def requester(self, requester_id: str) -> RequesterProfile | None:
        """See `smallpeck.people.service.Profiles`."""
        item = self.table.get(ref("requester", requester_id))
        return None if item is None else RequesterProfile(requester_id, item["created_at_ms"])


@dataclass(frozen=True)
class PersonKeys:
    """Each person's data key, wrapped by the KMS key `key_id` with the person's id as encryption context."""

    table: Table
    kms: KmsApi
    key_id: str

    def find(self, person_id: str) -> bytes | None:
        """The person's key, or None where there is none (any more)."""
        item = self.table.get(ref("person_key", person_id))
        return None if item is None else self._unwrap(person_id, item["wrapped"])

    def find_or_make(self, person_id: str, *, now_ms: int) -> bytes:
        """The person's key. Of two that are made at the same time the first one stored is everybody's."""
        found = self.find(person_id)
        if found is not None:
            return found
        made = self.kms.generate_data_key(KeyId=self.key_id, KeySpec="AES_256", EncryptionContext=_context(person_id))
        item: dict[str, Value] = {"wrapped": made["CiphertextBlob"], "created_at_ms": now_ms}
        try:
            self.table.commit([Create(ref("person_key", person_id), item)])
        except WriteConflict:
            first = self.find(person_id)
            if first is None:
                raise
            return first
        return bytes(made["Plaintext"])

    def _unwrap(self, person_id: str, wrapped: bytes) -> bytes:
        answer = self.kms.decrypt(KeyId=self.key_id, CiphertextBlob=wrapped, EncryptionContext=_context(person_id))
        return bytes(answer["Plaintext"])


@dataclass(frozen=True)
class DestinationFactStore:
    """What may be known of a destination without its key; nothing personal, so no key is needed."""

    table: Table

    def facts(self, person_id: str) -> DestinationFacts | None:
        """See `smallpeck.people.service.KnownDestinations`."""
        item = self.table.get(ref("person", person_id))
        return None if item is None else DestinationFacts(item["version"], item["rail"], item["changed_at_ms"])


@dataclass(frozen=True)
class DestinationStore:
    """See `smallpeck.people.service.Destinations`."""

    table: Table
    person_keys: PersonKeys

    def current(self, person_id: str) -> HeldDestination | None:
        """See `smallpeck.people.service.Destinations`."""
        item = self.table.get(ref("person", person_id))
        if item is None:
            return None
        found = self._open(person_id, item, item["version"])
        return None if found is None else HeldDestination(item["version"], found, item["changed_at_ms"])

    def at_version(self, person_id: str, version: int) -> Destination | None:
        """The destination as it was under a version, or None where that is no longer kept or its key was erased."""
        item = self.table.get(ref("person", person_id))
        return None if item is None else self._open(person_id, item, version)

    def facts(self, person_id: str) -> DestinationFacts | None:
        """See `DestinationFactStore`."""
        return DestinationFactStore(self.table).facts(person_id)

    def replace(self, person_id: str, destination: Destination, *, now_ms: int) -> HeldDestination:
        """See `smallpeck.people.service.Destinations`."""
        item = self.table.get(ref("person", person_id))
        present = 0 if item is None else int(item["version"])
        version = present + 1
        changed_at_ms = None if item is None else now_ms
        sealed = seal(
            json.dumps({"rail": destination.rail, "address": destination.address}).encode(),
            key=self.person_keys.find_or_make(person_id, now_ms=now_ms),
            person_id=person_id,
            field=_DESTINATION,
            version=version,
        )
        kept = {} if item is None else dict(item["sealed"])
        kept[str(version)] = sealed
        for old in sorted(kept, key=int)[:-KEPT_VERSIONS]:
            del kept[old]
        changes: dict[Path, Value] = {
            "version": version,
            "rail": destination.rail,
            "changed_at_ms": changed_at_ms,
            "sealed": kept,
        }
        unchanged: Condition = Absent() if item is None else Equals("version", present)
        self.table.commit([Change(ref("person", person_id), set=changes, when=(unchanged,))])
        return HeldDestination(version, destination, changed_at_ms)

    def _open(self, person_id: str, item: Mapping[str, Any], version: int) -> Destination | None:
        sealed = item["sealed"].get(str(version))
        key = None if sealed is None else self.person_keys.find(person_id)
        if key is None:
            return None
        try:
            plain = unseal(sealed, key=key, person_id=person_id, field=_DESTINATION, version=version)
        except Unreadable:
            # A key that was erased and made anew opens nothing of before.
            return None
        return Destination(**json.loads(plain))


def _context(person_id: str) -> dict[str, str]:
    return {"person": person_id}
