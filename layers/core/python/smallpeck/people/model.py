"""Profiles and payout destinations: what is allowed in them."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from smallpeck.kernel.errors import Invalid, NotFound, Problem
from smallpeck.kernel.money import MAX_AMOUNT_MICROS

MAX_LANGUAGES = 10
ADDRESS_LENGTH = range(3, 201)
KEPT_VERSIONS = 10
"""How many versions of a destination stay readable: payouts on their way name the version they were reserved for."""

# ISO 3166-1 alpha-2, officially assigned.
_COUNTRIES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO "
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW "
    "PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM "
    "TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)
COUNTRIES = frozenset(_COUNTRIES.split())

_EMAIL_OR_PAYER = r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+|[A-Z0-9]{13}"
# Of each rail: the form of an address, and how it is called.
_ADDRESSES: Mapping[str, tuple[re.Pattern[str], str]] = {
    "gateway": (re.compile(r".+"), "what the gateway takes"),
    "paypal": (re.compile(_EMAIL_OR_PAYER), "the e-mail address, or the payer id, of a PayPal account"),
    "stripe": (re.compile(r"acct_[A-Za-z0-9]{1,64}", re.ASCII), "the id of a Stripe account, such as acct_1AbCdEfGh"),
    "sepa": (re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}, .{2,70}"), "an IBAN, a comma, and the account's holder"),
    "circle": (re.compile(r"[A-Z]{2,6}:[0-9A-Za-z]{32,44}", re.ASCII), "a chain, a colon, and an address on it"),
}

_NO_COUNTRY = "a country is its ISO 3166 code of two capital letters"
_SHOWS_ITS_END = 8
_LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)


class BadProfile(Invalid):
    """A profile with something in it that is not allowed."""

    code = "bad_profile"


class BadDestination(Invalid):
    """A payout destination that no money could be sent to."""

    code = "bad_destination"


class NoDestination(NotFound):
    """The worker has not said where to be paid."""

    code = "no_payout_destination"

    def __init__(self) -> None:
        super().__init__("there is no payout destination yet")


@dataclass(frozen=True)
class WorkerProfile:
    """What a worker says about themselves. Nothing here names a person.

    `languages` are primary tags of BCP 47 ("en", "fil"). `payout_threshold_micros` is the worker's own threshold, None
    where the platform's holds; with `automatic_payouts` a balance that reaches it is paid out without being asked for.
    """

    worker_id: str
    created_at_ms: int
    country: str | None = None
    languages: tuple[str, ...] = ()
    payout_threshold_micros: int | None = None
    automatic_payouts: bool = False

    def threshold_micros(self, platform_threshold_micros: int) -> int:
        """From which balance on this worker is paid out: their own threshold, and never below the platform's."""
        return max(self.payout_threshold_micros or 0, platform_threshold_micros)


@dataclass(frozen=True)
class RequesterProfile:
    """A requester as the platform knows them."""

    requester_id: str
    created_at_ms: int


@dataclass(frozen=True)
class Destination:
    """Where a worker's money goes. The address is personal data: it shows in no representation."""

    rail: str
    address: str = field(repr=False)


@dataclass(frozen=True)
class DestinationFacts:
    """What is known of a destination without reading it. `changed_at_ms` is None for a worker's first one."""

    version: int
    rail: str
    changed_at_ms: int | None


@dataclass(frozen=True)
class HeldDestination:
    """A destination as it is kept. `changed_at_ms` is None for a worker's first one."""

    version: int
    destination: Destination
    changed_at_ms: int | None


def check_profile(
    *,
    country: str | None,
    languages: Sequence[str],
    payout_threshold_micros: int | None,
    platform_threshold_micros: int,
) -> None:
    """Raises BadProfile, naming every field that is not allowed."""
    problems = [] if country is None or country in COUNTRIES else [Problem("/country", _NO_COUNTRY)]
    if len(languages) > MAX_LANGUAGES:
        problems.append(Problem("/languages", f"at most {MAX_LANGUAGES} languages"))
    elif len(set(languages)) != len(languages):
        problems.append(Problem("/languages", "each language once"))
    problems += language_problems(languages[:MAX_LANGUAGES], "/languages")
    own = payout_threshold_micros
    if own is not None and not platform_threshold_micros <= own <= MAX_AMOUNT_MICROS:
        problems.append(Problem("/payout_threshold", "not below the platform's threshold, nor out of range"))
    if problems:
        raise BadProfile("the profile is not allowed", problems=problems)


def country_problems(countries: Sequence[str], at: str) -> list[Problem]:
    """A problem for each that is no country; `at` is the JSON Pointer of the list."""
    return [Problem(f"{at}/{n}", _NO_COUNTRY) for n, country in enumerate(countries) if country not in COUNTRIES]


def language_problems(languages: Sequence[str], at: str) -> list[Problem]:
    """A problem for each that is no language; `at` is the JSON Pointer of the list."""
    return [
        Problem(f"{at}/{n}", 'a language is a primary tag such as "en"')
        for n, language in enumerate(languages)
        if _LANGUAGE.fullmatch(language) is None
    ]


def checked_destination(
    rail: str, address: str, *, offered: Collection[str], canonical: Callable[[str, str], str]
) -> Destination:
    """A destination in its one spelling; raises BadDestination, which does not repeat the address.

    `offered` are the rails that there are; `canonical` gives the one spelling of a rail's address, or raises Invalid.
    """
    problems = [] if rail in offered else [Problem("/rail", f"one of: {', '.join(sorted(offered))}")]
    if len(address) not in ADDRESS_LENGTH:
        problems.append(Problem("/address", "3 to 200 characters"))
    elif not address.isprintable() or address != address.strip():
        problems.append(Problem("/address", "one line of printable characters without blanks around it"))
    if not problems:
        address = canonical(rail, address)
        form, called = _ADDRESSES[rail]
        if not form.fullmatch(address):
            problems.append(Problem("/address", called))
    if problems:
        raise BadDestination("the payout destination is not allowed", problems=problems)
    return Destination(rail, address)


def masked(address: str) -> str:
    """What may be shown of an address: enough to recognise one's own, at most its first and two last characters."""
    ending = address[-2:] if len(address) >= _SHOWS_ITS_END else ""
    return f"{address[:1]}…{ending}"
