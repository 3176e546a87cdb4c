"""`larder explain`: a refusal names what was missing, and that helps; strangers learn nothing."""

import json
import re

import pytest

from harness import raw
from harness.accounts import OTHER, OWNER, Account
from harness.clients import oss_bucket, query_client, refused, s3_client
from harness.identities import allow, document, keys_of, session_of
from harness.operator import attempt, output
from harness.policies import open_to_policies, policy, statement


def explained(server, request_id: str, account=OWNER) -> dict:
    """What an account is told of a request."""
    return json.loads(output(attempt(server, "explain", request_id, "--json", account=account)))


def unknown(server, request_id: str, account):
    """The account is told nothing."""
    finished = attempt(server, "explain", request_id, account=account)
    assert finished.returncode == 1 and "NoSuchEntity" in finished.stderr, finished.stderr
    return re.sub(r"[0-9A-F]{24}", "", finished.stderr)


def request_id(caught) -> str:
    """The id in a refusal of boto3 or oss2."""
    error = caught.reply
    if hasattr(error, "response"):
        return error.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]
    return error.request_id


def test_the_grant_that_is_named_makes_it_pass(server, endpoint, iam, s3, bucket, fresh):
    user = fresh("user")
    keys = keys_of(iam, user)
    client, other_door = s3_client(endpoint, keys), oss_bucket(endpoint, bucket, "V1", keys)
    key = 'a b/"c"*?${d}'
    for number, ask in enumerate(
        [
            lambda: client.put_object(Bucket=bucket, Key=key, Body=b"x"),
            lambda: client.head_object(Bucket=bucket, Key=key),
            lambda: client.list_objects_v2(Bucket=bucket),
            lambda: client.get_bucket_policy_status(Bucket=bucket),
            lambda: client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]}),
            lambda: other_door.list_objects(prefix="a"),
            lambda: other_door.get_bucket_info(),
        ]
    ):
        errors = []
        try:
            answer = ask()
            errors = answer.get("Errors") if isinstance(answer, dict) else None
            if not errors:
                continue
            told = explained(server, answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"])
        except Exception as error:
            caught = type("Caught", (), {"reply": error})
            told = explained(server, request_id(caught))
        assert told["who"]["arn"] == f"arn:aws:iam::{OWNER.identity}:user/{user}"
        assert told["who"]["access_key"] == keys.access_key
        assert told["who"]["address"] == "127.0.0.1"
        assert told["decision"] == "implicitDeny" and told["obstacle"] is None, told
        assert told["layer"] == "the policies of the user or role"
        grants = told["grants"]
        assert [grant["to"] for grant in grants] == [f"a policy of the user {user}"]
        iam.put_user_policy(
            UserName=user, PolicyName=f"p{number}", PolicyDocument=grants[0]["policy"]
        )
        try:
            answer = ask()
        except Exception as error:
            # What is missing now is something else than permission.
            assert "404" in str(error) or "NoSuchBucketPolicy" in str(error), error
        else:
            assert not (isinstance(answer, dict) and answer.get("Errors")), answer


def test_another_account_needs_both_grants_and_each_learns_its_own(
    server, endpoint, iam_other, s3, bucket, fresh
):
    user = fresh("user", iam_other)
    client = s3_client(endpoint, keys_of(iam_other, user))
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")
    text = document({"Sid": "Mine", "Effect": "Allow", "Action": "s3:*", "Resource": "*",
                     "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}})
    iam_other.put_user_policy(UserName=user, PolicyName="mine", PolicyDocument=text)
    with refused(403, "AccessDenied") as caught:
        client.get_object(Bucket=bucket, Key="a")
    told = explained(server, request_id(caught))
    assert told["layer"] == "the bucket policy" and told["resource_owner"] == OWNER.identity
    assert (told["statements"], told["facts"]) == ([], []), "the user's policy is not the owner's"
    [grant] = told["grants"]
    s3.put_bucket_policy(Bucket=bucket, Policy=grant["policy"])
    with refused(403, "AccessDenied") as caught:
        client.get_object(Bucket=bucket, Key="a")
    owner, other = (explained(server, request_id(caught), it) for it in (OWNER, OTHER))
    assert owner["layer"] == other["layer"] == "the policies of the user or role"
    assert owner["grants"] == [] and len(owner["statements"]) == 1
    [mine] = other["statements"]
    assert (mine["sid"], mine["unmet"], mine["applies"]) == ("Mine", "aws:SourceIp", False)
    assert mine["policy"] == f"the policy mine of the user {user}"
    assert other["facts"] == [{"key": "aws:SourceIp", "values": ["127.0.0.1"]}]
    [grant] = other["grants"]
    iam_other.put_user_policy(UserName=user, PolicyName="more", PolicyDocument=grant["policy"])
    assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"content"


def test_a_deny_is_named_and_no_grant_helps(server, endpoint, iam, s3, bucket, fresh):
    user = fresh("user")
    client = s3_client(endpoint, keys_of(iam, user))
    iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=allow("s3:*", "*"))
    deny = statement(bucket, "s3:PutObject", allow=False, Sid="NoWrites")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(deny))
    with refused(403, "AccessDenied") as caught:
        client.put_object(Bucket=bucket, Key="a", Body=b"")
    told = explained(server, request_id(caught))
    assert (told["decision"], told["layer"]) == ("explicitDeny", "the bucket policy")
    decided = [it for it in told["statements"] if it["decided"]]
    assert [(it["sid"], it["effect"]) for it in decided] == [("NoWrites", "Deny")]
    assert told["grants"] == [] and "NoWrites" in told["obstacle"]
    text = output(attempt(server, "explain", request_id(caught), account=OWNER))
    assert "explicitDeny: The statement NoWrites of the policy of the bucket" in text


def test_boundaries_and_sessions_are_named(server, endpoint, iam, s3, bucket, fresh):
    user, most = fresh("user"), fresh("policy", iam, fresh.name())
    client = s3_client(endpoint, keys_of(iam, user))
    iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=allow("s3:*", "*"))
    arn = iam.create_policy(PolicyName=most, PolicyDocument=allow("s3:PutObject", "*"))
    arn = arn["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=arn)
    with refused(403, "AccessDenied") as caught:
        client.get_object(Bucket=bucket, Key="a")
    told = explained(server, request_id(caught))
    assert told["layer"] == "the permission boundary"
    assert [grant["to"] for grant in told["grants"]] == [f"the permission boundary {arn}"]
    iam.delete_user_permissions_boundary(UserName=user)
    sts = query_client("sts", endpoint)
    role = fresh("role")
    iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=allow("s3:*", "*"))
    role = iam.get_role(RoleName=role)["Role"]["Arn"]
    session = session_of(sts.assume_role(
        RoleArn=role, RoleSessionName="narrow", Policy=allow("s3:PutObject", "*")
    ))
    with refused(403, "AccessDenied") as caught:
        s3_client(endpoint, session).get_object(Bucket=bucket, Key="a")
    told = explained(server, request_id(caught))
    assert told["layer"] == "the session policy" and told["grants"] == []
    assert told["obstacle"] == "No statement of the session policy allows it."
    assert session.token not in json.dumps(told) and session.secret_key not in json.dumps(told)


