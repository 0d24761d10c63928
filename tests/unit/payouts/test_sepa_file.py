"""Payment files: what stands in them, that they are made again byte for byte, and that a wrong one goes nowhere."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sepaxml  # type: ignore[import-untyped]
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from smallpeck.kernel.ids import derived_id
from smallpeck.payouts.rails import sepa_file
from smallpeck.payouts.rails.iban import bank_account
from smallpeck.payouts.rails.safe_xml import children, document, text
from smallpeck.payouts.rails.sepa_file import SCHEMAS, Debtor, Payment, TotalsDiffer, payment_file

ACCOUNT = bank_account("DE89370400440532013000, Small Peck Söhne & Co.".replace(" & ", " und "))
DEBTOR = Debtor("Small Peck und Söhne", ACCOUNT, "pain.001.001.09")
MESSAGE = "r-00000000000000000000000001-7"
CREATED_MS = 1_767_225_600_000
HOLDERS = ("Zoë O'Neil", "Łukasz Żółć", "北京 李", "Ann Lee")


def payments(count: int = 4) -> list[Payment]:
    return [
        Payment(
            derived_id("p_", str(n)),
            (n + 1) * 10_000,
            bank_account(f"{'NL91ABNA0417164300' if n % 2 else 'CH9300762011623852957'}, {HOLDERS[n % 4]}"),
        )
        for n in range(count)
    ]


def made(given: list[Payment], debtor: Debtor = DEBTOR, message: str = MESSAGE) -> bytes:
    return payment_file(debtor=debtor, message=message, created_ms=CREATED_MS, payments=given)


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
def test_a_file_has_the_form_of_its_schema(schema: str) -> None:
    path = Path(sepaxml.__file__).parent / "schemas" / f"{schema}.xsd"
    content = made(payments(20), replace(DEBTOR, schema=schema))
    xmlschema.XMLSchema(path).validate(content.decode())


def test_what_stands_in_a_file() -> None:
    given = payments()
    initiation = document(made(given))[0]
    assert text(initiation, "GrpHdr/MsgId") == text(initiation, "PmtInf/PmtInfId") == MESSAGE
    assert text(initiation, "GrpHdr/CreDtTm") == "2026-01-01T00:00:00"
    assert text(initiation, "PmtInf/ReqdExctnDt/Dt") == "2026-01-01"
    assert text(initiation, "PmtInf/BtchBookg") == "false"
    assert text(initiation, "PmtInf/PmtTpInf/SvcLvl/Cd") == "SEPA"
    assert text(initiation, "PmtInf/ChrgBr") == "SLEV"
    assert text(initiation, "PmtInf/Dbtr/Nm") == "Small Peck und Sohne"
    assert text(initiation, "GrpHdr/NbOfTxs") == text(initiation, "PmtInf/NbOfTxs") == "4"
    assert text(initiation, "GrpHdr/CtrlSum") == text(initiation, "PmtInf/CtrlSum") == "0.10"
    stated = {
        text(one, "PmtId/EndToEndId"): (text(one, "Amt/InstdAmt"), text(one, "Cdtr/Nm"), text(one, "CdtrAcct/Id/IBAN"))
        for one in children(initiation, "PmtInf/CdtTrfTxInf")
    }
    ids = [one.payout_id.replace("_", "-") for one in given]
    assert stated == {
        ids[0]: ("0.01", "Zoe O'Neil", "CH9300762011623852957"),
        ids[1]: ("0.02", "Lukasz Zolc", "NL91ABNA0417164300"),
        ids[2]: ("0.03", "Bei Jing Li", "CH9300762011623852957"),
        ids[3]: ("0.04", "Ann Lee", "NL91ABNA0417164300"),
    }
    assert all(len(one) <= 35 for one in ids)


def test_the_same_payments_make_the_same_bytes() -> None:
    given = payments()
    assert made(given) == made(list(reversed(given))) == made(payments())
    assert sepa_file.digest(made(given)) != sepa_file.digest(made(given[1:]))


def test_ids_go_there_and_back() -> None:
    payout_id = derived_id("p_", "x")
    assert sepa_file.payout_of(sepa_file.end_to_end_id(payout_id)) == payout_id
    assert sepa_file.message_id("r_00000000000000000000000001-12") == "r-00000000000000000000000001-12"
    for strange in (None, "", "NOTPROVIDED", payout_id, "p-" + "#" * 26, "p-0"):
        assert sepa_file.payout_of(strange) is None
    for odd in ("x#", "r" * 36, ""):
        with pytest.raises(ValueError):
            sepa_file.message_id(odd)
    with pytest.raises(ValueError):
        sepa_file.end_to_end_id("p_1")


@pytest.mark.parametrize("micros", [0, -10_000, 1, 9_999, 10_001])
def test_only_whole_cents_go_into_a_file(micros: int) -> None:
    with pytest.raises(TotalsDiffer):
        made([replace(payments(1)[0], amount_micros=micros)])


def test_two_payments_of_one_payout_go_nowhere() -> None:
    one = payments(1)[0]
    with pytest.raises(TotalsDiffer):
        made([one, one])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<CtrlSum>0.10</CtrlSum>", b"<CtrlSum>0.11</CtrlSum>"),
        (b"<NbOfTxs>4</NbOfTxs>", b"<NbOfTxs>5</NbOfTxs>"),
        (b'Ccy="EUR">0.04', b'Ccy="EUR">0.03'),
        (b'Ccy="EUR">0.04', b'Ccy="USD">0.04'),
        (b"NL91ABNA0417164300", b"DE89370400440532013000"),
        (b"<Nm>Ann Lee</Nm>", b"<Nm></Nm>"),
        (b"<Cd>SEPA</Cd>", b"<Cd>SEPAXX</Cd>"),
    ],
)
def test_a_file_that_says_something_else_goes_nowhere(
    monkeypatch: pytest.MonkeyPatch, before: bytes, after: bytes
) -> None:
    """Whatever made it so: the file is read again before it is put anywhere."""
    honest = sepa_file._made

    def other(*arguments: Any) -> bytes:
        content = honest(*arguments)
        assert before in content
        return content.replace(before, after)

    monkeypatch.setattr(sepa_file, "_made", other)
    with pytest.raises(TotalsDiffer) as refused:
        made(payments())
    assert refused.value.__cause__ is None
    assert "Ann" not in str(refused.value)


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=80))
def test_a_spelled_name_is_in_the_letters_of_the_scheme(name: str) -> None:
    spelled = sepa_file.spelled(name)
    assert len(spelled) <= 70
    assert spelled == spelled.strip()
    assert set(spelled) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789?:().,'+ -")
