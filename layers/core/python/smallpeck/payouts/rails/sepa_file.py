"""Payment files: pain.001, made by `sepaxml`; the same bytes for the same payments, checked before they go anywhere.

One file is one message with one group of single bookings, so that every payment stands by itself on the account's
statement, under its EndToEndId: the payout's id, with a hyphen for the underline that the SEPA character set lacks.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import sepaxml  # type: ignore[import-untyped]
from text_unidecode import unidecode  # type: ignore[import-untyped]

from smallpeck.kernel.money import minor_unit_micros, parse_amount
from smallpeck.payouts.rails.iban import BankAccount
from smallpeck.payouts.rails.safe_xml import child, children, document, local_name, text

CURRENCY = "EUR"
SCHEMAS = frozenset({"pain.001.001.03", "pain.001.001.09"})
MAX_NAME_LENGTH = 70
_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"
_ID = re.compile(r"[A-Za-z0-9-]{1,35}", re.ASCII)
_PAYOUT_ID = re.compile(r"p_[0-9A-Z]{26}", re.ASCII)
_END_TO_END_ID = re.compile(r"p-[0-9A-Z]{26}", re.ASCII)
_NOT_IN_SEPA = re.compile(r"[^A-Za-z0-9?:().,'+ -]", re.ASCII)


class TotalsDiffer(Exception):
    """A file does not say what was to be paid, or not in the form of its schema. It goes nowhere."""


@dataclass(frozen=True)
class Debtor:
    """Who pays: the account that the money leaves. `schema` is the version of pain.001 that its bank takes."""

    name: str
    account: BankAccount
    schema: str


@dataclass(frozen=True)
class Payment:
    """One payout in a file."""

    payout_id: str
    amount_micros: int
    account: BankAccount = field(repr=False)


def message_id(parcel_key: str) -> str:
    """The MsgId of a parcel, which is its PmtInfId too."""
    found = parcel_key.replace("_", "-")
    if _ID.fullmatch(found) is None:
        raise ValueError("a parcel's key is too long, or odd")
    return found


def end_to_end_id(payout_id: str) -> str:
    """The EndToEndId of a payout."""
    if _PAYOUT_ID.fullmatch(payout_id) is None:
        raise ValueError("not the id of a payout")
    return payout_id.replace("_", "-")


def payout_of(end_to_end: str | None) -> str | None:
    """The payout of an EndToEndId, or None where it is not one of ours."""
    return "p_" + end_to_end[2:] if end_to_end and _END_TO_END_ID.fullmatch(end_to_end) else None


def spelled(name: str) -> str:
    """A name in the letters that every bank of the scheme takes; empty where nothing of it is left."""
    return " ".join(_NOT_IN_SEPA.sub(" ", unidecode(name)).split())[:MAX_NAME_LENGTH].strip()


def payment_file(*, debtor: Debtor, message: str, created_ms: int, payments: Sequence[Payment]) -> bytes:
    """The file of these payments; raises TotalsDiffer where what was made is not what was asked for.

    It depends on the arguments alone, but for the order of the payments.
    """
    created = datetime.fromtimestamp(created_ms // 1000, UTC)
    paid = sorted(payments, key=lambda payment: payment.payout_id)
    made = document(_made(debtor, created, paid))
    _set(made, "GrpHdr/MsgId", message)
    _set(made, "GrpHdr/CreDtTm", created.strftime("%Y-%m-%dT%H:%M:%S"))
    _set(made, "PmtInf/PmtInfId", message)
    _set(made, "PmtInf/BtchBookg", "false")
    # Names without prefixes, whatever other documents have registered with ElementTree.
    for element in made.iter():
        element.tag = local_name(element)
    made.set("xmlns", _NAMESPACE + debtor.schema)
    content: bytes = ET.tostring(made, encoding="UTF-8", xml_declaration=True)
    _check(content, debtor, message, paid)
    return content


def digest(content: bytes) -> str:
    """What two files are told apart by."""
    return hashlib.sha256(content).hexdigest()


def _made(debtor: Debtor, created: datetime, payments: Sequence[Payment]) -> bytes:
    config = {"name": spelled(debtor.name), "IBAN": debtor.account.iban, "currency": CURRENCY, "batch": True}
    if debtor.account.bic:
        config["BIC"] = debtor.account.bic
    transfer = sepaxml.SepaTransfer(config, schema=debtor.schema, clean=False)
    for payment in payments:
        cents, rest = divmod(payment.amount_micros, minor_unit_micros(CURRENCY))
        if rest or cents <= 0:
            raise TotalsDiffer("an amount that is not in whole cents")
        bic = {"BIC": payment.account.bic} if payment.account.bic else {}
        end_to_end = end_to_end_id(payment.payout_id)
        transfer.add_payment(
            {
                "name": spelled(payment.account.holder),
                "IBAN": payment.account.iban,
                "amount": cents,
                "execution_date": created.date(),
                "description": f"Payout {end_to_end}",
                "endtoend_id": end_to_end,
                **bic,
            }
        )
    made: bytes = transfer.export(validate=False)
    return made


def _set(made: ET.Element, path: str, value: str) -> None:
    found = child(made, f"CstmrCdtTrfInitn/{path}")
    if found is None:
        raise TotalsDiffer(f"no {path} in what was made")
    found.text = value


def _check(content: bytes, debtor: Debtor, message: str, payments: Sequence[Payment]) -> None:
    """Reads the file as the bank will, and compares it with what was to be paid: each payment, and all together."""
    initiation = child(document(content), "CstmrCdtTrfInitn")
    wanted = {
        end_to_end_id(payment.payout_id): (payment.amount_micros, CURRENCY, payment.account.iban)
        for payment in payments
    }
    found = {}
    transactions = children(initiation, "PmtInf/CdtTrfTxInf")
    for one in transactions:
        amount = child(one, "Amt/InstdAmt")
        if amount is None or amount.text is None:
            raise TotalsDiffer("a payment without an amount")
        stated = (parse_amount(amount.text, CURRENCY), amount.get("Ccy"), text(one, "CdtrAcct/Id/IBAN"))
        found[text(one, "PmtId/EndToEndId")] = stated
        if not text(one, "Cdtr/Nm"):
            raise TotalsDiffer("a payment to nobody")
    if found != wanted or not len(transactions) == len(payments) == len(wanted):
        raise TotalsDiffer("other payments than were asked for")
    total_micros = sum(payment.amount_micros for payment in payments)
    for level in ("GrpHdr", "PmtInf"):
        stated_micros = parse_amount(text(initiation, f"{level}/CtrlSum") or "", CURRENCY)
        if (text(initiation, f"{level}/NbOfTxs"), stated_micros) != (str(len(payments)), total_micros):
            raise TotalsDiffer("other totals than were asked for")
    if text(initiation, "GrpHdr/MsgId") != message or len(children(initiation, "PmtInf")) != 1:
        raise TotalsDiffer("not one group of this message")
    if not _schema(debtor.schema).is_valid(content.decode()):
        raise TotalsDiffer("not in the form of its schema")


@cache
def _schema(name: str) -> Any:
    """The schema that `sepaxml` ships; reading it takes longer than a hundred checks against it."""
    import xmlschema

    return xmlschema.XMLSchema(Path(sepaxml.__file__).parent / "schemas" / f"{name}.xsd")
