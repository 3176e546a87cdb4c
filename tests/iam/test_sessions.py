"""Temporary credentials through boto3, aws-cli and oss2: what they may, and when they end."""

import json

import pytest
import requests

from harness.accounts import OTHER, OWNER
from harness.clients import oss_bucket, query_client, refused, s3_client
from harness.identities import allow, document, keys_of, session_of, trust


@pytest.fixture
def role(iam, fresh, bucket, s3):
    """A role that may read and write the bucket and that its own account trusts."""
    name = fresh("role")
    text = allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{bucket}/*")
    iam.put_role_policy(RoleName=name, PolicyName="objects", PolicyDocument=text)
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")
    return name


def assume(endpoint, account, role, **more):
    """The credentials of a session of the role."""
    arn = f"arn:aws:iam::{OWNER.identity}:role/{role}"
    sts = query_client("sts", endpoint, account)
    return session_of(sts.assume_role(RoleArn=arn, RoleSessionName="session", **more))


def test_everybody_may_ask_who_they_are(endpoint, iam, fresh, tools):
    me = json.loads(tools.aws("sts", "get-caller-identity"))
    assert me == {
        "UserId": OWNER.identity,
        "Account": OWNER.identity,
        "Arn": f"arn:aws:iam::{OWNER.identity}:root",
    }
    user = fresh("user")
    found = query_client("sts", endpoint, keys_of(iam, user)).get_caller_identity()
    assert found["Arn"] == f"arn:aws:iam::{OWNER.identity}:user/{user}"
    assert found["UserId"].startswith("AIDA")


def test_a_session_has_the_rights_of_its_role(endpoint, iam, fresh, role, bucket):
    user = fresh("user")
    keys = keys_of(iam, user)
    with refused(403, "AccessDenied"):
        assume(endpoint, keys, role)
    arn = f"arn:aws:iam::{OWNER.identity}:role/{role}"
    text = allow("sts:AssumeRole", arn)
    iam.put_user_policy(UserName=user, PolicyName="assume", PolicyDocument=text)
    session = assume(endpoint, keys, role)
    client = s3_client(endpoint, session)
    assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"content"
    with refused(403, "AccessDenied"):
        client.delete_object(Bucket=bucket, Key="a")
    who = query_client("sts", endpoint, session).get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::{OWNER.identity}:assumed-role/{role}/session"
    iam.delete_role_policy(RoleName=role, PolicyName="objects")
    with refused(403, "AccessDenied"):
        client.get_object(Bucket=bucket, Key="a")


@pytest.mark.parametrize("scheme", ["V1", "V4"])
def test_a_session_speaks_oss_too(endpoint, role, bucket, scheme):
    store = oss_bucket(endpoint, bucket, scheme, assume(endpoint, OWNER, role))
    assert store.get_object("a").read() == b"content"
    with refused(403, "AccessDenied"):
        store.delete_object("a")
    assert requests.get(store.sign_url("GET", "a", 60), timeout=10).content == b"content"


def test_a_session_signs_urls(endpoint, role, bucket):
    client = s3_client(endpoint, assume(endpoint, OWNER, role))
    url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a"})
    assert requests.get(url, timeout=10).content == b"content"
    other = url.replace("X-Amz-Security-Token=", "X-Amz-Security-Token=00")
    assert requests.get(other, timeout=10).status_code == 400


def test_a_session_policy_only_takes_away(endpoint, role, bucket):
    text = allow(["s3:GetObject", "s3:DeleteObject"], "*")
    client = s3_client(endpoint, assume(endpoint, OWNER, role, Policy=text))
    client.get_object(Bucket=bucket, Key="a")
    with refused(403, "AccessDenied"):
        client.put_object(Bucket=bucket, Key="a", Body=b"")
    with refused(403, "AccessDenied"):
        client.delete_object(Bucket=bucket, Key="a")


def test_a_deleted_role_ends_its_sessions(endpoint, iam, role, bucket):
    client = s3_client(endpoint, assume(endpoint, OWNER, role))
    client.get_object(Bucket=bucket, Key="a")
    iam.delete_role_policy(RoleName=role, PolicyName="objects")
    iam.delete_role(RoleName=role)
    with refused(400, "InvalidToken"):
        client.get_object(Bucket=bucket, Key="a")
    text = trust(OWNER.identity)
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=text)
    text = allow("s3:GetObject", "*")
    iam.put_role_policy(RoleName=role, PolicyName="objects", PolicyDocument=text)
    with refused(400, "InvalidToken"):
        client.get_object(Bucket=bucket, Key="a")


def test_another_account_takes_on_a_role_that_trusts_it(endpoint, iam, role, bucket):
    with refused(403, "AccessDenied"):
        assume(endpoint, OTHER, role)
    condition = {"StringEquals": {"sts:ExternalId": "secret"}}
    text = trust(OTHER.identity, Condition=condition)
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=text)
    with refused(403, "AccessDenied"):
        assume(endpoint, OTHER, role)
    with refused(403, "AccessDenied"):
        assume(endpoint, OTHER, role, ExternalId="wrong")
    client = s3_client(endpoint, assume(endpoint, OTHER, role, ExternalId="secret"))
    client.get_object(Bucket=bucket, Key="a")
    with refused(403, "AccessDenied"):
        assume(endpoint, OWNER, role)


def test_what_has_no_token_or_a_wrong_one_is_refused(endpoint, role, bucket):
    from dataclasses import replace

    session = assume(endpoint, OWNER, role)
    with refused(403, "InvalidAccessKeyId"):
        s3_client(endpoint, replace(session, token=None)).get_object(Bucket=bucket, Key="a")
    changed = session.token[:-1] + ("0" if session.token[-1] != "0" else "1")
    with refused(400, "InvalidToken"):
        s3_client(endpoint, replace(session, token=changed)).get_object(Bucket=bucket, Key="a")
    with refused(400, "InvalidToken"):
        s3_client(endpoint, replace(OWNER, token=session.token)).list_buckets()


def test_a_session_of_a_user_ends_with_its_key(endpoint, iam, fresh, s3, bucket):
    user = fresh("user")
    keys = keys_of(iam, user)
    text = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    iam.put_user_policy(UserName=user, PolicyName="list", PolicyDocument=text)
    made = query_client("sts", endpoint, keys).get_session_token(DurationSeconds=900)
    session = session_of(made)
    client = s3_client(endpoint, session)
    client.list_objects_v2(Bucket=bucket)
    with refused(403, "AccessDenied"):
        query_client("sts", endpoint, session).get_session_token()
    iam.update_access_key(UserName=user, AccessKeyId=keys.access_key, Status="Inactive")
    with refused(400, "InvalidToken"):
        client.list_objects_v2(Bucket=bucket)


def test_lent_rights_are_those_that_both_policies_allow(endpoint, iam, fresh, s3, bucket):
    user = fresh("user")
    keys = keys_of(iam, user)
    sts = query_client("sts", endpoint, keys)
    with refused(403, "AccessDenied"):
        sts.get_federation_token(Name="ann")
    text = document(
        {"Effect": "Allow", "Action": "sts:GetFederationToken", "Resource": "*"},
        {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"},
    )
    iam.put_user_policy(UserName=user, PolicyName="lend", PolicyDocument=text)
    nothing = session_of(sts.get_federation_token(Name="ann"))
    with refused(403, "AccessDenied"):
        s3_client(endpoint, nothing).list_objects_v2(Bucket=bucket)
    limited = allow(["s3:ListBucket", "s3:PutObject"], "*")
    made = sts.get_federation_token(Name="ann", Policy=limited)
    assert made["FederatedUser"]["Arn"].endswith(":federated-user/ann")
    client = s3_client(endpoint, session_of(made))
    client.list_objects_v2(Bucket=bucket)
    with refused(403, "AccessDenied"):
        client.put_object(Bucket=bucket, Key="b", Body=b"")
