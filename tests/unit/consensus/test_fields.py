"""Data entry: several people read the same form."""

import json
from typing import Any

import pytest

from smallpeck.consensus.fields import Fields
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, SkillCounts, Vote
from smallpeck.kernel.ids import canonical_json

FORM = Fields(
    {
        "phone": {"normaliser": "phone", "region": "DE"},
        "born": {"normaliser": "date", "order": "dmy"},
        "name": {"normaliser": "name"},
    }
)
RIGHT = {"phone": "030 1234567", "born": "4.3.1990", "name": "Ann O\u2019Lee"}
BUDGET = Budget(1, 5)


def votes_of(*answers: Any, accuracy_ppm: int = 850_000) -> dict[str, Vote]:
    return {f"w{number}": Vote(canonical_json(one), accuracy_ppm) for number, one in enumerate(answers)}


def decided(*answers: Any, budget: Budget = BUDGET) -> Decision:
    return FORM.decide(task_id="t", votes=votes_of(*answers), budget=budget)


def values(decision: Decision) -> Any:
    return json.loads(decision.answer or "null")


def test_different_spellings_of_the_same_values_agree() -> None:
    found = decided(RIGHT, {"phone": "+49 30 1234567", "born": "1990-03-04", "name": "ANN O'LEE"}, RIGHT)
    assert values(found) == {"phone": "+49301234567", "born": "1990-03-04", "name": "Ann O\u2019Lee"}
    assert found.final


def test_each_field_is_decided_on_its_own() -> None:
    found = decided(
        {**RIGHT, "born": "5.3.1990"}, {**RIGHT, "phone": "030 1234568"}, {**RIGHT, "name": "Anne Olee"}, RIGHT
    )
    assert values(found) == {"phone": "+49301234567", "born": "1990-03-04", "name": "Ann O\u2019Lee"}
    product = float(PPM)
    for part in found.parts_ppm:
        product = product * part / PPM
    assert found.confidence_ppm == pytest.approx(product, abs=1)
    assert len(found.parts_ppm) == 3


def test_one_field_in_dispute_keeps_the_task_open_and_its_part_low() -> None:
    found = decided(RIGHT, {**RIGHT, "born": "5.3.1990"}, budget=Budget(1, 7))
    assert not found.final
    assert found.tied
    assert found.parts_ppm[0] == min(found.parts_ppm)


def test_agreement_makes_surer() -> None:
    sure = [decided(*[RIGHT] * many).confidence_ppm for many in range(1, 5)]
    assert sure == sorted(sure)
    assert len(set(sure)) == len(sure)


def test_cannot_tell_is_an_answer() -> None:
    unreadable = {"phone": None, "name": " ", "born": "4.3.1990"}
    found = decided(unreadable, {"born": "4.3.1990"}, RIGHT)
    assert values(found) == {"phone": None, "name": None, "born": "1990-03-04"}


def test_numbers_and_truth_values_may_be_typed_as_such() -> None:
    form = Fields({"paid": {"normaliser": "boolean"}, "total": {"normaliser": "number", "decimal": "."}})
    votes = votes_of({"paid": True, "total": 12.5}, {"paid": "yes", "total": "12.50"})
    found = form.decide(task_id="t", votes=votes, budget=BUDGET)
    assert values(found) == {"paid": "true", "total": "12.5"}


def test_what_is_no_object_takes_its_seat_and_says_nothing() -> None:
    assert decided("nonsense", [1]) == Decision(None, 0, tied=False, final=False)
    assert decided("nonsense", budget=Budget(1, 1)).final
    assert values(decided(RIGHT, "nonsense")) == values(decided(RIGHT))
    broken = {"w": Vote("{", 1)}
    assert FORM.decide(task_id="t", votes=broken, budget=BUDGET).answer is None


def test_who_agrees_gains_skill_and_who_does_not_loses_it() -> None:
    votes = votes_of(RIGHT, RIGHT, RIGHT)
    good = FORM.cast(votes=votes, answer=canonical_json(RIGHT), accuracy_ppm=750_000).credit
    bad = FORM.cast(votes=votes, answer=canonical_json({"name": "x"}), accuracy_ppm=750_000).credit
    assert good.hits_ppm > 0 > bad.hits_ppm
    known = [FORM.accuracy_ppm(worker=one, population=NOTHING_KNOWN) for one in (bad, NOTHING_KNOWN, good)]
    assert known == sorted(known)


def test_control_tasks_count_the_fields_that_are_known() -> None:
    gold = canonical_json({"phone": "+49301234567", "born": "1990-03-04"})
    assert FORM.control_credit(answer=canonical_json({**RIGHT, "born": None}), gold=gold) == SkillCounts(PPM, 2 * PPM)
    assert FORM.control_credit(answer="7", gold=gold) == SkillCounts(0, 2 * PPM)


def test_closing_tops_up_what_was_credited_when_the_votes_came() -> None:
    votes: dict[str, Vote] = {}
    for number, one in enumerate((RIGHT, {**RIGHT, "born": "1.1.1990"}, RIGHT)):
        votes[f"w{number}"] = FORM.cast(votes=votes, answer=canonical_json(one), accuracy_ppm=750_000)
    changes = FORM.closing_credits(votes=votes)
    bare = {name: Vote(vote.answer, vote.accuracy_ppm) for name, vote in votes.items()}
    full = FORM.closing_credits(votes=bare)
    assert {name: votes[name].credit.plus(changes.get(name, NOTHING_KNOWN)) for name in votes} == full


def test_the_order_of_votes_says_nothing() -> None:
    votes = votes_of(RIGHT, {**RIGHT, "name": "ANN O'LEE"}, {**RIGHT, "born": "1"}, {"phone": "110"})
    turned = dict(reversed(votes.items()))
    assert FORM.decide(task_id="t", votes=votes, budget=BUDGET) == FORM.decide(task_id="t", votes=turned, budget=BUDGET)
    assert FORM.closing_credits(votes=votes) == FORM.closing_credits(votes=turned)


def test_the_next_answer_is_wanted_most_where_doubt_is_greatest() -> None:
    agreed = FORM.expected_change(votes=votes_of(RIGHT, RIGHT, RIGHT), accuracy_ppm=850_000)
    apart = FORM.expected_change(votes=votes_of(RIGHT, {**RIGHT, "born": "5.3.1990"}), accuracy_ppm=850_000)
    assert FORM.expected_change(votes={}, accuracy_ppm=850_000) == 1
    assert agreed < apart <= 1


@pytest.mark.parametrize("fields", [{}, [], {"a": "phone"}, {"a": {"normaliser": "nobody"}}])
def test_forms_that_make_no_sense_are_refused(fields: Any) -> None:
    with pytest.raises(ValueError):
        Fields(fields)
