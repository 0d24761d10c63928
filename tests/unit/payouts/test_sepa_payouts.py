"""SEPA payouts from the worker's request to the bank's last word: what is credited back, and that it is so once."""

import json
from contextlib import suppress
from decimal import Decimal

import pytest

from local.rails.sepa_bank import DAY_MS, LATE_AFTER_MS, RETURNED_AFTER_MS, Mode, Payment
from smallpeck.kernel.errors import SmallPeckError
from smallpeck.kernel.ids import derived_id
from smallpeck.payouts import running
from smallpeck.payouts.model import PayoutState
from smallpeck.payouts.rails import sepa_inbox
from smallpeck.payouts.rails.mailbox import Folder
from smallpeck.payouts.runs import RunState
from tests.aws import Crash, Fault, Plan
from tests.unit.payouts.sepa_world import IBAN, TEN, SepaWorld

S = PayoutState
UNKNOWN_FILE = (
    "<Document><CstmrPmtStsRpt><OrgnlGrpInfAndSts><OrgnlMsgId>r-1-0</OrgnlMsgId><GrpSts>RJCT</GrpSts>"
    "</OrgnlGrpInfAndSts></CstmrPmtStsRpt></Document>"
)


@pytest.fixture
def world() -> SepaWorld:
    return SepaWorld()


def test_a_payout_leaves_in_a_file_and_is_settled_by_the_banks_report(world: SepaWorld) -> None:
    payout = world.due("w-1")
    world.send()
    assert world.payout(payout.payout_id).state is S.UNKNOWN
    world.bank_works()
    world.take_in()
    settled = world.payout(payout.payout_id)
    assert (settled.state, settled.reason) == (S.SETTLED, None)
    assert world.euro("w-1") == 0
    assert [str(one.amount) for one in world.bank.paid] == ["9.75"]
    assert world.alarms == []
    world.check_sepa()


def test_a_whole_run_finishes_by_asking_alone(world: SepaWorld) -> None:
    """The events were all lost; what the bank says is found by asking, and totals agree."""
    paid, refused = world.due("w-1"), world.due("w-2", "Refuse Bob")
    run = world.send()
    world.bank_works()
    ending = world.query(run.run_id)
    assert ending.run.state is RunState.FINISHED
    assert ending.run.reconciled is True
    assert (world.payout(paid.payout_id).state, world.payout(refused.payout_id).state) == (S.SETTLED, S.RELEASED)
    world.check_sepa()


def test_a_refused_payment_is_credited_back_once_in_full_and_says_why(world: SepaWorld) -> None:
    payout = world.due("w-1", "Refuse Ann")
    run = world.send()
    world.bank_works()
    for _ in range(3):
        world.take_in()
        world.query(run.run_id)
    released = world.payout(payout.payout_id)
    assert (released.state, released.reason) == (S.RELEASED, "ac04_account_closed")
    assert world.euro("w-1") == TEN
    world.check_sepa()


def test_a_refused_file_is_credited_back_to_each(world: SepaWorld) -> None:
    payouts = [world.due(f"w-{n}") for n in range(3)]
    run = world.send()
    world.bank.rejects = frozenset({f"{run.run_id.replace('_', '-')}-0"})
    world.bank_works()
    world.take_in()
    assert {world.payout(one.payout_id).reason for one in payouts} == {"ff01_file_format"}
    assert [world.euro(f"w-{n}") for n in range(3)] == [TEN] * 3
    world.check_sepa()


@pytest.mark.parametrize("holder", ["Return Ann", "Twice Ann"])
def test_money_that_comes_back_weeks_later_is_credited_back_once(world: SepaWorld, holder: str) -> None:
    payout = world.due("w-1", holder)
    world.send()
    world.bank_works()
    world.take_in()
    assert world.payout(payout.payout_id).state is S.SETTLED
    world.bank_works(RETURNED_AFTER_MS)
    for _ in range(3):
        world.take_in()
        world.connect()
    returned = world.payout(payout.payout_id)
    assert (returned.state, returned.reason) == (S.RETURNED, "ac04_account_closed")
    assert world.euro("w-1") == TEN
    assert world.alarms == []
    world.check_sepa()


def test_a_return_that_is_heard_before_the_payment_is_one_too(world: SepaWorld) -> None:
    payout = world.due("w-1", "Return Ann")
    world.send()
    world.bank_works()
    world.bank_works(RETURNED_AFTER_MS)
    first, last = (one.name for one in world.mailbox.listed(Folder.IN))
    for name in (last, first, last):
        sepa_inbox.take_in(name=name, inbox=world.inbox)
    assert world.payout(payout.payout_id).state is S.RETURNED
    assert world.euro("w-1") == TEN
    world.check_sepa()


