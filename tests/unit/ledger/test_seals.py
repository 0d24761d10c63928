"""Daily seals: what they hold, that they never change, and that whatever changes under them is found."""

import json
from typing import Any

import pytest

from smallpeck.ledger import merkle, seal_service, seals
from smallpeck.ledger.chain import leaf
from smallpeck.ledger.seal_service import DamagedFile, SealOvertaken
from smallpeck.table.marshal import from_item
from tests.aws import Crash, Fault
from tests.aws.faults import sweep
from tests.unit.ledger.sealed import ANN, SEALS, Books


@pytest.fixture
def books() -> Books:
    return Books()


def names(books: Books, number: int) -> list[str]:
    """The names that a seal holds, in its order."""
    manifest = seal_service.manifest_of(books.roots.get(number), books.lists)
    return [name for chunk in manifest.chunks for name, _ in seals.list_of(books.lists.get(chunk.file))]


def test_a_seal_holds_every_entry_and_row_of_its_day(books: Books) -> None:
    first = books.credit()
    second = books.credit()
    root = books.seal_next_day()

    rows = [f"row/{ANN.path}:USD/1", f"row/{ANN.path}:USD/2", f"row/{books.payer.path}:USD/1"]
    assert set(names(books, 0)) == {
        f"entry/{first}", f"entry/{second}", "entry/deposit", "entry/publish", *rows, f"row/{books.payer.path}:USD/2",
    }  # fmt: skip
    assert names(books, 0) == sorted(names(books, 0), key=seals.order)
    assert root["record"]["size"] == 8
    assert root["log"]["size"] == 1
    assert root["previous"] is None


def test_the_root_follows_from_the_list_alone(books: Books) -> None:
    books.credit()
    root = books.seal_next_day()

    leaves = []
    for name in names(books, 0):
        kind, _, rest = name.partition("/")
        if kind == "entry":
            (item,) = [one for one in books.ledger_items() if one.get("postings") and one["entry_id"] == rest]
            leaves.append(seals.leaf_of(name, leaf(item)))
            assert leaf(item).hex() == item["entry_hash"]
        else:
            account, seq = rest.rsplit("/", 1)
            (item,) = [
                one for one in books.ledger_items() if one["pk"] == f"STATEMENT#{account}" and one["seq"] == int(seq)
            ]
            leaves.append(seals.leaf_of(name, seals.row_fingerprint(account, item)))
    assert merkle.root_of(leaves).hex() == root["record"]["root"]


def test_each_day_holds_what_is_new_and_the_log_holds_all_days(books: Books) -> None:
    books.credit()
    first = books.seal_next_day()
    entry = books.credit()
    second = books.seal_next_day()
    third = books.seal_next_day()

    assert set(names(books, 1)) == {f"entry/{entry}", f"row/{ANN.path}:USD/2"}
    assert third["record"]["size"] == 0
    assert third["record"]["root"] == merkle.EMPTY.hex()
    records = [seals.record_leaf(root["record"]) for root in (first, second, third)]
    assert third["log"]["root"] == merkle.root_of(records).hex()
    assert third["previous"]["log"] == {"size": 2, "root": second["log"]["root"]}


def test_what_is_recorded_after_midnight_belongs_to_the_next_day(books: Books) -> None:
    books.credit()
    books.next_day()
    books.credit()
    assert books.seal().new == 6
    books.next_day()
    assert books.seal().new == 2


def test_a_late_entry_with_an_older_moment_is_sealed_by_the_next_seal_and_changes_no_root(books: Books) -> None:
    books.credit()
    yesterday = books.now_ms
    before = books.seal_next_day()
    stored = books.objects()

    late = books.credit(at_ms=yesterday)
    root = books.seal_next_day()

    assert f"entry/{late}" in names(books, 1)
    assert root["record"]["size"] == 2
    assert books.roots.get(0) == before
    assert {key: books.objects()[key] for key in stored} == stored


def test_a_day_without_its_seal_is_sealed_by_the_next_one(books: Books) -> None:
    books.credit()
    books.next_day(3)
    report = books.seal()
    assert (report.new, report.difference_count) == (6, 0)
    assert books.seal("2026-01-02T00:15:00Z").new == 0


def test_the_same_day_again_changes_nothing(books: Books) -> None:
    books.credit()
    books.seal_next_day()
    before, count = books.objects(), books.aws.faults.calls
    books.credit()
    assert books.seal().new == 0
    assert books.objects() == before
    assert books.aws.faults.calls - count < 12


def test_many_lists_make_one_tree(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merkle, "CHUNK", 4)
    monkeypatch.setattr(seal_service, "RUN_ITEMS", 3)
    monkeypatch.setattr(seal_service, "FILE_ITEMS", 2)
    for _ in range(20):
        books.credit()
    root = books.seal_next_day()
    manifest = seal_service.manifest_of(root, books.lists)

    assert [chunk.size for chunk in manifest.chunks] == [4] * 11
    assert names(books, 0) == sorted(names(books, 0), key=seals.order)
    for name in names(books, 0):
        number = manifest.place(name)
        assert number is not None
        found = manifest.proof(number, seals.list_of(books.lists.get(manifest.chunks[number].file)), name)
        assert found is not None
        index, fingerprint, path = found
        size = root["record"]["size"]
        led = merkle.root_of_path(seals.leaf_of(name, fingerprint), index=index, size=size, siblings=path)
        assert led.hex() == root["record"]["root"]
    assert books.look().difference_count == 0


