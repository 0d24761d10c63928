"""The bank mailbox as a prefix of a bucket; see `smallpeck.payouts.rails.mailbox`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from smallpeck.payouts.rails.mailbox import Folder, Listed, MailboxFailed
from smallpeck.payouts.rails.safe_xml import MAX_BYTES

_ABSENT = frozenset({"NoSuchKey", "404"})
_PRESENT = frozenset({"PreconditionFailed", "412"})
_CONTENT_TYPES = {".xml": "application/xml", ".json": "application/json"}


class ObjectApi(Protocol):
    """The operations of boto3's S3 client that are used, with its argument names and answers."""

    def get_object(self, **arguments: Any) -> Any: ...
    def put_object(self, **arguments: Any) -> Any: ...
    def list_objects_v2(self, **arguments: Any) -> Any: ...


@dataclass(frozen=True)
class S3Mailbox:
    """Files under `<prefix>/<folder>/` of a bucket, encrypted under the KMS key `key_id`, or where it is None by S3."""

    api: ObjectApi = field(repr=False)
    bucket: str
    prefix: str
    key_id: str | None = None

    def put(self, folder: Folder, name: str, content: bytes) -> bool:
        """See `Mailbox`."""
        try:
            self._write(folder, name, content, IfNoneMatch="*")
        except ClientError as error:
            if _code(error) in _PRESENT:
                return False
            raise MailboxFailed(_code(error)) from error
        except BotoCoreError as error:
            raise MailboxFailed(type(error).__name__) from error
        return True

    def replace(self, folder: Folder, name: str, content: bytes) -> None:
        """See `Mailbox`."""
        try:
            self._write(folder, name, content)
        except (ClientError, BotoCoreError) as error:
            raise MailboxFailed(_code(error)) from error

    def get(self, folder: Folder, name: str) -> bytes | None:
        """See `Mailbox`. Of a file that is larger than any that is read, enough to see that."""
        try:
            body = self.api.get_object(Bucket=self.bucket, Key=self._key(folder, name))["Body"]
            with body:
                return bytes(body.read(MAX_BYTES + 1))
        except ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise MailboxFailed(_code(error)) from error
        except BotoCoreError as error:
            raise MailboxFailed(type(error).__name__) from error

    def listed(self, folder: Folder, *, beginning: str = "", since_ms: int = 0) -> Sequence[Listed]:
        """See `Mailbox`."""
        start = self._key(folder, "")
        found: list[Listed] = []
        more: dict[str, str] = {}
        while True:
            try:
                answer = self.api.list_objects_v2(Bucket=self.bucket, Prefix=start + beginning, **more)
            except (ClientError, BotoCoreError) as error:
                raise MailboxFailed(_code(error)) from error
            for one in answer.get("Contents", ()):
                at_ms = int(one["LastModified"].timestamp() * 1000)
                if at_ms >= since_ms and one["Size"]:
                    found.append(Listed(one["Key"].removeprefix(start), one["ETag"], at_ms, one["Size"]))
            if not answer.get("IsTruncated"):
                return sorted(found, key=lambda one: (one.at_ms, one.name))
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def _write(self, folder: Folder, name: str, content: bytes, **condition: str) -> None:
        encryption = (
            {"ServerSideEncryption": "AES256"}
            if self.key_id is None
            else {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.key_id}
        )
        content_type = _CONTENT_TYPES[name[name.rindex(".") :]]
        self.api.put_object(
            Bucket=self.bucket,
            Key=self._key(folder, name),
            Body=content,
            ContentType=content_type,
            **encryption,
            **condition,
        )

    def _key(self, folder: Folder, name: str) -> str:
        return f"{self.prefix}/{folder}/{name}"


def s3_mailbox(bucket: str, prefix: str, key_id: str | None) -> S3Mailbox:
    """The mailbox under a prefix of a bucket, with a client of its own."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=8, retries={"mode": "standard", "max_attempts": 4})
    client: Any = boto3.client("s3", config=config)
    return S3Mailbox(client, bucket, prefix, key_id)


def _code(error: ClientError | BotoCoreError) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "unknown"))
    return type(error).__name__
