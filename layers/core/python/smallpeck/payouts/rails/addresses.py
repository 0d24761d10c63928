"""The addresses of those rails where more can be checked than their form; see `iban` and `chain_address`."""

from smallpeck.payouts.rails import chain_address

_CIRCLE = "circle"
_SEPA = "sepa"


def canonical(rail: str, address: str) -> str:
    """How an address is kept: the same destination in the same spelling. Raises `kernel.errors.Invalid`, which repeats
    nothing of it, where no money could get there. An address of any other rail comes back as it is.
    """
    if rail == _SEPA:
        from smallpeck.payouts.rails import iban

        return iban.canonical(address)
    return chain_address.canonical(address) if rail == _CIRCLE else address
