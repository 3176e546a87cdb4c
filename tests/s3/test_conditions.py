"""Conditions: on reads, writes, deletes and complete; decided in the same moment as the change."""

import datetime
import threading

import pytest

from harness.clients import refused
from harness.data import md5

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
FAR_AHEAD = datetime.datetime(2101, 1, 1, tzinfo=datetime.UTC)
OTHER_ETAG = f'"{md5(b"other")}"'


@pytest.fixture
def etag(s3, bucket) -> str:
    """The ETag of the key `k`, which holds `old`."""
    return s3.put_object(Bucket=bucket, Key="k", Body=b"old")["ETag"]


def read(s3, bucket, key="k") -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def test_reads_whose_condition_holds_succeed(s3, bucket, etag):
    for condition in (
        {"IfMatch": etag},
        {"IfMatch": etag.strip('"')},
        {"IfMatch": "*"},
        {"IfMatch": f"{OTHER_ETAG}, {etag}"},
        {"IfNoneMatch": OTHER_ETAG},
        {"IfModifiedSince": LONG_AGO},
        {"IfUnmodifiedSince": FAR_AHEAD},
    ):
        assert s3.get_object(Bucket=bucket, Key="k", **condition)["Body"].read() == b"old"
        s3.head_object(Bucket=bucket, Key="k", **condition)


@pytest.mark.parametrize(
    "condition", [{"IfMatch": OTHER_ETAG}, {"IfUnmodifiedSince": LONG_AGO}], ids=str
)
def test_reads_that_ask_for_another_state_are_412(s3, bucket, etag, condition):
    with refused(412, "PreconditionFailed"):
        s3.get_object(Bucket=bucket, Key="k", **condition)
    with refused(412):
        s3.head_object(Bucket=bucket, Key="k", **condition)


def test_reads_of_what_one_has_already_are_304_with_the_etag(s3, bucket, etag):
    now = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    conditions = ({"IfNoneMatch": etag}, {"IfNoneMatch": "*"}, {"IfModifiedSince": now})
    for condition in conditions:
        for call in (s3.get_object, s3.head_object):
            with refused(304) as caught:
                call(Bucket=bucket, Key="k", **condition)
            headers = caught.reply.response["ResponseMetadata"]["HTTPHeaders"]
            assert headers["etag"] == etag


def test_an_etag_outweighs_a_date(s3, bucket, etag):
    s3.get_object(Bucket=bucket, Key="k", IfMatch=etag, IfUnmodifiedSince=LONG_AGO)
    with refused(304):
        s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=etag, IfModifiedSince=LONG_AGO)


def test_a_put_only_if_absent_creates_but_never_replaces(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert read(s3, bucket) == b"first"


def test_a_put_only_if_unchanged_replaces_just_that_state(s3, bucket, etag):
    s3.put_object(Bucket=bucket, Key="k", Body=b"new", IfMatch=etag)
    with refused(412, "PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"late", IfMatch=etag)
    assert read(s3, bucket) == b"new"


def test_a_put_if_match_of_a_missing_key_is_404(s3, bucket, etag):
    with refused(404, "NoSuchKey"):
        s3.put_object(Bucket=bucket, Key="missing", Body=b"new", IfMatch=etag)


def test_a_deleted_key_counts_as_absent(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"1")
    s3.delete_object(Bucket=versioned, Key="k")
    s3.put_object(Bucket=versioned, Key="k", Body=b"2", IfNoneMatch="*")
    assert read(s3, versioned) == b"2"


def test_a_delete_only_if_unchanged(s3, bucket, etag):
    with refused(412, "PreconditionFailed"):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=OTHER_ETAG)
    assert read(s3, bucket) == b"old"
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    with refused(404):
        s3.head_object(Bucket=bucket, Key="k")


def uploaded(s3, bucket, body: bytes, **conditions):
    """Uploads `body` as one part and completes under `conditions`."""
    upload = {"Bucket": bucket, "Key": "k"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(PartNumber=1, Body=body, **upload)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    return s3.complete_multipart_upload(MultipartUpload=parts, **upload, **conditions)


def test_a_complete_only_if_absent(s3, bucket):
    uploaded(s3, bucket, b"first", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        uploaded(s3, bucket, b"second", IfNoneMatch="*")
    assert read(s3, bucket) == b"first"


def test_a_complete_only_if_unchanged(s3, bucket, etag):
    with refused(412, "PreconditionFailed"):
        uploaded(s3, bucket, b"late", IfMatch=OTHER_ETAG)
    uploaded(s3, bucket, b"new", IfMatch=etag)
    assert read(s3, bucket) == b"new"


def test_of_many_puts_only_if_absent_exactly_one_wins(s3, bucket):
    won, barrier = [], threading.Barrier(8)

    def attempt(number: int):
        barrier.wait()
        try:
            body = str(number).encode()
            s3.put_object(Bucket=bucket, Key="k", Body=body, IfNoneMatch="*")
        except s3.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412)
        else:
            won.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert read(s3, bucket) == str(won[0]).encode()


def test_a_counter_kept_by_if_match_loses_no_step(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0")

    def count(steps: int):
        while steps:
            got = s3.get_object(Bucket=bucket, Key="k")
            value = int(got["Body"].read()) + 1
            try:
                body = str(value).encode()
                s3.put_object(Bucket=bucket, Key="k", Body=body, IfMatch=got["ETag"])
            except s3.exceptions.ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412)
            else:
                steps -= 1

    threads = [threading.Thread(target=count, args=(5,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(s3, bucket) == b"20"
