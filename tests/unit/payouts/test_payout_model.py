"""What may follow what in a payout's life."""

from dataclasses import replace

import pytest

from smallpeck.payouts import model
from smallpeck.payouts.model import Answer, Fact, IllegalTransition, Payout, PayoutState
from smallpeck.payouts.runs import Ending, Run, Waits

HOUR_MS = 3_600_000
DAY = 86_400
S, F = PayoutState, Fact
REQUESTED = Payout(
    payout_id="p_1", worker_id="w", rail="gateway", destination_version=1, currency="USD", amount_micros=5_000_000,
    fee_micros=0, request_hash="h", requested_at_ms=1_000, touched_at_ms=1_000,
)  # fmt: skip
IN_RUN = model.take(REQUESTED, run_id="r_1", number=0, now_ms=2_000)
SENDING = model.begin_send(IN_RUN, now_ms=3_000)
UNKNOWN = model.learn(SENDING, Answer(F.UNCLEAR), now_ms=4_000)
PENDING = model.learn(SENDING, Answer(F.PENDING), now_ms=4_000)
SETTLED = model.learn(SENDING, Answer(F.PAID), now_ms=4_000)
RELEASED = model.learn(SENDING, Answer(F.REFUSED, reason="closed"), now_ms=4_000)
FROZEN = model.learn(SENDING, Answer(F.MISMATCH), now_ms=4_000)
UNCLAIMED = model.learn(SENDING, Answer(F.UNCLAIMED), now_ms=4_000)
RETURNED = model.learn(SETTLED, Answer(F.RETURNED, reason="refunded"), now_ms=4_500)

OPEN = {F.PAID: S.SETTLED, F.REFUSED: S.RELEASED, F.RETURNED: S.RETURNED, F.UNCLAIMED: S.UNCLAIMED,
        F.PENDING: S.UNKNOWN, F.NEVER_HEARD: S.UNKNOWN, F.UNCLEAR: S.UNKNOWN, F.SEND_TO_ASK: S.UNKNOWN,
        F.MISMATCH: S.FROZEN}  # fmt: skip
OUTCOMES = [
    (SENDING, OPEN),
    (UNKNOWN, OPEN),
    (PENDING, OPEN | {F.NEVER_HEARD: S.FROZEN}),
    (UNCLAIMED, OPEN | dict.fromkeys((F.PENDING, F.UNCLEAR, F.SEND_TO_ASK), S.UNCLAIMED) | {F.NEVER_HEARD: S.FROZEN}),
    (SETTLED, dict.fromkeys(F, S.SETTLED) | {F.RETURNED: S.RETURNED, F.REFUSED: S.FROZEN, F.MISMATCH: S.FROZEN}),
    (RELEASED, dict.fromkeys(F, S.RELEASED) | dict.fromkeys((F.PAID, F.PENDING, F.UNCLAIMED, F.MISMATCH), S.FROZEN)),
    (RETURNED, dict.fromkeys(F, S.RETURNED) | dict.fromkeys((F.PAID, F.PENDING, F.UNCLAIMED, F.MISMATCH), S.FROZEN)),
    (FROZEN, dict.fromkeys(F, S.FROZEN)),
]


@pytest.mark.parametrize(
    ("payout", "fact", "state"), [(payout, fact, state) for payout, row in OUTCOMES for fact, state in row.items()]
)
def test_what_an_answer_leads_to(payout: Payout, fact: Fact, state: PayoutState) -> None:
    after = model.learn(payout, Answer(fact), now_ms=9_000)
    assert after.state is state
    if after is not payout:
        assert after.version == payout.version + 1
    if payout.state in (S.SETTLED, S.RELEASED, S.RETURNED, S.FROZEN) and state is payout.state:
        assert after is payout


def test_every_fact_is_in_the_table() -> None:
    assert all(row.keys() == set(F) for _, row in OUTCOMES)


@pytest.mark.parametrize("payout", [REQUESTED, IN_RUN])
def test_what_was_not_sent_has_no_answer(payout: Payout) -> None:
    with pytest.raises(IllegalTransition):
        model.learn(payout, Answer(F.PAID), now_ms=9_000)


@pytest.mark.parametrize("payout", [REQUESTED, SENDING, SETTLED, RELEASED, FROZEN])
def test_only_a_member_or_an_unknown_one_is_sent(payout: Payout) -> None:
    with pytest.raises(IllegalTransition):
        model.begin_send(payout, now_ms=9_000)


@pytest.mark.parametrize("payout", [IN_RUN, SENDING, UNKNOWN, SETTLED, RELEASED, FROZEN])
def test_only_what_waits_is_taken_into_a_run(payout: Payout) -> None:
    with pytest.raises(IllegalTransition):
        model.take(payout, run_id="r_2", number=0, now_ms=9_000)


def test_a_resend_keeps_the_first_key_and_the_first_moment() -> None:
    again = model.begin_send(UNKNOWN, now_ms=9_000)
    assert (again.rail_key, again.sending_started_at_ms) == (SENDING.rail_key, 3_000)
    assert again.attempts == 2
    other_key = replace(UNKNOWN, rail_key="stored")
    assert model.begin_send(other_key, now_ms=9_000).rail_key == "stored"


