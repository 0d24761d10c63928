"""What banks answer, read: pain.002 at every level, bookings of camt.054 in two versions, and what is not read."""

import pytest

from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails.safe_xml import MAX_DEPTH, BadXml, document
from smallpeck.payouts.rails.sepa_answers import BadAnswer, Credit, FileFact, PayoutFact, read_answer

IBAN = "DE89370400440532013000"
AT = "2026-01-05T10:00:00Z"
AT_MS = 1_767_607_200_000
DAY_MS = 1_767_571_200_000
F = Fact


def report(group: str = "", payment: str = "", *, version: str = "10") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.{version}">'
        f"<CstmrPmtStsRpt><GrpHdr><MsgId>B1</MsgId><CreDtTm>{AT}</CreDtTm></GrpHdr>"
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>r-1-0</OrgnlMsgId><OrgnlMsgNmId>pain.001</OrgnlMsgNmId>{group}"
        f"</OrgnlGrpInfAndSts>{payment}</CstmrPmtStsRpt></Document>"
    ).encode()


def why(code: str, kind: str = "Cd") -> str:
    return f"<StsRsnInf><Rsn><{kind}>{code}</{kind}></Rsn><AddtlInf>Ann Lee died</AddtlInf></StsRsnInf>"


def transaction(end_to_end: str, status: str, reason: str = "", amount: str = "") -> str:
    stated = f'<OrgnlTxRef><Amt><InstdAmt Ccy="EUR">{amount}</InstdAmt></Amt></OrgnlTxRef>' if amount else ""
    named = f"<OrgnlEndToEndId>{end_to_end}</OrgnlEndToEndId>"
    return f"<TxInfAndSts>{named}<TxSts>{status}</TxSts>{reason}{stated}</TxInfAndSts>"


def group_of(status: str = "", *transactions: str) -> str:
    stated = f"<PmtInfSts>{status}</PmtInfSts>" if status else ""
    return f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>r-1-0</OrgnlPmtInfId>{stated}{''.join(transactions)}</OrgnlPmtInfAndSts>"


@pytest.mark.parametrize("version", ["03", "10", "14"])
def test_a_payment_can_be_refused_by_itself(version: str) -> None:
    content = report(
        "<GrpSts>PART</GrpSts>",
        group_of("", transaction("a", "RJCT", why("AC04"), "5.00"), transaction("b", "ACSC")),
        version=version,
    )
    reading = read_answer(content)
    assert reading.payouts == (
        PayoutFact("a", Answer(F.REFUSED, "ac04_account_closed", at_ms=AT_MS), 5_000_000, "EUR"),
        PayoutFact("b", Answer(F.PAID, at_ms=AT_MS)),
    )
    assert reading.files == (FileFact("r-1-0", Answer(F.PENDING, at_ms=AT_MS), frozenset({"a", "b"})),)


@pytest.mark.parametrize(
    ("group", "payment", "fact", "reason"),
    [
        ("<GrpSts>ACCP</GrpSts>", "", F.PENDING, None),
        ("<GrpSts>ACSC</GrpSts>", "", F.PAID, None),
        ("<GrpSts>PART</GrpSts>", "", F.PENDING, None),
        (f"<GrpSts>RJCT</GrpSts>{why('FF01')}", "", F.REFUSED, "ff01_file_format"),
        ("", group_of("ACSC"), F.PAID, None),
        ("<GrpSts>PART</GrpSts>", group_of("RJCT"), F.REFUSED, "other"),
        ("<GrpSts>ACCP</GrpSts>", group_of("RJCT", why("AM04")), F.REFUSED, "am04_debtor_funds"),
        ("<GrpSts>WHAT</GrpSts>", "", F.UNCLEAR, None),
        ("", "", F.PENDING, None),
    ],
)
def test_a_whole_file_can_be_spoken_of(group: str, payment: str, fact: Fact, reason: str | None) -> None:
    (whole,) = read_answer(report(group, payment)).files
    assert whole.answer.fact is fact
    if reason is not None:
        assert whole.answer.reason == reason


