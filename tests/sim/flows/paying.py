"""Money leaves to a worker: asked for, frozen into a run, sent, settled, released or asked about; and comes back."""

from collections.abc import Callable
from functools import partial

from smallpeck.payouts import events, running
from smallpeck.payouts.events import EventPorts
from smallpeck.payouts.model import Answer, Fact, PayoutState
from smallpeck.payouts.rails.port import News, RailEvent
from smallpeck.payouts.runs import run_id_of
from tests.sim import payments
from tests.sim.books import Stored
from tests.sim.scene import PayoutScene
from tests.sim.script import Flow, Script, Step
from tests.unit.payouts.world import DAY, FIVE

RUN = run_id_of("op", "run")
RAIL_WINDOW_SECONDS = 29 * DAY


def _earned(address: str) -> PayoutScene:
    scene = PayoutScene()
    scene.earn("ann", FIVE + 123_456, address=address)
    return scene


def _rich(address: str) -> PayoutScene:
    """Enough for two payouts, were the request counted twice."""
    scene = PayoutScene()
    scene.earn("ann", 2 * FIVE + 123_456, address=address)
    return scene


def _ask_for_five(scene: PayoutScene) -> None:
    scene.ask("ann", FIVE)


def _ask_otherwise(scene: PayoutScene) -> None:
    """The same worker asks on another phone."""
    scene.ask("ann", FIVE, key="other")


def _take_by_another(scene: PayoutScene) -> None:
    """Two operators start runs at the same time."""
    running.freeze(run_id=scene.start_run("other").run_id, ports=scene.ports)


def _asked(address: str) -> PayoutScene:
    scene = _earned(address)
    _ask(scene)
    return scene


def started(address: str) -> PayoutScene:
    scene = _asked(address)
    _start(scene)
    return scene


def _frozen(address: str) -> PayoutScene:
    scene = _asked(address)
    _start(scene)
    _freeze(scene)
    return scene


def _sent(address: str) -> PayoutScene:
    scene = _frozen(address)
    _send(scene)
    return scene


def _ask(scene: PayoutScene) -> None:
    scene.ask("ann")


def _start(scene: PayoutScene) -> None:
    scene.start_run("run")


def _freeze(scene: PayoutScene) -> None:
    running.freeze(run_id=RUN, ports=scene.ports)


def _send(scene: PayoutScene) -> None:
    run = running.read_run(run_id=RUN, payouts=scene.payouts)
    for chunk in range(run.chunks):
        running.send(run_id=RUN, chunk=chunk, ports=scene.ports)


def _query(scene: PayoutScene) -> None:
    scene.query(RUN)


def _query_chunk(scene: PayoutScene) -> None:
    running.query(run_id=RUN, chunk=0, ports=scene.ports)


def _end(scene: PayoutScene) -> None:
    running.end(run_id=RUN, ports=scene.ports)


def settle(scene: PayoutScene) -> None:
    """Runs go on being started, and each asks about what earlier ones left open."""
    for number in range(3):
        scene.aws.clock.advance(1_000)
        if not _OPEN.intersection(_payouts(scene)):
            return
        scene.run(f"later {number}", rounds=4)


_OPEN = frozenset({PayoutState.REQUESTED, PayoutState.IN_RUN, PayoutState.SENDING, PayoutState.UNKNOWN})


def _payouts(scene: PayoutScene) -> list[PayoutState]:
    states = (item["state"]["S"] for item in scene.aws.dynamodb.dump("platform") if item["sk"]["S"] == "PAYOUT")
    return [PayoutState(state) for state in states]


def check(scene: PayoutScene, stored: Stored, script: Script) -> list[str]:
    """Past the rail's window an unknown payout stays so, and a person is called."""
    return payments.problems(scene, stored, drained=script.gap_seconds < DAY)


def _check_asked(scene: PayoutScene, stored: Stored, script: Script) -> list[str]:
    """One request is one payout, however often it comes."""
    wrong = check(scene, stored, script)
    asked = len(stored.items["PAYOUT"])
    if asked != 1 and not (script.lost and asked == 0):
        wrong.append(f"one payout was asked for, and there are {asked}")
    return wrong


def _paid_run(address: str) -> PayoutScene:
    scene = _sent(address)
    _end(scene)
    return scene


def _came_back(scene: PayoutScene) -> None:
    """The rail says, weeks later, that the money came back."""
    (item,) = [one for one in scene.aws.dynamodb.dump("platform") if one["sk"]["S"] == "PAYOUT"]
    news = News(item["payout_id"]["S"], Answer(Fact.RETURNED, reason="account_closed"))
    event = RailEvent("event-1", "payout.returned", (news,))
    ports = EventPorts(
        payouts=scene.payouts,
        books=scene.books,
        unit=scene.table,
        clock=scene.ports.clock,
        signals=scene.ports.signals,
        events=scene.payouts,
        waiting=_NobodyWaits(),
    )
    events.receive(rail="gateway", event=event, ports=ports)
    scene.notes["came_back"] = True


class _NobodyWaits:
    def tell(self, token: str) -> None:
        raise AssertionError(f"nobody waits under {token}")


def _check_returned(scene: PayoutScene, stored: Stored, script: Script) -> list[str]:
    wrong = payments.problems(scene, stored, drained=True)
    balance = stored.balance("worker:ann:available")
    back = "came_back" in scene.notes or not script.lost
    if back and balance != FIVE + 123_456:
        wrong.append(f"the money came back, and the worker has {balance}")
    return wrong


def _flow(name: str, build: Callable[[str], PayoutScene], address: str, *steps: Step, pairs: bool = False) -> Flow:
    return Flow(name, partial(build, address), steps, settle, check, pairs=pairs, narrow=len(steps) > 1, money="payout")


ASK, START = Step("ask", _ask), Step("start", _start)
FREEZE, SEND = Step("freeze", _freeze), Step("send", _send, follows=True)
QUERY, END = Step("query", _query, follows=True), Step("end", _end, follows=True)

FLOWS = (
    _flow("payout_started", _asked, "ann@example.com", START),
    _flow("payout", _earned, "ann@example.com", ASK, START, FREEZE, SEND, END),
    Flow(
        "payout_asked",
        partial(_rich, "ann@example.com"),
        (Step("ask", _ask_for_five),),
        settle,
        _check_asked,
        pairs=True,
        money="payout",
    ),
    _flow("payout_two_asked", _earned, "ann@example.com", Step("ask", _ask_for_five, rival=_ask_otherwise)),
    _flow("payout_two_runs", started, "ann@example.com", Step("freeze", _freeze, rival=_take_by_another)),
    _flow("payout_frozen", started, "ann@example.com", Step("freeze", _freeze), pairs=True),
    _flow("payout_sent", _frozen, "ann@example.com", Step("send", _send), pairs=True),
    _flow("payout_ended", _sent, "ann@example.com", Step("end", _end)),
    _flow("payout_refused", _frozen, "refuse-ann@example.com", Step("send", _send)),
    _flow("payout_unknown", _sent, "timeout-after-ann@example.com", Step("query", _query_chunk), pairs=True),
    _flow("payout_lost", _sent, "timeout-before-ann@example.com", Step("query", _query_chunk)),
    _flow("payout_straggler", _sent, "straggler-ann@example.com", Step("query", _query), Step("query again", _query)),
    _flow("payout_late", _sent, "late-ann@example.com", Step("query", _query), Step("query again", _query)),
    Flow(
        "payout_returned",
        partial(_paid_run, "ann@example.com"),
        (Step("webhook", _came_back, message=True),),
        settle,
        _check_returned,
        pairs=True,
        money="return",
    ),
)
