"""The sepa rail against a bank behind the mailbox, in S3: every way a payment can go, every call that can die."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from local.rails.sepa_bank import DAY_MS, LATE_AFTER_MS, RETURNED_AFTER_MS, Bank, Mode
from smallpeck.kernel.ids import derived_id
from smallpeck.payouts.mailbox_store import S3Mailbox
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails import RAILS, connect, sepa_file
from smallpeck.payouts.rails.mailbox import Folder
from smallpeck.payouts.rails.port import Item, Order, Parcel
from smallpeck.payouts.rails.sepa import BadMailbox, SepaRail, debtor
from smallpeck.payouts.rails.sepa_answers import BadAnswer
from smallpeck.people.model import Destination
from tests.aws import Aws, Call, Crash, Fault, Plan

IBAN = "DE89370400440532013000"
SECRET = json.dumps({"name": "Small Peck", "iban": IBAN, "key_id": "key-1"})
RUN = "r_00000000000000000000000001"
MESSAGE = "r-00000000000000000000000001-0"
FIVE = 5_000_000
F = Fact


class World:
    """One bank, one mailbox, one rail."""

    def __init__(self) -> None:
        self.aws = Aws()
        self.aws.s3.create_bucket(Bucket="work")
        self.mailbox = S3Mailbox(self.aws.s3, "work", "sepa", "key-1")
        self.rail = SepaRail(self.mailbox, debtor(SECRET))
        self.bank = Bank(self.mailbox, IBAN)
        self.parcel = Parcel(f"{RUN}-0", "sepa", RUN, 0, "EUR", sending_started_at_ms=self.aws.clock.millis())

    def bank_works(self, after_ms: int = 0) -> None:
        self.aws.clock.advance(after_ms / 1000)
        self.bank.work(self.aws.clock.millis())

    def ask(self, *items: Item) -> list[Answer]:
        rail = SepaRail(self.mailbox, debtor(SECRET))
        said = rail.ask(self.parcel, [item.order for item in items])
        return [said.answers[item.order.payout_id] for item in items]

    def facts(self, *items: Item) -> list[Fact]:
        return [answer.fact for answer in self.ask(*items)]

    def never_put_out(self) -> None:
        """As it is where a send died between the note and the file."""
        self.aws.s3.delete_object(Bucket="work", Key=f"sepa/out/{MESSAGE}.xml")
        self.aws.s3.delete_object(Bucket="work", Key=f"sepa/sent/{MESSAGE}.out.json")

    def keys(self, folder: Folder) -> list[str]:
        return [listed.name for listed in self.mailbox.listed(folder)]


@pytest.fixture
def world() -> World:
    return World()


def item(name: str = "Ann Lee", *, amount: int = FIVE, currency: str = "EUR", address: str | None = None) -> Item:
    payout_id = derived_id("p_", name, str(amount), currency, str(address))
    order = Order(f"k_{payout_id[2:]}", payout_id, RUN, amount, currency)
    return Item(order, Destination("sepa", address or f"NL91ABNA0417164300, {name}"))


def test_a_file_is_put_out_and_what_it_pays_is_noted_without_people(world: World) -> None:
    items = [item("Ann Lee"), item("Zoë Müller", amount=10_010_000)]
    calls: list[Call] = []
    world.aws.faults.watch = calls.append
    said = world.rail.send(world.parcel, items)
    message = "r-00000000000000000000000001-0"
    assert said.reference == message
    assert set(said.answers.values()) == {Answer(F.PENDING, reference=message)}
    assert world.keys(Folder.OUT) == [f"{message}.xml"]
    puts = [call.params for call in calls if call.operation == "PutObject"]
    assert {(one["ServerSideEncryption"], one["SSEKMSKeyId"]) for one in puts} == {("aws:kms", "key-1")}
    assert all(one["IfNoneMatch"] == "*" for one in puts)
    note = world.mailbox.get(Folder.SENT, f"{message}.json") or b""
    assert json.loads(note) | {"digest": ""} == {
        "v": 1,
        "message_id": message,
        "digest": "",
        "count": 2,
        "total_micros": 15_010_000,
        "currency": "EUR",
        "paid": {one.order.payout_id: one.order.amount_micros for one in items},
        "refused": {},
    }
    assert b"NL91" not in note
    assert b"Ann" not in note


WAYS: list[tuple[Mode, list[Fact], int]] = [
    # What is heard at once, days later, and weeks later; and how much stayed paid.
    (Mode.OK, [F.PAID, F.PAID, F.PAID], 1),
    (Mode.REFUSE, [F.REFUSED, F.REFUSED, F.REFUSED], 0),
    (Mode.LATE, [F.PENDING, F.PAID, F.PAID], 1),
    (Mode.BOOKED, [F.PENDING, F.PAID, F.PAID], 1),
    (Mode.RETURN, [F.PAID, F.PAID, F.RETURNED], 0),
    (Mode.TWICE, [F.PAID, F.PAID, F.RETURNED], 0),
    (Mode.LOST, [F.PENDING, F.PENDING, F.PENDING], 1),
    (Mode.CONTRADICT, [F.PAID, F.PAID, F.MISMATCH], 1),
    (Mode.SHORT, [F.MISMATCH, F.MISMATCH, F.MISMATCH], 1),
]


@pytest.mark.parametrize(("mode", "facts", "paid"), WAYS)
def test_what_is_heard_of_each_way(world: World, mode: Mode, facts: list[Fact], paid: int) -> None:
    one = item(f"{mode.value.capitalize()} Ann")
    assert world.rail.send(world.parcel, [one]).answers[one.order.payout_id].fact is F.PENDING
    heard = []
    for after_ms in (0, LATE_AFTER_MS, RETURNED_AFTER_MS):
        world.bank_works(after_ms)
        heard += world.facts(one)
    assert heard == facts
    assert [payment.amount for payment in world.bank.paid] == [Decimal("5.00")] * paid
    counts = heard[-1] is F.PAID
    assert world.rail.totals([world.parcel]) == ({"EUR": FIVE} if counts or mode in _SAID_PAID else {})


_SAID_PAID = {Mode.CONTRADICT, Mode.SHORT}


def test_every_way_is_tried() -> None:
    assert {mode for mode, *_ in WAYS} == set(Mode)


def test_a_refused_payment_says_why_and_leaves_the_others_alone(world: World) -> None:
    refused, paid = item("Refuse Ann"), item("Bob Lee")
    world.rail.send(world.parcel, [refused, paid])
    world.bank_works()
    assert [(answer.fact, answer.reason) for answer in world.ask(refused, paid)] == [
        (F.REFUSED, "ac04_account_closed"),
        (F.PAID, None),
    ]


def test_a_whole_file_can_be_refused(world: World) -> None:
    world.bank.rejects = frozenset({"r-00000000000000000000000001-0"})
    items = [item("Ann Lee"), item("Bob Lee")]
    world.rail.send(world.parcel, items)
    world.bank_works()
    assert {(answer.fact, answer.reason) for answer in world.ask(*items)} == {(F.REFUSED, "ff01_file_format")}
    assert world.bank.paid == []


def test_a_parcel_sent_again_puts_out_the_same_bytes_or_nothing(world: World) -> None:
    items = [item("Ann Lee"), item("Bob Lee")]
    name = "r-00000000000000000000000001-0.xml"
    world.rail.send(world.parcel, items)
    first = world.mailbox.get(Folder.OUT, name)
    world.aws.clock.advance(3600)
    assert {one.fact for one in world.rail.send(world.parcel, list(reversed(items))).answers.values()} == {F.PENDING}
    assert world.mailbox.get(Folder.OUT, name) == first
    world.never_put_out()
    assert world.facts(*items) == [F.SEND_TO_ASK, F.SEND_TO_ASK]
    world.rail.send(world.parcel, items)
    assert world.mailbox.get(Folder.OUT, name) == first
    world.bank_works()
    world.bank_works()
    assert len(world.bank.paid) == 2


def test_a_file_that_somebody_took_away_is_never_put_out_again(world: World) -> None:
    items = [item("Ann Lee"), item("Lost Bob")]
    world.rail.send(world.parcel, items)
    world.bank_works()
    world.aws.s3.delete_object(Bucket="work", Key=f"sepa/out/{MESSAGE}.xml")
    assert world.facts(*items) == [F.PAID, F.PENDING]
    assert {one.fact for one in world.rail.send(world.parcel, items).answers.values()} == {F.PENDING}
    assert world.keys(Folder.OUT) == []


def test_what_was_never_sent_was_never_heard_of(world: World) -> None:
    assert world.facts(item()) == [F.NEVER_HEARD]
    world.rail.send(world.parcel, [item()])
    assert world.facts(item("Bob Lee")) == [F.NEVER_HEARD]


def test_another_amount_than_that_of_the_file_is_a_mismatch(world: World) -> None:
    one = item()
    world.rail.send(world.parcel, [one])
    other = replace(one, order=replace(one.order, amount_micros=FIVE + 10_000))
    assert world.rail.send(world.parcel, [other]).answers[one.order.payout_id].fact in {F.MISMATCH, F.UNCLEAR}
    assert world.facts(other) == [F.MISMATCH]


def test_a_destination_that_is_another_now_puts_out_no_second_file(world: World) -> None:
    one = item()
    world.rail.send(world.parcel, [one])
    world.never_put_out()
    moved = replace(one, destination=Destination("sepa", f"{IBAN}, Ann Lee"))
    answer = world.rail.send(world.parcel, [moved]).answers[one.order.payout_id]
    assert answer == Answer(F.UNCLEAR, "file_differs")
    assert world.keys(Folder.OUT) == []


@pytest.mark.parametrize(
    ("unfit", "reason"),
    [
        (item(currency="USD"), "currency_not_carried"),
        (item(amount=FIVE + 1), "amount_not_carried"),
        (item(amount=0), "amount_not_carried"),
        (item(address="ann@example.com"), "destination_not_reached"),
        (item(address="BR1800360305000010009795493C1, Ann Lee"), "destination_not_reached"),
    ],
)
def test_what_no_file_can_carry_is_refused_for_good_and_holds_up_no_other(
    world: World, unfit: Item, reason: str
) -> None:
    fit = item()
    for _ in range(2):
        answers = world.rail.send(world.parcel, [unfit, fit]).answers
        assert answers[unfit.order.payout_id] == Answer(F.REFUSED, reason)
        assert answers[fit.order.payout_id].fact is F.PENDING
    world.bank_works()
    assert world.facts(unfit, fit) == [F.REFUSED, F.PAID]
    assert len(world.bank.paid) == 1


def test_a_parcel_of_nothing_that_can_be_carried_makes_no_file(world: World) -> None:
    unfit = item(currency="USD")
    world.rail.send(world.parcel, [unfit])
    assert world.keys(Folder.OUT) == []
    assert world.facts(unfit) == [F.REFUSED]


def test_a_name_of_which_nothing_is_left_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sepa_file.spelled
    monkeypatch.setattr(sepa_file, "spelled", lambda name: "" if name == "Ann Lee" else honest(name))
    said = world.rail.send(world.parcel, [item("Ann Lee"), item("Bob Lee")])
    assert [answer.fact for answer in said.answers.values()] == [F.REFUSED, F.PENDING]


def _sent_and_asked(world: World, items: Sequence[Item]) -> list[Fact]:
    """As a run does: sent, asked, sent again where that is what it takes; then the bank, and asked."""
    for _ in range(3):
        if not {F.NEVER_HEARD, F.SEND_TO_ASK} & set(world.facts(*items)):
            break
        world.rail.send(world.parcel, items)
    world.bank_works()
    return world.facts(*items)


FAULTS = [Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER, Fault.ERROR_BEFORE, Fault.ERROR_AFTER]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", range(7))
def test_whatever_call_fails_each_is_paid_once(world: World, fault: Fault, call: int) -> None:
    items = [item("Ann Lee"), item("Bob Lee")]
    with world.aws.faults.planned(Plan(fault, call)):
        said = world.rail.send(world.parcel, items)
    assert {answer.fact for answer in said.answers.values()} <= {F.PENDING, F.UNCLEAR}
    assert _sent_and_asked(world, items) == [F.PAID, F.PAID]
    assert len(world.bank.paid) == 2


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("call", range(7))
def test_wherever_a_send_dies_each_is_paid_once(world: World, fault: Fault, call: int) -> None:
    items = [item("Ann Lee"), item("Bob Lee")]
    with world.aws.faults.planned(Plan(fault, call)), suppress(Crash):
        world.rail.send(world.parcel, items)
    world.bank_works()
    assert _sent_and_asked(world, items) == [F.PAID, F.PAID]
    assert len(world.bank.paid) == 2


@pytest.mark.parametrize("call", range(7))
def test_two_sends_at_once_put_out_one_file(world: World, call: int) -> None:
    items = [item("Ann Lee"), item("Bob Lee")]
    beside = SepaRail(world.mailbox, debtor(SECRET))
    plan = Plan(Fault.RACE, call, race=lambda: beside.send(world.parcel, items[:1]))
    with world.aws.faults.planned(plan):
        world.rail.send(world.parcel, items)
    assert plan.race_errors == []
    world.bank_works()
    assert len(world.keys(Folder.OUT)) == 1
    assert len(world.bank.paid) in {1, 2}
    carried = {payment.end_to_end for payment in world.bank.paid}
    for one, fact in zip(items, world.facts(*items), strict=True):
        assert fact is (F.PAID if sepa_file.end_to_end_id(one.order.payout_id) in carried else F.NEVER_HEARD)


def test_nobody_there_is_unclear() -> None:
    mailbox = S3Mailbox(Aws().s3, "absent", "sepa")
    rail = SepaRail(mailbox, debtor(SECRET))
    parcel = Parcel(f"{RUN}-0", "sepa", RUN, 0, "EUR", sending_started_at_ms=0)
    one = item()
    assert rail.send(parcel, [one]).answers[one.order.payout_id].fact is F.UNCLEAR
    assert rail.ask(parcel, [one.order]).answers[one.order.payout_id].fact is F.UNCLEAR
    assert rail.totals([parcel]) is None


def test_an_answer_about_other_totals_than_ours_says_nothing(world: World) -> None:
    one = item()
    world.rail.send(world.parcel, [one])
    world.bank_works()
    honest = (world.mailbox.get(Folder.IN, "answer-00001.xml") or b"").decode()
    other = World()
    other.rail.send(other.parcel, [one])
    name = other.bank.put(honest.replace("<OrgnlCtrlSum>5.00", "<OrgnlCtrlSum>5.01"))
    with pytest.raises(BadAnswer, match="totals_differ"):
        other.rail.read(name)
    assert other.facts(one) == [F.PENDING]


def test_answers_are_read_once_by_a_rail(world: World) -> None:
    one = item()
    world.rail.send(world.parcel, [one])
    world.bank_works()
    world.rail.ask(world.parcel, [one.order])
    before = world.aws.faults.calls
    world.rail.ask(world.parcel, [one.order])
    assert world.aws.faults.calls - before == 3


def test_an_old_answer_is_not_looked_at(world: World) -> None:
    world.bank.put("<Document/>")
    world.aws.clock.advance(DAY_MS / 1000)
    later = replace(world.parcel, sending_started_at_ms=world.aws.clock.millis())
    world.rail.send(later, [item()])
    before = world.aws.faults.calls
    assert world.rail.ask(later, [item().order]).answers[item().order.payout_id].fact is F.PENDING
    assert world.aws.faults.calls - before == 3


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://bank.test", SECRET),
        ("s3://work", SECRET),
        ("s3:///sepa", SECRET),
        ("s3://work/sepa?x=1", SECRET),
        ("s3://work/sepa", "secret"),
        ("s3://work/sepa", "[]"),
        ("s3://work/sepa", json.dumps({"name": "Small Peck"})),
        ("s3://work/sepa", json.dumps({"name": "Small Peck", "iban": "DE88370400440532013000"})),
        ("s3://work/sepa", json.dumps({"name": "Small Peck", "iban": IBAN, "schema": "pain.001.001.99"})),
        ("s3://work/sepa", json.dumps({"name": "Small Peck", "iban": IBAN, "key_id": 7})),
    ],
)
def test_a_mailbox_or_an_account_that_cannot_be_used_is_found_at_the_start(
    url: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with pytest.raises(BadMailbox) as refused:
        connect("sepa", url=url, secret=secret, stage="prod")
    assert "3704" not in str(refused.value)


def test_the_rail_is_registered_and_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    rail = connect("sepa", url="s3://work/sepa/", secret=SECRET, stage="prod")
    assert isinstance(rail, SepaRail)
    assert isinstance(rail.mailbox, S3Mailbox)
    assert (rail.mailbox.bucket, rail.mailbox.prefix, rail.mailbox.key_id) == ("work", "sepa", "key-1")
    assert "3704" not in repr(rail)
    assert RAILS["sepa"].currencies == frozenset({"EUR"})
    assert RAILS["sepa"].parcel_limit == 1_000
