"""Multiple choice: every option is a yes-or-no question of its own, answered by ticking it or not."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from smallpeck.consensus.agreement import shown, topped_up
from smallpeck.consensus.choice import Choice
from smallpeck.consensus.method import NOTHING_KNOWN, PPM, Budget, Decision, SkillCounts, Vote, Votes
from smallpeck.kernel.ids import canonical_json

TICKED = "yes"
LEFT_OUT = "no"


@dataclass(frozen=True, slots=True)
class Multiple:
    """Any of `options` may hold, none and all included. See `Method`.

    An answer is a JSON list of the options ticked, in any order; a decision lists them in the batch's order. A worker
    has one skill, how often they are right about an option. `target_ppm`, like a budget's target, is for each option.
    An answer that is not a list of the batch's options takes its seat and says nothing. Raises ValueError without
    options, or where they are not different texts.
    """

    options: tuple[str, ...]
    target_ppm: int = 930_000

    def __post_init__(self) -> None:
        if isinstance(self.options, str) or not all(isinstance(option, str) and option for option in self.options):
            raise ValueError("options are texts in a list")
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options or len(set(self.options)) < len(self.options):
            raise ValueError("there is at least one option, and each is there once")
        if not 0 < self.target_ppm <= PPM:
            raise ValueError("target_ppm is above 0 and at most 1,000,000")

    def accuracy_ppm(self, *, worker: SkillCounts, population: SkillCounts) -> int:
        """See `Method`: how often the worker is right about one option."""
        return self._single.accuracy_ppm(worker=worker, population=population)

    def cast(self, *, votes: Votes, answer: str, accuracy_ppm: int) -> Vote:
        """See `Method`."""
        return Vote(answer, accuracy_ppm, self.agreement(votes, answer))

    def agreement(self, votes: Votes, answer: str) -> SkillCounts:
        """What an answer says about the skill of who gave it, judged by others' `votes`: a mean over the options.

        Options believed to hold weigh as much together as those believed not to: where few hold, who never ticks
        anything would otherwise be right nearly always. For the same reason a task where only one side is there weighs
        as much as one option. An answer counts as one answer at most, however many options there are.
        """
        ticked = self.read(answer)
        others = self._by_option(votes)
        if ticked is None or not others:
            return NOTHING_KNOWN
        beliefs = {option: self._chance_of_holding(mine) for option, mine in others.items()}
        shares = _balanced(beliefs)
        found = [(shares[option], *shown(belief=beliefs[option], agrees=option in ticked)) for option in self.options]
        hits = math.fsum(share * hit for share, hit, _ in found)
        return SkillCounts(round(PPM * hits), round(PPM * math.fsum(share * weight for share, _, weight in found)))

    def control_credit(self, *, answer: str, gold: str) -> SkillCounts:
        """See `Method`: the share of options that are right, those that hold weighing as much as those that do not."""
        ticked, truth = self.read(answer), self.read(gold)
        if truth is None:
            return NOTHING_KNOWN
        if ticked is None:
            return SkillCounts(0, PPM)
        shares = _balanced({option: float(option in truth) for option in self.options})
        right = math.fsum(shares[option] for option in self.options if (option in ticked) == (option in truth))
        return SkillCounts(round(PPM * right / math.fsum(shares.values())), PPM)

    def closing_credits(self, *, votes: Votes) -> dict[str, SkillCounts]:
        """See `Method`."""
        return topped_up(votes=votes, agreement=self.agreement)

    def decide(self, *, task_id: str, votes: Votes, budget: Budget) -> Decision:
        """See `Method`. `parts_ppm` has one confidence per option of the batch, in its order.

        The confidence is their product, the chance that all are right: exact if errors on options are independent,
        and cautious if they come together on hard tasks. Final when every option is, as `Choice.decide` says.
        """
        missing = max(0, budget.max_answers - len(votes))
        by_option = self._by_option(votes)
        if not by_option:
            return Decision(None, 0, tied=False, final=missing == 0)
        readable = len(by_option[self.options[0]])
        within = Budget(budget.min_answers, readable + missing, budget.target_ppm)
        single = self._single
        found = {
            option: single.decide(task_id=f"{task_id}\0{option}", votes=mine, budget=within)
            for option, mine in by_option.items()
        }
        return Decision(
            answer=canonical_json([option for option in self.options if found[option].answer == TICKED]),
            confidence_ppm=round(PPM * math.prod(one.confidence_ppm / PPM for one in found.values())),
            tied=any(one.tied for one in found.values()),
            final=all(one.final for one in found.values()),
            parts_ppm=tuple(found[option].confidence_ppm for option in self.options),
        )

    def expected_change(self, *, votes: Votes, accuracy_ppm: int) -> float:
        """See `Method`: the chance that at least one option changes."""
        by_option = self._by_option(votes)
        if not by_option:
            return 1.0
        single = self._single
        stays = (1 - single.expected_change(votes=mine, accuracy_ppm=accuracy_ppm) for mine in by_option.values())
        return 1 - math.prod(stays)

    def read(self, answer: str) -> frozenset[str] | None:
        """The options that an answer ticks; None for what is not an answer to this batch."""
        try:
            ticked = json.loads(answer)
        except (ValueError, RecursionError):
            return None
        if not isinstance(ticked, list) or not all(isinstance(one, str) and one in self.options for one in ticked):
            return None
        return frozenset(ticked)

    @property
    def _single(self) -> Choice:
        return Choice(options=2, target_ppm=self.target_ppm)

    def _by_option(self, votes: Votes) -> dict[str, dict[str, Vote]]:
        """Each option's votes for and against it, of those that can be read; empty where none can."""
        readable = {worker: ticked for worker, vote in votes.items() if (ticked := self.read(vote.answer)) is not None}
        if not readable:
            return {}
        return {
            option: {
                worker: Vote(TICKED if option in ticked else LEFT_OUT, votes[worker].accuracy_ppm)
                for worker, ticked in readable.items()
            }
            for option in self.options
        }

    def _chance_of_holding(self, votes: Votes) -> float:
        shares = self._single.confidences(votes=votes)
        return shares[TICKED] if TICKED in shares else 1 - shares[LEFT_OUT]


def _balanced(beliefs: Mapping[str, float]) -> dict[str, float]:
    """By option its share of one answer: the further a belief is from a half the more, but those that hold together as
    much as those that do not. Less than one in all where hardly any is believed to be on the one side, down to the
    share of a single option where none is.
    """
    sure = {option: 2 * belief - 1 for option, belief in beliefs.items()}
    holding = math.fsum(one for one in sure.values() if one > 0)
    failing = math.fsum(-one for one in sure.values() if one < 0)
    if not holding or not failing:
        whole = (holding + failing) * len(sure)
        return {option: abs(one) / whole if whole else 0.0 for option, one in sure.items()}
    half = min(1.0, max(1 / len(sure), 2 * min(holding, failing))) / 2
    return {option: half * abs(one) / (holding if one > 0 else failing) for option, one in sure.items()}
