"""Buckets and whole objects of the in-memory S3: versions, ranges, conditions, listing."""

from __future__ import annotations

import base64
import hashlib
import io
from bisect import bisect_right, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from botocore.response import StreamingBody

from tests.aws.client import Client, Params, Response
from tests.aws.clock import Clock
from tests.aws.errors import Rejection
from tests.aws.faults import Faults

_HEADERS = ("ContentType", "ContentEncoding", "ContentDisposition", "CacheControl", "ServerSideEncryption")


@dataclass(slots=True)
class Version:
    """One version of an object; `data` None marks a deletion."""

    id: str
    data: bytes | None
    etag: str
    modified: datetime
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Bucket:
    """A bucket: versions by key (oldest first) and the keys in order."""

    name: str
    versioned: bool = False
    versions: dict[str, list[Version]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def current(self, key: str) -> Version | None:
        """The newest version of a key, or None when there is none or it is a deletion."""
        versions = self.versions.get(key)
        return versions[-1] if versions and versions[-1].data is not None else None

    def add(self, key: str, version: Version) -> None:
        """Append a version; without versioning it replaces the only one."""
        if key not in self.versions:
            self.versions[key] = []
            insort(self.keys, key)
        if not self.versioned:
            self.versions[key].clear()
        self.versions[key].append(version)

    def drop(self, key: str) -> None:
        """Forget a key with all of its versions."""
        if self.versions.pop(key, None) is not None:
            self.keys.remove(key)


class Objects(Client):
    """Buckets and whole objects; `S3` adds uploads in parts and signed addresses."""

    service = "s3"
    pageable: ClassVar = {"list_objects_v2": ("ContinuationToken", "NextContinuationToken")}

    def __init__(self, clock: Clock, faults: Faults, *, validate: bool = True) -> None:
        super().__init__(clock, faults, validate=validate)
        self._buckets: dict[str, Bucket] = {}
        self._versions_made = 0

    def bucket(self, name: str) -> Bucket:
        """The bucket of a name; NoSuchBucket when there is none."""
        bucket = self._buckets.get(name)
        if bucket is None:
            raise Rejection("NoSuchBucket", "The specified bucket does not exist", 404, BucketName=name)
        return bucket

    # --- buckets

    def create_bucket(self, **params: Any) -> Response:
        """Create a bucket; BucketAlreadyOwnedByYou when it exists."""
        return self.invoke("CreateBucket", params, self._create_bucket)

    def _create_bucket(self, params: Params) -> Response:
        name = params["Bucket"]
        if name in self._buckets:
            message = "Your previous request to create the named bucket succeeded and you already own it."
            raise Rejection("BucketAlreadyOwnedByYou", message, 409)
        self._buckets[name] = Bucket(name)
        return {"Location": f"/{name}"}

    def put_bucket_versioning(self, **params: Any) -> Response:
        """Switch versions on; suspending is not supported (NotImplemented)."""
        return self.invoke("PutBucketVersioning", params, self._put_versioning)

    def _put_versioning(self, params: Params) -> Response:
        if params["VersioningConfiguration"].get("Status") != "Enabled":
            raise Rejection("NotImplemented", "Only enabling versions is supported", 501)
        self.bucket(params["Bucket"]).versioned = True
        return {}

    # --- writing

    def put_object(self, **params: Any) -> Response:
        """Write an object (bytes, text or a file). `IfNoneMatch="*"` and `IfMatch` raise
        PreconditionFailed.
        """
        return self.invoke("PutObject", params, self._put_object)

    def _put_object(self, params: Params) -> Response:
        bucket = self.bucket(params["Bucket"])
        data = content(params.get("Body", b""))
        expected = params.get("ContentMD5")
        digest = hashlib.md5(data, usedforsecurity=False)
        if expected is not None and base64.b64encode(digest.digest()).decode() != expected:
            raise Rejection("BadDigest", "The Content-MD5 you specified did not match what we received.")
        return self.store(bucket, params["Key"], data, f'"{digest.hexdigest()}"', params)

    def store(self, bucket: Bucket, key: str, data: bytes, etag: str, params: Mapping[str, Any]) -> Response:
        """Add a version after checking the conditions of the request."""
        current = bucket.current(key)
        if params.get("IfNoneMatch") == "*" and current is not None:
            raise _precondition("If-None-Match")
        if "IfMatch" in params:
            if current is None:
                raise _no_key(key)
            if current.etag.strip('"') != params["IfMatch"].strip('"'):
                raise _precondition("If-Match")
        headers = {name: params[name] for name in _HEADERS if name in params}
        version = Version(self._version_id(key), data, etag, self.clock.datetime(), headers)
        version.metadata = dict(params.get("Metadata", {}))
        bucket.add(key, version)
        return {"ETag": etag, **({"VersionId": version.id} if bucket.versioned else {})}

    def _version_id(self, key: str) -> str:
        self._versions_made += 1
        return hashlib.sha256(f"{key}/{self._versions_made}".encode()).hexdigest()[:32]

    def copy_object(self, **params: Any) -> Response:
        """Copy an object (or one version of it) with its metadata."""
        source = params.get("CopySource")
        if isinstance(source, Mapping):
            version = f"?versionId={source['VersionId']}" if "VersionId" in source else ""
            params["CopySource"] = f"{source['Bucket']}/{quote(source['Key'])}{version}"
        return self.invoke("CopyObject", params, self._copy_object)

    def _copy_object(self, params: Params) -> Response:
        path, _, version_id = params["CopySource"].partition("?versionId=")
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        wanted = {"VersionId": version_id} if version_id else {}
        version = self._find({"Bucket": bucket, "Key": key, **wanted})
        headers = {**version.headers, "Metadata": version.metadata}
        if params.get("MetadataDirective") == "REPLACE":
            headers = dict(params)
        answer = self.store(self.bucket(params["Bucket"]), params["Key"], version.data or b"", version.etag, headers)
        result = {"ETag": answer.pop("ETag"), "LastModified": self.clock.datetime()}
        return {"CopyObjectResult": result, **answer}

    def delete_object(self, **params: Any) -> Response:
        """Delete an object: with versions a marker is added, or with `VersionId` that version removed."""
        return self.invoke("DeleteObject", params, self._delete_object)

    def _delete_object(self, params: Params) -> Response:
        bucket, key = self.bucket(params["Bucket"]), params["Key"]
        versions = bucket.versions.get(key, [])
        if "VersionId" in params:
            gone = [version for version in versions if version.id == params["VersionId"]]
            versions[:] = [version for version in versions if version.id != params["VersionId"]]
            if not versions:
                bucket.drop(key)
            marker = {"DeleteMarker": True} if gone and gone[0].data is None else {}
            return {"VersionId": params["VersionId"], **marker}
        if not bucket.versioned:
            bucket.drop(key)
            return {}
        marker_version = Version(self._version_id(key), None, "", self.clock.datetime())
        bucket.add(key, marker_version)
        return {"DeleteMarker": True, "VersionId": marker_version.id}

    def delete_objects(self, **params: Any) -> Response:
        """Delete up to 1,000 objects."""
        return self.invoke("DeleteObjects", params, self._delete_objects)

    def _delete_objects(self, params: Params) -> Response:
        deleted = []
        for entry in params["Delete"]["Objects"]:
            answer = self._delete_object({"Bucket": params["Bucket"], **entry})
            made = answer.get("DeleteMarker") and "VersionId" not in entry
            marker = {"DeleteMarker": True, "DeleteMarkerVersionId": answer["VersionId"]} if made else {}
            deleted.append({**entry, **marker})
        return {} if params["Delete"].get("Quiet") else {"Deleted": deleted}

    # --- reading

    def get_object(self, **params: Any) -> Response:
        """Read an object, one version (`VersionId`) or a `Range`; Body is botocore's own StreamingBody."""
        return self.invoke("GetObject", params, self._get_object)

    def _get_object(self, params: Params) -> Response:
        version = self._find(params)
        data = version.data or b""
        answer = self._head(params, version)
        if "Range" in params:
            first, last = byte_range(params["Range"], len(data))
            answer["ContentRange"] = f"bytes {first}-{last}/{len(data)}"
            data = data[first : last + 1]
            answer["ContentLength"] = len(data)
        answer["Body"] = StreamingBody(io.BytesIO(data), len(data))
        return answer

    def head_object(self, **params: Any) -> Response:
        """Length, ETag and metadata; an absent object is a `404`, as HEAD has no body to say more."""
        return self.invoke("HeadObject", params, self._head_object)

    def _head_object(self, params: Params) -> Response:
        try:
            return self._head(params, self._find(params))
        except Rejection as refused:
            if refused.status == 404:
                raise Rejection("404", "Not Found", 404) from None
            raise

    def _head(self, params: Mapping[str, Any], version: Version) -> Response:
        answer: Response = {
            "ContentLength": len(version.data or b""),
            "ETag": version.etag,
            "LastModified": version.modified,
            "ContentType": "binary/octet-stream",
            "AcceptRanges": "bytes",
            "Metadata": dict(version.metadata),
            **version.headers,
        }
        if self.bucket(params["Bucket"]).versioned:
            answer["VersionId"] = version.id
        return answer

    def _find(self, params: Mapping[str, Any]) -> Version:
        bucket, key = self.bucket(params["Bucket"]), params["Key"]
        wanted = params.get("VersionId")
        if wanted is None:
            current = bucket.current(key)
            if current is None:
                raise _no_key(key)
            return current
        for version in bucket.versions.get(key, ()):
            if version.id == wanted:
                if version.data is None:
                    raise Rejection(
                        "MethodNotAllowed", "The specified method is not allowed against this resource.", 405
                    )
                return version
        raise Rejection("NoSuchVersion", "The specified version does not exist.", 404, VersionId=wanted)

    def list_objects_v2(self, **params: Any) -> Response:
        """Keys in order, up to 1,000 at a time, with Prefix, Delimiter, StartAfter and ContinuationToken."""
        return self.invoke("ListObjectsV2", params, self._list_objects)

    def _list_objects(self, params: Params) -> Response:
        bucket = self.bucket(params["Bucket"])
        prefix, delimiter = params.get("Prefix", ""), params.get("Delimiter", "")
        limit = min(params.get("MaxKeys", 1000), 1000)
        after = params.get("StartAfter", "")
        if "ContinuationToken" in params:
            after = base64.urlsafe_b64decode(params["ContinuationToken"]).decode()
        found: list[dict[str, Any]] = []
        groups: list[str] = []
        last, truncated = after, False
        at = bisect_right(bucket.keys, after) if after >= prefix else bisect_right(bucket.keys, prefix) - 1
        for key in bucket.keys[max(0, at) :]:
            if not key.startswith(prefix):
                if key > prefix:
                    break
                continue
            current = bucket.current(key)
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            group = key[: cut + len(delimiter)] if cut >= 0 else ""
            if current is None or key <= after or (group and (group in groups[-1:] or group == after[: len(group)])):
                continue
            if len(found) + len(groups) >= limit:
                truncated = True
                break
            last = key
            if group:
                groups.append(group)
            else:
                found.append(
                    {
                        "Key": key,
                        "LastModified": current.modified,
                        "ETag": current.etag,
                        "Size": len(current.data or b""),
                        "StorageClass": "STANDARD",
                    }
                )
        answer: Response = {
            "Name": bucket.name,
            "Prefix": prefix,
            "MaxKeys": limit,
            "KeyCount": len(found) + len(groups),
            "IsTruncated": truncated,
        }
        if found:
            answer["Contents"] = found
        if groups:
            answer["CommonPrefixes"] = [{"Prefix": group} for group in groups]
        if truncated:
            answer["NextContinuationToken"] = base64.urlsafe_b64encode(last.encode()).decode()
        return answer


def content(body: Any) -> bytes:
    """The bytes of a Body parameter: bytes, text or a readable file."""
    if hasattr(body, "read"):
        body = body.read()
    return body.encode() if isinstance(body, str) else bytes(body)


def byte_range(header: str, length: int) -> tuple[int, int]:
    """First and last byte of a Range header (`bytes=0-9`, `bytes=5-`, `bytes=-3`); InvalidRange beyond the
    end.
    """
    first_text, _, last_text = header.removeprefix("bytes=").partition("-")
    if first_text:
        first = int(first_text)
        last = min(int(last_text), length - 1) if last_text else length - 1
    else:
        first, last = max(0, length - int(last_text)), length - 1
    if first >= length or first > last:
        raise Rejection("InvalidRange", "The requested range is not satisfiable", 416)
    return first, last


def _no_key(key: str) -> Rejection:
    return Rejection("NoSuchKey", "The specified key does not exist.", 404, Key=key)


def _precondition(condition: str) -> Rejection:
    message = "At least one of the pre-conditions you specified did not hold"
    return Rejection("PreconditionFailed", message, 412, Condition=condition)
