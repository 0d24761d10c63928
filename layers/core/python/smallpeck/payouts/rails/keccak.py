"""Keccak-256 as Ethereum uses it: the submission to NIST's contest, whose padding differs from that of SHA3-256.

`hashlib` has only the standardised one. Written from FIPS 202, section 3 (the permutation), with the padding byte 0x01
of the Keccak reference; checked against SHA3-256 itself, which differs in that byte alone.
"""

_LANES = 5
_ROUNDS = 24
_RATE_BYTES = 136
_MASK = (1 << 64) - 1
_PADDING = 0x01


def keccak_256(message: bytes, *, padding: int = _PADDING) -> bytes:
    """32 bytes. With `padding=0x06` this is SHA3-256."""
    padded = bytearray(message)
    padded.append(padding)
    padded.extend(bytes(-len(padded) % _RATE_BYTES))
    padded[-1] |= 0x80
    state = [0] * (_LANES * _LANES)
    for start in range(0, len(padded), _RATE_BYTES):
        block = padded[start : start + _RATE_BYTES]
        for lane in range(_RATE_BYTES // 8):
            state[lane] ^= int.from_bytes(block[lane * 8 : lane * 8 + 8], "little")
        state = _permuted(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


def _permuted(lanes: list[int]) -> list[int]:
    """Keccak-f[1600]; lane (x, y) stands at x + 5y."""
    for constant in _ROUND_CONSTANTS:
        parities = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(_LANES)]
        mixed = [parities[x - 1] ^ _rotated(parities[(x + 1) % _LANES], 1) for x in range(_LANES)]
        lanes = [lane ^ mixed[n % _LANES] for n, lane in enumerate(lanes)]
        moved = [0] * len(lanes)
        for n, lane in enumerate(lanes):
            x, y = n % _LANES, n // _LANES
            moved[y + _LANES * ((2 * x + 3 * y) % _LANES)] = _rotated(lane, _OFFSETS[n])
        lanes = [
            lane ^ (~moved[n - n % _LANES + (n + 1) % _LANES] & moved[n - n % _LANES + (n + 2) % _LANES])
            for n, lane in enumerate(moved)
        ]
        lanes[0] ^= constant
    return lanes


def _rotated(lane: int, by: int) -> int:
    return ((lane << by) | (lane >> (64 - by))) & _MASK


def _offsets() -> list[int]:
    offsets = [0] * (_LANES * _LANES)
    x, y = 1, 0
    for t in range(_ROUNDS):
        offsets[x + _LANES * y] = (t + 1) * (t + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % _LANES
    return offsets


def _round_constants() -> list[int]:
    """Bits of a linear feedback shift register (FIPS 202, algorithm 5) at the places 2**j - 1."""
    constants = []
    register = 1
    for _ in range(_ROUNDS):
        constant = 0
        for j in range(7):
            if register & 1:
                constant |= 1 << (2**j - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171
        constants.append(constant)
    return constants


_OFFSETS = _offsets()
_ROUND_CONSTANTS = _round_constants()
