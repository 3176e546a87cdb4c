"""OSS signatures: V1, V2 and V4, in header and URL, and what bent ones get."""

import base64
import datetime
import hashlib
import re

import pytest

from harness.accounts import OWNER, REGION, Account
from harness.clients import is_refused, oss_bucket
from harness.raw import send
from harness.sign import (
    S3V4,
    UNSIGNED,
    OssV4,
    digest,
    http_date,
    now,
    oss_request,
    oss_v1,
)

WRONG = Account("wrong", "", "", OWNER.access_key, "not-the-secret")
NOBODY = Account("nobody", "", "", "NOSUCHKEY0000000001", "any")


@pytest.fixture
def stored(oss4) -> str:
    """The path of an object that holds `secret`."""
    oss4.put_object("k", b"secret")
    return f"/{oss4.bucket_name}/k"


@pytest.mark.parametrize("scheme", ["V1", "V2", "V4"])
@pytest.mark.parametrize("key", ["k", "dir/a b+é.txt", "q?a=b&c", "%2F"])
def test_every_scheme_puts_gets_and_signs_urls(endpoint, bucket, scheme, key):
    view = oss_bucket(endpoint, bucket, scheme)
    view.put_object(key, b"hello", headers={"x-oss-meta-b": "2", "x-oss-meta-a": "1"})
    params = {"response-content-type": "a/b"}
    assert view.get_object(key, params=params).headers["Content-Type"] == "a/b"
    for slash_safe in (False, True):
        url = view.sign_url("GET", key, 60, params=dict(params), slash_safe=slash_safe)
        reply = send(endpoint, "GET", url.removeprefix(endpoint))
        assert (reply.status, reply.body) == (200, b"hello"), reply
        assert reply.headers["content-type"] == "a/b"


@pytest.mark.parametrize("scheme", ["V1", "V2", "V4"])
def test_a_signed_url_counts_for_its_method_and_key_only(endpoint, oss4, stored, scheme):
    url = oss_bucket(endpoint, oss4.bucket_name, scheme).sign_url("GET", "k", 60)
    target = url.removeprefix(endpoint)
    for method, other in (
        ("DELETE", target),
        ("PUT", target),
        ("GET", target.replace("/k?", "/l?")),
        ("GET", f"{target}&response-content-type=text%2Fhtml"),
    ):
        is_refused(send(endpoint, method, other), 403, "SignatureDoesNotMatch")
    assert oss4.get_object("k").read() == b"secret"


@pytest.mark.parametrize("scheme", ["V1", "V2"])
def test_an_expired_url_is_403(endpoint, oss4, stored, scheme):
    url = oss_bucket(endpoint, oss4.bucket_name, scheme).sign_url("GET", "k", -60)
    is_refused(send(endpoint, "GET", url.removeprefix(endpoint)), 403, "AccessDenied")


def test_an_expired_v4_url_is_403(endpoint, stored):
    past = OssV4(moment=now() - datetime.timedelta(hours=1))
    is_refused(send(endpoint, "GET", past.presign("GET", stored, 600)), 403, "AccessDenied")


@pytest.mark.parametrize("name", ["OSSAccessKeyId", "Expires", "Signature"])
def test_a_v1_url_lacking_a_parameter_is_403(endpoint, oss4, stored, name):
    url = oss_bucket(endpoint, oss4.bucket_name, "V1").sign_url("GET", "k", 60)
    target = re.sub(f"{name}=[^&]*&?", "", url.removeprefix(endpoint))
    reply = send(endpoint, "GET", target)
    assert reply.status == 403 and reply.body != b"secret", reply


def test_v4_with_a_date_header_only_is_accepted(endpoint, stored):
    signer = OssV4()
    date = http_date(signer.moment)
    signed = signer.sign("GET", stored)
    assert send(endpoint, "GET", stored, signed).status == 200
    signed = date_only(signer, "GET", stored, date)
    assert send(endpoint, "GET", stored, signed).body == b"secret"


def date_only(signer, method, target, date) -> dict[str, str]:
    """Headers as the older Go SDK sends them: no x-oss-date, the Date line is signed."""
    headers = {"x-oss-content-sha256": UNSIGNED, "Date": date}
    canonical = f"{method}\n{target}\n\nx-oss-content-sha256:{UNSIGNED}\n\n\n{UNSIGNED}"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(("OSS4-HMAC-SHA256", date, signer.scope, hashed))
    credential = f"{signer.account.access_key}/{signer.scope}"
    mac = digest(signer.key, text).hex()
    headers["Authorization"] = f"OSS4-HMAC-SHA256 Credential={credential},Signature={mac}"
    return headers


