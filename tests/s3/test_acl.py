"""Access control lists and object ownership, through boto3 and plain requests."""

import pytest

from harness.accounts import OTHER, OWNER
from harness.clients import refused
from harness.policies import policy, statement
from harness.raw import send
from harness.sign import s3_request

EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
WITH_A_KEY = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOGS = "http://acs.amazonaws.com/groups/s3/LogDelivery"


def user(account, permission) -> tuple:
    """A grant to an account, as `grants` shows it."""
    return account.canonical_id, permission


def grants(acl) -> list[tuple]:
    """Who is granted what."""
    shown = [grant["Grantee"] | {"may": grant["Permission"]} for grant in acl["Grants"]]
    return sorted((grant.get("ID") or grant["URI"], grant["may"]) for grant in shown)


def full(*more) -> list[tuple]:
    """The owner's own grant and others."""
    return sorted([user(OWNER, "FULL_CONTROL"), *more])


@pytest.fixture
def shared(s3, bucket) -> str:
    """A bucket whose access control lists count, public ones too."""
    s3.delete_public_access_block(Bucket=bucket)
    own(s3, bucket, "ObjectWriter")
    return bucket


def own(s3, bucket, ownership):
    """Sets whose the objects are that others write."""
    rules = {"Rules": [{"ObjectOwnership": ownership}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)


CANNED = {
    "private": [],
    "public-read": [(EVERYBODY, "READ")],
    "public-read-write": [(EVERYBODY, "READ"), (EVERYBODY, "WRITE")],
    "authenticated-read": [(WITH_A_KEY, "READ")],
}


@pytest.mark.parametrize("word", CANNED)
def test_a_bucket_acl_is_shown_as_it_was_set(s3, shared, word):
    assert grants(s3.get_bucket_acl(Bucket=shared)) == full()
    s3.put_bucket_acl(Bucket=shared, ACL=word)
    assert grants(s3.get_bucket_acl(Bucket=shared)) == full(*CANNED[word])
    s3.put_bucket_acl(Bucket=shared, ACL="log-delivery-write")
    acl = s3.get_bucket_acl(Bucket=shared)
    assert grants(acl) == full((LOGS, "READ_ACP"), (LOGS, "WRITE"))
    # What was shown can be set.
    s3.put_bucket_acl(
        Bucket=shared, AccessControlPolicy={"Owner": acl["Owner"], "Grants": acl["Grants"]}
    )
    assert s3.get_bucket_acl(Bucket=shared)["Grants"] == acl["Grants"]


@pytest.mark.parametrize("word", CANNED)
def test_an_object_acl_is_shown_as_it_was_set(s3, shared, word):
    s3.put_object(Bucket=shared, Key="k", Body=b"1", ACL=word)
    assert grants(s3.get_object_acl(Bucket=shared, Key="k")) == full(*CANNED[word])
    before = s3.head_object(Bucket=shared, Key="k")
    s3.put_object_acl(Bucket=shared, Key="k", GrantRead=f'id="{OTHER.canonical_id}"')
    acl = s3.get_object_acl(Bucket=shared, Key="k")
    assert grants(acl) == [user(OTHER, "READ")]
    s3.put_object_acl(
        Bucket=shared,
        Key="k",
        AccessControlPolicy={"Owner": acl["Owner"], "Grants": acl["Grants"]},
    )
    assert s3.get_object_acl(Bucket=shared, Key="k")["Grants"] == acl["Grants"]
    after = s3.head_object(Bucket=shared, Key="k")
    assert (before["ETag"], before["LastModified"]) == (after["ETag"], after["LastModified"])


def test_each_way_to_write_sets_the_acl(s3, s3_anonymous, shared):
    public = full((EVERYBODY, "READ"))
    s3.put_object(Bucket=shared, Key="a", Body=b"1")
    source = {"Bucket": shared, "Key": "a"}
    s3.copy_object(Bucket=shared, Key="b", CopySource=source, ACL="public-read")
    upload = s3.create_multipart_upload(Bucket=shared, Key="c", ACL="public-read")["UploadId"]
    part = {"Bucket": shared, "Key": "c", "UploadId": upload}
    etag = s3.upload_part(PartNumber=1, Body=b"1", **part)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(MultipartUpload=parts, **part)
    for key in ("b", "c"):
        assert grants(s3.get_object_acl(Bucket=shared, Key=key)) == public
        assert s3_anonymous.get_object(Bucket=shared, Key=key)["Body"].read() == b"1"
    # The source's is not copied.
    s3.copy_object(Bucket=shared, Key="d", CopySource={"Bucket": shared, "Key": "b"})
    with refused(403, "AccessDenied"):
        s3_anonymous.get_object(Bucket=shared, Key="d")


def test_a_version_has_an_acl_of_its_own(s3, s3_anonymous, shared):
    s3.put_bucket_versioning(Bucket=shared, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=shared, Key="k", Body=b"old")["VersionId"]
    new = s3.put_object(Bucket=shared, Key="k", Body=b"new")["VersionId"]
    s3.put_object_acl(Bucket=shared, Key="k", VersionId=old, ACL="public-read")
    read = s3_anonymous.get_object(Bucket=shared, Key="k", VersionId=old)["Body"].read()
    assert read == b"old"
    for more in ({}, {"VersionId": new}):
        with refused(403, "AccessDenied"):
            s3_anonymous.get_object(Bucket=shared, Key="k", **more)
    s3.put_object_acl(Bucket=shared, Key="k", ACL="public-read")
    s3.put_object_acl(Bucket=shared, Key="k", VersionId=old, ACL="private")
    assert s3_anonymous.get_object(Bucket=shared, Key="k")["Body"].read() == b"new"
    with refused(403, "AccessDenied"):
        s3_anonymous.get_object(Bucket=shared, Key="k", VersionId=old)
    with refused(404, "NoSuchVersion"):
        s3.put_object_acl(Bucket=shared, Key="k", VersionId="0" * 32, ACL="private")


def calls(client, bucket) -> dict:
    """Everything that an access control list may let through."""
    put = {"Bucket": bucket, "Key": "new", "Body": b"theirs"}
    return {
        "list": lambda: client.list_objects_v2(Bucket=bucket),
        "write": lambda: client.put_object(**put),
        "bucket-acl": lambda: client.get_bucket_acl(Bucket=bucket),
        "set-bucket-acl": lambda: client.put_bucket_acl(Bucket=bucket, ACL="private"),
        "read": lambda: client.get_object(Bucket=bucket, Key="k"),
        "head": lambda: client.head_object(Bucket=bucket, Key="k"),
        "acl": lambda: client.get_object_acl(Bucket=bucket, Key="k"),
        "set-acl": lambda: client.put_object_acl(Bucket=bucket, Key="k", ACL="private"),
        "delete-bucket": lambda: client.delete_bucket(Bucket=bucket),
        "policy": lambda: client.get_bucket_policy(Bucket=bucket),
        "block": lambda: client.get_public_access_block(Bucket=bucket),
    }


BUCKET_GRANTS = {
    "GrantRead": ["list"],
    "GrantWrite": ["write"],
    "GrantReadACP": ["bucket-acl"],
    "GrantWriteACP": ["set-bucket-acl"],
    "GrantFullControl": ["list", "write", "bucket-acl", "set-bucket-acl"],
}
OBJECT_GRANTS = {
    "GrantRead": ["read", "head"],
    "GrantReadACP": ["acl"],
    "GrantWriteACP": ["set-acl"],
    "GrantFullControl": ["read", "head", "acl", "set-acl"],
}


@pytest.mark.parametrize("grant", BUCKET_GRANTS)
def test_a_grant_of_a_bucket_lets_through_what_it_names(s3, s3_other, s3_anonymous, shared, grant):
    s3.put_object(Bucket=shared, Key="k", Body=b"1")
    named = {grant: f'emailAddress="{OTHER.name}@example.com"'}
    for name in calls(s3_other, shared):
        s3.put_bucket_acl(Bucket=shared, **named)
        check(calls(s3_other, shared)[name], name in BUCKET_GRANTS[grant])
        check(calls(s3_anonymous, shared)[name], False)


@pytest.mark.parametrize("grant", OBJECT_GRANTS)
def test_a_grant_of_an_object_lets_through_what_it_names(s3, s3_other, s3_anonymous, shared, grant):
    s3.put_object(Bucket=shared, Key="k", Body=b"1")
    named = {grant: f'id="{OTHER.canonical_id}"'}
    for name in calls(s3_other, shared):
        s3.put_object_acl(Bucket=shared, Key="k", **named)
        check(calls(s3_other, shared)[name], name in OBJECT_GRANTS[grant])
        check(calls(s3_anonymous, shared)[name], False)


def check(call, allowed: bool):
    """The call passes, or is refused for want of a right."""
    if allowed:
        call()
    else:
        with refused(403):
            call()


def test_who_gives_the_bucket_owner_full_control_needs_no_right_to_share(s3, s3_other, shared):
    owner, other = (f"id={account.canonical_id}" for account in (OWNER, OTHER))
    condition = {"StringEquals": {"s3:x-amz-grant-full-control": owner}}
    others = statement(shared, "s3:PutObject", principal=OTHER.identity, Condition=condition)
    s3.put_bucket_policy(Bucket=shared, Policy=policy(others))
    new = {"Bucket": shared, "Key": "k", "Body": b"1"}
    s3_other.put_object(**new, GrantFullControl=owner)
    assert grants(s3.get_object_acl(Bucket=shared, Key="k")) == full()
    for more in ({"GrantRead": other}, {"GrantReadACP": f"uri={EVERYBODY}"}):
        with refused(403, "AccessDenied"):
            s3_other.put_object(**new, GrantFullControl=owner, **more)
    for acl in ({}, {"GrantFullControl": f"{owner},{other}"}):
        with refused(403, "AccessDenied"):
            s3_other.put_object(**new, **acl)
    denied = statement(shared, "s3:PutObjectAcl", allow=False, principal=OTHER.identity)
    s3.put_bucket_policy(Bucket=shared, Policy=policy(others, denied))
    with refused(403, "AccessDenied"):
        s3_other.put_object(**new, GrantFullControl=owner)


def test_groups_are_who_they_say(s3, s3_other, s3_anonymous, shared):
    s3.put_object(Bucket=shared, Key="k", Body=b"1", ACL="authenticated-read")
    s3_other.get_object(Bucket=shared, Key="k")
    with refused(403, "AccessDenied"):
        s3_anonymous.get_object(Bucket=shared, Key="k")
    s3.put_object_acl(Bucket=shared, Key="k", GrantRead=f"uri={LOGS}")
    for client in (s3_other, s3_anonymous):
        with refused(403, "AccessDenied"):
            client.get_object(Bucket=shared, Key="k")


def test_an_acl_changes_nothing_for_the_owner_and_a_deny_wins(s3, s3_anonymous, shared):
    s3.put_object(Bucket=shared, Key="k", Body=b"1", ACL="public-read")
    acl = s3.get_object_acl(Bucket=shared, Key="k")
    s3.put_bucket_policy(
        Bucket=shared, Policy=policy(statement(shared, "s3:GetObject", allow=False))
    )
    for client in (s3, s3_anonymous):
        with refused(403, "AccessDenied"):
            client.get_object(Bucket=shared, Key="k")
    s3.delete_bucket_policy(Bucket=shared)
    nobody = {"Owner": acl["Owner"], "Grants": []}
    s3.put_object_acl(Bucket=shared, Key="k", AccessControlPolicy=nobody)
    assert s3.get_object(Bucket=shared, Key="k")["Body"].read() == b"1"
    with refused(403, "AccessDenied"):
        s3_anonymous.get_object(Bucket=shared, Key="k")


def test_what_is_not_there_is_told_to_who_may_list(s3, s3_anonymous, shared):
    with refused(403, "AccessDenied"):
        s3_anonymous.get_object(Bucket=shared, Key="missing")
    s3.put_bucket_acl(Bucket=shared, ACL="public-read")
    with refused(404, "NoSuchKey"):
        s3_anonymous.get_object(Bucket=shared, Key="missing")


def test_public_lists_do_not_slip_past_the_block(s3, s3_anonymous, s3_other, shared):
    s3.put_object(Bucket=shared, Key="k", Body=b"1", ACL="public-read")
    s3.put_bucket_acl(Bucket=shared, ACL="public-read")
    block = {"IgnorePublicAcls": True}
    s3.put_public_access_block(Bucket=shared, PublicAccessBlockConfiguration=block)
    for refuse in (
        lambda: s3_anonymous.get_object(Bucket=shared, Key="k"),
        lambda: s3_other.get_object(Bucket=shared, Key="k"),
        lambda: s3_anonymous.list_objects_v2(Bucket=shared),
    ):
        with refused(403, "AccessDenied"):
            refuse()
    block = {"BlockPublicAcls": True}
    s3.put_public_access_block(Bucket=shared, PublicAccessBlockConfiguration=block)
    s3_anonymous.get_object(Bucket=shared, Key="k")
    more = {"Bucket": shared, "Key": "k"}
    for refuse in (
        lambda: s3.put_bucket_acl(Bucket=shared, ACL="public-read"),
        lambda: s3.put_object_acl(ACL="authenticated-read", **more),
        lambda: s3.put_object_acl(GrantRead=f"uri={EVERYBODY}", **more),
        lambda: s3.put_object(Body=b"2", ACL="public-read", **more),
        lambda: s3.copy_object(
            CopySource=f"{shared}/k", ACL="public-read", Bucket=shared, Key="copy"
        ),
        lambda: s3.create_multipart_upload(ACL="public-read", **more),
    ):
        with refused(403, "AccessDenied") as refusal:
            refuse()
        assert "DeletePublicAccessBlock" in str(refusal.reply)
    assert s3.get_object(Bucket=shared, Key="k")["Body"].read() == b"1"
    s3.put_object_acl(ACL="private", **more)
    s3.put_object(Body=b"2", GrantRead=f"id={OTHER.canonical_id}", **more)
    s3_other.get_object(**more)


def test_lists_are_not_taken_where_the_owner_is_enforced(s3, s3_other, shared):
    s3.put_object(Bucket=shared, Key="k", Body=b"1", GrantRead=f"id={OTHER.canonical_id}")
    s3_other.get_object(Bucket=shared, Key="k")
    own(s3, shared, "BucketOwnerEnforced")
    with refused(403, "AccessDenied"):
        s3_other.get_object(Bucket=shared, Key="k")
    assert grants(s3.get_object_acl(Bucket=shared, Key="k")) == full()
    for refuse in (
        lambda: s3.put_bucket_acl(Bucket=shared, ACL="public-read"),
        lambda: s3.put_object_acl(Bucket=shared, Key="k", ACL="public-read"),
        lambda: s3.put_object(Bucket=shared, Key="k", Body=b"", ACL="authenticated-read"),
        lambda: s3.put_object(Bucket=shared, Key="k", Body=b"", GrantRead=f"uri={EVERYBODY}"),
        # Also what says no more than what holds anyway.
        lambda: s3.put_bucket_acl(Bucket=shared, ACL="private"),
        lambda: s3.put_object_acl(Bucket=shared, Key="k", ACL="private"),
        lambda: s3.put_object(Bucket=shared, Key="k", Body=b"", ACL="private"),
        lambda: s3.create_multipart_upload(Bucket=shared, Key="k", ACL="bucket-owner-read"),
    ):
        with refused(400, "AccessControlListNotSupported"):
            refuse()
    # But for that the owner has full control, however it is said.
    owner = f"id={OWNER.canonical_id}"
    for acl in ({"ACL": "bucket-owner-full-control"}, {"GrantFullControl": owner}):
        s3.put_object(Bucket=shared, Key="k", Body=b"2", **acl)
    own(s3, shared, "ObjectWriter")
    s3.put_bucket_acl(Bucket=shared, GrantRead=f"id={OTHER.canonical_id}")
    with refused(400, "InvalidBucketAclWithObjectOwnership"):
        own(s3, shared, "BucketOwnerEnforced")


def test_object_ownership_is_shown_as_it_was_set(s3, fresh_name):
    name = fresh_name()
    s3.create_bucket(Bucket=name)

    def shown():
        controls = s3.get_bucket_ownership_controls(Bucket=name)
        return [rule["ObjectOwnership"] for rule in controls["OwnershipControls"]["Rules"]]

    assert shown() == ["BucketOwnerEnforced"]
    for ownership in ("ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced"):
        own(s3, name, ownership)
        assert shown() == [ownership]
    with refused(400, "MalformedXML"):
        own(s3, name, "Nobody")
    s3.delete_bucket_ownership_controls(Bucket=name)
    with refused(404, "OwnershipControlsNotFoundError"):
        shown()
    s3.delete_bucket(Bucket=name)
    s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerPreferred")
    assert shown() == ["BucketOwnerPreferred"]
    s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize(
    ("ownership", "acl", "owner"),
    [
        ("BucketOwnerEnforced", {}, OWNER),
        ("BucketOwnerPreferred", {}, OTHER),
        ("BucketOwnerPreferred", {"ACL": "bucket-owner-full-control"}, OWNER),
        ("ObjectWriter", {"ACL": "bucket-owner-full-control"}, OTHER),
    ],
    ids=str,
)
def test_the_owner_of_what_another_account_writes(s3, s3_other, shared, ownership, acl, owner):
    own(s3, shared, ownership)
    others = statement(shared, ["s3:PutObject", "s3:PutObjectAcl"], principal=OTHER.identity)
    s3.put_bucket_policy(Bucket=shared, Policy=policy(others))
    s3_other.put_object(Bucket=shared, Key="k", Body=b"1", **acl)
    listed = s3.list_objects(Bucket=shared)["Contents"][0]["Owner"]["ID"]
    assert listed == owner.canonical_id
    listed = s3.list_object_versions(Bucket=shared)["Versions"][0]["Owner"]["ID"]
    assert listed == owner.canonical_id
    of_owner = s3 if owner is OWNER else s3_other
    shown = of_owner.get_object_acl(Bucket=shared, Key="k")
    assert shown["Owner"]["ID"] == owner.canonical_id
    # Its owner may read it, though the bucket's policy allows that to nobody.
    check(lambda: s3_other.get_object(Bucket=shared, Key="k"), owner is OTHER)
    # The bucket's owner if it is its own, or granted.
    check(lambda: s3.get_object(Bucket=shared, Key="k"), owner is OWNER or bool(acl))


def test_once_the_owner_is_enforced_nothing_is_shown_as_anybody_elses(s3, s3_other, shared):
    others = statement(shared, "s3:PutObject", principal=OTHER.identity)
    s3.put_bucket_policy(Bucket=shared, Policy=policy(others))
    s3_other.put_object(Bucket=shared, Key="k", Body=b"1")
    steps = ("ObjectWriter", OTHER), ("BucketOwnerEnforced", OWNER), ("ObjectWriter", OTHER)
    for ownership, owner in steps:
        own(s3, shared, ownership)
        of_owner = s3 if owner is OWNER else s3_other
        shown = [
            s3.list_objects(Bucket=shared)["Contents"][0],
            s3.list_object_versions(Bucket=shared)["Versions"][0],
            of_owner.get_object_acl(Bucket=shared, Key="k"),
        ]
        assert [it["Owner"]["ID"] for it in shown] == [owner.canonical_id] * 3
        for account, client in ((OWNER, s3), (OTHER, s3_other)):
            check(lambda: client.get_object(Bucket=shared, Key="k"), account is owner)


def test_a_new_bucket_may_be_called_private(s3, fresh_name):
    name = fresh_name()
    s3.create_bucket(Bucket=name, ACL="private")
    assert grants(s3.get_bucket_acl(Bucket=name)) == full()
    s3.delete_bucket(Bucket=name)


def test_a_new_bucket_may_have_an_acl(s3, fresh_name):
    name = fresh_name()
    with refused(400, "InvalidBucketAclWithObjectOwnership"):
        s3.create_bucket(Bucket=name, GrantRead=f"id={OTHER.canonical_id}")
    with refused(400, "InvalidBucketAclWithBlockPublicAccessError"):
        s3.create_bucket(Bucket=name, ACL="public-read", ObjectOwnership="ObjectWriter")
    s3.create_bucket(
        Bucket=name, GrantRead=f"id={OTHER.canonical_id}", ObjectOwnership="ObjectWriter"
    )
    assert grants(s3.get_bucket_acl(Bucket=name)) == [user(OTHER, "READ")]
    s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-acl": "public"}, "InvalidArgument"),
        ({"x-amz-grant-read": "id=nobody"}, "InvalidArgument"),
        ({"x-amz-grant-read": "uri=http://example.com"}, "InvalidArgument"),
        ({"x-amz-grant-read": "emailAddress=no@example.com"}, "UnresolvableGrantByEmailAddress"),
        ({"x-amz-acl": "private", "x-amz-grant-read": "id=x"}, "InvalidRequest"),
    ],
    ids=str,
)
def test_grants_to_nobody_are_refused(endpoint, shared, headers, code):
    for path in (f"/{shared}?acl", f"/{shared}/new"):
        reply = s3_request(endpoint, "PUT", path, headers)
        assert (reply.status, reply.code) == (400, code), path


