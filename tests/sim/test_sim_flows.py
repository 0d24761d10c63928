"""The simulation in small: a fault of each kind at every call of every flow, and pairs and seeds of some."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.aws import Fault
from tests.sim import sweep
from tests.sim.flows import FLOWS
from tests.sim.hook import accepts
from tests.sim.play import Played, shrunk
from tests.sim.scene import SeededEntropy
from tests.sim.script import Script, read_strikes, spell
from tests.sim.sweep import Stages, Unit

MONEY_FLOWS = {
    "submit", "approve", "reject", "payout", "return", "reversal", "refund", "funding", "chargeback", "publish",
}  # fmt: skip


@pytest.fixture
def stages() -> Iterator[Stages]:
    with SeededEntropy("1") as entropy:
        yield Stages(entropy, "1")


def test_every_money_flow_is_played() -> None:
    assert {name for flow in FLOWS.values() for name in flow.money.split(", ")} == MONEY_FLOWS


@pytest.mark.parametrize("name", FLOWS)
def test_no_single_fault_breaks_the_books(name: str, stages: Stages) -> None:
    stage = stages.of(name)
    labels = sweep.sites(stage)
    for at, label in enumerate(labels):
        kinds = {Fault.CRASH_AFTER, Fault.RACE, list(Fault)[at % len(Fault)]}
        for fault in sorted(one for one in kinds if accepts(label, one)):
            script = Script(((at, fault),), duplicate=at % 2 == 0, gap_seconds=700)
            assert stage.play(script).problems == (), script.arguments()


@pytest.mark.parametrize("name", ["approve", "payout_sent", "reversal"])
def test_no_pair_that_begins_with_the_last_call_breaks_the_books(name: str, stages: Stages) -> None:
    tally = sweep.play(Unit("pair", name, len(sweep.sites(stages.of(name))) - 1), stages)
    assert tally.runs > 20
    assert tally.violations == []


def test_the_same_seed_twice_is_the_same_trace() -> None:
    digests = []
    for seed in ("1", "1", "2"):
        with SeededEntropy(seed) as entropy:
            stages = Stages(entropy, seed)
            tally = sweep.play(Unit("seed", "approve", 0), stages)
            assert tally.violations == []
            digests.append((tally.digest, tally.attempts))
    assert digests[0] == digests[1] != digests[2]


def test_a_run_leaves_nothing_to_the_next(stages: Stages) -> None:
    stage = stages.of("payout")
    clean = stage.play(Script())
    for fault in Fault:
        stage.play(Script(((5, fault),), duplicate=True, gap_seconds=700))
    assert stage.play(Script()) == clean


def test_what_fails_is_shrunk_and_can_be_written_down(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stages.of("approve")
    real = stage.play

    def play(script: Script) -> Played:
        struck = (3, Fault.RACE) in script.strikes
        return replace(real(script), problems=("it broke",) if struck else ())

    monkeypatch.setattr(stage, "play", play)
    strikes = ((1, Fault.CRASH_BEFORE), (3, Fault.RACE), (6, Fault.TIMEOUT_AFTER))
    small = shrunk(stage, Script(strikes, duplicate=True, gap_seconds=700, lost=True, sdk=5))
    assert small == Script(((3, Fault.RACE),))
    assert read_strikes(spell(strikes)) == strikes
