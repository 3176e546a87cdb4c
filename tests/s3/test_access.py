"""Who may do what: an account everything in its buckets, all others nothing."""

import hashlib
import socket

import pytest

from harness.accounts import OTHER, OWNER, Account
from harness.clients import is_refused, refused, s3_client
from harness.data import content_md5
from harness.raw import address, exchange, head_of, host, send, status_of
from harness.sign import EMPTY_SHA256, S3V4, oss_request, s3_request

WRONG = Account("wrong", "", "", OWNER.access_key, "not-the-secret")
NOBODY = Account("nobody", "", "", "NOSUCHKEY0000000001", "any")


@pytest.fixture
def private(s3, bucket) -> str:
    """A bucket whose key `k` holds `secret`."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    return bucket


NO_UPLOAD = "0" * 32


def unchanged(s3, bucket):
    """The bucket still holds just that."""
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == ["k"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"secret"


REQUESTS = [
    ("GET", "/{bucket}/k", b""),
    ("HEAD", "/{bucket}/k", b""),
    ("PUT", "/{bucket}/k", b"new"),
    ("PUT", "/{bucket}/new", b"new"),
    ("DELETE", "/{bucket}/k", b""),
    ("GET", "/{bucket}", b""),
    ("HEAD", "/{bucket}", b""),
    ("GET", "/{bucket}?versions", b""),
    ("GET", "/{bucket}?uploads", b""),
    ("GET", "/{bucket}?location", b""),
    ("GET", "/{bucket}?versioning", b""),
    ("PUT", "/{bucket}?versioning", b"<VersioningConfiguration/>"),
    ("POST", "/{bucket}/k?uploads", b""),
    ("DELETE", "/{bucket}", b""),
]


@pytest.mark.parametrize(("method", "target", "body"), REQUESTS)
@pytest.mark.parametrize(
    ("account", "code"),
    [
        (OTHER, "AccessDenied"),
        (WRONG, "SignatureDoesNotMatch"),
        (NOBODY, "InvalidAccessKeyId"),
    ],
    ids=["other", "wrong", "nobody"],
)
def test_nobody_else_gets_in(s3, endpoint, private, method, target, body, account, code):
    reply = s3_request(endpoint, method, target.format(bucket=private), body=body, account=account)
    assert reply.status == 403, reply
    if method != "HEAD":
        assert reply.code == code
    unchanged(s3, private)


@pytest.mark.parametrize(("method", "target", "body"), REQUESTS)
def test_the_anonymous_get_nothing(s3, endpoint, private, method, target, body):
    reply = send(endpoint, method, target.format(bucket=private), body=body)
    assert reply.status == 403 and (method == "HEAD" or reply.code == "AccessDenied"), reply
    unchanged(s3, private)


DOCUMENTS = (
    ("PUT", "/{bucket}/?versioning"),
    ("POST", "/{bucket}/?delete"),
    ("POST", "/{bucket}/k?uploadId=" + NO_UPLOAD),
)


@pytest.mark.parametrize(("method", "target"), DOCUMENTS)
@pytest.mark.parametrize("request_as", [s3_request, oss_request], ids=["s3", "oss"])
def test_strangers_do_not_learn_what_is_wrong_with_a_document(
    endpoint, private, method, target, request_as
):
    target = target.format(bucket=private)
    for body in (b"", b"<broken", b"<Other/>"):
        reply = request_as(endpoint, method, target, body=body, account=OTHER)
        is_refused(reply, 403, "AccessDenied")
        is_refused(send(endpoint, method, target, body=body), 403, "AccessDenied")


@pytest.mark.parametrize("request_as", [s3_request, oss_request], ids=["s3", "oss"])
def test_a_document_with_another_root_is_refused(s3, endpoint, private, request_as):
    upload = s3.create_multipart_upload(Bucket=private, Key="k")["UploadId"]
    for method, target in (*DOCUMENTS, ("PUT", "/{bucket}/")):
        target = target.replace(NO_UPLOAD, upload).format(bucket=private)
        body = b"<Other><Status>Enabled</Status><Object><Key>k</Key></Object></Other>"
        headers = {"Content-MD5": content_md5(body)}
        reply = request_as(endpoint, method, target, headers, body)
        is_refused(reply, 400, "MalformedXML")
    unchanged(s3, private)


def test_the_anonymous_list_no_buckets(s3_anonymous):
    with refused(403, "AccessDenied"):
        s3_anonymous.list_buckets()


def test_a_key_pair_of_a_strange_region_or_service_is_checked_against_its_scope(endpoint, private):
    target = f"/{private}/k"
    signed = S3V4(service="ec2").sign("GET", endpoint, target)
    reply = send(endpoint, "GET", target, signed)
    assert reply.status in (400, 403) and reply.body != b"secret", reply


def test_any_region_in_the_scope_is_accepted(endpoint, private):
    client = s3_client(endpoint, region="eu-north-7")
    assert client.get_object(Bucket=private, Key="k")["Body"].read() == b"secret"


def test_a_signature_counts_for_its_request_only(s3, endpoint, private):
    target = f"/{private}/k"
    signed = S3V4().sign("GET", endpoint, target)
    assert send(endpoint, "GET", target, signed).status == 200
    for method, other in (
        ("DELETE", target),
        ("GET", f"/{private}/other"),
        ("GET", f"{target}?versionId=null"),
        ("GET", f"/{private}"),
    ):
        is_refused(send(endpoint, method, other, signed), 403, "SignatureDoesNotMatch")
    bent = signed | {"x-amz-content-sha256": hashlib.sha256(b"x").hexdigest()}
    is_refused(send(endpoint, "GET", target, bent), 403, "SignatureDoesNotMatch")
    unchanged(s3, private)


def test_an_unsigned_amz_header_is_refused(endpoint, private):
    target = f"/{private}/new"
    signed = S3V4().sign("PUT", endpoint, target)
    reply = send(endpoint, "PUT", target, signed | {"x-amz-meta-added": "1"})
    is_refused(reply, 403, "AccessDenied", "SignatureDoesNotMatch")


def test_the_host_must_be_signed(endpoint, private):
    target = f"/{private}/k"
    signer = S3V4()
    headers = {"x-amz-date": signer.sign("GET", endpoint, target)["x-amz-date"]}
    headers["x-amz-content-sha256"] = EMPTY_SHA256
    names = sorted(headers)
    mac = signer.signature("GET", target, headers, names, EMPTY_SHA256)
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={OWNER.access_key}/{signer.scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={mac}"
    )
    reply = send(endpoint, "GET", target, headers)
    assert reply.status in (400, 403) and reply.body != b"secret", reply


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0",
        "AWS ",
        "AWS a",
        "AWS :",
        "AWS a:b:c",
        "Basic dXNlcjpwYXNz",
        "Bearer token",
        "OSS ",
        "OSS4-HMAC-SHA256 Credential=x",
        "\x01\x02",
        "AWS4-HMAC-SHA256 " + "A" * 5000,
    ],
)
def test_a_malformed_authorization_is_refused(s3, endpoint, private, authorization):
    for method in ("GET", "DELETE"):
        reply = send(endpoint, method, f"/{private}/k", {"Authorization": authorization})
        assert reply.status in (400, 403), reply
        assert reply.body != b"secret"
    unchanged(s3, private)


def test_two_authorizations_are_refused(s3, endpoint, private):
    target = f"/{private}/k"
    good = S3V4().sign("DELETE", endpoint, target)
    bad = S3V4(WRONG).sign("DELETE", endpoint, target)["Authorization"]
    head = head_of("DELETE", target, good | {"Connection": "close"})
    doubled = head.replace(b"\r\n\r\n", f"\r\nAuthorization: {bad}\r\n\r\n".encode())
    assert status_of(exchange(endpoint, doubled)) in (400, 403)
    unchanged(s3, private)


@pytest.mark.parametrize("account", [None, WRONG, OTHER], ids=["anonymous", "wrong", "other"])
def test_expect_continue_is_refused_before_the_body(s3, endpoint, private, account):
    target = f"/{private}/k"
    length = 100 * 1024 * 1024
    headers = {"Host": host(endpoint)}
    if account:
        headers = S3V4(account).sign("PUT", endpoint, target, payload="UNSIGNED-PAYLOAD")
    headers |= {"Content-Length": str(length), "Expect": "100-continue", "Connection": "close"}
    received = exchange(endpoint, head_of("PUT", target, headers))
    assert status_of(received) == 403, received
    unchanged(s3, private)


def test_expect_continue_is_answered_to_the_owner(s3, endpoint, private):
    target = f"/{private}/new"
    headers = S3V4().sign("PUT", endpoint, target, payload="UNSIGNED-PAYLOAD")
    headers |= {"Content-Length": "5", "Expect": "100-continue", "Connection": "close"}
    with socket.create_connection(address(endpoint), timeout=30) as connection:
        connection.sendall(head_of("PUT", target, headers))
        assert status_of(connection.recv(65536)) == 100
        connection.sendall(b"hello")
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    assert status_of(received) == 200
    assert s3.get_object(Bucket=private, Key="new")["Body"].read() == b"hello"
