"""Money comes in, is held and let go, is taken back, and what was said wrong is put right."""

from contextlib import suppress

from smallpeck.ledger.accounts import (
    platform_revenue,
    rail_cash,
    requester_available,
    requester_held,
    reserve,
    worker_available,
    worker_receivable,
)
from smallpeck.ledger.corrections import Way
from smallpeck.ledger.funding import deposit_for_testing
from smallpeck.ledger.phases import Hold, pending
from smallpeck.ledger.posting import Entry, EntryKind, Posting
from smallpeck.ledger.service import EntryMismatch, correct, post, resolve, reverse
from tests.sim.books import Stored
from tests.sim.scene import TaskScene
from tests.sim.script import Flow, Script, Step
from tests.support import REQUESTER

UNIT = 1_000_000
RESERVE = reserve("offer-1", 0)
BALANCE, HELD = requester_available(REQUESTER), requester_held(REQUESTER)
ANN, OWED = worker_available("ann"), worker_receivable("ann")


def _nothing(_scene: TaskScene) -> None:
    return


def _deposit(scene: TaskScene) -> None:
    deposit_for_testing(
        requester_id=REQUESTER,
        amount_micros=7 * UNIT,
        currency="USD",
        idempotency_key="k",
        now_ms=scene.now_ms,
        allowed=True,
        max_deposit_micros=10 * UNIT,
        books=scene.books,
        unit=scene.table,
    )
    scene.notes["done"] = True


def _deposit_more(scene: TaskScene) -> None:
    """Another payment of the same requester."""
    scene.deposit(UNIT, key="more")


def _check_deposits(_scene: TaskScene, stored: Stored, _script: Script) -> list[str]:
    deposits = sum(posting["amount_micros"] for entry in stored.entries for posting in entry["postings"])
    balance = stored.balance(BALANCE.path)
    return [] if balance == deposits <= 8 * UNIT else [f"{deposits} came in, the requester has {balance}"]


def _check_deposit(scene: TaskScene, stored: Stored, script: Script) -> list[str]:
    balance = stored.balance(BALANCE.path)
    wanted = {7 * UNIT} if "done" in scene.notes or not script.lost else {0, 7 * UNIT}
    return [] if balance in wanted else [f"the requester paid 7 units and has {balance}"]


def _funded() -> TaskScene:
    scene = TaskScene()
    scene.deposit(10 * UNIT)
    return scene


def _hold(scene: TaskScene) -> None:
    entry = pending(
        entry_id="offer-1/hold",
        currency="USD",
        reference="offer-1",
        holds=[Hold(BALANCE, HELD, ANN, 4 * UNIT)],
        at_ms=scene.now_ms,
    )
    post(entry=entry, alongside=[], books=scene.books, unit=scene.table)


def _resolve(scene: TaskScene) -> None:
    resolve(
        pending_id="offer-1/hold",
        goes_on=True,
        amounts_micros=[3 * UNIT],
        at_ms=scene.now_ms,
        books=scene.books,
        unit=scene.table,
    )


def _void(scene: TaskScene) -> None:
    resolve(pending_id="offer-1/hold", goes_on=False, at_ms=scene.now_ms, books=scene.books, unit=scene.table)


def _void_beside(scene: TaskScene) -> None:
    """The hold ran out while it was decided: of the two, one wins."""
    with suppress(EntryMismatch):
        _void(scene)
        scene.notes["voided"] = True


def _resolve_beside(scene: TaskScene) -> None:
    with suppress(EntryMismatch):
        _resolve(scene)
        scene.notes["posted"] = True


def _held() -> TaskScene:
    scene = _funded()
    _hold(scene)
    return scene


def _check_either(scene: TaskScene, stored: Stored, _script: Script) -> list[str]:
    """Posted or voided, and never both."""
    stand = tuple(stored.balance(account.path) for account in (BALANCE, HELD, ANN))
    posted, voided = (7 * UNIT, 0, 3 * UNIT), (10 * UNIT, 0, 0)
    wrong = [] if stand in (posted, voided) else [f"available, held and earned are {stand}"]
    if "posted" in scene.notes and "voided" in scene.notes:
        wrong.append("the hold was posted and voided")
    return wrong


def _settle_hold(scene: TaskScene) -> None:
    if scene.books.entry("offer-1/hold") is not None:
        _resolve(scene)


def _check_hold(scene: TaskScene, stored: Stored, _script: Script) -> list[str]:
    """Nothing stays held, and three of four units went on, once."""
    stand = tuple(stored.balance(account.path) for account in (BALANCE, HELD, ANN))
    held = "offer-1/hold" in stored.entry_ids()
    wanted = (7 * UNIT, 0, 3 * UNIT) if held else (10 * UNIT, 0, 0)
    return [] if stand == wanted else [f"available, held and earned are {stand}, not {wanted}"]


