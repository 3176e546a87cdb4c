"""Users and roles that policies name: they must be there, and nobody else is meant later."""

import json

from harness.accounts import OTHER, OWNER
from harness.clients import oss_bucket, query_client, refused, s3_client
from harness.identities import allow, keys_of, session_of, trust
from harness.policies import policy, statement


def policy_of(s3, bucket):
    """The principal of the only statement of the bucket's policy."""
    shown = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    return shown["Statement"][0]["Principal"]


def user_arn(user, account=OWNER):
    return f"arn:aws:iam::{account.identity}:user/{user}"


def test_a_later_user_of_the_same_name_has_not_the_rights_of_the_first(
    endpoint, iam, s3, bucket, fresh
):
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")
    user = fresh("user")
    with refused(400, "MalformedPolicy"):
        s3.put_bucket_policy(
            Bucket=bucket,
            Policy=policy(statement(bucket, "s3:GetObject", principal=user_arn(fresh.name()))),
        )
    text = policy(statement(bucket, "s3:GetObject", principal=user_arn(user)))
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    first = iam.get_user(UserName=user)["User"]["UserId"]
    keys = keys_of(iam, user)
    s3_client(endpoint, keys).get_object(Bucket=bucket, Key="a")
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == text
    iam.delete_access_key(UserName=user, AccessKeyId=keys.access_key)
    iam.delete_user(UserName=user)
    assert policy_of(s3, bucket) == {"AWS": first}
    fresh("user", name=user)
    with refused(403, "AccessDenied"):
        s3_client(endpoint, keys_of(iam, user)).get_object(Bucket=bucket, Key="a")
    # What is shown then names nobody: it cannot be put.
    with refused(400, "MalformedPolicy"):
        shown = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        s3.put_bucket_policy(Bucket=bucket, Policy=shown)
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    s3_client(endpoint, keys_of(iam, user)).get_object(Bucket=bucket, Key="a")


def test_a_user_with_another_name_is_meant_still(endpoint, iam, s3, bucket, fresh):
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")
    user, renamed = fresh("user"), fresh.name()
    client = s3_client(endpoint, keys_of(iam, user))
    one = statement(bucket, "s3:GetObject", principal=user_arn(user))
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(one))
    iam.update_user(UserName=user, NewUserName=renamed, NewPath="/far/")
    fresh.made.append(("user", iam, renamed))
    assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"content"
    assert policy_of(s3, bucket) == {"AWS": user_arn(f"far/{renamed}")}
    fresh("user", name=user)
    with refused(403, "AccessDenied"):
        s3_client(endpoint, keys_of(iam, user)).get_object(Bucket=bucket, Key="a")


def test_users_of_other_accounts_are_found_too_and_oss_shows_them_as_well(
    endpoint, iam_other, oss4, fresh
):
    user = fresh("user", iam_other)
    one = {
        "Effect": "Allow",
        "Action": ["oss:GetObject"],
        "Principal": [f"{OTHER.identity}:{user}"],
        "Resource": [f"acs:oss:*:*:{oss4.bucket_name}/*"],
    }
    text = json.dumps({"Version": "1", "Statement": [one]})
    oss4.put_bucket_policy(text)
    first = iam_other.get_user(UserName=user)["User"]["UserId"]
    client = oss_bucket(endpoint, oss4.bucket_name, "V4", keys_of(iam_other, user))
    iam_other.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=allow("s3:*", "*"))
    oss4.put_object("a", b"content")
    assert client.get_object("a").read() == b"content"
    for key in iam_other.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        iam_other.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    iam_other.delete_user_policy(UserName=user, PolicyName="all")
    iam_other.delete_user(UserName=user)
    shown = json.loads(oss4.get_bucket_policy().policy)
    assert shown["Statement"][0]["Principal"] == [first]


def test_a_role_trusts_the_one_it_named(endpoint, iam, fresh):
    user, role = fresh("user"), fresh("role")
    with refused(400, "MalformedPolicyDocument"):
        strange = trust(user_arn(fresh.name()))
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=strange)
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust(user_arn(user)))
    arn = iam.get_role(RoleName=role)["Role"]["Arn"]

    def assume():
        sts = query_client("sts", endpoint, keys_of(iam, user))
        return session_of(sts.assume_role(RoleArn=arn, RoleSessionName="session"))

    def trusted(shown):
        return shown["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]

    assume()
    first = iam.get_user(UserName=user)["User"]["UserId"]
    for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=user)
    assert trusted(iam.get_role(RoleName=role)["Role"]) == first
    listed = iam.get_paginator("list_roles").paginate()
    found = [one for page in listed for one in page["Roles"] if one["RoleName"] == role]
    assert trusted(found[0]) == first
    fresh("user", name=user)
    with refused(403, "AccessDenied"):
        assume()


def test_a_later_role_of_the_same_name_has_not_the_rights_of_the_first(
    endpoint, iam, s3, bucket, fresh
):
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")
    role, reader = fresh("role"), fresh("user")
    keys = keys_of(iam, reader)
    iam.put_user_policy(
        UserName=reader, PolicyName="assume", PolicyDocument=allow("sts:AssumeRole", "*")
    )
    arn = iam.get_role(RoleName=role)["Role"]["Arn"]
    session = f"arn:aws:sts::{OWNER.identity}:assumed-role/{role}/session"
    named = statement(bucket, "s3:GetObject", principal=[arn, session])
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(named))

    def read():
        sts = query_client("sts", endpoint, keys)
        own = session_of(sts.assume_role(RoleArn=arn, RoleSessionName="session"))
        return s3_client(endpoint, own).get_object(Bucket=bucket, Key="a")

    read()
    first = iam.get_role(RoleName=role)["Role"]["RoleId"]
    iam.delete_role(RoleName=role)
    fresh("role", name=role)
    assert policy_of(s3, bucket) == {"AWS": [first, f"{first}:session"]}
    with refused(403, "AccessDenied"):
        read()
