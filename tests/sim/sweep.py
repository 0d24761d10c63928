"""What is played: every fault at every call, pairs of faults, and runs by seed; and what came of it.

The work is cut into units that follow from their number alone, so that as many processes as there are may play them and
the sum, digest included, is the same.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.aws import Fault
from tests.sim.flows import FLOWS
from tests.sim.hook import accepts, is_read
from tests.sim.play import Played, Stage
from tests.sim.scene import SeededEntropy
from tests.sim.script import GAPS_SECONDS, Flow, Script

RUNS_PER_UNIT = 50
_SAME_ON_READS = frozenset({Fault.CRASH_AFTER, Fault.ERROR_AFTER, Fault.TIMEOUT_AFTER})
"""A read changes nothing, so that these are those of before the commit once more."""


@dataclass(frozen=True)
class Unit:
    """A part of the work. `number` is the call of the first fault, or which of the blocks of seeded runs."""

    kind: str
    flow: str
    number: int


@dataclass
class Tally:
    """What units came to. `violations` are (flow, script, what is wrong)."""

    attempts: int = 0
    invocations: int = 0
    runs: int = 0
    struck: int = 0
    violations: list[tuple[str, Script, tuple[str, ...]]] = field(default_factory=list)
    digest: str = ""

    def add(self, flow: str, script: Script, played: Played) -> None:
        """Counts a run."""
        self.attempts += played.attempts
        self.invocations += played.invocations
        self.runs += 1
        self.struck += played.struck
        self.digest = hashlib.sha256((self.digest + played.digest).encode()).hexdigest()
        if played.problems:
            self.violations.append((flow, script, played.problems))

    def join(self, other: "Tally") -> None:
        """Adds the sums of another one."""
        self.attempts += other.attempts
        self.invocations += other.invocations
        self.runs += other.runs
        self.struck += other.struck
        self.violations += other.violations
        self.digest = hashlib.sha256((self.digest + other.digest).encode()).hexdigest()


class Stages:
    """The scenes of a process, each built when it is first asked for."""

    def __init__(self, entropy: SeededEntropy, seed: str, *, everything: bool = False) -> None:
        """`everything`: no flow is played in a narrow way."""
        self.seed = seed
        self.everything = everything
        self._entropy = entropy
        self._built: dict[str, Stage] = {}

    def of(self, name: str) -> Stage:
        """The scene of a flow."""
        if name not in self._built:
            self._built[name] = self.new(FLOWS[name])
        return self._built[name]

    def new(self, flow: Flow) -> Stage:
        """A scene of its own."""
        return Stage(flow, self._entropy, self.seed)


def sites(stage: Stage) -> Sequence[str]:
    """The calls of a flow when nothing goes wrong."""
    return stage.play(Script()).sites


def singles(labels: Sequence[str], at: int, gaps: Sequence[int] = GAPS_SECONDS) -> Iterator[Script]:
    """Every fault at one call, delivered twice or not, with every gap; never again; with an SDK that tries again."""
    for fault in Fault:
        if not accepts(labels[at], fault):
            continue
        strikes = ((at, fault),)
        for gap in gaps:
            for duplicate in (False, True):
                yield Script(strikes, duplicate=duplicate, gap_seconds=gap)
        yield Script(strikes, gap_seconds=gaps[-1], lost=True)
        yield Script(strikes, duplicate=True, gap_seconds=gaps[0], sdk=5)


def different(label: str) -> Iterator[Fault]:
    """The faults of a call that are not another one of the same call by another name."""
    for fault in Fault:
        if accepts(label, fault) and not (fault in _SAME_ON_READS and is_read(label)):
            yield fault


def pairs(stage: Stage, labels: Sequence[str], at: int) -> Iterator[tuple[Script, Played]]:
    """Every fault at one call, with every fault at every later call that the run with the first one makes."""
    for first in different(labels[at]):
        once = stage.play(Script(((at, first),)))
        for later in range(at + 1, len(once.sites)):
            for second in different(once.sites[later]):
                script = Script(((at, first), (later, second)))
                yield script, stage.play(script)


def by_seed(seed: str, flow: str, number: int, calls: int) -> Script:
    """One to four faults at random."""
    random = Random(f"{seed}:{flow}:{number}")
    faults = list(Fault)
    places = sorted(random.sample(range(2 * calls), min(2 * calls, random.choice((1, 2, 2, 3, 3, 4)))))
    return Script(
        tuple((at, random.choice(faults)) for at in places),
        duplicate=random.random() < 0.5,
        gap_seconds=random.choice(GAPS_SECONDS),
        lost=random.random() < 0.15,
        sdk=random.choice((1, 1, 5)),
    )


def play(unit: Unit, stages: Stages) -> Tally:
    """Plays a unit."""
    stage, tally = stages.of(unit.flow), Tally()
    labels = sites(stage)
    match unit.kind:
        case "single":
            gaps = GAPS_SECONDS[1:2] if FLOWS[unit.flow].narrow and not stages.everything else GAPS_SECONDS
            for script in singles(labels, unit.number, gaps):
                tally.add(unit.flow, script, stage.play(script))
        case "pair":
            for script, played in pairs(stage, labels, unit.number):
                tally.add(unit.flow, script, played)
        case "seed":
            for number in range(unit.number * RUNS_PER_UNIT, (unit.number + 1) * RUNS_PER_UNIT):
                script = by_seed(stages.seed, unit.flow, number, len(labels))
                tally.add(unit.flow, script, stage.play(script))
        case _:
            raise ValueError(f"no such kind of unit: {unit.kind}")
    return tally


def plan(stages: Stages, flows: Sequence[str]) -> list[Unit]:
    """Single faults of some flows, and pairs of those that ask for them or, where everything is played, of all."""
    units = []
    for name in flows:
        calls = len(sites(stages.of(name)))
        units += [Unit("single", name, at) for at in range(calls)]
        if FLOWS[name].pairs or stages.everything:
            units += [Unit("pair", name, at) for at in range(calls)]
    return units


def seeded(flows: Sequence[str], start: int = 0) -> Iterator[Unit]:
    """Blocks of seeded runs, for ever, each of another flow in turn; `start` is how many blocks were played before."""
    number = start
    while True:
        yield Unit("seed", flows[number % len(flows)], number // len(flows))
        number += 1
