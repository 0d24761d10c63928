"""The contract of S3."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.contract.aws.conftest import Pair
from tests.contract.aws.steps import Answer, Scenario, Step, compare, scenarios

Json = dict[str, Any]
FAILED = "PreconditionFailed"


def about(operation: str, key: str | None = None, bucket: str = "plain", **more: Any) -> Step:
    noted = {name: more.pop(name) for name in ("raises", "shows", "moto") if name in more}
    return Step(operation, {"Bucket": bucket, **({"Key": key} if key else {}), **more}, **noted)


def put(key: str, body: Any = b"hello", **more: Any) -> Step:
    return about("put_object", key, Body=body, **more)


def get(key: str, **more: Any) -> Step:
    return about("get_object", key, **more)


def versioned(operation: str, step: int, **about_step: Any) -> Step:
    """A call about the version that an earlier step made."""

    def params(so_far: list[Answer]) -> Json:
        return {"Bucket": "kept", "Key": "k", "VersionId": so_far[step]["VersionId"]}

    return Step(operation, params, **about_step)


OBJECTS = [
    Scenario(
        "put, get, head, delete",
        [
            put("a/b.txt", b"hello", ContentType="text/plain", Metadata={"who": "me"}),
            get("a/b.txt"),
            about("head_object", "a/b.txt"),
            Step("put_object", lambda _: {"Bucket": "plain", "Key": "a/b.txt", "Body": io.BytesIO(b"again")}),
            put("a/b.txt", "text"),
            put("empty", b""),
            get("empty"),
            about("delete_object", "a/b.txt"),
            about("delete_object", "a/b.txt"),
            get("a/b.txt", raises="NoSuchKey"),
            about("head_object", "a/b.txt", raises="404"),
            get("x", bucket="nowhere", raises="NoSuchBucket"),
            put("x", bucket="nowhere", raises="NoSuchBucket"),
            about("list_objects_v2", bucket="nowhere", raises="NoSuchBucket"),
            about(
                "create_bucket",
                CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
                raises="BucketAlreadyOwnedByYou",
            ),
        ],
    ),
    Scenario(
        "ranges",
        [
            put("k", b"0123456789"),
            get("k", Range="bytes=0-3"),
            get("k", Range="bytes=7-"),
            get("k", Range="bytes=-2"),
            get("k", Range="bytes=5-99"),
            get("k", Range="bytes=10-", raises="InvalidRange"),
        ],
    ),
    Scenario(
        "conditions",
        [
            put("k", IfNoneMatch="*"),
            put("k", b"other", IfNoneMatch="*", raises=FAILED),
            put("k", b"other", IfMatch='"5d41402abc4b2a76b9719d911017c592"'),
            put("k", b"third", IfMatch='"5d41402abc4b2a76b9719d911017c592"', raises=FAILED),
            put("absent", b"x", IfMatch='"5d41402abc4b2a76b9719d911017c592"', raises="NoSuchKey"),
            get("k"),
        ],
    ),
    Scenario(
        "versions",
        [
            put("k", b"one", bucket="kept"),
            put("k", b"two", bucket="kept"),
            get("k", bucket="kept"),
            versioned("get_object", 0),
            versioned("head_object", 0),
            about("delete_object", "k", bucket="kept"),
            get("k", bucket="kept", raises="NoSuchKey"),
            versioned("get_object", 1),
            versioned("get_object", 5, raises="MethodNotAllowed", moto="has another code for deletions"),
            about("list_objects_v2", bucket="kept"),
            versioned("delete_object", 5, shows={"DeleteMarker": True}, moto="does not say that it was a marker"),
            get("k", bucket="kept"),
            versioned("delete_object", 1),
            get("k", bucket="kept"),
            get("k", bucket="kept", VersionId="0" * 32, raises="NoSuchVersion"),
        ],
    ),
    Scenario(
        "listing",
        [
            about("list_objects_v2"),
            *[put(key) for key in ("b/1", "b/2", "a", "c/x/1", "c/y", "b", "d")],
            about("list_objects_v2"),
            about("list_objects_v2", Prefix="b/"),
            about("list_objects_v2", Prefix="b"),
            about("list_objects_v2", Delimiter="/"),
            about("list_objects_v2", Delimiter="/", Prefix="c/"),
            about("list_objects_v2", StartAfter="b/1"),
            about("list_objects_v2", Prefix="none"),
            about("list_objects_v2", MaxKeys=3),
        ],
    ),
    Scenario(
        "copies and many deletions",
        [
            put("k", b"body", ContentType="text/csv", Metadata={"a": "b"}),
            about("copy_object", "copy", CopySource={"Bucket": "plain", "Key": "k"}),
            get("copy"),
            about("copy_object", "other", bucket="kept", CopySource="plain/k"),
            get("other", bucket="kept"),
            about("copy_object", "copy", CopySource="plain/none", raises="NoSuchKey"),
            about("delete_objects", Delete={"Objects": [{"Key": "k"}, {"Key": "none"}]}),
            about(
                "delete_objects",
                Delete={"Objects": [{"Key": "copy"}], "Quiet": True},
                shows={},
                moto="is never quiet",
            ),
            about("list_objects_v2"),
        ],
    ),
]


@scenarios(*OBJECTS)
def test_objects(scenario: Scenario, s3: Pair) -> None:
    compare(scenario, *s3)


PART = b"x" * (5 * 1024 * 1024)


def part(number: int, body: bytes, **about_step: Any) -> Step:
    def params(so_far: list[Answer]) -> Json:
        upload = so_far[0]["UploadId"]
        return {"Bucket": "plain", "Key": "k", "UploadId": upload, "PartNumber": number, "Body": body}

    return Step("upload_part", params, **about_step)


def complete(*steps: tuple[int, int], etag: str | None = None, **about_step: Any) -> Step:
    """Complete with (part number, step that sent it)."""

    def params(so_far: list[Answer]) -> Json:
        parts = [{"PartNumber": number, "ETag": etag or so_far[step]["ETag"]} for number, step in steps]
        upload = so_far[0]["UploadId"]
        return {"Bucket": "plain", "Key": "k", "UploadId": upload, "MultipartUpload": {"Parts": parts}}

    return Step("complete_multipart_upload", params, **about_step)


def with_upload(operation: str, **about_step: Any) -> Step:
    def params(so_far: list[Answer]) -> Json:
        return {"Bucket": "plain", "Key": "k", "UploadId": so_far[0]["UploadId"]}

    return Step(operation, params, **about_step)


UPLOADS = [
    Scenario(
        "parts",
        [
            about("create_multipart_upload", "k", ContentType="text/csv"),
            part(2, b"end"),
            part(1, PART),
            part(1, PART),
            get("k", raises="NoSuchKey"),
            complete((2, 1), (1, 2), raises="InvalidPartOrder", moto="looks at sizes first"),
            complete((1, 2), (3, 1), raises="InvalidPart"),
            complete((1, 2), etag='"00000000000000000000000000000000"', raises="InvalidPart"),
            complete(
                (1, 2),
                (2, 1),
                shows={"ETag": '"6d7c5fbffce55b2eb513ca823d7235b2-2"'},
                moto="invents a version",
            ),
            about("head_object", "k"),
            get("k", Range="bytes=-5"),
            complete((1, 2), raises="NoSuchUpload", moto="completes again"),
        ],
    ),
    Scenario(
        "small parts",
        [
            about("create_multipart_upload", "k"),
            part(1, b"small"),
            part(2, b"end"),
            complete((1, 1), (2, 2), raises="EntityTooSmall"),
        ],
    ),
    Scenario(
        "abort",
        [
            about("create_multipart_upload", "k"),
            part(1, b"small"),
            with_upload("abort_multipart_upload"),
            part(1, b"small", raises="NoSuchUpload", moto="breaks"),
            with_upload("abort_multipart_upload", raises="NoSuchUpload"),
        ],
    ),
]


@scenarios(*UPLOADS)
def test_uploads(scenario: Scenario, s3: Pair) -> None:
    compare(scenario, *s3)


@pytest.mark.parametrize("delimiter", ["", "/"])
def test_a_listing_goes_on_where_it_stopped(delimiter: str, s3: Pair) -> None:
    keys = [f"{letter}/{number}" for letter in "abc" for number in range(4)] + ["top"]
    for client in s3[:2]:
        for key in keys:
            client.put_object(Bucket="plain", Key=key, Body=b"")
        found: list[str] = []
        pages = 0
        more: Json = {"Delimiter": delimiter} if delimiter else {}
        for answer in client.get_paginator("list_objects_v2").paginate(Bucket="plain", MaxKeys=2, **more):
            pages += 1
            found += [entry["Key"] for entry in answer.get("Contents", [])]
            found += [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]
        assert sorted(found) == (["a/", "b/", "c/", "top"] if delimiter else keys)
        assert pages == (2 if delimiter else 7)


def test_bodies_stream(s3: Pair) -> None:
    for client in s3[:2]:
        client.put_object(Bucket="plain", Key="k", Body=b"one\ntwo\nthree")
        assert list(client.get_object(Bucket="plain", Key="k")["Body"].iter_lines()) == [
            b"one",
            b"two",
            b"three",
        ]
        assert list(client.get_object(Bucket="plain", Key="k")["Body"].iter_chunks(5)) == [
            b"one\nt",
            b"wo\nth",
            b"ree",
        ]
        body = client.get_object(Bucket="plain", Key="k")["Body"]
        assert (body.read(3), body.read(), body.read()) == (b"one", b"\ntwo\nthree", b"")
        body.close()
