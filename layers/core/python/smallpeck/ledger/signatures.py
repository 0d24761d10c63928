"""Signatures under documents: what is signed, how it is written down, and whether it holds.

A document is a JSON object. What is signed is its canonical JSON without the member `signature`, in UTF-8: members
sorted, no blanks, whole numbers only, so that RFC 8785 gives the same bytes. The signature is ECDSA over P-256 and
SHA-256 ("ES256"): `{"alg", "kid", "value"}`, where `value` is r and s, 32 bytes each, in base 64 for URLs without
padding. A key is a JWK (RFC 7517) whose `kid` is what it is for, a dash, and its thumbprint (RFC 7638).
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from smallpeck.kernel.ids import canonical_json

ALGORITHM = "ES256"
STATEMENT, ROOT = "statement", "root"
"""What keys are for."""

Document = dict[str, Any]
Jwk = Mapping[str, str]

_NUMBER_BYTES = 32
# SubjectPublicKeyInfo of an uncompressed P-256 point (RFC 5480) has one beginning and one length.
_SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200" + "04")


class BadKey(ValueError):
    """A public key that is none on P-256."""


class BadSignature(ValueError):
    """A signature that does not hold, or is none."""


class Signer(Protocol):
    """Who can sign with one key, and shows its public half."""

    def key(self) -> Jwk:
        """The public key."""
        ...

    def sign(self, digest: bytes, /) -> bytes:
        """The signature (DER) of a SHA-256 digest."""
        ...


def signed_bytes(document: Mapping[str, Any]) -> bytes:
    """What the signature of a document is over."""
    return canonical_json({name: value for name, value in document.items() if name != "signature"}).encode()


def signed(document: Document, signer: Signer) -> Document:
    """The document with its signature."""
    value = raw_of_der(signer.sign(hashlib.sha256(signed_bytes(document)).digest()))
    return {**document, "signature": {"alg": ALGORITHM, "kid": signer.key()["kid"], "value": _text(value)}}


def jwk_of(public_key: bytes, purpose: str) -> dict[str, str]:
    """The JWK of a public key as KMS gives it (DER); raises BadKey."""
    point = public_key.removeprefix(_SPKI_PREFIX)
    if len(public_key) - len(point) != len(_SPKI_PREFIX) or len(point) != 2 * _NUMBER_BYTES:
        raise BadKey("this is no public key on P-256")
    number = {"crv": "P-256", "kty": "EC", "x": _text(point[:_NUMBER_BYTES]), "y": _text(point[_NUMBER_BYTES:])}
    thumbprint = _text(hashlib.sha256(canonical_json(number).encode()).digest())
    return {**number, "alg": ALGORITHM, "use": "sig", "kid": f"{purpose}-{thumbprint}"}


def raw_of_der(signature: bytes) -> bytes:
    """The r and s, 32 bytes each, of a signature in DER (a sequence of two integers); raises BadSignature."""
    if len(signature) < 2 or signature[0] != 0x30 or signature[1] != len(signature) - 2:  # noqa: PLR2004 - DER
        raise BadSignature("this is no ECDSA signature")
    first, rest = _integer(signature[2:])
    second, rest = _integer(rest)
    if rest:
        raise BadSignature("this is no ECDSA signature")
    return first + second


def check(document: Mapping[str, Any], keys: Iterable[Jwk], purpose: str) -> None:
    """Raises BadSignature where the document is not signed by one of these keys, for this purpose."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    signature = document.get("signature")
    if not isinstance(signature, dict) or signature.get("alg") != ALGORITHM:
        raise BadSignature("there is no ES256 signature")
    kid = signature.get("kid")
    if not isinstance(kid, str) or not kid.startswith(f"{purpose}-"):
        raise BadSignature(f"the key {kid!r} is not for signing a {purpose}")
    named = [key for key in keys if key.get("kid") == kid]
    if not named:
        raise BadSignature(f"the key {kid} is not among the keys that were given")
    x, y, value = _bytes(named[0].get("x")), _bytes(named[0].get("y")), _bytes(signature.get("value"))
    if jwk_of(_SPKI_PREFIX + x + y, purpose)["kid"] != kid:
        raise BadSignature(f"the key {kid} is another key than its name says")
    if len(value) != 2 * _NUMBER_BYTES:
        raise BadSignature("the signature has another length")
    r, s = (int.from_bytes(part, "big") for part in (value[:_NUMBER_BYTES], value[_NUMBER_BYTES:]))
    try:
        public = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
        public.public_key().verify(utils.encode_dss_signature(r, s), signed_bytes(document), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise BadSignature("the signature does not hold: the document is not what was signed") from error


def _integer(der: bytes) -> tuple[bytes, bytes]:
    if len(der) < 2 or der[0] != 0x02 or not 0 < der[1] <= len(der) - 2:  # noqa: PLR2004 - DER
        raise BadSignature("this is no ECDSA signature")
    number = der[2 : 2 + der[1]].lstrip(b"\0")
    if len(number) > _NUMBER_BYTES:
        raise BadSignature("this is no ECDSA signature on P-256")
    return number.rjust(_NUMBER_BYTES, b"\0"), der[2 + der[1] :]


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise BadSignature("a key or a signature is not written as it should be")
    try:
        value = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, UnicodeError) as error:
        raise BadSignature("a key or a signature is not written as it should be") from error
    # One spelling per value: base 64 would let its last bits, or characters outside it, be anything.
    if _text(value) != text:
        raise BadSignature("a key or a signature is not written as it should be")
    return value
