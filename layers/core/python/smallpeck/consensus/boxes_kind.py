"""Boxes, as `evaluate` replays them: labels and gold are `[[left, top, right, bottom], ...]` in pixels."""

import json
import math
from collections.abc import Mapping, Sequence

from smallpeck.consensus.calibration import NO_CONTROLS, best_temperature, observed, summed
from smallpeck.consensus.evaluate import Answer, Label, Setting
from smallpeck.consensus.method import PPM, Method, SkillCounts
from smallpeck.consensus.replaying import Replay
from smallpeck.consensus.reweighing import reweighed, together, weighed
from smallpeck.consensus.shapes import SAME, Marked, boxes
from smallpeck.kernel.ids import canonical_json

_USUAL_TEMPERATURE = 1.0
_METHOD = boxes()


class BoxesKind:
    """Any number of boxes in an image. An `Answer.value` is a decision's answer with each box's confidence in it."""

    def method(self, options: Sequence[str]) -> Method:
        """See `Kind`."""
        del options
        return _METHOD

    def answer(self, label: str) -> str:
        """See `Kind`: corners become `{"x", "y", "width", "height"}`. Raises ValueError for anything else."""
        return canonical_json(
            [
                {"x": left, "y": top, "width": right - left, "height": bottom - top}
                for left, top, right, bottom in json.loads(label)
            ]
        )

    def finish(self, replay: Replay, taken: Sequence[Label], setting: Setting) -> Mapping[str, Answer]:
        """See `Kind`: skills from all votes, every decision again, and confidences tempered by the control tasks."""
        del taken, setting
        decisions, skills = reweighed(
            method=_METHOD, tasks=replay.votes, controls=replay.controls, skills=replay.skills
        )
        temperature = _learnt_temperature(replay, skills=skills)
        return {
            task: Answer(
                _with_confidences(decision.answer, [part / PPM for part in decision.parts_ppm], temperature),
                decision.confidence_ppm / PPM,
            )
            for task, decision in decisions.items()
            if decision.answer is not None
        }

    def score(self, answers: Mapping[str, Answer], gold: Mapping[str, str]) -> Mapping[str, float]:
        """See `Kind`: F1 of all boxes of all tasks together, where a pair overlaps by half or more of its union, and
        the mean overlap of these pairs.
        """
        overlaps: list[float] = []
        boxes_found = boxes_true = 0
        for task, truth in gold.items():
            right = self._objects(self.answer(truth))
            found = self._objects(answers[task].value) if task in answers else ()
            overlaps.extend(close for _, _, close in _METHOD.pairs(found, right, least=SAME))
            boxes_found += len(found)
            boxes_true += len(right)
        return {
            "f1": 2 * len(overlaps) / max(1, boxes_found + boxes_true),
            "mean_iou": math.fsum(overlaps) / max(1, len(overlaps)),
        }

    def rightness(self, answer: Answer, gold: str) -> Sequence[tuple[float, float]]:
        """See `Kind`: one pair per box of the answer."""
        found, truth = self._objects(answer.value), self._objects(self.answer(gold))
        right = {one for one, _, _ in _METHOD.pairs(found, truth, least=SAME)}
        sure = {_METHOD.read(canonical_json([one])): one["confidence"] for one in json.loads(answer.value)}
        return [(float(sure[(marked,)]), float(number in right)) for number, marked in enumerate(found)]

    def majority_vote_accuracy(self, labels: Mapping[str, Sequence[str]], gold: Mapping[str, str]) -> float | None:
        """See `Kind`: there is no such thing."""
        del labels, gold
        return None

    def _objects(self, answer: str) -> Sequence[Marked]:
        found = _METHOD.read(answer)
        if found is None:
            raise ValueError(f"not a list of boxes: {answer[:80]}")
        return found


def _learnt_temperature(replay: Replay, skills: Mapping[str, SkillCounts]) -> float:
    """By what the chances of candidates in control tasks are to be tempered."""
    known = together(skills)
    seen = [NO_CONTROLS]
    for task, gold in sorted(replay.controls.items()):
        truth = _METHOD.read(gold)
        if truth is None or task not in replay.votes:
            continue
        found = _METHOD.candidates(weighed(method=_METHOD, votes=replay.votes[task], known=known))
        right = {one for one, _, _ in _METHOD.pairs([one.marked for one in found], truth, least=SAME)}
        for number, candidate in enumerate(found):
            shares = (candidate.chance, 1 - candidate.chance)
            seen.append(observed(shares, shares[0] if number in right else shares[1]))
    return best_temperature(summed(seen), _USUAL_TEMPERATURE)


def _with_confidences(answer: str, chances: Sequence[float], temperature: float) -> str:
    return canonical_json(
        [
            {**one, "confidence": round(_tempered(chance, temperature), 6)}
            for one, chance in zip(json.loads(answer), chances, strict=True)
        ]
    )


def _tempered(chance: float, temperature: float) -> float:
    yes, no = math.pow(chance, 1 / temperature), math.pow(1 - chance, 1 / temperature)
    return yes / (yes + no)
