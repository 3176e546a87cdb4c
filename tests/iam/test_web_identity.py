"""Roles for users of other identity providers, with real tokens of a provider from the package
index, and with tokens that are wrong in one way each."""

import contextlib
import functools
import json
import subprocess
import time

import boto3
import pytest
import requests
from botocore import UNSIGNED
from botocore.config import Config

from harness.accounts import OWNER, REGION
from harness.clients import query_client, refused, s3_client
from harness.identities import allow, document, remove, session_of
from harness.issuer import Issuer, log_in, provider
from harness.server import Server

SETTINGS = '[outbound]\nallow = ["127.0.0.0/8", "localhost"]\n'


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """A server that may ask providers on this machine."""
    with Server(tmp_path_factory.mktemp("asking"), settings=SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def endpoint(asking) -> str:
    """Its address: all fixtures of this file speak to it."""
    return asking.endpoint


@pytest.fixture(scope="module")
def iam(endpoint):
    """boto3's IAM there."""
    return query_client("iam", endpoint)


@pytest.fixture
def s3(endpoint):
    """boto3's S3 there."""
    return s3_client(endpoint)


@pytest.fixture
def issuer():
    """A provider that signs whatever it is told to."""
    made = Issuer()
    yield made
    made.close()


def arn_of(url: str) -> str:
    """The ARN of a provider of the owner."""
    return f"arn:aws:iam::{OWNER.identity}:oidc-provider/{url.partition('://')[2]}"


def trusting(url: str, action="sts:AssumeRoleWithWebIdentity", **more) -> dict:
    """A statement of a trust policy."""
    return {"Effect": "Allow", "Action": action, "Principal": {"Federated": arn_of(url)}, **more}


@pytest.fixture
def role(iam):
    """Makes roles that may list buckets, by the statements of their trust policies."""
    made = []

    def make(*statements) -> str:
        name = f"web{len(made)}x{time.monotonic_ns()}"
        text = document(*statements)
        created = iam.create_role(RoleName=name, AssumeRolePolicyDocument=text)
        made.append(name)
        policy = allow("s3:ListAllMyBuckets", "*")
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        return created["Role"]["Arn"]

    yield make
    for name in made:
        remove(iam, "role", name)


@pytest.fixture
def known(iam, issuer):
    """The issuer, known to the owner's account with the audience `app`."""
    made = iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["app"])
    assert made["OpenIDConnectProviderArn"] == arn_of(issuer.url)
    yield issuer
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn_of(issuer.url))


def assume_at(endpoint, arn, token, **more):
    """Takes on a role with a token, without any key."""
    config = Config(retries={"total_max_attempts": 1}, signature_version=UNSIGNED)
    client = boto3.client("sts", endpoint_url=endpoint, region_name=REGION, config=config)
    return client.assume_role_with_web_identity(
        RoleArn=arn, RoleSessionName="session", WebIdentityToken=token, **more
    )


@pytest.fixture
def assume(endpoint):
    """The same at the server of this file."""
    return functools.partial(assume_at, endpoint)


@pytest.fixture
def certificates(tmp_path):
    """Makes self-signed certificates for 127.0.0.1, each with its key."""

    def make(name: str) -> tuple:
        files = (tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-out", files[0]]
            + ["-keyout", files[1], "-addext", "subjectAltName=IP:127.0.0.1"]
            + ["-addext", "basicConstraints=critical,CA:FALSE"],
            check=True,
            capture_output=True,
        )
        return files

    return make


