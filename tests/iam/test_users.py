"""Users, groups, roles and their policies through boto3: what is set holds on the next request."""

import json

import pytest

from harness.accounts import OTHER, OWNER
from harness.clients import oss_bucket, refused, s3_client
from harness.identities import allow, document, keys_of
from harness.sign import oss_request, s3_request


def test_a_user_may_what_its_policies_allow_and_nothing_else(endpoint, iam, s3, bucket, fresh):
    user = fresh("user")
    keys = keys_of(iam, user)
    client = s3_client(endpoint, keys)
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")
    with refused(403, "AccessDenied"):
        client.get_object(Bucket=bucket, Key="a")
    text = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    iam.put_user_policy(UserName=user, PolicyName="read", PolicyDocument=text)
    assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"content"
    with refused(403, "AccessDenied"):
        client.put_object(Bucket=bucket, Key="a", Body=b"")
    assert oss_bucket(endpoint, bucket, "V1", keys).get_object("a").read() == b"content"
    with refused(403, "AccessDenied"):
        oss_bucket(endpoint, bucket, "V4", keys).put_object("a", b"")
    iam.delete_user_policy(UserName=user, PolicyName="read")
    with refused(403, "AccessDenied"):
        client.get_object(Bucket=bucket, Key="a")


def test_a_user_of_another_account_needs_the_leave_of_both(endpoint, iam_other, s3, bucket, fresh):
    user = fresh("user", iam_other)
    client = s3_client(endpoint, keys_of(iam_other, user))
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")
    text = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")
    iam_other.put_user_policy(UserName=user, PolicyName="read", PolicyDocument=text)
    with refused(403, "AccessDenied"):
        client.get_object(Bucket=bucket, Key="a")
    arn = iam_other.get_user(UserName=user)["User"]["Arn"]
    assert arn == f"arn:aws:iam::{OTHER.identity}:user/{user}"
    named = json.loads(text)
    named["Statement"][0]["Principal"] = {"AWS": arn}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(named))
    assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"content"
    iam_other.delete_user_policy(UserName=user, PolicyName="read")
    with refused(403, "AccessDenied"):
        client.get_object(Bucket=bucket, Key="a")