def test_a_returned_payout_can_be_asked_for_again_elsewhere(world: SepaWorld) -> None:
    world.due("w-1", "Return Ann")
    world.send()
    world.bank_works()
    world.bank_works(RETURNED_AFTER_MS)
    world.take_in()
    second = world.due("w-1", "Ann Lee", key="again", iban="CH9300762011623852957")
    assert second.amount_micros == 2 * TEN
    world.send("second")
    world.bank_works()
    world.take_in()
    assert world.payout(second.payout_id).state is S.SETTLED
    world.check_sepa()


def test_a_late_answer_is_waited_for_and_asked_about_by_later_runs(world: SepaWorld) -> None:
    payout = world.due("w-1", "Late Ann")
    run = world.send()
    world.bank_works()
    world.take_in()
    assert world.query(run.run_id).run.state is RunState.WAITING
    world.bank_works(LATE_AFTER_MS)
    assert running.query_earlier(ports=world.ports) == 1
    assert world.payout(payout.payout_id).state is S.SETTLED
    assert world.alarms == []
    world.check_sepa()


def test_an_answer_that_never_comes_calls_a_person_and_is_never_sent_again(world: SepaWorld) -> None:
    payout = world.due("w-1", "Lost Ann")
    run = world.send()
    world.bank_works()
    for _ in range(10):
        world.bank_works(DAY_MS)
        world.query(run.run_id)
    assert world.payout(payout.payout_id).state is S.UNKNOWN
    assert ("PayoutStuck", payout.payout_id) in world.alarms
    assert len(world.mailbox.listed(Folder.OUT)) == 1
    assert world.euro("w-1") == 0
    world.check_sepa(done=False)


@pytest.mark.parametrize("holder", ["Contradict Ann", "Short Ann"])
def test_a_bank_that_contradicts_itself_or_us_freezes_the_payout(world: SepaWorld, holder: str) -> None:
    payout = world.due("w-1", holder)
    world.send()
    world.bank_works()
    world.take_in()
    world.bank_works(RETURNED_AFTER_MS)
    world.take_in()
    world.take_in()
    assert world.payout(payout.payout_id).state is S.FROZEN
    assert ("PayoutFrozen", payout.payout_id) in world.alarms
    assert world.euro("w-1") == 0
    world.check_sepa(done=False)


def test_an_answer_about_a_payout_that_nobody_knows_is_held_with_an_alarm(world: SepaWorld) -> None:
    payout = world.due("w-1")
    world.send()
    strange = Payment("m", derived_id("p-", "strange"), Decimal("9.75"), Mode.OK, 0)
    world.bank.booking(strange, "CRDT", world.now_ms(), reason="AC04")
    world.take_in()
    assert [name for name, _ in world.alarms] == ["RailEventHeld"]
    assert world.payout(payout.payout_id).state is S.UNKNOWN
    world.check_sepa(done=False)


def held(world: SepaWorld) -> list[str]:
    notes = [world.mailbox.get(Folder.HELD, one.name) or b"" for one in world.mailbox.listed(Folder.HELD)]
    return sorted(reason for note in notes for reason in json.loads(note)["reasons"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<Document", "xml_malformed"),
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Document>&e;</Document>', "xml_with_a_document_type"),
        ("<Document><Other/></Document>", "unknown_message"),
        (UNKNOWN_FILE, "unknown_file"),
    ],
)
def test_an_answer_that_cannot_be_relied_on_changes_nothing_and_is_held(
    world: SepaWorld, content: str, reason: str
) -> None:
    payout = world.due("w-1")
    world.send()
    name = world.bank.put(content)
    world.take_in()
    world.take_in()
    assert held(world) == [reason]
    assert {alarm for alarm, _ in world.alarms} == {"BankAnswerHeld"}
    assert all(subject == derived_id("a_", name) for _, subject in world.alarms)
    assert world.payout(payout.payout_id).state is S.UNKNOWN
    world.check_sepa(done=False)


