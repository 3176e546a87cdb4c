"""Lists of objects: versions 1 and 2, with every parameter."""

import pytest

from harness.accounts import OWNER
from harness.clients import is_refused, refused
from harness.sign import s3_request

KEYS = ["a", "b/1", "b/2", "b/c/3", "b0", "d/4", "é", "日本"]


@pytest.fixture
def filled(s3, bucket):
    """A bucket with KEYS, put in another order."""
    for key in reversed(KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def keys(page) -> list[str]:
    return [entry["Key"] for entry in page.get("Contents", [])]


def prefixes(page) -> list[str]:
    return [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]


def test_keys_come_in_the_order_of_their_bytes(s3, filled):
    assert keys(s3.list_objects(Bucket=filled)) == KEYS
    assert keys(s3.list_objects_v2(Bucket=filled)) == KEYS


def test_an_entry_tells_size_etag_time_and_class(s3, filled):
    entry = s3.list_objects_v2(Bucket=filled, Prefix="a")["Contents"][0]
    assert (entry["Size"], entry["StorageClass"]) == (1, "STANDARD")
    head = s3.head_object(Bucket=filled, Key="a")
    assert entry["ETag"] == head["ETag"]
    assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]


def test_version_1_names_the_owner_and_version_2_only_when_asked(s3, filled):
    assert s3.list_objects(Bucket=filled)["Contents"][0]["Owner"]["ID"] == OWNER.canonical_id
    assert "Owner" not in s3.list_objects_v2(Bucket=filled)["Contents"][0]
    asked = s3.list_objects_v2(Bucket=filled, FetchOwner=True)["Contents"][0]
    assert asked["Owner"]["ID"] == OWNER.canonical_id


@pytest.mark.parametrize(
    ("prefix", "delimiter", "expected_keys", "expected_prefixes"),
    [
        ("", "/", ["a", "b0", "é", "日本"], ["b/", "d/"]),
        ("b/", "/", ["b/1", "b/2"], ["b/c/"]),
        ("b", "/", ["b0"], ["b/"]),
        ("b/c", "/", [], ["b/c/"]),
        ("none", "/", [], []),
        ("b", "", ["b/1", "b/2", "b/c/3", "b0"], []),
        ("", "/c/", ["a", "b/1", "b/2", "b0", "d/4", "é", "日本"], ["b/c/"]),
        ("", "b", ["a", "d/4", "é", "日本"], ["b"]),
        ("", "本", ["a", "b/1", "b/2", "b/c/3", "b0", "d/4", "é"], ["日本"]),
    ],
)
def test_prefix_and_delimiter_fold_keys(
    s3, filled, prefix, delimiter, expected_keys, expected_prefixes
):
    for call in (s3.list_objects, s3.list_objects_v2):
        page = call(Bucket=filled, Prefix=prefix, Delimiter=delimiter)
        assert (keys(page), prefixes(page)) == (expected_keys, expected_prefixes)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 1000])
def test_version_2_in_pages_gives_everything_once(s3, filled, size):
    found, folded, token = [], [], {}
    while True:
        page = s3.list_objects_v2(Bucket=filled, MaxKeys=size, Delimiter="/", **token)
        got = len(keys(page)) + len(prefixes(page))
        assert got <= size and page["KeyCount"] == got and page["MaxKeys"] == size
        found += keys(page)
        folded += prefixes(page)
        if not page["IsTruncated"]:
            assert "NextContinuationToken" not in page
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    assert (found, folded) == (["a", "b0", "é", "日本"], ["b/", "d/"])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 1000])
def test_version_1_in_pages_gives_everything_once(s3, filled, size):
    found, folded, marker = [], [], ""
    while True:
        page = s3.list_objects(Bucket=filled, MaxKeys=size, Delimiter="/", Marker=marker)
        found += keys(page)
        folded += prefixes(page)
        if not page["IsTruncated"]:
            break
        marker = page["NextMarker"]
    assert (found, folded) == (["a", "b0", "é", "日本"], ["b/", "d/"])


def test_version_1_gives_a_next_marker_only_with_a_delimiter(s3, filled):
    page = s3.list_objects(Bucket=filled, MaxKeys=2)
    assert page["IsTruncated"] and "NextMarker" not in page
    assert keys(s3.list_objects(Bucket=filled, Marker=keys(page)[-1])) == KEYS[2:]


def test_max_keys_of_zero_gives_nothing_and_is_not_truncated(s3, filled):
    for call in (s3.list_objects, s3.list_objects_v2):
        page = call(Bucket=filled, MaxKeys=0)
        assert (keys(page), page["IsTruncated"], page["MaxKeys"]) == ([], False, 0)


def test_more_than_1000_are_never_given_at_once(s3, filled):
    page = s3.list_objects_v2(Bucket=filled, MaxKeys=5000)
    assert keys(page) == KEYS and page["MaxKeys"] == 1000


