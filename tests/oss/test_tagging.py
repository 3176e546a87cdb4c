"""Tags of objects and buckets, through oss2, and as S3 shows them."""

import json

import oss2
import pytest

from harness.accounts import OTHER, OWNER
from harness.clients import is_refused, oss_bucket, oss_service, refused
from harness.sign import oss_request


def tagging(**tags) -> oss2.models.Tagging:
    """Tags as oss2 wants them."""
    rule = oss2.models.TaggingRule()
    for key, value in tags.items():
        rule.add(key, value)
    return oss2.models.Tagging(rule)


def tags(bucket, key="k", **more) -> dict:
    """The tags of an object."""
    return bucket.get_object_tagging(key, **more).tag_set.tagging_rule


def bucket_tags(bucket) -> dict:
    return bucket.get_bucket_tagging().tag_set.tagging_rule


def s3_tags(s3, bucket, key="k") -> dict:
    found = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_tags_of_an_object_are_shown_as_they_were_set(s3, oss):
    oss.put_object("k", b"1")
    assert tags(oss) == {}
    assert oss.put_object_tagging("k", tagging(b="2", a="", **{"é +-=._:/": "x y"})).status == 200
    assert tags(oss) == {"a": "", "b": "2", "é +-=._:/": "x y"} == s3_tags(s3, oss.bucket_name)
    assert oss.head_object("k").headers["x-oss-tagging-count"] == "3"
    assert oss.delete_object_tagging("k").status == 204
    assert tags(oss) == {}
    assert oss.get_object("k").read() == b"1"


def test_an_object_is_written_with_the_tags_of_its_header(s3, oss):
    oss.put_object("k", b"1", headers={"x-oss-tagging": "k1=v1&k2=v2&k3"})
    assert tags(oss) == {"k1": "v1", "k2": "v2", "k3": ""} == s3_tags(s3, oss.bucket_name)
    headers = {"x-oss-tagging": "a=1"}
    upload = oss.init_multipart_upload("m", headers=headers).upload_id
    part = oss.upload_part("m", upload, 1, b"1")
    oss.complete_multipart_upload("m", upload, [oss2.models.PartInfo(1, part.etag)])
    assert tags(oss, "m") == {"a": "1"}


