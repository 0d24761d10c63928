"""An in-memory S3 with the shape of `boto3.client("s3")`: objects, uploads in parts, signed addresses."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tests.aws.client import REGION, Params, Response
from tests.aws.clock import Clock
from tests.aws.errors import Rejection
from tests.aws.faults import Faults
from tests.aws.objects import Objects, content


@dataclass(slots=True)
class _Upload:
    bucket: str
    key: str
    params: Params
    parts: dict[int, tuple[bytes, str]] = field(default_factory=dict)


class S3(Objects):
    """All of the in-memory S3. `min_part_bytes` is what every part but the last must have (5 MiB in AWS)."""

    def __init__(self, clock: Clock, faults: Faults, *, validate: bool = True) -> None:
        super().__init__(clock, faults, validate=validate)
        self.min_part_bytes = 5 * 1024 * 1024
        self._uploads: dict[str, _Upload] = {}
        self._uploads_made = 0

    def create_multipart_upload(self, **params: Any) -> Response:
        """Begin an upload in parts."""
        return self.invoke("CreateMultipartUpload", params, self._begin)

    def _begin(self, params: Params) -> Response:
        bucket = self.bucket(params["Bucket"])
        self._uploads_made += 1
        upload_id = f"upload-{self._uploads_made}"
        self._uploads[upload_id] = _Upload(bucket.name, params["Key"], params)
        return {"Bucket": bucket.name, "Key": params["Key"], "UploadId": upload_id}

    def upload_part(self, **params: Any) -> Response:
        """Send one part (1 to 10,000); sent again, it replaces the earlier one."""
        return self.invoke("UploadPart", params, self._part)

    def _part(self, params: Params) -> Response:
        if not 1 <= params["PartNumber"] <= 10_000:
            raise Rejection("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        data = content(params.get("Body", b""))
        etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        self._upload(params).parts[params["PartNumber"]] = (data, etag)
        return {"ETag": etag}

    def complete_multipart_upload(self, **params: Any) -> Response:
        """Join the listed parts; InvalidPart, InvalidPartOrder and EntityTooSmall as in AWS."""
        return self.invoke("CompleteMultipartUpload", params, self._complete)

    def _complete(self, params: Params) -> Response:
        upload = self._upload(params)
        listed = params.get("MultipartUpload", {}).get("Parts", [])
        numbers = [part["PartNumber"] for part in listed]
        if not numbers:
            raise Rejection("MalformedXML", "The XML you provided was not well-formed")
        if numbers != sorted(set(numbers)):
            raise Rejection("InvalidPartOrder", "The list of parts was not in ascending order.")
        for part in listed:
            stored = upload.parts.get(part["PartNumber"])
            if stored is None or stored[1].strip('"') != part["ETag"].strip('"'):
                raise Rejection("InvalidPart", "One or more of the specified parts could not be found.")
        parts = [upload.parts[number][0] for number in numbers]
        if any(len(part) < self.min_part_bytes for part in parts[:-1]):
            raise Rejection("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size.")
        digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
        etag = f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"'
        conditions: Params = {name: params[name] for name in ("IfNoneMatch", "IfMatch") if name in params}
        bucket = self.bucket(upload.bucket)
        answer = self.store(bucket, upload.key, b"".join(parts), etag, {**upload.params, **conditions})
        del self._uploads[params["UploadId"]]
        return {"Bucket": upload.bucket, "Key": upload.key, **answer}

    def abort_multipart_upload(self, **params: Any) -> Response:
        """Throw an unfinished upload away."""
        return self.invoke("AbortMultipartUpload", params, self._abort)

    def _abort(self, params: Params) -> Response:
        self._upload(params)
        del self._uploads[params["UploadId"]]
        return {}

    def _upload(self, params: Mapping[str, Any]) -> _Upload:
        upload = self._uploads.get(params["UploadId"])
        if upload is None or (upload.bucket, upload.key) != (params["Bucket"], params["Key"]):
            raise Rejection("NoSuchUpload", "The specified multipart upload does not exist.", 404)
        return upload

    def generate_presigned_url(
        self,
        ClientMethod: str,  # noqa: N803
        Params: Mapping[str, Any] | None = None,  # noqa: N803
        ExpiresIn: int = 3600,  # noqa: N803
        HttpMethod: str | None = None,  # noqa: N803
    ) -> str:
        """A stand-in for a signed address, the same for the same request and time; makes no call."""
        params = dict(Params or {})
        path = f"{params.pop('Bucket', '')}/{quote(str(params.pop('Key', '')))}"
        query = {name: str(value) for name, value in sorted(params.items())}
        expires = int(self.clock.now()) + ExpiresIn
        signature = hashlib.sha256(f"{ClientMethod} {HttpMethod} {path} {query} {expires}".encode()).hexdigest()
        query |= {"X-Amz-Expires": str(ExpiresIn), "X-Amz-Date": str(expires), "X-Amz-Signature": signature}
        return f"https://s3.{REGION}.amazonaws.com/{path}?{urlencode(query)}"

    def generate_presigned_post(
        self,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Fields: Mapping[str, str] | None = None,  # noqa: N803
        Conditions: list[Any] | None = None,  # noqa: N803
        ExpiresIn: int = 3600,  # noqa: N803
    ) -> dict[str, Any]:
        """A stand-in for a signed form: url and fields; the policy field holds the conditions, for tests to
        read.
        """
        expires = int(self.clock.now()) + ExpiresIn
        conditions = [*(Conditions or []), {"bucket": Bucket}, {"key": Key}]
        policy = base64.b64encode(repr({"expiration": expires, "conditions": conditions}).encode()).decode()
        fields = {**(Fields or {}), "key": Key, "policy": policy}
        fields["x-amz-signature"] = hashlib.sha256(policy.encode()).hexdigest()
        return {"url": f"https://{Bucket}.s3.{REGION}.amazonaws.com/", "fields": fields}
