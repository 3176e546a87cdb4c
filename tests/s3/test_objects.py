"""Objects: put, get, head, delete, with their headers and metadata."""

import datetime

import pytest

from harness.clients import refused
from harness.data import KIB, MIB, content_md5, md5, some_bytes
from harness.raw import send
from harness.sign import S3V4, s3_request


@pytest.mark.parametrize("size", [0, 1, 100, 64 * KIB, 256 * KIB, 256 * KIB + 1, 3 * MIB + 7])
def test_what_was_put_is_what_is_read(s3, bucket, size):
    data = some_bytes(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == data
    assert got["ContentLength"] == size
    assert put["ETag"] == got["ETag"] == f'"{md5(data)}"'


def test_head_answers_what_get_answers_without_the_body(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello", Metadata={"a": "1"})
    head = s3.head_object(Bucket=bucket, Key="k")
    got = s3.get_object(Bucket=bucket, Key="k")
    for name in ("ContentLength", "ETag", "LastModified", "ContentType", "Metadata"):
        assert head[name] == got[name]
    assert head["AcceptRanges"] == "bytes"


def test_last_modified_is_about_now(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    age = datetime.datetime.now(datetime.UTC) - modified
    assert abs(age) < datetime.timedelta(minutes=1)


def test_a_second_put_replaces_the_first(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", Metadata={"a": "1"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"second"
    assert got["Metadata"] == {}


def test_a_missing_key_is_404(s3, bucket):
    with refused(404, "NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="missing")
    with refused(404):
        s3.head_object(Bucket=bucket, Key="missing")


def test_delete_removes_and_may_be_repeated(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    for _ in range(2):
        assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused(404, "NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="k")


def test_system_headers_come_back(s3, bucket):
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    given = {
        "CacheControl": "max-age=60, public",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de, en",
        "ContentType": "text/plain; charset=utf-8",
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Expires=expires, **given)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert {name: head[name] for name in given} == given
    assert head["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT"


def test_content_type_defaults_to_binary(s3, bucket, endpoint):
    s3_request(endpoint, "PUT", f"/{bucket}/k", body=b"1")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "binary/octet-stream"


def test_metadata_comes_back_with_lower_case_names(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Metadata={"Mixed-Case": "Value X", "n": "2"})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {
        "mixed-case": "Value X",
        "n": "2",
    }


def test_empty_metadata_values_come_back(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Metadata={"empty": ""})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"empty": ""}


def test_non_ascii_metadata_survives(endpoint, bucket):
    value = "naïve 日本"
    signed = S3V4().sign("PUT", endpoint, f"/{bucket}/k", {"x-amz-meta-name": value})
    signed["x-amz-meta-name"] = value.encode().decode("latin-1")
    reply = send(endpoint, "PUT", f"/{bucket}/k", signed)
    assert reply.status == 200, reply
    head = s3_request(endpoint, "HEAD", f"/{bucket}/k")
    got = head.headers["x-amz-meta-name"]
    encoded_word = "=?UTF-8?" in got.upper()
    assert encoded_word or got.encode("latin-1").decode() == value


def test_metadata_over_2_kib_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="fits", Body=b"1", Metadata={"a": "x" * 2047})
    with refused(400, "MetadataTooLarge"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", Metadata={"a": "x" * 2048})
    with refused(404):
        s3.head_object(Bucket=bucket, Key="k")


def test_a_right_content_md5_is_taken(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ContentMD5=content_md5(b"hello"))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"


def test_a_wrong_content_md5_leaves_the_old_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    with refused(400, "BadDigest"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"new", ContentMD5=content_md5(b"other"))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def test_a_content_md5_that_is_none_is_invalid(s3, bucket):
    with refused(400, "InvalidDigest"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"new", ContentMD5="bm8=")


def test_a_wrong_content_sha256_leaves_the_old_object(s3, endpoint, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    wrong = "0" * 64
    reply = s3_request(endpoint, "PUT", f"/{bucket}/k", body=b"new", payload=wrong)
    assert (reply.status, reply.code) == (400, "XAmzContentSHA256Mismatch")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def test_a_folder_key_is_an_ordinary_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="folder/", Body=b"")
    s3.put_object(Bucket=bucket, Key="folder/file", Body=b"1")
    s3.put_object(Bucket=bucket, Key="folder", Body=b"2")
    assert s3.get_object(Bucket=bucket, Key="folder/")["Body"].read() == b""
    assert s3.get_object(Bucket=bucket, Key="folder/file")["Body"].read() == b"1"
    assert s3.get_object(Bucket=bucket, Key="folder")["Body"].read() == b"2"


def test_attributes_tell_size_etag_and_checksum(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm="SHA256")
    wanted = ["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"]
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
    assert got["ETag"] == md5(b"hello")
    assert got["ObjectSize"] == 5
    assert got["Checksum"]["ChecksumSHA256"] == "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
    assert got["StorageClass"] == "STANDARD"
    assert "ObjectParts" not in got


def test_every_answer_has_a_request_id_and_a_date(endpoint, bucket):
    for method, target in (("GET", "/"), ("GET", f"/{bucket}/missing"), ("PUT", f"/{bucket}/k")):
        reply = s3_request(endpoint, method, target)
        assert reply.headers["x-amz-request-id"]
        assert reply.headers["date"].endswith("GMT")
