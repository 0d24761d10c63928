"""What banks send back about payment files: pain.002 (status reports) and camt.054, .053, .052 (bookings).

Read as ISO 20022 defines them, in any version: names are the same in all, but for where an amount or a status stands.
What comes out says what became of payouts and of whole files; who they are is for `smallpeck.payouts.rails.sepa`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from smallpeck.kernel.errors import Invalid
from smallpeck.kernel.money import MICROS_DECIMALS, parse_amount
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails.safe_xml import BadXml, child, children, document, local_name, text

RETURNED_SUB_FAMILY = "RRTN"
"""ISO 20022 bank transaction code: a credit transfer that came back."""

_STATUSES = {
    "ACSC": Fact.PAID,
    "ACCC": Fact.PAID,
    "RJCT": Fact.REFUSED,
    "CANC": Fact.REFUSED,
    **dict.fromkeys(("RCVD", "PDNG", "ACTC", "ACCP", "ACSP", "ACWC", "ACWP", "ACFC", "PART", "PATC"), Fact.PENDING),
}
_REASONS = {
    "AC01": "account_wrong",
    "AC03": "account_wrong",
    "AC04": "account_closed",
    "AC06": "account_blocked",
    "AC13": "account_type",
    "AG01": "transfer_forbidden",
    "AG02": "operation_code",
    "AM02": "amount_forbidden",
    "AM04": "debtor_funds",
    "AM05": "duplicate",
    "AM09": "amount_wrong",
    "AM23": "debtor_funds",
    "BE01": "name_differs",
    "BE04": "address_missing",
    "CNOR": "bank_not_in_scheme",
    "DNOR": "bank_not_in_scheme",
    "DUPL": "duplicate",
    "FF01": "file_format",
    "FOCR": "recalled",
    "MD07": "holder_deceased",
    "MS02": "declined_by_holder",
    "MS03": "declined_by_bank",
    "RC01": "bank_wrong",
    "RC07": "bank_wrong",
    "RR01": "regulation",
    "RR02": "regulation",
    "RR03": "regulation",
    "RR04": "regulation",
}
_CODE = re.compile(r"[A-Z]{2}[A-Z0-9]{2}", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}", re.ASCII)
_BOOKED = "BOOK"
_DAY_MS = 86_400_000


class BadAnswer(ValueError):
    """An answer that cannot be read, or not relied on. The text is a short code."""


@dataclass(frozen=True)
class PayoutFact:
    """What a bank said about one payment. `end_to_end_id` is as it stands there, None where the bank left it out."""

    end_to_end_id: str | None
    answer: Answer
    amount_micros: int | None = None
    currency: str | None = None


@dataclass(frozen=True)
class FileFact:
    """What a bank said about a whole file: it holds for all payments that `of_its_own` does not name."""

    message_id: str
    answer: Answer
    of_its_own: frozenset[str] = frozenset()
    count: int | None = None
    total_micros: int | None = None
    """How many payments, of how much together, the bank speaks of; None where it does not say."""


@dataclass(frozen=True)
class Credit:
    """Money that came in and is no payout's. `reference` is the bank's own and names nothing else, None where there is
    none; `text` is the creditor reference or what the payer wrote: personal data.
    """

    reference: str | None
    amount_micros: int
    currency: str
    text: str


@dataclass(frozen=True)
class Reading:
    """All that an answer says. `kind` is the message's name; `others` counts bookings that are about no payout."""

    kind: str
    payouts: tuple[PayoutFact, ...] = ()
    files: tuple[FileFact, ...] = ()
    credits: tuple[Credit, ...] = ()
    others: int = 0


def read_answer(content: bytes, *, account: str | None = None) -> Reading:
    """What an answer says; raises BadAnswer. `account` is the IBAN that its bookings must be about, if they say."""
    try:
        root = document(content)
    except BadXml as error:
        raise BadAnswer(f"xml_{str(error).replace(' ', '_')}") from None
    if local_name(root) != "Document":
        raise BadAnswer("unknown_message")
    for message in root:
        reader = _READERS.get(local_name(message))
        if reader is not None:
            return reader(message, account)
    raise BadAnswer("unknown_message")