def test_aws_cli_and_boto3_take_on_a_role_with_a_real_token(
    iam, endpoint, role, tools, monkeypatch, tmp_path
):
    with provider() as url:
        named = {"OpenIDConnectProviderArn": arn_of(url)}
        iam.create_open_id_connect_provider(Url=url, ClientIDList=["my-app"])
        place = url.partition("://")[2]
        condition = {"StringEquals": {f"{place}:aud": "my-app", f"{place}:sub": "ann@example.com"}}
        arn = role(trusting(url, Condition=condition))
        token = log_in(url, "my-app", "ann@example.com")
        words = ("--role-arn", arn, "--role-session-name", "cli", "--web-identity-token", token)
        answer = json.loads(tools.aws("sts", "assume-role-with-web-identity", *words))
        assert answer["SubjectFromWebIdentityToken"] == "ann@example.com"
        assert (answer["Audience"], answer["Provider"]) == ("my-app", url)
        name = arn.rpartition("/")[2]
        assert answer["AssumedRoleUser"]["Arn"].endswith(f":assumed-role/{name}/cli")
        s3_client(endpoint, session_of(answer)).list_buckets()
        # The provider of boto3, as it works in a container.
        (tmp_path / "token").write_text(token)
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ROLE_ARN", arn)
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        session = boto3.Session(region_name=REGION)
        session.client("s3").list_buckets()
        assert name in session.client("sts").get_caller_identity()["Arn"]
        stranger = log_in(url, "my-app", "ben@example.com")
        (tmp_path / "token").write_text(stranger)
        with refused(403, "AccessDenied"):
            boto3.Session(region_name=REGION).client("s3").list_buckets()
        iam.delete_open_id_connect_provider(**named)
        tools.aws("sts", "assume-role-with-web-identity", *words, fails=True)


