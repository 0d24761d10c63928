"""What goes wrong in a run, how it is written down, and what a flow is."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.aws import Fault
from tests.sim.books import Stored

SECOND = 1
GAPS_SECONDS = (30, 700, 31 * 24 * 3600)
"""Between a delivery and the next: at once, past the 10 minutes of request tokens, past every vendor's window."""

_STRIKE = re.compile(r"\s*([0-9]+)\s*:\s*([a-zA-Z0-9 ]+?)\s*")


@dataclass(frozen=True)
class Script:
    """`strikes` are (position of the call in the run, fault). With `duplicate` each step is delivered once more after
    it succeeded; with `lost` one that failed is never delivered again. `sdk` is how often the SDK tries a call.
    """

    strikes: tuple[tuple[int, Fault], ...] = ()
    duplicate: bool = False
    gap_seconds: int = GAPS_SECONDS[0]
    lost: bool = False
    sdk: int = 1

    def arguments(self) -> str:
        """The arguments of the command line that play it again."""
        words = [f'--faults "{spell(self.strikes)}"', f"--gap {self.gap_seconds}"]
        words += ["--duplicate"] * self.duplicate + ["--lost"] * self.lost
        return " ".join([*words, f"--sdk {self.sdk}"])


def spell(strikes: Sequence[tuple[int, Fault]]) -> str:
    """Faults as text: `3:race, 7:timeout after commit`."""
    return ", ".join(f"{at}:{fault.value}" for at, fault in strikes)


def read_strikes(text: str) -> tuple[tuple[int, Fault], ...]:
    """The faults of a text; raises ValueError where it is none."""
    strikes = []
    for part in text.split(",") if text.strip() else []:
        match = _STRIKE.fullmatch(part)
        if match is None:
            raise ValueError(f"not <position>:<fault>: {part}")
        strikes.append((int(match[1]), Fault(match[2])))
    return tuple(strikes)


@dataclass(frozen=True)
class Step:
    """One invocation; when it fails, its client, its queue or its workflow delivers it again. `follows`: a workflow
    takes it only after the step before has ended well. `rival` is what runs beside it in a race: by default the same
    once more, as a duplicate delivery does.
    """

    name: str
    act: Callable[[Any], object]
    follows: bool = False
    rival: Callable[[Any], object] | None = None
    message: bool = False
    """Whether a queue delivers it: then a refusal is no answer, and it comes again."""


@dataclass(frozen=True)
class Flow:
    """What somebody sets off. `build` makes the scene up to there; `settle` is how the platform sees to what is open,
    with no more faults; `check` says what is wrong in the end. With `pairs` it gets all pairs of faults too.
    """

    name: str
    build: Callable[[], Any]
    steps: Sequence[Step]
    settle: Callable[[Any], object]
    check: Callable[[Any, Stored, Script], list[str]]
    pairs: bool = False
    narrow: bool = False
    """Whether other flows play its calls with every gap, so that one gap is enough for it, but in the long run."""
    money: str = ""
    """Which of the money flows it belongs to."""