def test_a_grant_to_an_account_takes_the_leave_of_its_users_own_policies(
    endpoint, iam_other, s3, bucket, fresh
):
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    grant = f'id="{OTHER.canonical_id}"'
    s3.put_bucket_acl(Bucket=bucket, GrantFullControl=f'id="{OWNER.canonical_id}", {grant}')
    s3.put_object(Bucket=bucket, Key="a", Body=b"content", GrantFullControl=grant)
    user = fresh("user", iam_other)
    client = s3_client(endpoint, keys_of(iam_other, user))
    asks = [
        lambda: client.get_object(Bucket=bucket, Key="a"),
        lambda: client.list_objects_v2(Bucket=bucket),
    ]

    def check(*allowed):
        for ask, may in zip(asks, allowed, strict=True):
            if may:
                ask()
            else:
                with refused(403, "AccessDenied"):
                    ask()

    check(False, False)
    text = allow("s3:*", [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"])
    iam_other.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=text)
    check(True, True)
    boundary = fresh("policy", iam_other, fresh.name())
    text = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    made = iam_other.create_policy(PolicyName=boundary, PolicyDocument=text)
    arn = made["Policy"]["Arn"]
    iam_other.put_user_permissions_boundary(UserName=user, PermissionsBoundary=arn)
    check(False, True)
    iam_other.delete_user_permissions_boundary(UserName=user)
    check(True, True)
    iam_other.delete_user_policy(UserName=user, PolicyName="all")
    check(False, False)


def test_a_policy_of_a_bucket_names_users_that_exist(iam, s3, bucket):
    arn = f"arn:aws:iam::{OWNER.identity}:user/nobody"
    named = json.loads(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    named["Statement"][0]["Principal"] = {"AWS": arn}
    with refused(400, "MalformedPolicy"):
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(named))


def test_a_member_of_a_group_may_and_others_may_not(endpoint, iam, s3, bucket, fresh):
    member, stranger, group = fresh("user"), fresh("user"), fresh("group")
    clients = {name: s3_client(endpoint, keys_of(iam, name)) for name in (member, stranger)}
    text = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    iam.put_group_policy(GroupName=group, PolicyName="list", PolicyDocument=text)
    iam.add_user_to_group(GroupName=group, UserName=member)
    clients[member].list_objects_v2(Bucket=bucket)
    with refused(403, "AccessDenied"):
        clients[stranger].list_objects_v2(Bucket=bucket)
    assert [user["UserName"] for user in iam.get_group(GroupName=group)["Users"]] == [member]
    groups = iam.list_groups_for_user(UserName=member)["Groups"]
    assert [found["GroupName"] for found in groups] == [group]
    iam.remove_user_from_group(GroupName=group, UserName=member)
    with refused(403, "AccessDenied"):
        clients[member].list_objects_v2(Bucket=bucket)


def test_a_key_that_is_switched_off_is_refused_at_once(endpoint, iam, fresh):
    user = fresh("user")
    keys = keys_of(iam, user)
    client = s3_client(endpoint, keys)
    iam.attach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    client.list_buckets()
    iam.update_access_key(UserName=user, AccessKeyId=keys.access_key, Status="Inactive")
    assert iam.list_access_keys(UserName=user)["AccessKeyMetadata"][0]["Status"] == "Inactive"
    with refused(403, "InvalidAccessKeyId"):
        client.list_buckets()
    iam.update_access_key(UserName=user, AccessKeyId=keys.access_key, Status="Active")
    client.list_buckets()
    used = iam.get_access_key_last_used(AccessKeyId=keys.access_key)
    assert (used["UserName"], used["AccessKeyLastUsed"]["ServiceName"]) == (user, "s3")
    iam.delete_access_key(UserName=user, AccessKeyId=keys.access_key)
    with refused(403, "InvalidAccessKeyId"):
        client.list_buckets()
    with refused(404, "NoSuchEntity"):
        iam.delete_access_key(UserName=user, AccessKeyId=keys.access_key)


def test_a_condition_on_the_address_holds(endpoint, iam, s3, bucket, fresh):
    user = fresh("user")
    client = s3_client(endpoint, keys_of(iam, user))
    for network, allowed in (("127.0.0.0/8", True), ("10.0.0.0/8", False)):
        where = {"IpAddress": {"aws:SourceIp": network}}
        text = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Condition=where)
        iam.put_user_policy(UserName=user, PolicyName="list", PolicyDocument=text)
        if allowed:
            client.list_objects_v2(Bucket=bucket)
        else:
            with refused(403, "AccessDenied"):
                client.list_objects_v2(Bucket=bucket)


def test_variables_stand_for_the_user(endpoint, iam, s3, bucket, fresh):
    user = fresh("user")
    client = s3_client(endpoint, keys_of(iam, user))
    iam.tag_user(UserName=user, Tags=[{"Key": "team", "Value": "red"}])
    resources = [f"arn:aws:s3:::{bucket}/{name}/*" for name in ("${aws:username}", "teams/red")]
    team = {"StringEquals": {"aws:PrincipalTag/team": "red"}}
    text = document(
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": resources[0]},
        {
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": resources[1],
            "Condition": team,
        },
    )
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=text)
    client.put_object(Bucket=bucket, Key=f"{user}/a", Body=b"")
    client.put_object(Bucket=bucket, Key="teams/red/a", Body=b"")
    with refused(403, "AccessDenied"):
        client.put_object(Bucket=bucket, Key="somebody/a", Body=b"")
    iam.untag_user(UserName=user, TagKeys=["team"])
    with refused(403, "AccessDenied"):
        client.put_object(Bucket=bucket, Key="teams/red/a", Body=b"")


def test_a_boundary_is_the_most_a_user_may(endpoint, iam, s3, bucket, fresh):
    user = fresh("user")
    client = s3_client(endpoint, keys_of(iam, user))
    iam.attach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    client.put_object(Bucket=bucket, Key="a", Body=b"content")
    boundary = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=boundary)
    shown = iam.get_user(UserName=user)["User"]["PermissionsBoundary"]
    assert shown["PermissionsBoundaryArn"] == boundary
    client.get_object(Bucket=bucket, Key="a")
    with refused(403, "AccessDenied"):
        client.put_object(Bucket=bucket, Key="a", Body=b"")
    iam.delete_user_permissions_boundary(UserName=user)
    client.put_object(Bucket=bucket, Key="a", Body=b"")


