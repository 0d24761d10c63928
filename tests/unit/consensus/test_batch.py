"""A whole batch estimated again: the same however it is cut and ordered, and honest about what is known of workers."""

import json
import random
from collections.abc import Mapping, Sequence

import pytest

from smallpeck.consensus import choice_batch, reweighing
from smallpeck.consensus.batch import (
    NOBODY,
    Answered,
    Tally,
    Way,
    answered,
    believed,
    decided,
    evidence,
    known_from,
    reestimated,
    tallied,
    together,
    usual_of,
    way_of,
)
from smallpeck.consensus.choice import Choice
from smallpeck.consensus.choice_batch import chosen, learnt_temperature, modelled, packed
from smallpeck.consensus.choice_kind import reestimated as replayed
from smallpeck.consensus.evaluate import Label
from smallpeck.consensus.method import PPM, Decision, Method, SkillCounts, Vote, method_of
from smallpeck.consensus.plurality import Plurality
from smallpeck.tasks.reporting import interval

OPTIONS = ("bird", "cat", "dog", "fish")
MULTIPLE = method_of({"method": "multiple", "options": list(OPTIONS)})
CHOICE = Choice(options=len(OPTIONS))


def made(
    tasks: int, *, seed: int = 1, workers: int = 30, per_task: int = 5, controls: int = 0, least: float = 0.35
) -> tuple[list[Answered], dict[str, str], dict[str, float]]:
    """Tasks with answers of workers who are right as often as their skill says; the truths, and the skills."""
    draw = random.Random(seed)
    skills = {f"w{number:02d}": draw.uniform(least, 0.97) for number in range(workers)}
    truths, found = {}, []
    for number in range(tasks):
        truth = draw.choice(OPTIONS)
        answers = {}
        for worker in draw.sample(sorted(skills), per_task):
            wrong = [one for one in OPTIONS if one != truth]
            answers[worker] = json.dumps(truth if draw.random() < skills[worker] else draw.choice(wrong))
        truths[f"t{number}"] = truth
        found.append(Answered(f"t{number}", answers, json.dumps(truth) if number < controls else None, number, 7))
    return found, truths, skills


def sets(tasks: Sequence[Answered]) -> list[Answered]:
    """The same answers as sets of one option."""
    return [
        Answered(
            task.task_id, {worker: f"[{one}]" for worker, one in task.answers.items()}, task.gold and f"[{task.gold}]"
        )
        for task in tasks
    ]


def in_steps(
    method: Method, chunks: Sequence[Sequence[Answered]], skills: Mapping[str, SkillCounts]
) -> dict[str, Decision]:
    """The decisions by the steps that are made on many machines, every value having gone through JSON on its way."""
    rows = [json.loads(json.dumps([task.row for task in chunk])) for chunk in chunks]
    numbers = packed(map(answered, some) for some in rows) if way_of(method) is Way.MODELS else None
    model = None if numbers is None else modelled(numbers, learnt_temperature(numbers))
    found: dict[str, Decision] = {}
    for _ in range(0 if model is not None else reweighing.ROUNDS):
        parts = [tallied(method=method, chunk=map(answered, some), known=known_from(skills)) for some in reversed(rows)]
        told = [json.loads(json.dumps({worker: one.row for worker, one in part.items()})) for part in parts]
        total = together({worker: Tally(*row) for worker, row in part.items()} for part in told)
        skills = {worker: one.skill for worker, one in total.items()}
    for number, some in enumerate(rows):
        leanings = None if model is None else list(model.leanings(number))
        told_of = decided(
            method=method,
            chunk=map(answered, some),
            known=NOBODY if model is not None else known_from(skills),
            leanings=leanings,
            options=() if model is None else model.options,
        )
        found |= {task.task_id: decision for task, decision in told_of}
    return found


def cut(tasks: Sequence[Answered], size: int) -> list[Sequence[Answered]]:
    return [tasks[start : start + size] for start in range(0, len(tasks), size)]


@pytest.mark.parametrize("controls", [0, 25])
def test_choices_are_decided_as_evaluate_decides_them(controls: int) -> None:
    tasks, truths, _ = made(250, controls=controls)
    labels = [Label(task.task_id, name, json.loads(one)) for task in tasks for name, one in task.answers.items()]
    expected = replayed(labels, OPTIONS, {f"t{number}": truths[f"t{number}"] for number in range(controls)})
    found = reestimated(method=CHOICE, tasks=tasks, skills={}).decisions
    assert found.keys() == expected.keys()
    for task, decision in found.items():
        assert decision.answer == json.dumps(expected[task].value)
        assert decision.confidence_ppm == pytest.approx(expected[task].confidence * PPM, abs=0.6)


def test_other_methods_are_decided_as_the_reweighing_decides_them() -> None:
    tasks = sets(made(80, controls=8)[0])
    before = {f"w{number:02d}": SkillCounts(3 * PPM, 4 * PPM) for number in range(0, 30, 2)}
    votes = {task.task_id: {name: Vote(one, 0) for name, one in task.answers.items()} for task in tasks}
    controls = {task.task_id: task.gold for task in tasks if task.gold is not None}
    expected, skills = reweighing.reweighed(method=MULTIPLE, tasks=votes, controls=controls, skills=before)
    found = reestimated(method=MULTIPLE, tasks=tasks, skills=before)
    assert found.decisions == expected
    assert found.skills.keys() == skills.keys()


