"""A requester pays by a provider's checkout, disputes the payment, and gets it decided."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ReadTimeoutError

from smallpeck.funding import checkouts, hearing
from smallpeck.funding.checkouts import Opening
from smallpeck.funding.model import Disputed, DisputeState, Fact, Paid, Refunded
from smallpeck.funding.port import CheckoutOrder, FundingEvent, ProviderSilent, Session
from smallpeck.funding.settling import Ports
from smallpeck.funding.store import FundingStore
from smallpeck.tasks import steering
from tests.sim import work
from tests.sim.books import Stored
from tests.sim.flows import answers
from tests.sim.hook import RAIL, RailTrouble, SimAws
from tests.sim.scene import TaskScene
from tests.sim.script import Flow, Script, Step
from tests.support import REQUESTER

HUNDRED = 100_000_000
SOURCE = "stripe"
AVAILABLE, OWED = f"requester:{REQUESTER}:available", f"requester:{REQUESTER}:receivable"


@dataclass
class SimCheckouts:
    """A provider of checkouts behind the hook, which knows an order again by its id."""

    aws: SimAws
    sessions: dict[str, CheckoutOrder] = field(default_factory=dict)
    paid: dict[str, Paid] = field(default_factory=dict)
    source: str = SOURCE

    def open(self, order: CheckoutOrder) -> Session:
        """See `smallpeck.funding.port.Checkouts`."""

        def act() -> Session:
            self.sessions.setdefault(f"cs_{order.deposit_id}", order)
            return Session(f"cs_{order.deposit_id}", f"https://checkout.test/{order.deposit_id}")

        session: Session = self._call("Open", act)
        return session

    def look(self, session_id: str) -> Fact | None:
        """See `smallpeck.funding.port.Checkouts`."""
        fact: Fact | None = self._call("Look", lambda: self.paid.get(session_id))
        return fact

    def deposit_of(self, payment_id: str) -> str | None:
        """See `smallpeck.funding.port.Checkouts`."""
        found = [session for session, paid in self.paid.items() if paid.payment_id == payment_id]
        deposit_id: str | None = self._call("DepositOf", lambda: found[0].removeprefix("cs_") if found else None)
        return deposit_id

    def _call(self, operation: str, act: Any) -> Any:
        try:
            return self.aws.hook.run(RAIL, operation, {"TableName": SOURCE}, act)
        except (RailTrouble, ReadTimeoutError) as error:
            raise ProviderSilent("no answer") from error


class FundingScene(TaskScene):
    """A requester, and who they pay with."""

    def __init__(self) -> None:
        super().__init__()
        self.provider = SimCheckouts(self.aws)
        self.funding = FundingStore(self.table)
        self.alarms: Counter[str] = Counter()

    @property
    def ports(self) -> Ports:
        """What funding needs."""
        return Ports(self.funding, self.books, self.table, self.provider, self, self)

    def pause_all(self, requester_id: str, /) -> None:
        """See `smallpeck.funding.settling.Batches`."""
        steering.pause_all(requester_id=requester_id, reads=self.tasks, unit=self.table)

    def alarm(self, alarm: Any, _subject: str, /) -> None:
        """See `smallpeck.funding.bank.Signals`."""
        self.alarms[alarm] += 1

    def containers(self) -> list[Any]:
        return [*super().containers(), self.provider.sessions, self.provider.paid, self.alarms]

    def hear(self, name: str, fact: Fact) -> None:
        """The provider says something."""
        event = FundingEvent(SOURCE, name, name, fact, self.notes.get("deposit"))
        hearing.hear(event=event, now_ms=self.now_ms, ports=self.ports)


def _open(scene: FundingScene) -> None:
    deposit = checkouts.open_checkout(
        requester_id=REQUESTER,
        amount_micros=HUNDRED,
        currency="USD",
        idempotency_key="k",
        now_ms=scene.now_ms,
        opening=Opening(scene.funding, scene.table, scene.provider),
    )
    scene.notes["deposit"] = deposit.deposit_id


def _pay(scene: FundingScene) -> None:
    """The requester pays at the provider; nobody else sees it."""
    for session, order in list(scene.provider.sessions.items()):
        scene.provider.paid[session] = Paid("pi_1", order.amount_micros, order.currency)
        scene.notes["deposit"] = order.deposit_id


def _hear_paid(scene: FundingScene) -> None:
    for paid in list(scene.provider.paid.values()):
        scene.hear("paid", paid)


def _hear_dispute(scene: FundingScene) -> None:
    scene.hear("disputed", Disputed("pi_1", "du_1", HUNDRED, "USD"))


def _hear_won(scene: FundingScene) -> None:
    scene.hear("won", Disputed("pi_1", "du_1", HUNDRED, "USD", DisputeState.WON))


def _hear_lost(scene: FundingScene) -> None:
    scene.hear("lost", Disputed("pi_1", "du_1", HUNDRED, "USD", DisputeState.LOST))


def _hear_refund(scene: FundingScene) -> None:
    scene.hear("refunded", Refunded("pi_1", HUNDRED // 4, "USD"))


def _paid_scene() -> FundingScene:
    scene = FundingScene()
    for act in (_open, _pay, _hear_paid):
        act(scene)
    return scene


def _spent() -> FundingScene:
    """A part of the money is in the escrow of open work, and some of that is paid to a worker."""
    scene = _paid_scene()
    scene.publish(scene.ready(2, min_answers=2, max_answers=2, page_size=2, consensus=answers.LEARNING))
    page = scene.leased("ann")
    scene.submit(page)
    scene.grade(page.page_id)
    scene.nudged.clear()
    return scene


def _settle(scene: FundingScene) -> None:
    """The provider sends its events until they are heard; the watch looks after the rest."""
    scene.aws.clock.advance(1_000)
    hearing.look_after(now_ms=scene.now_ms, ports=scene.ports)


def _check_paid(scene: FundingScene, stored: Stored, _script: Script) -> list[str]:
    """What the provider has is the requester's, once."""
    came = sum(paid.amount_micros for paid in scene.provider.paid.values())
    balance = stored.balance(AVAILABLE)
    return [] if balance == came else [f"the provider has {came}, the requester {balance}"]


