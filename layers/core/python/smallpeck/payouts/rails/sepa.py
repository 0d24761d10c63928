"""The `sepa` rail: credit transfers in euro as payment files through the bank mailbox, a file for each parcel.

A file is made once. What it pays is noted before it is put out, so a send that is repeated, at whatever point the one
before it died, puts out the same bytes under the same name or nothing. What became of the payments stands in the bank's
answers, which are read again whenever somebody asks.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from smallpeck.kernel.ids import canonical_json
from smallpeck.kernel.money import whole_minor_units
from smallpeck.payouts.model import Answer, Fact
from smallpeck.payouts.rails import sepa_file
from smallpeck.payouts.rails.iban import BadBankAccount, BankAccount, bank_account
from smallpeck.payouts.rails.mailbox import Folder, Mailbox, MailboxFailed
from smallpeck.payouts.rails.port import Item, News, Order, Parcel, Said
from smallpeck.payouts.rails.sepa_answers import BadAnswer, Credit, FileFact, PayoutFact, Reading, read_answer
from smallpeck.payouts.rails.sepa_file import CURRENCY, Debtor, Payment, TotalsDiffer

_OUTCOMES = frozenset({Fact.PAID, Fact.REFUSED, Fact.RETURNED})
_CLOCKS_DIFFER_MS = 3_600_000


class BadMailbox(ValueError):
    """The mailbox's address or the account that pays cannot be used. Raised at the start."""


@dataclass(frozen=True)
class Note:
    """What one file pays, and what was refused before it was made: by payout, micros and a reason."""

    message_id: str
    digest: str
    paid: Mapping[str, int]
    refused: Mapping[str, str]

    @property
    def total_micros(self) -> int:
        """The file's control sum."""
        return sum(self.paid.values())

    def text(self) -> bytes:
        """How it is kept."""
        document = {"message_id": self.message_id, "digest": self.digest, "paid": self.paid, "refused": self.refused}
        totals = {"v": 1, "count": len(self.paid), "total_micros": self.total_micros, "currency": CURRENCY}
        return canonical_json(document | totals).encode()