def test_the_totals_that_the_bank_speaks_of_are_kept() -> None:
    group = "<OrgnlNbOfTxs>3</OrgnlNbOfTxs><OrgnlCtrlSum>15.03</OrgnlCtrlSum><GrpSts>ACSC</GrpSts>"
    (whole,) = read_answer(report(group)).files
    assert (whole.count, whole.total_micros) == (3, 15_030_000)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AC01", "ac01_account_wrong"),
        ("AC04", "ac04_account_closed"),
        ("AM04", "am04_debtor_funds"),
        ("MD07", "md07_holder_deceased"),
        ("ZZ99", "zz99"),
        ("Ann Lee died", "other"),
    ],
)
def test_a_reason_is_a_code_and_never_text_about_a_person(code: str, reason: str) -> None:
    (fact,) = read_answer(report("", group_of("", transaction("a", "RJCT", why(code))))).payouts
    assert fact.answer.reason == reason
    (fact,) = read_answer(report("", group_of("", transaction("a", "RJCT", why(code, "Prtry"))))).payouts
    assert fact.answer.reason == reason


def entry(inner: str, *, side: str = "CRDT", status: str = "<Sts><Cd>BOOK</Cd></Sts>", amount: str = "5.00") -> str:
    return (
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>{status}'
        "<BookgDt><Dt>2026-01-05</Dt></BookgDt>"
        f"<AcctSvcrRef>REF1</AcctSvcrRef>{inner}</Ntry>"
    )


def booked(*entries: str, version: str = "08", iban: str = IBAN) -> bytes:
    return (
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.{version}"><BkToCstmrDbtCdtNtfctn><GrpHdr>'
        f"<MsgId>N1</MsgId></GrpHdr><Ntfctn><Id>N1</Id><Acct><Id><IBAN>{iban}</IBAN></Id></Acct>"
        f"{''.join(entries)}</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>"
    ).encode()


def details(end_to_end: str, more: str = "") -> str:
    return f"<NtryDtls><TxDtls><Refs><EndToEndId>{end_to_end}</EndToEndId></Refs>{more}</TxDtls></NtryDtls>"


RETURN = "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"


@pytest.mark.parametrize(
    ("version", "status", "amount"),
    [
        ("02", "<Sts>BOOK</Sts>", '<AmtDtls><TxAmt><Amt Ccy="EUR">5.00</Amt></TxAmt></AmtDtls>'),
        ("08", "<Sts><Cd>BOOK</Cd></Sts>", '<Amt Ccy="EUR">5.00</Amt>'),
        ("08", "<Sts><Cd>BOOK</Cd></Sts>", ""),
    ],
)
def test_money_that_came_back(version: str, status: str, amount: str) -> None:
    content = booked(entry(details("a", amount + RETURN), status=status), version=version)
    reading = read_answer(content, account=IBAN)
    came_back = Answer(F.RETURNED, "ac04_account_closed", "REF1", DAY_MS + 86_399_999)
    assert reading.payouts == (PayoutFact("a", came_back, 5_000_000, "EUR"),)


@pytest.mark.parametrize(
    "inner", [details("a"), details("a", '<AmtDtls><InstdAmt><Amt Ccy="EUR">5.00</Amt></InstdAmt></AmtDtls>')]
)
def test_a_payment_that_was_booked_was_paid(inner: str) -> None:
    reading = read_answer(booked(entry(inner, side="DBIT")), account=IBAN)
    assert reading.payouts == (PayoutFact("a", Answer(F.PAID, None, "REF1", DAY_MS), 5_000_000, "EUR"),)


def test_a_return_without_an_id_or_by_its_code_alone_is_still_a_return() -> None:
    code = "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>RRTN</SubFmlyCd></Fmly></Domn></BkTxCd>"
    for inner in (details("NOTPROVIDED", RETURN), code, "<RvslInd>true</RvslInd>"):
        (fact,) = read_answer(booked(entry(inner))).payouts
        assert (fact.end_to_end_id, fact.answer.fact) == (None, F.RETURNED)