def _status_report(message: Element, _: str | None) -> Reading:
    """One file's report. The status of a payment counts before that of its group, and that before the file's."""
    at_ms = _moment(text(message, "GrpHdr/CreDtTm"))
    group = child(message, "OrgnlGrpInfAndSts")
    message_id = text(group, "OrgnlMsgId")
    if message_id is None:
        raise BadAnswer("no_original_message")
    payouts: list[PayoutFact] = []
    answer = _status(group, "GrpSts", at_ms)
    said_by = [group]
    for information in children(message, "OrgnlPmtInfAndSts"):
        said_by.append(information)
        answer = _status(information, "PmtInfSts", at_ms) or answer
        payouts += filter(None, (_of_transaction(one, at_ms) for one in children(information, "TxInfAndSts")))
    payouts += filter(None, (_of_transaction(one, at_ms) for one in children(message, "TxInfAndSts")))
    whole = FileFact(
        message_id,
        answer or Answer(Fact.PENDING, at_ms=at_ms),
        frozenset(fact.end_to_end_id for fact in payouts if fact.end_to_end_id),
        _count(next(filter(None, (text(one, "OrgnlNbOfTxs") for one in said_by)), None)),
        _micros(next(filter(None, (text(one, "OrgnlCtrlSum") for one in said_by)), None)),
    )
    return Reading("pain.002", tuple(payouts), (whole,))


def _of_transaction(transaction: Element, at_ms: int | None) -> PayoutFact | None:
    answer = _status(transaction, "TxSts", at_ms)
    if answer is None:
        return None
    amount_micros, currency = _amount(child(transaction, "OrgnlTxRef/Amt/InstdAmt"))
    return PayoutFact(text(transaction, "OrgnlEndToEndId"), answer, amount_micros, currency)


def _status(element: Element | None, name: str, at_ms: int | None) -> Answer | None:
    status = text(element, name)
    if status is None:
        return None
    fact = _STATUSES.get(status, Fact.UNCLEAR)
    reason = _reason(element, "StsRsnInf/Rsn") if fact is Fact.REFUSED else None
    return Answer(fact, reason=reason, at_ms=at_ms)


def _bookings(message: Element, account: str | None) -> Reading:
    payouts: list[PayoutFact] = []
    files: list[FileFact] = []
    incoming: list[Credit] = []
    others = 0
    for report in (one for name in ("Ntfctn", "Stmt", "Rpt") for one in children(message, name)):
        stated = text(report, "Acct/Id/IBAN")
        if account is not None and stated is not None and stated.replace(" ", "") != account:
            raise BadAnswer("another_account")
        for fact in (fact for entry in children(report, "Ntry") if _is_booked(entry) for fact in _of_entry(entry)):
            match fact:
                case PayoutFact():
                    payouts.append(fact)
                case FileFact():
                    files.append(fact)
                case Credit():
                    incoming.append(fact)
                case None:
                    others += 1
    kind = _KINDS[local_name(message)]
    return Reading(kind, tuple(payouts), tuple(files), tuple(incoming), others)


def _is_booked(entry: Element) -> bool:
    return (text(entry, "Sts/Cd") or text(entry, "Sts")) == _BOOKED


def _of_entry(entry: Element) -> Iterator[PayoutFact | FileFact | Credit | None]:
    details = children(entry, "NtryDtls/TxDtls")
    batch = child(entry, "NtryDtls/Btch")
    if not [one for one in details if _end_to_end_id(one)] and batch is not None and not _came_back(entry, None):
        yield _of_batch(entry, batch)
        return
    each: Sequence[Element | None] = details or [None]
    for one in each:
        yield _of_booking(entry, one, alone=len(details) <= 1)


def _of_batch(entry: Element, batch: Element) -> FileFact | None:
    """One booking for a whole file."""
    message_id = text(batch, "PmtInfId") or text(batch, "MsgId")
    total_micros, currency = _amount(child(entry, "Amt"))
    if message_id is None or text(entry, "CdtDbtInd") != "DBIT" or currency != "EUR":
        return None
    answer = Answer(Fact.PAID, reference=_reference(entry, None), at_ms=_booked_at_ms(entry))
    return FileFact(message_id, answer, count=_count(text(batch, "NbOfTxs")), total_micros=total_micros)


