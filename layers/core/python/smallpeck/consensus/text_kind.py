"""Texts, as `evaluate` replays them: labels and gold are texts, and the measure is the word error rate.

WER is the words to be replaced, left out or put in over all tasks, by the words of the gold over all tasks, both sides
in the normal form of `normalising`. Calibration is per word: its confidence, and whether it stands in the gold at its
place.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smallpeck.consensus.alignment import matched, word_errors
from smallpeck.consensus.evaluate import Answer, Label, Setting
from smallpeck.consensus.method import PPM, Decision, Method
from smallpeck.consensus.normalising import words
from smallpeck.consensus.replaying import Replay
from smallpeck.consensus.reweighing import reweighed
from smallpeck.consensus.text import Text
from smallpeck.kernel.ids import canonical_json


@dataclass(frozen=True, slots=True)
class TextAnswer(Answer):
    """A text with the confidence of each of its words."""

    parts: tuple[float, ...] = ()


class TextKind:
    """A transcript of each task."""

    def method(self, options: Sequence[str]) -> Method:
        """See `Kind`. What the other answers are does not matter."""
        del options
        return Text()

    def answer(self, label: str) -> str:
        """See `Kind`: the label is a text."""
        return canonical_json(label)

    def finish(self, replay: Replay, taken: Sequence[Label], setting: Setting) -> Mapping[str, Answer]:
        """See `Kind`: skills from all votes, then every decision again."""
        del taken, setting
        decided, _ = reweighed(method=replay.method, tasks=replay.votes, controls=replay.controls, skills=replay.skills)
        return {task: _answer(decision) for task, decision in decided.items()}

    def score(self, answers: Mapping[str, Answer], gold: Mapping[str, str]) -> Mapping[str, float]:
        """See `Kind`: a task without an answer has all its words wrong."""
        wrong = all_words = 0
        for task, truth in gold.items():
            right = words(truth)
            said = words(answers[task].value) if task in answers else ()
            wrong += word_errors(said, right)
            all_words += len(right)
        return {"wer": wrong / max(1, all_words)}

    def rightness(self, answer: Answer, gold: str) -> Sequence[tuple[float, float]]:
        """See `Kind`: one pair per word."""
        parts = answer.parts if isinstance(answer, TextAnswer) else ()
        right = matched(words(answer.value), words(gold))
        return [(part, 1.0 if hit else 0.0) for part, hit in zip(parts, right, strict=True)]

    def majority_vote_accuracy(self, labels: Mapping[str, Sequence[str]], gold: Mapping[str, str]) -> float | None:
        """See `Kind`: no two transcripts are the same, so there is no such thing."""
        del labels, gold
        return None


def _answer(decision: Decision) -> TextAnswer:
    value = "" if decision.answer is None else json.loads(decision.answer)
    return TextAnswer(value, decision.confidence_ppm / PPM, tuple(part / PPM for part in decision.parts_ppm))
