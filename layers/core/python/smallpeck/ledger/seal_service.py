"""Sealing a day, and looking whether all that was ever sealed is still there and unchanged.

Three steps, each of which may be repeated. `begin` says what is to be done. `scan` reads one part of the ledger table,
and leaves what it found as sorted runs in a scratch place. `seal` joins the runs with the lists of all earlier seals,
both in the order of names: what only the lists have is missing, what differs was changed, what only the runs have is
new. It never holds more than one file of each. What is new becomes the lists of the day; one write makes the seal: its
root, under the next number, where nothing stands yet. What was written for a seal that was not made is never looked at.
"""

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from smallpeck.kernel.clock import Clock
from smallpeck.kernel.errors import Conflict, Unavailable
from smallpeck.kernel.ids import canonical_json
from smallpeck.ledger import merkle, seals
from smallpeck.ledger.seals import Manifest, Sealed
from smallpeck.ledger.signatures import Document, Jwk, Signer, signed

SEGMENTS = 8
RUN_ITEMS = 200_000
"""How many items a scan sorts at once."""
FILE_ITEMS = 4_096
"""How many of them stand in one file."""
MAX_LISTED = 100

_NOT_AS_WRITTEN = (KeyError, TypeError, ValueError, AttributeError)


class SealOvertaken(Conflict):
    """Another seal was made meanwhile; nothing is lost, the next attempt builds upon it."""

    code = "seal_overtaken"


class DamagedFile(Unavailable):
    """A file of a seal is not what its name says, or it is gone."""

    code = "damaged_file"


@dataclass(frozen=True)
class Found:
    """One item of the ledger table. `as_hashed` is whether the hash that it holds is that of what it says."""

    name: str
    fingerprint: bytes
    at_ms: int
    as_hashed: bool


@dataclass(frozen=True)
class SealFact:
    """That a day was sealed, as the platform remembers it: the seal's number and its leaf in the log."""

    day: str
    number: int
    log_leaf: bytes


class LedgerItems(Protocol):
    """The ledger table."""

    def found(self, segment: int, segments: int) -> Iterator[Found]:
        """Every entry and statement row in one part of it; consistent."""
        ...


class Files(Protocol):
    """Files under the SHA-256 (hex) of what is in them, so that none can be another than it was."""

    def put(self, text: bytes, /) -> str:
        """Keeps a file and returns its hash; one that is there stays."""
        ...

    def get(self, file: str, /) -> bytes:
        """A file by its hash; raises DamagedFile where something else stands there, or nothing."""
        ...


class Roots(Protocol):
    """The signed roots by number, never overwritten, and what the platform remembers of them."""

    def put(self, number: int, root: Document) -> bool:
        """Makes this the root of that number; False, and nothing done, where it has one."""
        ...

    def get(self, number: int) -> Document:
        """A root that is known to be there; raises DamagedFile where it is not."""
        ...

    def remember(self, fact: SealFact) -> None:
        """Remembers that a day was sealed; again is nothing."""
        ...

    def facts(self, *, since: str = "") -> list[SealFact]:
        """What is remembered of this day and later ones, oldest first; consistent."""
        ...

    def newest(self) -> SealFact | None:
        """What is remembered of the last seal; consistent."""
        ...


@dataclass(frozen=True)
class SealPorts:
    """Everything that sealing needs. `keys` are published with each root."""

    items: LedgerItems
    scratch: Files
    lists: Files
    roots: Roots
    signer: Signer
    keys: Sequence[Jwk]
    clock: Clock


@dataclass(frozen=True)
class Begun:
    """Which day is next, how many seals there are, and whether the day is sealed already."""

    day: str
    known: int
    sealed: bool


@dataclass(frozen=True)
class Scanned:
    """The file that says where the runs of one part are, and how many items they have."""

    runs: str
    items: int


@dataclass(frozen=True)
class Difference:
    """Something that was sealed and is not so any more. `day` is that of its seal, "" where it has none."""

    what: str
    name: str
    day: str = ""


