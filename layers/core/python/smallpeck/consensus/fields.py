"""Free-form fields, as in data entry and verification: each field of an answer is a choice with open options.

An answer is a JSON object of named values: text, numbers, true or false, or null for "cannot tell". A value that is
missing, or blank, is null; null is an answer like others. A field's values are compared by its normaliser
(`normalisers`), then decided by the one-coin model of single choice (`choice`).
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from smallpeck.consensus.agreement import topped_up
from smallpeck.consensus.choice import Choice
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, SkillCounts, Vote, Votes
from smallpeck.consensus.normalisers import Normaliser, normaliser_of, plain
from smallpeck.kernel.ids import canonical_json

CANNOT_TELL = canonical_json(None)


@dataclass(frozen=True, slots=True)
class Field:
    """A field by its name: how values of it are compared."""

    name: str
    normaliser: Normaliser


class Fields:
    """Objects of named fields. See `Method`.

    `fields` is `{<name>: {"normaliser": <name>, ...}}` as `normaliser_of` takes it. A worker has one skill, how often
    they are right about a field. What one can type has no end, but of the wrong values few are likely ones: `options`
    is how many values of a field are taken to be likely before the first answer, wrong answers falling evenly on them.
    `target_ppm`, like a budget's target, is for each field. An answer that is not an object takes its seat and says
    nothing. Raises ValueError for no fields, or settings of a field that do not exist.
    """

    def __init__(self, fields: Mapping[str, Mapping[str, Any]], options: int = 5, target_ppm: int = 930_000) -> None:
        if not isinstance(fields, Mapping) or not fields:
            raise ValueError("there is at least one field")
        if not all(isinstance(settings, Mapping) for settings in fields.values()):
            raise ValueError("the settings of a field are an object")
        if options < 2 or not 0 < target_ppm <= PPM:  # noqa: PLR2004
            raise ValueError("options are at least 2, and target_ppm is above 0 and at most 1,000,000")
        self.fields = tuple(Field(name, normaliser_of(fields[name])) for name in sorted(fields))
        self.single = Choice(options=options, target_ppm=target_ppm, spread=1.0)
        self._key_of = lru_cache(maxsize=4096)(self._key)

    def accuracy_ppm(self, *, worker: SkillCounts, population: SkillCounts) -> int:
        """See `Method`: how often the worker is right about one field."""
        return self.single.accuracy_ppm(worker=worker, population=population)

    def cast(self, *, votes: Votes, answer: str, accuracy_ppm: int) -> Vote:
        """See `Method`."""
        return Vote(answer, accuracy_ppm, self.agreement(votes, answer))

    def agreement(self, votes: Votes, answer: str) -> SkillCounts:
        """What an answer says about the skill of who gave it, judged by others' `votes`, field by field."""
        mine = read(answer)
        total = NOTHING_KNOWN
        if mine is not None:
            for field in self.fields:
                others = self._votes_on(field, votes)
                total = total.plus(self.single.agreement(votes=others, answer=self._key_of(field, mine[field.name])))
        return total

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        """See `Method`: of the fields that the known answer has, how many are right."""
        mine, truth = read(answer), read(gold)
        if truth is None:
            return NOTHING_KNOWN
        known = [field for field in self.fields if field.name in truth.values]
        right = 0
        if mine is not None:
            right = sum(self._key_of(one, mine[one.name]) == self._key_of(one, truth[one.name]) for one in known)
        return SkillCounts(PPM * right, PPM * len(known))

    def closing_credits(self, *, votes: Votes) -> dict[str, SkillCounts]:
        """See `Method`."""
        return topped_up(votes=votes, agreement=self.agreement)

    def decide(self, *, task_id: str, votes: Votes, budget: Budget) -> Decision:
        """See `Method`. `parts_ppm` has one confidence per field, by the names of the fields in their sorted order.

        The confidence is their product, the chance that all are right: exact if errors on fields are independent, and
        cautious if they come together. Final when every field is, as `Choice.decide` says.
        """
        missing = max(0, budget.max_answers - len(votes))
        readable = sum(1 for vote in votes.values() if read(vote.answer) is not None)
        if not readable:
            return Decision(None, 0, tied=False, final=missing == 0)
        within = Budget(budget.min_answers, readable + missing, budget.target_ppm)
        found: dict[str, Decision] = {}
        values: dict[str, Any] = {}
        for field in self.fields:
            mine = self._votes_on(field, votes)
            one = self.single.decide(task_id=f"{task_id}\0{field.name}", votes=mine, budget=within)
            found[field.name] = one
            values[field.name] = self._shown(field, one.answer or CANNOT_TELL, votes)
        return Decision(
            answer=canonical_json(values),
            confidence_ppm=round(PPM * math.prod(one.confidence_ppm / PPM for one in found.values())),
            tied=any(one.tied for one in found.values()),
            final=all(one.final for one in found.values()),
            parts_ppm=tuple(one.confidence_ppm for one in found.values()),
        )

    def expected_change(self, *, votes: Votes, accuracy_ppm: int) -> float:
        """See `Method`: the chance that at least one field changes."""
        stays = [
            1 - self.single.expected_change(votes=self._votes_on(field, votes), accuracy_ppm=accuracy_ppm)
            for field in self.fields
        ]
        return 1 - math.prod(stays)

    def _votes_on(self, field: Field, votes: Votes) -> dict[str, Vote]:
        found = {}
        for worker, vote in votes.items():
            mine = read(vote.answer)
            if mine is not None:
                found[worker] = Vote(self._key_of(field, mine[field.name]), vote.accuracy_ppm)
        return found

    def _shown(self, field: Field, key: str, votes: Votes) -> Any:
        """A decided key as a value: itself, or the variant that most workers typed; of equally common ones, the first
        by spelling.
        """
        if key == CANNOT_TELL or not field.normaliser.as_written:
            return json.loads(key)
        written: Counter[str] = Counter()
        for vote in votes.values():
            mine = read(vote.answer)
            if mine is not None and self._key_of(field, mine[field.name]) == key:
                written[plain(mine[field.name] or "")] += 1
        return min(written, key=lambda text: (-written[text], text))

    @staticmethod
    def _key(field: Field, value: str | None) -> str:
        if value is None or not value.strip():
            return CANNOT_TELL
        return canonical_json(field.normaliser.key(value))


@dataclass(frozen=True, slots=True)
class Filled:
    """The values of an answer, as text; None for "cannot tell"."""

    values: Mapping[str, str | None]

    def __getitem__(self, name: str) -> str | None:
        return self.values.get(name)


@lru_cache(maxsize=4096)
def read(answer: str) -> Filled | None:
    """The values in an answer; None for what is not an object."""
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return Filled({name: _typed(one) for name, one in value.items()})


def _typed(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return canonical_json(value)
