"""Bucket policies of OSS, in its own language, through oss2, the newer SDK and ossutil."""

import json

import alibabacloud_oss_v2 as models
import pytest

from harness.accounts import OTHER
from harness.clients import oss_bucket, refused
from harness.policies import open_to_policies, policy, statement


def oss_policy(bucket, actions, *, principal=(OTHER.identity,), keys="*", **more) -> str:
    """A policy of one statement in the language of OSS."""
    places = [f"acs:oss:*:*:{bucket}", f"acs:oss:*:*:{bucket}/{keys}"]
    one = {
        "Effect": "Allow",
        "Principal": list(principal),
        "Action": actions,
        "Resource": places,
    }
    return json.dumps({"Version": "1", "Statement": [one | more]})


@pytest.fixture
def other(endpoint, oss4):
    """The bucket as another account sees it."""
    return oss_bucket(endpoint, oss4.bucket_name, account=OTHER)


@pytest.fixture
def anonymous(endpoint, oss4):
    """The bucket as the anonymous see it."""
    return oss_bucket(endpoint, oss4.bucket_name, account=None)


def test_a_policy_is_shown_as_it_was_put(oss):
    with refused(404, "NoSuchBucketPolicy"):
        oss.get_bucket_policy()
    text = oss_policy(oss.bucket_name, ["oss:GetObject"])
    oss.put_bucket_policy(text)
    assert oss.get_bucket_policy().policy == text
    oss.delete_bucket_policy()
    with refused(404, "NoSuchBucketPolicy"):
        oss.get_bucket_policy()


def test_another_account_may_what_it_is_given(oss4, other, anonymous):
    oss4.put_object("a/k", b"content")
    oss4.put_object("b", b"content")
    actions = ["oss:GetObject", "oss:ListObjects"]
    oss4.put_bucket_policy(oss_policy(oss4.bucket_name, actions, keys="a/*"))
    assert other.get_object("a/k").read() == b"content"
    assert [entry.key for entry in other.list_objects().object_list] == ["a/k", "b"]
    for refuse in (
        lambda: other.get_object("b"),
        lambda: other.put_object("a/k", b"x"),
        lambda: anonymous.get_object("a/k"),
        lambda: anonymous.list_objects(),
    ):
        with refused(403, "AccessDenied"):
            refuse()


def test_an_empty_principal_is_everybody(s3, oss4, anonymous):
    oss4.put_object("k", b"content")
    text = oss_policy(oss4.bucket_name, ["oss:GetObject"], principal=())
    with refused(403, "AccessDenied"):
        oss4.put_bucket_policy(text)
    open_to_policies(s3, oss4.bucket_name)
    oss4.put_bucket_policy(text)
    assert anonymous.get_object("k").read() == b"content"
    with refused(403, "AccessDenied"):
        anonymous.list_objects()


def test_a_listing_may_be_limited_to_a_prefix(oss4, other):
    condition = {"StringEquals": {"oss:Prefix": ["a/"]}}
    text = oss_policy(oss4.bucket_name, ["oss:ListObjects"], Condition=condition)
    oss4.put_bucket_policy(text)
    other.list_objects(prefix="a/")
    for prefix in ("", "b/"):
        with refused(403, "AccessDenied"):
            other.list_objects(prefix=prefix)


def test_a_deny_by_address_and_transport(oss4, other):
    oss4.put_object("k", b"content")
    for condition, passes in (
        ({"IpAddress": {"acs:SourceIp": ["127.0.0.0/8"]}}, True),
        ({"IpAddress": {"acs:SourceIp": ["192.0.2.1"]}}, False),
        ({"Bool": {"acs:SecureTransport": ["true"]}}, False),
        ({"StringLike": {"acs:UserAgent": ["aliyun-sdk-python/*"]}}, True),
    ):
        text = oss_policy(oss4.bucket_name, ["oss:GetObject"], Condition=condition)
        oss4.put_bucket_policy(text)
        if passes:
            other.get_object("k")
        else:
            with refused(403, "AccessDenied"):
                other.get_object("k")


def test_a_malformed_policy_is_refused(oss4):
    for text in (
        "{",
        oss_policy(oss4.bucket_name, ["oss:Nonsense"]),
        oss_policy(oss4.bucket_name, ["s3:GetObject"]),
        oss_policy("other", ["oss:GetObject"]),
        oss_policy(oss4.bucket_name, ["oss:GetObject"], principal=("300000000003",)),
    ):
        with refused(400, "InvalidPolicyDocument"):
            oss4.put_bucket_policy(text)


def test_a_policy_of_the_other_language_counts_too(oss4, other):
    oss4.put_object("k", b"content")
    one = statement(oss4.bucket_name, "s3:GetObject", principal=OTHER.identity)
    oss4.put_bucket_policy(policy(one))
    assert other.get_object("k").read() == b"content"


def test_the_status_tells_whether_a_policy_is_public(oss4, oss_v2):
    bucket = oss4.bucket_name

    def is_public():
        request = models.GetBucketPolicyStatusRequest(bucket=bucket)
        return oss_v2.get_bucket_policy_status(request).policy_status.is_public

    oss4.put_bucket_policy(oss_policy(bucket, ["oss:GetObject"]))
    assert is_public() is False
    off = models.PublicAccessBlockConfiguration(block_public_access=False)
    oss_v2.put_bucket_public_access_block(
        models.PutBucketPublicAccessBlockRequest(
            bucket=bucket, public_access_block_configuration=off
        )
    )
    oss4.put_bucket_policy(oss_policy(bucket, ["oss:GetObject"], principal=()))
    assert is_public() is True


def test_the_access_block_is_shown_as_it_was_set(oss4, oss_v2):
    bucket = oss4.bucket_name

    def shown():
        request = models.GetBucketPublicAccessBlockRequest(bucket=bucket)
        answer = oss_v2.get_bucket_public_access_block(request)
        return answer.public_access_block_configuration.block_public_access

    assert shown() is True
    for blocked in (False, True):
        wanted = models.PublicAccessBlockConfiguration(block_public_access=blocked)
        oss_v2.put_bucket_public_access_block(
            models.PutBucketPublicAccessBlockRequest(
                bucket=bucket, public_access_block_configuration=wanted
            )
        )
        assert shown() is blocked
    request = models.DeleteBucketPublicAccessBlockRequest(bucket=bucket)
    oss_v2.delete_bucket_public_access_block(request)
    assert shown() is False


@pytest.mark.parametrize("scheme", ["V1", "V4"])
def test_ossutil_puts_and_shows_a_policy(oss4, tools, scheme):
    bucket = oss4.bucket_name
    file = tools.home / "policy.json"
    file.write_text(oss_policy(bucket, ["oss:GetObject"]))
    url = f"oss://{bucket}"
    tools.ossutil("bucket-policy", "--method", "put", url, str(file), scheme=scheme)
    shown = tools.ossutil("bucket-policy", "--method", "get", url, scheme=scheme)
    assert "oss:GetObject" in shown
    tools.ossutil("bucket-policy", "--method", "delete", url, scheme=scheme)
    with refused(404, "NoSuchBucketPolicy"):
        oss4.get_bucket_policy()