def _of_booking(entry: Element, details: Element | None, *, alone: bool) -> PayoutFact | Credit | None:
    side = text(details, "CdtDbtInd") or text(entry, "CdtDbtInd")
    amount_micros, currency = _booked_amount(entry, details, alone=alone)
    end_to_end_id = _end_to_end_id(details)
    reference = _reference(entry, details)
    if side == "CRDT" and _came_back(entry, details):
        reason, at_ms = _reason(details, "RtrInf/Rsn"), _booked_at_ms(entry, last=True)
        answer = Answer(Fact.RETURNED, reason=reason, reference=reference, at_ms=at_ms)
        return PayoutFact(end_to_end_id, answer, amount_micros, currency)
    if side == "CRDT":
        if amount_micros is None or currency is None:
            raise BadAnswer("no_amount")
        stated = text(details, "RmtInf/Strd/CdtrRefInf/Ref")
        written = stated or " ".join(filter(None, (one.text for one in children(details, "RmtInf/Ustrd"))))
        return Credit(_own_reference(entry, details, alone=alone), amount_micros, currency, written)
    if end_to_end_id is None or child(details, "RtrInf") is not None or text(entry, "RvslInd") == "true":
        return None
    answer = Answer(Fact.PAID, reference=reference, at_ms=_booked_at_ms(entry))
    return PayoutFact(end_to_end_id, answer, amount_micros, currency)


def _came_back(entry: Element, details: Element | None) -> bool:
    codes = [text(one, "BkTxCd/Domn/Fmly/SubFmlyCd") for one in (entry, details)]
    reversal = text(entry, "RvslInd") == "true"
    return reversal or RETURNED_SUB_FAMILY in codes or child(details, "RtrInf") is not None


def _booked_amount(entry: Element, details: Element | None, *, alone: bool) -> tuple[int | None, str | None]:
    places = [child(details, path) for path in ("Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/InstdAmt/Amt")]
    if alone:
        places.append(child(entry, "Amt"))
    return _amount(next((one for one in places if one is not None), None))


def _end_to_end_id(details: Element | None) -> str | None:
    stated = text(details, "Refs/EndToEndId")
    return None if stated == "NOTPROVIDED" else stated


def _reference(entry: Element, details: Element | None) -> str | None:
    """The bank's own word for a booking, where it is plain enough to be kept."""
    stated = text(details, "Refs/AcctSvcrRef") or text(entry, "AcctSvcrRef") or text(entry, "NtryRef")
    return stated if stated and _REFERENCE.fullmatch(stated) else None


def _own_reference(entry: Element, details: Element | None, *, alone: bool) -> str | None:
    """The bank's word for this money and no other's: of an entry's only where there is nothing else in it."""
    stated = text(details, "Refs/AcctSvcrRef") or (text(entry, "AcctSvcrRef") if alone else None)
    return stated if stated and _REFERENCE.fullmatch(stated) else None


def _booked_at_ms(entry: Element, *, last: bool = False) -> int | None:
    """When it was booked. Of a day alone its first moment, or its `last`: what comes back, came back after it went."""
    exact = _moment(text(entry, "BookgDt/DtTm"))
    day = _moment((text(entry, "BookgDt/Dt") or "")[:10] or None)
    if exact is not None or day is None:
        return exact
    return day + _DAY_MS - 1 if last else day


def _reason(element: Element | None, path: str) -> str:
    """The ISO code in small letters and what it comes to: `ac04_account_closed`; `other` for a bank's own codes."""
    code = text(element, f"{path}/Cd") or text(element, f"{path}/Prtry") or ""
    if _CODE.fullmatch(code) is None:
        return "other"
    meaning = _REASONS.get(code)
    return code.lower() + (f"_{meaning}" if meaning else "")


def _amount(element: Element | None) -> tuple[int | None, str | None]:
    if element is None:
        return None, None
    currency = element.get("Ccy")
    return _micros(element.text), currency


def _micros(stated: str | None) -> int | None:
    """Whatever the currency: as many decimals as are kept."""
    if stated is None:
        return None
    try:
        return parse_amount(stated.strip(), "EUR", decimals=MICROS_DECIMALS)
    except Invalid:
        raise BadAnswer("unreadable_amount") from None


def _count(stated: str | None) -> int | None:
    if stated is None:
        return None
    if not (stated.isascii() and stated.isdigit()):
        raise BadAnswer("unreadable_count")
    return int(stated)


def _moment(stated: str | None) -> int | None:
    """Milliseconds of an ISO 8601 date or time; without a zone it is taken as UTC."""
    if stated is None:
        return None
    try:
        moment = datetime.fromisoformat(stated)
    except ValueError:
        raise BadAnswer("unreadable_moment") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


_KINDS = {"BkToCstmrDbtCdtNtfctn": "camt.054", "BkToCstmrStmt": "camt.053", "BkToCstmrAcctRpt": "camt.052"}
_READERS: dict[str, Callable[[Element, str | None], Reading]] = {
    "CstmrPmtStsRpt": _status_report,
    **dict.fromkeys(_KINDS, _bookings),
}
