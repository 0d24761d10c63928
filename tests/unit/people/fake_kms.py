"""A KMS that wraps data keys as KMS does: what it wrapped opens only under the same encryption context."""

import hashlib
import json
from typing import Any

from botocore.exceptions import ClientError


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