@dataclass(frozen=True)
class Taken:
    """What a bank's answer comes to. `digest` tells its content from others; `held` says, in short codes, what a person
    must look at.
    """

    kind: str
    digest: str = ""
    news: tuple[News, ...] = ()
    credits: tuple[Credit, ...] = ()
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class SepaRail:
    """See `smallpeck.payouts.rails.port.ParcelRail`."""

    mailbox: Mailbox
    debtor: Debtor = field(repr=False)
    _read: dict[tuple[str, str], Taken] = field(default_factory=dict, repr=False)
    """What answers came to, by name and tag."""

    def send(self, parcel: Parcel, items: Sequence[Item]) -> Said:
        """See `ParcelRail`: PENDING for what stands in the file, REFUSED for what no file could carry."""
        message = sepa_file.message_id(parcel.key)
        try:
            payments, refused = _payable(parcel, items)
            note = self._note(message)
            note = self._note(message) or self._fresh_note(parcel, message, payments, refused)
            if note.paid and not self._is_out(message):
                made = self._made(parcel, message, [one for one in payments if one.payout_id in note.paid])
                if sepa_file.digest(made) != note.digest:
                    return _all(items, Answer(Fact.UNCLEAR, reason="file_differs"))
                self.mailbox.put(Folder.OUT, f"{message}.xml", made)
            if note.paid:
                self.mailbox.put(Folder.SENT, f"{message}.out.json", b"{}")
        except MailboxFailed:
            return _all(items, Answer(Fact.UNCLEAR, reason="no_answer"))
        except TotalsDiffer:
            return _all(items, Answer(Fact.UNCLEAR, reason="totals_differ"))
        pending = Answer(Fact.PENDING, reference=message)
        return Said({item.order.payout_id: _noted(note, item.order) or pending for item in items}, message)

    def ask(self, parcel: Parcel, orders: Sequence[Order]) -> Said:
        """See `ParcelRail`: what the bank's answers say; SEND_TO_ASK where the file was never put out."""
        message = sepa_file.message_id(parcel.key)
        try:
            note = self._note(message)
            if note is None:
                return Said({order.payout_id: Answer(Fact.NEVER_HEARD) for order in orders})
            said = self._said_since(parcel.sending_started_at_ms)
            is_out = not note.paid or self._is_out(message)
        except MailboxFailed:
            return Said({order.payout_id: Answer(Fact.UNCLEAR, reason="no_answer") for order in orders})
        waiting = Answer(Fact.PENDING, reference=message) if is_out else Answer(Fact.SEND_TO_ASK)
        answers = {}
        for order in orders:
            told = _together(said.get(order.payout_id, ()), order)
            answers[order.payout_id] = _noted(note, order) or told or waiting
        return Said(answers, message)

    def totals(self, parcels: Sequence[Parcel]) -> Mapping[str, int] | None:
        """See `ParcelRail`: of what the files pay, what the bank's answers call paid and not returned."""
        try:
            notes = [self._note(sepa_file.message_id(parcel.key)) for parcel in parcels]
            said = self._said_since(min((parcel.sending_started_at_ms for parcel in parcels), default=0))
        except MailboxFailed:
            return None
        total = 0
        for note in notes:
            for payout_id, micros in (note.paid if note else {}).items():
                facts = {news.answer.fact for news in said.get(payout_id, ())}
                total += micros if Fact.PAID in facts and Fact.RETURNED not in facts else 0
        return {CURRENCY: total} if total else {}

    def read(self, name: str) -> Taken:
        """What the answer of this name comes to; raises MailboxFailed, and BadAnswer where it cannot be relied on."""
        content = self.mailbox.get(Folder.IN, name)
        if content is None:
            raise BadAnswer("gone")
        return self._interpreted(
            read_answer(content, account=self.debtor.account.iban), digest=sepa_file.digest(content)
        )

    def _interpreted(self, reading: Reading, *, digest: str) -> Taken:
        news: list[News] = []
        held: list[str] = []
        for fact in reading.files:
            note = self._note_of(fact.message_id)
            if note is None or fact.answer.fact is Fact.UNCLEAR:
                held.append("unknown_file" if note is None else "unknown_status")
                continue
            if (fact.count, fact.total_micros) != _totals_as_far_as(fact, note):
                raise BadAnswer("totals_differ")
            apart = {sepa_file.payout_of(one) for one in fact.of_its_own}
            news += [
                News(payout_id, fact.answer, micros, CURRENCY)
                for payout_id, micros in note.paid.items()
                if payout_id not in apart and fact.answer.fact in _OUTCOMES
            ]
        for one in reading.payouts:
            payout_id = sepa_file.payout_of(one.end_to_end_id)
            if one.answer.fact is Fact.UNCLEAR:
                held.append("unknown_status")
            elif payout_id is not None:
                news.append(News(payout_id, one.answer, one.amount_micros, one.currency))
            elif _is_ours_to_explain(one, reading):
                held.append("unknown_end_to_end_id")
        return Taken(reading.kind, digest, tuple(news), reading.credits, tuple(held))

    def _said_since(self, since_ms: int) -> Mapping[str, Sequence[News]]:
        """What all answers since then say, by payout. One that cannot be relied on says nothing here."""
        said: dict[str, list[News]] = {}
        for listed in self.mailbox.listed(Folder.IN, since_ms=since_ms - _CLOCKS_DIFFER_MS):
            known = (listed.name, listed.tag)
            if known not in self._read:
                try:
                    self._read[known] = self.read(listed.name)
                except BadAnswer:
                    self._read[known] = Taken("unreadable")
            for news in self._read[known].news:
                said.setdefault(news.payout_id, []).append(news)
        return said

    def _fresh_note(
        self, parcel: Parcel, message: str, payments: Sequence[Payment], refused: Mapping[str, str]
    ) -> Note:
        """What is noted of the first send; where two are under way, what the other one noted."""
        paid = {payment.payout_id: payment.amount_micros for payment in payments}
        fresh = Note(message, sepa_file.digest(self._made(parcel, message, payments)), paid, refused)
        self.mailbox.put(Folder.SENT, f"{message}.json", fresh.text())
        return self._note(message) or fresh

    def _made(self, parcel: Parcel, message: str, payments: Sequence[Payment]) -> bytes:
        if not payments:
            return b""
        return sepa_file.payment_file(
            debtor=self.debtor, message=message, created_ms=parcel.sending_started_at_ms, payments=payments
        )

    def _is_out(self, message: str) -> bool:
        """Whether the file was ever put out, though somebody may have taken it away since."""
        if self.mailbox.listed(Folder.OUT, beginning=f"{message}.xml"):
            return True
        return bool(self.mailbox.listed(Folder.SENT, beginning=f"{message}.out.json"))

    def _note_of(self, message: str) -> Note | None:
        try:
            return self._note(sepa_file.message_id(message))
        except ValueError:
            return None

    def _note(self, message: str) -> Note | None:
        kept = self.mailbox.get(Folder.SENT, f"{message}.json")
        if kept is None:
            return None
        document = json.loads(kept)
        return Note(message, document["digest"], document["paid"], document["refused"])