@pytest.mark.parametrize("value", ["-1", "abc", "1.5", "99999999999999999999"])
def test_a_bad_max_keys_is_refused(endpoint, bucket, value):
    for query in (f"max-keys={value}", f"list-type=2&max-keys={value}"):
        is_refused(s3_request(endpoint, "GET", f"/{bucket}?{query}"), 400, "InvalidArgument")


def test_start_after_begins_behind_a_key_that_need_not_exist(s3, filled):
    assert keys(s3.list_objects_v2(Bucket=filled, StartAfter="b/2")) == KEYS[3:]
    assert keys(s3.list_objects_v2(Bucket=filled, StartAfter="b/15")) == KEYS[2:]
    assert keys(s3.list_objects_v2(Bucket=filled, StartAfter="zzzz日")) == KEYS[6:]
    assert keys(s3.list_objects_v2(Bucket=filled, StartAfter="\U0010ffff")) == []


def test_a_continuation_token_wins_over_start_after(s3, filled):
    first = s3.list_objects_v2(Bucket=filled, StartAfter="a", MaxKeys=1)
    token = first["NextContinuationToken"]
    page = s3.list_objects_v2(Bucket=filled, StartAfter="a", ContinuationToken=token)
    assert keys(page) == KEYS[2:] and page["ContinuationToken"] == token


def test_a_marker_inside_a_folded_prefix_does_not_repeat_it(s3, filled):
    page = s3.list_objects(Bucket=filled, Marker="b/", Delimiter="/")
    assert (keys(page), prefixes(page)) == (["b0", "é", "日本"], ["d/"])


def test_a_token_nobody_gave_is_refused(s3, filled):
    with refused(400, "InvalidArgument"):
        s3.list_objects_v2(Bucket=filled, ContinuationToken="nobody gave this")


def test_encoding_type_url_encodes_keys_and_prefixes(s3, endpoint, bucket):
    for key in ("a b+c", "dir é/x", "line\nbreak"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    target = f"/{bucket}?list-type=2&encoding-type=url&delimiter=%2F&prefix="
    text = s3_request(endpoint, "GET", target).body.decode()
    assert "<EncodingType>url</EncodingType>" in text
    assert "<Prefix>dir%20%C3%A9/</Prefix>" in text or "<Prefix>dir+%C3%A9/</Prefix>" in text
    assert "<Key>a%20b%2Bc</Key>" in text or "<Key>a+b%2Bc</Key>" in text
    assert "<Key>line%0Abreak</Key>" in text


def test_without_encoding_type_control_characters_are_character_references(s3, endpoint, bucket):
    s3.put_object(Bucket=bucket, Key="tab\tcr\rlf\nend <&>", Body=b"")
    text = s3_request(endpoint, "GET", f"/{bucket}?list-type=2").body.decode()
    shown = text.partition("<Key>")[2].partition("</Key>")[0].replace("&#9;", "&#x9;")
    shown = shown.replace("&#13;", "&#xD;").replace("&#10;", "&#xA;")
    assert shown == "tab&#x9;cr&#xD;lf&#xA;end &lt;&amp;&gt;"


def test_an_unknown_encoding_type_is_refused(endpoint, bucket):
    reply = s3_request(endpoint, "GET", f"/{bucket}?encoding-type=base64")
    is_refused(reply, 400, "InvalidArgument")


def test_a_list_shows_a_write_at_once(s3, bucket):
    for n in range(20):
        s3.put_object(Bucket=bucket, Key=f"{n:02}", Body=b"")
        assert len(keys(s3.list_objects_v2(Bucket=bucket))) == n + 1
    for n in range(20):
        s3.delete_object(Bucket=bucket, Key=f"{n:02}")
        assert len(keys(s3.list_objects_v2(Bucket=bucket))) == 19 - n


def test_a_list_of_more_than_1000_comes_in_pages(s3, bucket):
    names = [f"k{n:04}" for n in range(1003)]
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=b"")
    first = s3.list_objects_v2(Bucket=bucket)
    assert first["IsTruncated"] and keys(first) == names[:1000]
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])
    assert keys(rest) == names[1000:] and not rest["IsTruncated"]


def test_a_list_of_an_empty_bucket_is_empty(s3, bucket):
    page = s3.list_objects_v2(Bucket=bucket)
    assert (page["KeyCount"], page["IsTruncated"], page["Name"]) == (0, False, bucket)
    assert "Contents" not in page


def test_a_prefix_comes_back_as_it_was_asked_for(s3, filled):
    prefix = "a b/+%"
    for answer in (
        s3.list_objects(Bucket=filled, Prefix=prefix),
        s3.list_objects_v2(Bucket=filled, Prefix=prefix),
        s3.list_object_versions(Bucket=filled, Prefix=prefix),
    ):
        assert answer["Prefix"] == prefix
