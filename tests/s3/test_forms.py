"""Browser forms: signed by boto3, by hand in the older way, and by nobody."""

import base64
import datetime
import hashlib
import hmac
import json

import boto3
import pytest
import requests
from botocore.config import Config

from harness.accounts import OTHER, OWNER, REGION
from harness.clients import s3_client
from harness.data import some_bytes
from harness.policies import open_to_policies, policy, statement
from harness.sign import s3_request

SOON = datetime.timedelta(minutes=10)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def send(url: str, fields: dict, body=b"hello", name="file.txt", **more) -> requests.Response:
    """What a browser sends: the fields, then the file."""
    files = [(field, (None, value)) for field, value in fields.items()]
    files.append(("file", (name, body)))
    return requests.post(url, files=files, allow_redirects=False, timeout=10, **more)


def code(answer: requests.Response) -> str:
    return answer.text.partition("<Code>")[2].partition("</Code>")[0]


def older(bucket: str, conditions=None, account=OWNER, until=SOON, **fields) -> dict:
    """Fields signed with version 2; by default each has a condition."""
    if conditions is None:
        conditions = [{name: value} for name, value in fields.items()] + [{"bucket": bucket}]
    until = (now() + until).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = json.dumps({"expiration": until, "conditions": conditions})
    return signed(document, account) | fields


def signed(document: str, account=OWNER) -> dict:
    policy = base64.b64encode(document.encode())
    mac = hmac.new(account.secret_key.encode(), policy, hashlib.sha1).digest()
    return {
        "AWSAccessKeyId": account.access_key,
        "policy": policy.decode(),
        "signature": base64.b64encode(mac).decode(),
    }


