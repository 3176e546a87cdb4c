"""Temporary credentials by the STS of Alibaba Cloud, through its own SDK, used with oss2."""

import base64
import hashlib
import hmac
import json
import uuid
from urllib.parse import quote, urlencode

import pytest
import requests
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from harness.accounts import OTHER, OWNER, REGION, Account
from harness.clients import oss_bucket, query_client, refused
from harness.identities import allow, keys_of, remove, trust
from harness.operator import ENVIRONMENT, attempt, output
from harness.sign import now

ROLE = f"acs:ram::{OWNER.identity}:role/oss-sts"


@pytest.fixture
def role(endpoint):
    """A role that the owner's account may take on, and that may read everywhere."""
    iam = query_client("iam", endpoint)
    name = ROLE.rpartition("/")[2]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(OWNER.identity))
    text = allow("s3:GetObject", "*")
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=text)
    yield name
    remove(iam, "role", name)


@pytest.fixture
def call(endpoint):
    """Calls an action with the SDK's own signature."""

    def do(action, account=OWNER, method="POST", form=False, **parameters):
        client = AcsClient(account.access_key, account.secret_key, REGION, auto_retry=False)
        request = CommonRequest(version="2015-04-01", action_name=action)
        request.set_domain(endpoint.partition("://")[2])
        request.set_protocol_type("http")
        request.set_method(method)
        request.set_accept_format("json")
        for name, value in parameters.items():
            add = request.add_body_params if form else request.add_query_param
            add(name, value)
        return json.loads(client.do_action_with_exception(request))

    return do


def session(answer) -> Account:
    """The credentials of an answer."""
    made = answer["Credentials"]
    keys = (made["AccessKeyId"], made["AccessKeySecret"])
    return Account("session", "", "", *keys, token=made["SecurityToken"])


@pytest.mark.parametrize(("method", "form"), [("GET", False), ("POST", False), ("POST", True)])
def test_a_role_is_taken_on_and_its_credentials_work(endpoint, oss4, role, call, method, form):
    oss4.put_object("k", b"content")
    named = {"RoleArn": ROLE, "RoleSessionName": "me", "DurationSeconds": 900}
    answer = call("AssumeRole", method=method, form=form, **named)
    assert answer["AssumedRoleUser"]["Arn"] == f"{ROLE}/me"
    assert answer["AssumedRoleUser"]["AssumedRoleId"].endswith(":me") and answer["RequestId"]
    assert answer["Credentials"]["Expiration"].endswith("Z")
    for scheme in ("V1", "V4"):
        bucket = oss_bucket(endpoint, oss4.bucket_name, scheme, session(answer))
        assert bucket.get_object("k").read() == b"content"
        with refused(403, "AccessDenied"):
            bucket.put_object("k", b"")


def test_a_policy_narrows_the_session(endpoint, oss4, role, call):
    oss4.put_object("k", b"content")
    narrow = allow("s3:GetObject", "arn:aws:s3:::elsewhere/*")
    answer = call("AssumeRole", RoleArn=ROLE, RoleSessionName="me", Policy=narrow)
    with refused(403, "AccessDenied"):
        oss_bucket(endpoint, oss4.bucket_name, "V4", session(answer)).get_object("k")


def test_everybody_may_ask_who_they_are(endpoint, role, call):
    answer = call("GetCallerIdentity")
    assert (answer["AccountId"], answer["IdentityType"]) == (OWNER.identity, "Account")
    assert answer["Arn"] == f"acs:ram::{OWNER.identity}:root"


def refusal(do) -> tuple:
    """Status and code of the SDK's exception."""
    with pytest.raises(ServerException) as raised:
        do()
    return raised.value.get_http_status(), raised.value.get_error_code()


