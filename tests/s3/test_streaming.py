"""Bodies sent in chunks: aws-chunked signed and unsigned, trailers, plain chunked."""

import hashlib

import pytest

from harness.clients import is_refused
from harness.data import ALGORITHMS, KIB, checksum, some_bytes
from harness.raw import exchange, head_of, host, send, status_of
from harness.sign import S3V4, s3_request

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
DATA = some_bytes(150 * KIB)


def pieces(data: bytes, size=64 * KIB) -> list[bytes]:
    """`data` cut in chunks, with the empty one at the end."""
    return [data[start : start + size] for start in range(0, len(data), size)] + [b""]


def put_signed(endpoint, bucket, change=lambda body: body, trailer=None, **headers):
    """PUT /k in signed chunks; `change` may bend the body, `trailer` is (name, value)."""
    kind = SIGNED_TRAILER if trailer else SIGNED
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers |= {"x-amz-decoded-content-length": str(len(DATA)), "Content-Encoding": "aws-chunked"}
    if trailer:
        headers["x-amz-trailer"] = trailer[0]
    signer = S3V4()
    signed = signer.sign("PUT", endpoint, f"/{bucket}/k", headers, kind)
    body = b"".join(signer.chunk(piece) for piece in pieces(DATA))
    body += signer.trailer(*trailer) if trailer else b"\r\n"
    return send(endpoint, "PUT", f"/{bucket}/k", signed, change(body))


def put_unsigned(endpoint, bucket, name, value, data=DATA, declared=None):
    """PUT /k in unsigned chunks with a trailer."""
    headers = {
        "x-amz-decoded-content-length": str(len(data) if declared is None else declared),
        "Content-Encoding": "aws-chunked",
        "x-amz-trailer": name,
    }
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces(data)[:-1])
    body += f"0\r\n{name}:{value}\r\n\r\n".encode()
    return s3_request(endpoint, "PUT", f"/{bucket}/k", headers, body, payload=UNSIGNED_TRAILER)


def stored(s3, bucket) -> bytes:
    return s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def is_absent(s3, bucket):
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_signed_chunks_are_put_together(s3, endpoint, bucket):
    assert put_signed(endpoint, bucket).status == 200
    assert stored(s3, bucket) == DATA


def test_aws_chunked_is_not_kept_as_content_encoding(s3, endpoint, bucket):
    put_signed(endpoint, bucket)
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="k")


def test_other_content_encodings_beside_aws_chunked_are_kept(s3, endpoint, bucket):
    headers = {"x-amz-decoded-content-length": "1", "Content-Encoding": "aws-chunked,gzip"}
    signer = S3V4()
    signed = signer.sign("PUT", endpoint, f"/{bucket}/k", headers, SIGNED)
    body = signer.chunk(b"x") + signer.chunk(b"") + b"\r\n"
    assert send(endpoint, "PUT", f"/{bucket}/k", signed, body).status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentEncoding"] == "gzip"


def test_a_changed_byte_in_a_signed_chunk_is_refused(s3, endpoint, bucket):
    def change(body):
        middle = len(body) // 2
        return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]

    is_refused(put_signed(endpoint, bucket, change), 403, "SignatureDoesNotMatch")
    is_absent(s3, bucket)


def test_a_missing_last_chunk_is_refused(s3, endpoint, bucket):
    def change(body):
        return body[: body.rindex(b"0;chunk-signature")]

    is_refused(put_signed(endpoint, bucket, change), 400, "IncompleteBody")
    is_absent(s3, bucket)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signed_trailer_with_a_checksum_is_taken(s3, endpoint, bucket, algorithm):
    name, value = f"x-amz-checksum-{algorithm.lower()}", checksum(algorithm, DATA)
    reply = put_signed(endpoint, bucket, trailer=(name, value))
    assert reply.status == 200, reply
    assert stored(s3, bucket) == DATA
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == value


