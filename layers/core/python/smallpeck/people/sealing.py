"""AES-256-GCM under a person's own key: what is sealed can be read with that key, for that purpose, and no other."""

import json
from collections.abc import Callable

from smallpeck.kernel.entropy import random_bytes
from smallpeck.kernel.errors import Unavailable

_NONCE_BYTES = 12


class Unreadable(Unavailable):
    """Sealed under a key that is gone, or not what was sealed here."""

    code = "sealed_data_unreadable"

    def __init__(self) -> None:
        super().__init__("this was sealed under a key that is no longer there")


def seal(
    plain: bytes,
    *,
    key: bytes,
    person_id: str,
    field: str,
    version: int,
    entropy: Callable[[int], bytes] = random_bytes,
) -> bytes:
    """Nonce and ciphertext of `plain`, bound to whose it is, what it is and which version of that."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = entropy(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, _purpose(person_id, field, version))


def unseal(sealed: bytes, *, key: bytes, person_id: str, field: str, version: int) -> bytes:
    """What was sealed; raises Unreadable where key, person, field, version or a single bit differ."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _purpose(person_id, field, version))
    except InvalidTag as error:
        raise Unreadable from error


def _purpose(person_id: str, field: str, version: int) -> bytes:
    return json.dumps([person_id, field, version]).encode()
