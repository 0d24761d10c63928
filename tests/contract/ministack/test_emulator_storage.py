"""S3, KMS and Secrets Manager: uploads that bind, versions, envelope keys, signatures."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.ministack.lab import Lab


def _post(lab: Lab, form: dict[str, Any], body: bytes, **changed: str) -> int:
    fields = form["fields"] | changed
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    parts.append('--edge\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n')
    data = "".join(parts).encode() + body + b"\r\n--edge--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=edge"}
    return lab.ask(form["url"], method="POST", body=data, headers=headers).status


def test_a_presigned_upload_binds_size_and_place(lab: Lab) -> None:
    s3, bucket = lab.client("s3"), lab.bucket()
    form = s3.generate_presigned_post(
        bucket,
        "uploads/r1/${filename}",
        Conditions=[["starts-with", "$key", "uploads/r1/"], ["content-length-range", 1, 100]],
        ExpiresIn=600,
    )
    assert _post(lab, form, b"x" * 100) == 204
    assert s3.head_object(Bucket=bucket, Key="uploads/r1/a.csv")["ContentLength"] == 100
    assert _post(lab, form, b"x" * 101) == 400
    assert _post(lab, form, b"") == 400
    assert _post(lab, form, b"x", key="inbox/r2/a.csv") == 403
    assert _post(lab, form, b"x", policy="e30=") in (400, 403)


def test_an_expired_upload_is_refused(lab: Lab) -> None:
    form = lab.client("s3").generate_presigned_post(lab.bucket(), "a", ExpiresIn=-1)
    assert _post(lab, form, b"x") == 403


def test_an_object_is_read_by_version(lab: Lab) -> None:
    s3, bucket = lab.client("s3"), lab.bucket()
    versions = [s3.put_object(Bucket=bucket, Key="a", Body=body)["VersionId"] for body in (b"one", b"two")]
    read = [s3.get_object(Bucket=bucket, Key="a", VersionId=version)["Body"].read() for version in versions]
    assert read == [b"one", b"two"]


def test_a_presigned_download_works(lab: Lab) -> None:
    s3, bucket = lab.client("s3"), lab.bucket()
    s3.put_object(Bucket=bucket, Key="results/a.csv", Body=b"x")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "results/a.csv"})
    assert lab.ask(url).body == b"x"


def test_ranges_multipart_and_conditional_writes(lab: Lab) -> None:
    s3, bucket = lab.client("s3"), lab.bucket()
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    bodies = [b"a" * 5 * 1024 * 1024, b"b"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in enumerate(bodies, start=1)
    ]
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="big", Range="bytes=-2")["Body"].read() == b"ab"
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="big", Body=b"x", IfNoneMatch="*")


def test_envelope_keys_are_bound_to_their_context(lab: Lab) -> None:
    kms = lab.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext={"person": "p1"})
    assert len(made["Plaintext"]) == 32
    opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"person": "p1"})
    assert opened["Plaintext"] == made["Plaintext"]
    with pytest.raises(ClientError, match="InvalidCiphertext"):
        kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"person": "p2"})


def test_a_signature_and_a_code_are_verified(lab: Lab) -> None:
    kms = lab.client("kms")
    signer = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
    asked = {"KeyId": signer, "SigningAlgorithm": "ECDSA_SHA_256", "MessageType": "RAW"}
    signature = kms.sign(Message=b"entry", **asked)["Signature"]
    assert kms.verify(Message=b"entry", Signature=signature, **asked)["SignatureValid"]
    with pytest.raises(ClientError, match="KMSInvalidSignature"):
        kms.verify(Message=b"other", Signature=signature, **asked)
    coder = kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["KeyId"]
    code = kms.generate_mac(KeyId=coder, Message=b"cursor", MacAlgorithm="HMAC_SHA_256")["Mac"]
    assert kms.verify_mac(KeyId=coder, Message=b"cursor", MacAlgorithm="HMAC_SHA_256", Mac=code)["MacValid"]


def test_a_secret_has_versions(lab: Lab) -> None:
    secrets, name = lab.client("secretsmanager"), lab.name("secret")
    secrets.create_secret(Name=name, SecretString="one")
    secrets.put_secret_value(SecretId=name, SecretString="two")
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "two"
    assert secrets.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "one"
