"""What a provider calls our payouts, as empty objects in S3 whose names say it; see `rails.circle.References`."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from smallpeck.kernel.errors import Unavailable
from smallpeck.kernel.ids import is_id

_LISTED = 2


class ReferenceApi(Protocol):
    """The operations of boto3's S3 client that are used, with its argument names and answers."""

    def put_object(self, **arguments: Any) -> Any: ...
    def list_objects_v2(self, **arguments: Any) -> Any: ...


class ReferenceFailed(Unavailable):
    """It is not certain that a reference was kept, or not known whose it is."""

    code = "reference_failed"


@dataclass(frozen=True)
class S3References:
    """Objects `<prefix>/<reference>/<payout>` of a bucket."""

    api: ReferenceApi = field(repr=False)
    bucket: str
    prefix: str

    def remember(self, reference: str, payout_id: str) -> None:
        """See `References`."""
        if not (is_id(reference) and is_id(payout_id)):
            raise ValueError("a reference and a payout are named by ids")
        try:
            self.api.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{reference}/{payout_id}", Body=b"")
        except (ClientError, BotoCoreError) as error:
            raise ReferenceFailed("what a payout is called was not kept") from error

    def payout_of(self, reference: str) -> str | None:
        """See `References`. One that stands for two payouts stands for none."""
        if not is_id(reference):
            return None
        start = f"{self.prefix}/{reference}/"
        try:
            found = self.api.list_objects_v2(Bucket=self.bucket, Prefix=start, MaxKeys=_LISTED).get("Contents", [])
        except (ClientError, BotoCoreError) as error:
            raise ReferenceFailed("it is not known whose payout this is") from error
        return str(found[0]["Key"]).removeprefix(start) if len(found) == 1 else None


def s3_references(bucket: str, prefix: str) -> S3References:
    """References under a prefix of a bucket, with a client of its own."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=8, retries={"mode": "standard", "max_attempts": 4})
    client: Any = boto3.client("s3", config=config)
    return S3References(client, bucket, prefix)
