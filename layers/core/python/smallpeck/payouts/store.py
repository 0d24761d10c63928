"""Payouts and payout runs in DynamoDB: reads. Their writes go through the unit of work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smallpeck.payouts.events import EventState, event_ref
from smallpeck.payouts.model import Payout, payout_from, payout_ref
from smallpeck.payouts.rails.port import Parcel
from smallpeck.payouts.runs import (
    MAX_MEMBERS,
    Run,
    Wait,
    parcel_from,
    parcel_ref,
    run_from,
    run_ref,
    wait_from,
    wait_ref,
)
from smallpeck.table import keys
from smallpeck.table.client import Slice, Table


@dataclass(frozen=True)
class PayoutSlice:
    """Some payouts of one worker, and the position after which the next ones stand (None at the end)."""

    payouts: list[Payout]
    next_after: str | None


@dataclass(frozen=True)
class PayoutStore:
    """Payouts, runs and their members."""

    table: Table

    def payout(self, payout_id: str) -> Payout | None:
        """The payout, or None; consistent."""
        item = self.table.get(payout_ref(payout_id))
        return None if item is None else payout_from(item)

    def payouts(self, payout_ids: Sequence[str]) -> Mapping[str, Payout]:
        """The payouts that exist, by id; consistent."""
        found = self.table.get_many([payout_ref(payout_id) for payout_id in payout_ids])
        return {str(item["payout_id"]): payout_from(item) for item in found.values()}

    def of_worker(self, worker_id: str, *, after: str | None, limit: int) -> PayoutSlice:
        """A worker's payouts, newest first; `after` is where the last slice ended."""
        listed = self.table.listed("payout_of", worker_id, after=after, limit=limit, newest_first=True)
        ids = _ids(listed)
        found = self.payouts(ids)
        return PayoutSlice([found[one] for one in ids if one in found], listed.next_after)

    def payable(self, *, until_ms: int, after: str | None, limit: int) -> tuple[list[str], str | None]:
        """Payouts that no run has taken, oldest first, requested up to `until_ms`; and where the next ones stand."""
        before = keys.index_bound("payable", until_ms + 1)
        listed = self.table.listed("payable", before=before, after=after, limit=limit)
        return _ids(listed), listed.next_after

    def unresolved(self, *, until_ms: int, limit: int) -> list[str]:
        """Payouts in runs without an outcome, untouched since `until_ms`, longest untouched first."""
        before = keys.index_bound("unresolved", until_ms + 1)
        return _ids(self.table.listed("unresolved", before=before, limit=limit))

    def run(self, run_id: str) -> Run | None:
        """The run, or None; consistent."""
        item = self.table.get(run_ref(run_id))
        return None if item is None else run_from(item)

    def members(self, run_id: str, first: int, last: int) -> list[Payout]:
        """The payouts that are members `first` to `last` of a run, in order; consistent."""
        return self._payouts_of(self._rows(run_id, first, last))

    def in_parcel(self, run_id: str, number: int) -> list[Payout]:
        """The payouts that go out with a parcel of a run, in order; consistent."""
        rows = self._rows(run_id, 0, MAX_MEMBERS - 1)
        return self._payouts_of([row for row in rows if row.get("parcel") == number])

    def parcel(self, run_id: str, number: int) -> Parcel | None:
        """A parcel that was sent, or is about to be; None before that; consistent."""
        item = self.table.get(parcel_ref(run_id, number))
        return None if item is None else parcel_from(item)

    def wait(self, run_id: str) -> Wait | None:
        """The wait of a run, or None where it never waited to be told; consistent."""
        item = self.table.get(wait_ref(run_id))
        return None if item is None else wait_from(item)

    def event_state(self, event_id: str) -> EventState | None:
        """What became of a rail's event; None where it was never heard; consistent."""
        item = self.table.get(event_ref(event_id))
        return None if item is None else EventState(item["state"])

    def followed(self, *, limit: int) -> list[Mapping[str, Any]]:
        """Events that wait for a question, oldest first, as they are stored."""
        listed = self.table.listed("followed", limit=limit)
        ids = [keys.parts_of_item("rail_event", item)[0] for item in listed.items]
        found = self.table.get_many([event_ref(one) for one in ids])
        stored = [found[event_ref(one)] for one in ids if event_ref(one) in found]
        return [one for one in stored if one["state"] == EventState.FOLLOWED]

    def _rows(self, run_id: str, first: int, last: int) -> list[dict[str, Any]]:
        rows = []
        after: str | None = None
        while True:
            run = self.table.slice(
                "run_member",
                run_id,
                first=keys.sort_key("run_member", first),
                last=keys.sort_key("run_member", last),
                after=after,
            )
            rows += run.items
            after = run.next_after
            if after is None:
                return rows

    def _payouts_of(self, rows: Sequence[Mapping[str, Any]]) -> list[Payout]:
        ids = [str(row["payout_id"]) for row in rows]
        found = self.payouts(ids)
        return [found[one] for one in ids]


def _ids(listed: Slice) -> list[str]:
    return [keys.parts_of_item("payout", item)[0] for item in listed.items]
