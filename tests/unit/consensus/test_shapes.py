"""Marked objects of several workers become one list, with how sure it is of each."""

import json
import random
from itertools import permutations
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, SkillCounts, Vote
from smallpeck.consensus.shapes import Shapes, boxes, lines, points, polygons
from smallpeck.kernel.ids import canonical_json

WIDE = Budget(1, 20)
GOOD = 850_000
METHODS = {"boxes": boxes(), "polygons": polygons(), "points": points(), "lines": lines()}


def box(x: float, y: float, width: float = 40, height: float = 80, **more: str) -> dict[str, Any]:
    return {"x": x, "y": y, "width": width, "height": height, **more}


def marked(form: str, x: int, y: int) -> dict[str, Any]:
    """An object of any form about a place."""
    if form == "boxes":
        return box(x, y)
    if form == "points":
        return {"x": x, "y": y}
    if form == "lines":
        return {"points": [[x, y], [x + 50, y + 10], [x + 90, y]]}
    return {"points": [[x, y], [x + 40, y], [x + 40, y + 15], [x + 15, y + 15], [x + 15, y + 40], [x, y + 40]]}


def votes(*answers: list[dict[str, Any]], accuracy: int = GOOD) -> dict[str, Vote]:
    return {f"w{n}": Vote(canonical_json(answer), accuracy) for n, answer in enumerate(answers)}


def decided(method: Shapes, *answers: list[dict[str, Any]], budget: Budget = WIDE) -> Decision:
    return method.decide(task_id="t", votes=votes(*answers), budget=budget)


def objects(decision: Decision) -> list[dict[str, Any]]:
    assert decision.answer is not None
    read: list[dict[str, Any]] = json.loads(decision.answer)
    return read


@pytest.mark.parametrize("form", METHODS)
def test_equal_answers_are_the_result(form: str) -> None:
    answer = [marked(form, 10, 20), marked(form, 300, 40)]
    found = decided(METHODS[form], answer, list(reversed(answer)), answer)
    assert objects(found) == answer
    assert len(found.parts_ppm) == 2
    assert min(found.parts_ppm) > 950_000
    assert found.final


@pytest.mark.parametrize("form", METHODS)
def test_what_one_of_four_marked_is_left_out(form: str) -> None:
    there = [marked(form, 10, 20)]
    found = decided(METHODS[form], there, [*there, marked(form, 500, 20)], there, there)
    assert objects(found) == there


@pytest.mark.parametrize("form", METHODS)
def test_nothing_there_is_an_answer(form: str) -> None:
    found = decided(METHODS[form], [], [], [])
    assert (found.answer, found.parts_ppm) == ("[]", ())
    assert found.confidence_ppm > 950_000


@pytest.mark.parametrize("form", METHODS)
def test_neighbours_are_merged_into_something_between_them(form: str) -> None:
    [found] = objects(decided(METHODS[form], [marked(form, 10, 20)], [marked(form, 14, 20)], [marked(form, 12, 22)]))
    method = METHODS[form]
    [[merged], [first], [second]] = [
        method.read(canonical_json([one])) or () for one in (found, marked(form, 10, 20), marked(form, 14, 20))
    ]
    apart = method.pairs([first], [second], least=0.0)[0][2]
    assert method.pairs([merged], [first], least=0.0)[0][2] > apart
    assert method.pairs([merged], [second], least=0.0)[0][2] > apart


@pytest.mark.parametrize("form", METHODS)
def test_the_order_of_votes_does_not_matter(form: str) -> None:
    draw = random.Random(form)
    answers = {
        f"w{n}": Vote(
            canonical_json(
                [marked(form, at + draw.randrange(9), draw.randrange(9)) for at in (0, 150, 300) if draw.random() < 0.8]
            ),
            700_000 + 40_000 * n,
        )
        for n in range(4)
    }
    found = {
        METHODS[form].decide(task_id="t", votes={name: answers[name] for name in order}, budget=WIDE)
        for order in permutations(answers)
    }
    assert len(found) == 1


answers_of_boxes = st.lists(
    st.builds(box, st.integers(0, 200), st.integers(0, 200), st.integers(1, 90), st.integers(1, 90)), max_size=5
)


@given(st.lists(answers_of_boxes, min_size=1, max_size=4))
@settings(max_examples=50)
def test_no_candidate_has_more_marks_than_workers(answers: list[list[dict[str, Any]]]) -> None:
    method = METHODS["boxes"]
    cast = votes(*answers)
    most = max(len(answer) for answer in answers)
    assert most <= len(method.candidates(cast)) <= sum(len(answer) for answer in answers)
    found = method.decide(task_id="t", votes=cast, budget=WIDE)
    assert len(objects(found)) == len(found.parts_ppm)
    assert method.read(found.answer or "") is not None
    assert all(method.keep_ppm <= part <= PPM for part in found.parts_ppm)
    assert 0 <= found.confidence_ppm <= PPM
    assert 0 <= method.expected_change(votes=cast, accuracy_ppm=GOOD) <= 1


