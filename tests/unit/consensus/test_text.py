"""Transcripts: several people write down what they heard."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, SkillCounts, Vote
from smallpeck.consensus.text import Text
from smallpeck.consensus.text_kind import TextAnswer, TextKind
from smallpeck.kernel.ids import canonical_json

TEXT = Text()
BUDGET = Budget(1, 7)
SAID = "he wanted to pinch him push him do anything but kiss him a thing everybody did"


def votes_of(*texts: str, accuracy_ppm: int = 700_000) -> dict[str, Vote]:
    return {f"w{number}": Vote(canonical_json(text), accuracy_ppm) for number, text in enumerate(texts)}


def decided(*texts: str, budget: Budget = BUDGET, accuracy_ppm: int = 700_000) -> Decision:
    return TEXT.decide(task_id="t", votes=votes_of(*texts, accuracy_ppm=accuracy_ppm), budget=budget)


def test_who_agrees_makes_the_text_surer_each_time() -> None:
    found = [decided(*[SAID] * many) for many in range(1, 5)]
    assert {one.answer for one in found} == {canonical_json(SAID)}
    sure = [one.confidence_ppm for one in found]
    assert sure == sorted(sure)
    assert len(set(sure)) == len(sure)
    assert len(found[0].parts_ppm) == len(SAID.split())


def test_two_who_agree_are_enough_and_one_is_not() -> None:
    assert not decided(SAID).final
    assert decided(SAID, SAID).final
    assert not decided(SAID, SAID, budget=Budget(3, 7)).final
    assert decided(SAID, budget=Budget(1, 1)).final


def test_a_text_that_two_heard_differently_asks_for_another_answer() -> None:
    assert not decided(SAID, "you want to push up do anything but kiss a thing every").final


def test_a_target_holds_where_one_is_named() -> None:
    assert not decided(SAID, SAID, budget=Budget(1, 7, 999_999)).final
    assert decided(SAID, "he wanted to pinch her", budget=Budget(1, 7, 200_000)).final


def test_each_is_wrong_somewhere_and_together_they_are_right() -> None:
    found = decided(
        "He wanted to pinch him, push him, do anything but kiss him I think everybody did.",
        "he wants to pinch him push him do anything but kiss him a thing everybody did",
        "he wanted to pinch him push him do everything but kis him a thing everybody did",
    )
    assert found.answer == canonical_json(SAID)


@pytest.mark.parametrize(
    "garbage", ["asdf qwer", "", "the audio can not be heard at all please send me another one", "x " * 60]
)
def test_one_who_writes_garbage_among_three_changes_nothing(garbage: str) -> None:
    good = (SAID, SAID.replace("pinch", "punch"), SAID.replace("kiss", "kis"))
    assert decided(*good, garbage).answer == decided(*good).answer


def test_who_left_out_the_end_does_not_outvote_who_heard_it() -> None:
    first = " ".join(SAID.split()[:8])
    assert decided(SAID, first).answer == canonical_json(SAID)


def test_a_worker_who_is_known_to_be_good_counts_for_more() -> None:
    votes = votes_of("the weather was fine", "the feather was fine")
    for better, word in (("w0", "weather"), ("w1", "feather")):
        known = {**votes, better: Vote(votes[better].answer, 950_000)}
        assert word in str(TEXT.decide(task_id="t", votes=known, budget=BUDGET).answer)


def test_nothing_said_is_an_answer() -> None:
    found = decided("", "[inaudible]", "")
    assert found.answer == canonical_json("")
    assert found.confidence_ppm > 900_000
    assert found.parts_ppm == ()
    assert decided(budget=BUDGET) == Decision(None, 0, tied=False, final=False)


def test_what_is_no_text_takes_its_seat_and_says_nothing() -> None:
    broken = {"bad": Vote("[1", 700_000), "worse": Vote("7", 700_000)}
    assert TEXT.decide(task_id="t", votes=broken, budget=Budget(1, 2)).final
    assert TEXT.decide(task_id="t", votes={**votes_of(SAID), **broken}, budget=BUDGET).answer == canonical_json(SAID)
    assert TEXT.cast(votes=votes_of(SAID), answer="7", accuracy_ppm=1).credit == NOTHING_KNOWN


def test_a_text_in_a_field_comes_out_in_it() -> None:
    votes = {name: Vote(canonical_json({"said": "Good day."}), 700_000) for name in "ab"}
    assert Text(key="said").decide(task_id="t", votes=votes, budget=BUDGET).answer == canonical_json(
        {"said": "good day"}
    )


def test_settings_that_make_no_sense_are_refused() -> None:
    for settings_ in ({"key": ""}, {"key": 7}, {"worth_words": 0}):
        with pytest.raises(ValueError):
            Text(**settings_)


def test_chinese_is_merged_by_character() -> None:
    assert decided("我今天去北京", "我今天去北平", "我今天去北京。").answer == canonical_json("我今天去北京")


def test_skill_is_the_share_of_words_that_the_others_have_too() -> None:
    votes = votes_of(SAID, SAID, SAID)
    good = TEXT.cast(votes=votes, answer=canonical_json(SAID), accuracy_ppm=700_000).credit
    bad = TEXT.cast(votes=votes, answer=canonical_json("no idea what this was"), accuracy_ppm=700_000).credit
    assert good.hits_ppm / good.weight_ppm > 0.95
    assert bad.hits_ppm / bad.weight_ppm < 0.1
    knows = [TEXT.accuracy_ppm(worker=one, population=NOTHING_KNOWN) for one in (bad, NOTHING_KNOWN, good)]
    assert knows == sorted(knows)
    assert TEXT.accuracy_ppm(worker=SkillCounts(-PPM * 500, PPM * 500), population=NOTHING_KNOWN) > 0


def test_control_tasks_count_words() -> None:
    right = TEXT.control_credit(answer=canonical_json("the cat sat"), gold=canonical_json("The cat sat down."))
    assert right == SkillCounts(3 * PPM, 4 * PPM)
    assert TEXT.control_credit(answer="{}", gold=canonical_json("two words")) == SkillCounts(0, 2 * PPM)


def test_closing_tops_up_what_was_credited_when_the_votes_came() -> None:
    votes: dict[str, Vote] = {}
    for number, text in enumerate((SAID, SAID.replace("pinch", "punch"), SAID)):
        votes[f"w{number}"] = TEXT.cast(votes=votes, answer=canonical_json(text), accuracy_ppm=700_000)
    changes = TEXT.closing_credits(votes=votes)
    bare = {name: Vote(vote.answer, vote.accuracy_ppm) for name, vote in votes.items()}
    full = TEXT.closing_credits(votes=bare)
    assert {name: votes[name].credit.plus(changes.get(name, NOTHING_KNOWN)) for name in votes} == full


def test_the_next_answer_is_wanted_most_where_doubt_is_greatest() -> None:
    assert TEXT.expected_change(votes={}, accuracy_ppm=700_000) == 1.0
    agreed = TEXT.expected_change(votes=votes_of(SAID, SAID), accuracy_ppm=700_000)
    apart = TEXT.expected_change(votes=votes_of(SAID, "something else was said"), accuracy_ppm=700_000)
    assert 0 <= agreed < 0.1 < apart <= 1


TEXTS = st.lists(
    st.lists(st.sampled_from(["he", "she", "wanted", "want", "to", "pinch", "him", "push", "我"]), max_size=7).map(
        " ".join
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_votes_says_nothing(texts: Sequence[str], draw: random.Random) -> None:
    votes = {
        f"w{number}": Vote(canonical_json(text), draw.randrange(100_000, 950_000)) for number, text in enumerate(texts)
    }
    order = list(votes)
    draw.shuffle(order)
    other = {name: votes[name] for name in order}
    assert TEXT.decide(task_id="t", votes=votes, budget=BUDGET) == TEXT.decide(task_id="t", votes=other, budget=BUDGET)
    assert TEXT.closing_credits(votes=votes) == TEXT.closing_credits(votes=other)
    found = TEXT.decide(task_id="t", votes=votes, budget=BUDGET)
    assert all(0 <= part <= PPM for part in (*found.parts_ppm, found.confidence_ppm))


def test_errors_are_counted_in_words_after_the_normal_form() -> None:
    kind = TextKind()
    answers = {"a": TextAnswer("the cat sat", 0.9, (0.9, 0.8, 0.7))}
    assert kind.score(answers, {"a": "The cat sat.", "b": "two words"}) == {"wer": pytest.approx(2 / 5)}
    assert kind.rightness(answers["a"], "the bat sat") == [(0.9, 1.0), (0.8, 0.0), (0.7, 1.0)]
