"""Bucket policies: what is put is shown, and what is said holds on the very next request."""

import json

import pytest

from harness.accounts import OTHER, OWNER
from harness.clients import is_refused, refused
from harness.policies import open_to_policies, policy, statement
from harness.raw import send
from harness.sign import s3_request

OTHERS = OTHER.identity


@pytest.fixture
def opened(s3, bucket) -> str:
    """A bucket that may have a public policy, with the keys `pub/a` and `private`."""
    open_to_policies(s3, bucket)
    for key in ("pub/a", "private"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"content")
    return bucket


def put(s3, bucket, *statements):
    """Gives the bucket a policy."""
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(*statements))


def restart_with(server, settings: str):
    """Starts a server anew with settings in front of its own."""
    server.stop()
    server.config.write_text(settings + server.config.read_text())
    server.start()


def test_a_policy_is_shown_as_it_was_put(s3, opened):
    with refused(404, "NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=opened)
    text = policy(statement(opened, "s3:GetObject")).replace(", ", ",\n ")
    s3.put_bucket_policy(Bucket=opened, Policy=text)
    assert s3.get_bucket_policy(Bucket=opened)["Policy"] == text
    s3.delete_bucket_policy(Bucket=opened)
    with refused(404, "NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=opened)
    s3.delete_bucket_policy(Bucket=opened)


def test_a_new_bucket_of_the_same_name_has_no_policy(s3, s3_anonymous, bucket):
    open_to_policies(s3, bucket)
    put(s3, bucket, statement(bucket, "s3:*"))
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    with refused(404, "NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=bucket)
    with refused(403, "AccessDenied"):
        s3_anonymous.list_objects_v2(Bucket=bucket)


def test_a_public_read_lets_everybody_read_and_not_list(s3, s3_anonymous, s3_other, opened):
    put(s3, opened, statement(opened, "s3:GetObject", keys="pub/*"))
    for client in (s3_anonymous, s3_other):
        read = client.get_object(Bucket=opened, Key="pub/a")["Body"].read()
        assert read == b"content"
        assert client.head_object(Bucket=opened, Key="pub/a")["ContentLength"] == 7
        for refuse in (
            lambda client=client: client.get_object(Bucket=opened, Key="private"),
            lambda client=client: client.list_objects_v2(Bucket=opened),
            lambda client=client: client.put_object(Bucket=opened, Key="pub/a", Body=b"x"),
            lambda client=client: client.delete_object(Bucket=opened, Key="pub/a"),
            lambda client=client: client.get_bucket_policy(Bucket=opened),
        ):
            with refused(403, "AccessDenied"):
                refuse()
        # Who may not list does not learn what is not there.
        with refused(403, "AccessDenied"):
            client.get_object(Bucket=opened, Key="pub/missing")
    put(
        s3,
        opened,
        statement(opened, "s3:GetObject", keys="pub/*"),
        statement(opened, "s3:ListBucket"),
    )
    with refused(404, "NoSuchKey"):
        s3_anonymous.get_object(Bucket=opened, Key="pub/missing")
    assert s3_anonymous.list_objects_v2(Bucket=opened)["KeyCount"] == 2


def test_a_change_holds_on_the_next_request(s3, s3_other, opened):
    granted = statement(opened, "s3:GetObject", principal=OTHERS)
    for _ in range(20):
        put(s3, opened, granted)
        s3_other.get_object(Bucket=opened, Key="private")
        s3.delete_bucket_policy(Bucket=opened)
        with refused(403, "AccessDenied"):
            s3_other.get_object(Bucket=opened, Key="private")


@pytest.mark.parametrize(
    "principal",
    [OTHERS, f"arn:aws:iam::{OTHERS}:root", {"CanonicalUser": OTHER.canonical_id}],
    ids=["id", "arn", "canonical"],
)
def test_another_account_may_what_it_is_given(s3, s3_other, s3_anonymous, bucket, principal):
    granted = statement(bucket, ["s3:GetObject", "s3:PutObject", "s3:ListBucket"], principal="x")
    granted["Principal"] = principal if isinstance(principal, dict) else {"AWS": principal}
    put(s3, bucket, granted)
    s3_other.put_object(Bucket=bucket, Key="k", Body=b"theirs")
    assert s3_other.get_object(Bucket=bucket, Key="k")["Body"].read() == b"theirs"
    listed = s3_other.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    assert [(entry["Key"], entry["Owner"]["ID"]) for entry in listed] == [("k", OWNER.canonical_id)]
    with refused(403, "AccessDenied"):
        s3_other.delete_object(Bucket=bucket, Key="k")
    with refused(403, "AccessDenied"):
        s3_anonymous.get_object(Bucket=bucket, Key="k")


def test_multipart_of_another_account_needs_put_only(s3, s3_other, bucket):
    put(s3, bucket, statement(bucket, "s3:PutObject", principal=OTHERS))
    upload = s3_other.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3_other.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"p")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    with refused(403, "AccessDenied"):
        s3_other.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    s3_other.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts
    )
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"p"


def test_a_deny_binds_the_owner_but_never_locks_it_out(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    put(s3, bucket, statement(bucket, "s3:*", allow=False))
    for refuse in (
        lambda: s3.get_object(Bucket=bucket, Key="k"),
        lambda: s3.list_objects_v2(Bucket=bucket),
        lambda: s3.delete_bucket(Bucket=bucket),
    ):
        with refused(403, "AccessDenied"):
            refuse()
    assert "Deny" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    s3.get_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "127.0.0.1"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, True),
        ({"StringLike": {"aws:UserAgent": "*Boto3*"}}, True),
        ({"StringEquals": {"aws:PrincipalAccount": OTHERS}}, True),
        ({"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, True),
        ({"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}, False),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, False),
        ({"Null": {"s3:VersionId": "true"}}, True),
    ],
    ids=str,
)
def test_conditions_look_at_the_request(s3, s3_other, opened, condition, passes):
    allowed = statement(opened, "s3:GetObject", principal=OTHERS, Condition=condition)
    denied = statement(opened, "s3:GetObject", allow=False, Condition=condition)
    granted = statement(opened, "s3:GetObject", principal=OTHERS)
    for statements, expected in (([allowed], passes), ([granted, denied], not passes)):
        put(s3, opened, *statements)
        if expected:
            s3_other.get_object(Bucket=opened, Key="private")
        else:
            with refused(403, "AccessDenied"):
                s3_other.get_object(Bucket=opened, Key="private")


def test_a_made_up_address_is_not_believed(s3, endpoint, opened):
    condition = {"IpAddress": {"aws:SourceIp": "192.0.2.7"}}
    put(s3, opened, statement(opened, "s3:GetObject", Condition=condition))
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
        reply = send(endpoint, "GET", f"/{opened}/private", {name: "192.0.2.7"})
        is_refused(reply, 403, "AccessDenied")


def test_a_trusted_proxy_is_believed(special_server):
    server = special_server()
    restart_with(server, '[server]\ntrusted_proxies = ["127.0.0.1/32"]\n')
    condition = {
        "IpAddress": {"aws:SourceIp": "192.0.2.0/24"},
        "Bool": {"aws:SecureTransport": "true"},
    }
    body = policy(statement("kept", "s3:GetObject", Condition=condition)).encode()
    for method, path, content in (
        ("PUT", "/kept", b""),
        ("PUT", "/kept/k", b"content"),
        ("PUT", "/kept?policy", body),
    ):
        assert s3_request(server.endpoint, method, path, body=content).status in (200, 204)
    right = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    assert send(server.endpoint, "GET", "/kept/k", right).body == b"content"
    for wrong in (
        {},
        right | {"X-Forwarded-For": "198.51.100.7"},
        right | {"X-Forwarded-For": "192.0.2.7, 198.51.100.7"},
        right | {"X-Forwarded-Proto": "http"},
    ):
        is_refused(send(server.endpoint, "GET", "/kept/k", wrong), 403, "AccessDenied")


PREFIX = {"s3:prefix": "pub/*"}


@pytest.mark.parametrize(
    "limit",
    [
        [{"actions": "s3:ListBucket", "Condition": {"StringLike": PREFIX}}],
        [
            {"actions": "s3:ListBucket"},
            {"actions": "s3:ListBucket", "allow": False, "Condition": {"StringNotLike": PREFIX}},
        ],
    ],
    ids=["allowed", "not-denied"],
)
def test_who_may_list_a_prefix_learns_what_is_missing_there_and_nowhere_else(
    s3, s3_other, opened, other_bucket, limit
):
    limits = [statement(opened, principal=OTHERS, **more) for more in limit]
    put(s3, opened, *limits)
    for key, status in (("pub/none", 404), ("pub/a", 403), ("none", 403), ("private", 403)):
        with refused(status):
            s3_other.head_object(Bucket=opened, Key=key)
    # The right to read tells nothing more. Of a copy, the key of the source counts.
    put(s3, opened, *limits, statement(opened, "s3:GetObject", principal=OTHERS))
    for key, refusal in (("pub/none", (404, "NoSuchKey")), ("none", (403, "AccessDenied"))):
        with refused(*refusal):
            s3_other.get_object(Bucket=opened, Key=key)
        with refused(*refusal):
            source = {"Bucket": opened, "Key": key}
            s3_other.copy_object(Bucket=other_bucket, Key="pub/copy", CopySource=source)


def test_a_listing_may_be_limited_to_a_prefix(s3, s3_other, opened):
    condition = {
        "StringEquals": {"s3:prefix": "pub/", "s3:delimiter": "/"},
        "NumericLessThanEquals": {"s3:max-keys": "10"},
    }
    listing = statement(opened, "s3:ListBucket", principal=OTHERS, Condition=condition)
    put(s3, opened, listing)
    right = {"Prefix": "pub/", "Delimiter": "/", "MaxKeys": 10}
    for list_objects in (s3_other.list_objects_v2, s3_other.list_objects):
        listed = list_objects(Bucket=opened, **right)["Contents"]
        assert [entry["Key"] for entry in listed] == ["pub/a"]
        for wrong in (
            {},
            right | {"Prefix": ""},
            right | {"Prefix": "pub"},
            right | {"MaxKeys": 11},
            {"Prefix": "pub/", "MaxKeys": 10},
        ):
            with refused(403, "AccessDenied"):
                list_objects(Bucket=opened, **wrong)
    with refused(403, "AccessDenied"):
        s3_other.list_object_versions(Bucket=opened, **right)


def test_a_put_may_be_tied_to_a_header(s3, s3_other, bucket):
    condition = {"StringEquals": {"s3:x-amz-storage-class": "STANDARD"}}
    put(s3, bucket, statement(bucket, "s3:PutObject", principal=OTHERS, Condition=condition))
    s3_other.put_object(Bucket=bucket, Key="k", Body=b"1", StorageClass="STANDARD")
    with refused(403, "AccessDenied"):
        s3_other.put_object(Bucket=bucket, Key="k", Body=b"2")
    url = s3_other.generate_presigned_url(
        "put_object", {"Bucket": bucket, "Key": "k", "StorageClass": "STANDARD"}
    )
    path = url[url.index("/", 8) :]
    headers = {"x-amz-storage-class": "STANDARD"}
    assert send(s3.meta.endpoint_url, "PUT", path, headers).status == 200


def test_a_copy_needs_both_rights(s3, s3_other, opened, other_bucket):
    source = {"Bucket": opened, "Key": "private"}
    with refused(403, "AccessDenied"):
        s3_other.copy_object(Bucket=other_bucket, Key="k", CopySource=source)
    put(s3, opened, statement(opened, "s3:GetObject", principal=OTHERS))
    s3_other.copy_object(Bucket=other_bucket, Key="k", CopySource=source)
    upload = s3_other.create_multipart_upload(Bucket=other_bucket, Key="m")["UploadId"]
    part = {"Bucket": other_bucket, "Key": "m", "UploadId": upload, "PartNumber": 1}
    s3_other.upload_part_copy(**part, CopySource=source)
    with refused(403, "AccessDenied"):
        s3_other.copy_object(Bucket=opened, Key="k", CopySource=source)
    s3.delete_bucket_policy(Bucket=opened)
    with refused(403, "AccessDenied"):
        s3_other.upload_part_copy(**part, CopySource=source)


def test_a_version_has_rights_of_its_own(s3, s3_other, versioned):
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"1")["VersionId"]
    source = {"Bucket": versioned, "Key": "k", "VersionId": first}
    put(s3, versioned, statement(versioned, ["s3:GetObject", "s3:PutObject"], principal=OTHERS))
    s3_other.get_object(Bucket=versioned, Key="k")
    with refused(403, "AccessDenied"):
        s3_other.get_object(Bucket=versioned, Key="k", VersionId=first)
    with refused(403, "AccessDenied"):
        s3_other.copy_object(Bucket=versioned, Key="copy", CopySource=source)
    condition = {"StringEquals": {"s3:VersionId": first}}
    put(
        s3,
        versioned,
        statement(
            versioned, "s3:GetObjectVersion", principal=OTHERS, keys="k", Condition=condition
        ),
        statement(versioned, "s3:PutObject", principal=OTHERS),
    )
    s3_other.get_object(Bucket=versioned, Key="k", VersionId=first)
    s3_other.copy_object(Bucket=versioned, Key="copy", CopySource=source)
    second = s3.put_object(Bucket=versioned, Key="k", Body=b"2")["VersionId"]
    with refused(403, "AccessDenied"):
        s3_other.get_object(Bucket=versioned, Key="k", VersionId=second)
    source["VersionId"] = second
    with refused(403, "AccessDenied"):
        s3_other.copy_object(Bucket=versioned, Key="copy", CopySource=source)


def test_a_batch_is_decided_key_by_key(s3, s3_other, opened):
    put(s3, opened, statement(opened, "s3:DeleteObject", principal=OTHERS, keys="pub/*"))
    named = [{"Key": "pub/a"}, {"Key": "private"}, {"Key": "pub/b", "VersionId": "null"}]
    reply = s3_other.delete_objects(Bucket=opened, Delete={"Objects": named})
    assert [entry["Key"] for entry in reply["Deleted"]] == ["pub/a"]
    failed = [(entry["Key"], entry["Code"]) for entry in reply["Errors"]]
    assert failed == [("private", "AccessDenied"), ("pub/b", "AccessDenied")]
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=opened)["Contents"]] == ["private"]