def test_ownership_and_blocks_are_named(server, s3, s3_other, s3_anonymous, bucket):
    open_to_policies(s3, bucket)
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    grant = f'id="{OTHER.canonical_id}"'
    s3.put_object(Bucket=bucket, Key="shared", Body=b"x", GrantRead=grant)
    s3.put_object(Bucket=bucket, Key="public", Body=b"x", ACL="public-read")
    assert s3_anonymous.get_object(Bucket=bucket, Key="public")["Body"].read() == b"x"
    block = {"IgnorePublicAcls": True, "RestrictPublicBuckets": True}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    with refused(403, "AccessDenied") as caught:
        s3_anonymous.get_object(Bucket=bucket, Key="public")
    told = explained(server, request_id(caught))
    assert told["layer"] == "the public access block" and told["who"]["arn"] is None
    assert told["grants"] == [] and "public access block" in told["obstacle"]
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    with refused(403, "AccessDenied") as caught:
        s3_other.get_object(Bucket=bucket, Key="shared")
    told = explained(server, request_id(caught))
    assert told["layer"] == "the object ownership of the bucket"
    s3.put_bucket_policy(Bucket=bucket, Policy=told["grants"][0]["policy"])
    assert s3_other.get_object(Bucket=bucket, Key="shared")["Body"].read() == b"x"


def test_the_owner_of_an_object_is_named(server, s3, s3_other, bucket):
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    granted = statement(bucket, "s3:*", principal=[OTHER.identity, OWNER.identity])
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(granted))
    s3_other.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    with refused(403, "AccessDenied") as caught:
        s3.get_object(Bucket=bucket, Key="theirs")
    told = explained(server, request_id(caught))
    assert told["layer"] == "the owner of the object"
    assert told["resource_owner"] == OTHER.identity
    assert told["statements"] == [] and told["grants"] == []
    assert "belongs to another account than its bucket" in told["obstacle"]