def test_a_copy_has_the_tags_of_its_source_unless_told_otherwise(oss):
    oss.put_object("k", b"1", headers={"x-oss-tagging": "a=1"})

    def copied(**headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        oss.copy_object(oss.bucket_name, "k", "c", headers=headers)
        return tags(oss, "c")

    assert copied() == {"a": "1"}
    assert copied(x_oss_tagging="b=2") == {"a": "1"}
    replaced = copied(x_oss_tagging="b=2", x_oss_tagging_directive="Replace")
    assert replaced == {"b": "2"}


def test_each_version_has_tags_of_its_own(oss):
    oss.put_bucket_versioning(oss2.models.BucketVersioningConfig("Enabled"))
    first = oss.put_object("k", b"1", headers={"x-oss-tagging": "n=1"}).versionid
    oss.put_object("k", b"2")
    assert tags(oss) == {}
    assert tags(oss, params={"versionId": first}) == {"n": "1"}
    oss.put_object_tagging("k", tagging(n="one"), params={"versionId": first})
    assert tags(oss, params={"versionId": first}) == {"n": "one"}


@pytest.mark.parametrize(
    "header",
    ["aa=bb=cc", "a=1&a=2", "=v", "a=%zz", "k=%3C", "&".join(f"k{n}" for n in range(11))],
)
def test_what_is_no_tag_is_refused(oss, header):
    with refused(400, "InvalidTagging"):
        oss.put_object("k", b"1", headers={"x-oss-tagging": header})
    assert not oss.object_exists("k")


def test_tags_of_a_bucket_are_shown_as_they_were_set(s3, endpoint, oss):
    assert bucket_tags(oss) == {}
    assert oss.put_bucket_tagging(tagging(a="1", b="<2&>", c="3")).status == 200
    assert bucket_tags(oss) == {"a": "1", "b": "<2&>", "c": "3"}
    found = s3.get_bucket_tagging(Bucket=oss.bucket_name)["TagSet"]
    assert found[1] == {"Key": "b", "Value": "<2&>"}
    assert oss.delete_bucket_tagging({"tagging": "a,c,none"}).status == 204
    assert oss.delete_bucket_tagging({"tagging": ","}).status == 204
    assert bucket_tags(oss) == {"b": "<2&>"}
    many = {f"k{n}": "" for n in range(21)}
    for wrong in (many, {"k" * 65: ""}, {"aliyun-x": ""}, {"acs:x": ""}):
        with refused(400, "InvalidTagging"):
            oss.put_bucket_tagging(tagging(**wrong))
    assert bucket_tags(oss) == {"b": "<2&>"}
    assert oss.delete_bucket_tagging().status == 204
    assert bucket_tags(oss) == {}
    reply = oss_request(endpoint, "PUT", f"/{oss.bucket_name}/?tagging", body=b"<Tagging/>")
    is_refused(reply, 400, "MalformedXML")


def test_buckets_are_listed_by_a_tag(endpoint, oss4, fresh_name):
    service = oss_service(endpoint)
    others = [oss_bucket(endpoint, fresh_name()) for _ in range(2)]
    for other in others:
        other.create_bucket()
    team = oss4.bucket_name
    oss4.put_bucket_tagging(tagging(team=team, x="1"))
    others[0].put_bucket_tagging(tagging(team=team))
    others[1].put_bucket_tagging(tagging(team="other"))

    def listed(**params):
        params = {name.replace("_", "-"): value for name, value in params.items()}
        found = service.list_buckets(max_keys=1000, params=params).buckets
        names = {bucket.bucket_name for bucket in [*others, oss4]}
        return {bucket.name for bucket in found} & names

    first, second = sorted([oss4.bucket_name, others[0].bucket_name])
    assert listed(tag_key="team", tag_value=team) == {first, second}
    assert listed(tag_key="x") == {oss4.bucket_name}
    assert listed(tag_key="team", tag_value="") == set()


def test_a_policy_lets_through_what_is_tagged(endpoint, oss):
    name = oss.bucket_name
    other = oss_bucket(endpoint, name, account=OTHER)
    oss.put_object("open", b"1", headers={"x-oss-tagging": "status=ok"})
    oss.put_object("kept", b"1", headers={"x-oss-tagging": "status=bad"})
    statements = [
        {
            "Effect": "Allow",
            "Principal": [OTHER.identity],
            "Action": ["oss:GetObject"],
            "Resource": [f"acs:oss:*:{OWNER.identity}:{name}/*"],
            "Condition": {"StringEquals": {"oss:ExistingObjectTag/status": "ok"}},
        },
        {
            "Effect": "Allow",
            "Principal": [OTHER.identity],
            "Action": ["oss:PutObject", "oss:PutObjectTagging"],
            "Resource": [f"acs:oss:*:{OWNER.identity}:{name}/*"],
            "Condition": {"StringEquals": {"oss:RequestObjectTag/status": ["bad", "new"]}},
        },
    ]
    oss.put_bucket_policy(json.dumps({"Version": "1", "Statement": statements}))
    assert other.get_object("open").read() == b"1"
    for refuse in (
        lambda: other.get_object("kept"),
        lambda: other.put_object("new", b"1"),
        lambda: other.put_object("new", b"1", headers={"x-oss-tagging": "status=ok"}),
        lambda: other.put_object_tagging("kept", tagging(status="ok")),
    ):
        with refused(403, "AccessDenied"):
            refuse()
    other.put_object("new", b"1", headers={"x-oss-tagging": "status=new"})
    other.put_object_tagging("open", tagging(status="bad"))
    with refused(403, "AccessDenied"):
        other.get_object("open")
