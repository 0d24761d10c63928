"""A simulated bank: reads payment files out of the bank mailbox, keeps its books in memory, answers, can misbehave.

How it treats a payment follows from the name of the account's holder: one that begins with a mode's name and a blank
(`Refuse Ann`) is treated that way, every other one is paid at once. Time is whatever `work` is told it is.

    python -m local.rails.sepa_bank --url s3://bucket/sepa --iban DE89370400440532013000
"""

import argparse
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from xml.sax.saxutils import escape

from smallpeck.kernel.clock import SystemClock, to_rfc3339
from smallpeck.payouts.mailbox_store import s3_mailbox
from smallpeck.payouts.rails.mailbox import Folder, Mailbox
from smallpeck.payouts.rails.safe_xml import child, children, document, text

DAY_MS = 86_400_000
RETURNED_AFTER_MS = 20 * DAY_MS
LATE_AFTER_MS = 2 * DAY_MS
_PAIN = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"
_CAMT = "urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"


class Mode(StrEnum):
    """How the bank treats a payment."""

    OK = "ok"
    """Paid, and said so in the first report."""
    REFUSE = "refuse"
    """Refused: the account was closed."""
    LATE = "late"
    """Accepted; paid and said so some days later."""
    BOOKED = "booked"
    """Accepted; paid, and only told by the booking."""
    RETURN = "return"
    """Paid; sent back by the other bank weeks later."""
    TWICE = "twice"
    """Paid and later sent back; every answer about it comes twice, in files of different names."""
    LOST = "lost"
    """Paid, and never said anything about."""
    CONTRADICT = "contradict"
    """Paid and said so; then refused."""
    SHORT = "short"
    """Paid; what is said about it names another amount."""


@dataclass
class Payment:
    """A payment as the bank has it."""

    message: str
    end_to_end: str
    amount: Decimal
    mode: Mode
    at_ms: int
    paid: bool = False
    returned: bool = False