def connect(*, url: str, secret: str, stage: str) -> SepaRail:
    """The rail behind the mailbox `s3://bucket/prefix`; raises BadMailbox.

    `secret` is JSON: `name` and `iban` of the account that pays, `schema` (see `sepa_file.SCHEMAS`), and `key_id`, the
    KMS key that the files are encrypted under. `stage` does not matter: there is no line to listen on.
    """
    from smallpeck.payouts.mailbox_store import s3_mailbox

    del stage
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or not parts.path.strip("/") or parts.query or parts.fragment:
        raise BadMailbox("the bank mailbox's address is s3://bucket/prefix")
    return SepaRail(s3_mailbox(parts.netloc, parts.path.strip("/"), _config(secret).get("key_id")), debtor(secret))


def debtor(secret: str) -> Debtor:
    """The account that pays; raises BadMailbox, which repeats nothing of the secret."""
    config = _config(secret)
    schema = config.get("schema", "pain.001.001.09")
    if schema not in sepa_file.SCHEMAS:
        raise BadMailbox(f"the schema is one of {', '.join(sorted(sepa_file.SCHEMAS))}")
    try:
        account = bank_account(f"{config.get('iban', '')}, {config.get('name', '')}")
    except BadBankAccount as error:
        raise BadMailbox(f"the account that pays is not right: {error.problems[0].detail}") from None
    return Debtor(account.holder, account, schema)


def _config(secret: str) -> dict[str, Any]:
    try:
        config = json.loads(secret)
    except ValueError:
        config = None
    if not isinstance(config, dict) or not all(isinstance(value, str) for value in config.values()):
        raise BadMailbox("the secret is a JSON object of strings")
    return config


def _payable(parcel: Parcel, items: Sequence[Item]) -> tuple[list[Payment], dict[str, str]]:
    """What a file can carry, and why it cannot carry the rest."""
    payments, refused = [], {}
    for item in items:
        order = item.order
        if {parcel.currency, order.currency} != {CURRENCY}:
            refused[order.payout_id] = "currency_not_carried"
            continue
        if not 0 < order.amount_micros == whole_minor_units(order.amount_micros, CURRENCY):
            refused[order.payout_id] = "amount_not_carried"
            continue
        account = _account(item)
        if account is None:
            refused[order.payout_id] = "destination_not_reached"
        else:
            payments.append(Payment(order.payout_id, order.amount_micros, account))
    return payments, refused


def _account(item: Item) -> BankAccount | None:
    try:
        account = bank_account(item.destination.address)
    except BadBankAccount:
        return None
    return account if sepa_file.spelled(account.holder) else None


def _noted(note: Note, order: Order) -> Answer | None:
    """What the note alone says about a payout; None where the file carries it as ordered."""
    if order.payout_id in note.refused:
        return Answer(Fact.REFUSED, reason=note.refused[order.payout_id])
    if order.payout_id not in note.paid:
        return Answer(Fact.NEVER_HEARD, reason="not_in_file")
    return None if note.paid[order.payout_id] == order.amount_micros else Answer(Fact.MISMATCH)


def _together(said: Sequence[News], order: Order) -> Answer | None:
    """The outcome in all that was said about a payout, oldest first; None where there is none."""
    outcomes = {news.answer.fact: news.answer for news in said if news.answer.fact in _OUTCOMES}
    for news in said:
        other_amount = news.amount_micros not in (None, order.amount_micros)
        if other_amount or news.currency not in (None, order.currency):
            return Answer(Fact.MISMATCH)
    if Fact.RETURNED in outcomes:
        return outcomes[Fact.RETURNED]
    if len(outcomes) > 1:
        return Answer(Fact.MISMATCH)
    return next(iter(outcomes.values()), None)


def _totals_as_far_as(fact: FileFact, note: Note) -> tuple[int | None, int | None]:
    """The file's totals, where the bank stated them."""
    return (
        None if fact.count is None else len(note.paid),
        None if fact.total_micros is None else note.total_micros,
    )


def _is_ours_to_explain(fact: PayoutFact, reading: Reading) -> bool:
    """Debits of the account need not be payouts; reports on our files and money that came back must be."""
    return reading.kind == "pain.002" or fact.answer.fact is Fact.RETURNED


def _all(items: Sequence[Item], answer: Answer) -> Said:
    return Said({item.order.payout_id: answer for item in items})
