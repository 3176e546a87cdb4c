"""`larder user`, `group`, `role` and `policy`: what they make is what IAM's own clients see."""

import json
import urllib.error
import urllib.request

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from harness.accounts import OWNER, Account
from harness.clients import query_client, refused, s3_client
from harness.identities import allow
from harness.operator import ENVIRONMENT, ROOT, attempt, output
from harness.server import Server
from harness.totp import Device


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A server whose root keys are known, and a bucket of the root account."""
    with Server(tmp_path_factory.mktemp("identities"), environment=ENVIRONMENT) as server:
        s3_client(server.endpoint, ROOT).create_bucket(Bucket="bkt")
        yield server


def run(server: Server, *arguments, account=ROOT) -> str:
    return output(attempt(server, *arguments, account=account))


def answer(server: Server, *arguments):
    return json.loads(run(server, *arguments, "--json"))


def fails(server: Server, word: str, *arguments):
    finished = attempt(server, *arguments)
    assert finished.returncode == 1 and word in finished.stderr, finished.stderr


def test_a_user_from_its_making_to_its_end(store):
    run(store, "user", "create", "ann", "--path", "/staff/")
    made = answer(store, "user", "key", "create", "ann")
    client = s3_client(
        store.endpoint, Account("ann", "", "", made["AccessKeyId"], made["SecretAccessKey"])
    )
    with refused(403, "AccessDenied"):
        client.list_objects_v2(Bucket="bkt")
    run(store, "group", "create", "readers")
    run(store, "group", "add", "readers", "ann")
    run(store, "policy", "attach", "AmazonS3ReadOnlyAccess", "--group", "readers")
    client.list_objects_v2(Bucket="bkt")
    shown = answer(store, "user", "show", "ann")
    assert [it["GroupName"] for it in shown["Groups"]] == ["readers"]
    assert shown["Arn"].endswith(":user/staff/ann") and shown["AttachedPolicies"] == []
    assert [it["AccessKeyId"] for it in shown["AccessKeys"]] == [made["AccessKeyId"]]
    text = run(store, "user", "show", "ann")
    assert "group     readers" in text and made["AccessKeyId"] in text
    assert made["SecretAccessKey"] not in text
    group = answer(store, "group", "show", "readers")
    assert [it["UserName"] for it in group["Users"]] == ["ann"]
    assert "ann" in run(store, "user", "list") and "readers" in run(store, "group", "list")
    run(store, "user", "key", "disable", "ann", made["AccessKeyId"])
    with refused(403, "InvalidAccessKeyId"):
        client.list_objects_v2(Bucket="bkt")
    assert "Inactive" in run(store, "user", "key", "list", "ann")
    run(store, "user", "key", "enable", "ann", made["AccessKeyId"])
    client.list_objects_v2(Bucket="bkt")
    fails(store, "DeleteConflict", "user", "delete", "ann")
    run(store, "group", "remove", "readers", "ann")
    run(store, "user", "key", "delete", "ann", made["AccessKeyId"])
    run(store, "user", "delete", "ann")
    run(store, "policy", "detach", "AmazonS3ReadOnlyAccess", "--group", "readers")
    run(store, "group", "delete", "readers")
    assert answer(store, "user", "list") == [] and answer(store, "group", "list") == []
    fails(store, "NoSuchEntity", "user", "show", "ann")


def test_policies_and_roles(store):
    document = store.home / "p.json"
    document.write_text(allow("s3:GetObject", "arn:aws:s3:::bkt/é&<*"))
    run(store, "policy", "create", "read", document)
    shown = answer(store, "policy", "show", "read")
    assert shown["Document"] == json.loads(document.read_text())
    run(store, "user", "create", "ben")
    account = shown["Arn"].split(":")[4]
    run(store, "role", "create", "reader", "--trust", f"arn:aws:iam::{account}:user/ben")
    for kind, name in (("--user", "ben"), ("--role", "reader")):
        run(store, "policy", "attach", "read", kind, name)
    text = run(store, "policy", "show", shown["Arn"])
    assert "had by ben" in text and "had by reader" in text and "s3:GetObject" in text
    assert "had by 2" in run(store, "policy", "list")
    role = answer(store, "role", "show", "reader")
    principal = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
    assert principal == {"AWS": f"arn:aws:iam::{account}:user/ben"}
    assert "reader" in run(store, "role", "list")
    names = [it["PolicyName"] for it in answer(store, "policy", "list", "--all")]
    assert "read" in names and "AdministratorAccess" in names
    fails(store, "DeleteConflict", "policy", "delete", "read")
    fails(store, "there is no policy", "policy", "attach", "nothing", "--user", "ben")
    for kind, name in (("--user", "ben"), ("--role", "reader")):
        run(store, "policy", "detach", "read", kind, name)
    run(store, "policy", "delete", "read")
    run(store, "role", "delete", "reader")
    document.write_text("{}")
    fails(store, "MalformedPolicyDocument", "policy", "create", "bad", document)


def test_the_keys_decide_whose_account_it_is(store):
    run(store, "user", "create", "of-owner", account=OWNER)
    iam = query_client("iam", store.endpoint)
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["of-owner"]
    assert "of-owner" not in run(store, "user", "list")


def test_many_are_listed_page_by_page(store):
    iam = query_client("iam", store.endpoint)
    for number in range(1005):
        iam.create_group(GroupName=f"g{number:04}")
    listed = json.loads(run(store, "group", "list", "--json", account=OWNER))
    assert len(listed) == 1005


COMMANDS = ["user", "group", "role", "policy", "access", "audit", "explain"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(store, command):
    assert f"larder {command}" in run(store, command, "--help").split("Examples:")[1]


def test_iam_answers_in_json_if_that_is_all_a_client_takes(store):
    def ask(accept: str, **parameters) -> tuple[int, str, bytes]:
        body = "&".join(f"{name}={value}" for name, value in parameters.items())
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": accept}
        request = AWSRequest("POST", store.endpoint + "/", headers=headers, data=body.encode())
        keys = Credentials(ROOT.access_key, ROOT.secret_key)
        SigV4Auth(keys, "iam", "us-east-1").add_auth(request)
        sent = urllib.request.Request(
            store.endpoint + "/", body.encode(), dict(request.headers.items()), method="POST"
        )
        try:
            with urllib.request.urlopen(sent, timeout=30) as reply:
                return reply.status, reply.headers["content-type"], reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["content-type"], error.read()

    status, kind, body = ask("application/json", Action="GetCallerIdentity", Version="2011-06-15")
    result = json.loads(body)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
    assert (status, kind) == (200, "application/json") and result["Arn"].endswith(":root")
    status, _, body = ask("application/json", Action="GetUser", UserName="nobody")
    assert status == 404
    assert json.loads(body)["ErrorResponse"]["Error"]["Code"] == "NoSuchEntity"
    status, kind, body = ask("*/*", Action="GetCallerIdentity", Version="2011-06-15")
    assert status == 200 and "xml" in kind
    assert body.startswith(b"<?xml")


def test_an_address_of_two_accounts_is_granted_nothing(store):
    email = "both@example.com"
    made = [answer(store, "account", "create", name, "--email", email) for name in ("a1", "a2")]
    s3 = s3_client(store.endpoint, ROOT)
    own = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket="bkt", OwnershipControls=own)
    grant = {"Bucket": "bkt", "GrantRead": f"emailAddress={email}"}
    with refused(400, "AmbiguousGrantByEmailAddress"):
        s3.put_bucket_acl(**grant)
    run(store, "account", "delete", made[0]["id"])
    s3.put_bucket_acl(**grant)
    [one] = s3.get_bucket_acl(Bucket="bkt")["Grants"]
    assert one["Grantee"]["ID"] == made[1]["canonical_id"]


def test_the_operator_takes_lost_second_factors_away(store):
    made = answer(store, "account", "create", "other")
    keys = made["keys"][0]
    owner = Account("other", made["id"], "", keys["access_key"], keys["secret_key"])
    iam = query_client("iam", store.endpoint, owner)
    iam.create_user(UserName="Ben")
    devices = {"Ben": Device(iam, "phone").enable("Ben"), None: Device(iam, "own").enable("root")}
    sts = query_client("sts", store.endpoint, owner)
    for user, device in devices.items():
        of_user = ("--user", user.lower()) if user else ()
        reset = answer(store, "account", "mfa-reset", made["id"], *of_user)
        assert reset == {"deactivated": [device.serial]}
        fails(store, "NoSuchEntity", "account", "mfa-reset", made["id"], *of_user)
    with refused(403, "AccessDenied"):
        sts.get_session_token(**devices[None].shown())
    left = iam.list_virtual_mfa_devices(AssignmentStatus="Unassigned")["VirtualMFADevices"]
    assert {it["SerialNumber"] for it in left} == {it.serial for it in devices.values()}
    # They are nobody's, and the codes that were used stay used.
    iam.delete_virtual_mfa_device(SerialNumber=devices["Ben"].serial)
    fails(store, "NoSuchEntity", "account", "mfa-reset", made["id"], "--user", "nobody")
    fails(store, "account does not exist", "account", "mfa-reset", "nobody")
    finished = attempt(store, "account", "mfa-reset", made["id"], account=owner)
    assert finished.returncode == 1 and "AccessDenied" in finished.stderr
    told = run(store, "audit", "--json", "--what", "larder:ResetMfa").splitlines()
    resources = [json.loads(line)["resource"].rpartition(":")[2] for line in told]
    assert resources == ["user/Ben", "root"]
