"""Copies: within and between buckets, directives, conditions, versions."""

import datetime

import pytest

from harness.clients import refused
from harness.data import MIB, some_bytes

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
FAR_AHEAD = datetime.datetime(2101, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def source(s3, bucket):
    """An object with metadata, as a copy source."""
    s3.put_object(
        Bucket=bucket,
        Key="source",
        Body=b"hello",
        ContentType="text/plain",
        CacheControl="no-cache",
        Metadata={"a": "1"},
    )
    return {"Bucket": bucket, "Key": "source"}


@pytest.mark.parametrize("size", [0, 5, 300_000, 6 * MIB])
def test_a_copy_has_the_same_bytes(s3, bucket, size):
    data = some_bytes(size)
    s3.put_object(Bucket=bucket, Key="a", Body=data)
    copied = s3.copy_object(Bucket=bucket, Key="b", CopySource=f"{bucket}/a")
    got = s3.get_object(Bucket=bucket, Key="b")
    assert got["Body"].read() == data
    assert copied["CopyObjectResult"]["ETag"] == got["ETag"]
    assert copied["CopyObjectResult"]["LastModified"]


def test_a_copy_into_another_bucket_outlives_its_source(s3, bucket, fresh_name, source):
    there = fresh_name()
    s3.create_bucket(Bucket=there)
    s3.copy_object(Bucket=there, Key="copy", CopySource=source)
    s3.delete_object(Bucket=bucket, Key="source")
    assert s3.get_object(Bucket=there, Key="copy")["Body"].read() == b"hello"


def test_a_copy_keeps_metadata_by_default(s3, bucket, source):
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, Metadata={"ignored": "x"})
    head = s3.head_object(Bucket=bucket, Key="copy")
    assert (head["Metadata"], head["ContentType"]) == ({"a": "1"}, "text/plain")
    assert head["CacheControl"] == "no-cache"


def test_a_copy_with_replace_takes_the_new_metadata(s3, bucket, source):
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
        ContentType="text/html",
    )
    head = s3.head_object(Bucket=bucket, Key="copy")
    assert (head["Metadata"], head["ContentType"]) == ({"b": "2"}, "text/html")
    assert "CacheControl" not in head


def test_a_copy_onto_itself_must_change_something(s3, bucket, source):
    with refused(400, "InvalidRequest"):
        s3.copy_object(Bucket=bucket, Key="source", CopySource=source)
    s3.copy_object(
        Bucket=bucket,
        Key="source",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
    )
    got = s3.get_object(Bucket=bucket, Key="source")
    assert (got["Body"].read(), got["Metadata"]) == (b"hello", {"b": "2"})


@pytest.mark.parametrize("key", ["with blank", "plus+and%25", "ünï/日本", "a?versionId=b", "tail/"])
def test_a_source_key_may_have_any_characters(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"odd")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"odd"


def test_a_missing_source_is_404(s3, bucket, fresh_name):
    with refused(404, "NoSuchKey"):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/missing")
    with refused(404, "NoSuchBucket"):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{fresh_name()}/missing")


def test_a_source_without_a_key_is_refused(s3, bucket):
    with refused(400, "InvalidArgument"):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=bucket)


def test_a_source_one_may_not_read_is_403(s3, s3_other, source, other_bucket):
    with refused(403, "AccessDenied"):
        s3_other.copy_object(Bucket=other_bucket, Key="copy", CopySource=source)
    with refused(404):
        s3_other.head_object(Bucket=other_bucket, Key="copy")


def test_a_target_one_may_not_write_is_403(s3, bucket, source, other_bucket):
    with refused(403, "AccessDenied"):
        s3.copy_object(Bucket=other_bucket, Key="copy", CopySource=source)


def test_conditions_on_the_source_that_hold(s3, bucket, source):
    etag = s3.head_object(**source)["ETag"]
    for condition in (
        {"CopySourceIfMatch": etag},
        {"CopySourceIfNoneMatch": '"other"'},
        {"CopySourceIfModifiedSince": LONG_AGO},
        {"CopySourceIfUnmodifiedSince": FAR_AHEAD},
    ):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, **condition)


@pytest.mark.parametrize("name", ["IfMatch", "IfNoneMatch", "IfUnmodifiedSince"])
def test_conditions_on_the_source_that_fail_are_412(s3, bucket, source, name):
    etag = s3.head_object(**source)["ETag"]
    value = {"IfMatch": '"other"', "IfNoneMatch": etag, "IfUnmodifiedSince": LONG_AGO}[name]
    with refused(412, "PreconditionFailed"):
        s3.copy_object(Bucket=bucket, Key="c", CopySource=source, **{f"CopySource{name}": value})
    with refused(404):
        s3.head_object(Bucket=bucket, Key="c")


def test_an_older_version_can_be_copied(s3, versioned):
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"first")["VersionId"]
    s3.put_object(Bucket=versioned, Key="k", Body=b"second")
    source = {"Bucket": versioned, "Key": "k", "VersionId": first}
    copied = s3.copy_object(Bucket=versioned, Key="k", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert copied["VersionId"] != first
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"first"


def test_a_delete_marker_cannot_be_copied(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"1")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused(404, "NoSuchKey"):
        s3.copy_object(Bucket=versioned, Key="c", CopySource=f"{versioned}/k")
    with refused(400, "InvalidRequest"):
        source = {"Bucket": versioned, "Key": "k", "VersionId": marker}
        s3.copy_object(Bucket=versioned, Key="c", CopySource=source)


def test_a_copy_of_a_multipart_object_reads_whole_after_its_source_is_gone(s3, bucket):
    parts = [some_bytes(5 * MIB, 1), some_bytes(1000, 2)]
    upload = {"Bucket": bucket, "Key": "big"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    done = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=part, **upload)["ETag"]}
        for n, part in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **upload)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/big")
    s3.delete_object(Bucket=bucket, Key="big")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"".join(parts)
