"""Transcripts on a public set: what the engine promises, measured. Set missing: skipped, and says so."""

from time import perf_counter

from smallpeck.consensus.evaluate import Answer, evaluate, read_gold, read_labels, shuffled
from smallpeck.consensus.method import Budget, Vote
from smallpeck.consensus.text import Text
from smallpeck.consensus.text_kind import TextKind
from smallpeck.kernel.ids import canonical_json
from tests.quality.shared_sets import files

SET = "crowdspeech_dev_other_600"
# What plain ROVER (Fiscus 1997, no weights) scores on this set at five answers a task.
ROVER_AT_FIVE = 0.145
FIVE = 5


def test_five_answers_make_fewer_errors_than_rover_even_without_a_history() -> None:
    labels, gold = files(SET)
    tasks: dict[str, dict[str, Vote]] = {}
    for row in shuffled(read_labels(labels), 1):
        mine = tasks.setdefault(row.task, {})
        if len(mine) < FIVE:
            mine[row.worker] = Vote(canonical_json(row.label), 700_000)
    found = {task: Text().decide(task_id=task, votes=votes, budget=Budget(1, 5)) for task, votes in tasks.items()}
    answers = {task: Answer(str(one.answer)[1:-1], 0.0) for task, one in found.items()}
    assert TextKind().score(answers, read_gold(gold))["wer"] <= ROVER_AT_FIVE - 0.012


def test_answers_go_where_they_help_and_words_are_as_sure_as_they_say() -> None:
    labels, gold = files(SET)
    found = evaluate(kind="text", labels=labels, gold=gold, mode="dynamic").report
    assert float(str(found["labels_per_task"])) <= 3.6
    assert float(str(found["wer"])) <= 0.13
    assert float(str(found["calibration_error"])) <= 0.03


def test_an_answer_takes_some_milliseconds() -> None:
    method = Text()
    tasks: dict[str, dict[str, Vote]] = {}
    for row in read_labels(files(SET)[0]):
        tasks.setdefault(row.task, {})[row.worker] = Vote(canonical_json(row.label), 700_000)
    some = sorted(tasks)[:30]
    begun = perf_counter()
    for task in some:
        method.decide(task_id=task, votes=tasks[task], budget=Budget(1, 7))
    assert (perf_counter() - begun) / len(some) < 0.2


def test_joining_careless_workers_change_little() -> None:
    """Three in ten answers are those of another task."""
    labels, gold = files(SET)
    method, kind = Text(), TextKind()
    tasks: dict[str, list[str]] = {}
    for row in read_labels(labels):
        tasks.setdefault(row.task, []).append(row.label)
    names = sorted(tasks)[:150]
    truth = {task: label for task, label in read_gold(gold).items() if task in names}
    found = []
    for careless in (0, 2):
        answers = {}
        for number, task in enumerate(names):
            strange = [tasks[names[number - step]][0] for step in range(1, careless + 1)]
            votes = {
                f"w{place}": Vote(canonical_json(text), 700_000)
                for place, text in enumerate([*tasks[task][:5], *strange])
            }
            decided = method.decide(task_id=task, votes=votes, budget=Budget(1, 7))
            answers[task] = Answer(str(decided.answer)[1:-1], 0.0)
        found.append(kind.score(answers, truth)["wer"])
    assert found[1] <= found[0] + 0.01