def test_a_managed_policy_has_versions_and_one_is_in_force(endpoint, iam, s3, bucket, fresh):
    user, name = fresh("user"), fresh("policy")
    client = s3_client(endpoint, keys_of(iam, user))
    reads, lists = (allow(action, "arn:aws:s3:::*") for action in ("s3:GetObject", "s3:ListBucket"))
    made = iam.create_policy(PolicyName=name, PolicyDocument=reads, Path="/team/")["Policy"]
    arn = made["Arn"]
    assert arn == f"arn:aws:iam::{OWNER.identity}:policy/team/{name}"
    iam.attach_user_policy(UserName=user, PolicyArn=arn)
    with refused(403, "AccessDenied"):
        client.list_objects_v2(Bucket=bucket)
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=lists, SetAsDefault=True)
    assert second["PolicyVersion"]["VersionId"] == "v2"
    client.list_objects_v2(Bucket=bucket)
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert {v["VersionId"]: v["IsDefaultVersion"] for v in versions} == {"v1": False, "v2": True}
    shown = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert shown["Document"] == json.loads(reads)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    with refused(403, "AccessDenied"):
        client.list_objects_v2(Bucket=bucket)
    with refused(409, "DeleteConflict"):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=lists)
    with refused(409, "LimitExceeded"):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=lists)
    with refused(409, "DeleteConflict"):
        iam.delete_policy(PolicyArn=arn)
    holders = iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"]
    assert [holder["UserName"] for holder in holders] == [user]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1


def test_a_user_who_may_iam_manages_and_others_do_not(endpoint, iam, fresh, iam_as):
    admin, plain, made = fresh("user"), fresh("user"), fresh.name()
    admins = iam_as(keys_of(iam, admin))
    plains = iam_as(keys_of(iam, plain))
    with refused(403, "AccessDenied"):
        admins.create_user(UserName=made)
    resource = f"arn:aws:iam::{OWNER.identity}:user/{made}"
    text = allow(["iam:CreateUser", "iam:DeleteUser"], resource)
    iam.put_user_policy(UserName=admin, PolicyName="users", PolicyDocument=text)
    admins.create_user(UserName=made)
    with refused(403, "AccessDenied"):
        admins.create_user(UserName=made + "x")
    with refused(403, "AccessDenied"):
        plains.delete_user(UserName=made)
    admins.delete_user(UserName=made)
    with refused(403, "AccessDenied"):
        plains.get_user()
    text = allow("iam:GetUser", f"arn:aws:iam::{OWNER.identity}:user/${{aws:username}}")
    iam.put_user_policy(UserName=plain, PolicyName="self", PolicyDocument=text)
    assert plains.get_user()["User"]["UserName"] == plain


def test_who_may_make_users_may_be_held_to_a_boundary(iam, fresh, iam_as):
    admin, made = fresh("user"), fresh.name()
    admins = iam_as(keys_of(iam, admin))
    boundary = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    bound = {"StringEquals": {"iam:PermissionsBoundary": boundary}}
    harmful = {"ArnLike": {"iam:PolicyARN": "arn:aws:iam::aws:policy/Admin*"}}
    text = document(
        {"Effect": "Allow", "Action": "iam:*User*", "Resource": "*", "Condition": bound},
        {"Effect": "Deny", "Action": "iam:Attach*", "Resource": "*", "Condition": harmful},
    )
    iam.put_user_policy(UserName=admin, PolicyName="users", PolicyDocument=text)
    with refused(403, "AccessDenied"):
        admins.create_user(UserName=made)
    admins.create_user(UserName=made, PermissionsBoundary=boundary)
    fresh.made.append(("user", iam, made))
    admins.attach_user_policy(UserName=made, PolicyArn=boundary)
    with refused(403, "AccessDenied"):
        admins.attach_user_policy(
            UserName=made, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        )
    with refused(403, "AccessDenied"):
        admins.attach_user_policy(UserName=admin, PolicyArn=boundary)