def test_what_is_refused_is_told_in_its_own_words(endpoint, role, call):
    named = {"RoleArn": ROLE, "RoleSessionName": "me"}
    wrong = Account("wrong", "", "", OWNER.access_key, "not-the-secret")
    nobody = Account("nobody", "", "", "NOSUCHKEY0000000001", "any-secret")
    iam = query_client("iam", endpoint)
    iam.create_user(UserName="oss-sts-user")
    user = keys_of(iam, "oss-sts-user")
    table = (
        (wrong, "AssumeRole", named, (400, "SignatureDoesNotMatch")),
        (nobody, "AssumeRole", named, (404, "InvalidAccessKeyId.NotFound")),
        (OTHER, "AssumeRole", named, (403, "NoPermission")),
        (user, "AssumeRole", named, (403, "NoPermission")),
        (OWNER, "AssumeRole", named | {"RoleArn": f"{ROLE}-absent"}, (403, "NoPermission")),
        (OWNER, "AssumeRole", named | {"RoleArn": "role"}, (400, "InvalidArgument")),
        (OWNER, "AssumeRole", named | {"DurationSeconds": 10}, (400, "InvalidParameter")),
        (OWNER, "AssumeRole", {"RoleArn": ROLE}, (400, "InvalidArgument")),
        (OWNER, "AssumeRoleWithSAML", named, (501, "NotImplemented")),
    )
    for account, action, parameters, expected in table:
        got = refusal(lambda a=account, n=action, p=parameters: call(n, account=a, **p))
        assert got == expected, (account.name, action, parameters)
    remove(iam, "user", "oss-sts-user")


def test_a_call_without_a_signature_is_refused_in_xml(endpoint):
    query = {"Action": "AssumeRole", "Version": "2015-04-01", "AccessKeyId": OWNER.access_key}
    answer = requests.get(endpoint, query, timeout=10)
    assert answer.status_code == 400
    assert "<Error><Code>InvalidArgument</Code>" in answer.text.replace("\n", "")
    assert "SignatureMethod" in answer.text


def signed(account=OWNER, nonce=None, moment=None) -> str:
    """The query of a call for GetCallerIdentity."""
    moment = moment or now()
    parameters = {
        "AccessKeyId": account.access_key,
        "Action": "GetCallerIdentity",
        "Format": "JSON",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": nonce or uuid.uuid4().hex,
        "SignatureVersion": "1.0",
        "Timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Version": "2015-04-01",
    }
    text = "&".join(f"{name}={quote(value, '')}" for name, value in sorted(parameters.items()))
    text = f"GET&%2F&{quote(text, '')}".encode()
    digest = hmac.new(f"{account.secret_key}&".encode(), text, hashlib.sha1).digest()
    return urlencode(parameters | {"Signature": base64.b64encode(digest).decode()})


def test_a_call_counts_once(endpoint):
    query = signed()
    assert requests.get(f"{endpoint}/?{query}", timeout=10).status_code == 200
    again = requests.get(f"{endpoint}/?{query}", timeout=10)
    assert (again.status_code, again.json()["Code"]) == (400, "SignatureNonceUsed")
    # A nonce is used up only by whoever proves to have signed it, and by account.
    nonce = uuid.uuid4().hex
    wrong = Account("wrong", "", "", OWNER.access_key, "not-the-secret")
    for account, expected in ((wrong, 400), (OTHER, 200), (OWNER, 200), (OWNER, 400)):
        answer = requests.get(f"{endpoint}/?{signed(account, nonce)}", timeout=10)
        assert answer.status_code == expected, answer.text


def test_a_signature_that_does_not_hold_is_explained_to_the_account_it_claims(special_server):
    server = special_server(environment=ENVIRONMENT)
    wrong = Account("wrong", "", "", OWNER.access_key, "not-the-secret")
    query = signed(wrong)
    answer = requests.get(f"{server.endpoint}/?{query}", timeout=10).json()
    assert answer["Code"] == "SignatureDoesNotMatch" and "SignatureNonce" in answer["Message"]
    told = output(attempt(server, "explain", answer["RequestId"], account=OWNER))
    assert OWNER.access_key in told and "server string to sign" not in told
    finished = attempt(server, "explain", answer["RequestId"], account=OTHER)
    assert finished.returncode == 1 and "NoSuchEntity" in finished.stderr
    query = signed()
    for _ in range(2):
        answer = requests.get(f"{server.endpoint}/?{query}", timeout=10).json()
    told = output(attempt(server, "explain", answer["RequestId"], account=OWNER))
    assert "nonce" in told
