"""Payout destinations: sealed under a person's own key, versioned, shown masked."""

import subprocess
import sys
from typing import Any

import pytest
from botocore.exceptions import ClientError

from smallpeck.kernel.errors import Invalid
from smallpeck.kernel.writes import Contention
from smallpeck.people import service
from smallpeck.people.model import (
    BadDestination,
    Destination,
    DestinationFacts,
    HeldDestination,
    NoDestination,
    masked,
)
from smallpeck.people.sealing import Unreadable, seal, unseal
from smallpeck.people.store import DestinationStore, PersonKeys
from smallpeck.runtime.destinations import OfferedRails
from tests.aws import Crash, Fault, Plan
from tests.support import World
from tests.unit.people.fake_kms import FakeKms


class People:
    def __init__(self) -> None:
        self.world = World()
        self.kms = FakeKms()
        self.keys = PersonKeys(self.world.table, self.kms, "key-1")
        self.destinations = DestinationStore(self.world.table, self.keys)
        self.rails = OfferedRails(frozenset({"gateway", "paypal", "stripe", "sepa", "circle"}))

    def put(self, address: str, *, worker: str = "ann", now_ms: int = 1_000, rail: str = "gateway") -> HeldDestination:
        return service.put_destination(
            worker_id=worker,
            rail=rail,
            address=address,
            now_ms=now_ms,
            rails=self.rails,
            destinations=self.destinations,
        )

    def address(self, worker: str = "ann") -> str:
        return service.get_destination(worker_id=worker, destinations=self.destinations).destination.address

    def stored(self, table: str) -> str:
        return repr(self.world.aws.dynamodb.dump(table))

    def erase_key(self, worker: str = "ann") -> None:
        key = {"pk": {"S": f"PERSON#{worker}"}, "sk": {"S": "KEY"}}
        assert "Item" in self.world.aws.dynamodb.get_item(TableName="keys", Key=key)
        self.world.aws.dynamodb.delete_item(TableName="keys", Key=key)


def test_a_worker_reads_back_where_they_are_paid() -> None:
    people = People()

    people.put("ann@example.org")

    assert people.address() == "ann@example.org"


def test_without_a_destination_there_is_none() -> None:
    with pytest.raises(NoDestination):
        People().address()


def test_the_first_destination_was_never_changed_and_the_next_one_was() -> None:
    people = People()

    assert people.put("ann@example.org", now_ms=1_000).changed_at_ms is None
    assert people.put("ann@example.com", now_ms=2_000).changed_at_ms == 2_000
    assert people.destinations.facts("ann") == DestinationFacts(2, "gateway", 2_000)


def test_saying_the_same_again_starts_no_waiting_time() -> None:
    people = People()
    people.put("old@example.org", now_ms=1_000)
    changed = people.put("ann@example.org", now_ms=2_000)

    assert people.put("ann@example.org", now_ms=9_000) == changed


def test_a_payout_on_its_way_still_finds_the_version_it_was_reserved_for() -> None:
    people = People()
    for number in range(1, 13):
        people.put(f"ann{number}@example.org")

    assert people.destinations.at_version("ann", 12) == Destination("gateway", "ann12@example.org")
    assert people.destinations.at_version("ann", 3) == Destination("gateway", "ann3@example.org")
    assert people.destinations.at_version("ann", 2) is None
    assert people.destinations.at_version("ann", 13) is None
    assert people.destinations.at_version("bob", 1) is None


def test_nothing_readable_lies_in_any_table() -> None:
    people = People()
    people.put("ann.example@example.org")

    for table in ("platform", "ledger", "people", "keys"):
        assert "ann.example" not in people.stored(table)


def test_reading_takes_both_tables() -> None:
    people = People()
    people.put("ann@example.org")
    people.put("bob@example.org", worker="bob")

    people.erase_key()

    assert people.destinations.current("ann") is None
    assert people.destinations.at_version("ann", 1) is None
    assert people.address("bob") == "bob@example.org"


