"""Use cases about profiles and payout destinations."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol

from smallpeck.kernel.errors import Problem
from smallpeck.kernel.writes import Change, Contention, Create, Path, Present, UnitOfWork, Value, WriteConflict, ref
from smallpeck.people.model import (
    BadProfile,
    Destination,
    DestinationFacts,
    HeldDestination,
    NoDestination,
    RequesterProfile,
    WorkerProfile,
    check_profile,
    checked_destination,
)

CHANGE_ATTEMPTS = 5


class Profiles(Protocol):
    """Reads of profiles."""

    def worker(self, worker_id: str) -> WorkerProfile | None:
        """A worker's profile, or None; consistent."""
        ...

    def requester(self, requester_id: str) -> RequesterProfile | None:
        """A requester's profile, or None; consistent."""
        ...


class KnownDestinations(Protocol):
    """What is known of destinations without reading them."""

    def facts(self, person_id: str) -> DestinationFacts | None:
        """The facts of the present destination, or None where there is none; consistent."""
        ...


class Destinations(Protocol):
    """Payout destinations, sealed where they lie."""

    def current(self, person_id: str) -> HeldDestination | None:
        """The present destination, or None where there is none or its key was erased; consistent."""
        ...

    def replace(self, person_id: str, destination: Destination, *, now_ms: int) -> HeldDestination:
        """Makes `destination` the present one under the next version; raises WriteConflict where another came first."""
        ...


class OfferedRails(Protocol):
    """What workers may be paid by."""

    @property
    def names(self) -> Collection[str]:
        """The rails that this installation offers."""
        ...

    def canonical(self, rail: str, address: str) -> str:
        """The one spelling of an address of a rail; raises Invalid where no money could get there."""
        ...


def get_profile(*, worker_id: str, now_ms: int, profiles: Profiles, unit: UnitOfWork) -> WorkerProfile:
    """A worker's profile; the first look at it makes it."""
    found = profiles.worker(worker_id)
    if found is not None:
        return found
    fresh = WorkerProfile(worker_id, now_ms)
    try:
        unit.commit([Create(ref("worker", worker_id), {"worker_id": worker_id, "created_at_ms": now_ms})])
    except WriteConflict:
        return profiles.worker(worker_id) or fresh
    return fresh


def put_profile(
    *,
    worker_id: str,
    country: str | None,
    languages: Sequence[str],
    payout_threshold_micros: int | None,
    platform_threshold_micros: int,
    automatic_payouts: bool,
    now_ms: int,
    profiles: Profiles,
    destinations: KnownDestinations,
    unit: UnitOfWork,
) -> WorkerProfile:
    """Replaces what a worker says about themselves. Without a threshold of their own the platform's holds.

    Payouts can only be automatic where there is a destination.
    """
    check_profile(
        country=country,
        languages=languages,
        payout_threshold_micros=payout_threshold_micros,
        platform_threshold_micros=platform_threshold_micros,
    )
    if automatic_payouts and destinations.facts(worker_id) is None:
        problem = Problem("/automatic_payouts", "say first where payouts go")
        raise BadProfile("the profile is not allowed", problems=[problem])
    present = get_profile(worker_id=worker_id, now_ms=now_ms, profiles=profiles, unit=unit)
    wanted = replace(
        present,
        country=country,
        languages=tuple(sorted(languages)),
        payout_threshold_micros=payout_threshold_micros,
        automatic_payouts=automatic_payouts,
    )
    if wanted != present:
        changes: dict[Path, Value] = {
            "country": wanted.country,
            "languages": wanted.languages,
            "payout_threshold_micros": wanted.payout_threshold_micros,
            "automatic_payouts": wanted.automatic_payouts,
        }
        listed = {"automatic": (worker_id,) if wanted.automatic_payouts else None}
        unit.commit([Change(ref("worker", worker_id), set=changes, when=(Present(),), index=listed)])
    return wanted


def get_requester(*, requester_id: str, now_ms: int, profiles: Profiles, unit: UnitOfWork) -> RequesterProfile:
    """A requester's profile; the first look at it makes it."""
    found = profiles.requester(requester_id)
    if found is not None:
        return found
    fresh = RequesterProfile(requester_id, now_ms)
    try:
        unit.commit([Create(ref("requester", requester_id), {"requester_id": requester_id, "created_at_ms": now_ms})])
    except WriteConflict:
        return profiles.requester(requester_id) or fresh
    return fresh


def get_destination(*, worker_id: str, destinations: Destinations) -> HeldDestination:
    """Where a worker is paid. Show it through `smallpeck.people.model.masked` only."""
    held = destinations.current(worker_id)
    if held is None:
        raise NoDestination
    return held


def put_destination(
    *, worker_id: str, rail: str, address: str, now_ms: int, rails: OfferedRails, destinations: Destinations
) -> HeldDestination:
    """Changes where a worker is paid. Saying the same again changes nothing, so no waiting time starts anew."""
    wanted = checked_destination(rail, address, offered=rails.names, canonical=rails.canonical)
    for _ in range(CHANGE_ATTEMPTS):
        present = destinations.current(worker_id)
        if present is not None and present.destination == wanted:
            return present
        try:
            return destinations.replace(worker_id, wanted, now_ms=now_ms)
        except WriteConflict:
            continue
    raise Contention("the payout destination is being changed; try again")
