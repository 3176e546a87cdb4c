"""OSS objects: put, get, head, meta, delete, metadata, checks of the body."""

import alibabacloud_oss_v2
import pytest

from harness.accounts import OTHER
from harness.clients import is_refused, oss_bucket, refused
from harness.data import KIB, MIB, content_md5, crc64, md5, some_bytes
from harness.raw import send
from harness.sign import oss_request, oss_v1


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 256 * KIB + 1, 3 * MIB + 7])
def test_what_was_put_is_what_is_read(oss, size):
    data = some_bytes(size)
    put = oss.put_object("dir/k", data)
    got = oss.get_object("dir/k")
    assert got.read() == data
    assert put.etag == got.etag == md5(data).upper()
    assert got.content_length == size
    assert put.headers["x-oss-hash-crc64ecma"] == got.headers["x-oss-hash-crc64ecma"]
    assert got.headers["x-oss-hash-crc64ecma"] == crc64(data)


def test_answers_carry_what_clients_read(oss4):
    put = oss4.put_object("k", b"hello")
    assert put.headers["Content-MD5"] == content_md5(b"hello")
    got = oss4.get_object("k")
    assert got.headers["ETag"] == f'"{md5(b"hello").upper()}"'
    assert got.headers["x-oss-object-type"] == "Normal"
    assert got.headers["x-oss-storage-class"] == "Standard"
    assert got.headers["Accept-Ranges"] == "bytes"
    assert got.headers["Content-MD5"] == content_md5(b"hello")
    assert len(got.headers["x-oss-request-id"]) == 24
    assert got.headers["x-oss-server-time"].isdigit()
    assert not [name for name in got.headers if name.lower().startswith("x-amz")]


def test_head_and_meta_tell_about_the_object(oss):
    oss.put_object("k", b"hello", headers={"x-oss-meta-a": "1", "Content-Type": "text/x"})
    head = oss.head_object("k")
    assert (head.content_length, head.content_type) == (5, "text/x")
    assert head.headers["x-oss-meta-a"] == "1"
    meta = oss.get_object_meta("k")
    assert (meta.content_length, meta.etag) == (5, md5(b"hello").upper())
    assert meta.headers["x-oss-hash-crc64ecma"] == crc64(b"hello")
    assert "x-oss-meta-a" not in meta.headers


def test_meta_may_be_asked_for_by_get(oss):
    oss.put_object("k", b"hello", headers={"x-oss-meta-a": "1"})
    got = oss._do("GET", oss.bucket_name, "k", params={"objectMeta": ""})
    assert (got.status, got.headers["ETag"]) == (200, f'"{md5(b"hello").upper()}"')
    assert got.headers["x-oss-hash-crc64ecma"] == crc64(b"hello")
    assert "x-oss-meta-a" not in got.headers


def test_the_time_a_request_took_is_told(oss):
    assert int(oss.put_object("k", b"1").headers["x-oss-server-time"]) >= 1


def test_existence_is_told_apart_from_a_missing_bucket(oss, endpoint, fresh_name):
    oss.put_object("k", b"1")
    assert oss.object_exists("k") and not oss.object_exists("missing")
    with refused(404, "NoSuchBucket"):
        oss_bucket(endpoint, fresh_name()).get_object_meta("k")


def test_system_headers_come_back_as_they_were_sent(oss):
    given = {
        "Cache-Control": "max-age=60",
        "Content-Disposition": 'attachment; filename="a b"',
        "Content-Encoding": "utf-8",
        "Content-Language": "de",
        "Expires": "Wed, 02 Jan 2030 03:04:05 GMT",
    }
    oss.put_object("k", b"1", headers=given)
    head = oss.head_object("k")
    assert {name: head.headers[name] for name in given} == given


def test_metadata_names_come_back_in_lower_case(oss):
    oss.put_object("k", b"1", headers={"X-Oss-Meta-Mixed-Case": "Value"})
    assert oss.head_object("k").headers["x-oss-meta-mixed-case"] == "Value"


def test_non_ascii_metadata_survives(endpoint, oss4):
    value = "naïve 日本"
    target = f"/{oss4.bucket_name}/k"
    signed = oss_v1("PUT", target, {"x-oss-meta-name": value})
    signed["x-oss-meta-name"] = value.encode().decode("latin-1")
    assert send(endpoint, "PUT", target, signed).status == 200
    got = oss_request(endpoint, "HEAD", target).headers["x-oss-meta-name"]
    assert got.encode("latin-1").decode() == value


def test_metadata_up_to_8_kib_is_taken(oss4):
    oss4.put_object("k", b"1", headers={f"x-oss-meta-{n}": "x" * 1000 for n in range(8)})
    assert len(oss4.head_object("k").headers["x-oss-meta-7"]) == 1000
    too_much = {f"x-oss-meta-{n}": "x" * 1000 for n in range(9)}
    with refused(400):
        oss4.put_object("l", b"1", headers=too_much)
    assert not oss4.object_exists("l")


