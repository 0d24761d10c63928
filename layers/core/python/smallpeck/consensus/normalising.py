"""Text as words that can be compared: what two transcripts may differ in and still say the same.

In this order: Unicode compatibility form (NFKC); lower case; one sign for every apostrophe; what stands in brackets
left out (`[inaudible]`, `(laughs)`, `<unk>`); every sign that is no letter, mark or digit becomes a blank, save
apostrophes inside words (`don't`) and the point or comma between two digits (`3.5`); blanks divide words. The titles
`mr` and `mrs`, which nobody says as they are written, are spelled out. Scripts that are written without blanks
(Chinese, Japanese kana, Thai, Lao, Khmer, Burmese) have one word per character, marks staying with their letter.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise

SPOKEN = {"mr": "mister", "mrs": "missus"}
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u00b4\u0060\u02bc\u02b9\u2032\uff07", "'"))
_ASIDE = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|<[^<>]*>|\{[^{}]*\}")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[.,](?=\d)")
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),  # Chinese characters
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_KEPT = ("L", "M", "N")

Words = tuple[str, ...]


def words(text: str) -> Words:
    """The words of a text in their normal form; none where nothing was said."""
    # Accents that were typed before a letter sign or spaced alone fall apart into a blank and a mark under NFKC, so the
    # look-alikes of an apostrophe are unified first.
    plain = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower().translate(_APOSTROPHES)
    plain = unicodedata.normalize("NFKC", _ASIDE.sub(" ", plain))
    points = {found.start() for found in _BETWEEN_DIGITS.finditer(plain)}
    kept = "".join(
        sign if sign == "'" or place in points or unicodedata.category(sign)[0] in _KEPT else " "
        for place, sign in enumerate(plain)
    )
    found = (word.strip("'") for word in kept.split())
    return tuple(part for word in found if word for part in _parts(SPOKEN.get(word, word)))


def joined(parts: Iterable[str]) -> str:
    """Words as text: blanks between them, but for two of a script without blanks."""
    text = ""
    for part in parts:
        gap = " " if text and part and not (_unspaced(text.rstrip("'")[-1:] or "'") and _unspaced(part[0])) else ""
        text += gap + part
    return text


def normalised(text: str) -> str:
    """A text in its normal form. Doing it again changes nothing."""
    return joined(words(text))


def agreed_spaces(texts: Sequence[Words]) -> list[Words]:
    """The texts with one way to divide words: where one text has `cannot` and another `can not`, the way that more of
    them have; the undivided where they are level.
    """
    single: dict[str, int] = {}
    pairs: dict[tuple[str, str], int] = {}
    for text in texts:
        for word in set(text):
            single[word] = single.get(word, 0) + 1
        for pair in set(pairwise(text)):
            pairs[pair] = pairs.get(pair, 0) + 1
    joining: set[tuple[str, str]] = set()
    dividing: dict[str, tuple[str, str]] = {}
    for pair in sorted(pairs):
        whole = "".join(pair)
        if whole not in single or _unspaced(whole[0]):
            continue
        if single[whole] >= pairs[pair]:
            joining.add(pair)
        elif whole not in dividing or pairs[pair] > pairs[dividing[whole]]:
            dividing[whole] = pair
    return [_respaced(text, joining, dividing) for text in texts] if joining or dividing else list(texts)


def _respaced(text: Words, joining: set[tuple[str, str]], dividing: dict[str, tuple[str, str]]) -> Words:
    found: list[str] = []
    place = 0
    while place < len(text):
        if text[place : place + 2] in joining:
            found.append(text[place] + text[place + 1])
            place += 2
            continue
        found.extend(dividing.get(text[place], (text[place],)))
        place += 1
    return tuple(found)


def _parts(word: str) -> list[str]:
    if not any(map(_unspaced, word)):
        return [word]
    parts: list[str] = []
    for sign in word:
        alone = _unspaced(sign) and unicodedata.category(sign)[0] != "M"
        if parts and not alone and (unicodedata.category(sign)[0] == "M" or not _unspaced(parts[-1][0])):
            parts[-1] += sign
        else:
            parts.append(sign)
    return [part.strip("'") for part in parts if part.strip("'")]


def _unspaced(sign: str) -> bool:
    code = ord(sign)
    return code >= _UNSPACED[0][0] and any(first <= code <= last for first, last in _UNSPACED)
