"""DeleteObjects: many keys in one request."""

import pytest

from harness.accounts import OTHER
from harness.clients import is_refused, refused
from harness.data import content_md5
from harness.sign import s3_request


@pytest.fixture
def filled(s3, bucket) -> str:
    """A bucket with the keys a, b and c."""
    for key in "abc":
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    return bucket


def left(s3, bucket) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def delete(s3, bucket, *objects, quiet=False):
    return s3.delete_objects(Bucket=bucket, Delete={"Objects": list(objects), "Quiet": quiet})


def request(endpoint, bucket, body: bytes, **headers):
    """The same with a body of our own."""
    headers = {"Content-MD5": content_md5(body)} | headers
    return s3_request(endpoint, "POST", f"/{bucket}?delete", headers, body)


def test_the_named_keys_go_and_are_told(s3, filled):
    done = delete(s3, filled, {"Key": "a"}, {"Key": "c"})
    assert sorted(entry["Key"] for entry in done["Deleted"]) == ["a", "c"]
    assert "Errors" not in done and left(s3, filled) == ["b"]


def test_quiet_tells_only_errors(s3, filled):
    done = delete(s3, filled, {"Key": "a"}, {"Key": "b"}, quiet=True)
    assert "Deleted" not in done and "Errors" not in done
    assert left(s3, filled) == ["c"]


def test_missing_keys_count_as_deleted(s3, filled):
    done = delete(s3, filled, {"Key": "missing"})
    assert [entry["Key"] for entry in done["Deleted"]] == ["missing"]


def test_odd_keys_are_told_as_they_are(s3, bucket):
    odd = ["a b", "<&>\"'", "é/日本", "line\nbreak", "tab\t", "cr\r"]
    for key in odd:
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    done = delete(s3, bucket, *({"Key": key} for key in odd))
    assert sorted(entry["Key"] for entry in done["Deleted"]) == sorted(odd)
    assert left(s3, bucket) == []


def test_versions_can_be_named(s3, versioned):
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=b"1")["VersionId"] for _ in range(3)]
    done = delete(s3, versioned, *({"Key": "k", "VersionId": version} for version in ids[:2]))
    assert {entry["VersionId"] for entry in done["Deleted"]} == set(ids[:2])
    page = s3.list_object_versions(Bucket=versioned)
    assert [entry["VersionId"] for entry in page["Versions"]] == ids[2:]


def test_in_a_versioned_bucket_each_key_gets_a_marker(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"1")
    done = delete(s3, versioned, {"Key": "k"})["Deleted"][0]
    assert done["DeleteMarker"] is True
    page = s3.list_object_versions(Bucket=versioned)
    assert page["DeleteMarkers"][0]["VersionId"] == done["DeleteMarkerVersionId"]
    gone = {"Key": "k", "VersionId": done["DeleteMarkerVersionId"]}
    assert delete(s3, versioned, gone)["Deleted"][0]["DeleteMarker"] is True
    assert left(s3, versioned) == ["k"]


def test_a_condition_of_one_key_fails_only_that_key(s3, filled):
    etag = s3.head_object(Bucket=filled, Key="a")["ETag"]
    bent = {"Key": "b", "ETag": '"00000000000000000000000000000000"'}
    done = delete(s3, filled, {"Key": "a", "ETag": etag}, bent)
    assert [entry["Key"] for entry in done["Deleted"]] == ["a"]
    assert [(entry["Key"], entry["Code"]) for entry in done["Errors"]] == [
        ("b", "PreconditionFailed")
    ]
    assert left(s3, filled) == ["b", "c"]


def test_1000_keys_go_at_once_and_1001_are_refused(s3, filled):
    keys = [{"Key": f"missing-{n}"} for n in range(998)]
    with refused(400, "MalformedXML"):
        delete(s3, filled, *keys, *({"Key": key} for key in "abc"))
    assert left(s3, filled) == ["a", "b", "c"]
    done = delete(s3, filled, *keys, {"Key": "a"}, {"Key": "b"})
    assert len(done["Deleted"]) == 1000 and left(s3, filled) == ["c"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete></Delete>",
        b"<Delete><Object></Object></Delete>",
        b"<Delete><Object><Key>a</Key></Object>",
        b"<Other><Object><Key>a</Key></Object></Other>",
        b"not xml",
    ],
)
def test_a_malformed_list_is_refused_and_deletes_nothing(s3, endpoint, filled, body):
    is_refused(request(endpoint, filled, body), 400, "MalformedXML", "MissingRequestBodyError")
    assert left(s3, filled) == ["a", "b", "c"]


def test_a_wrong_digest_deletes_nothing(s3, endpoint, filled):
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    wrong = {"Content-MD5": content_md5(b"other")}
    is_refused(request(endpoint, filled, body, **wrong), 400, "BadDigest")
    assert left(s3, filled) == ["a", "b", "c"]


def test_a_namespace_and_a_declaration_are_accepted(s3, endpoint, filled):
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">\n'
        b"  <Quiet>false</Quiet>\n  <Object>\n    <Key>a</Key>\n  </Object>\n</Delete>\n"
    )
    assert request(endpoint, filled, body).status == 200
    assert left(s3, filled) == ["b", "c"]


def test_the_other_account_deletes_nothing(s3, endpoint, filled):
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    headers = {"Content-MD5": content_md5(body)}
    target = f"/{filled}?delete"
    reply = s3_request(endpoint, "POST", target, headers, body, account=OTHER)
    assert reply.status in (200, 403) and reply.code == "AccessDenied"
    assert left(s3, filled) == ["a", "b", "c"]