@pytest.mark.parametrize("method", [CHOICE, MULTIPLE], ids=["choice", "multiple"])
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_batch_is_decided_alike_however_it_is_cut_and_in_whatever_order(
    method: Method, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = made(60, controls=5)[0]
    tasks = sets(tasks) if method is MULTIPLE else tasks
    whole = reestimated(method=method, tasks=tasks, skills={}).decisions
    mixed = [Answered(one.task_id, dict(reversed(list(one.answers.items()))), one.gold) for one in tasks]
    random.Random(size).shuffle(mixed)
    monkeypatch.setattr(choice_batch, "CHUNK_ANSWERS", 40)
    found = in_steps(method, cut(mixed, size), {})
    assert found.keys() == whole.keys()
    for task, decision in found.items():
        assert decision.answer == whole[task].answer
        assert decision.confidence_ppm == pytest.approx(whole[task].confidence_ppm, abs=1)


def test_chunks_without_answers_are_none() -> None:
    assert in_steps(CHOICE, [[], made(3)[0], []], {}).keys() == {"t0", "t1", "t2"}
    assert reestimated(method=CHOICE, tasks=[Answered("t", {})], skills={}).decisions == {}
    assert packed([[], []]) is None


def test_what_everybody_says_is_not_certain_where_few_said_it() -> None:
    found = reestimated(method=CHOICE, tasks=[Answered("t", {"ann": '"cat"', "bob": '"cat"'})], skills={}).decisions
    assert found["t"].answer == '"cat"'
    assert PPM // 2 < found["t"].confidence_ppm < PPM


def test_a_tie_falls_the_same_way_for_everybody_and_is_told() -> None:
    sides = {chosen(f"t{number}", {"a": "x", "b": "y"}, ((0, 1), 500_000), ("x", "y")) for number in range(20)}
    assert {(one.answer, one.tied) for one in sides} == {("x", True), ("y", True)}
    assert chosen("t", {"a": "x", "b": "y", "c": "y"}, ((0, 1), 400_000), ("x", "y")).answer == "y"
    found = reestimated(method=CHOICE, tasks=[Answered("t", {"ann": '"cat"', "bob": '"dog"'})], skills={}).decisions
    assert found["t"].tied


def test_models_that_would_not_fit_leave_the_batch_to_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, truths, _ = made(200)
    monkeypatch.setattr(choice_batch, "MOST_CELLS", 30 * len(OPTIONS) ** 2 - 1)
    assert packed([tasks]) is None
    found = reestimated(method=CHOICE, tasks=tasks, skills={}).decisions
    assert found == in_steps(CHOICE, cut(tasks, 33), {})
    assert sum(json.loads(found[task].answer or "") == truth for task, truth in truths.items()) > 0.85 * len(truths)


def test_where_everybody_is_trusted_alike_there_is_nothing_to_estimate() -> None:
    assert [way_of(one) for one in (Plurality(), CHOICE, MULTIPLE)] == [Way.NONE, Way.MODELS, Way.COUNTS]


def test_what_is_known_of_control_tasks_outweighs_what_is_said() -> None:
    tasks, truths, _ = made(60, controls=20)
    found = reestimated(method=CHOICE, tasks=tasks, skills={})
    assert found.decisions.keys() == truths.keys() - {f"t{number}" for number in range(20)}
    wrong = [Answered(one.task_id, one.answers, one.gold and json.dumps("bird")) for one in tasks]
    misled = reestimated(method=CHOICE, tasks=wrong, skills={})
    assert usual_of(misled.skills) < usual_of(found.skills) - 0.1


@pytest.mark.parametrize(("per_task", "tasks"), [(3, 60), (3, 300), (5, 1_000)])
def test_nine_in_ten_workers_are_as_good_as_the_bounds_say(per_task: int, tasks: int) -> None:
    within, off = [], []
    for seed in range(5):
        answers, _, truth = made(tasks, seed=seed, per_task=per_task)
        skills = reestimated(method=CHOICE, tasks=answers, skills={}).skills
        for worker, known in skills.items():
            share, many = believed(known, usual_of(skills))
            low, high = interval(share, many, level=0.9)
            within.append(low <= truth[worker] <= high)
            off.append(share - truth[worker])
    assert 0.8 <= sum(within) / len(within) <= 0.98
    assert abs(sum(off) / len(off)) < 0.03


def test_doubtful_answers_count_for_less_than_plain_ones() -> None:
    plain = Tally(10, 8 * PPM, 10 * PPM, 8 * PPM**2, 8 * PPM**2, 10 * PPM**2)
    assert plain.evidence(0.8).weight_ppm == 10 * PPM
    doubtful = Tally(10, 4 * PPM, 5 * PPM, 5 * PPM**2, 3 * PPM**2, 3 * PPM**2)
    known = doubtful.evidence(0.8)
    assert known.hits_ppm / known.weight_ppm == pytest.approx(0.8, abs=1e-5)
    assert known.weight_ppm < 5 * PPM
    assert Tally(3, 0, 0).evidence(0.8) == SkillCounts()
    assert evidence({}) == {}


def test_a_worker_of_whom_nothing_is_known_is_as_good_as_all_others() -> None:
    assert believed(SkillCounts(), 0.7) == pytest.approx((0.7, 4.0))
    assert believed(SkillCounts(16 * PPM, 16 * PPM), 0.5) == pytest.approx((0.9, 20.0))
    assert usual_of({}) == 0.5
