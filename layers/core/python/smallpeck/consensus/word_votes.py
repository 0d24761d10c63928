"""What the columns of aligned texts say was said: a probability for every word, and the likeliest run of words.

A worker gets a word right with a probability of their own. What they get wrong they leave out, or take for another
word, one spelled alike more easily than not; now and then they hear a word where none was. Leaving out a whole stretch
is one mistake, not many. Long words are given by mistake less often than short ones.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smallpeck.consensus.alignment import Column, unlikeness
from smallpeck.consensus.normalising import Words

NOTHING = ""
UNSEEN = "\0"
"""A word that no text has."""
_FAR = 0.85
_BEAM = 8

Shares = Mapping[str, float]
"""By word of a column, NOTHING and UNSEEN: a score, or how likely it is what was said."""


@dataclass(frozen=True, slots=True)
class WordModel:
    """How workers err. Logarithms are natural.

    `alike` and `unlike`: a wrong word costs `unlike + alike * unlikeness` more than a right one. `left_out`: the share
    of mistakes that leave a word out. `put_in`: how often a word is put in where none was, by a worker who is wrong
    half of the time. `stretch`: how much less each word of a stretch left out says. `loosened` and `correlation` divide
    the evidence of n texts by `loosened + correlation * (n - 1)`. `letter` and `silence` are the prior of a word, per
    letter, and of none. `coherence` is what two words gain when they follow each other in the texts. `own_weight`
    says how many words' worth a worker's known accuracy is against what this task's texts show of it. `temperature`
    draws the confidence of words together: workers mishear the same things, so agreement is worth less than it seems
    (Guo, Pleiss, Sun and Weinberger 2017).
    """

    alike: float = 4.0
    unlike: float = 1.5
    left_out: float = 0.4
    put_in: float = 0.1
    stretch: float = 0.5
    loosened: float = 1.0
    correlation: float = 0.3
    letter: float = 0.1
    longest: int = 12
    silence: float = 0.5
    coherence: float = 1.0
    unsupported: float = 0.3
    own_weight: float = 2.0
    temperature: float = 2.7
    rounds: int = 3
    worst: float = 0.03
    best: float = 0.97


def silences(columns: Sequence[Column], texts: int, model: WordModel) -> list[list[float]]:
    """For each text and column, what it weighs that the text has no word there: less inside a stretch left out.

    Only columns with words of at least half of the texts count for the length of a stretch.
    """
    usual = [sum(1 for word in column if word) * 2 >= texts for column in columns]
    weights = []
    for text in range(texts):
        mine = [1.0] * len(columns)
        begin = 0
        for place in range(len(columns) + 1):
            if place == len(columns) or columns[place][text]:
                length = sum(usual[begin:place])
                mine[begin:place] = [1 / (1 + model.stretch * max(0, length - 1))] * (place - begin)
                begin = place + 1
        weights.append(mine)
    return weights


def reliabilities(
    columns: Sequence[Column], accuracies: Sequence[float], weights: Sequence[Sequence[float]], model: WordModel
) -> list[float]:
    """How often each text is right about a word: the worker's known accuracy, corrected by what the texts together
    say was said, which in turn depends on it; a few rounds of expectation-maximisation (Dawid and Skene 1979).
    """
    current = [_bounded(accuracy, model) for accuracy in accuracies]
    for _ in range(model.rounds):
        found = [shares(scored) for scored in scores(columns, current, weights, model)]
        updated = []
        for text, accuracy in enumerate(accuracies):
            hits, seen = accuracy * model.own_weight, model.own_weight
            for place, column in enumerate(columns):
                if column[text]:
                    seen += 1
                    hits += found[place][column[text]]
                else:
                    seen += (1 - found[place][NOTHING]) * weights[text][place]
            updated.append(_bounded(hits / seen, model))
        current = updated
    return current


def scores(
    columns: Sequence[Column],
    reliability: Sequence[float],
    weights: Sequence[Sequence[float]],
    model: WordModel,
    without: int | None = None,
) -> list[dict[str, float]]:
    """For each column the log-probability of what may have been said there, up to a constant.

    The words of the text numbered `without` are no evidence.
    """
    voters = [text for text in range(len(reliability)) if text != without]
    common = model.alike * _FAR + model.unlike
    right = [math.log(q) for q in reliability]
    wrong = [math.log((1 - q) * (1 - model.left_out)) for q in reliability]
    missed = [math.log((1 - q) * model.left_out) for q in reliability]
    put_in = [math.log(2 * (1 - q) * model.put_in) - common for q in reliability]
    quiet = [math.log(1 - 2 * (1 - q) * model.put_in) for q in reliability]
    divisor = model.loosened + model.correlation * max(0, len(voters) - 1)
    agreed = (math.fsum(right[text] for text in voters), math.fsum(wrong[text] for text in voters))
    agreed_nothing = (common + math.fsum(put_in[text] for text in voters)) / divisor + model.silence
    found = []
    for place, column in enumerate(columns):
        word = column[voters[0]] if voters else NOTHING
        if word and column.count(word) - (without is not None and column[without] == word) == len(voters):
            letters = model.letter * min(len(word), model.longest)
            unseen = (agreed[1] - common * (len(voters) - 1)) / divisor + model.letter
            found.append({word: agreed[0] / divisor + letters, UNSEEN: unseen, NOTHING: agreed_nothing})
            continue
        said: dict[str, list[int]] = {}
        if_word, if_nothing = 0.0, common
        for text in voters:
            word = column[text]
            if word:
                said.setdefault(word, []).append(text)
                if_nothing += put_in[text]
            else:
                if_word += weights[text][place] * missed[text]
                if_nothing += weights[text][place] * quiet[text]
        mistaken = {word: math.fsum(wrong[text] for text in texts) for word, texts in said.items()}
        all_mistaken = math.fsum(mistaken.values())
        total = {}
        for word in sorted(said):
            far = sum(
                len(texts) * (model.alike * unlikeness(word, other) + model.unlike)
                for other, texts in said.items()
                if other != word
            )
            evidence = math.fsum(right[text] for text in said[word]) + all_mistaken - mistaken[word] - far + if_word
            total[word] = evidence / divisor + model.letter * min(len(word), model.longest)
        heard = sum(map(len, said.values()))
        unseen = all_mistaken - common * max(0, heard - 1) + if_word if heard else if_word - common
        total[UNSEEN] = unseen / divisor + model.letter
        total[NOTHING] = if_nothing / divisor + model.silence if heard else (if_nothing - common) / divisor
        found.append(total)
    return found


def shares(scored: Shares, temperature: float = 1.0) -> dict[str, float]:
    """Scores as probabilities, drawn together by a temperature above 1."""
    top = max(scored.values())
    grown = {word: math.exp((score - top) / temperature) for word, score in scored.items()}
    whole = math.fsum(grown.values())
    return {word: value / whole for word, value in grown.items()}


def likeliest(
    texts: Sequence[Words], scored: Sequence[Shares], reliability: Sequence[float], model: WordModel
) -> list[str]:
    """For each column its word in the best run of words, or NOTHING: each word's own score, and for each two that
    follow each other how much reliability stands behind that (Viterbi's way, with a beam).
    """
    behind: dict[tuple[str, str], float] = {}
    for text, reliable in zip(texts, reliability, strict=True):
        for pair in set(zip((UNSEEN, *text), (*text, UNSEEN), strict=True)):
            behind[pair] = behind.get(pair, 0.0) + reliable

    def following(before: str, after: str) -> float:
        return model.coherence * math.log(behind.get((before, after), 0.0) + model.unsupported)

    paths: list[tuple[float, str, tuple[str, ...]]] = [(0.0, UNSEEN, ())]
    for column in scored:
        best: dict[str, tuple[float, tuple[str, ...]]] = {}
        for value, last, path in paths:
            for word, score in column.items():
                if word == UNSEEN:
                    continue
                gained = value + score + (following(last, word) if word else 0.0)
                end = word or last
                candidate = (gained, (*path, word))
                if end not in best or _better(candidate, best[end]):
                    best[end] = candidate
        ranked = sorted(best.items(), key=lambda item: (-item[1][0], item[1][1]))[:_BEAM]
        paths = [(value, end, path) for end, (value, path) in ranked]
    ended = [(value + following(last, UNSEEN), path) for value, last, path in paths]
    return list(min(ended, key=lambda item: (-item[0], item[1]))[1])


def _better(one: tuple[float, tuple[str, ...]], other: tuple[float, tuple[str, ...]]) -> bool:
    return (-one[0], one[1]) < (-other[0], other[1])


def _bounded(value: float, model: WordModel) -> float:
    return min(max(value, model.worst), model.best)