def test_every_way_to_sign_that_counts_does(known, role, assume):
    arn = role(trusting(known.url))
    for alg, kid in (("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "ec")):
        answer = assume(arn, known.token(alg, kid))
        assert answer["SubjectFromWebIdentityToken"] == "ann"


def test_tokens_that_are_wrong_in_one_way_are_refused(known, role, assume):
    arn, now = role(trusting(known.url)), int(time.time())
    other = Issuer()
    invalid, good = (400, "InvalidIdentityToken"), known.token()
    head, body, signature = good.split(".")
    table = {
        "no signature": (known.token("none"), invalid),
        "no signature, named so": (f"{known.token('none').rpartition('.')[0]}.{signature}", invalid),
        "a secret that is no secret": (known.token("HS256", key=known.public_pem("rsa")), invalid),
        "another provider's key": (known.token(key=other.keys["rsa"]), invalid),
        "a key of another kind": (known.token("RS256", header={"kid": "ec"}), invalid),
        "a key nobody has": (known.token(header={"kid": "nobody"}), invalid),
        "no name of a key": (known.token("ES256", "ec", header={"kid": None}), None),
        "a header that must be understood": (known.token(header={"crit": ["exp"]}), invalid),
        "a key in the header": (
            known.token(key=other.keys["rsa"], header={"jwk": other.published("rsa")}),
            invalid,
        ),
        "another issuer": (other.token(iss=other.url), invalid),
        "an issuer alike": (known.token(iss=f"{known.url}/"), invalid),
        "no issuer": (known.token(iss=None), invalid),
        "another audience": (known.token(aud="other"), invalid),
        "no audience": (known.token(aud=None), invalid),
        "an audience among others": (known.token(aud=["x", "app"], azp="app"), None),
        "given to another party": (known.token(aud=["x", "app"], azp="x"), invalid),
        "expired": (known.token(exp=now - 120), (400, "ExpiredTokenException")),
        "expired just now": (known.token(exp=now - 5), None),
        "without an end": (known.token(exp=None), invalid),
        "an end that is no time": (known.token(exp="never"), invalid),
        "issued at no time": (known.token(iat=None), invalid),
        "issued later": (known.token(iat=now + 600), (403, "IDPRejectedClaim")),
        "good from later on": (known.token(nbf=now + 600), (403, "IDPRejectedClaim")),
        "about nobody": (known.token(sub=None), invalid),
        "about an empty name": (known.token(sub=""), invalid),
        "changed": (f"{head}.{body[:-2]}AA.{signature}", invalid),
        "two parts": (f"{head}.{body}", invalid),
        "no token": ("no-token", invalid),
        "a name twice": (known.token(SUB="eve"), invalid),
        "an audience twice": (known.token(AUD="app"), invalid),
        "many values": (known.token(groups=[f"g{n}" for n in range(200)]), None),
        "too many values": (known.token(groups=[f"g{n}" for n in range(257)]), invalid),
        "too many claims": (known.token(**{f"c{n}": n for n in range(64)}), invalid),
        "a value that is too long": (known.token(more="x" * 1025), invalid),
        "too long": (known.token(more="x" * 20_000), (400, "ValidationError")),
        "good": (good, None),
    }
    for name, (token, expected) in table.items():
        if expected is None:
            assert assume(arn, token)["Credentials"], name
            continue
        with pytest.raises(Exception) as raised:
            assume(arn, token)
        answer = raised.value.response
        got = (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"])
        assert got == expected, (name, answer["Error"])
    other.close()


def test_the_name_of_the_host_does_not_matter(known, role, endpoint):
    form = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15"}
    form |= {"RoleArn": role(trusting(known.url)), "RoleSessionName": "session"}
    form |= {"WebIdentityToken": known.token()}
    for host in ("oss.example.com", "sts.example.com", "oss-cn-hangzhou.aliyuncs.com"):
        answer = requests.post(endpoint, form, headers={"Host": host}, timeout=10)
        assert answer.status_code == 200 and "<AccessKeyId>" in answer.text, answer.text


def test_a_role_decides_whom_it_trusts(iam, known, role, assume):
    place, good = known.place, known.token(amr=["pwd", "otp"], email="ann@a.com", admin=True)
    equals = "StringEquals"
    for condition, trusted in (
        ({equals: {f"{place}:sub": "ann"}}, True),
        ({equals: {f"{place}:sub": "ben"}}, False),
        ({"StringLike": {f"{place}:sub": "a*"}}, True),
        ({equals: {f"{place}:aud": "app"}}, True),
        ({equals: {f"{place}:aud": "other"}}, False),
        ({f"ForAnyValue:{equals}": {f"{place}:amr": "otp"}}, True),
        ({f"ForAnyValue:{equals}": {f"{place}:amr": "face"}}, False),
        ({equals: {f"{place}:email": "ann@a.com"}}, True),
        ({"Bool": {f"{place}:admin": "true"}}, True),
        ({equals: {f"{place}:absent": "x"}}, False),
        ({equals: {"elsewhere.com:sub": "ann"}}, False),
        ({equals: {"sts:RoleSessionName": "session"}}, True),
    ):
        arn = role(trusting(known.url, Condition=condition))
        if trusted:
            assert assume(arn, good)["Credentials"], condition
            continue
        with refused(403, "AccessDenied"):
            assume(arn, good)
    with refused(400, "InvalidIdentityToken"):
        assume(role(trusting(known.url)), known.token(azp="party"))
    client = {"OpenIDConnectProviderArn": arn_of(known.url), "ClientID": "party"}
    iam.add_client_id_to_open_id_connect_provider(**client)
    given = known.token(azp="party")
    for key, value, trusted in (
        ("aud", "party", True),
        ("aud", "app", False),
        ("azp", "party", True),
        ("oaud", "app", True),
        ("oaud", "party", False),
    ):
        arn = role(trusting(known.url, Condition={equals: {f"{place}:{key}": value}}))
        with contextlib.nullcontext() if trusted else refused(403, "AccessDenied"):
            assume(arn, given)
    everybody = trusting(known.url) | {"Principal": "*"}
    denied = trusting(known.url) | {"Effect": "Deny"}
    elsewhere = trusting("https://elsewhere.com")
    keys = trusting(known.url, "sts:AssumeRole")
    for statements in ([everybody], [trusting(known.url), denied], [elsewhere], [keys]):
        with refused(403, "AccessDenied"):
            assume(role(*statements), good)
    # Who has no good token does not learn which roles there are.
    absent = f"arn:aws:iam::{OWNER.identity}:role/absent"
    with refused(400, "InvalidIdentityToken"):
        assume(absent, known.token(aud="other"))
    with refused(403, "AccessDenied"):
        assume(absent, good)


def test_a_session_is_limited_and_knows_who_it_is(known, role, assume, iam, endpoint, s3):
    s3.create_bucket(Bucket="web-identity")
    arn = role(trusting(known.url))
    name = arn.rpartition("/")[2]
    own = f"arn:aws:s3:::web-identity/${{{known.place}:sub}}/*"
    provider = {"StringEquals": {"aws:FederatedProvider": arn_of(known.url)}}
    text = allow("s3:PutObject", own, Condition=provider)
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=text)
    client = s3_client(endpoint, session_of(assume(arn, known.token())))
    client.put_object(Bucket="web-identity", Key="ann/k", Body=b"")
    with refused(403, "AccessDenied"):
        client.put_object(Bucket="web-identity", Key="ben/k", Body=b"")
    narrow = allow("s3:PutObject", "*")
    limited = s3_client(endpoint, session_of(assume(arn, known.token(), Policy=narrow)))
    limited.put_object(Bucket="web-identity", Key="ann/k", Body=b"")
    with refused(403, "AccessDenied"):
        limited.list_buckets()
    lasts = assume(arn, known.token(), DurationSeconds=900)["Credentials"]["Expiration"]
    assert 800 < lasts.timestamp() - time.time() <= 900
    with refused(400, "ValidationError"):
        assume(arn, known.token(), DurationSeconds=3601)
    iam.delete_role_policy(RoleName=name, PolicyName="own")
    with refused(403, "AccessDenied"):
        client.put_object(Bucket="web-identity", Key="ann/k", Body=b"")


def test_tags_of_a_token_need_the_leave_of_the_role(known, role, assume, iam, endpoint):
    tags = {"principal_tags": {"team": ["blue"]}, "transitive_tag_keys": []}
    token = known.token(**{"https://aws.amazon.com/tags": tags})
    with refused(403, "AccessDenied"):
        assume(role(trusting(known.url)), token)
    both = ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]
    for team, keys, trusted in (
        ("blue", ["team"], True),
        ("red", ["team"], False),
        ("blue", ["size"], False),
    ):
        condition = {"StringEquals": {"aws:RequestTag/team": team}}
        condition |= {"ForAllValues:StringEquals": {"aws:TagKeys": keys}}
        arn = role(trusting(known.url, both, Condition=condition))
        if trusted:
            assume(arn, token)
            continue
        with refused(403, "AccessDenied"):
            assume(arn, token)
    arn = role(trusting(known.url, both))
    blue = {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    text = allow("iam:ListRoles", "*", Condition=blue)
    name = arn.rpartition("/")[2]
    iam.put_role_policy(RoleName=name, PolicyName="t", PolicyDocument=text)
    query_client("iam", endpoint, session_of(assume(arn, token))).list_roles()
    with refused(403, "AccessDenied"):
        query_client("iam", endpoint, session_of(assume(arn, known.token()))).list_roles()


FOUND, KEYS = "/.well-known/openid-configuration", "/keys"


def discovery(issuer: str, keys: str) -> tuple:
    """An answer with this document."""
    return 200, {}, json.dumps({"issuer": issuer, "jwks_uri": keys}).encode()


WRONG = {
    "moved": lambda url: (FOUND, (302, {"Location": f"{url}/elsewhere"}, b"")),
    "another issuer": lambda url: (FOUND, discovery("http://x", f"{url}/keys")),
    "keys inside": lambda url: (FOUND, discovery(url, "http://10.1.2.3/keys")),
    "keys in a file": lambda url: (FOUND, discovery(url, "file:///etc/passwd")),
    "too long": lambda url: (FOUND, (200, {}, b" " * 300_000 + discovery(url, "x")[2])),
    "no document": lambda _: (FOUND, (200, {}, b"{")),
    "an error": lambda url: (FOUND, (500, {}, discovery(url, f"{url}/keys")[2])),
    "keys moved": lambda url: (KEYS, (302, {"Location": f"{url}/keys"}, b"")),
    "no keys": lambda _: (KEYS, (200, {}, b"[]")),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_provider_that_answers_wrongly_is_not_believed(known, role, assume, wrong):
    path, answer = WRONG[wrong](known.url)
    known.instead[path] = answer
    arn = role(trusting(known.url))
    with refused(400, "IDPCommunicationError"):
        assume(arn, known.token())
    asked = [path for path, _ in known.asked]
    assert set(asked) <= {FOUND, KEYS} and len(asked) <= 2
    for _, headers in known.asked:
        assert {name.lower() for name in headers} == {"host", "accept", "user-agent"}
    # Who failed is not asked again at once.
    with refused(400, "IDPCommunicationError"):
        assume(arn, known.token())
    assert len(known.asked) == len(asked)


def test_a_provider_in_the_own_network_is_asked_over_tls(tmp_path, certificates):
    """The operator names the network and the certificate; another certificate does not count."""
    trusted, other = certificates("trusted"), certificates("other")
    settings = f'[outbound]\nallow = ["127.0.0.1"]\nca_file = "{trusted[0]}"\n'
    with Server(tmp_path / "server", settings=settings) as server:
        iam = query_client("iam", server.endpoint)
        for certificate, expected in ((trusted, None), (other, "IDPCommunicationError")):
            one = Issuer(certificate)
            iam.create_open_id_connect_provider(Url=one.url, ClientIDList=["app"])
            name = f"tls-{one.server.server_port}"
            text = document(trusting(one.url))
            arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=text)["Role"]["Arn"]
            if expected:
                with refused(400, expected):
                    assume_at(server.endpoint, arn, one.token())
                assert not one.asked and "certificate" in server.logged
            else:
                assert assume_at(server.endpoint, arn, one.token())["Credentials"]
            one.close()


def test_providers_inside_are_not_asked_unless_the_operator_says_so(server, issuer):
    iam = query_client("iam", server.endpoint)
    any_role = f"arn:aws:iam::{OWNER.identity}:role/any"
    with refused(400, "InvalidInput"):
        iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["app"])
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
        url = f"https://{host}:{issuer.server.server_port}"
        iam.create_open_id_connect_provider(Url=url, ClientIDList=["app"])
        with refused(400, "IDPCommunicationError"):
            assume_at(server.endpoint, any_role, issuer.token(iss=url))
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn_of(url))
    assert not issuer.asked
    assert "outbound.allow" in server.logged