def test_a_document_has_a_limited_number_of_grants(s3, shared):
    grantee = {"Type": "CanonicalUser", "ID": OTHER.canonical_id}
    grant = {"Grantee": grantee, "Permission": "READ"}
    owner = {"ID": OWNER.canonical_id}

    def put(count, owner=owner):
        acl = {"Owner": owner, "Grants": [grant] * count}
        s3.put_bucket_acl(Bucket=shared, AccessControlPolicy=acl)

    put(100)
    with refused(400, "MalformedACLError"):
        put(101)
    with refused(403, "AccessDenied"):
        put(1, {"ID": OTHER.canonical_id})
    reply = s3_request(endpoint_of(s3), "PUT", f"/{shared}?acl", {}, b"<AccessControlPolicy/>")
    assert (reply.status, reply.code) == (400, "MalformedACLError")


def endpoint_of(client) -> str:
    """Where a client asks."""
    return client.meta.endpoint_url


def test_everybody_may_write_where_the_bucket_says_so(s3, endpoint, shared):
    s3.put_bucket_acl(Bucket=shared, ACL="public-read-write")
    assert send(endpoint, "PUT", f"/{shared}/k", {}, b"1").status == 200
    # Nobody owns what nobody signed: it is the bucket owner's.
    acl = s3.get_object_acl(Bucket=shared, Key="k")
    assert grants(acl) == full()
    assert send(endpoint, "GET", f"/{shared}/k", {}).status == 403
    assert send(endpoint, "DELETE", f"/{shared}/k", {}).status == 204


