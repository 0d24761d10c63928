"""A KMS that wraps data keys as KMS does, each under its encryption context, and signs with keys on P-256."""

import hashlib
import json
from typing import Any

from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils


class FakeKms:
    def __init__(self) -> None:
        self.made = 0
        self.unwrapped = 0

    def generate_data_key(self, **arguments: Any) -> Any:
        assert arguments.keys() == {"KeyId", "KeySpec", "EncryptionContext"}
        assert arguments["KeySpec"] == "AES_256"
        self.made += 1
        plain = hashlib.sha256(f"{arguments['KeyId']} {self.made}".encode()).digest()
        wrapped = json.dumps([arguments["KeyId"], arguments["EncryptionContext"], plain.hex()]).encode()
        return {"Plaintext": plain, "CiphertextBlob": wrapped}

    def decrypt(self, **arguments: Any) -> Any:
        key_id, context, plain = json.loads(arguments["CiphertextBlob"])
        if (key_id, context) != (arguments["KeyId"], arguments["EncryptionContext"]):
            raise ClientError({"Error": {"Code": "InvalidCiphertextException"}}, "Decrypt")
        self.unwrapped += 1
        return {"Plaintext": bytes.fromhex(plain)}

    def get_public_key(self, **arguments: Any) -> Any:
        assert arguments.keys() == {"KeyId"}
        public = private_key(arguments["KeyId"]).public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return {"PublicKey": public.public_bytes(serialization.Encoding.DER, form)}

    def sign(self, **arguments: Any) -> Any:
        assert arguments.keys() == {"KeyId", "Message", "MessageType", "SigningAlgorithm"}
        assert (arguments["MessageType"], arguments["SigningAlgorithm"]) == ("DIGEST", "ECDSA_SHA_256")
        algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
        return {"Signature": private_key(arguments["KeyId"]).sign(arguments["Message"], algorithm)}


def private_key(key_id: str) -> ec.EllipticCurvePrivateKey:
    """The key pair of an asymmetric key on P-256: the same for the same id."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(key_id.encode()).digest(), "big") >> 8, ec.SECP256R1())
