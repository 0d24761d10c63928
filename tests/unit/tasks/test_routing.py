"""Who gets which tasks: how many controls, where in the index to begin, and what happens there."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from smallpeck.consensus.method import NOTHING_KNOWN, PPM, SkillCounts
from smallpeck.kernel.writes import Change
from smallpeck.tasks.model import Batch
from smallpeck.tasks.routing import ALL_BANDS, BANDS, band_of, controls_on, first_band, place_of
from smallpeck.tasks.skill import skill_ref
from tests.aws import Crash, Fault, Plan
from tests.support import World
from tests.unit.tasks.wanting import DYNAMIC, past_first_rounds


@pytest.mark.parametrize(("change", "band"), [(1.0, 0), (0.5, 0), (0.43, 1), (0.25, 4), (0.01, 7), (0.0, 7)])
def test_the_more_an_answer_changes_the_further_in_front_a_task_is_listed(change: float, band: int) -> None:
    assert band_of(change) == band
    assert 0 <= band < BANDS


def test_the_skilled_begin_in_front_the_others_in_the_middle_and_the_unknown_here_or_there() -> None:
    assert [first_band(900_000, 800_000, number) for number in (1, 2)] == [0, 0]
    assert [first_band(700_000, 800_000, number) for number in (1, 2)] == [4, 4]
    assert {first_band(800_000, 800_000, number) for number in (1, 2)} == {0, 4}


def test_those_who_ask_one_after_the_other_begin_far_from_each_other() -> None:
    places = sorted(place_of(number, 10_000) for number in range(1, 101))
    gaps = [after - before for before, after in pairwise(places)]
    assert min(gaps) > 40
    assert max(gaps) < 200


def batch_with(controls: int, *, tasks: int = 1_000, page_size: int = 10) -> Batch:
    batch = World().draft()
    return replace(batch, task_count=tasks, control_count=controls, page_size=page_size)


def drawn(batch: Batch, skill: SkillCounts, *, first_page: bool = False) -> list[int]:
    return [controls_on(batch, page_id=f"p{n}", skill=skill, first_page=first_page) for n in range(1_000)]


KNOWN = SkillCounts(20 * PPM, 25 * PPM)


def test_new_workers_get_more_control_tasks_than_known_ones() -> None:
    plenty = batch_with(200)
    assert set(drawn(plenty, NOTHING_KNOWN)) == {2}
    assert set(drawn(plenty, KNOWN)) == {0, 1}
    assert 400 < sum(drawn(plenty, KNOWN)) < 600


def test_a_worker_meets_a_control_task_on_the_first_page_however_few_there_are() -> None:
    few = batch_with(5)
    assert set(drawn(few, NOTHING_KNOWN, first_page=True)) == {1}
    assert 60 < sum(drawn(few, NOTHING_KNOWN)) < 140
    assert set(drawn(batch_with(0), NOTHING_KNOWN, first_page=True)) == {0}
    alone = batch_with(200, page_size=1)
    assert 150 < sum(drawn(alone, NOTHING_KNOWN)) < 250


def known_as(world: World, worker: str, hits: int, of: int = 40) -> None:
    world.table.commit([Change(skill_ref("b1", worker), set={"hits_ppm": hits * PPM, "weight_ppm": of * PPM})])


def bands_of(world: World, batch: Batch) -> dict[int, int]:
    """By ordinal, the band that a task is listed in."""
    return {
        ordinal: band
        for shard in range(batch.shards)
        for band, ordinal in world.tasks.wanted(batch, shard, first=ALL_BANDS[0], before=ALL_BANDS[1], limit=10_000)
    }


def test_the_skilled_get_what_can_still_change_and_the_others_what_hardly_can() -> None:
    world, batch = past_first_rounds(400)
    bands = bands_of(world, batch)
    known_as(world, "skilled", 39)
    known_as(world, "weak", 20)
    assert {bands[one.ordinal] for one in world.leased("skilled").assignments} == {0}
    assert {bands[one.ordinal] for one in world.leased("weak").assignments} <= set(range(4, BANDS))


@pytest.mark.parametrize("hits", [39, 20])
def test_a_worker_goes_on_through_all_bands_before_being_told_that_there_is_nothing(hits: int) -> None:
    world, _ = past_first_rounds(60, page_size=50)
    known_as(world, "ann", hits)
    first = world.leased("ann")
    second = world.leased("ann", key="k2")
    got = {one.ordinal for page in (first, second) for one in page.assignments}
    assert got == set(range(60))


def test_a_task_is_listed_in_another_band_with_its_next_vote() -> None:
    world = World()
    batch = world.active(1, page_size=1, target_ppm=999_000, **DYNAMIC)
    world.answer("ann", "cat")
    assert bands_of(world, batch) == {}
    world.answer("bob", "dog")
    disputed = bands_of(world, batch)[0]
    world.answer("cy", "dog")
    assert bands_of(world, batch)[0] > disputed


def test_a_seat_that_is_given_back_lists_the_task_by_its_votes() -> None:
    world, batch = past_first_rounds(40)
    before = bands_of(world, batch)
    page = world.leased("ann")
    assert not {one.ordinal for one in page.assignments} & bands_of(world, batch).keys()
    world.give_back(page)
    assert bands_of(world, batch) == before


def leasing() -> tuple[World, Callable[[], object]]:
    world, _ = past_first_rounds(4)
    return world, lambda: world.lease("ann")


def calls_of(prepare: Callable[[], tuple[World, Callable[[], object]]]) -> int:
    world, act = prepare()
    return world.aws.faults.count_calls(act)


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("call", range(calls_of(leasing)))
def test_a_lease_from_the_index_that_dies_at_any_call_leaves_its_tasks_to_others(fault: Fault, call: int) -> None:
    world, lease = leasing()
    with world.aws.faults.planned(Plan(fault, at=call)), suppress(Crash):
        lease()  # a ticket that is gone is an answer of its own, so nobody dies after asking for it
    world.aws.clock.advance(620)
    world.sweep()
    assert len(world.leased("bob").assignments) == 4
    assert all(task.seats_taken == 3 for task in world.every_task(world.batch()))


@pytest.mark.parametrize("call", range(calls_of(leasing)))
def test_two_workers_who_look_into_the_index_at_once_share_what_there_is(call: int) -> None:
    world, lease = leasing()
    rival = Plan(Fault.RACE, at=call, race=partial(world.lease, "bob"))
    with world.aws.faults.planned(rival):
        lease()
    assert rival.race_errors == []
    tasks = world.every_task(world.batch())
    assert all(task.seats_taken == len(task.votes) + len(task.holders) == 3 for task in tasks)
    assert not any(task.wanted for task in tasks)