def test_who_comes_back_after_their_key_was_erased_starts_anew_and_waits() -> None:
    people = People()
    people.put("ann@example.org")
    people.erase_key()

    again = people.put("ann@example.org", now_ms=5_000)

    assert (again.version, again.changed_at_ms) == (2, 5_000)
    assert people.address() == "ann@example.org"
    assert people.destinations.at_version("ann", 1) is None


def test_one_person_has_one_key_for_good() -> None:
    people = People()
    people.put("ann@example.org")
    people.put("ann@example.com")
    people.put("ann@example.net")

    assert people.kms.made == 1


def test_two_first_writes_at_once_agree_on_one_key() -> None:
    people = People()
    race = Plan(Fault.RACE, "dynamodb.PutItem:keys", race=lambda: people.put("second@example.org"))

    with people.world.aws.faults.planned(race):
        people.put("first@example.org", now_ms=3_000)

    assert race.fired
    assert race.race_errors == []
    assert people.kms.made == 2
    assert people.address() == "first@example.org"
    assert people.destinations.at_version("ann", 1) == Destination("gateway", "second@example.org")


def test_two_changes_at_once_both_count() -> None:
    people = People()
    people.put("zero@example.org")
    race = Plan(Fault.RACE, "dynamodb.UpdateItem:people", race=lambda: people.put("first@example.org"))

    with people.world.aws.faults.planned(race):
        assert people.put("second@example.org").version == 3

    assert race.race_errors == []
    assert people.destinations.at_version("ann", 2) == Destination("gateway", "first@example.org")


def test_who_never_gets_a_word_in_is_told_to_try_again() -> None:
    people = People()
    people.put("zero@example.org")
    numbers = iter(range(service.CHANGE_ATTEMPTS))
    races = [
        Plan(
            Fault.RACE,
            "dynamodb.UpdateItem:people",
            nth=nth,
            race=lambda: people.put(f"other{next(numbers)}@example.org"),
        )
        for nth in range(1, service.CHANGE_ATTEMPTS + 1)
    ]

    with people.world.aws.faults.planned(*races), pytest.raises(Contention):
        people.put("second@example.org")


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_change_that_died_on_the_way_can_be_made_again(fault: Fault) -> None:
    undisturbed = People()
    calls = undisturbed.world.aws.faults.count_calls(lambda: undisturbed.put("ann@example.org"))
    assert calls == 5

    for at in range(calls):
        people = People()
        with people.world.aws.faults.planned(Plan(fault, at)), pytest.raises(Crash):
            people.put("ann@example.org")
        held = people.put("ann@example.org", now_ms=2_000)

        assert (held.version, held.changed_at_ms) == (1, None)
        assert people.address() == "ann@example.org"


@pytest.mark.parametrize(
    ("rail", "address", "pointer"),
    [
        ("carrier-pigeon", "ann@example.org", "/rail"),
        ("gateway", "ab", "/address"),
        ("gateway", "a" * 201, "/address"),
        ("gateway", "ann\nbob", "/address"),
        ("gateway", "ann\u2028bob", "/address"),
        ("gateway", "ann\x00bob", "/address"),
        ("gateway", " ann ", "/address"),
        ("gateway", "    ", "/address"),
        ("gateway", "ann\ud800", "/address"),
    ],
)
def test_a_destination_that_is_none_changes_nothing(rail: str, address: str, pointer: str) -> None:
    people = People()

    with pytest.raises(BadDestination) as caught:
        people.put(address, rail=rail)

    assert [problem.pointer for problem in caught.value.problems] == [pointer]
    assert address not in str(caught.value)
    assert people.world.aws.dynamodb.count("people") == 0
    assert people.kms.made == 0


def test_a_rail_that_is_not_offered_is_refused_and_those_that_are_are_named() -> None:
    people = People()
    people.rails = OfferedRails(frozenset({"gateway", "circle"}))

    with pytest.raises(BadDestination) as caught:
        people.put("DE89370400440532013000, Ann Lee", rail="sepa")

    assert [(one.pointer, one.detail) for one in caught.value.problems] == [("/rail", "one of: circle, gateway")]
    assert people.world.aws.dynamodb.count("people") == 0


