"""Checksums: from header or trailer, checked, stored, returned."""

import pytest

from harness.clients import refused
from harness.data import ALGORITHMS, PART, checksum, composite, some_bytes
from harness.sign import s3_request

HELLO = b"hello"


def wrong(algorithm: str) -> str:
    """A checksum of the right form for other bytes."""
    return checksum(algorithm, b"other bytes")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_given_checksum_is_stored_and_returned_on_demand(s3, bucket, algorithm):
    field, value = f"Checksum{algorithm}", checksum(algorithm, HELLO)
    put = s3.put_object(Bucket=bucket, Key="k", Body=HELLO, **{field: value})
    assert put[field] == value
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[field], head["ChecksumType"]) == (value, "FULL_OBJECT")
    assert field not in s3.head_object(Bucket=bucket, Key="k")
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[field] == value


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_wrong_checksum_leaves_the_old_object(s3, bucket, algorithm):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    with refused(400, "BadDigest"):
        field = {f"Checksum{algorithm}": wrong(algorithm)}
        s3.put_object(Bucket=bucket, Key="k", Body=HELLO, **field)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checksum_the_sdk_computes_is_taken(s3, bucket, algorithm):
    put = s3.put_object(Bucket=bucket, Key="k", Body=HELLO, ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"] == checksum(algorithm, HELLO)


def test_a_malformed_checksum_is_refused(endpoint, bucket):
    for value in ("not base64!", "AAAA", ""):
        headers = {"x-amz-checksum-crc32": value}
        reply = s3_request(endpoint, "PUT", f"/{bucket}/k", headers, HELLO)
        assert (reply.status, reply.code) == (400, "InvalidRequest"), value


def test_two_checksums_at_once_are_refused(endpoint, bucket):
    headers = {
        "x-amz-checksum-crc32": checksum("CRC32", HELLO),
        "x-amz-checksum-sha1": checksum("SHA1", HELLO),
    }
    reply = s3_request(endpoint, "PUT", f"/{bucket}/k", headers, HELLO)
    assert (reply.status, reply.code) == (400, "InvalidRequest")


def test_a_range_comes_without_the_checksum_of_the_whole(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=HELLO, ChecksumAlgorithm="SHA256")
    got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-1", ChecksumMode="ENABLED")
    assert "ChecksumSHA256" not in got
    assert got["Body"].read() == b"he"


def test_a_copy_keeps_the_checksum_or_makes_the_wanted_one(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=HELLO, ChecksumAlgorithm="SHA1")
    kept = s3.copy_object(Bucket=bucket, Key="kept", CopySource=f"{bucket}/k")
    assert kept["CopyObjectResult"]["ChecksumSHA1"] == checksum("SHA1", HELLO)
    made = s3.copy_object(
        Bucket=bucket, Key="made", CopySource=f"{bucket}/k", ChecksumAlgorithm="SHA256"
    )
    assert made["CopyObjectResult"]["ChecksumSHA256"] == checksum("SHA256", HELLO)


def uploaded(s3, bucket, algorithm, kind, parts) -> dict:
    """Uploads `parts` and returns the answer to complete."""
    upload = {"Bucket": bucket, "Key": "big"}
    created = s3.create_multipart_upload(ChecksumAlgorithm=algorithm, ChecksumType=kind, **upload)
    assert (created["ChecksumAlgorithm"], created["ChecksumType"]) == (algorithm, kind)
    upload["UploadId"] = created["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        answer = s3.upload_part(PartNumber=number, Body=part, ChecksumAlgorithm=algorithm, **upload)
        field = f"Checksum{algorithm}"
        assert answer[field] == checksum(algorithm, part)
        done.append({"PartNumber": number, "ETag": answer["ETag"], field: answer[field]})
    return s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **upload)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_a_multipart_object_has_a_checksum_of_checksums(s3, bucket, algorithm):
    parts = [some_bytes(PART, 1), some_bytes(1000, 2)]
    done = uploaded(s3, bucket, algorithm, "COMPOSITE", parts)
    expected = f"{composite(algorithm, parts)}-2"
    assert done[f"Checksum{algorithm}"] == expected
    head = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == expected
    assert head["ChecksumType"] == "COMPOSITE"


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_a_multipart_object_may_have_the_checksum_of_the_whole(s3, bucket, algorithm):
    parts = [some_bytes(PART, 1), some_bytes(1000, 2)]
    done = uploaded(s3, bucket, algorithm, "FULL_OBJECT", parts)
    expected = checksum(algorithm, b"".join(parts))
    assert (done[f"Checksum{algorithm}"], done["ChecksumType"]) == (expected, "FULL_OBJECT")
    head = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == expected


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")],
)
def test_combinations_that_do_not_exist_are_refused(s3, bucket, algorithm, kind):
    with refused(400, "InvalidRequest"):
        s3.create_multipart_upload(
            Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind
        )


def test_complete_with_a_wrong_part_checksum_is_refused(s3, bucket):
    upload = {"Bucket": bucket, "Key": "big"}
    upload["UploadId"] = s3.create_multipart_upload(ChecksumAlgorithm="SHA256", **upload)[
        "UploadId"
    ]
    answer = s3.upload_part(PartNumber=1, Body=HELLO, ChecksumAlgorithm="SHA256", **upload)
    part = {"PartNumber": 1, "ETag": answer["ETag"], "ChecksumSHA256": wrong("SHA256")}
    with refused(400, "InvalidPart"):
        s3.complete_multipart_upload(MultipartUpload={"Parts": [part]}, **upload)
    with refused(404):
        s3.head_object(Bucket=bucket, Key="big")


def test_complete_with_a_wrong_checksum_of_the_whole_is_refused(s3, bucket):
    upload = {"Bucket": bucket, "Key": "big"}
    kinds = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
    upload["UploadId"] = s3.create_multipart_upload(**kinds, **upload)["UploadId"]
    answer = s3.upload_part(PartNumber=1, Body=HELLO, ChecksumAlgorithm="CRC32", **upload)
    part = {"PartNumber": 1, "ETag": answer["ETag"], "ChecksumCRC32": answer["ChecksumCRC32"]}
    with refused(400, "BadDigest"):
        s3.complete_multipart_upload(
            MultipartUpload={"Parts": [part]},
            ChecksumCRC32=wrong("CRC32"),
            ChecksumType="FULL_OBJECT",
            **upload,
        )
    with refused(404):
        s3.head_object(Bucket=bucket, Key="big")


@pytest.mark.parametrize("begun", [{}, {"ChecksumAlgorithm": "SHA256"}])
def test_complete_with_a_checksum_that_cannot_be_compared_is_refused(s3, bucket, begun):
    upload = {"Bucket": bucket, "Key": "big"}
    upload["UploadId"] = s3.create_multipart_upload(**begun, **upload)["UploadId"]
    given = {name: "SHA256" for name in begun}
    answer = s3.upload_part(PartNumber=1, Body=HELLO, **given, **upload)
    part = {"PartNumber": 1, "ETag": answer["ETag"]}
    with refused(400, "InvalidRequest"):
        s3.complete_multipart_upload(
            MultipartUpload={"Parts": [part]}, ChecksumCRC32=wrong("CRC32"), **upload
        )
    s3.complete_multipart_upload(MultipartUpload={"Parts": [part]}, **upload)
