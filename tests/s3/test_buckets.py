"""Buckets: create, head, list, locate, delete."""

import pytest

from harness import clients
from harness.accounts import OTHER, OWNER
from harness.clients import refused
from harness.sign import s3_request

ELSEWHERE = "eu-west-1"


def test_a_created_bucket_can_be_headed_and_is_listed(s3, bucket):
    s3.head_bucket(Bucket=bucket)
    assert bucket in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


def test_create_answers_with_the_location(s3, fresh_name):
    name = fresh_name()
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"


def test_creating_ones_own_bucket_again_succeeds_in_us_east_1(s3, bucket):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"1")
    s3.create_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"1"


def test_creating_ones_own_bucket_again_is_409_elsewhere(endpoint, fresh_name):
    s3 = clients.s3_client(endpoint, region=ELSEWHERE)
    place = {"LocationConstraint": ELSEWHERE}
    name = fresh_name()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    with refused(409, "BucketAlreadyOwnedByYou"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=place)


def test_a_name_somebody_else_has_is_409(s3_other, bucket):
    with refused(409, "BucketAlreadyExists"):
        s3_other.create_bucket(Bucket=bucket)


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Upper-Case",
        "under_score",
        "-leading",
        "trailing-",
        ".leading",
        "two..dots",
        "192.168.5.4",
    ],
)
def test_a_bad_name_is_refused(s3, name):
    with refused(400, "InvalidBucketName"):
        s3.create_bucket(Bucket=name)


@pytest.mark.parametrize("length", [3, 63])
def test_a_name_of_the_least_and_greatest_length_is_taken(s3, fresh_name, length):
    name = (fresh_name()[7:] * 4)[:length]
    s3.create_bucket(Bucket=name)
    s3.head_bucket(Bucket=name)
    s3.delete_bucket(Bucket=name)


def test_a_name_with_dots_is_taken(s3, fresh_name):
    name = f"{fresh_name()}.with.dots"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"1")
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"1"
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)


def test_a_missing_bucket_is_404_for_every_call(s3, fresh_name):
    name = fresh_name()
    with refused(404):
        s3.head_bucket(Bucket=name)
    for call in (s3.list_objects_v2, s3.list_objects, s3.get_bucket_location, s3.delete_bucket):
        with refused(404, "NoSuchBucket"):
            call(Bucket=name)
    with refused(404, "NoSuchBucket"):
        s3.put_object(Bucket=name, Key="k", Body=b"1")
    with refused(404, "NoSuchBucket"):
        s3.get_object(Bucket=name, Key="k")


def test_a_bucket_with_an_object_is_not_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    with refused(409, "BucketNotEmpty"):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    with refused(404):
        s3.head_bucket(Bucket=bucket)


def test_a_bucket_with_only_a_delete_marker_is_not_deleted(s3, versioned):
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    with refused(409, "BucketNotEmpty"):
        s3.delete_bucket(Bucket=versioned)
    s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    s3.delete_bucket(Bucket=versioned)


def test_a_new_bucket_of_the_same_name_is_empty(s3, bucket):
    s3.put_object(Bucket=bucket, Key="old", Body=b"1")
    s3.delete_object(Bucket=bucket, Key="old")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)


def test_location_is_the_region_but_for_us_east_1(s3, endpoint, bucket, fresh_name):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    name = fresh_name()
    there = clients.s3_client(endpoint, region=ELSEWHERE)
    place = {"LocationConstraint": ELSEWHERE}
    there.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    assert there.get_bucket_location(Bucket=name)["LocationConstraint"] == ELSEWHERE
    head = there.head_bucket(Bucket=name)
    assert head["BucketRegion"] == ELSEWHERE


def test_list_buckets_shows_only_ones_own(s3, s3_other, bucket, other_bucket):
    mine = [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    theirs = [entry["Name"] for entry in s3_other.list_buckets()["Buckets"]]
    assert bucket in mine and bucket not in theirs
    assert other_bucket in theirs and other_bucket not in mine


def test_list_buckets_names_the_owner_by_canonical_id(s3, s3_other):
    assert s3.list_buckets()["Owner"]["ID"] == OWNER.canonical_id
    assert s3_other.list_buckets()["Owner"]["ID"] == OTHER.canonical_id


def test_list_buckets_comes_in_pages_and_by_prefix(s3, fresh_name):
    prefix = fresh_name()
    names = [f"{prefix}-{n}" for n in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    found, token = [], {}
    for size in (2, 2, 1):
        page = s3.list_buckets(Prefix=prefix, MaxBuckets=2, **token)
        found += [entry["Name"] for entry in page["Buckets"]]
        assert len(page["Buckets"]) == size
        token = {"ContinuationToken": page.get("ContinuationToken")}
    assert found == names and token == {"ContinuationToken": None}
    for name in names:
        s3.delete_bucket(Bucket=name)


def test_a_wrong_expected_owner_is_403_and_the_right_one_passes(s3, bucket):
    with refused(403):
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=OTHER.identity)
    with refused(403, "AccessDenied"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", ExpectedBucketOwner=OTHER.identity)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", ExpectedBucketOwner=OWNER.identity)
    with refused(403, "AccessDenied"):
        s3.delete_bucket(Bucket=bucket, ExpectedBucketOwner=OTHER.identity)


def test_a_wrong_expected_owner_of_a_copy_source_is_403(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    with refused(403, "AccessDenied"):
        s3.copy_object(
            Bucket=bucket,
            Key="copy",
            CopySource={"Bucket": bucket, "Key": "k"},
            ExpectedSourceBucketOwner=OTHER.identity,
        )


def test_a_malformed_configuration_is_refused_and_creates_nothing(s3, endpoint, fresh_name):
    name = fresh_name()
    reply = s3_request(endpoint, "PUT", f"/{name}", body=b"<CreateBucketConfiguration><Loc")
    clients.is_refused(reply, 400, "MalformedXML")
    with refused(404):
        s3.head_bucket(Bucket=name)
