"""Broken, oversized and hostile requests: each is refused, and the next one is served."""

import pytest

from harness.clients import is_refused
from harness.data import KIB, MIB, content_md5, md5
from harness.raw import exchange, head_of, send, status_of
from harness.sign import S3V4, UNSIGNED, s3_request

DOCTYPE = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY file SYSTEM "file:///etc/passwd">]>'


@pytest.fixture(autouse=True)
def _serves_afterwards(s3, bucket):
    """Whatever a test sent, the server answers the next request."""
    yield
    s3.put_object(Bucket=bucket, Key="afterwards", Body=b"1")


@pytest.fixture
def old(s3, bucket) -> str:
    """A bucket whose key `k` holds `old`."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    return bucket


def is_old(s3, bucket):
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def put(endpoint, bucket, *pieces, change=lambda head: head, **headers):
    """A signed PUT /k as raw bytes; `change` may bend its head."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    signed = S3V4().sign("PUT", endpoint, f"/{bucket}/k", payload=UNSIGNED)
    head = head_of("PUT", f"/{bucket}/k", signed | headers | {"Connection": "close"})
    return exchange(endpoint, change(head), *pieces, half_close=True)


def test_half_a_body_stores_nothing(s3, endpoint, old):
    received = put(endpoint, old, b"x" * 500, Content_Length="1000")
    assert status_of(received) in (None, 400, 408)
    is_old(s3, old)


def test_half_a_large_body_stores_nothing(s3, endpoint, old):
    put(endpoint, old, b"x" * (3 * MIB), Content_Length=str(8 * MIB))
    is_old(s3, old)


def test_half_a_chunked_body_stores_nothing(s3, endpoint, old):
    put(endpoint, old, b"5\r\nhello\r\n", Transfer_Encoding="chunked")
    is_old(s3, old)


def test_half_a_part_is_no_part(s3, endpoint, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    target = f"/{bucket}/k?partNumber=1&uploadId={upload}"
    signed = S3V4().sign("PUT", endpoint, target, payload=UNSIGNED)
    head = head_of("PUT", target, signed | {"Content-Length": "1000"})
    exchange(endpoint, head, b"x" * 500, half_close=True)
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_two_content_lengths_are_refused(s3, endpoint, old):
    def double(head):
        return head.replace(b"\r\n\r\n", b"\r\nContent-Length: 50\r\n\r\n")

    received = put(endpoint, old, b"hello", change=double, Content_Length="5")
    assert status_of(received) in (None, 400)
    is_old(s3, old)


def test_content_length_and_chunked_together_smuggle_nothing(s3, endpoint, old):
    inner = head_of("DELETE", f"/{old}/k", S3V4().sign("DELETE", endpoint, f"/{old}/k"))
    body = b"0\r\n\r\n" + inner
    received = put(endpoint, old, body, Content_Length=str(len(body)), Transfer_Encoding="chunked")
    assert received.count(b"HTTP/1.1 ") <= 1
    assert b" 204 " not in received
    assert s3.head_object(Bucket=old, Key="k")["ContentLength"] in (0, 3)


@pytest.mark.parametrize("value", ["-1", "abc", "5 5", "0x5", "99999999999999999999999"])
def test_a_content_length_that_is_none_is_refused(s3, endpoint, old, value):
    received = put(endpoint, old, b"hello", Content_Length=value)
    assert status_of(received) in (None, 400, 413)
    is_old(s3, old)


def test_a_put_without_any_length_is_411_or_empty(endpoint, old):
    received = put(endpoint, old)
    assert status_of(received) in (200, 411)


def test_an_object_over_5_gib_in_one_request_is_refused_before_its_body(s3, endpoint, old):
    received = put(endpoint, old, Content_Length=str(5 * 1024 * MIB + 1), Expect="100-continue")
    assert status_of(received) == 400 and b"EntityTooLarge" in received
    is_old(s3, old)


def test_huge_headers_are_refused(endpoint, bucket):
    for count, size in ((1, 300 * KIB), (5000, 60)):
        extra = "".join(f"X-Filler-{n}: {'x' * size}\r\n" for n in range(count)).encode()
        head = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + extra + b"\r\n"
        assert status_of(exchange(endpoint, head)) in (None, 400, 413, 414, 431)


def test_a_huge_target_is_refused(endpoint, bucket):
    head = f"GET /{bucket}/{'x' * 300_000} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    assert status_of(exchange(endpoint, head, half_close=True)) in (None, 400, 403, 413, 414, 431)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nHo st: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad\x00Header: a\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=range(8),
)
def test_bytes_that_are_no_request_end_in_an_error_or_a_closed_connection(endpoint, request_bytes):
    received = exchange(endpoint, request_bytes, half_close=True)
    status = status_of(received)
    assert status is None or 400 <= status < 500 or status in (501, 505), received