def test_the_status_of_a_payment_counts_before_that_of_its_file(world: SepaWorld) -> None:
    paid, refused = world.due("w-1"), world.due("w-2", "Refuse Bob")
    world.send()
    world.bank.work(world.now_ms())
    name = world.mailbox.listed(Folder.IN)[0].name
    honest = (world.mailbox.get(Folder.IN, name) or b"").decode()
    all_paid = honest.replace("</OrgnlPmtInfId>", "</OrgnlPmtInfId><PmtInfSts>ACSC</PmtInfSts>")
    world.mailbox.replace(Folder.IN, name, all_paid.encode())
    world.take_in()
    assert world.payout(paid.payout_id).state is S.SETTLED
    assert world.payout(refused.payout_id).state is S.RELEASED
    world.check_sepa()


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (IBAN, "CH9300762011623852957", "another_account"),
        ("<EndToEndId>p-", "<EndToEndId>q-", "unknown_end_to_end_id"),
        ("<CdtDbtInd>CRDT</CdtDbtInd><Sts>", "<CdtDbtInd>CRDT</CdtDbtInd><RvslInd>true</RvslInd><Sts>", ""),
    ],
)
def test_money_that_came_back_is_only_somebodys_where_it_says_so(
    world: SepaWorld, before: str, after: str, reason: str
) -> None:
    payout = world.due("w-1", "Return Ann")
    world.send()
    world.bank_works()
    world.bank_works(RETURNED_AFTER_MS)
    name = world.mailbox.listed(Folder.IN)[-1].name
    honest = (world.mailbox.get(Folder.IN, name) or b"").decode()
    assert before in honest
    world.mailbox.replace(Folder.IN, name, honest.replace(before, after).encode())
    world.take_in()
    assert held(world) == ([reason] if reason else [])
    assert world.payout(payout.payout_id).state is (S.SETTLED if reason else S.RETURNED)


def test_a_report_of_other_totals_changes_nothing_and_is_held(world: SepaWorld) -> None:
    payout = world.due("w-1")
    world.send()
    world.bank.work(world.now_ms())
    name = world.mailbox.listed(Folder.IN)[0].name
    honest = (world.mailbox.get(Folder.IN, name) or b"").decode()
    world.mailbox.replace(Folder.IN, name, honest.replace("CtrlSum>9.75<", "CtrlSum>9.74<").encode())
    world.take_in()
    assert held(world) == ["totals_differ"]
    assert world.payout(payout.payout_id).state is S.UNKNOWN


def test_an_answer_in_another_currency_freezes_the_payout(world: SepaWorld) -> None:
    payout = world.due("w-1")
    world.send()
    world.bank.work(world.now_ms())
    name = world.mailbox.listed(Folder.IN)[0].name
    honest = (world.mailbox.get(Folder.IN, name) or b"").decode()
    world.mailbox.replace(Folder.IN, name, honest.replace('Ccy="EUR"', 'Ccy="USD"').encode())
    world.take_in()
    assert world.payout(payout.payout_id).state is S.FROZEN


def test_money_that_came_in_is_somebody_elses_or_held(world: SepaWorld) -> None:
    entry = (
        '<Ntry><Amt Ccy="EUR">50.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><NtryDtls><TxDtls>'
        "<RmtInf><Ustrd>{}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
    )
    whole = (
        f"<Document><BkToCstmrDbtCdtNtfctn><Ntfctn><Acct><Id><IBAN>{IBAN}</IBAN></Id></Acct>"
        "{}</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>"
    )
    world.bank.put(whole.format(entry.format("SP-4711")))
    world.with_credits()
    world.take_in()
    assert [(one.text, one.amount_micros) for one in world.credits] == [("SP-4711", 50_000_000)]
    assert held(world) == []
    world.bank.put(whole.format(entry.format("for Ann")))
    world.take_in()
    assert held(world) == ["credit_of_nobody"]


def test_currencies_other_than_euro_are_not_reserved_for_this_rail(world: SepaWorld) -> None:
    world.due("w-1")
    world.earn("w-1", TEN, currency="USD")
    with pytest.raises(SmallPeckError) as refused:
        world.ask("w-1", key="dollars", currency="USD")
    assert refused.value.code == "rail_currency"


def flow(world: SepaWorld) -> None:
    """A run with a payment of each fate, and all the bank says about it, however often it must be begun again."""
    run = world.send()
    world.bank_works()
    world.take_in()
    world.query(run.run_id)
    world.bank_works(RETURNED_AFTER_MS)
    world.take_in()
    world.query(run.run_id)


def prepared() -> SepaWorld:
    world = SepaWorld()
    for worker, holder in (("w-1", "Ann Lee"), ("w-2", "Refuse Bob"), ("w-3", "Twice Cid")):
        world.due(worker, holder)
    return world


def _calls() -> int:
    world = prepared()
    return world.aws.faults.count_calls(lambda: flow(world))


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_wherever_a_process_dies_each_is_paid_or_credited_back_once(fault: Fault) -> None:
    for at in range(_calls()):
        world = prepared()
        with suppress(Crash), world.aws.faults.planned(Plan(fault, at)):
            flow(world)
        world.aws.clock.advance(3600)
        world.connect()
        flow(world)
        running.query_earlier(ports=world.ports)
        states = {one.worker_id: one.state for one in world.every_payout()}
        assert states == {"w-1": S.SETTLED, "w-2": S.RELEASED, "w-3": S.RETURNED}, at
        assert [world.euro(f"w-{n}") for n in (1, 2, 3)] == [0, TEN, TEN], at
        world.check_sepa()