def test_accounts_do_not_see_each_others_users(iam, iam_other, fresh):
    user = fresh("user")
    with refused(404, "NoSuchEntity"):
        iam_other.get_user(UserName=user)
    assert user not in [found["UserName"] for found in iam_other.list_users()["Users"]]
    twin = fresh("user", iam_other, user)
    assert iam_other.get_user(UserName=twin)["User"]["UserId"] != (
        iam.get_user(UserName=user)["User"]["UserId"]
    )


def test_names_are_taken_in_any_case_of_letters(iam, fresh):
    user = fresh("user")
    with refused(409, "EntityAlreadyExists"):
        iam.create_user(UserName=user.upper())
    with refused(400, "ValidationError"):
        iam.create_user(UserName="no blanks")
    with refused(404, "NoSuchEntity"):
        iam.get_user(UserName=user + "x")


def test_a_user_that_has_something_is_not_deleted(iam, fresh):
    user = fresh("user")
    keys = keys_of(iam, user)
    with refused(409, "DeleteConflict"):
        iam.delete_user(UserName=user)
    iam.delete_access_key(UserName=user, AccessKeyId=keys.access_key)
    text = allow("s3:*", "*")
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=text)
    assert iam.list_user_policies(UserName=user)["PolicyNames"] == ["p"]
    assert iam.get_user_policy(UserName=user, PolicyName="p")["PolicyDocument"] == json.loads(text)
    with refused(409, "DeleteConflict"):
        iam.delete_user(UserName=user)
    iam.delete_user_policy(UserName=user, PolicyName="p")
    iam.delete_user(UserName=user)
    with refused(404, "NoSuchEntity"):
        iam.get_user(UserName=user)


def test_a_renamed_user_keeps_keys_groups_and_policies(endpoint, iam, s3, bucket, fresh):
    user, group = fresh("user"), fresh("group")
    client = s3_client(endpoint, keys_of(iam, user))
    iam.add_user_to_group(GroupName=group, UserName=user)
    text = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    iam.put_group_policy(GroupName=group, PolicyName="list", PolicyDocument=text)
    iam.update_user(UserName=user, NewUserName=user + "-new", NewPath="/team/")
    iam.update_group(GroupName=group, NewGroupName=group + "-new")
    fresh.made += [("user", iam, user + "-new"), ("group", iam, group + "-new")]
    client.list_objects_v2(Bucket=bucket)
    arn = iam.get_user(UserName=user + "-new")["User"]["Arn"]
    assert arn == f"arn:aws:iam::{OWNER.identity}:user/team/{user}-new"
    with refused(404, "NoSuchEntity"):
        iam.get_user(UserName=user)


@pytest.mark.parametrize("text", ["{", '{"Version": "2012-10-17"}', allow("GetObject", "*")])
def test_what_is_no_policy_is_refused(iam, fresh, text):
    user = fresh("user")
    with refused(400, "MalformedPolicyDocument"):
        iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=text)


def test_actions_of_other_services_are_accepted_and_match_nothing(endpoint, iam, fresh):
    user = fresh("user")
    client = s3_client(endpoint, keys_of(iam, user))
    text = allow(["ec2:*", "s3:ListAllMyBuckets"], "*")
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=text)
    client.list_buckets()


def test_lists_come_in_pages(iam, fresh):
    names = sorted(fresh("user") for _ in range(5))
    pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 2})
    found = [user["UserName"] for page in pages for user in page["Users"]]
    assert [name for name in found if name in names] == names


def test_the_account_is_summed_up(iam, fresh):
    before = iam.get_account_summary()["SummaryMap"]["Users"]
    fresh("user")
    assert iam.get_account_summary()["SummaryMap"]["Users"] >= before
    assert iam.list_account_aliases()["AccountAliases"] == []
    details = iam.get_account_authorization_details()
    assert details["UserDetailList"]


