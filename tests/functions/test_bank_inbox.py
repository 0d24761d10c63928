"""The bank's answers: whatever arrives is taken in once, told to the payouts, and what nobody can place is held."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from functions.bank_inbox.handler import handler
from smallpeck.funding import bank
from smallpeck.kernel.clock import to_rfc3339
from smallpeck.payouts.model import PayoutState
from smallpeck.runtime import bank_inbox, funding
from smallpeck.runtime.settings import MissingSetting, Settings
from smallpeck.runtime.wiring import Wiring, wired
from tests.gateway import Context
from tests.unit.payouts.sepa_world import IBAN, SECRET, TEN, SepaWorld

_CAMT = "urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"
_TABLES = {f"{name}_table": name for name in ("platform", "ledger")}


class Secrets:
    def get_secret_value(self, **arguments: Any) -> dict[str, str]:
        assert arguments == {"SecretId": "arn:sepa"}
        return {"SecretString": SECRET}


@dataclass
class Desk:
    world: SepaWorld
    wiring: Wiring

    def arrived(self, name: str) -> Any:
        return handler({"step": "take_in", "key": f"sepa/in/{name}"}, Context())

    def every_day(self) -> Any:
        return handler({"step": "take_in_all"}, Context())

    def requester_reference(self, requester_id: str, currency: str = "EUR") -> str:
        return bank.reference_for(
            requester_id=requester_id, currency=currency, idempotency_key=requester_id, now_ms=self.world.now_ms(),
            reads=self.wiring.once(funding.funding_store), unit=self.wiring.table,
        ).reference  # fmt: skip

    def credit(self, text: str, *, amount: str = "5.00", booking: str | None = "B-1", structured: bool = False) -> str:
        """Puts an answer there that says that money came in; returns its name."""
        written = f"<Strd><CdtrRefInf><Ref>{text}</Ref></CdtrRefInf></Strd>" if structured else f"<Ustrd>{text}</Ustrd>"
        own = f"<AcctSvcrRef>{booking}</AcctSvcrRef>" if booking else ""
        return self.world.bank.put(
            f'<Document xmlns="{_CAMT}"><BkToCstmrDbtCdtNtfctn><GrpHdr><MsgId>N</MsgId>'
            f"<CreDtTm>{to_rfc3339(self.world.now_ms())}</CreDtTm></GrpHdr><Ntfctn><Id>N</Id>"
            f'<Acct><Id><IBAN>{IBAN}</IBAN></Id></Acct><Ntry><Amt Ccy="EUR">{amount}</Amt>'
            f"<CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>{own}<NtryDtls><TxDtls><RmtInf>{written}</RmtInf>"
            "</TxDtls></NtryDtls></Ntry></Ntfctn></BkToCstmrDbtCdtNtfctn></Document>"
        )

    def held(self) -> list[str]:
        listed = self.world.aws.s3.list_objects_v2(Bucket="work", Prefix="sepa/held/").get("Contents", [])
        return [one["Key"] for one in listed]


def make_desk(world: SepaWorld, **settings: Any) -> Desk:
    environment = Settings.environment(stage="local", **_TABLES, **settings)
    clients = {"dynamodb": world.aws.dynamodb, "secretsmanager": Secrets(), "stepfunctions": world.aws.sfn}
    wiring = Wiring(Settings.from_environment(environment), clock=world, clients=clients)
    wiring.table = world.table
    # The same rail, but one whose mailbox is in memory.
    wiring._made[bank_inbox.sepa_rail] = world.rail
    return Desk(world, wiring)


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = make_desk(SepaWorld(), sepa_url="s3://work/sepa", sepa_secret_arn="arn:sepa")
    with wired(found.wiring):
        yield found


def answers(desk: Desk) -> list[str]:
    listed = desk.world.aws.s3.list_objects_v2(Bucket="work", Prefix="sepa/in/").get("Contents", [])
    return [one["Key"].removeprefix("sepa/in/") for one in listed]


def test_a_payout_that_the_bank_made_is_settled_once_however_often_its_answer_is_taken_in(desk: Desk) -> None:
    world = desk.world
    paid, refused = world.due("ann"), world.due("bob", "Refuse Bob")
    world.send()
    world.bank_works()
    for _ in range(2):
        for name in answers(desk):
            assert desk.arrived(name) == {"answers": 1}
        assert desk.every_day() == {"answers": len(answers(desk))}
    assert world.payout(paid.payout_id).state is PayoutState.SETTLED
    assert world.payout(refused.payout_id).state is PayoutState.RELEASED
    assert (world.euro("ann"), world.euro("bob")) == (0, TEN)
    assert desk.held() == []
    world.check_sepa()


@pytest.mark.parametrize("form", ["structured", "plain"])
def test_what_a_requester_sent_is_theirs_once(desk: Desk, form: str) -> None:
    name = desk.credit(desk.requester_reference("rita"), structured=form == "structured")
    for _ in range(3):
        desk.arrived(name)
    desk.every_day()
    assert desk.world.journal("requester:rita:available") == 5_000_000
    assert desk.held() == []


def test_money_of_nobody_and_money_without_a_booking_are_held_and_not_booked(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    reference = desk.requester_reference("rita")
    names = [
        desk.credit("for the birthday of Aunt Secretive"),
        desk.credit(reference, booking=None),
        desk.credit(reference, booking="B-2"),
        desk.credit(reference, booking="B-2", amount="6.00"),
    ]
    for name in names:
        desk.arrived(name)
    assert len(desk.held()) == 3
    assert desk.world.journal("requester:rita:available") == 5_000_000
    printed = capfd.readouterr().out
    assert "BankAnswerHeld" in printed
    assert "Secretive" not in printed


def test_an_answer_that_cannot_be_read_is_held_with_an_alarm(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.arrived(desk.world.bank.put("<Document><!-- torn"))
    assert len(desk.held()) == 1
    assert "BankAnswerHeld" in capfd.readouterr().out


@pytest.mark.parametrize("key", ["sepa/in/", "sepa/out/a.xml", "elsewhere"])
def test_a_file_that_is_no_answer_means_nothing(desk: Desk, key: str) -> None:
    assert handler({"step": "take_in", "key": key}, Context()) == {"answers": 0}
    assert desk.held() == []


def test_without_a_bank_the_day_passes_and_a_file_is_not_passed_over() -> None:
    desk = make_desk(SepaWorld())
    with wired(desk.wiring):
        assert desk.every_day() == {"answers": 0}
        with pytest.raises(MissingSetting):
            desk.arrived("a.xml")
