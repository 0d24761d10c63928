"""Destinations of the `circle` rail: a chain and an address on it, `BASE:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed`.

Money sent to a mistyped address is gone. On EVM chains only the spelling with the checksum of EIP-55 is taken (wallets
show it; small letters alone carry none). Addresses of Solana have no checksum: they are 32 bytes in base 58, and a
wallet's is a point of the curve (RFC 8032), which finds every other mistake. Chains go by the codes of Circle's address
book.
"""

import re
from dataclasses import dataclass, field

from smallpeck.kernel.errors import Invalid, Problem
from smallpeck.payouts.rails.keccak import keccak_256

EVM_CHAINS = frozenset({"ARB", "AVAX", "BASE", "ETH", "OP", "POLY"})
SOLANA = "SOL"
CHAINS = EVM_CHAINS | {SOLANA}

_SEPARATOR = ":"
_EVM = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_SOLANA = re.compile(rf"[{_BASE58}]{{32,44}}", re.ASCII)
_SOLANA_BYTES = 32
_CAPITAL_FROM = 8
_PRIME = 2**255 - 19
_CURVE = -121665 * pow(121666, -1, _PRIME) % _PRIME


class BadChainAddress(Invalid):
    """Not an address that a payout could be sent to."""

    code = "bad_destination"


@dataclass(frozen=True)
class ChainAddress:
    """An address on one chain, in the spelling that carries its checksum."""

    chain: str
    address: str = field(repr=False)


def chain_address(written: str) -> ChainAddress:
    """The chain and address that a destination names; raises BadChainAddress, which repeats nothing of it."""
    chain, _, address = written.partition(_SEPARATOR)
    chain, address = chain.strip().upper(), address.strip()
    if chain not in CHAINS:
        raise _bad(f"a chain and an address with a colon between them; the chain is one of {', '.join(sorted(CHAINS))}")
    problem = _solana_problem(address) if chain == SOLANA else _evm_problem(address)
    if problem:
        raise _bad(problem)
    return ChainAddress(chain, address)


def canonical(written: str) -> str:
    """How a destination of this rail is kept: the same address always in the same spelling. Raises BadChainAddress."""
    found = chain_address(written)
    return f"{found.chain}{_SEPARATOR}{found.address}"


def checksummed(address: str) -> str:
    """An EVM address as EIP-55 spells it: a letter is capital where the hash of the lower case one is 8 or more."""
    digits = address[2:].lower()
    digest = keccak_256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(hashed, 16) >= _CAPITAL_FROM else digit
        for digit, hashed in zip(digits, digest, strict=False)
    )


def _evm_problem(address: str) -> str | None:
    if _EVM.fullmatch(address) is None:
        return "on this chain an address is 0x and 40 hexadecimal digits"
    if int(address, 16) == 0:
        return "an address that somebody has the key to"
    if address != checksummed(address):
        return "the address with the capitals that your wallet shows: they are its checksum, and these do not fit"
    return None


def _solana_problem(address: str) -> str | None:
    if _SOLANA.fullmatch(address) is None or len(_from_base58(address)) != _SOLANA_BYTES:
        return "on this chain an address is 32 bytes in base 58"
    if not _is_on_curve(_from_base58(address)):
        return "the address of a wallet; this one has a mistake in it, or belongs to a program"
    return None


def _is_on_curve(key: bytes) -> bool:
    """Whether these bytes are a public key of Ed25519: RFC 8032, 5.1.3, as far as there is an x to the y."""
    y = int.from_bytes(key, "little") & ((1 << 255) - 1)
    square = (y * y - 1) * pow(_CURVE * y * y + 1, -1, _PRIME) % _PRIME
    return 1 < y < _PRIME and pow(square, (_PRIME - 1) // 2, _PRIME) == 1


def _from_base58(text: str) -> bytes:
    number = 0
    for character in text:
        number = number * len(_BASE58) + _BASE58.index(character)
    zeros = len(text) - len(text.lstrip(_BASE58[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _bad(detail: str) -> BadChainAddress:
    return BadChainAddress("nothing could be sent to this destination", problems=[Problem("/address", detail)])
