"""Which pages may show what is in a bucket, through oss2, the newer SDK and ossutil."""

import alibabacloud_oss_v2 as models
import oss2
import pytest

from harness.clients import is_refused, oss_bucket, refused
from harness.policies import open_to_policies
from harness.raw import send
from harness.sign import OssV4, S3V4, oss_request

DENIED = "You are denied by bucket referer policy."


@pytest.fixture
def public(s3, oss4) -> str:
    """A bucket in which everybody reads the object `k`."""
    open_to_policies(s3, oss4.bucket_name)
    oss4.put_bucket_acl("public-read")
    oss4.put_object("k", b"content")
    return oss4.bucket_name


def get(endpoint, target, referer) -> int:
    """The status of a plain request from a page."""
    headers = {"Referer": referer} if referer is not None else {}
    reply = send(endpoint, "GET", target, headers)
    if reply.status != 200:
        is_refused(reply, 403, "AccessDenied")
        assert DENIED in reply.body.decode()
    return reply.status


def test_rules_are_shown_as_they_were_set(oss, oss_v2):
    shown = oss.get_bucket_referer()
    assert (shown.allow_empty_referer, shown.referers) == (True, [])
    oss.put_bucket_referer(oss2.models.BucketReferer(False, ["http://a.com", "http://*.b.com"]))
    shown = oss.get_bucket_referer()
    assert shown.allow_empty_referer is False
    assert shown.referers == ["http://a.com", "http://*.b.com"]
    wanted = models.RefererConfiguration(
        allow_empty_referer=True,
        allow_truncate_query_string=False,
        truncate_path=True,
        referer_list=models.RefererList(referers=["http://c.com"]),
        referer_blacklist=models.RefererBlacklist(referers=["http://bad.com", "*.worse.com"]),
    )
    named = {"bucket": oss.bucket_name}
    oss_v2.put_bucket_referer(
        models.PutBucketRefererRequest(**named, referer_configuration=wanted)
    )
    got = oss_v2.get_bucket_referer(models.GetBucketRefererRequest(**named)).referer_configuration
    assert (got.allow_empty_referer, got.allow_truncate_query_string) == (True, False)
    assert got.truncate_path is True
    assert got.referer_list.referers == ["http://c.com"]
    assert got.referer_blacklist.referers == ["http://bad.com", "*.worse.com"]
    oss.put_bucket_referer(oss2.models.BucketReferer(True, []))
    assert oss.get_bucket_referer().referers == []


def test_ossutil_sets_and_shows_them(tools, bucket):
    url = f"oss://{bucket}"
    tools.ossutil("referer", "--method", "put", url, "http://a.com", "http://b.com")
    shown = tools.ossutil("referer", "--method", "get", url)
    assert "<Referer>http://a.com</Referer>" in shown and "http://b.com" in shown
    tools.ossutil("referer", "--method", "put", url, "http://a.com", "--disable-empty-referer")
    shown = tools.ossutil("referer", "--method", "get", url)
    assert "<AllowEmptyReferer>false</AllowEmptyReferer>" in shown
    tools.ossutil("referer", "--method", "delete", url)
    assert "<Referer>http" not in tools.ossutil("referer", "--method", "get", url)


def test_pages_that_are_not_named_are_refused(endpoint, oss4, public):
    path = f"/{public}/k"
    oss4.put_bucket_referer(oss2.models.BucketReferer(False, ["http://a.com", "https://?.b.com"]))
    for referer, status in (
        ("http://a.com/page", 200),
        ("https://x.b.com/", 200),
        ("https://xy.b.com/", 403),
        ("http://evil.com/?http://a.com", 403),
        ("", 403),
        (None, 403),
    ):
        assert get(endpoint, path, referer) == status, referer
    oss4.put_bucket_referer(oss2.models.BucketReferer(True, ["http://a.com"]))
    assert get(endpoint, path, None) == 200
    # The owner's own requests are not asked, however they are signed in their headers.
    assert oss4.get_object("k", headers={"Referer": "http://evil.com"}).read() == b"content"
    oss4.put_bucket_referer(oss2.models.BucketReferer(True, []))
    assert get(endpoint, path, "http://evil.com") == 200


def test_signed_urls_are_asked_in_both_protocols(endpoint, oss4, s3, public):
    oss4.put_bucket_acl("private")
    oss4.put_bucket_referer(oss2.models.BucketReferer(False, ["http://a.com"]))
    path = f"/{public}/k"
    for url in (OssV4().presign("GET", path), S3V4().presign("GET", endpoint, path)):
        assert get(endpoint, url, "http://a.com/x") == 200
        assert get(endpoint, url, "http://b.com/x") == 403
        assert get(endpoint, url, None) == 403
    assert s3.get_object(Bucket=public, Key="k")["Body"].read() == b"content"


def test_what_is_no_rule_is_refused(endpoint, oss4):
    path = f"/{oss4.bucket_name}/?referer"
    for body in (
        b"<RefererConfiguration><RefererList/></RefererConfiguration>",
        b"<RefererConfiguration><AllowEmptyReferer>32</AllowEmptyReferer></RefererConfiguration>",
        b"<X/>",
    ):
        is_refused(oss_request(endpoint, "PUT", path, body=body), 400, "MalformedXML")
    with refused(400, "InvalidArgument"):
        oss4.put_bucket_referer(oss2.models.BucketReferer(True, ["a" * 21_000]))
    anonymous = oss_bucket(endpoint, oss4.bucket_name, account=None)
    with refused(403, "AccessDenied"):
        anonymous.get_bucket_referer()
