"""Eight processes race for the seats of one batch."""

import multiprocessing

from smallpeck.runtime.settings import Settings
from tests.e2e.market import PATIENCE_SECONDS, Market
from tests.e2e.racing import Seats, at_the_line, race

RACERS = 8
TASKS = 200
OVERLAP = 3


def test_eight_processes_fill_every_seat_and_none_twice(market: Market) -> None:
    offer = market.offer(TASKS, min_answers=OVERLAP, max_answers=OVERLAP, page_size=5)
    engine = market.platform.engine
    seats = Seats(engine.environment(), _platform_table(market), offer.batch_id)
    racers = [market.person("worker") for _ in range(RACERS)]

    spawning = multiprocessing.get_context("spawn")
    barrier = spawning.Barrier(RACERS)
    with spawning.Pool(RACERS, initializer=at_the_line, initargs=(barrier,)) as pool:
        running = pool.starmap_async(race, [(racer, seats) for racer in racers], chunksize=1)
        raced = running.get(timeout=PATIENCE_SECONDS)

    assert [one.unexpected for one in raced if one.unexpected] == []
    assert [one.in_vain for one in raced if one.in_vain] == [], "told that there is nothing, while there was a seat"
    assert sum(one.answered for one in raced) == TASKS * OVERLAP
    offer.ends()
    for task in offer.tasks():
        workers = [one["worker_id"] for one in task["answers"]]
        assert (len(workers), len(set(workers))) == (OVERLAP, OVERLAP), task
        assert task["status"] == "closed"
    progress = offer.get("/progress")
    assert (progress["tasks_closed"], progress["answers_approved"]) == (TASKS, TASKS * OVERLAP)
    assert "refund" not in offer.movements()
    assert len(offer.results()) == TASKS
    assert market.books_balance()


def _platform_table(market: Market) -> str:
    functions = market.platform.engine.client("lambda")
    found = functions.get_function_configuration(FunctionName="small-peck-local-worker-api")
    return Settings.from_environment(found["Environment"]["Variables"]).platform_table
