"""One emulator for all contract tests of a process."""

from collections.abc import Iterator

import pytest

from local.engine import Engine
from tests.contract.ministack.lab import Lab


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The emulator, with Step Functions waiting twenty times faster."""
    with Engine(wait_scale=0.05) as running:
        yield running


@pytest.fixture(scope="session")
def lab(engine: Engine) -> Lab:
    """Short ways to use the emulator."""
    return Lab(engine)
