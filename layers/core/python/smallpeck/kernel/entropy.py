"""Chance: the one place that random bytes come from."""

import secrets


def random_bytes(count: int) -> bytes:
    """`count` bytes that nobody can foresee."""
    return secrets.token_bytes(count)
