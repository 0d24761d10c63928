"""Text and transcripts, one answer at a time: answers side by side, word by word, each weighed by who gave it.

An answer is a JSON string, or an object with the string in a field; a result is the same, its text in normal form
(`normalising`). What is neither takes its seat and says nothing. The confidence of a result is the share of its words
expected to be right, its parts the same of each word.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from smallpeck.consensus.alignment import Column, matched, network
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, SkillCounts, Vote, Votes
from smallpeck.consensus.normalising import Words, agreed_spaces, joined, words
from smallpeck.consensus.word_votes import (
    NOTHING,
    UNSEEN,
    WordModel,
    likeliest,
    reliabilities,
    scores,
    shares,
    silences,
)
from smallpeck.kernel.ids import canonical_json

_parsed = lru_cache(maxsize=1 << 14)(words)


@dataclass(frozen=True)
class _Laid:
    """The votes of a task, aligned: workers in an order of their own, and what each is believed to be worth."""

    workers: Sequence[str]
    texts: Sequence[Words]
    accuracies: Sequence[float]
    columns: Sequence[Column]
    weights: Sequence[Sequence[float]]
    reliability: Sequence[float]


@dataclass(frozen=True)
class _Merged:
    """What the votes amount to: the words and how likely each is right, how many words are expected to be wrong, and in
    how many places the votes leave a doubt.
    """

    words: Words
    sure: Sequence[float]
    wrong: float
    doubt: float
    tied: bool


@dataclass(frozen=True)
class Text:
    """Texts of which each is nearly right. See `Method`.

    A worker's accuracy is the share of words they get right, counted in words: `prior_ppm` with the weight of
    `prior_weight` words before anything is known of a batch, and `worker_weight` words of the batch's mean for each
    worker. Where a batch names no target, a task closes when one more answer is expected to set right at most
    `worth_words` words, of the whole text: a long text with some doubt is worth an answer more than a short one.
    `key` is the name of the answer's field that holds the text, None where the answer is the text. Raises ValueError
    for settings that make no sense.
    """

    key: str | None = None
    worth_words: float = 0.33
    prior_ppm: int = 700_000
    prior_weight: float = 100.0
    worker_weight: float = 30.0
    model: WordModel = field(default_factory=WordModel)

    def __post_init__(self) -> None:
        if self.key is not None and not (isinstance(self.key, str) and self.key):
            raise ValueError("key is the name of a field")
        if not self.worth_words > 0:
            raise ValueError("worth_words is above 0")

    def read(self, answer: str) -> Words | None:
        """The words of the text in an answer; None for what has no text."""
        try:
            value: Any = json.loads(answer)
        except (ValueError, RecursionError):
            return None
        if isinstance(value, dict):
            value = value.get(self.key or "text")
        return _parsed(value) if isinstance(value, str) else None

    def answer_of(self, text: str) -> str:
        """A text as an answer."""
        return canonical_json(text if self.key is None else {self.key: text})

    def accuracy_ppm(self, *, worker: SkillCounts, population: SkillCounts) -> int:
        """See `Method`."""
        usual = _bounded(_share(population, self.prior_ppm, self.prior_weight), self.model)
        return round(_bounded(_share(worker, usual, self.worker_weight), self.model))

    def cast(self, *, votes: Votes, answer: str, accuracy_ppm: int) -> Vote:
        """See `Method`."""
        vote = Vote(answer, accuracy_ppm)
        name = max(votes, default="") + "\0"
        laid = self._laid({**votes, name: vote})
        if name not in laid.workers or len(laid.workers) == 1:
            return vote
        return Vote(answer, accuracy_ppm, self._credit(laid, laid.workers.index(name)))

    def decide(self, *, task_id: str, votes: Votes, budget: Budget) -> Decision:
        """See `Method`. No two answers are likely enough to tie that the task's id would have to decide: `tied` says
        that at some place two words are equally likely, and the first by spelling stands.

        Final with `max_answers` votes, or from `min_answers` on, but not before the second, when the confidence reaches
        the target, or, without one, when another answer would be worth too little.
        """
        del task_id
        full = len(votes) >= budget.max_answers
        laid = self._laid(votes)
        if not laid.workers:
            return Decision(None, 0, tied=False, final=full)
        merged = self._merged(laid)
        confidence = _confidence(merged)
        if budget.target_ppm is None:
            enough = _gain(merged, len(laid.workers)) <= self.worth_words
        else:
            enough = confidence * PPM >= budget.target_ppm
        early = len(laid.workers) < 2 or len(votes) < budget.min_answers  # noqa: PLR2004
        return Decision(
            answer=self.answer_of(joined(merged.words)),
            confidence_ppm=round(confidence * PPM),
            tied=merged.tied,
            final=full or (enough and not early),
            parts_ppm=tuple(round(PPM * share) for share in merged.sure),
        )

    def closing_credits(self, *, votes: Votes) -> dict[str, SkillCounts]:
        """See `Method`."""
        laid = self._laid(votes)
        changes: dict[str, SkillCounts] = {}
        if len(laid.workers) == 1:
            return changes
        for place, worker in enumerate(laid.workers):
            change = self._credit(laid, place).minus(votes[worker].credit)
            if change != NOTHING_KNOWN:
                changes[worker] = change
        return changes

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        """See `Method`: the words of the longer of the two, and how many of them stand in both at their places."""
        said, right = self.read(answer), self.read(gold)
        if right is None:
            return NOTHING_KNOWN
        said, right = agreed_spaces([said or (), right])
        return SkillCounts(PPM * sum(matched(said, right)), PPM * max(len(said), len(right)))

    def expected_change(self, *, votes: Votes, accuracy_ppm: int) -> float:
        """See `Method`: the share of a word that an answer is expected to set right, at most 1."""
        laid = self._laid(votes)
        if not laid.workers:
            return 1.0
        gain = _gain(self._merged(laid), len(laid.workers))
        return min(1.0, gain * accuracy_ppm / self.prior_ppm)

    def _laid(self, votes: Votes) -> _Laid:
        read = {worker: self.read(vote.answer) for worker, vote in votes.items()}
        said = {worker: text for worker, text in read.items() if text is not None}
        workers = sorted(said, key=lambda worker: (said[worker], votes[worker].accuracy_ppm, worker))
        texts = agreed_spaces([said[worker] for worker in workers])
        accuracies = tuple(votes[worker].accuracy_ppm / PPM for worker in workers)
        return _Laid(workers, texts, accuracies, *_weighed(tuple(texts), accuracies, self.model))

    def _merged(self, laid: _Laid) -> _Merged:
        scored = scores(laid.columns, laid.reliability, laid.weights, self.model)
        chosen = likeliest(laid.texts, scored, laid.reliability, self.model)
        bare = [shares(column) for column in scored]
        found = [shares(column, self.model.temperature) for column in scored]
        doubt = math.fsum(1 - share[word] for share, word in zip(bare, chosen, strict=True))
        wrong = math.fsum(1 - share[word] for share, word in zip(found, chosen, strict=True))
        if not laid.columns:
            doubt = wrong = math.prod(1 - accuracy for accuracy in laid.accuracies)
        return _Merged(
            words=tuple(word for word in chosen if word),
            sure=[share[word] for share, word in zip(found, chosen, strict=True) if word],
            wrong=wrong,
            doubt=doubt,
            tied=any(_level(share, word) for share, word in zip(bare, chosen, strict=True)),
        )

    def _credit(self, laid: _Laid, place: int) -> SkillCounts:
        """What a text says about its worker, judged by the others' words alone.

        If what was said is distributed as the others' words say, someone who is always right says a word to which they
        assign, in the mean, the sum of the squared probabilities: that is the weight, the probability of what they did
        say the hits.
        """
        hits = weight = 0.0
        for number, scored in enumerate(
            scores(laid.columns, laid.reliability, laid.weights, self.model, without=place)
        ):
            column = laid.columns[number]
            share = shares(scored)
            mine = column[place]
            if all(not word for other, word in enumerate(column) if other != place):
                weight += 1
                continue
            squares = sum(part * part for word, part in sorted(share.items()) if word not in {NOTHING, UNSEEN})
            if mine:
                hits += share.get(mine, 0.0)
                weight += squares + share[NOTHING]
            else:
                weight += squares * laid.weights[place][number]
        return SkillCounts(round(PPM * hits), round(PPM * weight))


@lru_cache(maxsize=1024)
def _weighed(
    texts: tuple[Words, ...], accuracies: tuple[float, ...], model: WordModel
) -> tuple[Sequence[Column], Sequence[Sequence[float]], Sequence[float]]:
    columns = network(texts)
    weights = silences(columns, len(texts), model)
    return columns, weights, reliabilities(columns, accuracies, weights, model)


def _gain(merged: _Merged, votes: int) -> float:
    """How many words one more answer is expected to set right: the words in doubt fall about as 1/n with the number of
    answers n, so that one more settles 1/(n + 1) of them.
    """
    return merged.doubt / (votes + 1)


def _level(share: Mapping[str, float], word: str) -> bool:
    return sum(1 for rival in share.values() if round(rival * PPM) == round(share[word] * PPM)) > 1


def _confidence(merged: _Merged) -> float:
    return max(0.0, 1 - merged.wrong / max(1, len(merged.words)))


def _share(counts: SkillCounts, prior_ppm: float, weight: float) -> float:
    return (counts.hits_ppm + prior_ppm * weight) / (counts.weight_ppm / PPM + weight)


def _bounded(value: float, model: WordModel) -> float:
    return min(max(value, model.worst * PPM), model.best * PPM)
