"""Seals and signatures on the emulator: the same S3 and KMS calls as on AWS, and documents that hold."""

import pytest

from smallpeck.ledger import signatures
from smallpeck.ledger.seal_service import DamagedFile, SealFact
from smallpeck.ledger.seal_store import LISTS, HashedFiles, RootStore
from smallpeck.runtime.proving import KmsSigner
from smallpeck.table.client import Table
from tests.contract.ministack.lab import Lab


def test_a_key_in_kms_signs_what_its_public_half_verifies(lab: Lab) -> None:
    kms = lab.client("kms")
    arn = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    signer = KmsSigner(kms, arn, signatures.STATEMENT)
    for number in range(8):
        document = signatures.signed({"amount": number}, signer)
        signatures.check(document, [signer.key()], signatures.STATEMENT)
        with pytest.raises(signatures.BadSignature):
            signatures.check({**document, "amount": -1}, [signer.key()], signatures.STATEMENT)


def test_files_and_roots_are_put_once_and_come_back_as_they_were(lab: Lab) -> None:
    s3, bucket = lab.client("s3"), lab.bucket()
    files = HashedFiles(s3, bucket, LISTS)
    file = files.put(b"[]")
    assert files.put(b"[]") == file
    assert HashedFiles(s3, bucket, LISTS).get(file) == b"[]"
    with pytest.raises(DamagedFile):
        files.get("0" * 64)

    roots = RootStore(s3, bucket, Table(api=lab.client("dynamodb"), names={"platform": lab.table()}))
    assert roots.put(0, {"a": 1})
    assert not roots.put(0, {"a": 2})
    assert roots.get(0) == {"a": 1}


def test_days_are_remembered_once_and_in_order(lab: Lab) -> None:
    table = Table(api=lab.client("dynamodb"), names={"platform": lab.table()})
    roots = RootStore(lab.client("s3"), "none", table)
    assert (roots.newest(), roots.facts()) == (None, [])
    facts = [SealFact(f"2026-11-{day}", number, bytes([number]) * 32) for number, day in enumerate((20, 21, 23))]
    for fact in (facts[0], facts[1], facts[2], facts[1]):
        roots.remember(fact)
    roots.remember(SealFact(facts[2].day, 9, b"another"))
    assert roots.newest() == facts[2]
    assert roots.facts() == facts
    assert roots.facts(since="2026-11-22") == facts[2:]
