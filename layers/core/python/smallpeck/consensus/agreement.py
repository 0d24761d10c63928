"""What agreeing with others says about a worker: shared by the methods that judge closeness or many parts at once."""

from collections.abc import Callable

from smallpeck.consensus.method import NOTHING_KNOWN, PPM, SkillCounts, Votes


def shown(*, belief: float, agrees: bool) -> tuple[float, float]:
    """Hits and weight that one yes-or-no judgement gives, where others hold its one side true with chance `belief`.

    `agrees` says whether the worker took that side. Both are less what chance agreement would give, so that hits over
    weight is an unbiased accuracy where `belief` is calibrated; a belief of one half weighs nothing.
    """
    squares = belief**2 + (1 - belief) ** 2
    chance = 1 - squares
    return (belief if agrees else 1 - belief) - chance, squares - chance


def topped_up(*, votes: Votes, agreement: Callable[[Votes, str], SkillCounts]) -> dict[str, SkillCounts]:
    """By worker, agreement with all other votes less what was credited; who was credited in full is left out."""
    changes = {}
    for worker in sorted(votes):
        rest = {name: vote for name, vote in votes.items() if name != worker}
        change = agreement(rest, votes[worker].answer).minus(votes[worker].credit)
        if change != NOTHING_KNOWN:
            changes[worker] = change
    return changes


def drawn(counts: SkillCounts, *, towards_ppm: float, weight: float) -> float:
    """The share that counts show, in millionths, drawn towards another as if by `weight` answers."""
    return (counts.hits_ppm + towards_ppm * weight) / (counts.weight_ppm / PPM + weight)
