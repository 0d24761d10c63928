"""Telephone numbers as E.164: `+`, country calling code, national number, at most 15 digits.

A number that begins with `+`, or with the region's way to dial abroad (`00` where the region says nothing else), is
international. Any other is national: the region's trunk prefix is dropped, its calling code put before. A trunk zero
in brackets, as in `+44 (0)20`, is dropped. An extension (`ext. 12`, `x12`, `#12`) is kept as `;ext=12`, the way of RFC
3966. Whether a number is assigned is not known here: a full numbering plan is some megabytes of data and changes every
month.
"""

import re
import unicodedata

_LONGEST = 15
_SHORTEST = 6
_NORTH_AMERICAN = 10
# Calling code (ITU-T E.164), trunk prefix that is dropped, prefix to dial abroad.
_REGIONS: dict[str, tuple[str, str, str]] = {
    region: (code, trunk, abroad)
    for regions, code, trunk, abroad in (
        ("US CA PR DO JM", "1", "1", "011"),
        ("RU KZ", "7", "8", "810"),
        ("IT SM VA", "39", "", "00"),
        *((region, code, "", "00") for region, code in (
            ("ES", "34"), ("PT", "351"), ("GR", "30"), ("DK", "45"), ("NO", "47"), ("PL", "48"), ("CZ", "420"),
            ("LU", "352"), ("MT", "356"), ("CY", "357"), ("EE", "372"), ("LV", "371"), ("IS", "354"), ("MX", "52"),
            ("CR", "506"), ("PA", "507"), ("QA", "974"), ("KW", "965"), ("OM", "968"), ("BH", "973"), ("GT", "502"),
        )),
        *((region, code, "0", "00") for region, code in (
            ("DE", "49"), ("AT", "43"), ("CH", "41"), ("FR", "33"), ("BE", "32"), ("NL", "31"), ("GB", "44"),
            ("IE", "353"), ("SE", "46"), ("FI", "358"), ("SK", "421"), ("SI", "386"), ("HR", "385"), ("RS", "381"),
            ("BG", "359"), ("RO", "40"), ("UA", "380"), ("TR", "90"), ("IL", "972"), ("EG", "20"), ("ZA", "27"),
            ("NG", "234"), ("KE", "254"), ("GH", "233"), ("MA", "212"), ("AE", "971"), ("SA", "966"), ("PK", "92"),
            ("IN", "91"), ("BD", "880"), ("LK", "94"), ("CN", "86"), ("PH", "63"), ("MY", "60"), ("VN", "84"),
            ("NZ", "64"), ("BR", "55"), ("AR", "54"), ("PE", "51"), ("VE", "58"), ("AL", "355"),
        )),
        ("HU", "36", "06", "00"),
        ("LT", "370", "0", "00"),
        ("AU", "61", "0", "0011"),
        ("JP", "81", "0", "010"),
        ("KR", "82", "0", "001"),
        ("TW", "886", "0", "002"),
        ("TH", "66", "0", "001"),
        ("ID", "62", "0", "001"),
        ("SG", "65", "", "001"),
        ("HK", "852", "", "001"),
        ("CL", "56", "", "00"),
        ("CO", "57", "", "00"),
    )
    for region in regions.split()
}  # fmt: skip
_EXTENSION = re.compile(r"(?:\s*(?:;?ext(?:ension|n)?[.:=]?|x|#|durchwahl)\s*)(\d{1,6})\s*$", re.IGNORECASE)
_SIGNS = re.compile(r"[\s().\-/\u00a0\u2010-\u2015]+")


def e164(typed: str, region: str | None = None) -> str | None:
    """A number in E.164; the national digits where neither the number nor `region` says which country it is of; None
    for what is no number. Raises ValueError for a region that is not known.
    """
    if region is not None and region.upper() not in _REGIONS:
        raise ValueError(f"no numbering plan for region {region!r}; there are {', '.join(sorted(_REGIONS))}")
    text = re.sub(r"^\s*(tel|phone|fon)[\s.:]*", "", unicodedata.normalize("NFKC", typed), flags=re.IGNORECASE)
    extension = _EXTENSION.search(text)
    suffix = f";ext={extension[1]}" if extension else ""
    text = text[: extension.start()] if extension else text
    abroad = text.strip().startswith(("+", "(+"))
    text = re.sub(r"(?<=\d)\s*\(0\)", "", text) if abroad or text.strip().startswith("00") else text
    digits = _SIGNS.sub("", text.replace("+", "", 1) if abroad else text)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _LONGEST + 3:
        return None
    number = digits if abroad else _international(digits, region)
    if number is None:
        return digits + suffix if len(digits) >= _SHORTEST else None
    return f"+{number}{suffix}" if _SHORTEST < len(number) <= _LONGEST else None


def _international(digits: str, region: str | None) -> str | None:
    """Calling code and national number, None where the country is not known."""
    if region is None:
        return digits[2:] if digits.startswith("00") else None
    code, trunk, abroad = _REGIONS[region.upper()]
    if digits.startswith(abroad):
        return digits[len(abroad) :]
    if code == "1":
        return code + (digits[1:] if len(digits) == _NORTH_AMERICAN + 1 and digits[0] == "1" else digits)
    return code + (digits.removeprefix(trunk) if trunk else digits)
