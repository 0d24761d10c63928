"""Single choice, a whole batch at once: all its answers as numbers, the models fitted to them, and what they lean to.

Ten million answers are 80 MB here. The models' memory grows with workers x options x options; where that is too much
nothing is modelled, and `smallpeck.consensus.batch` goes by counts, for which one number per worker is enough.
"""

import hashlib
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from smallpeck.consensus.method import PPM, Decision, SkillCounts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from smallpeck.consensus.reestimate import Chunk, Fitted, Floats, Shape

CHUNK_ANSWERS = 1_000_000
"""How many answers the models look at at a time."""

MOST_CELLS = 8_000_000
"""Workers x options x options up to which the models are fitted: a dozen tables of 64 MB."""

TEMPERATURE = 1.5
"""What the models' evidence is divided by where no control task says more."""

_STEADYING = 4.0
_MOST = 0.99

Leaning = tuple[tuple[int, ...], int]
"""The options that are likeliest for a task, mostly one, and how likely each is in millionths."""


class Asked(Protocol):
    """A task with its answers; see `smallpeck.consensus.batch.Answered`."""

    @property
    def answers(self) -> Mapping[str, str]: ...
    @property
    def gold(self) -> str | None: ...


@dataclass(frozen=True)
class Modelled:
    """What the models say: the options, the workers' counts, and by chunk what each task's answers lean to."""

    options: Sequence[str]
    skills: Mapping[str, SkillCounts]
    ends: Sequence[int]
    best: "NDArray[np.int32]"
    sure_ppm: "NDArray[np.int32]"
    tied: Mapping[int, tuple[int, ...]]

    def leanings(self, chunk: int) -> Iterator[Leaning]:
        """Those of a chunk's tasks, in their order."""
        first, end = self.ends[chunk - 1] if chunk else 0, self.ends[chunk]
        best, sure = self.best[first:end].tolist(), self.sure_ppm[first:end].tolist()
        for number in range(end - first):
            yield self.tied.get(first + number, (best[number],)), sure[number]


def chosen(task_id: str, answers: Mapping[str, str], leaning: Leaning, options: Sequence[str]) -> Decision:
    """The decision that a leaning means; a tie goes as `smallpeck.consensus.choice` has it."""
    candidates, sure_ppm = leaning
    votes = Counter(answers.values())
    names = sorted((options[one] for one in candidates), key=lambda answer: (-votes[answer], _draw(task_id, answer)))
    return Decision(names[0], sure_ppm, tied=len(names) > 1, final=True)


def packed(chunks: Iterable[Iterable[Asked]]) -> "Packed | None":
    """All chunks as numbers, each read once; None where there is nothing to model or the models would not fit.

    Every task has answers.
    """
    held = Packed()
    for chunk in chunks:
        held.take(chunk)
    shape = held.shape
    return held if held.answer_of and shape.workers * shape.options**2 <= MOST_CELLS else None


def learnt_temperature(answers: "Packed") -> float:
    """How far to believe the models, as control tasks show; what is usual where there are none."""
    from smallpeck.consensus import reestimate
    from smallpeck.consensus.calibration import NO_CONTROLS, best_temperature, observed

    if not answers.gold:
        return TEMPERATURE
    batch, shape = _Numbers.of(answers), answers.shape
    fitted = reestimate.estimate(batch.chunks, shape)
    seen = NO_CONTROLS
    for cut, chunk in enumerate(batch.chunks()):
        rows = batch.controls.get(cut, ())
        beliefs = reestimate.averaged(chunk, fitted, shape) if rows else None
        for row, option in rows:
            shares: list[float] = beliefs[row].tolist() if beliefs is not None else []
            seen = seen.plus(observed(shares, 0.0 if option is None else shares[option]))
    return best_temperature(seen, TEMPERATURE)


