"""Opaque ids: upper-case Crockford base 32 after a prefix that says what it is; never a `#`.

Things that a request creates get an id derived from (user, route, idempotency key), so that a replay, however late,
names the same thing again.
"""

import hashlib
import json
import re

from smallpeck.kernel.entropy import random_bytes

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", re.ASCII)
_DERIVED_BITS = 130
_TASK_ID_LENGTH = 24
# One encoder for all: `json.dumps` would make a new one for each value.
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def derived_id(prefix: str, *parts: str) -> str:
    """`prefix` + 26 characters, the same for the same parts: SHA-256 over their JSON array, cut to 130 bits."""
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).digest()
    return prefix + _base32(int.from_bytes(digest, "big") >> (256 - _DERIVED_BITS), 26)


def derived_uuid(*parts: str) -> str:
    """A UUID in the form of version 4, the same for the same parts: for whoever takes no other form of key."""
    digits = hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def ulid(now_ms: int) -> str:
    """26 characters that sort by time: 48 bits of milliseconds, then 80 random bits (the ULID layout)."""
    return _base32((now_ms << 80) | int.from_bytes(random_bytes(10), "big"), 26)


def task_id(ordinal: int, row_key: bytes, batch_id: str) -> str:
    """The id of a batch's task: its ordinal, so that it can be found, and 80 bits over batch and row key."""
    digest = hashlib.sha256(batch_id.encode() + b"\0" + row_key).digest()
    return f"t{_base32(ordinal, 7)}{_base32(int.from_bytes(digest[:10], 'big'), 16)}"


def ordinal_of_task(identifier: str) -> int | None:
    """The ordinal inside a task id, or None where it is not one."""
    if len(identifier) != _TASK_ID_LENGTH or identifier[0] != "t" or any(c not in _ALPHABET for c in identifier[1:]):
        return None
    ordinal = 0
    for character in identifier[1:8]:
        ordinal = ordinal * 32 + _ALPHABET.index(character)
    return ordinal


def is_id(text: str) -> bool:
    """Whether `text` could be an id: 1 to 80 letters, digits, `_` or `-`."""
    return _ID.fullmatch(text) is not None


def content_hash(value: object) -> str:
    """SHA-256 (hex) of a JSON value in canonical form: what tells "same key, other content" apart."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def canonical_json(value: object) -> str:
    """One spelling per JSON value: sorted keys, no blanks, no NaN."""
    return _CANONICAL.encode(value)


def spread(count: int, *parts: str) -> int:
    """A number below `count` that depends evenly on `parts`: the shard, seed or start of something."""
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).digest()
    return int.from_bytes(digest[:8], "big") % count


def _base32(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
