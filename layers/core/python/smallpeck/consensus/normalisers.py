"""When two values of a form field are the same: one normaliser per kind of field, by name.

A normaliser turns what a worker typed into a key; equal keys are equal answers. Most keys are also the form that a
result takes (E.164, ISO 8601); where people want to see the value as it was written (names, addresses of pages), the
result is the variant that most workers typed. What a normaliser cannot read keeps the normal form of `plain`, so it
stays visible and agrees only with itself.

| name | settings | key | result |
|---|---|---|---|
| `plain` | | NFKC, blanks collapsed, case as typed | key |
| `text` | | words of `normalising`: no case, no punctuation | as most typed it |
| `name` | | as `text`, without accents and apostrophes; `Last, First` turned round | as most typed it |
| `number` | `decimal`: `.` or `,` | digits with `.` for the decimal point, no zeros to spare | key |
| `date` | `order`: `ymd`, `dmy` or `mdy`; `pivot` | ISO 8601, of a day, a month or a year | key |
| `phone` | `region`: two letters | E.164, with `;ext=` | key |
| `email` | | lower case, without `mailto:` and a name around it | key |
| `url` | | without scheme, `www.`, default port, last slash, fragment; host in lower case | as most typed it |
| `postcode` | `region` | upper case, divided as the region does where it is one of `_CUTS` | key |
| `boolean` | | `true` or `false` for true, yes, y, 1 and false, no, n, 0 | key |

Dates: without `order` a date as 3/4/2024 could be two days; it keeps the form `03/04/2024`, agrees only with dates
written in that order, and is seen not to be ISO. Where only one reading is a day of the calendar, that is taken. Years
of two digits are 1900 or 2000 and more, by `pivot` (69: 69 is 1969, 68 is 2068, as POSIX has it). Names of months are
English.
Numbers: without `decimal` the last of two kinds of separators is the decimal one, one that comes twice is not, and
`1,234` or `1.234` alone stays as typed: it has two readings.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from smallpeck.consensus.normalising import normalised
from smallpeck.consensus.phone_numbers import e164

Key = Callable[[str], str]
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_ORDERS = ("ymd", "dmy", "mdy")
_NUMBER = re.compile(
    r"(?P<open>\(?)\s*(?P<sign>[-+\u2212]?)\s*[^\d.,()]?\s*(?P<digits>[\d.,][\d., ']*)"
    r"(?P<rest>%?)\s*[^\d.,()]?(?P<close>\)?)"
)
_EMAIL = re.compile(r"[^\s<>@]+@[^\s<>@]+")
_CUTS: Mapping[str, tuple[str, int, str]] = {
    "GB": (r"[A-Z]{1,2}\d[A-Z\d]?\d[A-Z]{2}", -3, " "),
    "NL": (r"\d{4}[A-Z]{2}", 4, " "),
    "CA": (r"(?:[A-Z]\d){3}", 3, " "),
    "SE": (r"\d{5}", 3, " "),
    "GR": (r"\d{5}", 3, " "),
    "CZ": (r"\d{5}", 3, " "),
    "SK": (r"\d{5}", 3, " "),
    "PL": (r"\d{5}", 2, "-"),
    "JP": (r"\d{7}", 3, "-"),
    "US": (r"\d{9}", 5, "-"),
    "BR": (r"\d{8}", 5, "-"),
    "PT": (r"\d{7}", 4, "-"),
}
_TRUE, _FALSE = frozenset({"true", "yes", "y", "1"}), frozenset({"false", "no", "n", "0"})


@dataclass(frozen=True)
class Normaliser:
    """How values of a field are compared, and whether a result shows the key or what most workers typed."""

    key: Key
    as_written: bool = False


def normaliser_of(settings: Mapping[str, Any]) -> Normaliser:
    """The normaliser that a field names: `{"normaliser": <name>, ...}`, `plain` where it names none.

    Raises ValueError for an unknown name or settings that it does not have.
    """
    rest = dict(settings)
    name = rest.pop("normaliser", "plain")
    make = _MAKERS.get(name) if isinstance(name, str) else None
    if make is None:
        raise ValueError(f"no normaliser is called {name!r}; there are {', '.join(sorted(_MAKERS))}")
    try:
        return make(**rest)
    except TypeError as error:
        raise ValueError(f"the normaliser {name} does not have all of: {', '.join(sorted(rest))}") from error


def plain(value: str) -> str:
    """NFKC, every run of blanks one blank, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", value).split())


