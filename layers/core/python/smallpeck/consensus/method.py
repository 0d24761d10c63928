"""How the answers of one kind of task become a result, one answer at a time: what every method keeps to.

A method is a value without state. What it needs of the past stands in the votes of the task, each with the accuracy
that was believed of its worker, and in additive counts of skill. Everything is whole numbers (millionths), so that
sums do not depend on the order in which answers came; and no function here looks at the order of votes.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

PPM = 1_000_000

METHODS: Mapping[str, str] = {
    "plurality": "smallpeck.consensus.plurality:Plurality",
    "choice": "smallpeck.consensus.choice:Choice",
    "multiple": "smallpeck.consensus.multiple:Multiple",
    "numeric": "smallpeck.consensus.numeric:Numeric",
    "ordinal": "smallpeck.consensus.numeric:ordinal",
    "ranking": "smallpeck.consensus.ranking:Ranking",
    "boxes": "smallpeck.consensus.shapes:boxes",
    "polygons": "smallpeck.consensus.shapes:polygons",
    "points": "smallpeck.consensus.shapes:points",
    "lines": "smallpeck.consensus.shapes:lines",
    "text": "smallpeck.consensus.text:Text",
    "fields": "smallpeck.consensus.fields:Fields",
}
"""Where the method of each name is made, from what a batch says about it."""


@dataclass(frozen=True, slots=True)
class SkillCounts:
    """What is known of a worker, or of all workers of a batch together: `hits_ppm` of `weight_ppm` were right.

    Hits may be above the weight or below zero while little is known: single comparisons are corrected for chance
    agreement, so only their sum is a share.
    """

    hits_ppm: int = 0
    weight_ppm: int = 0

    def plus(self, other: "SkillCounts") -> "SkillCounts":
        return SkillCounts(self.hits_ppm + other.hits_ppm, self.weight_ppm + other.weight_ppm)

    def minus(self, other: "SkillCounts") -> "SkillCounts":
        return SkillCounts(self.hits_ppm - other.hits_ppm, self.weight_ppm - other.weight_ppm)


NOTHING_KNOWN = SkillCounts()


@dataclass(frozen=True, slots=True)
class Vote:
    """A worker's answer as canonical JSON text, the accuracy believed of the worker, and the skill it was credited
    with when it came.
    """

    answer: str
    accuracy_ppm: int
    credit: SkillCounts = NOTHING_KNOWN


Votes = Mapping[str, Vote]
"""By worker."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How many answers a task may take, and how sure its result has to be; None: as sure as the method usually is."""

    min_answers: int
    max_answers: int
    target_ppm: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a task's votes amount to so far.

    `answer` is canonical JSON text, None without votes. `confidence_ppm` is how likely it is right, or the share of it
    that is, as the method says; `parts_ppm` the same of each of its parts (objects, options, fields), in their order.
    `tied` says that another answer is as likely. `final` says that no more answers are needed.
    """

    answer: str | None
    confidence_ppm: int
    tied: bool
    final: bool
    parts_ppm: tuple[int, ...] = ()


class Method(Protocol):
    """One way from answers to a result."""

    def accuracy_ppm(self, *, worker: SkillCounts, population: SkillCounts) -> int:
        """How often a worker is believed to be right: their counts, drawn towards those of all workers."""
        ...

    def cast(self, *, votes: Votes, answer: str, accuracy_ppm: int) -> Vote:
        """The vote of a worker who is not among `votes`, credited with its agreement with them."""
        ...

    def decide(self, *, task_id: str, votes: Votes, budget: Budget) -> Decision:
        """What the votes amount to, whatever the order in which they came."""
        ...

    def closing_credits(self, *, votes: Votes) -> dict[str, SkillCounts]:
        """By worker, what closing a task adds to their counts: agreement with all other votes, less what was credited
        when the vote came. Applied once per closed task. Who was credited in full already is left out.
        """
        ...

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        """What an answer to a control task says about a worker's skill."""
        ...

    def expected_change(self, *, votes: Votes, accuracy_ppm: int) -> float:
        """How likely one more vote, by a worker of this accuracy, is to change the answer: 0 to 1, 1 without votes."""
        ...


def method_of(settings: Mapping[str, Any]) -> Method:
    """The method that a batch names: `{"method": <name>, ...}`, the rest being what that method wants to know.

    Its module is loaded only now. Raises KeyError for an unknown name, ValueError for settings that make no sense.
    """
    rest = dict(settings)
    module, _, attribute = METHODS[rest.pop("method")].partition(":")
    made: Method = getattr(importlib.import_module(module), attribute)(**rest)
    return made
