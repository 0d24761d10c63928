"""What must hold of payouts: each paid at most once, clearing accounts that drain, and a total that is the rail's."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from tests.sim.books import Item, Stored
from tests.sim.scene import PayoutScene

UNDECIDED = frozenset({"requested", "in_run", "sending", "unknown", "unclaimed"})


def problems(scene: PayoutScene, stored: Stored, *, drained: bool) -> list[str]:
    """What is wrong with payouts; `drained`: none may be left undecided."""
    payouts = stored.items["PAYOUT"]
    wrong = [problem for payout in payouts for problem in _payout(scene, stored, payout, drained=drained)]
    times = Counter(payout_id for payout_id, _ in scene.provider.paid)
    orphans = set(times) - {str(payout["payout_id"]) for payout in payouts}
    wrong += [f"something was paid for {one}, which is no payout" for one in sorted(orphans)]
    return [*wrong, *_members(stored), *_accounts(scene, stored, drained=drained)]


def _payout(scene: PayoutScene, stored: Stored, payout: Item, *, drained: bool) -> list[str]:
    payout_id, state = str(payout["payout_id"]), str(payout["state"])
    times = sum(one == payout_id for one, _ in scene.provider.paid)
    ended = _ended(stored, payout_id)
    undecided = state in UNDECIDED
    found = {
        "was never reserved": f"{payout_id}/reserve" not in stored.entry_ids(),
        f"was paid {times} times": times > 1,
        f"has the entries {ended}": ended not in _ENDINGS.get(state, _NONE_YET),
        "was never paid": state == "settled" and not times,
        "was paid and given back": state == "released" and times > 0,
        "is left undecided": undecided and drained,
        "is undecided, and nobody is told": undecided and not drained and not _held(scene, payout_id, state),
    }
    return [f"payout {payout_id} is {state} and {what}" for what, holds in found.items() if holds]


def _ended(stored: Stored, payout_id: str) -> tuple[str, ...]:
    return tuple(what for what in ("settle", "release", "return") if f"{payout_id}/{what}" in stored.entry_ids())


def _accounts(scene: PayoutScene, stored: Stored, *, drained: bool) -> list[str]:
    """Clearing holds what is on its way, and the rail's account what its provider has paid and not got back."""
    reserved = cash = returned = 0
    for payout in stored.items["PAYOUT"]:
        ended, amount = _ended(stored, str(payout["payout_id"])), int(payout["amount_micros"])
        reserved += 0 if ended else amount
        cash += amount - int(payout.get("fee_micros", 0)) if ended == ("settle",) else 0
        returned += amount if payout["state"] == "returned" else 0
    sums = stored.sums()
    clearing, on_rail = sums.get(("rail:gateway:clearing", "USD"), 0), sums.get(("rail:gateway:cash", "USD"), 0)
    paid = sum(micros for _, micros in scene.provider.paid)
    found = {
        f"the clearing account holds {clearing}, on their way are {reserved}": clearing != reserved,
        f"the rail's account says {on_rail}, settled payouts {cash}": on_rail != cash,
        f"the rail's account says {on_rail}, the provider {paid} less {returned} that came back": (
            drained and on_rail != paid - returned
        ),
    }
    return [what for what, holds in found.items() if holds]


def _members(stored: Stored) -> list[str]:
    """A payout that a run has taken is a member of that run and of no other."""
    runs = [(str(row["pk"]).removeprefix("RUN#"), str(row["payout_id"])) for row in stored.items["MEMBER"]]
    taken = [(str(one["run_id"]), str(one["payout_id"])) for one in stored.items["PAYOUT"] if "run_id" in one]
    return [] if sorted(runs) == sorted(taken) else [f"members of runs are {runs}, payouts say {taken}"]


_NONE_YET: frozenset[tuple[str, ...]] = frozenset({()})
_ENDINGS: Mapping[str, AbstractSet[tuple[str, ...]]] = {
    "settled": {("settle",)},
    "released": {("release",)},
    "returned": {("return",), ("settle", "return")},
    "frozen": {(), ("settle",), ("release",), ("return",), ("settle", "return")},
}


def _held(scene: PayoutScene, payout_id: str, state: str) -> bool:
    """Whether somebody is called for it; one that no run has taken waits for the next."""
    return state == "requested" or ("PayoutStuck", payout_id) in scene.alarms
