"""Values of form fields: what counts as the same, and what stays apart."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.consensus.normalisers import NAMES, normaliser_of
from smallpeck.consensus.phone_numbers import e164


def key(normaliser: str, value: str, **settings: object) -> str:
    return normaliser_of({"normaliser": normaliser, **settings}).key(value)


@pytest.mark.parametrize(
    ("typed", "region", "number"),
    [
        ("030/123 45 67", "DE", "+49301234567"),
        ("+49 (0)30 1234567", None, "+49301234567"),
        ("0049 30 1234567", "DE", "+49301234567"),
        ("0049301234567", None, "+49301234567"),
        ("Tel.: (212) 555-0123", "us", "+12125550123"),
        ("1-212-555-0123", "US", "+12125550123"),
        ("011 44 20 7946 0000", "US", "+442079460000"),
        ("020 7946 0958 ext. 12", "GB", "+442079460958;ext=12"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("(030) 1234567", None, "0301234567"),
        ("+33 1 42 68 53 00", "DE", "+33142685300"),
        ("call me", "DE", None),
        ("1234567890123456789", "DE", None),
    ],
)
def test_telephone_numbers(typed: str, region: str | None, number: str | None) -> None:
    assert e164(typed, region) == number


def test_what_is_no_number_stays_visible() -> None:
    assert key("phone", "  call  me ", region="DE") == "call me"


@pytest.mark.parametrize(
    ("typed", "unknown", "day_first", "month_first"),
    [
        ("2024-03-04", "2024-03-04", "2024-03-04", "2024-03-04"),
        ("3/4/2024", "03/04/2024", "2024-04-03", "2024-03-04"),
        ("04.03.24", "04/03/2024", "2024-03-04", "2024-04-03"),
        ("13/4/2024", "2024-04-13", "2024-04-13", "13/4/2024"),
        ("5.5.1999", "1999-05-05", "1999-05-05", "1999-05-05"),
        ("20240304", "2024-03-04", "2024-03-04", "2024-03-04"),
        ("Monday, March 4th, 2024", "2024-03-04", "2024-03-04", "2024-03-04"),
        ("4th of Mar 99", "1999-03-04", "1999-03-04", "1999-03-04"),
        ("2024-03-04T10:00:00Z", "2024-03-04", "2024-03-04", "2024-03-04"),
        ("Sept 2020", "2020-09", "2020-09", "2020-09"),
        ("09/2020", "2020-09", "2020-09", "2020-09"),
        ("2020", "2020", "2020", "2020"),
        ("31/02/2020", "31/02/2020", "31/02/2020", "31/02/2020"),
        ("soon", "soon", "soon", "soon"),
    ],
)
def test_dates(typed: str, unknown: str, day_first: str, month_first: str) -> None:
    assert key("date", typed) == unknown
    assert key("date", typed, order="dmy") == day_first
    assert key("date", typed, order="mdy") == month_first


@given(st.dates(min_value=date(1970, 1, 1), max_value=date(2068, 12, 31)))
def test_every_way_to_write_a_day_is_that_day(day: date) -> None:
    ways = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%y", "%d %B %Y", "%B %d, %Y", "%Y%m%d", "%A, %d %b %Y")
    assert {key("date", day.strftime(way), order="dmy") for way in ways} == {day.isoformat()}


@pytest.mark.parametrize(
    ("typed", "unknown", "with_point", "with_comma"),
    [
        ("1,234.50", "1234.5", "1234.5", "1,234.50"),
        ("1.234,50 €", "1234.5", "1.234,50 €", "1234.5"),
        ("$ 12", "12", "12", "12"),
        ("1,234", "1,234", "1234", "1.234"),
        ("1,234,567", "1234567", "1234567", "1,234,567"),
        ("0.50", "0.5", "0.5", "0.50"),
        (".5", "0.5", "0.5", ".5"),
        ("(12)", "-12", "-12", "-12"),
        ("\u22120", "0", "0", "0"),
        ("12 %", "12%", "12%", "12%"),
        ("1 000 000", "1000000", "1000000", "1000000"),
        ("12-13", "12-13", "12-13", "12-13"),
        ("none", "none", "none", "none"),
    ],
)
def test_numbers(typed: str, unknown: str, with_point: str, with_comma: str) -> None:
    assert key("number", typed) == unknown
    assert key("number", typed, decimal=".") == with_point
    assert key("number", typed, decimal=",") == with_comma


@pytest.mark.parametrize(
    ("normaliser", "settings", "variants"),
    [
        ("name", {}, ("José  O\u2019Brien", "jose o'brien", "O'BRIEN, José", "Jose OBrien")),
        ("email", {}, ("Bob <Bob@Example.org>", "mailto:bob@example.org", " bob@example.org. ")),
        ("url", {}, ("HTTPS://www.Example.com:443/a/", "example.com/a", "http://example.com/a#top")),
        ("postcode", {"region": "GB"}, ("sw1a1aa", "SW1A 1AA", "sw1a-1aa")),
        ("postcode", {}, ("ab 12", "AB12")),
        ("boolean", {}, ("Yes", "true", "1", "Y")),
        ("text", {}, ("Good day!", "good  day")),
        ("plain", {}, ("a  b", " a b ", "\uff41 b")),
    ],
)
def test_variants_are_one_value(normaliser: str, settings: dict[str, object], variants: tuple[str, ...]) -> None:
    assert len({key(normaliser, variant, **settings) for variant in variants}) == 1


@pytest.mark.parametrize(
    ("normaliser", "settings", "one", "other"),
    [
        ("plain", {}, "Ab", "ab"),
        ("name", {}, "Ann Lee", "Anna Lee"),
        ("url", {}, "example.com/a?x=1", "example.com/a?x=2"),
        ("postcode", {"region": "JP"}, "100-0001", "100-0002"),
        ("phone", {"region": "DE"}, "030 1234567", "+1 301234567"),
        ("text", {}, "!", "?"),
    ],
)
def test_what_differs_stays_apart(normaliser: str, settings: dict[str, object], one: str, other: str) -> None:
    assert key(normaliser, one, **settings) != key(normaliser, other, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"normaliser": "nobody"},
        {"normaliser": ["phone"]},
        {"normaliser": "phone", "region": "Atlantis"},
        {"normaliser": "phone", "order": "dmy"},
        {"normaliser": "date", "order": "ydm"},
        {"normaliser": "number", "decimal": ";"},
    ],
)
def test_settings_that_do_not_exist_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        normaliser_of(settings)


@given(st.sampled_from(NAMES), st.text("0123456789+-.,/ ()%@:#'\u2019\u00b4&axzAXZéß東ﬁ", max_size=20))
def test_any_text_has_a_key_and_keys_are_stable(name: str, value: str) -> None:
    made = normaliser_of({"normaliser": name}).key(value)
    assert normaliser_of({"normaliser": name}).key(made) == made