def test_a_wrong_content_md5_leaves_the_old_object(oss):
    oss.put_object("k", b"old")
    with refused(400, "InvalidDigest"):
        oss.put_object("k", b"new", headers={"Content-MD5": content_md5(b"other")})
    assert oss.get_object("k").read() == b"old"


def test_a_missing_key_is_404(oss):
    with refused(404, "NoSuchKey"):
        oss.get_object("missing")
    with refused(404, "NoSuchKey"):
        oss.get_object_meta("missing")
    with refused(404):
        oss.head_object("missing")


def test_delete_removes_and_may_be_repeated(oss):
    oss.put_object("k", b"1")
    for _ in range(2):
        assert oss.delete_object("k").status == 204
    assert not oss.object_exists("k")


def test_forbid_overwrite_keeps_the_first(oss):
    headers = {"x-oss-forbid-overwrite": "true"}
    oss.put_object("k", b"first", headers=headers)
    with refused(409, "FileAlreadyExists"):
        oss.put_object("k", b"second", headers=headers)
    assert oss.get_object("k").read() == b"first"
    oss.put_object("k", b"third", headers={"x-oss-forbid-overwrite": "false"})
    assert oss.get_object("k").read() == b"third"


def test_batch_delete_names_what_went(oss):
    keys = ["a b", "é/日本", "line\nbreak", "<&>"]
    for key in keys:
        oss.put_object(key, b"1")
    oss.put_object("kept", b"1")
    assert sorted(oss.batch_delete_objects(keys).deleted_keys) == sorted(keys)
    assert [entry.key for entry in oss.list_objects().object_list] == ["kept"]


def test_a_quiet_batch_delete_names_nothing(endpoint, oss4):
    oss4.put_object("k", b"1")
    body = b"<Delete><Quiet>true</Quiet><Object><Key>k</Key></Object></Delete>"
    headers = {"Content-MD5": content_md5(body)}
    reply = oss_request(endpoint, "POST", f"/{oss4.bucket_name}/?delete", headers, body)
    assert reply.status == 200 and b"<Deleted>" not in reply.body
    assert not oss4.object_exists("k")


@pytest.mark.parametrize("body", [b"", b"<Delete>", b"<Other/>", b"<!DOCTYPE x><Delete/>"])
def test_a_malformed_batch_delete_is_refused(endpoint, oss4, body):
    headers = {"Content-MD5": content_md5(body)}
    reply = oss_request(endpoint, "POST", f"/{oss4.bucket_name}/?delete", headers, body)
    is_refused(reply, 400, "MalformedXML")


@pytest.mark.parametrize("directive", ["COPY", "REPLACE", "replace"])
def test_a_copy_keeps_or_replaces_metadata(oss, directive):
    oss.put_object("source é", b"hello", headers={"x-oss-meta-a": "1"})
    headers = {"x-oss-metadata-directive": directive, "x-oss-meta-b": "2"}
    copied = oss.copy_object(oss.bucket_name, "source é", "copy", headers)
    assert copied.etag == md5(b"hello").upper()
    head = oss.head_object("copy").headers
    kept, new = ("1", None) if directive == "COPY" else (None, "2")
    assert (head.get("x-oss-meta-a"), head.get("x-oss-meta-b")) == (kept, new)
    assert oss.get_object("copy").read() == b"hello"


@pytest.mark.parametrize("key", ["a b+c/é", "%20+ %2B", "?versionId=x"])
def test_a_source_key_may_have_any_characters(oss, key):
    oss.put_object(key, b"hello")
    oss.copy_object(oss.bucket_name, key, "copy")
    assert oss.get_object("copy").read() == b"hello"


def test_a_delete_marker_cannot_be_copied(oss, versioned):
    oss.put_object("k", b"1")
    marker = oss.delete_object("k").versionid
    with refused(404, "NoSuchKey"):
        oss.copy_object(versioned, "k", "c")
    with refused(400, "InvalidRequest"):
        oss.copy_object(versioned, "k", "c", params={"versionId": marker})


def test_a_copy_onto_itself_changes_metadata(oss):
    oss.put_object("k", b"hello")
    oss.update_object_meta("k", {"x-oss-meta-new": "1"})
    got = oss.get_object("k")
    assert (got.read(), got.headers["x-oss-meta-new"]) == (b"hello", "1")