@dataclass
class SealReport:
    """What came of sealing or of looking: new items, items already sealed, and what is wrong (`MAX_LISTED` of it)."""

    day: str
    number: int
    new: int = 0
    known: int = 0
    difference_count: int = 0
    differences: list[Difference] = field(default_factory=list)
    file: str = ""
    """The scratch file that lists them; "" where nothing is wrong."""

    def wrong(self, what: str, name: str, day: str = "") -> None:
        """Counts a difference."""
        self.difference_count += 1
        if len(self.differences) < MAX_LISTED:
            self.differences.append(Difference(what, name, day))

    def written(self, scratch: Files) -> "SealReport":
        """The report, its differences in a file."""
        if self.differences:
            self.file = scratch.put(canonical_json([asdict(one) for one in self.differences]).encode())
        return self


def begin(*, scheduled_at: str, roots: Roots) -> Begun:
    """What to do at a moment: seal the day that has ended. A day is also sealed by the seal of a later one."""
    day = seals.day_before(scheduled_at)
    newest = roots.newest()
    if newest is None:
        return Begun(day, 0, sealed=False)
    return Begun(day, newest.number + 1, sealed=newest.day >= day)


def scan(*, segment: int, segments: int, items: LedgerItems, scratch: Files) -> Scanned:
    """Reads one of `segments` parts of the ledger table."""
    runs: list[list[str]] = []
    held: list[Found] = []
    count = 0
    for one in items.found(segment, segments):
        held.append(one)
        count += 1
        if len(held) == RUN_ITEMS:
            runs.append(_run(held, scratch))
            held = []
    if held:
        runs.append(_run(held, scratch))
    return Scanned(scratch.put(canonical_json(runs).encode()), count)


def seal(*, day: str, known: int, runs: Sequence[str], ports: SealPorts) -> SealReport:
    """Seals a day: what the scans found and no seal before number `known` holds. Sealed before, it stays as it is.

    Looks at everything that was sealed earlier on the way. Raises SealOvertaken.
    """
    report, until_ms = SealReport(day, known), seals.end_of(day)
    before = _History(ports, report, known)
    if known and before.newest is None:
        raise DamagedFile("there is no root that this one could follow")
    fresh = (
        (found.name, found.fingerprint)
        for found in _compared(before, _found(runs, ports.scratch), report)
        if found.at_ms < until_ms
    )
    chunks = []
    for chunk, text in seals.chunks_of(fresh):
        ports.lists.put(text)
        chunks.append(chunk)
        report.new += chunk.size
    manifest = Manifest(day, tuple(chunks), tuple(before.log))
    ports.lists.put(manifest.text())
    root = seals.root_document(
        manifest=manifest, previous=before.newest, keys=ports.keys, sealed_at_ms=ports.clock.now_ms()
    )
    if not ports.roots.put(known, signed(root, ports.signer)):
        root = ports.roots.get(known)
    ports.roots.remember(_fact(root, known))
    if root["record"]["day"] != day:
        raise SealOvertaken("another day was sealed under this number")
    report.new = root["record"]["size"]
    return report.written(ports.scratch)


def verify(*, known: int, runs: Sequence[str], ports: SealPorts) -> SealReport:
    """Looks whether the table holds what the first `known` seals say, and they what their roots say; writes nothing."""
    report = SealReport("", known)
    before = _History(ports, report, known)
    report.new = sum(1 for _ in _compared(before, _found(runs, ports.scratch), report))
    return report.written(ports.scratch)


def manifest_of(root: Mapping[str, Any], lists: Files) -> Manifest:
    """The manifest of a root; raises DamagedFile."""
    return Manifest.of(lists.get(root["record"]["manifest"]))


