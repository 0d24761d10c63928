"""Money bugs, planted one at a time while the platform runs. Each must be found out by the faults of its flow.

Where two layers protect the same thing, one would mask the other: such a mutant has the other layers off (`others`),
and what is broken is the one that is left. No file is ever changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.sim import sweep
from tests.sim.breaking import Patch, broken
from tests.sim.flows import FLOWS
from tests.sim.mutations import funding, ledger, payouts, work
from tests.sim.play import Stage
from tests.sim.script import GAPS_SECONDS, Script
from tests.sim.sweep import Stages


@dataclass(frozen=True)
class Mutant:
    """`breaks` says which protection is gone, `flow` where that shows."""

    name: str
    breaks: str
    flow: str
    patches: Sequence[Patch]
    others: Sequence[Patch] = ()


@dataclass(frozen=True)
class Found:
    """What found a mutant out, and how much that took."""

    script: Script
    problems: tuple[str, ...]
    runs: int
    attempts: int


MUTANTS: Mapping[str, Mutant] = {
    name: Mutant(name, *facts)
    for group in (ledger.MUTANTS, work.MUTANTS, payouts.MUTANTS, funding.MUTANTS)
    for name, facts in group.items()
}


def hunt(mutant: Mutant, stages: Stages) -> Found | None:
    """Plays the mutant's flow until something is wrong; None where nothing ever is."""
    runs = attempts = 0
    with broken((*mutant.others, *mutant.patches)):
        stage = stages.new(FLOWS[mutant.flow])
        for script in _scripts(stage):
            played = stage.play(script)
            runs, attempts = runs + 1, attempts + played.attempts
            if played.problems:
                return Found(script, played.problems, runs, attempts)
    return None


def _scripts(stage: Stage) -> Iterator[Script]:
    yield Script()
    yield Script(duplicate=True)
    labels = sweep.sites(stage)
    for first in (Script(), Script(gap_seconds=GAPS_SECONDS[-1]), Script(gap_seconds=GAPS_SECONDS[-1], lost=True)):
        for at, label in enumerate(labels):
            yield from (replace(first, strikes=((at, fault),)) for fault in sweep.different(label))
    for at in range(len(labels)):
        yield from sweep.singles(labels, at)