def test_a_copy_obeys_its_conditions(oss):
    oss.put_object("k", b"hello")
    etag = oss.head_object("k").headers["ETag"]
    name = oss.bucket_name
    with refused(412, "PreconditionFailed"):
        oss.copy_object(name, "k", "c", {"x-oss-copy-source-if-match": '"other"'})
    with refused(304):
        oss.copy_object(name, "k", "c", {"x-oss-copy-source-if-none-match": etag})
    assert not oss.object_exists("c")
    oss.copy_object(name, "k", "c", {"x-oss-copy-source-if-match": etag})
    assert oss.object_exists("c")


def test_a_copy_source_one_may_not_read_is_403(oss, s3_other, other_bucket):
    s3_other.put_object(Bucket=other_bucket, Key="k", Body=b"secret")
    with refused(403, "AccessDenied"):
        oss.copy_object(other_bucket, "k", "c")


def test_conditional_reads(oss):
    oss.put_object("k", b"hello")
    etag = oss.head_object("k").headers["ETag"]
    assert oss.get_object("k", headers={"If-Match": etag}).read() == b"hello"
    with refused(412, "PreconditionFailed"):
        oss.get_object("k", headers={"If-Match": '"other"'})
    with refused(304):
        oss.get_object("k", headers={"If-None-Match": etag})


@pytest.mark.parametrize(
    ("span", "expected"),
    [((0, 0), b"0"), ((2, 4), b"234"), ((7, None), b"789"), ((None, 3), b"789")],
)
def test_a_range_gives_just_these_bytes(oss, span, expected):
    oss.put_object("k", b"0123456789")
    got = oss.get_object("k", byte_range=span)
    assert (got.status, got.read()) == (206, expected)


def test_a_range_behind_the_end_gives_all_unless_standard_is_asked(oss):
    oss.put_object("k", b"0123456789")
    got = oss.get_object("k", byte_range=(20, 30))
    assert (got.status, got.read()) == (200, b"0123456789")
    with refused(416, "InvalidRange"):
        oss.get_object("k", (20, 30), {"x-oss-range-behavior": "standard"})


def test_response_overrides_count_on_signed_requests_only(oss):
    oss.put_object("k", b"1")
    params = {"response-content-type": "text/html", "response-cache-control": "no-store"}
    got = oss.get_object("k", params=params)
    assert got.headers["Content-Type"] == "text/html"
    assert got.headers["Cache-Control"] == "no-store"


def test_zero_bytes_sent_chunked_make_a_folder(endpoint, oss4):
    target = f"/{oss4.bucket_name}/folder%2F"
    signed = oss_v1("PUT", f"/{oss4.bucket_name}/folder/")
    reply = send(endpoint, "PUT", target, signed | {"Transfer-Encoding": "chunked"}, b"0\r\n\r\n")
    assert reply.status == 200, reply
    assert oss4.head_object("folder/").content_length == 0


def test_gzip_is_never_made_on_the_fly(endpoint, oss4):
    oss4.put_object("k", b"a" * 10_000)
    headers = {"Accept-Encoding": "gzip"}
    reply = oss_request(endpoint, "GET", f"/{oss4.bucket_name}/k", headers)
    assert "content-encoding" not in reply.headers and reply.body == b"a" * 10_000


def test_the_newer_sdk_puts_gets_copies_and_deletes(oss_v2, bucket):
    sdk = alibabacloud_oss_v2
    data = some_bytes(100_000)
    put = oss_v2.put_object(
        sdk.PutObjectRequest(bucket=bucket, key="a é/+", body=data, metadata={"n": "1"})
    )
    assert put.hash_crc64 == crc64(data)
    got = oss_v2.get_object(sdk.GetObjectRequest(bucket=bucket, key="a é/+"))
    assert (got.body.read(), got.metadata["n"]) == (data, "1")
    copy = sdk.CopyObjectRequest(bucket=bucket, key="b", source_key="a é/+")
    assert oss_v2.copy_object(copy).etag == f'"{md5(data).upper()}"'
    assert oss_v2.is_object_exist(bucket, "b")
    oss_v2.delete_object(sdk.DeleteObjectRequest(bucket=bucket, key="b"))
    assert not oss_v2.is_object_exist(bucket, "b")
    with refused(404, "NoSuchKey"):
        oss_v2.head_object(sdk.HeadObjectRequest(bucket=bucket, key="b"))


def test_the_other_account_and_the_anonymous_get_nothing(endpoint, oss4):
    oss4.put_object("k", b"secret")
    for stranger in (
        oss_bucket(endpoint, oss4.bucket_name, "V1", OTHER),
        oss_bucket(endpoint, oss4.bucket_name, "V4", OTHER),
    ):
        for call in (stranger.get_object, stranger.delete_object, stranger.get_object_meta):
            with refused(403, "AccessDenied"):
                call("k")
        with refused(403, "AccessDenied"):
            stranger.list_objects()
    with refused(403, "AccessDenied"):
        oss_bucket(endpoint, oss4.bucket_name, account=None).get_object("k")
    assert oss4.get_object("k").read() == b"secret"
