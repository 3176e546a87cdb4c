"""Reads of a single range, and what happens to ranges that cannot be served."""

import pytest

from harness.clients import refused
from harness.data import KIB, MIB, some_bytes
from harness.sign import s3_request

TEN = b"0123456789"


@pytest.fixture
def ten(s3, bucket):
    """A bucket whose key `k` holds ten digits."""
    s3.put_object(Bucket=bucket, Key="k", Body=TEN)
    return bucket


@pytest.mark.parametrize(
    ("span", "expected", "shown"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=8-100", b"89", "bytes 8-9/10"),
        ("bytes=-100", TEN, "bytes 0-9/10"),
        ("bytes=0-9", TEN, "bytes 0-9/10"),
    ],
)
def test_a_range_gives_206_with_just_these_bytes(s3, ten, span, expected, shown):
    got = s3.get_object(Bucket=ten, Key="k", Range=span)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert (got["Body"].read(), got["ContentRange"]) == (expected, shown)
    head = s3.head_object(Bucket=ten, Key="k", Range=span)
    assert (head["ContentLength"], head["ContentRange"]) == (len(expected), shown)


@pytest.mark.parametrize("span", ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=1000-2000"])
def test_a_range_behind_the_end_is_416_and_names_the_size(endpoint, ten, span):
    reply = s3_request(endpoint, "GET", f"/{ten}/k", {"Range": span})
    assert (reply.status, reply.code) == (416, "InvalidRange")
    assert reply.field("ActualObjectSize") == "10"
    assert reply.headers.get("content-range", "bytes */10") == "bytes */10"


@pytest.mark.parametrize(
    "span", ["bytes=4-2", "bytes=a-b", "bytes", "bytes=", "lines=1-2", "bytes=-", "1-2"]
)
def test_a_range_that_is_none_is_ignored(s3, ten, span):
    got = s3.get_object(Bucket=ten, Key="k", Range=span)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert got["Body"].read() == TEN


def test_several_ranges_give_the_whole_object(s3, ten):
    got = s3.get_object(Bucket=ten, Key="k", Range="bytes=0-1,4-5")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert got["Body"].read() == TEN


def test_any_range_of_an_empty_object_is_416(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    for span in ("bytes=0-", "bytes=0-0", "bytes=40-50"):
        with refused(416, "InvalidRange"):
            s3.get_object(Bucket=bucket, Key="k", Range=span)


@pytest.mark.parametrize("size", [200 * KIB, 3 * MIB + 17])
def test_ranges_across_chunks_of_large_objects_are_exact(s3, bucket, size):
    data = some_bytes(size)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    edges = (0, 1, 4095, 64 * KIB, 128 * KIB - 1, size // 2, size - 1)
    for start in edges:
        for end in (start, min(start + 70_000, size - 1), size - 1):
            got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={start}-{end}")
            assert got["Body"].read() == data[start : end + 1], (start, end)


def test_range_and_part_number_together_are_refused(endpoint, ten):
    reply = s3_request(endpoint, "GET", f"/{ten}/k?partNumber=1", {"Range": "bytes=0-1"})
    assert (reply.status, reply.code) == (400, "InvalidRequest")
