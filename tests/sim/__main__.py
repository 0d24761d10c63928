"""Plays the simulation; the last line is a summary, and the exit is 1 where something was wrong.

python -m tests.sim [--seed S] [--attempts N] [--flow F] [--jobs N] [--from BLOCK] [--everything] [--no-mutants]
python -m tests.sim --flow F --faults "7:timeout after commit, 12:race" [--gap SECONDS] [--duplicate] [--lost]
    [--sdk TRIES]
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tests.sim import mutants, pool, sweep
from tests.sim.flows import FLOWS
from tests.sim.play import Stage, shrunk
from tests.sim.scene import SeededEntropy
from tests.sim.script import GAPS_SECONDS, Script, read_strikes, spell
from tests.sim.sweep import Stages, Tally, Unit

ATTEMPTS = 300_000
PROGRESS_SECONDS = 60
VIOLATIONS_SHOWN = 10


def say(text: str) -> None:
    """A line for who waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> int:
    """Plays; returns the exit code."""
    asked = _arguments(words)
    flows = [asked.flow] if asked.flow else list(FLOWS)
    say(f"commit {commit()}, seed {asked.seed}")
    if asked.faults is not None:
        return _replay(asked)
    total, sites, blocks = Tally(), 0, asked.start
    with SeededEntropy(asked.seed) as entropy:
        stages = Stages(entropy, asked.seed, everything=asked.everything)
        sites = sum(len(sweep.sites(stages.of(name))) for name in flows)
        fixed = [] if asked.start else sweep.plan(stages, flows)
    began = told = time.monotonic()
    try:
        for unit, tally in pool.tallies(
            _work(fixed, flows, asked), seed=asked.seed, jobs=asked.jobs, everything=asked.everything
        ):
            enough = blocks >= asked.start + len(flows) and total.attempts >= asked.attempts
            if unit.kind == "seed" and enough:
                break
            total.join(tally)
            blocks += unit.kind == "seed"
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                say(f"{total.attempts} attempts, {len(total.violations)} violations, --from {blocks}")
    except KeyboardInterrupt:
        say(f"stopped; go on with --from {blocks}")
    alive = _survivors(asked, began)
    _show(total, asked)
    say(f"{time.monotonic() - began:.0f} s, {total.invocations} invocations, trace {total.digest}")
    say(json.dumps(_summary(total, sites, alive, asked)))
    return 1 if total.violations or alive else 0


def commit() -> str:
    """The commit that is checked out."""
    with suppress(OSError, subprocess.CalledProcessError):
        here = Path(__file__).resolve().parent
        said = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, check=True)  # noqa: S607
        return said.stdout.decode().strip()
    return "unknown"


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="every money flow, every fault")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS, help="go on with seeded runs until there are so many")
    parser.add_argument("--flow", choices=list(FLOWS), help="only this flow")
    parser.add_argument("--jobs", type=int, default=pool.cores())
    parser.add_argument("--from", dest="start", type=int, default=0, help="go on with this block of seeded runs")
    parser.add_argument("--everything", action="store_true", help="all pairs of faults for every flow")
    parser.add_argument("--no-mutants", dest="mutants", action="store_false")
    parser.add_argument("--faults", help='play one run: "<position>:<fault>, ..."')
    parser.add_argument("--gap", type=int, default=GAPS_SECONDS[0])
    parser.add_argument("--duplicate", action="store_true")
    parser.add_argument("--lost", action="store_true")
    parser.add_argument("--sdk", type=int, default=1)
    asked = parser.parse_args(words)
    if asked.faults is not None and asked.flow is None:
        parser.error("--faults needs --flow")
    return asked


def _work(fixed: Sequence[Unit], flows: Sequence[str], asked: argparse.Namespace) -> Iterator[Unit]:
    yield from fixed
    yield from sweep.seeded(flows, asked.start)


def _survivors(asked: argparse.Namespace, began: float) -> list[str]:
    """The mutants that nothing found out."""
    if not asked.mutants:
        return []
    names = [name for name, one in mutants.MUTANTS.items() if asked.flow in (None, one.flow)]
    alive = [name for name, found in pool.killed(names, seed=asked.seed, jobs=asked.jobs) if found is None]
    for name in alive:
        say(f"SURVIVED {name}: {mutants.MUTANTS[name].breaks} ({mutants.MUTANTS[name].flow})")
    say(f"{time.monotonic() - began:.0f} s, {len(names) - len(alive)} of {len(names)} mutants found out")
    return alive


def _show(total: Tally, asked: argparse.Namespace) -> None:
    with SeededEntropy(asked.seed) as entropy:
        stages = Stages(entropy, asked.seed)
        for flow, script, problems in total.violations[:VIOLATIONS_SHOWN]:
            small = shrunk(stages.of(flow), script)
            say(f"VIOLATION {flow}: {'; '.join(problems)}")
            say(f"    python -m tests.sim --seed {asked.seed} --flow {flow} {small.arguments()}")


def _summary(total: Tally, sites: int, alive: Sequence[str], asked: argparse.Namespace) -> dict[str, object]:
    planted = [one for one in mutants.MUTANTS.values() if asked.flow in (None, one.flow)] if asked.mutants else []
    return {
        "attempts": total.attempts,
        "runs": total.runs,
        "call_sites": sites,
        "faults": total.struck,
        "violations": len(total.violations),
        "mutants": len(planted),
        "mutants_killed": len(planted) - len(alive),
        "seed": asked.seed,
    }


def _replay(asked: argparse.Namespace) -> int:
    script = Script(read_strikes(asked.faults), asked.duplicate, asked.gap, asked.lost, asked.sdk)
    with SeededEntropy(asked.seed) as entropy:
        stage = Stage(FLOWS[asked.flow], entropy, asked.seed)
        played = stage.play(script)
        for number, label in enumerate(played.sites):
            struck = spell([one for one in script.strikes if one[0] == number])
            say(f"{number:4} {label} {struck}")
        say("\n".join(stage.scene.aws.hook.lines))
        for problem in played.problems:
            say(f"VIOLATION {problem}")
        say(f"trace {played.digest}")
    return 1 if played.problems else 0


if __name__ == "__main__":
    sys.exit(main())
