"""Files in S3: uploads read by version, and files written whole or piece by piece."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from smallpeck.tasks.lines import FileRefused, Refusal

CHUNK_BYTES: Final = 256 * 1024
UPLOAD_PART_BYTES: Final = 8 * 1024 * 1024
# A version id that S3 could not have given is an invalid argument to it.
_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "InvalidArgument"})


class ObjectApi(Protocol):
    """The operations of boto3's S3 client that are used, with its argument names and answers."""

    def get_object(self, **arguments: Any) -> Any: ...
    def put_object(self, **arguments: Any) -> Any: ...
    def create_multipart_upload(self, **arguments: Any) -> Any: ...
    def upload_part(self, **arguments: Any) -> Any: ...
    def complete_multipart_upload(self, **arguments: Any) -> Any: ...
    def abort_multipart_upload(self, **arguments: Any) -> Any: ...


@dataclass
class ObjectWriter:
    """Writes one object piece by piece, holding at most one part of it. It appears with `close`, or never."""

    api: ObjectApi
    bucket: str
    key: str
    content_type: str = "application/octet-stream"
    _held: bytearray = field(default_factory=bytearray)
    _upload_id: str | None = None
    _parts: list[dict[str, Any]] = field(default_factory=list)

    def write(self, body: bytes) -> None:
        """Adds to the object."""
        self._held += body
        while len(self._held) >= UPLOAD_PART_BYTES:
            self._send(bytes(self._held[:UPLOAD_PART_BYTES]))
            del self._held[:UPLOAD_PART_BYTES]

    def close(self) -> str:
        """Makes the object, in place of an earlier one, and returns its key."""
        if self._upload_id is None:
            self.api.put_object(Bucket=self.bucket, Key=self.key, Body=bytes(self._held), ContentType=self.content_type)
            return self.key
        if self._held:
            self._send(bytes(self._held))
        self.api.complete_multipart_upload(
            Bucket=self.bucket, Key=self.key, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
        )
        return self.key

    def abandon(self) -> None:
        """Forgets what was written."""
        if self._upload_id is not None:
            self.api.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=self._upload_id)

    def _send(self, body: bytes) -> None:
        if self._upload_id is None:
            begun = self.api.create_multipart_upload(Bucket=self.bucket, Key=self.key, ContentType=self.content_type)
            self._upload_id = str(begun["UploadId"])
        number = len(self._parts) + 1
        sent = self.api.upload_part(
            Bucket=self.bucket, Key=self.key, UploadId=self._upload_id, PartNumber=number, Body=body
        )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})


@dataclass(frozen=True)
class Folder:
    """The files under one prefix of a bucket (`smallpeck.tasks.splitting.PartSink`)."""

    api: ObjectApi
    bucket: str
    prefix: str

    def put(self, name: str, body: bytes) -> str:
        """See `PartSink`."""
        key = f"{self.prefix}/{name}"
        self.api.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json")
        return key

    def writer(self, name: str) -> ObjectWriter:
        """See `PartSink`."""
        return ObjectWriter(self.api, self.bucket, f"{self.prefix}/{name}", "application/json")


@dataclass(frozen=True)
class ImportFiles:
    """What imports read and write (`smallpeck.tasks.importing.Files`)."""

    api: ObjectApi
    work_bucket: str

    def upload(self, bucket: str, key: str, version_id: str) -> Iterator[bytes]:
        """The bytes of one version of an uploaded object; raises FileRefused where that version is gone."""
        body = _version(self.api, bucket, key, version_id)
        with body:
            yield from body.iter_chunks(CHUNK_BYTES)

    def folder(self, batch_id: str, import_id: str) -> Folder:
        """Where the files of one import are kept."""
        return Folder(self.api, self.work_bucket, f"imports/{batch_id}/{import_id}")

    def part(self, key: str) -> bytes:
        """A part file."""
        answer = self.api.get_object(Bucket=self.work_bucket, Key=key)
        return bytes(answer["Body"].read())

    def beginning(self, key: str, most: int) -> bytes:
        """The first bytes of a file, `most` of them at most."""
        answer = self.api.get_object(Bucket=self.work_bucket, Key=key, Range=f"bytes=0-{most - 1}")
        return bytes(answer["Body"].read())


@dataclass(frozen=True)
class ResultFolder:
    """Where results go (`smallpeck.tasks.publishing.ResultFiles`)."""

    api: ObjectApi
    work_bucket: str

    def writer(self, key: str, content_type: str, /) -> ObjectWriter:
        """See `ResultFiles`."""
        return ObjectWriter(self.api, self.work_bucket, key, content_type)


@dataclass(frozen=True)
class InboxFiles:
    """Specs in requesters' inboxes, and the reports beside them."""

    api: ObjectApi

    def spec(self, bucket: str, key: str, version_id: str, *, most: int) -> bytes:
        """One version of a spec, of one larger than `most` its first `most + 1` bytes; raises FileRefused."""
        body = _version(self.api, bucket, key, version_id)
        with body:
            return bytes(body.read(most + 1))

    def report(self, bucket: str, key: str, document: Mapping[str, Any]) -> None:
        """Puts a report in the place of an earlier one."""
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        self.api.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/json")


def _version(api: ObjectApi, bucket: str, key: str, version_id: str) -> Any:
    try:
        return api.get_object(Bucket=bucket, Key=key, VersionId=version_id)["Body"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
        raise FileRefused(Refusal.FILE_GONE, "there is no such version of the file (any more)") from error
