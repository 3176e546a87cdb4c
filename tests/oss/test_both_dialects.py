"""What one dialect wrote the other reads: keys, bytes, metadata, versions, uploads."""

import oss2
import pytest

from harness.data import PART, crc64, md5, some_bytes

KEYS = ["plain", "dir/a b+é.txt", "日本/..//x", "tail/", "line\nbreak"]


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_s3_writes_and_oss_reads(s3, oss, key):
    data = some_bytes(70_000)
    s3.put_object(
        Bucket=oss.bucket_name,
        Key=key,
        Body=data,
        ContentType="text/x",
        CacheControl="no-cache",
        Metadata={"a": "1"},
    )
    got = oss.get_object(key)
    assert got.read() == data
    assert got.headers["x-oss-meta-a"] == "1" and got.headers["Cache-Control"] == "no-cache"
    assert (got.content_type, got.etag) == ("text/x", md5(data).upper())
    assert got.headers["x-oss-hash-crc64ecma"] == crc64(data)
    assert [entry.key for entry in oss.list_objects().object_list] == [key]


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_oss_writes_and_s3_reads(s3, oss, key):
    data = some_bytes(70_000)
    headers = {"x-oss-meta-a": "1", "Content-Type": "text/x", "Cache-Control": "no-cache"}
    oss.put_object(key, data, headers=headers)
    got = s3.get_object(Bucket=oss.bucket_name, Key=key)
    assert got["Body"].read() == data
    assert (got["Metadata"], got["ContentType"]) == ({"a": "1"}, "text/x")
    assert (got["ETag"], got["CacheControl"]) == (f'"{md5(data)}"', "no-cache")
    listed = s3.list_objects_v2(Bucket=oss.bucket_name)["Contents"]
    assert [entry["Key"] for entry in listed] == [key]


def test_version_ids_are_the_same_in_both(s3, oss, versioned):
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"s3")["VersionId"]
    second = oss.put_object("k", b"oss").versionid
    marker = oss.delete_object("k").versionid
    page = s3.list_object_versions(Bucket=versioned)
    assert [entry["VersionId"] for entry in page["Versions"]] == [second, first]
    assert [entry["VersionId"] for entry in page["DeleteMarkers"]] == [marker]
    assert [entry.versionid for entry in oss.list_object_versions().versions] == [second, first]
    assert oss.get_object("k", params={"versionId": first}).read() == b"s3"
    got = s3.get_object(Bucket=versioned, Key="k", VersionId=second)
    assert got["Body"].read() == b"oss"


def test_a_multipart_object_of_s3_has_the_crc_of_the_whole_in_oss(s3, oss):
    parts = [some_bytes(PART, 1), some_bytes(1000, 2)]
    upload = {"Bucket": oss.bucket_name, "Key": "big"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    done = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=body, **upload)["ETag"]}
        for n, body in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **upload)
    got = oss.get_object("big")
    assert got.read() == b"".join(parts)
    assert got.headers["x-oss-hash-crc64ecma"] == crc64(b"".join(parts))
    assert got.headers["x-oss-object-type"] == "Multipart"


def test_a_bucket_created_in_one_is_listed_deleted_and_gone_in_the_other(s3, oss4):
    assert oss4.bucket_name in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    oss4.delete_bucket()
    assert oss4.bucket_name not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


def test_errors_speak_the_dialect_of_the_request(s3, oss4):
    with pytest.raises(s3.exceptions.NoSuchKey) as raised:
        s3.get_object(Bucket=oss4.bucket_name, Key="missing")
    headers = raised.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert "x-amz-request-id" in headers and "x-oss-request-id" not in headers
    with pytest.raises(oss2.exceptions.NoSuchKey) as raised:
        oss4.get_object("missing")
    assert raised.value.headers.get("x-oss-request-id")
    assert "x-amz-request-id" not in raised.value.headers
