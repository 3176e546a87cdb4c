"""`larder audit`: each change of who may do what has an entry, in order, whatever happens."""

import json
import threading
from hashlib import sha256

from botocore.exceptions import BotoCoreError, ClientError

from harness.accounts import OWNER, Account
from harness.clients import query_client, refused, s3_client
from harness.identities import allow, trust
from harness.operator import ENVIRONMENT, ROOT, attempt, larder, output
from harness.server import Server
from harness.totp import Device


CORS_RULE = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://here.example"]}
TAG = {"Key": "team", "Value": "blue"}


def trail(server: Server, *arguments) -> list[dict]:
    """The entries of the audit trail, which are in order."""
    text = output(attempt(server, "audit", "--json", *arguments))
    entries = [json.loads(line) for line in text.splitlines()]
    numbers = [entry["number"] for entry in entries]
    assert numbers == sorted(set(numbers))
    return entries


def names(entries) -> list[tuple[str, str]]:
    return [(entry["action"], entry["resource"].rpartition(":")[2]) for entry in entries]


def test_each_change_is_told_of_without_secrets(special_server):
    server = special_server(environment=ENVIRONMENT)
    iam, s3 = query_client("iam", server.endpoint), s3_client(server.endpoint)
    before = len(trail(server))
    assert before == 3, "the root account and two declared ones"
    arn = f"arn:aws:iam::{OWNER.identity}"
    s3.create_bucket(Bucket="bkt")
    iam.create_user(UserName="ann")
    keys = iam.create_access_key(UserName="ann")["AccessKey"]
    iam.create_group(GroupName="devs")
    iam.add_user_to_group(GroupName="devs", UserName="ann")
    policy = iam.create_policy(PolicyName="p", PolicyDocument=allow("s3:*", "*"))["Policy"]["Arn"]
    iam.attach_group_policy(GroupName="devs", PolicyArn=policy)
    iam.put_user_policy(UserName="ann", PolicyName="own", PolicyDocument=allow("s3:*", "*"))
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust(OWNER.identity))
    iam.update_access_key(UserName="ann", AccessKeyId=keys["AccessKeyId"], Status="Inactive")
    s3.put_public_access_block(
        Bucket="bkt", PublicAccessBlockConfiguration={"BlockPublicAcls": False}
    )
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket="bkt", OwnershipControls=rules)
    s3.put_bucket_acl(Bucket="bkt", ACL="public-read")
    statement = {"Effect": "Allow", "Principal": {"AWS": f"{arn}:user/ann"}}
    statement |= {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    for _ in range(2):
        # The second time nothing changes.
        s3.put_bucket_acl(Bucket="bkt", ACL="public-read")
        s3.put_bucket_ownership_controls(Bucket="bkt", OwnershipControls=rules)
        s3.put_bucket_cors(Bucket="bkt", CORSConfiguration={"CORSRules": [CORS_RULE]})
        s3.put_bucket_tagging(Bucket="bkt", Tagging={"TagSet": [TAG]})
        s3.put_bucket_versioning(Bucket="bkt", VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_policy(Bucket="bkt", Policy=text)
        s3.create_bucket(Bucket="bkt")
        iam.add_user_to_group(GroupName="devs", UserName="ann")
        iam.put_user_policy(UserName="ann", PolicyName="own", PolicyDocument=allow("s3:*", "*"))
    s3.delete_bucket_policy(Bucket="bkt")
    s3.delete_bucket(Bucket="bkt")
    made = json.loads(output(attempt(server, "account", "create", "new", "--json")))
    output(attempt(server, "account", "delete", made["id"]))
    with refused(404):
        iam.delete_user(UserName="nobody")
    device = Device(iam, "phone")
    wrong = {"AuthenticationCode1": device.wrong(), "AuthenticationCode2": device.wrong()}
    with refused(403, "InvalidAuthenticationCode"):
        iam.enable_mfa_device(UserName="ann", SerialNumber=device.serial, **wrong)
    entries = trail(server)[before:]
    assert names(entries) == [
        ("s3:CreateBucket", "bkt"),
        ("iam:CreateUser", "user/ann"),
        ("iam:CreateAccessKey", "user/ann"),
        ("iam:CreateGroup", "group/devs"),
        ("iam:AddUserToGroup", "group/devs"),
        ("iam:CreatePolicy", "policy/p"),
        ("iam:AttachGroupPolicy", "group/devs"),
        ("iam:PutUserPolicy", "user/ann"),
        ("iam:CreateRole", "role/r"),
        ("iam:UpdateAccessKey", "user/ann"),
        ("s3:PutBucketPublicAccessBlock", "bkt"),
        ("s3:PutBucketOwnershipControls", "bkt"),
        ("s3:PutBucketAcl", "bkt"),
        ("s3:PutBucketCORS", "bkt"),
        ("s3:PutBucketTagging", "bkt"),
        ("s3:PutBucketVersioning", "bkt"),
        ("s3:PutBucketPolicy", "bkt"),
        ("s3:DeleteBucketPolicy", "bkt"),
        ("s3:DeleteBucket", "bkt"),
        ("larder:CreateAccount", "root"),
        ("larder:DeleteAccount", "root"),
        ("iam:CreateVirtualMFADevice", "mfa/phone"),
    ]
    for entry in entries[:-3]:
        assert entry["who"] == f"{arn}:root" and entry["access_key"] == OWNER.access_key
        assert entry["account"] == OWNER.identity and entry["address"] == "127.0.0.1"
        assert "Boto3" in entry["user_agent"] and len(entry["request_id"]) == 24
    assert entries[-2]["access_key"] == ROOT.access_key
    details = [{it["name"]: it["value"] for it in entry["details"]} for entry in entries]
    assert details[0] == {"ObjectOwnership": "BucketOwnerEnforced", "Acl": "private"}
    assert details[2] == {"AccessKeyId": keys["AccessKeyId"]}
    assert details[4] == {"UserName": "ann"} and details[6] == {"PolicyArn": policy}
    assert details[9]["Status"] == "Inactive"
    grants = [it["value"] for it in entries[12]["details"]]
    assert grants == ["2", "READ AllUsers", f"FULL_CONTROL {OWNER.identity}"]
    assert details[13] == {"Rules": "1"} and details[14] == {"Tags": "team=blue"}
    assert details[15] == {"Status": "Enabled"}
    assert details[16] == {"Statements": "1", "Sha256": sha256(text.encode()).hexdigest()}
    whole = json.dumps(trail(server))
    for secret in (keys["SecretAccessKey"], made["keys"][0]["secret_key"], ROOT.secret_key):
        assert secret not in whole
    assert OWNER.secret_key not in whole
    assert names(trail(server, "--what", "createrole", "--since", "1h")) == [
        ("iam:CreateRole", "role/r")
    ]
    assert trail(server, "--who", "no-such", "--until", "2100-01-01") == []
    assert trail(server, "--until", "1h") == [] and trail(server, "--since", "2100-01-01") == []
    finished = attempt(server, "audit", account=OWNER)
    assert finished.returncode == 1 and "AccessDenied" in finished.stderr


def test_an_account_that_goes_with_all_it_has_is_told_of_once(special_server):
    server = special_server(environment=ENVIRONMENT)
    made = json.loads(output(attempt(server, "account", "create", "new", "--json")))
    keys = made["keys"][0]
    account = Account("new", made["id"], "", keys["access_key"], keys["secret_key"])
    iam = query_client("iam", server.endpoint, account)
    for number in range(120):
        iam.create_user(UserName=f"u{number}")
    output(attempt(server, "account", "delete", made["id"]))
    assert len(trail(server, "--what", "larder:DeleteAccount")) == 1


class Changer(threading.Thread):
    """Creates users one after the other until the server goes, or enough are made."""

    def __init__(self, endpoint: str, number: int, account, most: int):
        super().__init__(daemon=True)
        self.iam = query_client("iam", endpoint, account)
        self.number, self.most = number, most
        self.made: list[str] = []
        self.enough = threading.Event()

    def run(self):
        try:
            for place in range(self.most):
                name = f"w{self.number}-{place}"
                self.iam.create_user(UserName=name)
                self.made.append(name)
                if place >= 15:
                    self.enough.set()
        except (ClientError, BotoCoreError):
            return
        finally:
            self.enough.set()


def created(server: Server) -> list[str]:
    """The users that the trail says were made, in its order."""
    entries = trail(server, "--what", "iam:CreateUser")
    return [entry["resource"].rpartition("/")[2] for entry in entries]


def test_changes_side_by_side_are_in_order_and_none_is_missing(special_server):
    server = special_server(environment=ENVIRONMENT)
    changers = [Changer(server.endpoint, n, [OWNER, ROOT][n % 2], 25) for n in range(6)]
    for changer in changers:
        changer.start()
    for changer in changers:
        changer.join()
    told = created(server)
    assert len(told) == 150
    for changer in changers:
        assert [name for name in told if name.startswith(f"w{changer.number}-")] == changer.made


def test_a_kill_leaves_no_change_without_an_entry_and_no_entry_without_a_change(special_server):
    server = special_server("a", "b", environment=ENVIRONMENT)
    for generation in range(3):
        changers = [Changer(server.endpoint, 10 * generation + n, OWNER, 10_000) for n in range(4)]
        for changer in changers:
            changer.start()
        for changer in changers:
            assert changer.enough.wait(60)
        server.kill()
        for changer in changers:
            changer.join()
        server.start()
        iam = query_client("iam", server.endpoint)
        users = iam.get_paginator("list_users").paginate()
        users = [user["UserName"] for page in users for user in page["Users"]]
        told = created(server)
        assert sorted(told) == sorted(users)
        for changer in changers:
            own = [name for name in told if name.startswith(f"w{changer.number}-")]
            # What was under way may have happened too.
            assert own[: len(changer.made)] == changer.made and len(own) <= len(changer.made) + 1


def test_the_trail_moves_with_an_export(special_server, tmp_path):
    server = special_server("a", environment=ENVIRONMENT)
    iam = query_client("iam", server.endpoint)
    for name in ("ann", "ben"):
        iam.create_user(UserName=name)
    before, file = trail(server), tmp_path / "export"
    output(attempt(server, "export", file))
    server.stop()
    arguments = ("import", file, "--replace", "--config", server.config, "--into", "a")
    output(larder(server, *arguments))
    server.start()
    assert trail(server) == before
    query_client("iam", server.endpoint).create_user(UserName="cid")
    assert names(trail(server))[len(before) :] == [("iam:CreateUser", "user/cid")]