def test_a_file_booked_as_one_says_how_many_and_how_much() -> None:
    inner = "<NtryDtls><Btch><PmtInfId>r-1-0</PmtInfId><NbOfTxs>2</NbOfTxs></Btch></NtryDtls>"
    reading = read_answer(booked(entry(inner, side="DBIT", amount="7.50")))
    assert reading.files == (FileFact("r-1-0", Answer(F.PAID, None, "REF1", DAY_MS), frozenset(), 2, 7_500_000),)


def test_other_bookings_are_counted_or_somebody_elses_credit() -> None:
    reading = read_answer(
        booked(
            entry("", side="DBIT"),
            entry("", status="<Sts><Cd>PDNG</Cd></Sts>"),
            entry("<NtryDtls><TxDtls><RmtInf><Ustrd>SP-</Ustrd><Ustrd>4711</Ustrd></RmtInf></TxDtls></NtryDtls>"),
        )
    )
    assert reading.others == 1
    assert reading.credits == (Credit("REF1", 5_000_000, "EUR", "SP- 4711"),)
    assert (reading.payouts, reading.files) == ((), ())


def test_several_details_of_one_booking_have_amounts_of_their_own() -> None:
    one = details("a", '<Amt Ccy="EUR">2.00</Amt>' + RETURN).removesuffix("</NtryDtls>")
    two = details("b", '<Amt Ccy="USD">3.00</Amt>' + RETURN).removeprefix("<NtryDtls>")
    facts = read_answer(booked(entry(one + two))).payouts
    assert [(one.end_to_end_id, one.amount_micros, one.currency) for one in facts] == [
        ("a", 2_000_000, "EUR"),
        ("b", 3_000_000, "USD"),
    ]


ENTITY = (
    b'<?xml version="1.0"?><!DOCTYPE Document [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<Document><CstmrPmtStsRpt>&x;</CstmrPmtStsRpt></Document>"
)
LAUGHS = b'<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><Document>&b;</Document>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "xml_malformed"),
        (b"%PDF-1.7", "xml_malformed"),
        (b"<Document>", "xml_malformed"),
        (ENTITY, "xml_with_a_document_type"),
        (LAUGHS, "xml_with_a_document_type"),
        (b'<!DOCTYPE Document SYSTEM "http://127.0.0.1/x.dtd"><Document/>', "xml_with_a_document_type"),
        (b"<Document>&nbsp;</Document>", "xml_malformed"),
        (b'<?xml version="1.0" encoding="UTF-16"?><Document/>', "xml_in_an_encoding_that_is_not_read"),
        (b'<?xml version="1.0" encoding="cp037"?><Document/>', "xml_in_an_encoding_that_is_not_read"),
        (b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1), "xml_too_deep"),
        (b"<Document/>", "unknown_message"),
        (b"<Report/>", "unknown_message"),
        (b"<Document><CstmrCdtTrfInitn/></Document>", "unknown_message"),
        (b"<Document><CstmrPmtStsRpt/></Document>", "no_original_message"),
        (report("<OrgnlNbOfTxs>-3</OrgnlNbOfTxs>"), "unreadable_count"),
        (report("<OrgnlCtrlSum>1e3</OrgnlCtrlSum>"), "unreadable_amount"),
        (report("", group_of("", transaction("a", "ACSC", "", "-5.00"))), "unreadable_amount"),
        (report().replace(AT.encode(), b"yesterday"), "unreadable_moment"),
        (booked(entry(details("a")), iban="NL91ABNA0417164300"), "another_account"),
        (booked(entry("")).replace(b'<Amt Ccy="EUR">5.00</Amt>', b""), "no_amount"),
    ],
)
def test_what_is_not_read(content: bytes, reason: str) -> None:
    with pytest.raises(BadAnswer) as refused:
        read_answer(content, account=IBAN)
    assert str(refused.value) == reason


def test_a_document_that_is_too_large_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smallpeck.payouts.rails.safe_xml.MAX_BYTES", 20)
    with pytest.raises(BadXml):
        document(b"<a>" + b" " * 20 + b"</a>")
