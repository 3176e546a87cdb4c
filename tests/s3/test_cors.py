"""Pages of other sites: rules through boto3, and what a browser is told."""

import pytest
from botocore.exceptions import ClientError

from harness.clients import is_refused, refused
from harness.raw import Reply, send
from harness.sign import s3_request

RULES = [
    {"AllowedOrigins": ["*suffix"], "AllowedMethods": ["GET"]},
    {"AllowedOrigins": ["start*end"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["x-*"]},
    {
        "ID": "all",
        "AllowedOrigins": ["*"],
        "AllowedMethods": ["HEAD"],
        "ExposeHeaders": ["ETag", "x-amz-meta-a"],
        "MaxAgeSeconds": 3000,
    },
]


@pytest.fixture
def shared(s3, bucket) -> str:
    """A bucket with rules and one object."""
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    s3.put_object(Bucket=bucket, Key="key", Body=b"hello")
    return bucket


def ask(endpoint, path, **fields) -> Reply:
    """What a browser asks before a request."""
    names = {
        "origin": "Origin",
        "method": "Access-Control-Request-Method",
        "headers": "Access-Control-Request-Headers",
    }
    return send(endpoint, "OPTIONS", path, {names[name]: text for name, text in fields.items()})


def told(reply: Reply) -> dict[str, str]:
    prefix = "access-control-"
    found = {name: text for name, text in reply.headers.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): text for name, text in found.items()}


def test_rules_are_shown_as_they_were_set(s3, bucket):
    with refused(404, "NoSuchCORSConfiguration"):
        s3.get_bucket_cors(Bucket=bucket)
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES[:1]})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES[:1]
    for _ in range(2):
        s3.delete_bucket_cors(Bucket=bucket)
    with refused(404, "NoSuchCORSConfiguration"):
        s3.get_bucket_cors(Bucket=bucket)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"AllowedOrigins": ["*"], "AllowedMethods": ["PATCH"]}, "InvalidRequest"),
        ({"AllowedOrigins": ["a*b*"], "AllowedMethods": ["GET"]}, "InvalidRequest"),
        ({"AllowedOrigins": [], "AllowedMethods": ["GET"]}, "MalformedXML"),
        ({"ID": "i" * 256, "AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}, "MalformedXML"),
    ],
)
def test_rules_that_mean_nothing_are_refused(s3, bucket, rule, code):
    with refused(400, code):
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    with pytest.raises(ClientError):
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [RULES[0]] * 101})


@pytest.mark.parametrize("path", ["", "/key", "/none"])
def test_a_browser_that_asks_is_told_the_rule_that_fits(endpoint, shared, path):
    path = f"/{shared}{path}"
    reply = ask(endpoint, path, origin="http://a.suffix", method="GET")
    assert reply.status == 200 and reply.body == b""
    assert told(reply) == {
        "allow-origin": "http://a.suffix",
        "allow-credentials": "true",
        "allow-methods": "GET",
    }
    assert "Origin" in reply.headers["vary"]
    reply = ask(endpoint, path, origin="start.end", method="PUT", headers="X-One, x-two")
    assert told(reply)["allow-headers"] == "x-one, x-two"
    reply = ask(endpoint, path, origin="anybody", method="HEAD")
    assert told(reply) == {
        "allow-origin": "*",
        "allow-methods": "HEAD",
        "expose-headers": "ETag, x-amz-meta-a",
        "max-age": "3000",
    }


def test_a_browser_that_may_not_is_told_so(endpoint, shared, fresh_name):
    path = f"/{shared}/key"
    for fields in (
        {"origin": "anybody", "method": "GET"},
        {"origin": "http://a.suffix", "method": "PUT"},
        {"origin": "start.end", "method": "PUT", "headers": "x-one, content-type"},
    ):
        reply = ask(endpoint, path, **fields)
        is_refused(reply, 403, "AccessForbidden")
        assert told(reply) == {}
    for path in (f"/{fresh_name()}/key", f"/{fresh_name()}", "/", "/_larder/metrics"):
        reply = ask(endpoint, path, origin="anybody", method="GET")
        is_refused(reply, 403, "AccessForbidden")
        assert "CORS is not enabled" in reply.field("Message")


def test_a_question_without_its_headers_is_refused(endpoint, shared):
    for fields in ({}, {"method": "GET"}, {"origin": "http://a.suffix"}):
        is_refused(ask(endpoint, f"/{shared}/key", **fields), 400, "BadRequest")


def test_every_answer_to_a_page_says_what_it_may(endpoint, s3, shared):
    page = {"Origin": "http://a.suffix"}
    for path, status in ((f"/{shared}/key", 200), (f"/{shared}/none", 404)):
        reply = s3_request(endpoint, "GET", path, page)
        assert (reply.status, told(reply)["allow-origin"]) == (status, "http://a.suffix")
        assert "Origin" in reply.headers["vary"]
    asked = page | {"Access-Control-Request-Method": "PUT"}
    assert told(send(endpoint, "GET", f"/{shared}/key", asked)) == {}
    # Without a signature too, or the page could not read why.
    reply = send(endpoint, "GET", f"/{shared}/key", page)
    assert (reply.status, told(reply)["allow-origin"]) == (403, "http://a.suffix")
    for other in ({"Origin": "http://elsewhere"}, {}):
        assert told(send(endpoint, "GET", f"/{shared}/key", other)) == {}
    s3.delete_bucket_cors(Bucket=shared)
    assert told(send(endpoint, "GET", f"/{shared}/key", page)) == {}


def test_a_page_may_ask_before_it_uses_a_signed_url(endpoint, s3, shared):
    url = s3.generate_presigned_url("put_object", Params={"Bucket": shared, "Key": "new"})
    path = url.removeprefix(endpoint)
    reply = ask(endpoint, path, origin="start.end", method="PUT")
    assert (reply.status, told(reply)["allow-origin"]) == (200, "start.end")
    reply = send(endpoint, "PUT", path, {"Origin": "start.end"}, b"new")
    assert (reply.status, told(reply)["allow-origin"]) == (200, "start.end")
