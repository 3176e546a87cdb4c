"""OSS lists: version 1 and 2, object versions, uploads."""

import alibabacloud_oss_v2
import oss2
import pytest

from harness.sign import oss_request

KEYS = ["a", "b/1", "b/2", "b/c/3", "b0", "d/4", "é", "日本"]


@pytest.fixture
def filled(oss):
    """A bucket with KEYS, put in another order."""
    for key in reversed(KEYS):
        oss.put_object(key, key.encode())
    return oss


def keys(page) -> list[str]:
    return [entry.key for entry in page.object_list]


def test_keys_come_in_the_order_of_their_bytes(filled):
    assert keys(filled.list_objects()) == KEYS
    assert keys(filled.list_objects_v2()) == KEYS


def test_an_entry_tells_what_clients_need(filled):
    entry = filled.list_objects(prefix="a").object_list[0]
    head = filled.head_object("a")
    assert (entry.size, entry.type, entry.storage_class) == (1, "Normal", "Standard")
    assert entry.etag == head.etag
    assert abs(entry.last_modified - head.last_modified) <= 1


def test_100_is_the_default_and_1000_the_most(endpoint, oss4):
    for n in range(101):
        oss4.put_object(f"{n:03}", b"")
    text = oss_request(endpoint, "GET", f"/{oss4.bucket_name}/").body
    assert b"<MaxKeys>100</MaxKeys>" in text and text.count(b"<Contents>") == 100
    page = oss4.list_objects(max_keys=100)
    assert page.is_truncated and page.next_marker == "099"
    reply = oss_request(endpoint, "GET", f"/{oss4.bucket_name}/?max-keys=1001")
    assert b"<MaxKeys>1000</MaxKeys>" in reply.body or reply.code == "InvalidArgument"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_version_1_in_pages_gives_everything_once(filled, size, delimiter):
    found, folded, marker = [], [], ""
    while True:
        page = filled.list_objects(delimiter=delimiter, max_keys=size, marker=marker)
        found += keys(page)
        folded += page.prefix_list
        if not page.is_truncated:
            break
        marker = page.next_marker
    expected = (["a", "b0", "é", "日本"], ["b/", "d/"]) if delimiter else (KEYS, [])
    assert (found, folded) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_version_2_in_pages_gives_everything_once(filled, size):
    found, folded, token = [], [], ""
    while True:
        page = filled.list_objects_v2(delimiter="/", max_keys=size, continuation_token=token)
        found += keys(page)
        folded += page.prefix_list
        if not page.is_truncated:
            break
        token = page.next_continuation_token
    assert (found, folded) == (["a", "b0", "é", "日本"], ["b/", "d/"])


def test_start_after_and_owner_of_version_2(filled):
    page = filled.list_objects_v2(start_after="b/2", fetch_owner=True)
    assert keys(page) == KEYS[3:] and page.object_list[0].owner.id
    assert filled.list_objects_v2().object_list[0].owner is None


def test_odd_keys_come_back_through_url_encoding(oss):
    odd = sorted(["a b+c%", "line\nbreak", "<&>'\"", "tab\t", "ünï/日本 +"], key=str.encode)
    for key in odd:
        oss.put_object(key, b"")
    assert keys(oss.list_objects()) == odd


def test_without_encoding_type_control_characters_are_character_references(endpoint, oss4):
    oss4.put_object("tab\tcr\rlf\nend", b"")
    text = oss_request(endpoint, "GET", f"/{oss4.bucket_name}/").body.decode()
    shown = text.partition("<Key>")[2].partition("</Key>")[0].lower()
    shown = shown.replace("&#9;", "&#x9;").replace("&#13;", "&#xd;").replace("&#10;", "&#xa;")
    assert shown == "tab&#x9;cr&#xd;lf&#xa;end"
    assert "xmlns" not in text


def test_a_space_is_encoded_as_percent_20_and_a_plus_as_percent_2b(endpoint, oss4):
    oss4.put_object("a b+c", b"")
    target = f"/{oss4.bucket_name}/?encoding-type=url"
    assert b"<Key>a%20b%2Bc</Key>" in oss_request(endpoint, "GET", target).body


def test_valueless_parameters_mean_empty_ones(endpoint, oss4):
    oss4.put_object("k", b"")
    target = f"/{oss4.bucket_name}/?delimiter&encoding-type=url&marker&max-keys=1000&prefix"
    assert b"<Key>k</Key>" in oss_request(endpoint, "GET", target).body


def enable_versioning(bucket):
    config = oss2.models.BucketVersioningConfig()
    config.status = "Enabled"
    bucket.put_bucket_versioning(config)


def test_versions_and_markers_are_listed_read_and_deleted(oss):
    enable_versioning(oss)
    first = oss.put_object("k", b"first").versionid
    second = oss.put_object("k", b"second").versionid
    marker = oss.delete_object("k")
    assert marker.delete_marker is True
    page = oss.list_object_versions()
    shown = [(entry.versionid, entry.is_latest) for entry in page.versions]
    assert shown == [(second, False), (first, False)]
    assert [(entry.versionid, entry.is_latest) for entry in page.delete_marker] == [
        (marker.versionid, True)
    ]
    assert oss.get_object("k", params={"versionId": first}).read() == b"first"
    oss.delete_object("k", params={"versionId": marker.versionid})
    assert oss.get_object("k").read() == b"second"
    gone = [oss2.models.BatchDeleteObjectVersion("k", version) for version in (first, second)]
    versions = oss2.models.BatchDeleteObjectVersionList(gone)
    assert len(oss.delete_object_versions(versions).delete_versions) == 2
    assert oss.list_object_versions().versions == []


def test_version_lists_come_in_pages(oss):
    enable_versioning(oss)
    ids = {oss.put_object(key, b"").versionid for key in ("a", "a", "b") for _ in range(2)}
    found, marks = set(), ("", "")
    while True:
        page = oss.list_object_versions(max_keys=1, key_marker=marks[0], versionid_marker=marks[1])
        assert len(page.versions) == 1
        found.add(page.versions[0].versionid)
        if not page.is_truncated:
            break
        marks = (page.next_key_marker, page.next_versionid_marker)
    assert found == ids


def test_uploads_come_in_pages(oss):
    ids = {oss.init_multipart_upload(key).upload_id for key in ("a", "b é", "b é", "c")}
    found, marks = set(), ("", "")
    while True:
        page = oss.list_multipart_uploads(
            max_uploads=1, key_marker=marks[0], upload_id_marker=marks[1]
        )
        found |= {entry.upload_id for entry in page.upload_list}
        if not page.is_truncated:
            break
        marks = (page.next_key_marker, page.next_upload_id_marker)
    assert found == ids


def test_the_newer_sdk_pages_through_a_list(oss_v2, filled):
    sdk = alibabacloud_oss_v2
    paginator = oss_v2.list_objects_v2_paginator(limit=3)
    request = sdk.ListObjectsV2Request(bucket=filled.bucket_name)
    pages = list(paginator.iter_page(request))
    assert [entry.key for page in pages for entry in page.contents] == KEYS