def uploading(client, bucket, key="k"):
    """An upload with one part, and what completes it."""
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    named = {"Bucket": bucket, "Key": key, "UploadId": upload}
    etag = client.upload_part(PartNumber=1, Body=b"own", **named)["ETag"]
    return named, {"Parts": [{"PartNumber": 1, "ETag": etag}]}


def test_who_may_write_touches_no_upload_that_others_began(s3, s3_other, s3_anonymous, shared):
    s3.put_bucket_acl(Bucket=shared, ACL="public-read-write")
    clients = {"owner": s3, "other": s3_other, "anonymous": s3_anonymous}
    for began, client in clients.items():
        named, parts = uploading(client, shared)
        copied = {"CopySource": {"Bucket": shared, "Key": "a"}, "PartNumber": 2}
        s3.put_object(Bucket=shared, Key="a", Body=b"1", ACL="public-read")
        for stranger in set(clients) - {began, "owner"}:
            for ask, more in (
                ("upload_part", {"PartNumber": 1, "Body": b"x"}),
                ("upload_part_copy", copied),
                ("list_parts", {}),
                ("complete_multipart_upload", {"MultipartUpload": parts}),
                ("abort_multipart_upload", {}),
            ):
                with refused(403, "AccessDenied"):
                    getattr(clients[stranger], ask)(**more, **named)
        assert len(client.list_parts(**named)["Parts"]) == 1
        # The owner of the bucket may, whoever began it.
        s3.list_parts(**named)
        client.complete_multipart_upload(MultipartUpload=parts, **named)
        # What nobody signed is the bucket owner's.
        reader = s3_other if began == "other" else s3
        assert reader.get_object(Bucket=shared, Key="k")["Body"].read() == b"own"
        # Whoever may complete it has the same answer again.
        client.complete_multipart_upload(MultipartUpload=parts, **named)
        for stranger in set(clients) - {began, "owner"}:
            with refused(403, "AccessDenied"):
                clients[stranger].complete_multipart_upload(MultipartUpload=parts, **named)
        named, parts = uploading(client, shared)
        s3.abort_multipart_upload(**named)


def test_a_policy_lets_others_abort_and_list_uploads_but_not_complete_them(s3, s3_other, bucket):
    named, parts = uploading(s3, bucket)
    granted = statement(bucket, ["s3:PutObject"], principal=OTHER.identity)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(granted))
    with refused(403, "AccessDenied"):
        s3_other.list_parts(**named)
    granted["Action"] += ["s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(granted))
    assert len(s3_other.list_parts(**named)["Parts"]) == 1
    with refused(403, "AccessDenied"):
        s3_other.complete_multipart_upload(MultipartUpload=parts, **named)
    s3_other.abort_multipart_upload(**named)
    with refused(404, "NoSuchUpload"):
        s3.list_parts(**named)