XML_TARGETS = {
    "versioning": ("PUT", "/{bucket}?versioning", b"VersioningConfiguration"),
    "delete": ("POST", "/{bucket}?delete", b"Delete"),
    "create": ("PUT", "/{bucket}-new", b"CreateBucketConfiguration"),
}


@pytest.mark.parametrize("name", XML_TARGETS)
@pytest.mark.parametrize(
    "make",
    [
        lambda root: DOCTYPE + b"<%s>&a;</%s>" % (root, root),
        lambda root: b"<%s>" % root + b"<a>" * 100 + b"</a>" * 100 + b"</%s>" % root,
        lambda root: b"<%s>" % root + b"<a>" * 100_000,
        lambda root: b"<%s" % root,
        lambda root: b"<%s>\xff\xfe</%s>" % (root, root),
        lambda root: b"<other/>",
    ],
    ids=["doctype", "depth", "open", "cut", "no-utf8", "root"],
)
def test_hostile_xml_is_malformed(s3, endpoint, old, name, make):
    method, target, root = XML_TARGETS[name]
    body = make(root)
    headers = {"Content-MD5": content_md5(body)}
    reply = s3_request(endpoint, method, target.format(bucket=old), headers, body)
    is_refused(reply, 400, "MalformedXML")
    is_old(s3, old)
    assert "Status" not in s3.get_bucket_versioning(Bucket=old)


@pytest.mark.parametrize("name", XML_TARGETS)
def test_xml_over_its_limit_is_refused(s3, endpoint, old, name):
    method, target, root = XML_TARGETS[name]
    body = b"<%s>" % root + b" " * (2 * MIB + 1) + b"</%s>" % root
    headers = {"Content-MD5": content_md5(body)}
    reply = s3_request(endpoint, method, target.format(bucket=old), headers, body)
    assert reply.status in (400, 413), reply
    is_old(s3, old)


def test_a_complete_with_doctype_is_refused_and_the_upload_stays(s3, endpoint, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"1")
    part = f"<Part><PartNumber>1</PartNumber><ETag>{md5(b'1')}</ETag></Part>".encode()
    body = DOCTYPE + b"<CompleteMultipartUpload>" + part + b"</CompleteMultipartUpload>"
    reply = s3_request(endpoint, "POST", f"/{bucket}/k?uploadId={upload}", body=body)
    is_refused(reply, 400, "MalformedXML")
    assert len(s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]) == 1


def test_an_absolute_target_is_the_same_as_its_path(s3, endpoint, old):
    target = f"/{old}/k"
    signed = S3V4().sign("GET", endpoint, target)
    reply = send(endpoint, "GET", f"{endpoint}{target}", signed)
    assert (reply.status, reply.body) == (200, b"old")


def test_a_header_with_a_line_break_in_its_value_never_gets_into_an_answer(endpoint, bucket):
    target = f"/{bucket}/k"
    query = "?response-content-type=text%2Fplain%0D%0AX-Injected%3A%201"
    s3_request(endpoint, "PUT", target, body=b"1")
    reply = s3_request(endpoint, "GET", target + query)
    assert reply.status in (200, 400)
    assert "x-injected" not in reply.headers