def _name(value: str) -> str:
    typed = plain(value)
    if typed.count(",") == 1:
        last, first = typed.split(",")
        typed = f"{first} {last}"
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", typed) if unicodedata.category(sign) != "Mn")
    return normalised(bare).replace("'", "") or plain(value)


def _number_maker(decimal: str | None = None) -> Normaliser:
    if decimal not in {None, ".", ","}:
        raise ValueError("decimal is '.' or ','")
    return Normaliser(lambda value: _number(value, decimal))


def _number(value: str, decimal: str | None) -> str:
    typed = plain(value)
    found = _NUMBER.fullmatch(typed)
    if not found or bool(found["open"]) != bool(found["close"]):
        return typed
    digits = found["digits"].strip()
    point = decimal or _point(digits)
    if point is None:
        return typed
    whole, dot, fraction = digits.partition(point)
    group = "[ ',]" if point == "." else "[ '.]"
    if not re.fullmatch(rf"\d+|[1-9]\d{{0,2}}(?:{group}\d{{3}})+", whole or "0") or (
        dot and not re.fullmatch(r"\d+", fraction)
    ):
        return typed
    whole = re.sub(r"\D", "", whole).lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    unsigned = whole + (f".{fraction}" if fraction else "")
    negative = unsigned != "0" and (found["open"] or found["sign"] in {"-", "\u2212"})
    return ("-" if negative else "") + unsigned + found["rest"]


def _point(digits: str) -> str | None:
    """The decimal separator of a number, None where there are two readings."""
    dots, commas = digits.count("."), digits.count(",")
    if dots and commas:
        return "." if digits.rindex(".") > digits.rindex(",") else ","
    if dots + commas == 0 or max(dots, commas) > 1:
        return "," if dots else "."
    sign = "." if dots else ","
    before, _, after = digits.partition(sign)
    return None if len(after) == 3 and 1 <= len(before) <= 3 and before.strip("0") else sign  # noqa: PLR2004


def _date_maker(order: str | None = None, pivot: int = 69) -> Normaliser:
    if order is not None and order not in _ORDERS:
        raise ValueError("order is ymd, dmy or mdy")
    return Normaliser(lambda value: _date(value, order, pivot))


def _date(value: str, order: str | None, pivot: int) -> str:
    typed = plain(value)
    low = re.sub(r"(?<=\d)(st|nd|rd|th)\b", "", typed.lower())
    low = re.sub(r"^(mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?\b[.,]?\s*", "", low)
    parts = re.findall(r"\d+|[^\W\d_]+", low)
    if re.fullmatch(r"\d{8}", low):
        parts = [low[:4], low[4:6], low[6:]]
    elif re.fullmatch(r"\d{4}-\d{2}-\d{2}[t ].*", low):
        parts = parts[:3]
    months = [number for number, part in enumerate(parts) if _month(part)]
    if months:
        return _with_month(parts, months, pivot) or typed
    if not all(part.isdigit() for part in parts):
        return typed
    if len(parts) == 1 and re.fullmatch(r"\d{4}", low):
        return low
    if len(parts) == 2 and max(map(len, parts)) == 4:  # noqa: PLR2004
        year, month = sorted(parts, key=len, reverse=True)
        return f"{year}-{int(month):02d}" if 1 <= int(month) <= 12 else typed  # noqa: PLR2004
    if len(parts) != 3:  # noqa: PLR2004
        return typed
    return _numeric_date(parts, order, pivot) or typed


