"""Pages of other sites: rules through oss2 and ossutil, and what a browser is told."""

import oss2
import pytest

from harness.clients import is_refused, refused
from harness.raw import send

RULE = oss2.models.CorsRule(
    allowed_origins=["http://*.example"],
    allowed_methods=["GET", "PUT"],
    allowed_headers=["*"],
    expose_headers=["x-oss-request-id"],
    max_age_seconds=60,
)


def fields(rule) -> tuple:
    return (
        rule.allowed_origins,
        rule.allowed_methods,
        rule.allowed_headers,
        rule.expose_headers,
        rule.max_age_seconds,
    )


def test_rules_are_shown_as_they_were_set(oss4):
    with refused(404, "NoSuchCORSConfiguration"):
        oss4.get_bucket_cors()
    oss4.put_bucket_cors(oss2.models.BucketCors([RULE]))
    [shown] = oss4.get_bucket_cors().rules
    assert fields(shown) == fields(RULE)
    oss4.delete_bucket_cors()
    with refused(404, "NoSuchCORSConfiguration"):
        oss4.get_bucket_cors()


def test_bad_rules_are_refused(oss4):
    bad = oss2.models.CorsRule(allowed_origins=["*"], allowed_methods=["PATCH"])
    with pytest.raises(oss2.exceptions.ServerError) as error:
        oss4.put_bucket_cors(oss2.models.BucketCors([bad]))
    assert error.value.status == 400


def test_a_browser_is_told_what_a_page_may(endpoint, bucket, oss4):
    oss4.put_bucket_cors(oss2.models.BucketCors([RULE]))
    asked = {
        "Origin": "http://a.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type,x-oss-date",
    }
    reply = send(endpoint, "OPTIONS", f"/{bucket}/key", asked)
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == "http://a.example"
    assert reply.headers["access-control-allow-methods"] == "GET, PUT"
    assert reply.headers["access-control-allow-headers"] == "content-type, x-oss-date"
    assert reply.headers["access-control-max-age"] == "60"
    asked["Origin"] = "http://elsewhere"
    is_refused(send(endpoint, "OPTIONS", f"/{bucket}/key", asked), 403, "AccessForbidden")


def test_answers_may_always_vary(endpoint, bucket, oss4):
    """For caches between us and the page: also the answer to somebody who is no page."""
    document = (
        "<CORSConfiguration><CORSRule><AllowedOrigin>http://a</AllowedOrigin>"
        "<AllowedMethod>GET</AllowedMethod></CORSRule>"
        "<ResponseVary>{}</ResponseVary></CORSConfiguration>"
    )
    for text, varies in (("true", True), ("false", False)):
        call = oss4._do("PUT", bucket, "", params={"cors": ""}, data=document.format(text))
        assert call.status == 200
        oss4.put_object("key", b"x")
        assert ("vary" in oss4.get_object("key").headers) == varies
