"""Where a list goes on: signed, and good only for the caller, route and filters that it was given for."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from smallpeck.kernel.errors import Malformed
from smallpeck.kernel.ids import canonical_json

MAX_LENGTH: Final = 1_024
_SIGNATURE_BYTES: Final = 32
_MIN_SECRET_BYTES: Final = 16
_VERSION: Final = "1"


class BadCursor(Malformed):
    """A cursor that was not given to this caller for this list."""

    code = "bad_cursor"


@dataclass(frozen=True)
class Scope:
    """What a cursor is bound to: the caller, the route, and everything else that chooses what is listed."""

    user_id: str
    route: str
    filters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Cursors:
    """Signs positions and reads them back."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < _MIN_SECRET_BYTES:
            raise ValueError("the cursor secret is too short")

    def sign(self, position: str | None, scope: Scope) -> str | None:
        """The cursor of a position; None, the end of a list, has none."""
        if position is None:
            return None
        return _to_text(self._signature(position, scope) + position.encode())

    def read(self, cursor: str | None, scope: Scope) -> str | None:
        """The position in a cursor, None for none; raises BadCursor."""
        if cursor is None:
            return None
        try:
            token = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
            position = token[_SIGNATURE_BYTES:].decode()
        except (binascii.Error, UnicodeError) as error:
            raise BadCursor("this is not a cursor") from error
        genuine = hmac.compare_digest(token[:_SIGNATURE_BYTES], self._signature(position, scope))
        # One spelling per cursor: base 64 would let its last bits, or characters outside it, be anything.
        if not genuine or _to_text(token) != cursor:
            raise BadCursor("this is not a cursor of this list")
        return position

    def _signature(self, position: str, scope: Scope) -> bytes:
        bound = [_VERSION, scope.user_id, scope.route, dict(scope.filters), position]
        return hmac.digest(self.secret, canonical_json(bound).encode(), hashlib.sha256)


def _to_text(token: bytes) -> str:
    return base64.urlsafe_b64encode(token).decode().rstrip("=")
