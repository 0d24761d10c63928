"""Profiles: made at the first look, checked field by field."""

from dataclasses import replace
from typing import Any

import pytest

from smallpeck.people import service
from smallpeck.people.model import COUNTRIES, BadProfile, WorkerProfile
from smallpeck.people.store import DestinationFactStore, ProfileStore
from tests.aws import Fault, Plan
from tests.support import World

PLATFORM = 5_000_000


def get(world: World, worker: str = "ann", now_ms: int = 1_000) -> WorkerProfile:
    return service.get_profile(worker_id=worker, now_ms=now_ms, profiles=ProfileStore(world.table), unit=world.table)


def put(world: World, now_ms: int = 1_000, **facts: Any) -> WorkerProfile:
    given = {"country": "CZ", "languages": ["cs", "en"], "payout_threshold_micros": None, "automatic_payouts": False}
    return service.put_profile(
        worker_id="ann",
        platform_threshold_micros=PLATFORM,
        now_ms=now_ms,
        profiles=ProfileStore(world.table),
        destinations=DestinationFactStore(world.table),
        unit=world.table,
        **(given | facts),
    )


def test_the_first_look_makes_a_profile_that_says_nothing() -> None:
    world = World()

    first = get(world, now_ms=1_000)

    assert first == WorkerProfile("ann", 1_000, None, (), None)
    assert get(world, now_ms=2_000) == first


def test_a_worker_says_who_they_are() -> None:
    world = World()

    said = put(world, payout_threshold_micros=20_000_000)

    assert get(world) == said == WorkerProfile("ann", 1_000, "CZ", ("cs", "en"), 20_000_000)


def test_what_is_left_out_is_forgotten() -> None:
    world = World()
    put(world, payout_threshold_micros=20_000_000)

    put(world, country=None, languages=[], now_ms=5_000)

    assert get(world) == WorkerProfile("ann", 1_000, None, (), None)


def test_saying_the_same_again_writes_nothing() -> None:
    world = World()
    put(world)

    before = len(world.aws.faults.trace)
    put(world)

    assert all("GetItem" in line for line in list(world.aws.faults.trace)[before:])


def test_two_first_looks_at_once_make_one_profile() -> None:
    world = World()
    race = Plan(Fault.RACE, "dynamodb.PutItem:platform", race=lambda: get(world, now_ms=500))

    with world.aws.faults.planned(race):
        seen = get(world, now_ms=1_000)

    assert seen.created_at_ms == 500


def test_the_threshold_is_never_below_the_platforms() -> None:
    profile = WorkerProfile("ann", 1_000)

    assert profile.threshold_micros(PLATFORM) == PLATFORM
    assert replace(profile, payout_threshold_micros=20_000_000).threshold_micros(PLATFORM) == 20_000_000
    # The platform raised its own since.
    assert replace(profile, payout_threshold_micros=PLATFORM).threshold_micros(9_000_000) == 9_000_000


@pytest.mark.parametrize(
    ("facts", "pointers"),
    [
        ({"country": "XX"}, ["/country"]),
        ({"country": "cz"}, ["/country"]),
        ({"country": "CZE"}, ["/country"]),
        ({"country": ""}, ["/country"]),
        ({"languages": ["en-GB"]}, ["/languages/0"]),
        ({"languages": ["cs", "EN", "x"]}, ["/languages/1", "/languages/2"]),
        ({"languages": ["en", "en"]}, ["/languages"]),
        ({"languages": ["en\n"]}, ["/languages/0"]),
        ({"languages": [f"{a}{b}" for a in "abc" for b in "abcd"][:11]}, ["/languages"]),
        ({"payout_threshold_micros": PLATFORM - 1}, ["/payout_threshold"]),
        ({"payout_threshold_micros": -1}, ["/payout_threshold"]),
        ({"payout_threshold_micros": 10**15 + 1}, ["/payout_threshold"]),
        (
            {"country": "XX", "languages": ["?"], "payout_threshold_micros": 0},
            ["/country", "/languages/0", "/payout_threshold"],
        ),
    ],
)
def test_every_field_that_is_not_allowed_is_named_and_nothing_changes(
    facts: dict[str, Any], pointers: list[str]
) -> None:
    world = World()

    with pytest.raises(BadProfile) as caught:
        put(world, **facts)

    assert [problem.pointer for problem in caught.value.problems] == pointers
    assert world.aws.dynamodb.count("platform") == 0


def test_ten_languages_are_allowed() -> None:
    languages = [f"{a}{b}" for a in "abc" for b in "abcd"][:10]

    assert put(World(), languages=languages).languages == tuple(languages)


def test_every_country_is_two_capital_letters() -> None:
    assert len(COUNTRIES) == 249
    assert all(len(code) == 2 and code.isupper() for code in COUNTRIES)


def test_a_requester_is_known_from_the_first_look_on() -> None:
    world = World()

    def look(now_ms: int) -> Any:
        return service.get_requester(
            requester_id="req", now_ms=now_ms, profiles=ProfileStore(world.table), unit=world.table
        )

    assert look(1_000) == look(2_000)
    assert look(3_000).created_at_ms == 1_000
