"""Browser forms of OSS, signed in all three ways."""

import base64
import datetime
import hashlib
import hmac
import json

import pytest
import requests

from harness.accounts import OWNER, REGION


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def mac(key: bytes, text: bytes, kind=hashlib.sha256) -> bytes:
    return hmac.new(key, text, kind).digest()


def policy(bucket: str, *conditions) -> bytes:
    until = (now() + datetime.timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    document = {"expiration": until, "conditions": [{"bucket": bucket}, *conditions]}
    return base64.b64encode(json.dumps(document).encode())


def first(text: bytes) -> dict:
    signature = base64.b64encode(mac(OWNER.secret_key.encode(), text, hashlib.sha1)).decode()
    return {"OSSAccessKeyId": OWNER.access_key, "Signature": signature}


def second(text: bytes) -> dict:
    return {
        "x-oss-signature-version": "OSS2",
        "x-oss-access-key-id": OWNER.access_key,
        "x-oss-signature": base64.b64encode(mac(OWNER.secret_key.encode(), text)).decode(),
    }


def fourth(text: bytes) -> dict:
    moment = now()
    day = moment.strftime("%Y%m%d")
    scope = (day, REGION, "oss", "aliyun_v4_request")
    key = b"aliyun_v4" + OWNER.secret_key.encode()
    for part in scope:
        key = mac(key, part.encode())
    return {
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-credential": "/".join((OWNER.access_key, *scope)),
        "x-oss-date": moment.strftime("%Y%m%dT%H%M%SZ"),
        "x-oss-signature": mac(key, text).hex(),
    }


def send(endpoint, bucket, fields, body=b"hello", kind="text/x") -> requests.Response:
    files = [(field, (None, value)) for field, value in fields.items()]
    files.append(("file", ("file.txt", body, kind)))
    return requests.post(f"{endpoint}/{bucket}/", files=files, timeout=10)


@pytest.mark.parametrize("sign", [first, second, fourth])
def test_a_signed_form_writes_an_object(endpoint, bucket, oss4, sign):
    text = policy(bucket, ["starts-with", "$key", "dir/"], ["content-length-range", 1, 10])
    fields = {"key": "dir/${filename}", "policy": text.decode(), "x-oss-meta-a": "1"}
    answer = send(endpoint, bucket, fields | sign(text))
    assert answer.status_code == 204, answer.text
    assert "x-oss-request-id" in answer.headers
    assert answer.headers["etag"] == f'"{hashlib.md5(b"hello").hexdigest().upper()}"'
    found = oss4.get_object("dir/file.txt")
    assert found.read() == b"hello"
    assert found.headers["content-type"] == "text/x"
    assert found.headers["x-oss-meta-a"] == "1"
    answer = send(endpoint, bucket, fields | sign(text), b"far too long")
    assert answer.status_code == 400 and "EntityTooLarge" in answer.text
    answer = send(endpoint, bucket, fields | sign(text) | {"key": "elsewhere"})
    assert answer.status_code == 403 and "AccessDenied" in answer.text
    answer = send(endpoint, bucket, fields | sign(text + b"="))
    assert answer.status_code == 403 and "SignatureDoesNotMatch" in answer.text
    assert not oss4.object_exists("elsewhere")


def test_the_answer_is_as_the_form_wants(endpoint, bucket, oss4):
    text = policy(bucket)
    fields = {"key": "k", "policy": text.decode(), "success_action_status": "201"} | first(text)
    answer = send(endpoint, bucket, fields)
    assert answer.status_code == 201 and "<Key>k</Key>" in answer.text
    fields |= {"x-oss-content-type": "image/png"}
    assert send(endpoint, bucket, fields).status_code == 201
    assert oss4.head_object("k").headers["content-type"] == "image/png"


def test_a_form_sets_the_acl(endpoint, s3, bucket, oss4):
    text = policy(bucket, {"x-oss-object-acl": "public-read"})
    fields = {"key": "k", "policy": text.decode(), "x-oss-object-acl": "public-read"}
    fields |= first(text)
    answer = send(endpoint, bucket, fields)
    assert answer.status_code == 403, "public ACLs are blocked"
    s3.delete_public_access_block(Bucket=bucket)
    assert send(endpoint, bucket, fields).status_code == 204
    assert requests.get(f"{endpoint}/{bucket}/k", timeout=10).content == b"hello"
    assert oss4.get_object_acl("k").acl == "public-read"
    answer = send(endpoint, bucket, fields | {"x-oss-object-acl": "public-read-write"})
    assert answer.status_code == 403 and "AccessDenied" in answer.text