def modelled(answers: "Packed", temperature: float) -> Modelled:
    """What the models say, fitted to all answers. What is known of control tasks teaches them."""
    import numpy as np

    from smallpeck.consensus import reestimate

    batch, shape, named = _Numbers.of(answers), answers.shape, len(answers.options)
    fitted = reestimate.estimate(batch.chunks, shape, clamp=batch.clamp if batch.controls else None)
    best, sure = np.empty(batch.tasks, np.int32), np.empty(batch.tasks, np.int32)
    tied: dict[int, tuple[int, ...]] = {}
    skill = _Skill(shape.workers)
    for number, chunk in enumerate(batch.chunks()):
        beliefs = reestimate.tempered(reestimate.averaged(chunk, fitted, shape), temperature)
        shares = np.rint(beliefs[:, :named] * PPM).astype(np.int32)
        first = batch.firsts[number]
        end = first + len(shares)
        best[first:end] = shares.argmax(axis=1)
        sure[first:end] = shares.max(axis=1)
        alike = shares == sure[first:end, None]
        for row in np.flatnonzero(alike.sum(axis=1) > 1).tolist():
            tied[first + row] = tuple(np.flatnonzero(alike[row]).tolist())
        skill.see(chunk, batch.clamp(number, _of_models(chunk, fitted, shape)))
    skills = dict(zip(answers.workers, skill.evidence(), strict=True))
    return Modelled(batch.options, skills, answers.ends, best, sure, tied)


def _of_models(chunk: "Chunk", fitted: "Sequence[Fitted]", shape: "Shape") -> "Floats":
    """What the models believe, without the bare votes: those would leave a doubt about every answer of everybody."""
    import numpy as np

    from smallpeck.consensus.reestimate import MODELS, expect

    total = np.zeros((len(chunk.starts), shape.options))
    for model, parameters in zip(MODELS, fitted, strict=True):
        total += model.weight * expect(chunk, parameters, shape)[0]
    shares: Floats = total / total.sum(axis=1, keepdims=True)
    return shares


class _Skill:
    """What the beliefs about tasks say of who answered them."""

    def __init__(self, workers: int) -> None:
        import numpy as np

        self._workers = workers
        self._hits, self._doubt, self._given = np.zeros(workers), np.zeros(workers), np.zeros(workers)

    def see(self, chunk: "Chunk", beliefs: "Floats") -> None:
        import numpy as np

        tasks = np.repeat(np.arange(len(chunk.starts)), chunk.lengths)
        right = beliefs[tasks, chunk.answers]
        self._hits += np.bincount(chunk.workers, weights=right, minlength=self._workers)
        self._doubt += np.bincount(chunk.workers, weights=right * (1 - right), minlength=self._workers)
        self._given += np.bincount(chunk.workers, minlength=self._workers)

    def evidence(self) -> list[SkillCounts]:
        """By worker, the share of right answers, out of as many plain right-or-wrong answers as would be as sure of it.

        With n answers of which each is right with some belief b, the information about a worker's accuracy q is
        n / (q (1 - q)) less what is missing because b is not 0 or 1: sum of b (1 - b) / (q (1 - q))^2 (Louis, Finding
        the observed information matrix when using the EM algorithm, 1982). That of m plain answers is m / (q (1 - q)),
        so m = n - sum of b (1 - b) / (q (1 - q)). That the other workers' accuracies are estimates too is left out.
        """
        import numpy as np

        usual = self._hits.sum() / self._given.sum()
        share = (self._hits + _STEADYING * usual) / (self._given + _STEADYING)
        share = np.clip(share, 1 - _MOST, _MOST)
        many = np.maximum(self._given - self._doubt / (share * (1 - share)), 0.0)
        hits = self._hits / self._given * many
        return [
            SkillCounts(right, weight)
            for right, weight in zip(
                np.rint(hits * PPM).astype(np.int64).tolist(),
                np.rint(many * PPM).astype(np.int64).tolist(),
                strict=True,
            )
        ]


