"""What every method keeps to, whatever its kind: each that is registered is tried here with samples of its own.

A new method takes part by one entry in `SAMPLES`.
"""

import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from smallpeck.consensus.method import METHODS, NOTHING_KNOWN, PPM, Budget, Method, SkillCounts, Vote, Votes, method_of
from smallpeck.consensus.replaying import Replay
from smallpeck.kernel.ids import canonical_json

SOURCES = Path(__file__).parents[3] / "layers/core/python"
WORKERS = "abcdefgh"
ACCURACIES = (810_001, 733_333, 612_345, 900_000, 350_000, 750_000, 680_007, 990_000)
UNREADABLE = ("", "nonsense", "NaN", "1e999", "null", "{}", '{"x":[1]}', "[[[]]]", "true", "-7", '"?"', "[" * 100_000)


@dataclass(frozen=True)
class Sample:
    """Settings of a batch without the method's name, and answers that fit it as JSON values: three or more, the first
    of which is also the gold of control tasks. `nonsense` are settings that no batch may have.
    """

    answers: Sequence[Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    nonsense: Sequence[Mapping[str, Any]] = ()

    @property
    def texts(self) -> list[str]:
        return [canonical_json(answer) for answer in self.answers]


MOST_PARTS = {"boxes": 3, "polygons": 3, "points": 3, "lines": 3, "text": 12, "fields": 2}
"""Methods whose answers are several objects, words or fields, each of which says something about the worker."""
SAMPLES: dict[str, Sample] = {
    "plurality": Sample(answers=["cat", "dog", "bird"]),
    "choice": Sample(answers=["cat", "dog", "bird"], settings={"options": 4}),
    "multiple": Sample(
        answers=[["red", "big"], ["red"], [], ["big", "old"], ["old", "red"]],
        settings={"options": ["red", "big", "old"]},
        nonsense=[
            {"options": []},
            {"options": "red"},
            {"options": ["red", "red"]},
            {"options": [1]},
            {"options": ["red"], "target_ppm": 0},
        ],
    ),
    "numeric": Sample(
        answers=[40, 41.5, 38, 90, 0],
        settings={"low": 0, "high": 100},
        nonsense=[
            {"low": 1, "high": 1},
            {"low": 0, "high": float("inf")},
            {"low": 0, "high": 5, "step": 0},
            {"low": 0, "high": 5, "step": 6},
            {"low": 0, "high": 5, "tolerance": -1},
            {"low": 0, "high": 5, "levels": [0, 2]},
            {"low": 0, "high": 5, "target_ppm": PPM + 1},
        ],
    ),
    "ordinal": Sample(
        answers=[3, 4, 3, 5, 1],
        settings={"levels": [1, 2, 3, 4, 5]},
        nonsense=[
            {"levels": []},
            {"levels": [1]},
            {"levels": [1, 1, 2]},
            {"levels": "12"},
            {"levels": ["low", "high"]},
        ],
    ),
    "boxes": Sample(
        answers=[
            [{"x": 10, "y": 10, "width": 20, "height": 30}],
            [{"x": 11, "y": 9, "width": 20, "height": 31}, {"x": 80, "y": 80, "width": 5, "height": 5}],
            [],
            [{"x": 10, "y": 10, "width": 20, "height": 30, "label": "car"}],
        ],
    ),
    "polygons": Sample(
        answers=[
            [{"points": [[0, 0], [10, 0], [10, 10]]}],
            [{"points": [[0, 0], [11, 0], [10, 11]], "label": "roof"}],
            [],
        ],
    ),
    "points": Sample(
        answers=[[{"x": 5, "y": 5}], [{"x": 6, "y": 5}, {"x": 50, "y": 50, "label": "eye"}], []],
        nonsense=[{"tolerance": 0}],
    ),
    "lines": Sample(
        answers=[[{"points": [[0, 0], [10, 0]]}], [{"points": [[0, 1], [10, 1]]}], []],
        nonsense=[{"tolerance": 0}],
    ),
    "text": Sample(
        answers=["the cat sat on the mat", "the cat sat on a mat", "a dog", ""],
        nonsense=[{"key": ""}, {"worth_words": 0}],
    ),
    "fields": Sample(
        answers=[
            {"phone": "+49 30 123456", "name": "Ada Lovelace"},
            {"phone": "+4930123456", "name": "ada lovelace"},
            {"phone": None, "name": "Bob"},
        ],
        settings={"fields": {"phone": {"normaliser": "phone"}, "name": {"normaliser": "name"}}},
        nonsense=[{"fields": {}}, {"fields": {"phone": {"normaliser": "telepathy"}}}],
    ),
    "ranking": Sample(
        answers=[["a", "b", "c"], ["b", "a", "c"], ["a", "c", "b"], ["c", "b", "a"], ["a"]],
        nonsense=[{"items": 1}, {"items": 1_000_000}, {"items": 2.5}, {"target_ppm": -1}],
    ),
}

every_method = pytest.mark.parametrize("name", sorted(METHODS))


def made(name: str) -> Method:
    return method_of({"method": name, **SAMPLES[name].settings})


def votes_on(name: str, count: int = len(WORKERS)) -> dict[str, Vote]:
    texts = SAMPLES[name].texts
    return {worker: Vote(texts[place % len(texts)], ACCURACIES[place]) for place, worker in enumerate(WORKERS[:count])}


def orders(votes: Votes, many: int = 20) -> list[dict[str, Vote]]:
    """Some orders of the votes: all where there are few, else drawn."""
    items = sorted(votes.items())
    draw = random.Random(4)
    return [dict(draw.sample(items, len(items))) for _ in range(many)]


def credited(method: Method, votes: Votes) -> dict[str, Vote]:
    """The votes cast one after another in their order."""
    cast: dict[str, Vote] = {}
    for worker, vote in votes.items():
        cast[worker] = method.cast(votes=dict(cast), answer=vote.answer, accuracy_ppm=vote.accuracy_ppm)
    return cast


def test_every_registered_method_has_samples() -> None:
    assert METHODS.keys() == SAMPLES.keys()
    assert all(len(sample.answers) >= 3 for sample in SAMPLES.values())


@every_method
def test_a_decision_does_not_depend_on_the_order_of_votes(name: str) -> None:
    method = made(name)
    for count in range(1, len(WORKERS) + 1):
        mine = votes_on(name, count)
        many = [dict(order) for order in permutations(mine.items())] if count < 4 else orders(mine)
        found = {method.decide(task_id="t", votes=order, budget=Budget(1, 20)) for order in many}
        changes = {method.expected_change(votes=order, accuracy_ppm=777_777) for order in many}
        assert (len(found), len(changes)) == (1, 1)


@every_method
def test_a_decision_is_canonical_json_with_confidences_that_are_shares(name: str) -> None:
    for count in range(1, len(WORKERS) + 1):
        found = made(name).decide(task_id="t", votes=votes_on(name, count), budget=Budget(1, 20))
        assert found.answer is not None
        assert canonical_json(json.loads(found.answer)) == found.answer
        assert all(type(one) is int and 0 <= one <= PPM for one in (found.confidence_ppm, *found.parts_ppm))
        assert type(found.tied) is bool


@every_method
def test_without_votes_there_is_no_answer_and_everything_to_learn(name: str) -> None:
    method = made(name)
    found = method.decide(task_id="t", votes={}, budget=Budget(1, 3))
    assert (found.answer, found.confidence_ppm, found.final) == (None, 0, False)
    assert method.expected_change(votes={}, accuracy_ppm=800_000) == 1.0
    assert method.closing_credits(votes={}) == {}


@every_method
def test_a_task_is_never_final_below_its_fewest_and_always_at_its_most_answers(name: str) -> None:
    method = made(name)
    texts = SAMPLES[name].texts
    for answers in ([texts[0]] * 8, [*texts, *texts, *texts][:8]):
        for count in range(1, 9):
            votes = {f"w{place}": Vote(answer, 989_999) for place, answer in enumerate(answers[:count])}
            for fewest in (1, 3, 9):
                for most in range(fewest, 10, 2):
                    found = method.decide(task_id="t", votes=votes, budget=Budget(fewest, most, 600_000))
                    assert found.final or count < most
                    assert count >= fewest or count >= most or not found.final


@every_method
def test_agreeing_workers_close_a_task_before_its_most_answers(name: str) -> None:
    votes = {f"w{place}": Vote(SAMPLES[name].texts[0], 985_000) for place in range(6)}
    found = made(name).decide(task_id="t", votes=votes, budget=Budget(3, 7, 800_000))
    assert (found.final, found.tied) == (True, False)


@every_method
def test_what_is_stored_is_whole_numbers(name: str) -> None:
    method = made(name)
    cast = credited(method, votes_on(name))
    for vote in cast.values():
        assert all(type(one) is int for one in (vote.accuracy_ppm, vote.credit.hits_ppm, vote.credit.weight_ppm))
        assert canonical_json(json.loads(vote.answer)) == vote.answer
    for credit in method.closing_credits(votes=cast).values():
        assert (type(credit.hits_ppm), type(credit.weight_ppm)) == (int, int)
    known = SkillCounts(11 * PPM + 7, 13 * PPM + 1)
    assert type(method.accuracy_ppm(worker=known, population=known)) is int


@every_method
def test_in_the_end_a_worker_is_credited_alike_in_whatever_order_the_votes_came(name: str) -> None:
    method = made(name)
    totals = []
    for order in orders(votes_on(name)):
        cast = credited(method, order)
        added = method.closing_credits(votes=cast)
        totals.append({worker: vote.credit.plus(added.get(worker, NOTHING_KNOWN)) for worker, vote in cast.items()})
    assert all(total == totals[0] for total in totals)


@every_method
def test_closing_leaves_out_who_is_credited_in_full(name: str) -> None:
    method = made(name)
    cast = credited(method, votes_on(name))
    added = method.closing_credits(votes=cast)
    assert NOTHING_KNOWN not in added.values()
    assert WORKERS[len(cast) - 1] not in added
    full = {
        worker: Vote(vote.answer, vote.accuracy_ppm, vote.credit.plus(added.get(worker, NOTHING_KNOWN)))
        for worker, vote in cast.items()
    }
    assert method.closing_credits(votes=full) == {}


@every_method
def test_an_answer_counts_as_no_more_than_one_or_one_for_each_part(name: str) -> None:
    method = made(name)
    cast = credited(method, votes_on(name))
    most = PPM * MOST_PARTS.get(name, 1)
    assert all(0 <= vote.credit.weight_ppm <= most for vote in cast.values())


@every_method
def test_agreeing_shows_more_skill_than_disagreeing(name: str) -> None:
    method = made(name)
    texts = SAMPLES[name].texts
    others = {f"w{place}": Vote(texts[0], 900_000) for place in range(4)}
    same = method.cast(votes=others, answer=texts[0], accuracy_ppm=700_000).credit
    for text in texts:
        other = method.cast(votes=others, answer=text, accuracy_ppm=700_000).credit
        assert other.hits_ppm * same.weight_ppm <= same.hits_ppm * other.weight_ppm


@every_method
def test_a_control_task_counts_by_its_parts_and_in_full_if_right(name: str) -> None:
    method = made(name)
    texts = SAMPLES[name].texts
    right = method.control_credit(answer=texts[0], gold=texts[0])
    assert right.hits_ppm == right.weight_ppm
    assert PPM <= right.weight_ppm <= PPM * MOST_PARTS.get(name, 1)
    for text in texts:
        found = method.control_credit(answer=text, gold=texts[0])
        assert found.weight_ppm == PPM or name in MOST_PARTS
        assert 0 <= found.hits_ppm <= found.weight_ppm
    assert any(
        found.hits_ppm < found.weight_ppm
        for found in (method.control_credit(answer=text, gold=texts[0]) for text in texts)
    )


@every_method
def test_a_belief_about_a_worker_is_never_certain(name: str) -> None:
    method = made(name)
    if name == "plurality":
        return
    counts = [SkillCounts(hits * PPM, 100 * PPM) for hits in (-500, 0, 60, 100, 900)]
    found = [method.accuracy_ppm(worker=one, population=NOTHING_KNOWN) for one in counts]
    assert found == sorted(found)
    assert 0 < found[0] < found[-1] < PPM


@every_method
def test_how_likely_a_vote_changes_the_answer_is_a_probability(name: str) -> None:
    method = made(name)
    for count in range(len(WORKERS) + 1):
        for accuracy in (60_000, 500_000, 700_000, 989_999):
            assert 0 <= method.expected_change(votes=votes_on(name, count), accuracy_ppm=accuracy) <= 1


@every_method
def test_another_vote_is_worth_less_the_more_agree(name: str) -> None:
    method = made(name)
    text = SAMPLES[name].texts[0]
    found = [
        method.expected_change(votes={f"w{n}": Vote(text, 800_000) for n in range(many)}, accuracy_ppm=800_000)
        for many in (0, 2, 8)
    ]
    assert found[0] >= found[1] >= found[2]
    assert found[2] < 0.2


@every_method
def test_repeated_deliveries_change_nothing(name: str) -> None:
    texts = SAMPLES[name].texts
    once, twice = (Replay(made(name), {"control": texts[0]}, dynamic=True) for _ in range(2))
    for task in ("t1", "t2", "control"):
        for place, worker in enumerate(WORKERS[:5]):
            budget = Budget(2, 20, PPM)
            once.add(task, worker, texts[place % len(texts)], budget)
            for answer in (texts[place % len(texts)], texts[place % len(texts)], texts[0]):
                twice.add(task, worker, answer, budget)
    assert (once.skills, once.population, once.votes) == (twice.skills, twice.population, twice.votes)


@every_method
def test_an_answer_that_does_not_fit_takes_its_seat_and_breaks_nothing(name: str) -> None:
    method = made(name)
    others = votes_on(name, 3)
    for text in UNREADABLE:
        cast = {**others, "odd": method.cast(votes=others, answer=text, accuracy_ppm=700_000)}
        found = method.decide(task_id="t", votes=cast, budget=Budget(1, 4))
        assert (found.final, found.answer is None) == (True, False)
        alone = method.decide(task_id="t", votes={"odd": Vote(text, 700_000)}, budget=Budget(1, 2))
        assert type(alone.final) is bool
        method.closing_credits(votes=cast)
        assert 0 <= method.expected_change(votes=cast, accuracy_ppm=700_000) <= 1
        assert 0 <= method.control_credit(answer=text, gold=SAMPLES[name].texts[0]).hits_ppm <= PPM


@every_method
def test_settings_that_make_no_sense_are_refused(name: str) -> None:
    for settings in SAMPLES[name].nonsense:
        with pytest.raises(ValueError, match=r"."):
            method_of({"method": name, **settings})


@every_method
def test_loading_a_method_loads_the_standard_library_and_nothing_else(name: str) -> None:
    program = (
        "import sys; before = set(sys.modules)\n"
        f"import {METHODS[name].partition(':')[0]}\n"
        "loaded = {module.partition('.')[0] for module in set(sys.modules) - before}\n"
        "print(sorted(loaded - sys.stdlib_module_names - {'smallpeck'}))"
    )
    run = subprocess.run(  # noqa: S603 (our own interpreter and program)
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"
