"""Keys: any UTF-8 up to 1024 bytes is an ordinary key."""

from urllib.parse import quote

import pytest

from harness.clients import is_refused, refused
from harness.sign import s3_request

ODD = [
    "..",
    "../up",
    "a/../b",
    "./here",
    "a/./b",
    "double//slash",
    "//",
    "/leading",
    "trailing/",
    "a",
    " blank ",
    "plus+percent%25%2F",
    "question?and#hash&amp;",
    "quote\"'`",
    "back\\slash",
    "new\nline",
    "cr\rlf\r\n",
    "tab\t",
    "bell\x07delete\x7f",
    "emoji 🦀 and 日本",
    "e\u0301 and é",
    "\ufeffbom",
    "*?[glob]{a,b}",
    "con.txt:stream",
    "x" * 1024,
    "é" * 512,
]


@pytest.mark.parametrize("key", ODD, ids=lambda key: ascii(key)[:30])
def test_an_odd_key_is_put_read_listed_and_deleted_as_it_is(s3, endpoint, bucket, key):
    target = f"/{bucket}/{quote(key, safe='/-._~')}"
    assert s3_request(endpoint, "PUT", target, body=b"odd").status == 200
    assert s3_request(endpoint, "GET", target).body == b"odd"
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == [key]
    assert s3_request(endpoint, "DELETE", target).status == 204
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_keys_that_look_alike_are_different(s3, endpoint, bucket):
    keys = ["a/b", "a//b", "/a/b", "a/b/", "a/./b", "a/c/../b", "A/b"]
    for key in keys:
        target = f"/{bucket}/{quote(key)}"
        assert s3_request(endpoint, "PUT", target, body=key.encode()).status == 200
    for key in keys:
        assert s3_request(endpoint, "GET", f"/{bucket}/{quote(key)}").body == key.encode()
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == len(keys)


def test_a_plus_in_the_path_is_a_plus(s3, endpoint, bucket):
    s3.put_object(Bucket=bucket, Key="a+b", Body=b"1")
    assert s3_request(endpoint, "GET", f"/{bucket}/a%2Bb").body == b"1"
    with refused(404, "NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="a b")


@pytest.mark.parametrize("key", ["x" * 1025, "é" * 512 + "x"], ids=["ascii", "utf8"])
def test_a_key_of_1025_bytes_is_refused(s3, bucket, key):
    with refused(400, "KeyTooLongError"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")


@pytest.mark.parametrize("path", ["%FF%FE", "ok%C3", "%ED%A0%80"])
def test_a_key_that_is_no_utf8_is_refused(s3, endpoint, bucket, path):
    reply = s3_request_raw(endpoint, f"/{bucket}/{path}")
    assert reply.status == 400, reply
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("path", ["%", "%2", "%zz", "a%G1"])
def test_a_broken_percent_escape_is_refused(s3, endpoint, bucket, path):
    reply = s3_request_raw(endpoint, f"/{bucket}/{path}")
    assert 400 <= reply.status < 500, reply
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def s3_request_raw(endpoint, target):
    """A signed PUT whose path is signed just as it is sent."""
    return s3_request(endpoint, "PUT", target, body=b"1")


def test_a_path_that_climbs_out_of_its_bucket_does_not(s3, endpoint, bucket, fresh_name):
    there = fresh_name()
    s3.create_bucket(Bucket=there)
    reply = s3_request(endpoint, "PUT", f"/{bucket}/../{there}/k", body=b"1")
    assert reply.status == 200
    assert "Contents" not in s3.list_objects_v2(Bucket=there)
    assert s3.get_object(Bucket=bucket, Key=f"../{there}/k")["Body"].read() == b"1"


def test_an_empty_key_is_the_bucket_itself(s3, endpoint, bucket):
    reply = s3_request(endpoint, "GET", f"/{bucket}/")
    assert b"<ListBucketResult" in reply.body
    is_refused(s3_request(endpoint, "GET", f"/{bucket}/missing"), 404, "NoSuchKey")
