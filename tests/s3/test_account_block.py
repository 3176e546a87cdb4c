"""The public access block of a whole account, through boto3's and aws-cli's S3 Control."""

import json
import socket

import pytest

from harness.accounts import OTHER, OWNER
from harness.clients import query_client, refused
from harness.policies import open_to_policies, policy, statement
from harness.raw import send
from harness.sign import s3_request

# Names of hosts without the account's id that clients put before them.
RESOLVER = f"""
import socket

resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *arguments, **options: resolve(
    host.removeprefix("{OWNER.identity}."), *arguments, **options
)
"""
SWITCHES = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
PATH = "/v20180820/configuration/publicAccessBlock"


def only(*on: str) -> dict:
    """A block with these switches on."""
    return {name: name in on for name in SWITCHES}


class Control:
    """S3 Control for one account."""

    def __init__(self, endpoint: str, account=OWNER):
        self.client = query_client("s3control", endpoint, account)
        self.account = account

    def put(self, block: dict):
        """Sets the account's block."""
        named = {"AccountId": self.account.identity}
        self.client.put_public_access_block(**named, PublicAccessBlockConfiguration=block)

    def get(self) -> dict:
        """The account's block."""
        found = self.client.get_public_access_block(AccountId=self.account.identity)
        return found["PublicAccessBlockConfiguration"]

    def delete(self):
        """Takes it back."""
        self.client.delete_public_access_block(AccountId=self.account.identity)


@pytest.fixture
def control(endpoint, monkeypatch):
    """S3 Control of the owner; its block is gone afterwards.

    The client puts the account's id before the host, which only a wildcard in DNS resolves.
    """
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    exec(RESOLVER, {})
    control = Control(endpoint)
    yield control
    control.delete()


@pytest.fixture
def opened(s3, bucket) -> str:
    """A bucket with no block of its own, where lists count, with one object."""
    open_to_policies(s3, bucket)
    ownership = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=ownership)
    s3.put_object(Bucket=bucket, Key="k", Body=b"content")
    return bucket


def test_the_block_is_shown_as_it_was_set(control, endpoint):
    control.delete()
    with refused(404, "NoSuchPublicAccessBlockConfiguration"):
        control.get()
    for name in SWITCHES:
        control.put(only(name))
        assert control.get() == only(name)
    # By the name of a host too.
    named = Control(endpoint.replace("127.0.0.1", "localhost"))
    assert named.get() == only(SWITCHES[-1])
    control.delete()
    control.delete()
    with refused(404, "NoSuchPublicAccessBlockConfiguration"):
        named.get()


def test_aws_cli_sets_and_shows_it(control, tools):
    (tools.home / "sitecustomize.py").write_text(RESOLVER)

    def run(command, *words):
        words = ("--account-id", OWNER.identity, *words)
        return tools.aws("s3control", command, *words, PYTHONPATH=str(tools.home))

    block = ",".join(f"{name}=true" for name in SWITCHES)
    run("put-public-access-block", "--public-access-block-configuration", block)
    shown = json.loads(run("get-public-access-block"))["PublicAccessBlockConfiguration"]
    assert shown == only(*SWITCHES) == control.get()
    run("delete-public-access-block")
    with refused(404, "NoSuchPublicAccessBlockConfiguration"):
        control.get()


def test_no_bucket_may_have_a_public_policy(control, s3, s3_anonymous, opened):
    public = policy(statement(opened, "s3:GetObject"))
    control.put(only("BlockPublicPolicy"))
    with refused(403, "AccessDenied") as refusal:
        s3.put_bucket_policy(Bucket=opened, Policy=public)
    for word in ("BlockPublicPolicy", "account", "S3 Control PutPublicAccessBlock"):
        assert word in str(refusal.reply)
    narrow = policy(statement(opened, "s3:GetObject", principal=OTHER.identity))
    s3.put_bucket_policy(Bucket=opened, Policy=narrow)
    control.put(only())
    s3.put_bucket_policy(Bucket=opened, Policy=public)
    # What is public already stays so.
    control.put(only("BlockPublicPolicy"))
    assert s3_anonymous.get_object(Bucket=opened, Key="k")["Body"].read() == b"content"


