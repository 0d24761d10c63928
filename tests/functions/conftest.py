"""A deployed platform for each test."""

from collections.abc import Iterator

import pytest

from smallpeck.runtime.wiring import wired
from tests.functions.world import Platform


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform()
    with wired(made.wiring):
        yield made