def test_a_resend_is_allowed_until_a_day_before_the_window_ends() -> None:
    last_ms = 3_000 + 29 * DAY * 1000
    assert model.may_resend(UNKNOWN, window_seconds=30 * DAY, now_ms=last_ms - 1)
    assert not model.may_resend(UNKNOWN, window_seconds=30 * DAY, now_ms=last_ms)
    resent = model.learn(model.begin_send(UNKNOWN, now_ms=last_ms - 1), Answer(F.UNCLEAR), now_ms=last_ms)
    assert not model.may_resend(resent, window_seconds=30 * DAY, now_ms=last_ms), "the first send counts"


def test_refusing_a_resend_decides_nothing() -> None:
    again = model.begin_send(UNKNOWN, now_ms=9_000)
    assert model.answered_to_send(SENDING, Answer(F.REFUSED)).fact is F.REFUSED
    assert model.answered_to_send(again, Answer(F.REFUSED)).fact is F.UNCLEAR
    assert model.answered_to_send(again, Answer(F.PAID)).fact is F.PAID


@pytest.mark.parametrize("fact", [F.PAID, F.PENDING, F.UNCLAIMED])
def test_news_from_before_a_return_is_late_and_not_against_it(fact: Fact) -> None:
    returned = model.learn(UNKNOWN, Answer(F.RETURNED, at_ms=500), now_ms=9_000)
    assert model.learn(returned, Answer(fact, at_ms=499), now_ms=9_500) is returned
    assert model.learn(returned, Answer(fact, at_ms=500), now_ms=9_500) is returned
    assert model.learn(returned, Answer(fact, at_ms=501), now_ms=9_500).state is S.FROZEN


def test_a_payment_after_a_refusal_is_against_it_whenever_it_was() -> None:
    released = model.learn(UNKNOWN, Answer(F.REFUSED, at_ms=500), now_ms=9_000)
    assert model.learn(released, Answer(F.PAID, at_ms=499), now_ms=9_500).state is S.FROZEN
    assert model.learn(released, Answer(F.UNCLAIMED, at_ms=499), now_ms=9_500) is released


def test_never_heard_is_believed_a_day_after_the_last_send_where_the_rail_lists_all() -> None:
    heard, over_ms = Answer(F.NEVER_HEARD), 3_000 + DAY * 1000

    def worth(payout: Payout, now_ms: int, *, lists_all: bool = True) -> Answer:
        return model.believed(payout, heard, window_seconds=DAY, lists_all=lists_all, now_ms=now_ms)

    assert worth(UNKNOWN, over_ms) == Answer(F.REFUSED, reason="never_arrived")
    assert worth(UNKNOWN, over_ms - 1) is heard
    assert worth(UNKNOWN, over_ms, lists_all=False) is heard
    assert worth(PENDING, over_ms) is heard, "a rail that had it cannot have never heard of it"


def test_what_is_reserved_is_what_has_neither_left_nor_come_back() -> None:
    reserved = [one for one in (REQUESTED, IN_RUN, SENDING, UNKNOWN, UNCLAIMED, SETTLED, RELEASED, RETURNED, FROZEN)
                if one.is_reserved]  # fmt: skip
    assert reserved == [REQUESTED, IN_RUN, SENDING, UNKNOWN, UNCLAIMED, FROZEN]
    assert not model.learn(SETTLED, Answer(F.REFUSED), now_ms=9_000).is_reserved


def test_thresholds_and_whole_coins() -> None:
    assert model.effective_threshold(5, None, 1) == 5
    assert model.effective_threshold(5, 3, 1) == 5
    assert model.effective_threshold(5, 8, 1) == 8
    assert model.effective_threshold(5, None, 9) == 9
    assert model.payable_micros(5_009_999, "USD") == 5_000_000
    assert model.payable_micros(5_999_999, "JPY") == 5_000_000
    assert model.payable_micros(-1, "USD") == 0


def test_a_changed_destination_cools_off_and_a_first_one_does_not() -> None:
    assert model.cooling_off_left_seconds(None, 72 * 3600, 0) == 0
    assert model.cooling_off_left_seconds(0, 72 * 3600, 72 * HOUR_MS - 1) == 1
    assert model.cooling_off_left_seconds(0, 72 * 3600, 72 * HOUR_MS) == 0


def test_a_stored_payout_reads_back() -> None:
    fields = model.create(SETTLED).fields
    assert model.payout_from({**fields, "pk": "x", "owner_pk": "y"}) == SETTLED


def test_a_change_says_what_changed_and_holds_only_once() -> None:
    write = model.change(UNKNOWN, model.learn(UNKNOWN, Answer(F.PAID, reference="x"), now_ms=9_000))
    assert write.when[0].value == UNKNOWN.version  # type: ignore[union-attr]
    assert "worker_id" not in write.set
    assert write.index == {"payable": None, "unresolved": None}


def test_waits_grow_to_an_hour_and_rounds_run_out() -> None:
    waits = Waits(rounds=3, first_wait_seconds=60)
    assert [waits.before(n) for n in (0, 1, 2, 6, 99)] == [60, 120, 240, 3600, 3600]
    ending = Ending(Run("r", "op", 0, waits), open_chunks=tuple(range(500)))
    assert [ending.again(n) for n in (0, 2, 3)] == [True, True, False]
    asked = [chunk for n in range(3) for chunk in ending.to_ask(n)]
    assert set(asked) == set(range(500)), "over its rounds a run asks about every chunk"
    assert all(len(ending.to_ask(n)) == 200 for n in range(3))