# Whatever changes is found


def every_change(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The item with one field changed, for each of its fields, and with one more or less."""
    changed: list[dict[str, Any]] = [{**item, "more": 1}]
    for name, value in item.items():
        if name in ("pk", "sk"):
            continue
        changed.append({field: other for field, other in item.items() if field != name})
        if isinstance(value, int):
            changed += [{**item, name: value + 1}, {**item, name: -value}]
        elif isinstance(value, str):
            changed.append({**item, name: value + "x"})
        elif isinstance(value, list):
            posting = dict(value[0])
            changed += [{**item, name: value[1:]}, {**item, name: [*value, posting]}]
            changed.append({**item, name: [{**posting, "amount_micros": posting["amount_micros"] + 1}, *value[1:]]})
            changed.append({**item, name: list(reversed(value))}) if len(value) > 1 else None
    # An entry without a hash of itself says what it said: those from before there were any have none.
    return [one for one in changed if one != item and ("entry_hash" in one or "entry_hash" not in item)]


def test_any_change_of_one_entry_or_row_is_found(books: Books) -> None:
    books.credit()
    books.seal_next_day()
    books.credit()
    books.seal_next_day()
    changes = 0
    for item in books.ledger_items():
        for changed in every_change(item):
            books.put(changed)
            report = books.look()
            assert report.difference_count == 1, changed
            assert report.differences[0].what == "it is not what was sealed"
            changes += 1
        books.put(item)
    assert books.look().difference_count == 0
    assert changes > 150


def test_an_entry_that_is_gone_is_found_and_named(books: Books) -> None:
    entry = books.credit()
    day = books.seal_next_day()["record"]["day"]
    (item,) = [one for one in books.ledger_items() if one["pk"] == f"ENTRY#{entry}"]
    books.remove(item)
    (found,) = books.look().differences
    assert (found.what, found.name, found.day) == ("it was sealed and is gone", f"entry/{entry}", day)


def test_two_entries_that_change_places_are_found(books: Books) -> None:
    one, other = books.credit(1_000), books.credit(2_000)
    books.seal_next_day()
    first, second = (next(i for i in books.ledger_items() if i["pk"] == f"ENTRY#{name}") for name in (one, other))
    key = ("pk", "sk")
    books.put({**second, **{name: first[name] for name in key}})
    books.put({**first, **{name: second[name] for name in key}})
    assert {found.name for found in books.look().differences} == {f"entry/{one}", f"entry/{other}"}


def test_the_next_seal_finds_it_too_and_seals_what_is_new(books: Books) -> None:
    entry = books.credit()
    books.seal_next_day()
    (item,) = [one for one in books.ledger_items() if one["pk"] == f"ENTRY#{entry}"]
    books.put({**item, "at_ms": item["at_ms"] + 1})
    books.credit()
    books.next_day()
    report = books.seal()
    assert (report.new, report.difference_count) == (2, 1)
    (listed,) = json.loads(books.scratch.get(report.file))
    assert listed["name"] == f"entry/{entry}"


def test_an_entry_that_was_changed_before_it_was_sealed_contradicts_its_own_hash(books: Books) -> None:
    entry = books.credit()
    (item,) = [one for one in books.ledger_items() if one["pk"] == f"ENTRY#{entry}"]
    books.put({**item, "reference": "another"})
    books.next_day()
    (found,) = books.seal().differences
    assert (found.what, found.name) == ("it is not what its own hash says", f"entry/{entry}")


def test_what_is_no_ledger_item_is_told(books: Books) -> None:
    books.credit()
    books.put({"pk": "SOMETHING#1", "sk": "ELSE"})
    books.next_day()
    assert [one.what for one in books.seal().differences] == ["it is not what its own hash says"]


@pytest.mark.parametrize("kind", ["lists/", "roots/"])
def test_any_file_of_a_seal_that_is_another_is_found(books: Books, kind: str) -> None:
    books.credit()
    books.seal_next_day()
    books.credit()
    books.seal_next_day()
    files = [key for key in books.objects() if key.startswith(kind)]
    assert len(files) == (4 if kind == "lists/" else 2)
    for key in files:
        text = books.objects()[key]
        others = [text.replace(b"2026", b"2027"), b"{}", b"x", b"[]"]
        for other in others if b"2026" in text else others[1:]:
            books.replace(key, other)
            assert books.look().difference_count >= 1, (key, other)
        books.replace(key, text)
    assert books.look().difference_count == 0


def test_nothing_is_sealed_upon_roots_that_nobody_can_read(books: Books) -> None:
    books.credit()
    books.seal_next_day()
    books.replace("roots/000000.json", b"{}")
    books.next_day()
    with pytest.raises(DamagedFile):
        books.seal()
    assert len(books.roots.facts()) == 1


def test_a_root_made_by_somebody_else_is_not_the_one_that_was_made(books: Books) -> None:
    books.credit()
    books.seal_next_day()
    other = Books()
    other.credit(1)
    forged = other.seal_next_day()
    for key, text in other.objects().items():
        books.replace(key, text)
    assert books.roots.get(0) == forged
    assert "a root is not the one that was made" in {one.what for one in books.look().differences}


def test_a_file_that_is_not_what_its_name_says_is_never_read(books: Books) -> None:
    books.credit()
    root = books.seal_next_day()
    books.replace(f"lists/{root['record']['manifest']}.json", b"{}")
    with pytest.raises(DamagedFile):
        seal_service.manifest_of(root, books.ports.lists)


# Crashes and rivals


def sealed_day() -> Books:
    books = Books()
    books.credit()
    books.seal_next_day()
    books.credit()
    books.next_day()
    return books


def test_a_seal_that_fails_anywhere_is_made_by_the_next_attempt_and_made_once() -> None:
    expected = sealed_day()
    expected.seal()
    runs = 0
    for run in sweep(sealed_day, Books.seal):
        runs += 1
        books = run.world
        if run.error is not None:
            assert isinstance(run.error, Crash | Exception)
        report = books.seal()
        assert report.difference_count == 0
        assert [fact.number for fact in books.roots.facts()] == [0, 1], str(run)
        assert books.roots.get(1)["record"] == expected.roots.get(1)["record"], str(run)
        versions = books.aws.s3.bucket(SEALS).versions
        assert {len(one) for one in versions.values()} == {1}, str(run)
        assert books.look().difference_count == 0
    assert runs > 150


def test_of_two_seals_at_once_one_counts_and_both_agree(books: Books) -> None:
    books.credit()
    books.next_day()
    begun = seal_service.begin(scheduled_at=books.due, roots=books.roots)
    runs = books.scans()
    first = seal_service.seal(day=begun.day, known=begun.known, runs=runs, ports=books.ports)
    books.credit(at_ms=books.now_ms - 3_600_000)
    second = seal_service.seal(day=begun.day, known=begun.known, runs=books.scans(), ports=books.ports)

    assert (first.new, second.new) == (6, 6)
    assert len(books.roots.facts()) == 1


def test_a_seal_that_another_day_overtook_begins_again(books: Books) -> None:
    books.credit()
    books.next_day()
    begun = seal_service.begin(scheduled_at=books.due, roots=books.roots)
    runs = books.scans()
    books.next_day()
    books.seal()

    with pytest.raises(SealOvertaken):
        seal_service.seal(day=begun.day, known=begun.known, runs=runs, ports=books.ports)
    assert len(books.roots.facts()) == 1
    # Begun again, there is nothing left to do: the later seal holds that day too.
    assert seal_service.begin(scheduled_at=f"{begun.day}T23:00:00Z", roots=books.roots).sealed


def test_a_look_that_a_seal_overtook_misses_nothing_that_its_scan_could_not_see(books: Books) -> None:
    books.credit()
    books.seal_next_day()
    begun, runs = seal_service.begin(scheduled_at=books.due, roots=books.roots), books.scans()
    books.credit()
    books.seal_next_day()
    assert seal_service.verify(known=begun.known, runs=runs, ports=books.ports).difference_count == 0


def test_a_seal_that_the_platform_forgot_is_remembered_by_who_meets_it() -> None:
    """Its root stands, but the process died before it was remembered."""
    books = sealed_day()
    books.aws.faults.plan()
    fact_writes = [run for run in sweep(sealed_day, Books.seal, faults=[Fault.CRASH_BEFORE]) if _root_stands(run.world)]
    assert fact_writes
    for run in fact_writes:
        later = run.world
        later.next_day()
        with pytest.raises(SealOvertaken):
            later.seal()
        later.seal()
        assert [fact.number for fact in later.roots.facts()] == [0, 1, 2]
        assert later.look().difference_count == 0


def _root_stands(books: Books) -> bool:
    return "roots/000001.json" in books.objects() and len(books.roots.facts()) == 1


def test_a_bad_moment_is_refused(books: Books) -> None:
    for moment in ("", "yesterday", "2026-01-01", "2026-13-01T00:00:00Z"):
        with pytest.raises(seals.BadMoment):
            seal_service.begin(scheduled_at=moment, roots=books.roots)


def test_items_are_read_as_they_are_stored(books: Books) -> None:
    """What the scan of the sealing sees is what the table holds, to the last field."""
    books.credit()
    stored = [from_item(item) for item in books.aws.dynamodb.dump("ledger")]
    found = [one for n in range(3) for one in books.ports.items.found(n, 3)]
    assert len(found) == len(stored)
    assert all(one.as_hashed for one in found)
