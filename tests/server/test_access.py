"""`larder access`: who may do what, as it turns out when they try."""

import json

import pytest

from harness.accounts import OTHER, OWNER
from harness.clients import query_client, refused, s3_client
from harness.identities import allow, document, keys_of, trust
from harness.operator import ENVIRONMENT, attempt, output
from harness.server import Server


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A server whose root keys are known, and a bucket of the owner with an object."""
    with Server(tmp_path_factory.mktemp("access"), environment=ENVIRONMENT) as server:
        s3 = s3_client(server.endpoint)
        s3.create_bucket(Bucket="bkt")
        s3.put_object(Bucket="bkt", Key="a", Body=b"content")
        yield server


def arn(name: str, account=OWNER) -> str:
    return f"arn:aws:iam::{account.identity}:{name}"


def who_can(server: Server, *arguments) -> dict[str, tuple[str, list[str]]]:
    text = output(attempt(server, "access", "who-can", *arguments, "--json"))
    able = [json.loads(line) for line in text.splitlines()]
    found = {it["arn"]: (it["can"], it["depends_on"]) for it in able}
    assert len(found) == len(able), "nobody is listed twice"
    return found


def simulate(server: Server, principal: str, *arguments) -> dict:
    command = ("access", "simulate", "--as", principal, *arguments, "--json")
    return json.loads(output(attempt(server, *command)))


def test_who_can_is_who_can(store):
    iam, other = (query_client("iam", store.endpoint, it) for it in (OWNER, OTHER))
    clients = {arn("root"): s3_client(store.endpoint), "anonymous": s3_client(store.endpoint, None)}
    clients[arn("root", OTHER)] = s3_client(store.endpoint, OTHER)
    for client, account in ((iam, OWNER), (other, OTHER)):
        for name in ("ann", "ben"):
            client.create_user(UserName=name)
            keys = keys_of(client, name)
            clients[arn(f"user/{name}", account)] = s3_client(store.endpoint, keys)
    for client in (iam, other):
        text = allow("s3:GetObject", "arn:aws:s3:::bkt/*")
        client.put_user_policy(UserName="ann", PolicyName="read", PolicyDocument=text)
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust(OWNER.identity))
    iam.put_role_policy(RoleName="reader", PolicyName="r", PolicyDocument=allow("s3:Get*", "*"))
    grant = {"Effect": "Allow", "Principal": {"AWS": OTHER.identity}}
    grant |= {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/*"}
    s3 = s3_client(store.endpoint)
    s3.put_bucket_policy(Bucket="bkt", Policy=document(grant))
    able = who_can(store, "s3:GetObject", "bkt/a")
    assert able.pop(arn("role/reader")) == ("yes", [])
    for name, client in clients.items():
        if name in able:
            assert client.get_object(Bucket="bkt", Key="a")["Body"].read() == b"content", name
        else:
            with refused(403):
                client.get_object(Bucket="bkt", Key="a")
        told = simulate(store, name, "s3:GetObject", "s3://bkt/a")
        assert (told["decision"] == "allowed") == (name in able), name
    assert set(able) == {
        arn("root"), arn("user/ann"), arn("root", OTHER), arn("user/ann", OTHER)
    }
    text = output(attempt(store, "access", "who-can", "s3:GetObject", "bkt/a"))
    assert "yes" in text and "the policy read of the user ann allows it" in text


def test_who_can_knows_whose_an_object_is(store):
    s3, other = s3_client(store.endpoint), s3_client(store.endpoint, OTHER)
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.create_bucket(Bucket="mixed")
    s3.put_bucket_ownership_controls(Bucket="mixed", OwnershipControls=rules)
    anywhere = {"Effect": "Allow", "Principal": {"AWS": [OTHER.identity, OWNER.identity]}}
    anywhere |= {"Action": "s3:*", "Resource": "arn:aws:s3:::mixed/*"}
    anywhere |= {"Condition": {"StringNotEquals": {"aws:UserAgent": "x"}}}
    s3.put_bucket_policy(Bucket="mixed", Policy=document(anywhere))
    other.put_object(Bucket="mixed", Key="theirs", Body=b"x")
    roots = {arn("root"), arn("root", OTHER)}
    able = who_can(store, "s3:GetObject", "mixed/theirs")
    assert roots & set(able) == {arn("root", OTHER)}
    assert roots & set(who_can(store, "s3:GetObjectAcl", "mixed/theirs")) == {arn("root", OTHER)}
    assert roots & set(who_can(store, "s3:DeleteObject", "mixed/theirs")) == roots
    told = simulate(store, arn("root"), "s3:GetObject", "s3://mixed/theirs")
    assert told["layer"] == "the owner of the object"
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket="mixed", OwnershipControls=rules)
    assert roots & set(who_can(store, "s3:GetObject", "mixed/theirs")) == roots


def test_conditions_of_which_nothing_is_said_make_it_perhaps(store):
    iam = query_client("iam", store.endpoint)
    iam.create_user(UserName="cid")
    here = {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    text = allow("s3:DeleteObject", "arn:aws:s3:::bkt/*", **here)
    iam.put_user_policy(UserName="cid", PolicyName="here", PolicyDocument=text)
    question = ("s3:DeleteObject", "bkt/a")
    assert who_can(store, *question)[arn("user/cid")] == ("perhaps", ["aws:SourceIp"])
    inside, outside = "aws:SourceIp=10.1.2.3", "aws:SourceIp=192.0.2.1"
    assert who_can(store, *question, "--fact", inside)[arn("user/cid")] == ("yes", [])
    told = simulate(store, arn("user/cid"), *question, "--fact", outside)
    assert told["decision"] == "implicitDeny" and told["grants"]
    assert told["facts"] == [{"key": "aws:SourceIp", "values": ["192.0.2.1"]}]
    assert told["statements"][0]["unmet"] == "aws:SourceIp"


def test_many_are_listed_page_by_page(store):
    iam = query_client("iam", store.endpoint, OTHER)
    iam.create_group(GroupName="all")
    text = allow("iam:GetUser", "*")
    iam.put_group_policy(GroupName="all", PolicyName="p", PolicyDocument=text)
    names = [f"many{number:03}" for number in range(230)]
    for name in names:
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="all", UserName=name)
    able = who_can(store, "iam:GetUser", arn("user/many000", OTHER))
    assert set(able) == {arn(f"user/{name}", OTHER) for name in names} | {arn("root", OTHER)}


def test_roles_and_nonsense(store):
    iam = query_client("iam", store.endpoint)
    iam.create_user(UserName="dan")
    text = trust(arn("user/dan"))
    iam.create_role(RoleName="dans", AssumeRolePolicyDocument=text)
    able = who_can(store, "sts:AssumeRole", arn("role/dans"))
    assert set(able) == {arn("user/dan")}
    for arguments, word in [
        (("s3:Nonsense", "bkt"), "no action"),
        (("s3:GetObject", "arn:aws:sqs:::x"), "no ARN"),
        (("s3:GetObject", "no-such-bucket/a"), "NoSuchBucket"),
    ]:
        finished = attempt(store, "access", "who-can", *arguments)
        assert finished.returncode == 1 and word in finished.stderr, finished.stderr
    finished = attempt(store, "access", "simulate", "--as", "user/x", "s3:GetObject", "bkt/a")
    assert finished.returncode == 1 and "nobody here" in finished.stderr
    finished = attempt(store, "access", "who-can", "s3:GetObject", "bkt/a", account=OWNER)
    assert finished.returncode == 1 and "AccessDenied" in finished.stderr


def test_the_simulator_of_iam_names_policies_keys_and_boundaries(store):
    iam = query_client("iam", store.endpoint)
    iam.create_user(UserName="eve")
    here = {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    text = allow("s3:GetObject", "arn:aws:s3:::bkt/*", **here)
    iam.put_user_policy(UserName="eve", PolicyName="own", PolicyDocument=text)
    policy = iam.create_policy(PolicyName="most", PolicyDocument=allow("s3:Put*", "*"))
    most = policy["Policy"]["Arn"]
    iam.attach_user_policy(UserName="eve", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    iam.put_user_permissions_boundary(UserName="eve", PermissionsBoundary=most)
    question = {"PolicySourceArn": arn("user/eve"), "ResourceArns": ["arn:aws:s3:::bkt/a"]}
    answer = iam.simulate_principal_policy(
        ActionNames=["s3:GetObject", "s3:PutObject"], **question
    )
    get, put = answer["EvaluationResults"]
    assert get["EvalDecision"] == "implicitDeny" and get["MatchedStatements"] == []
    assert get["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    assert get["MissingContextValues"] == ["aws:SourceIp"]
    assert put["EvalDecision"] == "allowed"
    assert put["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": True}
    [matched] = put["MatchedStatements"]
    assert matched["SourcePolicyId"] == "AmazonS3FullAccess"
    assert matched["SourcePolicyType"] == "aws-managed"
    deny = document({"Effect": "Deny", "Action": "s3:*", "Resource": "*"})
    custom = iam.simulate_custom_policy(
        PolicyInputList=[allow("s3:*", "*"), deny], ActionNames=["s3:GetObject"]
    )
    [answer] = custom["EvaluationResults"]
    assert answer["EvalDecision"] == "explicitDeny"
    assert [it["SourcePolicyId"] for it in answer["MatchedStatements"]] == ["PolicyInputList.2"]
