"""Single choice, as `evaluate` replays it: the online step over a batch held in memory, then the re-estimation."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from smallpeck.consensus import batch
from smallpeck.consensus.choice import Choice
from smallpeck.consensus.evaluate import Answer, Label, Setting
from smallpeck.consensus.method import PPM, Method
from smallpeck.consensus.replaying import Replay
from smallpeck.kernel.ids import canonical_json


class ChoiceKind:
    """One answer out of a few."""

    def method(self, labels: Sequence[str]) -> Method:
        """See `Kind`."""
        return Choice(options=len(labels))

    def answer(self, label: str) -> str:
        """See `Kind`: the label is a text."""
        return canonical_json(label)

    def finish(self, replay: Replay, taken: Sequence[Label], setting: Setting) -> Mapping[str, Answer]:
        """See `Kind`: the re-estimation by several models of the workers."""
        del replay
        return reestimated(taken, setting.options, setting.controls)

    def score(self, answers: Mapping[str, Answer], gold: Mapping[str, str]) -> Mapping[str, float]:
        right = sum(1 for task, truth in gold.items() if task in answers and answers[task].value == truth)
        return {"accuracy": right / max(1, len(gold))}

    def rightness(self, answer: Answer, gold: str) -> Sequence[tuple[float, float]]:
        return [(answer.confidence, 1.0 if answer.value == gold else 0.0)]

    def majority_vote_accuracy(self, labels: Mapping[str, Sequence[str]], gold: Mapping[str, str]) -> float | None:
        return sum(majority_share(labels.get(task, ()), truth) for task, truth in gold.items()) / max(1, len(gold))


def majority_share(labels: Sequence[str], truth: str) -> float:
    """1 where the commonest label is the truth, 1/n where it is one of n commonest, else 0."""
    counts = Counter(labels)
    if not counts:
        return 0.0
    most = max(counts.values())
    return (counts[truth] == most) / sum(1 for count in counts.values() if count == most)


def reestimated(labels: Sequence[Label], options: Sequence[str], controls: Mapping[str, str]) -> dict[str, Answer]:
    """Every task's answer after the re-estimation over all labels; control tasks teach, and are left out."""
    texts = {option: canonical_json(option) for option in (*options, *controls.values())}
    answers: dict[str, dict[str, str]] = {}
    for row in labels:
        answers.setdefault(row.task, {})[row.worker] = texts[row.label]
    tasks = [
        batch.Answered(task, given, texts[controls[task]] if task in controls else None)
        for task, given in answers.items()
    ]
    found = batch.reestimated(method=Choice(options=len(options)), tasks=tasks, skills={}).decisions
    return {
        task: Answer(json.loads(decision.answer), decision.confidence_ppm / PPM)
        for task, decision in found.items()
        if decision.answer is not None
    }
