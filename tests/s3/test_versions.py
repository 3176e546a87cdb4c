"""Versioning: enabled, suspended, null versions, delete markers, version lists."""

import pytest

from harness.clients import is_refused, refused
from harness.sign import s3_request


def put(s3, bucket, body: bytes, key="k") -> str | None:
    return s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId")


def read(s3, bucket, key="k", **version) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key, **version)["Body"].read()


def suspend(s3, bucket):
    status = {"Status": "Suspended"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)


def listed(s3, bucket, **options) -> list[tuple]:
    """(key, version id, kind, is latest) of all in a version list, newest first per key."""
    page = s3.list_object_versions(Bucket=bucket, **options)
    rows = [
        (entry["Key"], entry["VersionId"], kind, entry["IsLatest"])
        for kind, name in (("version", "Versions"), ("marker", "DeleteMarkers"))
        for entry in page.get(name, [])
    ]
    # boto3 hands out versions and markers apart; a marker here is always the latest of its key.
    return sorted(rows, key=lambda row: (row[0], not row[3]))


def test_versioning_is_unset_enabled_suspended(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended", "Enabled"):
        wanted = {"Status": status}
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=wanted)
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def test_an_unknown_status_is_refused(endpoint, bucket):
    body = b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>"
    reply = s3_request(endpoint, "PUT", f"/{bucket}?versioning", body=body)
    is_refused(reply, 400, "MalformedXML", "IllegalVersioningConfigurationException")


def test_without_versioning_there_is_one_version_called_null(s3, bucket):
    assert put(s3, bucket, b"1") is None
    put(s3, bucket, b"2")
    assert listed(s3, bucket) == [("k", "null", "version", True)]
    assert read(s3, bucket, VersionId="null") == b"2"


def test_every_version_can_be_read_and_headed(s3, versioned):
    ids = [put(s3, versioned, body) for body in (b"1", b"22", b"333")]
    assert len(set(ids)) == 3
    assert read(s3, versioned) == b"333"
    for number, version in enumerate(ids, 1):
        body = str(number).encode() * number
        assert read(s3, versioned, VersionId=version) == body
        head = s3.head_object(Bucket=versioned, Key="k", VersionId=version)
        assert (head["ContentLength"], head["VersionId"]) == (number, version)


def test_a_delete_adds_a_marker_and_removing_it_brings_the_object_back(s3, versioned):
    put(s3, versioned, b"1")
    deleted = s3.delete_object(Bucket=versioned, Key="k")
    assert deleted["DeleteMarker"] is True
    with refused(404, "NoSuchKey") as caught:
        s3.get_object(Bucket=versioned, Key="k")
    headers = caught.reply.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-delete-marker"] == "true"
    assert headers["x-amz-version-id"] == deleted["VersionId"]
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    undone = s3.delete_object(Bucket=versioned, Key="k", VersionId=deleted["VersionId"])
    assert (undone["DeleteMarker"], undone["VersionId"]) == (True, deleted["VersionId"])
    assert read(s3, versioned) == b"1"


def test_a_marker_cannot_be_read_by_its_version(s3, versioned):
    put(s3, versioned, b"1")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused(405, "MethodNotAllowed") as caught:
        s3.get_object(Bucket=versioned, Key="k", VersionId=marker)
    headers = caught.reply.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-delete-marker"] == "true" and headers["allow"] == "DELETE"
    with refused(405):
        s3.head_object(Bucket=versioned, Key="k", VersionId=marker)


def test_deleting_the_latest_version_uncovers_the_one_before(s3, versioned):
    put(s3, versioned, b"1")
    second = put(s3, versioned, b"2")
    gone = s3.delete_object(Bucket=versioned, Key="k", VersionId=second)
    assert gone["VersionId"] == second and "DeleteMarker" not in gone
    assert read(s3, versioned) == b"1"
    with refused(404, "NoSuchVersion"):
        read(s3, versioned, VersionId=second)


def test_deleting_a_version_that_is_not_there_succeeds(s3, versioned):
    version = put(s3, versioned, b"1")
    for _ in range(2):
        s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
    assert listed(s3, versioned) == []


