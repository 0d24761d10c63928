"""Sizes, digests and system attributes of SQS messages."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

from tests.aws.queues import Message


def system_attributes(message: Message) -> dict[str, str]:
    """The attributes that SQS adds to a delivery; times in milliseconds."""
    return {
        "ApproximateReceiveCount": str(message.receive_count),
        "SentTimestamp": str(int(message.sent * 1000)),
        "SenderId": "AIDAEXAMPLE",
        "ApproximateFirstReceiveTimestamp": str(int(message.first_received * 1000)),
    }


def message_bytes(body: str, attributes: Mapping[str, Any]) -> int:
    """The size of a message with its attributes, which the limit of 1 MiB is about."""
    size = len(body.encode())
    for name, value in attributes.items():
        content = value.get("StringValue", "").encode() or value.get("BinaryValue", b"")
        size += len(name.encode()) + len(value["DataType"]) + len(content)
    return size


def md5_of(data: bytes) -> str:
    """The MD5 of some bytes in hexadecimal."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def attributes_md5(attributes: Mapping[str, Any]) -> str:
    """The MD5OfMessageAttributes that SQS returns and SDKs check."""
    parts = bytearray()
    for name in sorted(attributes):
        value = attributes[name]
        binary = "BinaryValue" in value
        content = value["BinaryValue"] if binary else value["StringValue"].encode()
        for text in (name.encode(), value["DataType"].encode()):
            parts += struct.pack("!I", len(text)) + text
        parts += bytes([2 if binary else 1]) + struct.pack("!I", len(content)) + content
    return md5_of(bytes(parts))
