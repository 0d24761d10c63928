"""What the simulation is worth: every money bug that is planted is found out, and the platform as it is has none."""

from collections.abc import Iterator

import pytest

from tests.sim import mutants
from tests.sim.mutants import MUTANTS
from tests.sim.scene import SeededEntropy
from tests.sim.sweep import Stages

AT_LEAST = 25


@pytest.fixture
def stages() -> Iterator[Stages]:
    with SeededEntropy("1") as entropy:
        yield Stages(entropy, "1")


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= AT_LEAST


@pytest.mark.parametrize("name", MUTANTS)
def test_the_planted_bug_is_found_out(name: str, stages: Stages) -> None:
    found = mutants.hunt(MUTANTS[name], stages)
    assert found is not None, MUTANTS[name].breaks
