"""Money by bank: a reference that can be checked by hand, and each booking of the bank's entered once, for ever."""

import pytest

from smallpeck.funding.bank import BankCreditMismatch
from smallpeck.funding.creditor_reference import canonical, creditor_reference, printed
from smallpeck.funding.model import Alarm
from smallpeck.kernel.errors import IdempotencyMismatch
from smallpeck.ledger.accounts import requester_available
from tests.support import REQUESTER
from tests.unit.funding.world import DAY, HUNDRED, FundingWorld


@pytest.fixture
def world() -> FundingWorld:
    return FundingWorld()


def euros(world: FundingWorld) -> int:
    return world.balance(requester_available(REQUESTER), "EUR").balance_micros


@pytest.mark.parametrize(
    ("body", "reference"),
    [
        ("539007547034", "RF18539007547034"),
        ("000000000539007547034", "RF18000000000539007547034"),
        ("2348231", "RF712348231"),
        ("G72UUR", "RF45G72UUR"),
    ],
)
def test_public_examples_of_references(body: str, reference: str) -> None:
    assert creditor_reference(body) == canonical(reference) == reference
    assert canonical(f" {printed(reference).lower()} ") == reference


def test_a_wrong_or_swapped_character_is_noticed() -> None:
    reference = creditor_reference("539007547034")
    for at in range(4, len(reference)):
        for other in "0123456789":
            changed = reference[:at] + other + reference[at + 1 :]
            assert (canonical(changed) == changed) == (changed == reference)
    for at in range(4, len(reference) - 1):
        swapped = reference[:at] + reference[at + 1] + reference[at] + reference[at + 2 :]
        assert swapped == reference or canonical(swapped) is None
    for text in ("", "RF", "RF18", "DE89370400440532013000", "RF00" + "A" * 22, "RF1853900754703\u0664"):
        assert canonical(text) is None
    with pytest.raises(ValueError, match="21 digits"):
        creditor_reference("a")


def test_a_reference_is_one_requesters_and_one_currencys(world: FundingWorld) -> None:
    made = world.reference()
    assert canonical(made.reference) == made.reference
    assert len(made.reference) == 20
    world.aws.clock.advance(DAY)
    assert world.reference() == made
    assert world.reference(key="r2").reference != made.reference
    with pytest.raises(IdempotencyMismatch):
        world.reference(currency="USD")


def test_what_the_bank_booked_is_the_requesters_once(world: FundingWorld) -> None:
    reference = world.reference().reference
    for _ in range(3):
        credit = world.banked(printed(reference).lower())
        assert (credit.requester_id, credit.suspense_id) == (REQUESTER, None)
        world.aws.clock.advance(400 * DAY)
    assert euros(world) == HUNDRED
    world.banked(reference, 5_000_000, entry="e2")
    assert euros(world) == HUNDRED + 5_000_000
    assert not world.alarms
    world.check()


@pytest.mark.parametrize(
    ("written", "currency", "reason"),
    [
        ("invoice 7", "EUR", "unknown_reference"),
        ("", "EUR", "unknown_reference"),
        (creditor_reference("NOBODYS"), "EUR", "unknown_reference"),
        ("ours", "CHF", "another_currency"),
    ],
)
def test_what_cannot_be_assigned_waits_in_suspense(
    world: FundingWorld, written: str, currency: str, reason: str
) -> None:
    reference = world.reference().reference if written == "ours" else written
    for _ in range(2):
        credit = world.banked(reference, currency=currency)
        assert (credit.requester_id, credit.reason) == (None, reason)
    assert world.suspended_micros("bank", currency) == HUNDRED
    assert world.alarms[Alarm.HELD] == 2
    assert credit.suspense_id is not None
    world.resolve(credit.suspense_id)
    assert world.balance(requester_available(REQUESTER), currency).balance_micros == HUNDRED
    assert world.suspended_micros("bank", currency) == 0
    world.check()


def test_the_same_booking_with_something_else_is_refused(world: FundingWorld) -> None:
    reference = world.reference().reference
    world.banked(reference)
    with pytest.raises(BankCreditMismatch):
        world.banked(reference, 1)
    with pytest.raises(BankCreditMismatch):
        world.banked(reference, currency="CHF")
    with pytest.raises(BankCreditMismatch):
        world.banked("another")
    assert euros(world) == HUNDRED


def test_a_booking_pays_a_debt_first(world: FundingWorld) -> None:
    deposit = world.paid()
    world.publish(world.ready(34))
    world.decided(world.disputed(deposit), won=False)
    assert world.owed == 51_000_000
    reference = world.reference(currency="USD").reference
    world.banked(reference, currency="USD", micros=50_000_000)
    assert (world.free, world.owed, world.is_frozen) == (0, 1_000_000, True)
    world.banked(reference, currency="USD", micros=2_000_000, entry="e2")
    assert (world.free, world.owed, world.is_frozen) == (1_000_000, 0, False)
    world.check()