def _reward(scene: TaskScene) -> None:
    """A completed offer: four units to the worker, one of them held back, and a fee."""
    postings = (
        Posting(BALANCE, ANN, 3 * UNIT),
        Posting(BALANCE, RESERVE, UNIT),
        Posting(BALANCE, platform_revenue(), UNIT),
    )
    entry = Entry("offer-1/reward", EntryKind.CREDIT, "USD", "offer-1", postings, scene.now_ms)
    post(entry=entry, alongside=[], books=scene.books, unit=scene.table)


def _rewarded() -> TaskScene:
    scene = _funded()
    _reward(scene)
    return scene


def _withdrawn() -> TaskScene:
    """Two of the worker's three units have left."""
    scene = _rewarded()
    posting = Posting(ANN, rail_cash("gateway"), 2 * UNIT)
    entry = Entry("out", EntryKind.PAYOUT_RESERVE, "USD", "out", (posting,), scene.now_ms)
    post(entry=entry, alongside=[], books=scene.books, unit=scene.table)
    return scene


def _reverse(scene: TaskScene) -> None:
    """The partner takes the offer back: the reserve, then earnings, and the rest is owed."""
    way = Way(sources=(ANN, OWED))
    reverse(
        entry_id="offer-1/reward",
        ways={0: way},
        reference="postback-1",
        at_ms=scene.now_ms,
        books=scene.books,
        unit=scene.table,
    )


def _reverse_part(scene: TaskScene) -> None:
    """Another fact takes back a part, whatever else is taken back beside it."""
    reverse(
        entry_id="offer-1/reward",
        amounts_micros=[UNIT, 0, 0],
        ways={0: Way(sources=(ANN, OWED))},
        reference="postback-2",
        at_ms=scene.now_ms,
        books=scene.books,
        unit=scene.table,
    )


def _check_reversed(_scene: TaskScene, stored: Stored, _script: Script) -> list[str]:
    """What was taken back never exceeds what was moved, and each fact took back once."""
    reversals = [entry for entry in stored.entries if entry["kind"] == "reversal"]
    facts = [entry["reference"] for entry in reversals]
    taken = [0, 0, 0]
    for entry in reversals:
        for number, amount in enumerate(entry["links"][0]["amounts_micros"]):
            taken[number] += amount
    wrong = [] if len(set(facts)) == len(facts) else [f"a fact took back twice: {facts}"]
    if any(amount > moved for amount, moved in zip(taken, (3 * UNIT, UNIT, UNIT), strict=True)):
        wrong.append(f"{taken} were taken back of 3, 1 and 1 units")
    return wrong


def _correct(scene: TaskScene) -> None:
    postings = [Posting(ANN, BALANCE, UNIT)]
    correct(
        entry_id="offer-1/reward",
        postings=postings,
        reference="case-1",
        at_ms=scene.now_ms,
        books=scene.books,
        unit=scene.table,
    )


def _check_corrected(_scene: TaskScene, stored: Stored, _script: Script) -> list[str]:
    stand = (stored.balance(BALANCE.path), stored.balance(ANN.path))
    return [] if stand == (6 * UNIT, 2 * UNIT) else [f"after the correction there are {stand}"]


FLOWS: tuple[Flow, ...] = (
    Flow("deposit", TaskScene, (Step("deposit", _deposit),), _nothing, _check_deposit, money="funding"),
    Flow(
        "hold", _funded, (Step("hold", _hold), Step("resolve", _resolve)), _settle_hold, _check_hold, money="reversal"
    ),
    Flow(
        "deposit_two",
        TaskScene,
        (Step("deposit", _deposit, rival=_deposit_more),),
        _nothing,
        _check_deposits,
        money="funding",
    ),
    Flow(
        "hold_or_void",
        _held,
        (Step("resolve", _resolve_beside, rival=_void_beside),),
        _resolve_beside,
        _check_either,
        money="reversal",
    ),
    Flow(
        "reversal_beside",
        _withdrawn,
        (Step("reverse", _reverse, rival=_reverse_part),),
        _nothing,
        _check_reversed,
        money="reversal",
    ),
    Flow("reversal", _withdrawn, (Step("reverse", _reverse),), _reverse, _check_reversed, pairs=True, money="reversal"),
    Flow(
        "reversal_twice",
        _withdrawn,
        (Step("reverse a part", _reverse_part), Step("reverse", _reverse)),
        _nothing,
        _check_reversed,
        money="reversal",
    ),
    Flow("correction", _rewarded, (Step("correct", _correct),), _correct, _check_corrected, money="reversal"),
)
