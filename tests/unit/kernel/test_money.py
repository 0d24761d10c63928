"""Amounts: decimal strings outside, whole micros inside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.kernel.money import (
    MAX_AMOUNT_MICROS,
    MINOR_UNIT_DECIMALS,
    BadAmount,
    format_amount,
    minor_unit_micros,
    parse_amount,
    split_price,
    whole_minor_units,
)

currencies = st.sampled_from(sorted(MINOR_UNIT_DECIMALS))
micros = st.integers(0, MAX_AMOUNT_MICROS)


@pytest.mark.parametrize(
    ("text", "currency", "expected"),
    [
        ("0.05", "USD", 50_000),
        ("0", "USD", 0),
        ("1", "USD", 1_000_000),
        ("1.2", "USD", 1_200_000),
        ("1.20", "EUR", 1_200_000),
        ("7", "JPY", 7_000_000),
        ("1000000000", "USD", MAX_AMOUNT_MICROS),
        ("1000000000.00", "USD", MAX_AMOUNT_MICROS),
    ],
)
def test_an_amount_is_a_decimal_string(text: str, currency: str, expected: int) -> None:
    assert parse_amount(text, currency) == expected


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        # negative, signed, or in another notation
        ("-0.05", "USD"),
        ("-0", "USD"),
        ("+1", "USD"),
        ("1e30", "USD"),
        ("1E2", "USD"),
        ("0x10", "USD"),
        ("1_000", "USD"),
        ("1,000", "USD"),
        ("1,5", "EUR"),
        ("NaN", "USD"),
        ("Infinity", "USD"),
        # not one number, or with something around it
        ("", "USD"),
        (" 1", "USD"),
        ("1 ", "USD"),
        ("1\n", "USD"),
        ("1.", "USD"),
        (".5", "USD"),
        ("01", "USD"),
        ("00.5", "USD"),
        ("1.2.3", "USD"),
        ("$1", "USD"),
        ("\uff11", "USD"),
        ("\u0663", "USD"),
        ("1\x00", "USD"),
        # too large
        ("1000000000.01", "USD"),
        ("9223372036854775808", "USD"),
        ("9" * 400, "USD"),
        # more decimals than the currency has
        ("0.005", "USD"),
        ("0.050", "USD"),
        ("0." + "0" * 400, "USD"),
        ("1.0", "JPY"),
        ("0.5", "JPY"),
        # unknown currency
        ("1", "XXX"),
        ("1", "usd"),
        ("1", ""),
        ("1", "US"),
        ("1", "USDT"),
    ],
)
def test_anything_else_is_not(text: str, currency: str) -> None:
    with pytest.raises(BadAmount):
        parse_amount(text, currency)


def test_a_field_may_allow_more_decimals_but_never_a_currency_without_a_minor_unit() -> None:
    assert parse_amount("0.000001", "USD", decimals=6) == 1
    assert parse_amount("0.05", "USD", decimals=6) == 50_000
    assert parse_amount("7", "JPY", decimals=6) == 7_000_000
    with pytest.raises(BadAmount):
        parse_amount("0.0000001", "USD", decimals=6)
    with pytest.raises(BadAmount):
        parse_amount("7.5", "JPY", decimals=6)
    with pytest.raises(BadAmount):
        parse_amount("7.5", "USD", decimals=0)


@given(micros, currencies)
def test_an_amount_survives_being_written_and_read(amount: int, currency: str) -> None:
    amount = whole_minor_units(amount, currency)

    assert parse_amount(format_amount(amount, currency), currency) == amount


@given(micros, st.sampled_from([c for c, d in MINOR_UNIT_DECIMALS.items() if d]))
def test_a_price_survives_to_the_micro(amount: int, currency: str) -> None:
    assert parse_amount(format_amount(amount, currency), currency, decimals=6) == amount


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (50_000, "USD", "0.05"),
        (0, "USD", "0.00"),
        (1_000_000, "USD", "1.00"),
        (1, "USD", "0.000001"),
        (1_500, "USD", "0.0015"),
        (-50_000, "USD", "-0.05"),
        (-1_500_000, "USD", "-1.50"),
        (7_000_000, "JPY", "7"),
        (0, "JPY", "0"),
        (7_500_000, "JPY", "7.5"),
        (MAX_AMOUNT_MICROS, "USD", "1000000000.00"),
    ],
)
def test_an_amount_shows_the_minor_unit_and_more_only_where_it_is_needed(amount: int, currency: str, text: str) -> None:
    assert format_amount(amount, currency) == text


@given(micros, st.integers(0, 10_000))
def test_a_price_is_reward_and_fee_to_the_micro(price: int, fee_basis_points: int) -> None:
    reward, fee = split_price(price, fee_basis_points)

    assert reward + fee == price
    assert reward >= 0
    assert 0 <= price * fee_basis_points - fee * 10_000 < 10_000


def test_the_odd_micro_is_the_workers() -> None:
    assert split_price(500_000, 4_000) == (300_000, 200_000)
    assert split_price(1, 2_000) == (1, 0)
    assert split_price(0, 2_000) == (0, 0)


@given(micros, currencies)
def test_what_a_rail_cannot_carry_stays(amount: int, currency: str) -> None:
    carried = whole_minor_units(amount, currency)

    assert carried % minor_unit_micros(currency) == 0
    assert 0 <= amount - carried < minor_unit_micros(currency)


def test_the_smallest_coin() -> None:
    assert minor_unit_micros("USD") == 10_000
    assert minor_unit_micros("JPY") == 1_000_000
    with pytest.raises(BadAmount):
        minor_unit_micros("XXX")