def test_the_simulator_tells_what_would_be_allowed(iam, fresh, bucket):
    user = fresh("user")
    text = document(
        {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"},
        {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"},
    )
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=text)
    question = {
        "ActionNames": ["s3:GetObject", "s3:DeleteObject", "iam:GetUser"],
        "ResourceArns": [f"arn:aws:s3:::{bucket}/a"],
    }
    arn = iam.get_user(UserName=user)["User"]["Arn"]
    answers = iam.simulate_principal_policy(PolicySourceArn=arn, **question)
    custom = iam.simulate_custom_policy(PolicyInputList=[text], **question)
    expected = ["allowed", "explicitDeny", "implicitDeny"]
    for answer in (answers, custom):
        assert [it["EvalDecision"] for it in answer["EvaluationResults"]] == expected


def test_the_command_line_makes_a_user(tools, fresh):
    name = fresh.name()
    made = json.loads(tools.aws("iam", "create-user", "--user-name", name))["User"]
    assert made["UserName"] == name and made["UserId"].startswith("AIDA")
    tools.aws("iam", "delete-user", "--user-name", name)
    assert "NoSuchEntity" in tools.aws("iam", "get-user", "--user-name", name, fails=True)
    assert "NotImplemented" in tools.aws("iam", "list-server-certificates", fails=True)


def test_who_may_only_create_buckets_makes_no_open_ones(endpoint, iam, s3, fresh, fresh_name):
    user = fresh("user")
    client = s3_client(endpoint, keys_of(iam, user))
    name = fresh_name()

    def may(*actions):
        text = allow(list(actions), f"arn:aws:s3:::{name}")
        iam.put_user_policy(UserName=user, PolicyName="create", PolicyDocument=text)

    owned = {"Bucket": name, "ObjectOwnership": "ObjectWriter"}
    may("s3:CreateBucket")
    public = {"Bucket": name, "ACL": "public-read"}
    for more in (owned, owned | {"ACL": "authenticated-read"}, public):
        with refused(403, "AccessDenied"):
            client.create_bucket(**more)
    may("s3:CreateBucket", "s3:PutBucketOwnershipControls")
    with refused(403, "AccessDenied"):
        client.create_bucket(**owned, GrantRead=f'id="{OTHER.canonical_id}"')
    may("s3:CreateBucket", "s3:PutBucketOwnershipControls", "s3:PutBucketAcl")
    client.create_bucket(**owned, GrantRead=f'id="{OTHER.canonical_id}"')
    assert s3_client(endpoint, OTHER).list_objects_v2(Bucket=name)["KeyCount"] == 0
    s3.delete_bucket(Bucket=name)
    may("s3:CreateBucket")
    client.create_bucket(Bucket=name)


def test_a_user_needs_the_actions_of_the_block_of_an_account(endpoint, iam, fresh):
    """Each policy lets through the requests of its action, in both protocols, and no others."""
    user = fresh("user")
    keys = keys_of(iam, user)
    path = "/v20180820/configuration/publicAccessBlock"
    named = {"x-amz-account-id": OWNER.identity}

    def s3_status(method):
        body = b"<x/>" if method == "PUT" else b""
        return s3_request(endpoint, method, path, named, body, keys)

    def oss_status(method):
        body = b"<x/>" if method == "PUT" else b""
        return oss_request(endpoint, method, "/?publicAccessBlock", {}, body, keys)

    s3_words, oss_words = ["Get", "Put", "Put"], ["Get", "Put", "Delete"]
    delete = {"Effect": "Allow", "Action": ["oss:DeletePublicAccessBlock"]}
    in_oss = {"Version": "1", "Statement": [delete | {"Resource": ["acs:oss:*:*:*"]}]}
    texts = {f"s3:{word}AccountPublicAccessBlock": None for word in ("Get", "Put")}
    for granted, text in (texts | {"oss:DeletePublicAccessBlock": json.dumps(in_oss)}).items():
        text = text or allow(granted, "*")
        iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=text)
        for send, vendor, words in ((s3_status, "s3", s3_words), (oss_status, "oss", oss_words)):
            for method, word in zip(("GET", "PUT", "DELETE"), words, strict=True):
                same = granted.replace("s3:", "").replace("oss:", "").replace("Account", "")
                expected = same == f"{word}PublicAccessBlock"
                reply = send(method)
                assert (reply.status != 403) == expected, (granted, vendor, method, reply)