def test_a_presigned_url_has_the_rights_of_its_signer(s3, s3_other, endpoint, opened):
    url = s3_other.generate_presigned_url("get_object", {"Bucket": opened, "Key": "private"})
    path = url.removeprefix(endpoint)
    is_refused(send(endpoint, "GET", path), 403, "AccessDenied")
    put(s3, opened, statement(opened, "s3:GetObject", principal=OTHERS))
    assert send(endpoint, "GET", path).body == b"content"

    def deny(condition):
        allow = statement(opened, "s3:GetObject", principal=OTHERS)
        put(s3, opened, allow, statement(opened, "s3:*", allow=False, Condition=condition))

    deny({"NumericGreaterThan": {"s3:signatureAge": "600000"}})
    assert send(endpoint, "GET", path).body == b"content"
    deny({"StringEquals": {"s3:authType": "REST-QUERY-STRING"}})
    is_refused(send(endpoint, "GET", path), 403, "AccessDenied")
    s3_other.get_object(Bucket=opened, Key="private")


def with_statement(bucket, **more) -> str:
    """A policy of one statement, with something wrong in it."""
    return policy(statement(bucket, "s3:GetObject", principal=OTHERS) | more)


MALFORMED = {
    "nothing": lambda _: "",
    "no JSON": lambda _: "{",
    "no UTF-8": lambda _: b"\xff{}",
    "no statement": lambda _: "{}",
    "version": lambda bucket: with_statement(bucket).replace("2012", "2013"),
    "twice": lambda bucket: with_statement(bucket).replace('"Action"', '"Action": "x", "Action"'),
    "effect": lambda bucket: with_statement(bucket, Effect="Maybe"),
    "principal": lambda bucket: with_statement(bucket, Principal="nobody"),
    "no such account": lambda bucket: with_statement(bucket, Principal={"AWS": "300000000003"}),
    "no such id": lambda bucket: with_statement(bucket, Principal={"CanonicalUser": "c3" * 32}),
    "no such user": lambda bucket: with_statement(
        bucket, Principal={"AWS": f"arn:aws:iam::{OTHERS}:user/u"}
    ),
    "action": lambda bucket: with_statement(bucket, Action="s3:GetEverything"),
    "other service": lambda bucket: with_statement(bucket, Action="ec2:RunInstances"),
    "other bucket": lambda bucket: with_statement(bucket, Resource="arn:aws:s3:::other/*"),
    "resource": lambda bucket: with_statement(bucket, Resource=f"arn:aws:s3:::{bucket}"),
    "operator": lambda bucket: with_statement(bucket, Condition={"StringIs": {"aws:x": "y"}}),
    "key": lambda bucket: with_statement(bucket, Condition={"Bool": {"aws:SourceVpc": "true"}}),
    "value": lambda bucket: with_statement(bucket, Condition={"IpAddress": {"aws:SourceIp": "x"}}),
    "long": lambda bucket: with_statement(bucket, Sid="x" * 20480),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_policy_is_refused_and_the_old_one_stays(s3, endpoint, bucket, kind):
    s3.put_bucket_policy(Bucket=bucket, Policy=with_statement(bucket))
    text = MALFORMED[kind](bucket)
    body = text if isinstance(text, bytes) else text.encode()
    reply = s3_request(endpoint, "PUT", f"/{bucket}?policy", body=body)
    is_refused(reply, 400, "MalformedPolicy")
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == with_statement(bucket)


def test_what_cannot_be_enforced_is_named(s3, endpoint, bucket):
    for more, word in (
        ({"Action": "s3:GetEverything"}, b"s3:GetEverything"),
        ({"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}, b"aws:SourceVpc"),
    ):
        body = with_statement(bucket, **more).encode()
        reply = s3_request(endpoint, "PUT", f"/{bucket}?policy", body=body)
        assert reply.code == "MalformedPolicy" and word in reply.body, reply


def test_a_public_policy_is_refused_until_the_block_is_lifted(s3, s3_anonymous, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    public = policy(statement(bucket, "s3:GetObject"))
    with pytest.raises(s3.exceptions.ClientError, match="BlockPublicPolicy"):
        s3.put_bucket_policy(Bucket=bucket, Policy=public)
    open_to_policies(s3, bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=public)
    s3_anonymous.get_object(Bucket=bucket, Key="k")


def test_a_restricted_bucket_is_closed_to_others_while_its_policy_is_public(
    s3, s3_anonymous, s3_other, opened
):
    put(s3, opened, statement(opened, "s3:GetObject"))
    restricted = {"RestrictPublicBuckets": True}
    s3.put_public_access_block(Bucket=opened, PublicAccessBlockConfiguration=restricted)
    for client in (s3_anonymous, s3_other):
        with refused(403, "AccessDenied"):
            client.get_object(Bucket=opened, Key="private")
    put(s3, opened, statement(opened, "s3:GetObject", principal=OTHERS))
    s3_other.get_object(Bucket=opened, Key="private")


def test_the_access_block_is_shown_as_it_was_set(s3, bucket):
    def shown():
        return s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]

    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    assert shown() == dict.fromkeys(names, True)
    for name in names:
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={name: True})
        assert shown() == {other: other == name for other in names}
    s3.delete_public_access_block(Bucket=bucket)
    with refused(404, "NoSuchPublicAccessBlockConfiguration"):
        shown()
    s3.delete_public_access_block(Bucket=bucket)


@pytest.mark.parametrize(
    ("more", "public"),
    [
        ({}, True),
        ({"Principal": {"AWS": ["*"]}}, True),
        ({"Principal": {"AWS": OTHERS}}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/32"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}}, True),
        ({"Condition": {"StringLike": {"aws:Referer": "https://example.com/*"}}}, True),
    ],
    ids=str,
)
def test_the_status_tells_whether_a_policy_is_public(s3, bucket, more, public):
    with refused(404, "NoSuchBucketPolicy"):
        s3.get_bucket_policy_status(Bucket=bucket)
    open_to_policies(s3, bucket)
    put(s3, bucket, statement(bucket, "s3:GetObject") | more)
    status = s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]
    assert status == {"IsPublic": public}


def test_the_default_of_new_buckets_can_be_open(special_server):
    server = special_server()
    restart_with(server, "[buckets]\nblock_public_access = false\n")
    reply = s3_request(server.endpoint, "PUT", "/opened")
    assert reply.status == 200, reply
    is_refused(s3_request(server.endpoint, "GET", "/opened?publicAccessBlock"), 404)


def test_a_policy_outlives_a_restart(special_server):
    server = special_server()
    body = policy(statement("kept", "s3:PutObject", principal=OTHERS)).encode()
    assert s3_request(server.endpoint, "PUT", "/kept").status == 200
    assert s3_request(server.endpoint, "PUT", "/kept?policy", body=body).status == 204
    server.kill()
    server.start()
    assert s3_request(server.endpoint, "GET", "/kept?policy").body == body
    assert s3_request(server.endpoint, "PUT", "/kept/k", body=b"1", account=OTHER).status == 200


def test_aws_cli_puts_and_shows_a_policy(tools, s3, bucket):
    text = policy(statement(bucket, "s3:GetObject", principal=OTHERS))
    file = tools.home / "policy.json"
    file.write_text(text)
    tools.aws("s3api", "put-bucket-policy", "--bucket", bucket, "--policy", f"file://{file}")
    shown = json.loads(tools.aws("s3api", "get-bucket-policy", "--bucket", bucket))
    assert json.loads(shown["Policy"]) == json.loads(text)
    status = json.loads(tools.aws("s3api", "get-bucket-policy-status", "--bucket", bucket))
    assert status["PolicyStatus"] == {"IsPublic": False}
    tools.aws("s3api", "delete-bucket-policy", "--bucket", bucket)
    tools.aws("s3api", "get-bucket-policy", "--bucket", bucket, fails=True)
