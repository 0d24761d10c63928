"""Destinations of the `sepa` rail: an IBAN and the account's holder, as in `DE89 3704 0044 0532 0130 00, Ann Lee`.

Banks compare the name with the account's (verification of payee), so an IBAN alone is no destination.
"""

import re
import unicodedata
from dataclasses import dataclass, field

from smallpeck.kernel.errors import Invalid, Problem

HOLDER_LENGTH = range(2, 71)
"""ISO 20022 allows 140 characters; the SEPA scheme 70."""
_SEPARATOR = ","
_NAME_MARKS = frozenset(" '\u2019.-")
_BIC = re.compile(r"[A-Z]{6}[A-Z2-9][A-NP-Z0-9](?:[A-Z0-9]{3})?", re.ASCII)


class BadBankAccount(Invalid):
    """Not an account that a SEPA credit transfer could reach."""

    code = "bad_destination"


@dataclass(frozen=True)
class BankAccount:
    """An account in the SEPA zone. `bic` is None where its bank's is not known; inside SEPA the IBAN is enough."""

    iban: str = field(repr=False)
    holder: str = field(repr=False)
    bic: str | None = None

    @property
    def address(self) -> str:
        """The one spelling of this destination."""
        return f"{self.iban}{_SEPARATOR} {self.holder}"


def bank_account(address: str) -> BankAccount:
    """The account that `address` names; raises BadBankAccount, which repeats nothing of it.

    Checked are the characters, the length and format of the country, the check digits (ISO 7064), and that the country
    is in the SEPA zone. That the account exists is for the banks to say.
    """
    # Loads registries of countries and banks: only where an account is really looked at.
    from schwifty import IBAN
    from schwifty.exceptions import SchwiftyException

    written, _, name = address.partition(_SEPARATOR)
    holder = " ".join(unicodedata.normalize("NFC", name).split())
    problem = _holder_problem(holder)
    try:
        iban = IBAN(written)
        if not iban.in_sepa_zone:
            problem = "an IBAN of a country in the SEPA zone"
        bic = iban.bic
    except SchwiftyException:
        raise _bad("an IBAN, a comma, and the name of the account's holder; this IBAN is not right") from None
    if problem:
        raise _bad(problem)
    return BankAccount(str(iban), holder, str(bic) if bic is not None and _BIC.fullmatch(bic) else None)


def canonical(address: str) -> str:
    """How a destination of this rail is kept: the same account always in the same spelling. Raises BadBankAccount."""
    return bank_account(address).address


def _holder_problem(holder: str) -> str | None:
    if len(holder) not in HOLDER_LENGTH:
        return f"after a comma the name of the account's holder, {HOLDER_LENGTH[0]} to {HOLDER_LENGTH[-1]} characters"
    letters = [one for one in holder if one.isalpha()]
    if not letters or any(not _in_a_name(one) for one in holder):
        return "a name of letters, blanks, apostrophes, full stops and hyphens"
    return None


def _in_a_name(character: str) -> bool:
    return character.isalpha() or character in _NAME_MARKS or unicodedata.category(character).startswith("M")


def _bad(detail: str) -> BadBankAccount:
    return BadBankAccount("no bank transfer could reach this destination", problems=[Problem("/address", detail)])