def test_a_trailer_with_a_bent_signature_is_refused(s3, endpoint, bucket):
    def change(body):
        at = body.rindex(b"x-amz-trailer-signature:") + 24
        return body[:at] + (b"0" if body[at : at + 1] != b"0" else b"1") + body[at + 1 :]

    trailer = ("x-amz-checksum-crc32", checksum("CRC32", DATA))
    reply = put_signed(endpoint, bucket, change, trailer)
    is_refused(reply, 403, "SignatureDoesNotMatch")
    is_absent(s3, bucket)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_unsigned_trailer_with_a_checksum_is_taken(s3, endpoint, bucket, algorithm):
    name, value = f"x-amz-checksum-{algorithm.lower()}", checksum(algorithm, DATA)
    reply = put_unsigned(endpoint, bucket, name, value)
    assert reply.status == 200, reply
    assert reply.headers[name] == value
    assert stored(s3, bucket) == DATA


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_trailer_with_a_wrong_checksum_stores_nothing(s3, endpoint, bucket, algorithm):
    value = checksum(algorithm, b"other")
    reply = put_unsigned(endpoint, bucket, f"x-amz-checksum-{algorithm.lower()}", value)
    is_refused(reply, 400, "BadDigest")
    is_absent(s3, bucket)


def test_an_announced_trailer_must_come(s3, endpoint, bucket):
    headers = {
        "x-amz-decoded-content-length": "5",
        "Content-Encoding": "aws-chunked",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    body = b"5\r\nhello\r\n0\r\n\r\n"
    reply = s3_request(endpoint, "PUT", f"/{bucket}/k", headers, body, payload=UNSIGNED_TRAILER)
    assert reply.status == 400
    is_absent(s3, bucket)


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_wrong_decoded_length_is_refused(s3, endpoint, bucket, difference):
    value = checksum("CRC32", DATA)
    declared = len(DATA) + difference
    reply = put_unsigned(endpoint, bucket, "x-amz-checksum-crc32", value, declared=declared)
    is_refused(reply, 400, "IncompleteBody", "InvalidRequest")
    is_absent(s3, bucket)


@pytest.mark.parametrize(
    "body", [b"zz\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloX0\r\n\r\n", b"ffffffffffffffffff\r\nx", b""]
)
def test_malformed_chunks_are_refused(s3, endpoint, bucket, body):
    headers = {
        "x-amz-decoded-content-length": "5",
        "Content-Encoding": "aws-chunked",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    reply = s3_request(endpoint, "PUT", f"/{bucket}/k", headers, body, payload=UNSIGNED_TRAILER)
    assert 400 <= reply.status < 500, reply
    is_absent(s3, bucket)


def test_an_unknown_streaming_mode_is_refused(endpoint, bucket):
    reply = s3_request(endpoint, "PUT", f"/{bucket}/k", payload="STREAMING-SOMETHING-ELSE")
    assert 400 <= reply.status < 500 and reply.code, reply


def test_an_unsigned_payload_is_taken(s3, endpoint, bucket):
    reply = s3_request(endpoint, "PUT", f"/{bucket}/k", body=DATA, payload="UNSIGNED-PAYLOAD")
    assert reply.status == 200
    assert stored(s3, bucket) == DATA


def test_plain_chunked_transfer_is_taken_with_a_hash_of_the_whole(s3, endpoint, bucket):
    payload = hashlib.sha256(b"hello").hexdigest()
    signed = S3V4().sign("PUT", endpoint, f"/{bucket}/k", {}, payload)
    signed |= {"Host": host(endpoint), "Transfer-Encoding": "chunked", "Connection": "close"}
    body = b"5\r\nhello\r\n0\r\n\r\n"
    received = exchange(endpoint, head_of("PUT", f"/{bucket}/k", signed), body)
    assert status_of(received) == 200, received
    assert stored(s3, bucket) == b"hello"


def test_a_part_may_come_in_chunks_with_a_trailer(s3, endpoint, bucket):
    upload = {"Bucket": bucket, "Key": "k"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    target = f"/{bucket}/k?partNumber=1&uploadId={upload['UploadId']}"
    signer = S3V4()
    headers = {"x-amz-decoded-content-length": "5", "Content-Encoding": "aws-chunked"}
    signed = signer.sign("PUT", endpoint, target, headers, SIGNED)
    body = signer.chunk(b"hello") + signer.chunk(b"") + b"\r\n"
    reply = send(endpoint, "PUT", target, signed, body)
    assert reply.status == 200, reply
    part = {"PartNumber": 1, "ETag": reply.headers["etag"]}
    s3.complete_multipart_upload(MultipartUpload={"Parts": [part]}, **upload)
    assert stored(s3, bucket) == b"hello"