@pytest.mark.parametrize("minutes", [-16, 16])
@pytest.mark.parametrize("scheme", ["V1", "V4"])
def test_a_clock_too_far_off_is_403(endpoint, stored, scheme, minutes):
    moment = now() + datetime.timedelta(minutes=minutes)
    if scheme == "V1":
        signed = oss_v1("GET", stored, moment=moment)
    else:
        signed = OssV4(moment=moment).sign("GET", stored)
    reply = send(endpoint, "GET", stored, signed)
    is_refused(reply, 403, "RequestTimeTooSkewed")
    assert reply.headers["date"].endswith("GMT")


@pytest.mark.parametrize("scheme", ["V1", "V4"])
def test_wrong_and_unknown_keys_are_403(endpoint, stored, scheme):
    for account, code in ((WRONG, "SignatureDoesNotMatch"), (NOBODY, "InvalidAccessKeyId")):
        if scheme == "V1":
            signed = oss_v1("GET", stored, account=account)
        else:
            signed = OssV4(account).sign("GET", stored)
        is_refused(send(endpoint, "GET", stored, signed), 403, code)


def test_two_schemes_at_once_are_refused(endpoint, stored):
    header = OssV4().sign("GET", stored)
    for target, headers in (
        (OssV4().presign("GET", stored), header),
        (S3V4().presign("GET", endpoint, stored), header),
        (OssV4().presign("GET", stored), S3V4().sign("GET", endpoint, stored)),
    ):
        is_refused(send(endpoint, "GET", target, headers), 400, "InvalidArgument")


def test_a_wrong_product_in_the_scope_is_refused(endpoint, stored):
    signer = OssV4()
    signer.scope = signer.scope.replace("/oss/", "/s3/")
    reply = send(endpoint, "GET", stored, signer.sign("GET", stored))
    assert reply.status in (400, 403) and reply.body != b"secret"


def test_any_region_in_the_scope_is_accepted(endpoint, stored):
    signed = OssV4(region="cn-elsewhere").sign("GET", stored)
    assert REGION != "cn-elsewhere"
    assert send(endpoint, "GET", stored, signed).body == b"secret"


def test_an_error_has_the_fields_clients_print(endpoint, oss4):
    reply = oss_request(endpoint, "GET", f"/{oss4.bucket_name}/missing")
    is_refused(reply, 404, "NoSuchKey")
    assert reply.headers["content-type"].startswith("application/xml")
    assert reply.field("RequestId") == reply.headers["x-oss-request-id"]
    assert reply.field("HostId") and reply.field("Message")
    assert re.fullmatch(r"\d{4}-\d{8}", reply.field("EC"))
    assert reply.headers["x-oss-ec"] == reply.field("EC")
    assert reply.field("Key") == "missing"


def test_a_wrong_signature_shows_what_was_signed(endpoint, stored):
    reply = send(endpoint, "GET", stored, oss_v1("GET", stored, account=WRONG))
    is_refused(reply, 403, "SignatureDoesNotMatch")
    assert reply.field("StringToSign").startswith("GET\n")
    assert reply.field("OSSAccessKeyId") == OWNER.access_key
    assert OWNER.secret_key.encode() not in reply.body


def test_an_error_of_a_head_is_in_a_header(endpoint, oss4):
    reply = oss_request(endpoint, "HEAD", f"/{oss4.bucket_name}/missing")
    assert (reply.status, reply.body) == (404, b"")
    assert b"<Code>NoSuchKey</Code>" in base64.b64decode(reply.headers["x-oss-err"])


@pytest.mark.parametrize("key", ["%2Fleading", "%5Cback"])
def test_a_key_that_begins_with_a_slash_is_refused(endpoint, bucket, key):
    reply = oss_request(endpoint, "PUT", f"/{bucket}/{key}")
    is_refused(reply, 400, "InvalidObjectName")


def test_a_key_of_1024_bytes_is_refused(endpoint, bucket):
    assert oss_request(endpoint, "PUT", f"/{bucket}/{'x' * 1023}").status == 200
    reply = oss_request(endpoint, "PUT", f"/{bucket}/{'x' * 1024}")
    is_refused(reply, 400, "InvalidObjectName")


def test_a_bucket_in_the_host_is_addressed(endpoint, oss4, stored):
    host = f"{oss4.bucket_name}.localhost"
    signed = oss_v1("GET", stored) | {"Host": host}
    assert send(endpoint, "GET", "/k", signed).body == b"secret"
