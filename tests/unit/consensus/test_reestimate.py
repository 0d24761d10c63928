"""The batch step: chunks add up, models do what they say. Needs numpy, which the online step does not."""

import random

import pytest

from smallpeck.consensus import reestimate
from smallpeck.consensus.choice_kind import reestimated
from smallpeck.consensus.evaluate import Label
from tests.quality.chunks import chunked


def batch(tasks: int = 300, *, seed: int = 1) -> tuple[list[Label], dict[str, str]]:
    """Three good workers, four who answer at random."""
    draw = random.Random(seed)
    gold = {str(n): draw.choice("xyz") for n in range(tasks)}
    labels = []
    for task, truth in gold.items():
        for worker in range(7):
            right = draw.random() < (0.9 if worker < 3 else 1 / 3)
            labels.append(Label(task, f"w{worker}", truth if right else draw.choice([o for o in "xyz" if o != truth])))
    return labels, gold


def test_careless_workers_are_seen_through() -> None:
    labels, gold = batch()
    found = reestimated(labels, ["x", "y", "z"], {})
    assert sum(found[task].value == truth for task, truth in gold.items()) / len(gold) > 0.93


def test_the_result_does_not_depend_on_how_the_batch_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, _ = batch(100)
    whole = reestimated(labels, ["x", "y", "z"], {})
    monkeypatch.setattr("tests.quality.chunks.CHUNK_TASKS", 7)
    tasks, chunks, _ = chunked(labels, ["x", "y", "z"])
    assert len(chunks) == 15
    assert sum(len(chunk.starts) for chunk in chunks) == len(tasks) == 100
    cut = reestimated(labels, ["x", "y", "z"], {})
    for task, answer in whole.items():
        assert cut[task].value == answer.value
        assert cut[task].confidence == pytest.approx(answer.confidence, abs=1e-9)


def test_control_tasks_are_left_out_of_the_results_and_teach() -> None:
    labels, gold = batch(60)
    controls = {task: gold[task] for task in list(gold)[:30]}
    found = reestimated(labels, ["x", "y", "z"], controls)
    assert set(found) == set(gold) - set(controls)
    misled = reestimated(labels, ["x", "y", "z"], {task: "xyz"["yzx".index(truth)] for task, truth in controls.items()})
    assert any(misled[task].confidence < found[task].confidence - 0.1 for task in found)


def test_a_share_of_options_is_learnt_by_the_models_that_say_so() -> None:
    labels = [Label(str(n), f"w{n % 5}", "x" if n % 10 else "y") for n in range(200)]
    _, chunks, shape = chunked(labels, ["x", "y"])
    for model in reestimate.MODELS:
        (fitted,) = reestimate.estimate(lambda: chunks, shape, models=(model,))
        assert bool(fitted.shares[0] > fitted.shares[1] + 0.5) is model.learns_shares


def test_a_batch_without_answers_gives_none() -> None:
    assert reestimated([], ["x"], {}) == {}


def test_options_that_nobody_chose_and_a_single_option_do_no_harm() -> None:
    labels = [Label("1", "w1", "x"), Label("1", "w2", "x"), Label("2", "w1", "x")]
    assert reestimated(labels, ["x"], {})["1"].value == "x"
    assert reestimated(labels, ["w", "x", "y"], {})["2"].value == "x"