class _History:
    """The seals before a number: their lists as one, and whether they are what their roots say."""

    def __init__(self, ports: SealPorts, report: SealReport, known: int) -> None:
        self._lists, self._report = ports.lists, report
        self.newest: Document | None = None
        self.log: list[bytes] = []
        self._manifests: list[Manifest] = []
        log = merkle.Builder()
        for number, fact in enumerate(ports.roots.facts()[:known]):
            if fact.number != number:
                raise DamagedFile(f"seal {number} is not remembered")
            self.log.append(fact.log_leaf)
            log.add(fact.log_leaf)
            self._take(fact, log.root(), ports.roots)

    def _take(self, fact: SealFact, log_root: bytes, roots: Roots) -> None:
        name = f"root/{fact.number}"
        try:
            root = roots.get(fact.number)
            manifest = manifest_of(root, self._lists)
            record, log = root["record"], root["log"]
            said = (seals.record_leaf(record), log["size"], log["root"], record["day"])
        except (DamagedFile, *_NOT_AS_WRITTEN):
            self._report.wrong("a root or its manifest is gone or damaged", name, fact.day)
            return
        if said != (fact.log_leaf, len(self.log), log_root.hex(), fact.day):
            self._report.wrong("a root is not the one that was made", name, fact.day)
        if (manifest.root().hex(), manifest.size()) != (record["root"], record["size"]):
            self._report.wrong("a manifest is not what its root says", name, fact.day)
        self.newest = root
        self._manifests.append(manifest)

    def sealed(self) -> Iterator[tuple[bytes, Sealed, str]]:
        """(order, (name, fingerprint), day) of all that is sealed, in order."""
        return heapq.merge(*(self._of_day(manifest) for manifest in self._manifests))

    def _of_day(self, manifest: Manifest) -> Iterator[tuple[bytes, Sealed, str]]:
        for chunk in manifest.chunks:
            try:
                items = seals.list_of(self._lists.get(chunk.file))
            except (DamagedFile, *_NOT_AS_WRITTEN):
                self._report.wrong("a list is gone or damaged", chunk.file, manifest.day)
                continue
            if seals.list_root(items) != chunk.root or len(items) != chunk.size:
                self._report.wrong("a list is not what its manifest says", chunk.file, manifest.day)
            for one in items:
                yield seals.order(one[0]), one, manifest.day


def _compared(before: _History, items: Iterator[tuple[bytes, Found]], report: SealReport) -> Iterator[Found]:
    """What is not sealed yet; everything that is wrong is counted."""
    sealed = before.sealed()
    there, held = next(items, None), next(sealed, None)
    while there is not None or held is not None:
        if there is not None and (held is None or there[0] < held[0]):
            if not there[1].as_hashed:
                report.wrong("it is not what its own hash says", there[1].name)
            yield there[1]
            there = next(items, None)
        elif held is not None:
            _, (name, fingerprint), day = held
            if there is None or there[0] > held[0]:
                report.wrong("it was sealed and is gone", name, day)
            else:
                report.known += 1
                if there[1].fingerprint != fingerprint or not there[1].as_hashed:
                    report.wrong("it is not what was sealed", name, day)
                there = next(items, None)
            held = next(sealed, None)


def _run(held: list[Found], scratch: Files) -> list[str]:
    ordered = sorted(held, key=lambda one: seals.order(one.name))
    return [
        scratch.put(
            canonical_json(
                [
                    [one.name, one.fingerprint.hex(), one.at_ms, one.as_hashed]
                    for one in ordered[start : start + FILE_ITEMS]
                ]
            ).encode()
        )
        for start in range(0, len(ordered), FILE_ITEMS)
    ]


def _found(indexes: Sequence[str], scratch: Files) -> Iterator[tuple[bytes, Found]]:
    runs = [run for index in indexes for run in json.loads(scratch.get(index))]
    return heapq.merge(*(_read(run, scratch) for run in runs), key=lambda one: one[0])


def _read(run: Sequence[str], scratch: Files) -> Iterator[tuple[bytes, Found]]:
    for file in run:
        for name, fingerprint, at_ms, as_hashed in json.loads(scratch.get(file)):
            yield seals.order(name), Found(name, bytes.fromhex(fingerprint), at_ms, as_hashed)


def _fact(root: Mapping[str, Any], number: int) -> SealFact:
    return SealFact(root["record"]["day"], number, seals.record_leaf(root["record"]))