def test_a_public_policy_counts_for_the_account_alone(control, s3, s3_anonymous, s3_other, opened):
    s3.put_bucket_policy(Bucket=opened, Policy=policy(statement(opened, "s3:GetObject")))
    s3_anonymous.get_object(Bucket=opened, Key="k")
    control.put(only("RestrictPublicBuckets"))
    for client in (s3_anonymous, s3_other):
        with refused(403, "AccessDenied"):
            client.get_object(Bucket=opened, Key="k")
    s3.get_object(Bucket=opened, Key="k")
    control.delete()
    s3_anonymous.get_object(Bucket=opened, Key="k")


def test_no_public_list_may_be_set(control, s3, opened, fresh_name):
    control.put(only("BlockPublicAcls"))
    upload = {"Bucket": opened, "Key": "new"}
    for refuse in (
        lambda: s3.put_bucket_acl(Bucket=opened, ACL="public-read"),
        lambda: s3.put_object_acl(Bucket=opened, Key="k", ACL="public-read"),
        lambda: s3.put_object(**upload, ACL="public-read", Body=b""),
        lambda: s3.copy_object(**upload, ACL="public-read", CopySource=f"{opened}/k"),
        lambda: s3.create_multipart_upload(**upload, ACL="public-read"),
    ):
        with refused(403, "AccessDenied") as refusal:
            refuse()
        assert "BlockPublicAcls" in str(refusal.reply) and "account" in str(refusal.reply)
    s3.put_object(**upload, ACL="private", Body=b"")
    control.delete()
    s3.put_object_acl(Bucket=opened, Key="k", ACL="public-read")


def test_an_upload_that_was_begun_before_does_not_become_public(control, s3, opened):
    upload = {"Bucket": opened, "Key": "new"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, ACL="public-read")["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"p")
    control.put(only("BlockPublicAcls"))
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    with refused(403, "AccessDenied"):
        s3.complete_multipart_upload(**upload, MultipartUpload=parts)


def test_public_lists_do_not_count(control, s3, s3_anonymous, s3_other, opened):
    s3.put_object_acl(Bucket=opened, Key="k", ACL="public-read")
    s3.put_bucket_acl(Bucket=opened, ACL="public-read")
    s3_anonymous.get_object(Bucket=opened, Key="k")
    s3_anonymous.list_objects_v2(Bucket=opened)
    control.put(only("IgnorePublicAcls"))
    for client in (s3_anonymous, s3_other):
        with refused(403, "AccessDenied"):
            client.get_object(Bucket=opened, Key="k")
        with refused(403, "AccessDenied"):
            client.list_objects_v2(Bucket=opened)
    s3.get_object(Bucket=opened, Key="k")


def test_the_most_restrictive_of_both_blocks_holds(control, s3, s3_anonymous, opened):
    s3.put_bucket_policy(Bucket=opened, Policy=policy(statement(opened, "s3:GetObject")))
    restrict, nothing = only("RestrictPublicBuckets"), only()
    for of_account, of_bucket, lets in (
        (nothing, nothing, True),
        (restrict, nothing, False),
        (nothing, restrict, False),
        (restrict, restrict, False),
    ):
        control.put(of_account)
        s3.put_public_access_block(Bucket=opened, PublicAccessBlockConfiguration=of_bucket)
        if lets:
            s3_anonymous.get_object(Bucket=opened, Key="k")
            continue
        with refused(403, "AccessDenied"):
            s3_anonymous.get_object(Bucket=opened, Key="k")


def test_nobody_sets_the_block_of_another_account(control, endpoint):
    headers = {"x-amz-account-id": OWNER.identity}
    for account in (OTHER, None):
        for method in ("GET", "DELETE"):
            if account:
                reply = s3_request(endpoint, method, PATH, headers, account=account)
            else:
                reply = send(endpoint, method, PATH, headers, b"")
            assert (reply.status, reply.code) == (403, "AccessDenied")
    reply = s3_request(endpoint, "GET", "/v20180820/accesspoint", headers=headers)
    assert (reply.status, reply.code) == (501, "NotImplemented")
    # Without that header it is an object like any other.
    assert s3_request(endpoint, "GET", PATH).code == "NoSuchBucket"