def test_iam_and_sts_are_explained_too(server, endpoint, iam, iam_as, fresh):
    user, role = fresh("user"), fresh("role")
    keys = keys_of(iam, user)
    with refused(403, "AccessDenied") as caught:
        iam_as(keys).create_user(UserName="somebody")
    headers = caught.reply.response["ResponseMetadata"]["HTTPHeaders"]
    told = explained(server, headers["x-amzn-requestid"])
    assert told["action"] == "iam:CreateUser"
    assert told["resource"] == f"arn:aws:iam::{OWNER.identity}:user/somebody"
    arn = iam.get_role(RoleName=role)["Role"]["Arn"]
    sts = query_client("sts", endpoint, keys)
    with refused(403, "AccessDenied") as caught:
        sts.assume_role(RoleArn=arn, RoleSessionName="s1")
    told = explained(server, caught.reply.response["ResponseMetadata"]["RequestId"])
    assert (told["action"], told["resource"]) == ("sts:AssumeRole", arn)
    [grant] = told["grants"]
    iam.put_user_policy(UserName=user, PolicyName="go", PolicyDocument=grant["policy"])
    assert sts.assume_role(RoleArn=arn, RoleSessionName="s1")["Credentials"]


def test_strangers_are_told_nothing_and_not_even_that(
    server, endpoint, iam, iam_other, s3_anonymous, bucket, fresh
):
    with refused(403) as caught:
        s3_anonymous.get_object(Bucket=bucket, Key="a")
    known = request_id(caught)
    assert explained(server, known)["action"] == "s3:GetObject"
    never = "0" * 24
    assert unknown(server, known, OTHER) == unknown(server, never, OTHER)
    user = fresh("user")
    keys = keys_of(iam, user)
    finished = attempt(server, "explain", known, account=keys)
    assert finished.returncode == 1 and "AccessDenied" in finished.stderr
    iam.put_user_policy(
        UserName=user, PolicyName="explain", PolicyDocument=allow("larder:Explain", "*")
    )
    assert explained(server, known, keys)["action"] == "s3:GetObject"
    nobody = Account("nobody", "", "", "NOSUCHKEY", "no-such-secret")
    assert "InvalidAccessKeyId" in attempt(server, "explain", known, account=nobody).stderr


def test_a_signature_that_does_not_hold_is_told_to_the_account_of_the_key(
    server, endpoint, bucket
):
    wrong = Account("wrong", "", "", OWNER.access_key, "this-is-not-the-secret")
    with refused(403, "SignatureDoesNotMatch") as caught:
        s3_client(endpoint, wrong).list_objects_v2(Bucket=bucket)
    told = explained(server, request_id(caught))
    assert (told["decision"], told["action"]) == ("SignatureDoesNotMatch", None)
    assert told["who"]["arn"] is None and told["who"]["access_key"] == OWNER.access_key
    unknown(server, request_id(caught), OTHER)


def test_what_no_policy_refused_is_told_to_whoever_asked(server, s3, s3_anonymous, bucket):
    public = policy(statement(bucket, "s3:GetObject"))
    with refused(403, "AccessDenied") as caught:
        s3.put_bucket_policy(Bucket=bucket, Policy=public)
    told = explained(server, request_id(caught))
    assert told["who"]["arn"] == f"arn:aws:iam::{OWNER.identity}:root"
    assert told["decision"] == "AccessDenied" and "public" in told["reason"].lower()
    unknown(server, request_id(caught), OTHER)


def test_addresses_of_pages_are_shown_without_what_opens_them(server, endpoint, s3, bucket):
    open_to_policies(s3, bucket)
    pages = {"StringLike": {"aws:Referer": "https://good.example/*"}}
    s3.put_bucket_policy(
        Bucket=bucket, Policy=policy(statement(bucket, "s3:GetObject", Condition=pages))
    )
    headers = {"Referer": "https://bad.example/page?X-Amz-Signature=abc"}
    reply = raw.send(endpoint, "GET", f"/{bucket}/a", headers)
    assert reply.status == 403
    told = explained(server, reply.headers["x-amz-request-id"])
    assert told["facts"] == [{"key": "aws:Referer", "values": ["https://bad.example/page?…"]}]


@pytest.mark.parametrize("dialect", ["s3", "oss"])
def test_the_anonymous_learn_nothing_from_a_refusal(endpoint, s3, s3_anonymous, bucket, dialect):
    s3.put_object(Bucket=bucket, Key="there", Body=b"x")
    bodies = set()
    for key in ("there", "gone!"):
        headers = {"x-oss-date": "x"} if dialect == "oss" else {}
        reply = raw.send(endpoint, "GET", f"/{bucket}/{key}", headers)
        assert reply.status == 403
        text = reply.body.decode()
        text = re.sub(r"[0-9A-F]{24}", "ID", text).replace(key, "KEY")
        bodies.add((text, tuple(sorted(name.lower() for name in reply.headers))))
    assert len(bodies) == 1, bodies


def test_a_flood_of_refusals_leaves_those_of_others(server, endpoint, s3_other, s3_anonymous, bucket):
    with refused(403) as caught:
        s3_other.get_object(Bucket=bucket, Key="a")
    for _ in range(300):
        with refused(403):
            s3_anonymous.get_object(Bucket=bucket, Key="b")
    assert explained(server, request_id(caught))["resource"].endswith("/a")