def test_providers_are_made_shown_changed_and_deleted(iam):
    url = "https://idp.example.com/realms/x"
    # As the documentation of IAM shows them: no more is asked of one than its length.
    thumbprint = "3768084dfb3d2b68b7897bf5f565da8efEXAMPLE"
    arn = {"OpenIDConnectProviderArn": arn_of(url)}
    tags = [{"Key": "a", "Value": "1"}]
    new = {"Url": url, "ClientIDList": ["one"], "ThumbprintList": [thumbprint]}
    made = iam.create_open_id_connect_provider(**new, Tags=tags)
    assert made["OpenIDConnectProviderArn"] == arn["OpenIDConnectProviderArn"]
    with refused(409, "EntityAlreadyExists"):
        iam.create_open_id_connect_provider(**new)
    listed = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert {"Arn": made["OpenIDConnectProviderArn"]} in listed
    iam.add_client_id_to_open_id_connect_provider(**arn, ClientID="two")
    iam.add_client_id_to_open_id_connect_provider(**arn, ClientID="two")
    iam.remove_client_id_from_open_id_connect_provider(**arn, ClientID="one")
    other = thumbprint[::-1]
    iam.update_open_id_connect_provider_thumbprint(**arn, ThumbprintList=[other])
    iam.tag_open_id_connect_provider(**arn, Tags=[{"Key": "b", "Value": "2"}])
    iam.untag_open_id_connect_provider(**arn, TagKeys=["a"])
    shown = iam.get_open_id_connect_provider(**arn)
    assert (shown["Url"], shown["ClientIDList"]) == ("idp.example.com/realms/x", ["two"])
    assert (shown["ThumbprintList"], shown["Tags"]) == ([other], [{"Key": "b", "Value": "2"}])
    listed = iam.list_open_id_connect_provider_tags(**arn)["Tags"]
    assert listed == [{"Key": "b", "Value": "2"}]
    iam.delete_open_id_connect_provider(**arn)
    for refuse in (iam.get_open_id_connect_provider, iam.delete_open_id_connect_provider):
        with refused(404, "NoSuchEntity"):
            refuse(**arn)
    for bad in ("http://idp.example.com", "https://a?b", "ftp://a", "https://u@a"):
        with refused(400, "InvalidInput", "ValidationError"):
            iam.create_open_id_connect_provider(Url=bad, ClientIDList=["one"])
