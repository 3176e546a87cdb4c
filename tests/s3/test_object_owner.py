"""Whose an object is in a bucket of somebody else, and what that lets each of them do."""

import uuid

import pytest
import requests

from harness.accounts import OTHER, OWNER
from harness.clients import query_client, refused, s3_client
from harness.identities import allow, keys_of, remove
from harness.policies import open_to_policies, policy, statement


def own(s3, bucket, ownership):
    """Sets whose the objects are that others write."""
    rules = {"Rules": [{"ObjectOwnership": ownership}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)


@pytest.fixture
def shared(s3, bucket) -> str:
    """A bucket whose policy lets the other account do everything with objects, and list them."""
    own(s3, bucket, "ObjectWriter")
    everything = ["s3:*Object*", "s3:ListBucket*", "s3:AbortMultipartUpload"]
    others = statement(bucket, everything, principal=OTHER.identity)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(others))
    return bucket


@pytest.fixture(params=[OWNER, OTHER], ids=["of the bucket's account", "of the writer's"])
def user(request, endpoint):
    """A user without policies, its account's IAM, and itself as a client."""
    iam = query_client("iam", endpoint, request.param)
    name = f"t{uuid.uuid4().hex[:12]}"
    iam.create_user(UserName=name)
    yield name, request.param, iam, s3_client(endpoint, keys_of(iam, name))
    remove(iam, "user", name)


def asks(client, bucket) -> dict:
    """What is for the owner of an object to allow."""
    named = {"Bucket": bucket, "Key": "k"}
    return {
        "read": lambda: client.get_object(**named),
        "head": lambda: client.head_object(**named),
        "copy": lambda: client.copy_object(Bucket=bucket, Key="copy", CopySource=named),
        "attributes": lambda: client.get_object_attributes(**named, ObjectAttributes=["ETag"]),
        "acl": lambda: client.get_object_acl(**named),
        "set-acl": lambda: client.put_object_acl(**named, ACL="private"),
        "tags": lambda: client.get_object_tagging(**named),
        "set-tags": lambda: client.put_object_tagging(**named, Tagging={"TagSet": []}),
        "remove-tags": lambda: client.delete_object_tagging(**named),
    }


READS = ["read", "head", "copy"]
ALL = list(asks(None, ""))


def check(client, bucket, *allowed):
    """Those asks that are named pass, the others are refused for want of a right."""
    for name, ask in asks(client, bucket).items():
        if name in allowed:
            ask()
        else:
            with refused(403):
                ask()


@pytest.mark.parametrize(
    ("ownership", "acl", "owners"),
    [
        ("ObjectWriter", {}, []),
        ("ObjectWriter", {"ACL": "bucket-owner-read"}, READS),
        ("ObjectWriter", {"ACL": "bucket-owner-full-control"}, [*READS, "acl", "set-acl"]),
        ("ObjectWriter", {"GrantReadACP": f"id={OWNER.canonical_id}"}, ["acl"]),
        ("BucketOwnerPreferred", {}, []),
        ("BucketOwnerPreferred", {"ACL": "bucket-owner-full-control"}, ALL),
    ],
    ids=str,
)
def test_the_writer_of_an_object_says_who_reads_it(s3, s3_other, shared, ownership, acl, owners):
    own(s3, shared, ownership)
    s3_other.put_object(Bucket=shared, Key="k", Body=b"1", **acl)
    # Its owner, or by the bucket's policy.
    check(s3_other, shared, *ALL)
    s3_other.put_object(Bucket=shared, Key="k", Body=b"1", **acl)
    check(s3, shared, *owners)


def test_the_owner_of_the_bucket_removes_lists_and_replaces_what_others_own(s3, s3_other, shared):
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=shared, VersioningConfiguration=enabled)
    for key in ("a", "b", "c", "d"):
        s3_other.put_object(Bucket=shared, Key=key, Body=b"theirs")
    listed = s3.list_object_versions(Bucket=shared)["Versions"]
    assert [it["Owner"]["ID"] for it in listed] == [OTHER.canonical_id] * 4
    a, b, *_ = listed
    with refused(403):
        s3.head_object(Bucket=shared, Key="a", VersionId=a["VersionId"])
    s3.delete_object(Bucket=shared, Key="a")
    # The marker in its place is nobody's secret, and what it hides no more than before.
    with refused(404, "NoSuchKey"):
        s3.get_object(Bucket=shared, Key="a")
    s3.delete_object(Bucket=shared, Key="a", VersionId=a["VersionId"])
    many = {"Objects": [{"Key": "b", "VersionId": b["VersionId"]}, {"Key": "c"}]}
    assert "Errors" not in s3.delete_objects(Bucket=shared, Delete=many)
    s3.put_object(Bucket=shared, Key="d", Body=b"own")
    assert s3.get_object(Bucket=shared, Key="d")["Body"].read() == b"own"


def test_owning_an_object_is_no_right_to_replace_or_remove_it(s3, s3_other, shared):
    s3_other.put_object(Bucket=shared, Key="k", Body=b"1")
    s3.delete_bucket_policy(Bucket=shared)
    assert s3_other.get_object(Bucket=shared, Key="k")["Body"].read() == b"1"
    s3_other.put_object_acl(Bucket=shared, Key="k", ACL="bucket-owner-read")
    tagging = {"TagSet": [{"Key": "a", "Value": "1"}]}
    s3_other.put_object_tagging(Bucket=shared, Key="k", Tagging=tagging)
    assert s3_other.get_object_tagging(Bucket=shared, Key="k")["TagSet"] == tagging["TagSet"]
    s3_other.delete_object_tagging(Bucket=shared, Key="k")
    for refuse in (
        lambda: s3_other.put_object(Bucket=shared, Key="k", Body=b"2"),
        lambda: s3_other.delete_object(Bucket=shared, Key="k"),
        lambda: s3_other.copy_object(Bucket=shared, Key="l", CopySource=f"{shared}/k"),
        lambda: s3_other.list_objects_v2(Bucket=shared),
    ):
        with refused(403, "AccessDenied"):
            refuse()
    assert s3.get_object(Bucket=shared, Key="k")["Body"].read() == b"1"


