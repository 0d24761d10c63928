"""What is a destination of the `circle` rail: an address on a chain, whose spelling can be checked."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from smallpeck.kernel.errors import Invalid
from smallpeck.payouts.rails.chain_address import CHAINS, canonical, chain_address, checksummed
from smallpeck.payouts.rails.keccak import keccak_256

# The vectors of EIP-55, and the reserve address of its author's choosing in capitals and small letters alone.
EIP_55 = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0xde709f2102306220921060314715629080e2fb77",
]
SOLANA = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


@given(st.binary(max_size=600))
def test_the_permutation_is_that_of_sha3(message: bytes) -> None:
    assert keccak_256(message, padding=0x06) == hashlib.sha3_256(message).digest()


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_the_padding_is_that_of_keccak(message: bytes, digest: str) -> None:
    assert keccak_256(message).hex() == digest


@pytest.mark.parametrize("address", EIP_55)
def test_the_vectors_of_eip_55(address: str) -> None:
    assert checksummed(address.lower()) == address
    assert canonical(f" base : {address} ") == f"BASE:{address}"


def test_a_solana_address_is_32_bytes() -> None:
    assert canonical(f"sol:{SOLANA}") == f"SOL:{SOLANA}"
    assert chain_address(f"SOL:{SOLANA}").chain == "SOL"


@pytest.mark.parametrize("digit", range(2, 42))
def test_one_wrong_digit_is_found(digit: int) -> None:
    """Fifteen letters or so carry a bit each: of 40 changed addresses none passes here."""
    right = EIP_55[0]
    wrong = right[:digit] + ("0" if right[digit] != "0" else "1") + right[digit + 1 :]
    with pytest.raises(Invalid):
        chain_address(f"ETH:{wrong}")


@pytest.mark.parametrize(
    "written",
    [
        "",
        EIP_55[0],
        f"DOGE:{EIP_55[0]}",
        f"ETH:{EIP_55[0].lower()}",
        f"ETH:{EIP_55[0][:-1]}",
        f"ETH:{EIP_55[0][2:]}",
        f"ETH:{EIP_55[0]}0",
        "ETH:0x" + "0" * 40,
        "ETH:0x" + "g" * 40,
        "ETH:vitalik.eth",
        f"SOL:{EIP_55[0]}",
        f"SOL:{SOLANA}1",
        f"SOL:{SOLANA[:-1]}0",
        "SOL:" + "1" * 32,
        "SOL:" + "z" * 44,
    ],
)
def test_whatever_cannot_be_checked_is_refused_and_not_repeated(written: str) -> None:
    with pytest.raises(Invalid) as refused:
        chain_address(written)
    assert refused.value.code == "bad_destination"
    assert [problem.pointer for problem in refused.value.problems] == ["/address"]
    assert "5aAe" not in refused.value.problems[0].detail


def test_half_of_the_mistakes_in_a_solana_address_are_found() -> None:
    found = 0
    for place in range(1, 44):
        wrong = SOLANA[:place] + ("z" if SOLANA[place] != "z" else "y") + SOLANA[place + 1 :]
        try:
            chain_address(f"SOL:{wrong}")
        except Invalid:
            found += 1
    assert 14 <= found <= 30


def test_keys_of_wallets_are_on_the_curve() -> None:
    for _ in range(20):
        key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        assert chain_address(f"SOL:{base58(key)}").chain == "SOL"


def base58(key: bytes) -> str:
    number, text = int.from_bytes(key, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + text
    return "1" * (len(key) - len(key.lstrip(b"\0"))) + text


def test_an_address_shows_nowhere() -> None:
    assert "5aAe" not in repr(chain_address(f"ETH:{EIP_55[0]}"))
    assert {"ETH", "BASE", "POLY", "SOL"} <= CHAINS
