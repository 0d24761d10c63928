"""Amounts are whole millionths of a currency unit (micros) with an ISO 4217 code; never a float.

On the wire an amount is a decimal string in currency units: 50 000 micros of USD are "0.05".
"""

import re

from smallpeck.kernel.errors import Invalid

MICROS_PER_UNIT = 1_000_000
MICROS_DECIMALS = 6
MAX_AMOUNT_MICROS = 10**15  # a thousand million units: far below 2**63, so sums of thousands stay exact everywhere

# Decimals of the minor unit (ISO 4217) of the currencies that the platform keeps books in.
MINOR_UNIT_DECIMALS = {
    "AUD": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2, "HUF": 2, "INR": 2, "JPY": 0,
    "KES": 2, "KRW": 0, "MXN": 2, "NGN": 2, "NOK": 2, "NZD": 2, "PHP": 2, "PLN": 2, "RON": 2, "SEK": 2, "USD": 2,
    "ZAR": 2,
}  # fmt: skip

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,18}))?", re.ASCII)


class BadAmount(Invalid):
    """An amount that is not a decimal string in range, or a currency that the platform does not know."""

    code = "bad_amount"


def minor_unit_micros(currency: str) -> int:
    """Micros in the smallest coin of `currency`: 10 000 for USD, 1 000 000 for JPY."""
    return int(10 ** (MICROS_DECIMALS - _minor_decimals(currency)))


def parse_amount(text: str, currency: str, *, decimals: int | None = None) -> int:
    """Micros of a decimal string such as "0.05".

    `decimals` is how many the field allows: by default those of the minor unit. Prices allow six, but a currency
    without a minor unit never has any. Negative amounts, signs, exponents and blanks are not amounts.
    """
    minor = _minor_decimals(currency)
    allowed = minor if decimals is None or minor == 0 else decimals
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise BadAmount('an amount is a decimal string such as "0.05"')
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > allowed:
        raise BadAmount(f"an amount in {currency} has at most {allowed} decimals here")
    micros = int(whole) * MICROS_PER_UNIT + int(fraction.ljust(MICROS_DECIMALS, "0"))
    if micros > MAX_AMOUNT_MICROS:
        raise BadAmount("an amount is at most 1000000000 units")
    return micros


def format_amount(micros: int, currency: str) -> str:
    """The decimal string of `micros`: at least the minor unit's decimals, more only where they are not zero."""
    sign = "-" if micros < 0 else ""
    whole, fraction = divmod(abs(micros), MICROS_PER_UNIT)
    decimals = f"{fraction:06d}".rstrip("0").ljust(_minor_decimals(currency), "0")
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def split_price(price_micros: int, fee_basis_points: int) -> tuple[int, int]:
    """(reward, fee) of a price; the fee is rounded down, so that reward + fee = price to the micro.

    >>> split_price(500_000, 4_000)
    (300000, 200000)
    """
    fee_micros = price_micros * fee_basis_points // 10_000
    return price_micros - fee_micros, fee_micros


def whole_minor_units(micros: int, currency: str) -> int:
    """`micros` rounded down to whole minor units: what a rail can carry; the remainder stays."""
    return micros - micros % minor_unit_micros(currency)


def _minor_decimals(currency: str) -> int:
    if currency not in MINOR_UNIT_DECIMALS:
        raise BadAmount("unknown currency")
    return MINOR_UNIT_DECIMALS[currency]