def test_a_policy_gives_what_is_the_bucket_owners_and_denies_everything(
    s3, s3_other, s3_anonymous, shared
):
    open_to_policies(s3, shared)
    public = statement(shared, ["s3:*Object", "s3:*ObjectAcl"])
    s3.put_bucket_policy(Bucket=shared, Policy=policy(public))
    for key, client in (("theirs", s3_other), ("own", s3)):
        client.put_object(Bucket=shared, Key=key, Body=b"1")
    for client in (s3, s3_anonymous):
        assert client.get_object(Bucket=shared, Key="own")["Body"].read() == b"1"
        with refused(403, "AccessDenied"):
            client.get_object(Bucket=shared, Key="theirs")
    s3_other.put_object_acl(Bucket=shared, Key="theirs", ACL="public-read")
    for client in (s3, s3_anonymous):
        assert client.get_object(Bucket=shared, Key="theirs")["Body"].read() == b"1"
    denied = statement(shared, "s3:GetObject", allow=False)
    s3.put_bucket_policy(Bucket=shared, Policy=policy(public, denied))
    for client in (s3, s3_other, s3_anonymous):
        with refused(403, "AccessDenied"):
            client.get_object(Bucket=shared, Key="theirs")


def test_public_lists_that_do_not_count_do_not_for_the_bucket_owner_either(s3, s3_other, shared):
    open_to_policies(s3, shared)
    s3_other.put_object(Bucket=shared, Key="k", Body=b"1", ACL="public-read")
    assert s3.get_object(Bucket=shared, Key="k")["Body"].read() == b"1"
    block = {"IgnorePublicAcls": True}
    s3.put_public_access_block(Bucket=shared, PublicAccessBlockConfiguration=block)
    with refused(403, "AccessDenied"):
        s3.get_object(Bucket=shared, Key="k")
    assert s3_other.get_object(Bucket=shared, Key="k")["Body"].read() == b"1"


def test_users_need_the_leave_of_their_own_policies_too(s3_other, shared, user):
    name, account, iam, client = user
    text = allow("s3:*", "*")
    for acl in ("private", "bucket-owner-read"):
        s3_other.put_object(Bucket=shared, Key="k", Body=b"1", ACL=acl)
        check(client, shared)
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=text)
        if account is OTHER:
            check(client, shared, *ALL)
        else:
            check(client, shared, *(READS if acl == "bucket-owner-read" else []))
        iam.delete_user_policy(UserName=name, PolicyName="all")


def test_the_owner_is_who_copied_and_who_began_an_upload(s3, s3_other, shared):
    s3.put_object(Bucket=shared, Key="own", Body=b"own")
    s3_other.copy_object(Bucket=shared, Key="copied", CopySource=f"{shared}/own")
    named = {"Bucket": shared, "Key": "parts"}
    named["UploadId"] = s3_other.create_multipart_upload(**named)["UploadId"]
    etag = s3_other.upload_part(**named, PartNumber=1, Body=b"theirs")["ETag"]
    # Also when the bucket's owner completes it.
    parts = {"Parts": [{"ETag": etag, "PartNumber": 1}]}
    s3.complete_multipart_upload(**named, MultipartUpload=parts)
    form = s3_other.generate_presigned_post(shared, "form")
    answer = requests.post(form["url"], form["fields"], files={"file": b"theirs"}, timeout=10)
    assert answer.status_code == 204, answer.text
    for key in ("copied", "parts", "form"):
        with refused(403, "AccessDenied"):
            s3.get_object(Bucket=shared, Key=key)
        acl = s3_other.get_object_acl(Bucket=shared, Key=key)
        assert acl["Owner"]["ID"] == OTHER.canonical_id, key


def test_once_all_is_the_bucket_owners_it_may_read_and_share_all(s3, s3_other, shared):
    s3_other.put_object(Bucket=shared, Key="k", Body=b"1")
    s3.delete_bucket_policy(Bucket=shared)
    for ownership, reads, refuses in (
        ("BucketOwnerEnforced", s3, s3_other),
        ("BucketOwnerPreferred", s3_other, s3),
    ):
        own(s3, shared, ownership)
        assert reads.get_object(Bucket=shared, Key="k")["Body"].read() == b"1"
        with refused(403, "AccessDenied"):
            refuses.get_object(Bucket=shared, Key="k")
    s3.delete_bucket_ownership_controls(Bucket=shared)
    assert s3.get_object(Bucket=shared, Key="k")["Body"].read() == b"1"
    # What is written meanwhile stays the bucket owner's.
    others = statement(shared, "s3:PutObject", principal=OTHER.identity)
    s3.put_bucket_policy(Bucket=shared, Policy=policy(others))
    s3_other.put_object(Bucket=shared, Key="meanwhile", Body=b"2")
    own(s3, shared, "ObjectWriter")
    assert s3.get_object(Bucket=shared, Key="meanwhile")["Body"].read() == b"2"