@dataclass
class Bank:
    """The bank behind one mailbox. `account` is the IBAN that the money leaves."""

    mailbox: Mailbox
    account: str
    payments: dict[str, Payment] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    rejects: frozenset[str] = frozenset()
    """MsgIds of files that are refused as a whole."""
    due: list[tuple[int, Callable[[int], None]]] = field(default_factory=list)
    written: int = 0

    def work(self, now_ms: int) -> None:
        """Takes every file that is new, then does what has become due, in the order of its time."""
        for listed in self.mailbox.listed(Folder.OUT):
            if listed.name not in self.seen:
                self.seen.add(listed.name)
                self._take(self.mailbox.get(Folder.OUT, listed.name) or b"", now_ms)
        ready = sorted((one for one in self.due if one[0] <= now_ms), key=lambda one: one[0])
        self.due = [one for one in self.due if one[0] > now_ms]
        for _, act in ready:
            act(now_ms)

    @property
    def paid(self) -> list[Payment]:
        """What really left, and did not come back."""
        return [one for one in self.payments.values() if one.paid and not one.returned]

    def put(self, content: str) -> str:
        """Puts an answer into the mailbox, whatever it is; returns its name."""
        self.written += 1
        name = f"answer-{self.written:05}.xml"
        self.mailbox.put(Folder.IN, name, content.encode())
        return name

    def report(self, message: str, statuses: Sequence[tuple[Payment, str, str | None]], now_ms: int) -> str:
        """A pain.002 about some payments of a file: (payment, status, reason)."""
        of_file = [one for one in self.payments.values() if one.message == message]
        transactions = "".join(
            f"<TxInfAndSts><OrgnlEndToEndId>{one.end_to_end}</OrgnlEndToEndId><TxSts>{status}</TxSts>{_why(reason)}"
            f'<OrgnlTxRef><Amt><InstdAmt Ccy="EUR">{_stated(one)}</InstdAmt></Amt></OrgnlTxRef></TxInfAndSts>'
            for one, status, reason in statuses
        )
        return self.put(
            f'<Document xmlns="{_PAIN}"><CstmrPmtStsRpt><GrpHdr><MsgId>R{self.written}</MsgId>'
            f"<CreDtTm>{to_rfc3339(now_ms)}</CreDtTm></GrpHdr><OrgnlGrpInfAndSts><OrgnlMsgId>{message}</OrgnlMsgId>"
            "<OrgnlMsgNmId>pain.001</OrgnlMsgNmId>"
            f"<OrgnlNbOfTxs>{len(of_file)}</OrgnlNbOfTxs>"
            f"<OrgnlCtrlSum>{sum(one.amount for one in of_file)}</OrgnlCtrlSum><GrpSts>PART</GrpSts>"
            f"</OrgnlGrpInfAndSts><OrgnlPmtInfAndSts><OrgnlPmtInfId>{message}</OrgnlPmtInfId>{transactions}"
            "</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>"
        )

    def refuse_file(self, message: str, reason: str, now_ms: int) -> str:
        """A pain.002 that refuses a whole file."""
        return self.put(
            f'<Document xmlns="{_PAIN}"><CstmrPmtStsRpt><GrpHdr><MsgId>R{self.written}</MsgId>'
            f"<CreDtTm>{to_rfc3339(now_ms)}</CreDtTm></GrpHdr><OrgnlGrpInfAndSts><OrgnlMsgId>{message}</OrgnlMsgId>"
            f"<OrgnlMsgNmId>pain.001</OrgnlMsgNmId><GrpSts>RJCT</GrpSts>{_why(reason)}"
            "</OrgnlGrpInfAndSts></CstmrPmtStsRpt></Document>"
        )

    def booking(self, payment: Payment, side: str, now_ms: int, *, reason: str | None = None) -> str:
        """A camt.054 about one booking; with a reason it is money that came back."""
        came_back = f"<RtrInf><Rsn><Cd>{reason}</Cd></Rsn></RtrInf>" if reason else ""
        sub_family = "RRTN" if reason else "ESCT"
        family = "RCDT" if reason else "ICDT"
        amount = f'<Amt Ccy="EUR">{_stated(payment)}</Amt>'
        return self.put(
            f'<Document xmlns="{_CAMT}"><BkToCstmrDbtCdtNtfctn><GrpHdr><MsgId>N{self.written}</MsgId>'
            f"<CreDtTm>{to_rfc3339(now_ms)}</CreDtTm></GrpHdr><Ntfctn><Id>N{self.written}</Id>"
            f"<Acct><Id><IBAN>{self.account}</IBAN></Id></Acct>"
            f"<Ntry>{amount}<CdtDbtInd>{side}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>"
            f"<BookgDt><Dt>{to_rfc3339(now_ms)[:10]}</Dt></BookgDt><AcctSvcrRef>B{self.written}</AcctSvcrRef>"
            f"<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>{family}</Cd><SubFmlyCd>{sub_family}</SubFmlyCd></Fmly></Domn></BkTxCd>"
            f"<NtryDtls><TxDtls><Refs><EndToEndId>{payment.end_to_end}</EndToEndId></Refs>{amount}"
            f"<CdtDbtInd>{side}</CdtDbtInd>{came_back}</TxDtls></NtryDtls></Ntry></Ntfctn>"
            "</BkToCstmrDbtCdtNtfctn></Document>"
        )

    def _take(self, content: bytes, now_ms: int) -> None:
        initiation = child(document(content), "CstmrCdtTrfInitn")
        message = text(initiation, "GrpHdr/MsgId") or ""
        if message in {one.message for one in self.payments.values()}:
            self.refuse_file(message, "DUPL", now_ms)
            return
        if message in self.rejects:
            self.refuse_file(message, "FF01", now_ms)
            return
        taken = []
        for one in children(initiation, "PmtInf/CdtTrfTxInf"):
            mode, _, rest = (text(one, "Cdtr/Nm") or "").lower().partition(" ")
            payment = Payment(
                message,
                text(one, "PmtId/EndToEndId") or "",
                Decimal(text(one, "Amt/InstdAmt") or "0"),
                Mode(mode) if rest and mode in set(Mode) else Mode.OK,
                now_ms,
            )
            taken.append(payment)
            self.payments[payment.end_to_end] = payment
        if str(len(taken)) != text(initiation, "GrpHdr/NbOfTxs") or sum(one.amount for one in taken) != Decimal(
            text(initiation, "GrpHdr/CtrlSum") or "0"
        ):
            self.refuse_file(message, "AM10", now_ms)
            return
        self._first_report(message, taken, now_ms)

    def _first_report(self, message: str, taken: Sequence[Payment], now_ms: int) -> None:
        statuses: list[tuple[Payment, str, str | None]] = []
        for payment in taken:
            match payment.mode:
                case Mode.REFUSE:
                    statuses.append((payment, "RJCT", "AC04"))
                    continue
                case Mode.LOST:
                    pass
                case Mode.LATE | Mode.BOOKED:
                    statuses.append((payment, "ACCP", None))
                    self._later(now_ms + LATE_AFTER_MS, payment)
                    continue
                case _:
                    statuses.append((payment, "ACSC", None))
            payment.paid = True
            if payment.mode in _GOES_ON:
                self._later(now_ms + RETURNED_AFTER_MS, payment)
        if statuses:
            self.report(message, statuses, now_ms)
        twice = [one for one in statuses if one[0].mode is Mode.TWICE]
        if twice:
            self.report(message, twice, now_ms)

    def _later(self, at_ms: int, payment: Payment) -> None:
        self.due.append((at_ms, lambda now_ms: self._go_on(payment, now_ms)))

    def _go_on(self, payment: Payment, now_ms: int) -> None:
        match payment.mode:
            case Mode.LATE:
                payment.paid = True
                self.report(payment.message, [(payment, "ACSC", None)], now_ms)
            case Mode.BOOKED:
                payment.paid = True
                self.booking(payment, "DBIT", now_ms)
            case Mode.CONTRADICT:
                self.report(payment.message, [(payment, "RJCT", "MS03")], now_ms)
            case Mode.RETURN | Mode.TWICE:
                payment.returned = True
                for _ in range(2 if payment.mode is Mode.TWICE else 1):
                    self.booking(payment, "CRDT", now_ms, reason="AC04")
            case _:
                raise ValueError(f"nothing follows for {payment.mode}")


def main() -> None:
    """Work until interrupted."""
    parser = argparse.ArgumentParser(description="a simulated bank behind a bank mailbox")
    parser.add_argument("--url", required=True, help="s3://bucket/prefix")
    parser.add_argument("--iban", required=True, help="the account that the money leaves")
    parser.add_argument("--every-seconds", type=float, default=2.0)
    given = parser.parse_args()
    bucket, _, prefix = given.url.removeprefix("s3://").partition("/")
    bank = Bank(s3_mailbox(bucket, prefix.strip("/"), None), given.iban)
    pause = threading.Event()
    with suppress(KeyboardInterrupt):
        while not pause.wait(given.every_seconds):
            bank.work(SystemClock().now_ms())


def _why(reason: str | None) -> str:
    return f"<StsRsnInf><Rsn><Cd>{escape(reason)}</Cd></Rsn></StsRsnInf>" if reason else ""


def _stated(payment: Payment) -> Decimal:
    return payment.amount - Decimal("0.01") if payment.mode is Mode.SHORT else payment.amount


_GOES_ON = frozenset({Mode.RETURN, Mode.TWICE, Mode.CONTRADICT})

if __name__ == "__main__":
    main()