@given(answers_of_boxes, st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_order_of_objects_in_an_answer_does_not_matter(answer: list[dict[str, Any]], draw: random.Random) -> None:
    mixed = draw.sample(answer, len(answer))
    assert decided(METHODS["boxes"], answer, [box(5, 5)]) == decided(METHODS["boxes"], mixed, [box(5, 5)])


def test_two_boxes_of_one_worker_are_two_objects_though_they_overlap() -> None:
    pair = [box(100, 100), box(112, 100)]
    assert len(objects(decided(METHODS["boxes"], pair, pair, [box(106, 100)]))) == 2


def test_a_careful_worker_counts_more_than_a_careless_one() -> None:
    method = METHODS["boxes"]

    def result(good: list[dict[str, Any]], poor: list[dict[str, Any]]) -> Decision:
        cast = {"good": Vote(canonical_json(good), 950_000), "poor": Vote(canonical_json(poor), 550_000)}
        return method.decide(task_id="t", votes=cast, budget=WIDE)

    assert len(objects(result([box(10, 10)], []))) == 1
    assert objects(result([], [box(10, 10)])) == []
    [found] = objects(result([box(10, 10)], [box(20, 10)]))
    assert found["x"] < 15


def test_marks_that_lie_apart_are_less_sure_than_marks_that_fit() -> None:
    sure = Budget(1, 20, 950_000)
    apart = decided(METHODS["boxes"], [box(10, 10)], [box(30, 10)], budget=sure)
    fitting = decided(METHODS["boxes"], [box(10, 10)], [box(12, 10)], budget=sure)
    assert apart.parts_ppm[0] < fitting.parts_ppm[0]
    assert not apart.final
    assert fitting.final


def test_boxes_drawn_with_a_margin_are_drawn_in() -> None:
    tight, loose = box(100, 100, 40, 80), box(90, 90, 60, 100)
    [found] = objects(decided(METHODS["boxes"], [tight], [loose]))
    assert 40 < found["width"] < 50
    assert 80 < found["height"] < 90


def test_an_object_far_off_does_not_move_the_others() -> None:
    fitting = [[box(10 + n, 10)] for n in range(5)]
    [found] = objects(decided(METHODS["boxes"], *fitting, [box(22, 30)]))
    assert 10 <= found["x"] <= 16


def test_labels_are_voted_on_where_the_marks_fit() -> None:
    found = decided(
        METHODS["boxes"], [box(10, 10, label="car")], [box(10, 10, label="car")], [box(11, 10, label="bus")]
    )
    assert [one["label"] for one in objects(found)] == ["car"]
    same = decided(METHODS["boxes"], *[[box(10, 10, label="car")]] * 3)
    assert found.parts_ppm[0] < same.parts_ppm[0]


def test_a_rider_and_the_horse_stay_two_objects() -> None:
    answer = [box(10, 10, label="horse"), box(12, 6, label="rider")]
    assert objects(decided(METHODS["boxes"], answer, answer, answer)) == answer


def test_lines_fit_whichever_way_they_were_drawn() -> None:
    there = marked("lines", 10, 10)
    back = {"points": list(reversed(there["points"]))}
    found = decided(METHODS["lines"], [there], [back], [there])
    assert len(objects(found)) == 1
    assert METHODS["lines"].pairs(
        *[METHODS["lines"].read(canonical_json(x)) or () for x in ([there], objects(found))], least=0.9
    )


def test_points_fit_up_to_the_tolerance() -> None:
    near = [[{"x": 10, "y": 10}], [{"x": 19, "y": 10}], [{"x": 13, "y": 12}]]
    assert len(objects(decided(points(tolerance=10), *near))) == 1
    assert len(METHODS["points"].candidates(votes(*near))) == 1
    assert len(points(tolerance=2).candidates(votes(*near))) == 3


def test_the_corners_of_polygons_are_those_that_most_drew() -> None:
    drawn = [[[0, 0], [100, 0], [100, 100], [0, 100]], [[2, 0], [102, 0], [102, 100], [2, 100]]]
    off = [[0, 0], [100, 0], [100, 40], [0, 40]]
    [found] = objects(decided(METHODS["polygons"], *[[{"points": ring}] for ring in (*drawn, drawn[0], off)]))
    assert found["points"][0] == [pytest.approx(0, abs=2), 0]
    assert found["points"][2] == [pytest.approx(100, abs=2), 100]


@pytest.mark.parametrize(
    "answer",
    [
        "no json", "{}", "[1]", '[{"x":1}]', '[{"x":1,"y":1,"width":-1,"height":2}]',
        '[{"x":true,"y":1,"width":1,"height":2}]', '[{"x":1,"y":1,"width":1,"height":2,"label":3}]',
        '[{"x":1e999,"y":1,"width":1,"height":2}]', '[{"x":NaN,"y":1,"width":1,"height":2}]', "[" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_list_of_boxes_takes_its_seat_and_says_nothing(answer: str) -> None:
    method = METHODS["boxes"]
    good = votes([box(10, 10)], [box(10, 10)])
    with_it = {**good, "odd": method.cast(votes=good, answer=answer, accuracy_ppm=GOOD)}
    assert with_it["odd"].credit == NOTHING_KNOWN
    assert method.decide(task_id="t", votes=with_it, budget=WIDE) == method.decide(task_id="t", votes=good, budget=WIDE)
    assert method.decide(task_id="t", votes=with_it, budget=Budget(1, 3, PPM)).final
    assert method.decide(task_id="t", votes={"odd": with_it["odd"]}, budget=WIDE).answer is None


@pytest.mark.parametrize("points_drawn", [[[0, 0], [1, 1]], [[0, 0], [1, 1], [2, 2]], [[0, 0], [1, 1, 1], [2, 0]]])
def test_a_polygon_has_an_area(points_drawn: list[list[int]]) -> None:
    assert METHODS["polygons"].read(canonical_json([{"points": points_drawn}])) is None


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="none of boxes"):
        Shapes("circles")
    with pytest.raises(ValueError, match="tolerance"):
        points(tolerance=0)
    with pytest.raises(ValueError, match="target_ppm"):
        boxes(target_ppm=0)


def test_agreeing_raises_skill_and_inventing_or_missing_lowers_it() -> None:
    method = METHODS["boxes"]
    others = votes([box(10, 10)], [box(10, 10)], [box(10, 10)])

    def share(answer: list[dict[str, Any]]) -> float:
        credit = method.cast(votes=others, answer=canonical_json(answer), accuracy_ppm=GOOD).credit
        return credit.hits_ppm / credit.weight_ppm

    assert share([box(10, 10)]) > 0.95
    assert share([box(10, 10), box(300, 10)]) < share([box(10, 10)])
    assert share([]) < 0.1
    assert share([box(26, 10)]) < share([box(12, 10)])


def test_closing_brings_every_credit_to_agreement_with_all_others() -> None:
    method = METHODS["boxes"]
    answers = [[box(10, 10)], [box(11, 10)], [box(10, 12), box(300, 10)]]
    cast: dict[str, Vote] = {}
    for number, answer in enumerate(answers):
        cast[f"w{number}"] = method.cast(votes=cast, answer=canonical_json(answer), accuracy_ppm=GOOD)
    changes = method.closing_credits(votes=cast)
    for name, vote in cast.items():
        rest = {other: one for other, one in cast.items() if other != name}
        full = method.agreement(rest, vote.answer)
        assert vote.credit.plus(changes.get(name, NOTHING_KNOWN)) == full


def test_control_tasks_credit_what_was_found_and_how_well_it_lies() -> None:
    method = METHODS["boxes"]
    gold = canonical_json([box(10, 10), box(300, 10)])

    def credit(*answer: dict[str, Any]) -> SkillCounts:
        return method.control_credit(answer=canonical_json(list(answer)), gold=gold)

    assert credit(box(10, 10), box(300, 10)) == SkillCounts(2 * PPM, 2 * PPM)
    assert credit(box(10, 10)) == SkillCounts(PPM, 2 * PPM)
    assert credit(box(10, 10), box(300, 10), box(600, 10)) == SkillCounts(2 * PPM, 3 * PPM)
    assert credit(box(20, 10), box(300, 10)).hits_ppm < 2 * PPM
    assert method.control_credit(answer="[]", gold="[]") == SkillCounts(PPM, PPM)


def test_the_next_answer_changes_most_where_workers_are_of_two_minds() -> None:
    method = METHODS["boxes"]
    split = method.expected_change(votes=votes([box(10, 10)], []), accuracy_ppm=GOOD)
    sure = method.expected_change(votes=votes(*[[box(10, 10)]] * 4), accuracy_ppm=GOOD)
    assert split > 0.3
    assert sure < 0.01
    assert method.expected_change(votes={}, accuracy_ppm=GOOD) == 1


def test_twenty_workers_with_tens_of_objects_are_decided_in_no_time() -> None:
    draw = random.Random(1)
    places = [(draw.randrange(1800), draw.randrange(1000)) for _ in range(20)]
    cast = votes(*[[box(x + draw.randrange(8), y + draw.randrange(8)) for x, y in places] for _ in range(20)])
    METHODS["boxes"].decide(task_id="t", votes=cast, budget=WIDE)
    took = []
    for _ in range(3):
        begun = process_time()
        METHODS["boxes"].decide(task_id="t", votes=cast, budget=WIDE)
        took.append(process_time() - begun)
    assert min(took) < 0.15
