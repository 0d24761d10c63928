"""The creditor reference of ISO 11649, which a payer writes on a bank transfer: `RF`, two check digits, up to 21
letters and digits. The check digits are those of ISO 7064 mod 97-10, as in an IBAN.
"""

import re
from typing import Final

MAX_BODY: Final = 21
_BODY: Final = re.compile(r"[0-9A-Z]{1,21}", re.ASCII)
_WHOLE: Final = re.compile(r"RF[0-9]{2}[0-9A-Z]{1,21}", re.ASCII)


def creditor_reference(body: str) -> str:
    """The reference with this body: 1 to 21 digits and capital letters; raises ValueError for any other."""
    if not _BODY.fullmatch(body):
        raise ValueError("the body of a creditor reference has 1 to 21 digits and capital letters")
    return f"RF{98 - _remainder(body + 'RF00'):02d}{body}"


def canonical(text: str) -> str | None:
    """A reference as somebody wrote it, in its one spelling; None where it is none or a digit is wrong.

    Blanks and hyphens are how people group it, and letters may be small.
    """
    bare = re.sub(r"[\s-]", "", text).upper()
    if not _WHOLE.fullmatch(bare) or _remainder(bare[4:] + bare[:4]) != 1:
        return None
    return bare


def printed(reference: str) -> str:
    """A reference in groups of four, for people."""
    return " ".join(reference[at : at + 4] for at in range(0, len(reference), 4))


def _remainder(text: str) -> int:
    # A letter counts as two digits: A is 10, Z is 35.
    return int("".join(str(int(character, 36)) for character in text)) % 97
