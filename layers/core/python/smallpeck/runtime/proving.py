"""The proof of the books, joined: seals in their bucket, and the keys that sign in KMS."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from smallpeck.kernel.errors import NotFound
from smallpeck.runtime.wiring import Wiring

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient

    from smallpeck.ledger.accounts import Account
    from smallpeck.ledger.seal_service import SealPorts
    from smallpeck.ledger.seal_store import HashedFiles, RootStore
    from smallpeck.ledger.signatures import Document
    from smallpeck.ledger.statement_document import ProofPorts


class RootNotFound(NotFound):
    """No seal was made of that day, or none yet."""

    code = "root_not_found"

    def __init__(self) -> None:
        super().__init__("there is no root of that day")


@dataclass(frozen=True)
class KmsSigner:
    """See `smallpeck.ledger.signatures.Signer`. The public key is asked for once."""

    kms: "KMSClient"
    key_arn: str
    purpose: str

    def key(self) -> dict[str, str]:
        """See `Signer`."""
        return self._public

    def sign(self, digest: bytes, /) -> bytes:
        """See `Signer`."""
        answer = self.kms.sign(
            KeyId=self.key_arn, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
        )
        return bytes(answer["Signature"])

    @cached_property
    def _public(self) -> dict[str, str]:
        from smallpeck.ledger.signatures import jwk_of

        return jwk_of(bytes(self.kms.get_public_key(KeyId=self.key_arn)["PublicKey"]), self.purpose)


def statement_signer(wiring: Wiring) -> KmsSigner:
    from smallpeck.ledger.signatures import STATEMENT

    return KmsSigner(wiring.kms, wiring.settings.statement_key_arn, STATEMENT)


def root_signer(wiring: Wiring) -> KmsSigner:
    from smallpeck.ledger.signatures import ROOT

    return KmsSigner(wiring.kms, wiring.settings.root_key_arn, ROOT)


def seal_lists(wiring: Wiring) -> "HashedFiles":
    from smallpeck.ledger.seal_store import LISTS, HashedFiles

    return HashedFiles(cast("Any", wiring.s3), wiring.settings.seals_bucket, LISTS)


def root_store(wiring: Wiring) -> "RootStore":
    from smallpeck.ledger.seal_store import RootStore

    return RootStore(cast("Any", wiring.s3), wiring.settings.seals_bucket, wiring.table)


def seal_ports(wiring: Wiring) -> "SealPorts":
    from smallpeck.ledger.seal_service import SealPorts
    from smallpeck.ledger.seal_store import RUNS, HashedFiles, LedgerScan

    return SealPorts(
        items=LedgerScan(wiring.table),
        scratch=HashedFiles(cast("Any", wiring.s3), wiring.settings.work_bucket, RUNS),
        lists=wiring.once(seal_lists),
        roots=wiring.once(root_store),
        signer=wiring.once(root_signer),
        keys=public_keys(wiring),
        clock=wiring.clock,
    )


def proof_ports(wiring: Wiring) -> "ProofPorts":
    from smallpeck.ledger.statement_document import ProofPorts

    return ProofPorts(
        books=wiring.ledger,
        lists=wiring.once(seal_lists),
        roots=wiring.once(root_store),
        signer=wiring.once(statement_signer),
    )


def public_keys(wiring: Wiring) -> list[dict[str, str]]:
    """The public keys (JWK) under which statements and roots are signed."""
    return [wiring.once(statement_signer).key(), wiring.once(root_signer).key()]


def statement_document(wiring: Wiring, account: "Account", currency: str, after_seq: int, limit: int) -> "Document":
    """A signed statement document; see `smallpeck.ledger.statement_document`."""
    from smallpeck.ledger.statement_document import issue

    return issue(
        account=account,
        currency=currency,
        after_seq=after_seq,
        limit=limit,
        now_ms=wiring.clock.now_ms(),
        ports=wiring.once(proof_ports),
    )


def root_of_day(wiring: Wiring, day: str | None) -> "Document":
    """The root of a day, or the newest; raises RootNotFound."""
    roots = wiring.once(root_store)
    fact = roots.newest() if day is None else roots.of_day(day)
    if fact is None:
        raise RootNotFound
    return roots.get(fact.number)
