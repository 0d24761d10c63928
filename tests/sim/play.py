"""One run of a flow under a script, and what is wrong after it."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from smallpeck.kernel.errors import InProgress, SmallPeckError, Unavailable
from smallpeck.kernel.writes import WriteConflict
from smallpeck.ledger.service import BalanceBehind, EntryMismatch
from smallpeck.tasks.voting import SeatLost
from tests.aws import Crash
from tests.sim import books
from tests.sim.hook import INJECTED
from tests.sim.scene import Saved, Scene, SeededEntropy, spelled
from tests.sim.script import Flow, Script, Step

EXTRA_DELIVERIES = 2
_NEVER = (BalanceBehind, EntryMismatch, SeatLost)
"""What no fault may lead to."""
_BUSY = (Unavailable, WriteConflict, InProgress)
"""What an answer says that asks for another try."""


class End(Enum):
    """How an invocation ended."""

    DONE = "done"
    REFUSED = "refused"
    """A final answer, of the sort that no repetition changes."""
    FAILED = "failed"


@dataclass(frozen=True)
class Played:
    """What a run came to. `sites` are the labels of the calls that faults could strike."""

    attempts: int
    invocations: int
    struck: int
    sites: tuple[str, ...]
    problems: tuple[str, ...]
    digest: str


class Stage:
    """A flow's scene as it is before the first step, to be played as often as one likes."""

    def __init__(self, flow: Flow, entropy: SeededEntropy, seed: str) -> None:
        self.flow = flow
        self._entropy = entropy
        self._seed = f"{seed}:{flow.name}"
        entropy.seed(self._seed)
        self.scene: Scene = flow.build()
        self._saved = Saved(self.scene)
        self.invocations = 0
        self._wrong: list[str] = []

    def play(self, script: Script) -> Played:
        """Plays the flow from its beginning."""
        scene, hook = self.scene, self.scene.aws.hook
        self._entropy.seed(self._seed)
        self._saved.restore()
        self.invocations, self._wrong = 0, []
        hook.arm(dict(script.strikes), script.sdk)
        end = End.DONE
        for step in self.flow.steps:
            if end is End.DONE or not step.follows:
                end = self._deliver(step, script)
        hook.disarm()
        self._settle()
        stored = books.read(scene)
        wrong = [*self._wrong, *books.problems(stored), *self.flow.check(scene, stored, script)]
        text = "\n".join(hook.lines) + spelled([stored.entries, stored.rows, stored.balances])
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Played(hook.attempts, self.invocations, hook.struck, tuple(hook.sites), tuple(wrong), digest)

    def _deliver(self, step: Step, script: Script) -> End:
        clock = self.scene.aws.clock
        left = len(script.strikes) + EXTRA_DELIVERIES
        end = self._invoke(step)
        while end is End.FAILED and left and not script.lost:
            clock.advance(script.gap_seconds)
            end = self._invoke(step)
            left -= 1
        if script.duplicate and not (script.lost and end is End.FAILED):
            clock.advance(script.gap_seconds)
            self._invoke(step)
        return end

    def _invoke(self, step: Step) -> End:
        rival = step.rival or step.act
        self.scene.aws.hook.between(lambda: self._guarded(rival, f"the rival of {step.name}", nested=True))
        end = self._guarded(step.act, step.name, nested=False)
        return End.FAILED if end is End.REFUSED and step.message else end

    def _guarded(self, act: Callable[[Any], object], name: str, *, nested: bool) -> End:
        self.invocations += 1
        try:
            act(self.scene)
        except _NEVER as error:
            self._wrong.append(f"{name} raised {type(error).__name__}")
        except _BUSY:
            return End.FAILED
        except SmallPeckError:
            return End.REFUSED
        except (Crash, ReadTimeoutError):
            if nested:
                raise
            return End.FAILED
        except ClientError as error:
            if str(error.response["Error"]["Code"]) not in INJECTED:
                self._wrong.append(f"{name} was answered {error.response['Error']['Code']}")
            return End.FAILED
        except Exception as error:  # noqa: BLE001 - every other one is a bug
            self._wrong.append(f"{name} raised {type(error).__name__}: {error}")
        return End.FAILED if self._wrong else End.DONE

    def _settle(self) -> None:
        try:
            self.flow.settle(self.scene)
        except Exception as error:  # noqa: BLE001 - without faults nothing may fail
            self._wrong.append(f"the platform does not settle by itself: {type(error).__name__}: {error}")


def shrunk(stage: Stage, script: Script) -> Script:
    """A script that fails too, with as few faults and as little else as possible."""
    from dataclasses import replace

    def fails(candidate: Script) -> bool:
        with suppress(RecursionError):
            return bool(stage.play(candidate).problems)
        return False

    smaller = True
    while smaller:
        smaller = False
        fewer = [
            replace(script, strikes=script.strikes[:n] + script.strikes[n + 1 :]) for n in range(len(script.strikes))
        ]
        plainer = [replace(script, duplicate=False), replace(script, lost=False), replace(script, gap_seconds=30)]
        for candidate in [*fewer, *plainer, replace(script, sdk=1)]:
            if candidate != script and fails(candidate):
                script, smaller = candidate, True
                break
    return script