def test_a_version_id_nobody_gave_is_refused(s3, versioned):
    put(s3, versioned, b"1")
    with refused(400, "InvalidArgument"):
        read(s3, versioned, VersionId="nobody-gave-this")


def test_the_object_from_before_versioning_is_the_null_version(s3, bucket):
    put(s3, bucket, b"before")
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    after = put(s3, bucket, b"after")
    assert listed(s3, bucket) == [
        ("k", after, "version", True),
        ("k", "null", "version", False),
    ]
    assert read(s3, bucket, VersionId="null") == b"before"


def test_while_suspended_a_put_replaces_only_the_null_version(s3, versioned):
    first = put(s3, versioned, b"1")
    suspend(s3, versioned)
    for body in (b"2", b"3"):
        s3.put_object(Bucket=versioned, Key="k", Body=body)
    assert read(s3, versioned) == b"3"
    assert read(s3, versioned, VersionId=first) == b"1"
    assert listed(s3, versioned) == [
        ("k", "null", "version", True),
        ("k", first, "version", False),
    ]


def test_while_suspended_a_delete_puts_a_null_marker(s3, versioned):
    first = put(s3, versioned, b"1")
    suspend(s3, versioned)
    put(s3, versioned, b"2")
    deleted = s3.delete_object(Bucket=versioned, Key="k")
    assert (deleted["DeleteMarker"], deleted["VersionId"]) == (True, "null")
    assert listed(s3, versioned) == [
        ("k", "null", "marker", True),
        ("k", first, "version", False),
    ]
    s3.delete_object(Bucket=versioned, Key="k", VersionId="null")
    assert read(s3, versioned) == b"1"


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_version_list_in_pages_gives_all_in_order(s3, versioned, size):
    for key in ("a", "b", "b/c"):
        for body in (b"1", b"2", b"3"):
            put(s3, versioned, body, key)
    s3.delete_object(Bucket=versioned, Key="b")
    whole, found, markers = listed(s3, versioned), [], {}
    while True:
        page = s3.list_object_versions(Bucket=versioned, MaxKeys=size, **markers)
        found += listed(s3, versioned, MaxKeys=size, **markers)
        if not page["IsTruncated"]:
            break
        markers = {
            "KeyMarker": page["NextKeyMarker"],
            "VersionIdMarker": page["NextVersionIdMarker"],
        }
    assert len(whole) == 10 and found == whole
    assert [row[3] for row in whole].count(True) == 3


def test_a_version_list_folds_by_delimiter_and_prefix(s3, versioned):
    for key in ("a/1", "a/2", "b"):
        put(s3, versioned, b"", key)
    page = s3.list_object_versions(Bucket=versioned, Delimiter="/")
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == ["a/"]
    assert [entry["Key"] for entry in page["Versions"]] == ["b"]
    page = s3.list_object_versions(Bucket=versioned, Prefix="a/")
    assert [entry["Key"] for entry in page["Versions"]] == ["a/1", "a/2"]


def test_a_key_marker_alone_begins_behind_all_versions_of_that_key(s3, versioned):
    for key in ("a", "a", "b"):
        put(s3, versioned, b"", key)
    page = s3.list_object_versions(Bucket=versioned, KeyMarker="a")
    assert [entry["Key"] for entry in page["Versions"]] == ["b"]


def test_a_version_marker_without_a_key_marker_is_refused(endpoint, bucket):
    reply = s3_request(endpoint, "GET", f"/{bucket}?versions&version-id-marker=x")
    is_refused(reply, 400, "InvalidArgument")


def test_versions_are_listed_newest_first(s3, versioned):
    ids = [put(s3, versioned, str(n).encode()) for n in range(5)]
    page = s3.list_object_versions(Bucket=versioned)
    assert [entry["VersionId"] for entry in page["Versions"]] == ids[::-1]


def test_an_object_list_shows_only_the_latest_versions(s3, versioned):
    for key in ("a", "a", "b", "c"):
        put(s3, versioned, b"", key)
    s3.delete_object(Bucket=versioned, Key="b")
    page = s3.list_objects_v2(Bucket=versioned)
    assert [entry["Key"] for entry in page["Contents"]] == ["a", "c"]