def _numeric_date(parts: list[str], order: str | None, pivot: int) -> str | None:
    orders = ("ymd",) if len(parts[0]) > 2 else (order,) if order else ("dmy", "mdy")  # noqa: PLR2004
    readings = []
    for each in orders:
        of = dict(zip(each, parts, strict=True))
        found = _day(_year(of["y"], pivot), int(of["m"]), int(of["d"]))
        if found and found not in readings:
            readings.append(found)
    if len(readings) > 1:
        return f"{int(parts[0]):02d}/{int(parts[1]):02d}/{_year(parts[2], pivot):04d}"
    return readings[0] if readings else None


def _with_month(parts: list[str], months: list[int], pivot: int) -> str | None:
    month = _month(parts[months[0]])
    rest = [part for number, part in enumerate(parts) if number != months[0] and part not in {"of", "the"}]
    if not all(part.isdigit() for part in rest) or len(rest) not in {1, 2}:
        return None
    if len(rest) == 1:
        return f"{rest[0]}-{month:02d}" if len(rest[0]) == 4 else None  # noqa: PLR2004
    day, year = rest if len(rest[0]) <= 2 else rest[::-1]  # noqa: PLR2004
    return _day(_year(year, pivot), month, int(day))


def _month(part: str) -> int:
    if part in _FULL_MONTHS:
        return _FULL_MONTHS.index(part) + 1
    short = "sep" if part == "sept" else part
    return _MONTHS.index(short) + 1 if short in _MONTHS else 0


def _year(part: str, pivot: int) -> int:
    year = int(part)
    return year if len(part) > 2 else year + (1900 if year >= pivot else 2000)  # noqa: PLR2004


def _day(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _email(value: str) -> str:
    typed = plain(value)
    found = _EMAIL.findall(re.sub(r"mailto:", "", typed, flags=re.IGNORECASE))
    return found[0].rstrip(".,;").lower() if len(found) == 1 else typed


def _url(value: str) -> str:
    typed = plain(value)
    found = re.fullmatch(
        r"(?:(https?)://)?([^/?#\s:@]+\.[^/?#\s:@]+)(:\d+)?([^?#\s]*)(\?[^#\s]*)?(#\S*)?", typed, re.IGNORECASE
    )
    if not found:
        return typed
    host = found[2].lower().rstrip(".").removeprefix("www.")
    port = "" if found[3] in {None, ":80", ":443"} else found[3]
    return host + port + found[4].rstrip("/") + (found[5] or "")


def _postcode_maker(region: str | None = None) -> Normaliser:
    return Normaliser(lambda value: _postcode(value, (region or "").upper()))


def _postcode(value: str, region: str) -> str:
    typed = plain(plain(value).upper())
    bare = re.sub(r"[\s-]", "", typed)
    shape, cut, sign = _CUTS.get(region, ("", 0, ""))
    if shape and re.fullmatch(shape, bare):
        return bare[:cut] + sign + bare[cut:]
    return plain(typed.replace(" ", "")) if re.search(r"\d", typed) else typed


def _phone_maker(region: str | None = None) -> Normaliser:
    e164("0", region)  # raises for a region that is not known
    return Normaliser(lambda value: e164(value, region) or plain(value))


def _boolean(value: str) -> str:
    typed = plain(value).casefold()
    return "true" if typed in _TRUE else "false" if typed in _FALSE else plain(value)


_MAKERS: Mapping[str, Callable[..., Normaliser]] = {
    "plain": lambda: Normaliser(plain),
    "text": lambda: Normaliser(lambda value: normalised(value) or plain(value), as_written=True),
    "name": lambda: Normaliser(_name, as_written=True),
    "number": _number_maker,
    "date": _date_maker,
    "phone": _phone_maker,
    "email": lambda: Normaliser(_email),
    "url": lambda: Normaliser(_url, as_written=True),
    "postcode": _postcode_maker,
    "boolean": lambda: Normaliser(_boolean),
}
NAMES = tuple(sorted(_MAKERS))