def test_an_account_is_kept_in_one_spelling_so_that_saying_it_otherwise_changes_nothing() -> None:
    people = People()
    first = people.put("DE89 3704 0044 0532 0130 00,Ann  Lee", rail="sepa")
    again = people.put("DE89370400440532013000, Ann Lee", rail="sepa", now_ms=2_000)

    assert people.address() == "DE89370400440532013000, Ann Lee"
    assert again == first


@pytest.mark.parametrize(
    ("rail", "address"),
    [
        ("sepa", "DE88370400440532013000, Ann Lee"),
        ("sepa", "DE89370400440532013000"),
        ("sepa", "SA0380000000608010167519, Ann Lee"),
        ("circle", "BASE:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"),
        ("circle", "DOGE:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        ("paypal", "nobody"),
        ("stripe", "acct-1"),
    ],
)
def test_an_address_where_no_money_would_arrive_is_refused_unrepeated(rail: str, address: str) -> None:
    people = People()

    with pytest.raises(Invalid) as caught:
        people.put(address, rail=rail)

    assert (caught.value.code, [one.pointer for one in caught.value.problems]) == ("bad_destination", ["/address"])
    assert address not in str(caught.value) + repr(caught.value.problems)
    assert people.world.aws.dynamodb.count("people") == 0


@pytest.mark.parametrize("address", ["abc", "a" * 200, "DE89 3704 0044 0532 0130 00", "žofie@example.org"])
def test_a_destination_of_any_other_form_is_taken(address: str) -> None:
    people = People()
    people.put(address)

    assert people.address() == address


@pytest.mark.parametrize(
    ("address", "shown"),
    [("ann@example.org", "a…rg"), ("abc", "a…"), ("abcdefg", "a…"), ("abcdefgh", "a…gh")],
)
def test_no_more_is_shown_than_one_recognises_as_ones_own(address: str, shown: str) -> None:
    assert masked(address) == shown


def test_an_address_shows_in_no_representation() -> None:
    held = HeldDestination(1, Destination("gateway", "ann@example.org"), None)

    assert "ann" not in repr(held)
    assert "ann" not in str(held)


SEALED: dict[str, Any] = {"key": b"k" * 32, "person_id": "ann", "field": "destination", "version": 1}


def test_what_is_sealed_opens_again() -> None:
    assert unseal(seal(b"secret", **SEALED), **SEALED) == b"secret"


def test_sealing_twice_gives_two_ciphertexts() -> None:
    assert seal(b"secret", **SEALED) != seal(b"secret", **SEALED)


@pytest.mark.parametrize("other", [{"key": b"x" * 32}, {"person_id": "bob"}, {"field": "address"}, {"version": 2}])
def test_what_is_sealed_opens_for_that_purpose_only(other: dict[str, Any]) -> None:
    sealed = seal(b"secret", **SEALED)

    with pytest.raises(Unreadable):
        unseal(sealed, **(SEALED | other))


def test_a_single_bit_that_differs_is_noticed() -> None:
    sealed = seal(b"secret", **SEALED)
    for index in range(len(sealed)):
        broken = bytearray(sealed)
        broken[index] ^= 1
        with pytest.raises(Unreadable):
            unseal(bytes(broken), **SEALED)


def test_a_key_opens_for_its_own_person_only() -> None:
    people = People()
    people.put("ann@example.org")
    people.put("bob@example.org", worker="bob")
    keys = {item["pk"]["S"]: item for item in people.world.aws.dynamodb.dump("keys")}
    people.world.aws.dynamodb.put_item(
        TableName="keys", Item=keys["PERSON#bob"] | {"wrapped": keys["PERSON#ann"]["wrapped"]}
    )

    with pytest.raises(ClientError):
        people.destinations.current("bob")


def test_the_cipher_is_loaded_only_where_something_is_sealed() -> None:
    script = "import sys, smallpeck.people.store, smallpeck.people.service; sys.exit('cryptography' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0  # noqa: S603
