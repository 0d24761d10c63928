"""The online step and what is built on it: an answer taken, a batch replayed, all votes of a batch weighed anew."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from smallpeck.consensus.calibration import NO_CONTROLS, TemperatureCounts
from smallpeck.consensus.choice import Choice
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Method, SkillCounts, Vote, method_of
from smallpeck.consensus.online import Knowledge, control_lesson, control_step, refreshed, step
from smallpeck.consensus.plurality import Plurality
from smallpeck.consensus.replaying import Replay
from smallpeck.consensus.reweighing import reweighed

METHOD = Choice(options=2)
BUDGET = Budget(1, 4)
GOOD = SkillCounts(90 * PPM, 100 * PPM)
NOBODY = Knowledge({})


def test_a_new_answer_joins_the_votes_and_they_are_decided_on() -> None:
    votes = {"a": Vote("x", 700_000)}
    taken = step(
        method=METHOD, task_id="t", votes=votes, worker="b", answer="y", known=Knowledge({"b": GOOD}), budget=BUDGET
    )
    assert taken.votes["a"] == votes["a"]
    assert taken.votes["b"].answer == "y"
    assert taken.votes["b"].accuracy_ppm > 800_000
    assert taken.decision == METHOD.decide(task_id="t", votes=taken.votes, budget=BUDGET)
    assert taken.decision.answer == "y"
    assert votes == {"a": Vote("x", 700_000)}


def test_a_new_vote_is_credited_by_what_the_earlier_ones_say_now() -> None:
    votes = {"a": Vote("x", 700_000)}
    known = Knowledge({"a": GOOD})
    taken = step(method=METHOD, task_id="t", votes=votes, worker="b", answer="x", known=known, budget=BUDGET)
    assert taken.votes["b"].credit == METHOD.agreement(votes={"a": taken.votes["a"]}, answer="x")
    assert taken.votes["b"].credit != METHOD.agreement(votes=votes, answer="x")


def test_votes_take_up_what_is_known_by_now_and_keep_their_credit() -> None:
    mine = {name: Vote(name, 800_000, SkillCounts(1, 2)) for name in "ab"}
    found = refreshed(votes=mine, known=Knowledge({"a": GOOD}), method=METHOD)
    assert found["a"].accuracy_ppm > mine["a"].accuracy_ppm
    assert found["b"] == mine["b"]
    assert found["a"].credit == mine["a"].credit


def test_a_control_task_credits_in_full_whatever_the_others_said() -> None:
    votes = {"a": Vote("x", 700_000)}
    after = control_step(method=METHOD, votes=votes, worker="b", answer="y", gold="y", known=NOBODY)
    assert after["b"].credit == SkillCounts(PPM, PPM)
    assert control_step(method=METHOD, votes=after, worker="c", answer="x", gold="y", known=NOBODY)[
        "c"
    ].credit == SkillCounts(0, PPM)


def taught(right: str, *, rounds: int = 30) -> Replay:
    """Six workers who all say "x" to one control task after the other, whose known answers `right` repeats."""
    batch = Replay(METHOD, {str(n): right[n % len(right)] for n in range(rounds)}, dynamic=True)
    for n in range(rounds):
        for worker in "abcdef":
            batch.add(str(n), worker, "x", Budget(1, 6))
    return batch


def test_control_tasks_teach_how_far_votes_that_agree_can_be_believed() -> None:
    often_wrong_together, right = taught("xxxy"), taught("x")
    skills = {"a": GOOD}
    bare = Knowledge(skills).accuracy_ppm("a", METHOD)
    doubted = Knowledge(skills, calibration=often_wrong_together.calibration).accuracy_ppm("a", METHOD)
    trusted = Knowledge(skills, calibration=right.calibration).accuracy_ppm("a", METHOD)
    assert 500_000 < doubted < bare < trusted < PPM


def test_a_few_control_tasks_move_belief_little() -> None:
    few, many = taught("xxxy", rounds=4), taught("xxxy", rounds=80)
    skills = {"a": GOOD}
    bare, little, much = (
        Knowledge(skills, calibration=seen).accuracy_ppm("a", METHOD)
        for seen in (NO_CONTROLS, few.calibration, many.calibration)
    )
    assert bare - little < (bare - much) / 2


def test_the_calibrated_accuracy_is_what_stands_on_the_vote() -> None:
    known = Knowledge({"b": GOOD}, calibration=taught("xxxy").calibration)
    taken = step(method=METHOD, task_id="t", votes={}, worker="b", answer="x", known=known, budget=BUDGET)
    assert taken.votes["b"].accuracy_ppm == known.accuracy_ppm("b", METHOD)
    assert taken.decision == METHOD.decide(task_id="t", votes=taken.votes, budget=BUDGET)


def test_calibration_is_a_few_whole_numbers_that_add_up() -> None:
    counts = taught("xy").calibration
    assert len(counts.loss_micros) + 1 <= 20
    assert all(isinstance(loss, int) for loss in counts.loss_micros)
    assert counts.plus(NO_CONTROLS) == counts


def test_only_the_first_votes_on_a_control_task_teach_and_only_methods_with_beliefs_learn() -> None:
    def lesson(method: Method, workers: str) -> TemperatureCounts:
        votes = {worker: Vote("x", 750_000) for worker in workers}
        return control_lesson(method=method, votes=votes, worker=workers[-1], gold="x", known=NOBODY)

    assert lesson(METHOD, "abcdefgh").tasks == 1
    assert lesson(METHOD, "abcdefghi") == NO_CONTROLS
    assert lesson(Plurality(), "ab") == NO_CONTROLS


def test_what_a_control_task_said_of_its_workers_does_not_count_as_evidence_on_it() -> None:
    credited = {worker: Vote("x", 750_000, SkillCounts(PPM, PPM)) for worker in "ab"}
    known = Knowledge({worker: SkillCounts(PPM, PPM) for worker in "ab"})
    plain = {worker: Vote("x", 750_000) for worker in "ab"}
    without = Knowledge({"a": NOTHING_KNOWN, "b": SkillCounts(PPM, PPM)})
    assert control_lesson(method=METHOD, votes=credited, worker="b", gold="x", known=known) == control_lesson(
        method=METHOD, votes=plain, worker="b", gold="x", known=without
    )


Row = tuple[str, str, str]
ROWS: Sequence[Row] = [(task, worker, "x") for task in "pq" for worker in "abcd"]


def replayed(rows: Sequence[Row], *, controls: Sequence[str] = (), dynamic: bool = True) -> tuple[Replay, list[bool]]:
    made = Replay(METHOD, dict.fromkeys(controls, "x"), dynamic)
    return made, [made.add(task, worker, answer, BUDGET) for task, worker, answer in rows]


def test_a_batch_learns_from_every_vote_and_once_more_when_a_task_closes() -> None:
    batch, closed = replayed([("p", "a", "x"), ("p", "b", "x")])
    assert closed == [False, True]
    votes = batch.votes["p"]
    for worker, vote in votes.items():
        rest = {name: other for name, other in votes.items() if name != worker}
        assert batch.skills[worker] == METHOD.agreement(votes=rest, answer=vote.answer)


def test_what_all_workers_showed_is_the_sum_of_what_each_did() -> None:
    batch, _ = replayed([*ROWS, ("r", "a", "y"), ("r", "b", "x")], controls="p")
    total = NOTHING_KNOWN
    for counts in batch.skills.values():
        total = total.plus(counts)
    assert batch.population == total


def test_an_answer_that_comes_twice_changes_nothing() -> None:
    once, _ = replayed(ROWS, dynamic=False)
    twice, _ = replayed([row for row in ROWS for _ in range(2)], dynamic=False)
    assert once == twice


def test_no_task_closes_early_where_all_answers_are_wanted_nor_a_control_task_ever() -> None:
    assert not any(replayed(ROWS, dynamic=False)[1])
    assert not any(replayed(ROWS, controls="pq")[1])


def test_control_tasks_teach_skill_before_anything_agrees() -> None:
    rows = [
        (str(n), worker, "x" if worker == "good" or n % 2 else "y") for n in range(30) for worker in ("good", "poor")
    ]
    batch, _ = replayed(rows, controls=[str(n) for n in range(30)])
    assert batch.skills["good"].hits_ppm == 2 * batch.skills["poor"].hits_ppm


def cast_all(answers: dict[str, str]) -> dict[str, dict[str, Vote]]:
    """Answers by task, one letter for each of the workers a, b, c..."""
    return {
        task: {worker: Vote(answer, 750_000) for worker, answer in zip("abcdefg", given, strict=False)}
        for task, given in answers.items()
    }


def test_weighing_anew_sees_through_the_worker_who_disagrees_with_all() -> None:
    tasks = cast_all({f"t{n}": "xxxy" if n % 2 else "yyyx" for n in range(20)} | {"last": "x"})
    tasks["last"] = {"a": Vote("x", 750_000), "d": Vote("y", 750_000)}
    decisions, skills = reweighed(method=METHOD, tasks=tasks, controls={}, skills={})
    assert decisions["last"].answer == "x"
    assert METHOD.accuracy_ppm(worker=skills["d"], population=NOTHING_KNOWN) < 500_000
    assert decisions["last"].final


def test_weighing_anew_leaves_control_tasks_out_and_believes_their_answers() -> None:
    tasks = cast_all({f"t{n}": "xy" for n in range(20)} | {"open": "xy", "empty": ""})
    right_a, _ = reweighed(method=METHOD, tasks=tasks, controls={f"t{n}": "x" for n in range(20)}, skills={})
    right_b, _ = reweighed(method=METHOD, tasks=tasks, controls={f"t{n}": "y" for n in range(20)}, skills={})
    assert set(right_a) == {"open"}
    assert (right_a["open"].answer, right_b["open"].answer) == ("x", "y")


def test_weighing_anew_does_not_depend_on_the_order_of_tasks_or_votes() -> None:
    tasks = cast_all({f"t{n}": "xxyxy"[n % 5 :] + "xyx" for n in range(12)})
    turned = {task: dict(reversed(votes.items())) for task, votes in reversed(tasks.items())}
    first = reweighed(method=METHOD, tasks=tasks, controls={}, skills={})
    assert first == reweighed(method=METHOD, tasks=turned, controls={}, skills={})


def test_weighing_anew_ignores_what_was_credited_online() -> None:
    tasks = cast_all({"t": "xxy"})
    credited = {"t": {worker: replace(vote, credit=GOOD) for worker, vote in tasks["t"].items()}}
    plain = reweighed(method=METHOD, tasks=tasks, controls={}, skills={})
    assert plain == reweighed(method=METHOD, tasks=credited, controls={}, skills={})


def test_a_batch_names_its_method() -> None:
    assert isinstance(method_of({"method": "plurality"}), Plurality)
    assert method_of({"method": "choice", "options": 3}) == Choice(options=3)
    with pytest.raises(KeyError):
        method_of({"method": "oracle"})
