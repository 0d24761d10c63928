"""One at a time: what several processes may want to build at the same moment."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def alone(name: Path) -> Iterator[None]:
    """Hold the lock file `name` while building; whoever comes second waits and then finds the work done."""
    name.parent.mkdir(parents=True, exist_ok=True)
    with name.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