@dataclass
class Packed:
    """All answers of a batch: the numbers of workers and options, in the order of their first appearance.

    `ends` are by chunk how many tasks there were with it; `gold` is the known answer by the number of its task.
    """

    workers: dict[str, int] = field(default_factory=dict)
    options: dict[str, int] = field(default_factory=dict)
    worker_of: "array[int]" = field(default_factory=lambda: array("i"))
    answer_of: "array[int]" = field(default_factory=lambda: array("i"))
    starts: "array[int]" = field(default_factory=lambda: array("q"))
    gold: dict[int, str] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)

    def take(self, chunk: Iterable[Asked]) -> None:
        """Adds a chunk."""
        workers, options = self.workers, self.options
        for task in chunk:
            if task.gold is not None:
                self.gold[len(self.starts)] = task.gold
            self.starts.append(len(self.answer_of))
            for worker, answer in sorted(task.answers.items()):
                self.worker_of.append(workers.setdefault(worker, len(workers)))
                self.answer_of.append(options.setdefault(answer, len(options)))
        self.ends.append(len(self.starts))

    @property
    def shape(self) -> "Shape":
        """How many workers and options there are; at least two options, or nothing could be wrong."""
        from smallpeck.consensus.reestimate import Shape

        return Shape(len(self.workers), max(2, len(self.options)))


@dataclass(frozen=True)
class _Numbers:
    """All answers of a batch with the options in alphabetical order, cut where the models look at them.

    `firsts` are the numbers of the cuts' first tasks. `controls` are by cut the control tasks' rows, and the number of
    what is known of each, None where nobody answered so.
    """

    options: list[str]
    worker_of: "NDArray[np.int32]"
    answer_of: "NDArray[np.int32]"
    starts: "NDArray[np.int64]"
    firsts: list[int]
    controls: Mapping[int, Sequence[tuple[int, int | None]]]

    @classmethod
    def of(cls, packed: Packed) -> "_Numbers":
        import numpy as np

        options = sorted(packed.options)
        place = {option: number for number, option in enumerate(options)}
        order = np.array([place[option] for option in packed.options], np.int32)
        starts = np.frombuffer(packed.starts, np.int64)
        cuts = starts // CHUNK_ANSWERS
        firsts = [0, *(np.flatnonzero(np.diff(cuts)) + 1).tolist()]
        controls: dict[int, list[tuple[int, int | None]]] = {}
        for task, gold in packed.gold.items():
            cut = bisect_right(firsts, task) - 1
            controls.setdefault(cut, []).append((task - firsts[cut], place.get(gold)))
        return cls(
            options=options,
            worker_of=np.frombuffer(packed.worker_of, np.int32),
            answer_of=order[np.frombuffer(packed.answer_of, np.int32)],
            starts=starts,
            firsts=firsts,
            controls=controls,
        )

    @property
    def tasks(self) -> int:
        return len(self.starts)

    def chunks(self) -> "Iterator[Chunk]":
        """The cuts, one after the other, as the models take them."""
        import numpy as np

        from smallpeck.consensus.reestimate import Chunk

        for first, after in zip(self.firsts, [*self.firsts[1:], self.tasks], strict=True):
            begin = int(self.starts[first])
            end = int(self.starts[after]) if after < self.tasks else len(self.answer_of)
            yield Chunk(
                self.worker_of[begin:end].astype(np.intp),
                self.answer_of[begin:end].astype(np.intp),
                (self.starts[first:after] - begin).astype(np.intp),
            )

    def clamp(self, cut: int, posterior: "Floats") -> "Floats":
        """A cut's beliefs with what is known of its control tasks."""
        for row, option in self.controls.get(cut, ()):
            if option is not None:
                posterior[row] = 0.0
                posterior[row, option] = 1.0
        return posterior


def _draw(task_id: str, answer: str) -> bytes:
    return hashlib.sha256(f"{task_id}\0{answer}".encode()).digest()
