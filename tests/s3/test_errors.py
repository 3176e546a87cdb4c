"""Error bodies: code, message, request id, resource, and the fields a code brings along."""

import datetime
import http.client
import re
import xml.etree.ElementTree as ElementTree

import pytest

from harness.accounts import OWNER, Account
from harness.clients import is_refused
from harness.raw import address, send
from harness.sign import S3V4, now, s3_request

WRONG = Account("wrong", "", "", OWNER.access_key, "not-the-secret")


def fields(reply) -> dict[str, str]:
    """The children of <Error>; the body must be well-formed."""
    root = ElementTree.fromstring(reply.body)
    assert root.tag == "Error", reply.body
    return {child.tag: child.text or "" for child in root}


def test_an_error_names_code_message_resource_and_request(endpoint, bucket):
    reply = s3_request(endpoint, "GET", f"/{bucket}/not%20there")
    found = fields(reply)
    assert reply.headers["content-type"].startswith("application/xml")
    assert found["Code"] == "NoSuchKey" and found["Key"] == "not there"
    assert found["Message"] == "The specified key does not exist."
    assert found["RequestId"] == reply.headers["x-amz-request-id"]
    assert "Resource" in found


def test_a_missing_bucket_is_named(endpoint, fresh_name):
    name = fresh_name()
    found = fields(s3_request(endpoint, "GET", f"/{name}"))
    assert found["Code"] == "NoSuchBucket" and found["BucketName"] == name
    assert found["Message"] == "The specified bucket does not exist"


def test_a_wrong_signature_shows_what_was_signed_but_no_secret(endpoint, bucket):
    reply = s3_request(endpoint, "GET", f"/{bucket}", account=WRONG)
    found = fields(reply)
    assert (reply.status, found["Code"]) == (403, "SignatureDoesNotMatch")
    assert found["AWSAccessKeyId"] == OWNER.access_key
    assert found["StringToSign"].startswith("AWS4-HMAC-SHA256\n")
    assert found["CanonicalRequest"].startswith("GET\n")
    assert OWNER.secret_key.encode() not in reply.body


def test_a_clock_too_far_off_shows_both_times(endpoint, bucket):
    past = S3V4(moment=now() - datetime.timedelta(minutes=16))
    reply = send(endpoint, "GET", f"/{bucket}", past.sign("GET", endpoint, f"/{bucket}"))
    found = fields(reply)
    assert (reply.status, found["Code"]) == (403, "RequestTimeTooSkewed")
    assert {"RequestTime", "ServerTime", "MaxAllowedSkewMilliseconds"} <= set(found)


def test_14_minutes_off_are_borne(endpoint, bucket):
    for minutes in (-14, 14):
        moment = now() + datetime.timedelta(minutes=minutes)
        signed = S3V4(moment=moment).sign("GET", endpoint, f"/{bucket}")
        assert send(endpoint, "GET", f"/{bucket}", signed).status == 200


def test_an_error_of_a_head_has_no_body(endpoint, bucket):
    reply = s3_request(endpoint, "HEAD", f"/{bucket}/missing")
    assert (reply.status, reply.body) == (404, b"")


def test_request_ids_differ(endpoint, bucket):
    ids = {s3_request(endpoint, "GET", f"/{bucket}").headers["x-amz-request-id"] for _ in range(5)}
    assert len(ids) == 5 and all(re.fullmatch(r"[\w-]{8,64}", value) for value in ids)


def test_what_a_caller_sends_is_escaped_in_the_answer(endpoint, bucket):
    reply = s3_request(endpoint, "GET", f"/{bucket}/%3Cscript%3E%26")
    assert b"<script>" not in reply.body
    assert fields(reply)["Key"] == "<script>&"


def test_a_connection_serves_many_requests_also_after_errors(endpoint, bucket):
    connection = http.client.HTTPConnection(*address(endpoint), timeout=30)
    for key, status in (("missing", 404), ("", 200), ("missing", 404)):
        target = f"/{bucket}/{key}"
        connection.request("GET", target, headers=S3V4().sign("GET", endpoint, target))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "FOO"])
def test_an_unknown_method_is_refused(endpoint, bucket, method):
    reply = s3_request(endpoint, method, f"/{bucket}/k")
    assert reply.status in (400, 403, 405, 501), reply


def test_a_post_to_a_key_without_a_subresource_is_405(endpoint, bucket):
    is_refused(s3_request(endpoint, "POST", f"/{bucket}/k"), 405, "MethodNotAllowed")