def _check_disputed(scene: FundingScene, stored: Stored, _script: Script, *, kept: int) -> list[str]:
    """Nothing of the dispute stands between; workers keep what they earned; the rest is taken, owed or back."""
    wrong = work.problems(scene, stored)
    if scene.funding.deposit(scene.notes["deposit"]) is None:
        wrong.append("the deposit is gone")
    sums = stored.sums()
    if sums.get((f"chargeback:{SOURCE}", "USD"), 0):
        wrong.append(f"the chargeback account holds {sums[f'chargeback:{SOURCE}', 'USD']}")
    spent = stored.balance(AVAILABLE) + stored.balance(OWED) + _out(stored)
    if spent != kept:
        wrong.append(f"available, owed and published come to {spent}, not {kept}")
    return wrong


def _out(stored: Stored) -> int:
    """What left the requester's accounts for work, for good or not."""
    sums = stored.sums()
    return sum(micros for (path, _), micros in sums.items() if path.startswith(("escrow:", "worker:", "platform:rev")))


def _check_won(scene: FundingScene, stored: Stored, script: Script) -> list[str]:
    return [] if script.lost else _check_disputed(scene, stored, script, kept=HUNDRED)


def _check_lost(scene: FundingScene, stored: Stored, script: Script) -> list[str]:
    return [] if script.lost else _check_disputed(scene, stored, script, kept=0)


def _check_refunded(scene: FundingScene, stored: Stored, script: Script) -> list[str]:
    return [] if script.lost else _check_disputed(scene, stored, script, kept=HUNDRED * 3 // 4)


def _told(name: str, act: Any) -> Step:
    return Step(name, act, message=True)


DISPUTE = _told("disputed", _hear_dispute)

FLOWS = (
    Flow(
        "checkout",
        FundingScene,
        (Step("open", _open), Step("pay", _pay), _told("paid", _hear_paid)),
        _settle,
        _check_paid,
        money="funding",
    ),
    Flow("chargeback_won", _spent, (DISPUTE, _told("won", _hear_won)), _settle, _check_won, money="chargeback"),
    Flow("chargeback_lost", _spent, (DISPUTE, _told("lost", _hear_lost)), _settle, _check_lost, money="chargeback"),
    Flow("payment_refunded", _spent, (_told("refunded", _hear_refund),), _settle, _check_refunded, money="chargeback"),
)