@pytest.fixture
def url(endpoint, bucket) -> str:
    return f"{endpoint}/{bucket}"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_signed_form_writes_an_object(endpoint, s3, bucket, version):
    keys = {"aws_access_key_id": OWNER.access_key, "aws_secret_access_key": OWNER.secret_key}
    config = Config(signature_version=version, s3={"addressing_style": "path"})
    client = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, config=config, **keys)
    form = client.generate_presigned_post(
        bucket,
        "dir/key",
        Fields={"Content-Type": "text/x", "x-amz-meta-a": "1", "Cache-Control": "no-store"},
        Conditions=[
            ["starts-with", "$content-type", "text/"],
            {"x-amz-meta-a": "1"},
            {"Cache-Control": "no-store"},
            ["content-length-range", 1, 3_000_000],
        ],
    )
    body = some_bytes(2_000_000)
    answer = send(form["url"], form["fields"], body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["etag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert answer.headers["location"] == f"{endpoint}/{bucket}/dir/key"
    found = s3.get_object(Bucket=bucket, Key="dir/key")
    assert found["Body"].read() == body
    assert (found["ContentType"], found["CacheControl"]) == ("text/x", "no-store")
    assert found["Metadata"] == {"a": "1"}
    for size, refusal in ((0, "EntityTooSmall"), (3_000_001, "EntityTooLarge")):
        answer = send(form["url"], form["fields"], bytes(size))
        assert (answer.status_code, code(answer)) == (400, refusal)
    assert s3.head_object(Bucket=bucket, Key="dir/key")["ContentLength"] == len(body)


def test_the_answer_is_as_the_form_wants(endpoint, s3, url, bucket):
    def post(**wish):
        return send(url, older(bucket, key="a b", **wish))

    assert post(success_action_status="200").status_code == 200
    assert post(success_action_status="500").status_code == 204
    answer = post(success_action_status="201")
    assert answer.status_code == 201
    url_of_it = f"{endpoint}/{bucket}/a%20b"
    for text in ("<PostResponse>", f"<Bucket>{bucket}</Bucket>", "<Key>a b</Key>", url_of_it):
        assert text in answer.text
    answer = post(success_action_redirect="http://page.example/done?x=1")
    etag = s3.head_object(Bucket=bucket, Key="a b")["ETag"].strip('"')
    target = f"http://page.example/done?x=1&bucket={bucket}&key=a%20b&etag=%22{etag}%22"
    assert (answer.status_code, answer.headers["location"]) == (303, target)
    assert post(success_action_redirect="javascript:alert(1)").status_code == 204


def test_the_key_may_have_the_name_of_the_file(s3, url, bucket):
    conditions = [{"bucket": bucket}, ["starts-with", "$key", "mine/"]]
    form = older(bucket, conditions, key="mine/${filename}")
    assert send(url, form, name="photo é.jpg").status_code == 204
    assert s3.get_object(Bucket=bucket, Key="mine/photo é.jpg")["Body"].read() == b"hello"
    form = older(bucket, conditions, key="${filename}")
    assert send(url, form, name="other/x").status_code == 403


@pytest.mark.parametrize(
    ("changed", "status", "refusal"),
    [
        ({"key": "other"}, 403, "AccessDenied"),
        ({"x-amz-meta-b": "2"}, 403, "AccessDenied"),
        ({"x-ignore-me": "2"}, 204, ""),
        ({"signature": "AAAA"}, 403, "SignatureDoesNotMatch"),
        ({"policy": "e30="}, 403, "SignatureDoesNotMatch"),
        ({"AWSAccessKeyId": "NOBODY"}, 403, "InvalidAccessKeyId"),
        ({"signature": None}, 400, "InvalidArgument"),
        ({"policy": None}, 400, "InvalidArgument"),
        ({"AWSAccessKeyId": None}, 400, "InvalidArgument"),
        ({"key": None}, 400, "InvalidArgument"),
        ({"x-amz-credential": "x"}, 400, "InvalidArgument"),
        ({"x-oss-credential": "x"}, 400, "InvalidArgument"),
        ({"acl": "public-read"}, 403, "AccessDenied"),
        ({"x-amz-security-token": "x"}, 403, None),
    ],
)
def test_a_form_is_refused_as_soon_as_it_is_not_what_was_signed(
    s3, url, bucket, changed, status, refusal
):
    fields = older(bucket, key="key") | changed
    answer = send(url, {name: value for name, value in fields.items() if value is not None})
    assert refusal is None or (answer.status_code, code(answer)) == (status, refusal)
    assert answer.status_code == status or (refusal is None and answer.status_code >= 400)
    assert ("Contents" in s3.list_objects_v2(Bucket=bucket)) == (status == 204)


def test_a_policy_holds_for_its_time_and_its_bucket(url, bucket, fresh_name):
    assert send(url, older(bucket, key="key", until=-SOON)).status_code == 403
    other = [{"bucket": fresh_name()}, {"key": "key"}]
    assert send(url, older(bucket, other, key="key")).status_code == 403
    for document in ("{", '{"conditions": []}', '{"expiration": "2030-01-01T00:00:00Z"}'):
        answer = send(url, signed(document) | {"key": "key"})
        assert (answer.status_code, code(answer)) == (400, "InvalidPolicyDocument")
    # Whoever signed it must be allowed too.
    assert send(url, older(bucket, key="key", account=OTHER)).status_code == 403


def test_without_a_signature_a_form_may_what_everybody_may(s3, url, bucket):
    assert send(url, {"key": "key"}).status_code == 403
    open_to_policies(s3, bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(statement(bucket, "s3:PutObject")))
    assert send(url, {"key": "key"}).status_code == 204
    assert s3_client(url.removesuffix(f"/{bucket}"), OWNER).head_object(Bucket=bucket, Key="key")


def test_a_checksum_in_a_form_is_compared(s3, url, bucket):
    digest = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
    field = "x-amz-checksum-sha256"
    assert send(url, older(bucket, key="key") | {field: digest}).status_code == 204
    found = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert found["ChecksumSHA256"] == digest
    answer = send(url, older(bucket, key="key", **{field: digest}), b"other")
    assert (answer.status_code, code(answer)) == (400, "BadDigest")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"hello"


def test_what_is_no_form_is_refused(s3, url, bucket):
    post = requests.post
    plain = post(url, data=b"x", headers={"Content-Type": "text/plain"}, timeout=10)
    assert (plain.status_code, code(plain)) == (403, "AccessDenied")
    endpoint = url.removesuffix(f"/{bucket}")
    reply = s3_request(endpoint, "POST", f"/{bucket}", {"Content-Type": "text/plain"}, b"x")
    assert (reply.status, reply.code) == (412, "PreconditionFailed")
    kind = "multipart/form-data; boundary=b"
    fields = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in older(bucket, key="key").items()
    )
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nhello'
    for body, refusal in (
        ("nothing", None),
        (fields + "--b--\r\n", "IncorrectNumberOfFilesInPostRequest"),
        (fields + file, None),
        (fields + file + "\r\n--b-", None),
        (fields + fields + file + "\r\n--b--\r\n", "InvalidArgument"),
    ):
        answer = post(url, data=body.encode(), headers={"Content-Type": kind}, timeout=10)
        assert answer.status_code == 400, (body[-40:], answer.text)
        assert refusal is None or code(answer) == refusal
    answer = post(url, data=b"x", headers={"Content-Type": "multipart/form-data"}, timeout=10)
    assert answer.status_code == 400
    answer = send(url, older(bucket, key="key") | {"x-ignore-this": "x" * 21_000})
    assert (answer.status_code, code(answer)) == (400, "MaxPostPreDataLengthExceededError")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    body = fields + file + "\r\n--b--\r\n"
    answer = post(url, data=body.encode(), headers={"Content-Type": kind}, timeout=10)
    assert answer.status_code == 204


def test_a_page_of_another_site_may_read_the_answer(s3, url, bucket):
    rule = {"AllowedOrigins": ["http://page"], "AllowedMethods": ["POST"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    answer = send(url, older(bucket, key="key"), headers={"Origin": "http://page"})
    assert answer.headers["access-control-allow-origin"] == "http://page"


def test_a_form_sets_the_acl_that_was_signed(endpoint, s3, url, bucket):
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    form = older(bucket, key="k", acl="public-read")
    answer = send(url, form)
    assert (answer.status_code, code(answer)) == (403, "AccessDenied"), "public ACLs are blocked"
    open_to_policies(s3, bucket)
    assert send(url, form).status_code == 204
    assert requests.get(f"{url}/k", timeout=10).content == b"hello"
    answer = send(url, older(bucket, key="k", acl="no-such-word"))
    assert (answer.status_code, code(answer)) == (400, "InvalidArgument")
    assert send(url, older(bucket, key="k")).status_code == 204
    assert requests.get(f"{url}/k", timeout=10).status_code == 403
