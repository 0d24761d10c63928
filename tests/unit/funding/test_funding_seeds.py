"""Whatever is paid, disputed, decided and refunded, told in any order, twice or late: what came in is somebody's."""

import random

import pytest

from local.checkout import Mode
from smallpeck.funding.model import DepositState
from tests.unit.funding.world import FundingWorld

RUNS = 12


def told_at_random(world: FundingWorld, chance: random.Random, share: float) -> None:
    """Some of what the provider has to say, in any order; some of it twice."""
    outbox = world.checkout.outbox
    for _ in range(round(len(outbox) * share)):
        text = chance.choice(outbox)
        world.hear(text)
        if chance.random() < 0.7:
            outbox.remove(text)


def one_thing(world: FundingWorld, chance: random.Random, step: int) -> None:
    # (What becomes of a payment in suspense is a person's to decide.)
    agreed = "line_items[0][price_data][unit_amount]"
    sessions = [one for one in world.checkout.sessions.values() if one.paid and one.amount == int(one.params[agreed])]
    match chance.randrange(7):
        case 0 | 1:
            deposit = world.open(chance.randrange(100, 20_000) * 10_000, key=f"k{step}")
            if chance.random() < 0.9:
                world.pay(deposit, chance.choice([*Mode]))
        case 2 if sessions:
            session = chance.choice(sessions)
            left = session.amount - session.refunded - sum(one["amount"] for one in session.disputes.values())
            if left > 0:
                world.checkout.dispute(session.session_id, chance.randint(1, left))
        case 3 if sessions:
            session = chance.choice(sessions)
            for dispute_id, dispute in session.disputes.items():
                if dispute["status"] == "needs_response":
                    world.checkout.decide(dispute_id, won=chance.random() < 0.5)
        case 4 if sessions:
            session = chance.choice(sessions)
            left = session.amount - session.refunded - sum(one["amount"] for one in session.disputes.values())
            if left > 0 and chance.random() < 0.5:
                world.checkout.refund(session.session_id, chance.randint(1, left))
        case 5 if world.free >= 1_500_000 and not world.is_frozen:
            world.publish(world.ready(1, batch_id=f"b{step}"))
        case _:
            world.aws.clock.advance(chance.choice([30, 700, 3_600]))
            world.look_after()


@pytest.mark.parametrize("seed", range(RUNS))
def test_what_came_in_is_somebodys(seed: int) -> None:
    chance = random.Random(seed)
    world = FundingWorld()
    for step in range(40):
        one_thing(world, chance, step)
        told_at_random(world, chance, 0.5)
    world.checkout.flush()
    world.aws.clock.advance(86_400)
    world.look_after()
    world.deliver()
    world.look_after()

    deposits, _ = world.funding.deposits_of("requester-1", after=None, limit=100)
    assert not [one for one in deposits if one.is_watched]
    credited = sum(
        one.amount_micros for one in deposits if one.state in (DepositState.CREDITED, DepositState.CHARGED_BACK)
    )
    suspended = sum(payment.amount_micros for one in deposits for payment in one.held.values())
    paid = sum(one.amount * 10_000 for one in world.checkout.sessions.values() if one.paid)
    assert credited + suspended == paid
    assert world.suspended_micros() == suspended
    world.check()
