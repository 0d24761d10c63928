"""One platform for all end-to-end tests of a process, with Step Functions waiting ten times faster."""

from collections.abc import Iterator

import pytest

from local.running import Platform, running
from tests.e2e.market import Market


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The deployed platform."""
    with running(log_path=tmp_path_factory.mktemp("engine") / "engine.log", wait_scale=0.1) as up:
        yield up


@pytest.fixture(scope="session")
def market(platform: Platform) -> Market:
    """Short ways to put people and work on it."""
    return Market(platform)
