"""Tags of objects and buckets, and what policies may say of them, through boto3."""

import contextlib
import json
from urllib.parse import urlencode

import pytest
import requests

from harness.accounts import OTHER, OWNER
from harness.clients import is_refused, query_client, refused, s3_client
from harness.identities import allow, document, keys_of, remove
from harness.operator import attempt, output
from harness.policies import open_to_policies, policy, statement
from harness.sign import s3_request


def tag_set(**tags) -> dict:
    """Tags as boto3 wants them."""
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tag(client, bucket, key="k", version=None, **tags):
    """Sets the tags of an object."""
    more = {"VersionId": version} if version else {}
    return client.put_object_tagging(Bucket=bucket, Key=key, Tagging=tag_set(**tags), **more)


def tags(client, bucket, key="k", **more) -> dict:
    """The tags of an object."""
    found = client.get_object_tagging(Bucket=bucket, Key=key, **more)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def bucket_tags(client, bucket) -> dict:
    found = client.get_bucket_tagging(Bucket=bucket)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


@contextlib.contextmanager
def sent(client, **headers):
    """Requests of the client carry these headers besides, for as long as it lasts."""

    def add(request, **_):
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value

    client.meta.events.register("before-sign.s3", add)
    yield
    client.meta.events.unregister("before-sign.s3", add)


def test_tags_of_an_object_are_shown_as_they_were_set(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Metadata={"a": "1"})
    before = s3.head_object(Bucket=bucket, Key="k")
    assert tags(s3, bucket) == {}
    many = {f"Key {n} +-=._:/@é": "värde " * n for n in range(10)}
    tag(s3, bucket, **many)
    assert list(tags(s3, bucket).items()) == sorted(many.items())
    tag(s3, bucket, b="2", a="")
    assert list(tags(s3, bucket).items()) == [("a", ""), ("b", "2")]
    after = s3.head_object(Bucket=bucket, Key="k")
    for same in ("ETag", "LastModified", "Metadata", "ContentLength"):
        assert before[same] == after[same]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert tags(s3, bucket) == {}
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


def test_an_object_is_written_with_the_tags_of_its_header(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="foo=bar&bar&a%20b=c+d%2F")
    assert tags(s3, bucket) == {"a b": "c d/", "bar": "", "foo": "bar"}
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"] == "3"
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    assert tags(s3, bucket) == {}
    headers = s3.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]
    assert "x-amz-tagging-count" not in headers


def test_an_upload_in_parts_has_the_tags_it_began_with(s3, bucket):
    begun = s3.create_multipart_upload(Bucket=bucket, Key="k", Tagging="Hello=World&foo=bar")
    part = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    etag = s3.upload_part(**part, PartNumber=1, Body=b"1")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**part, MultipartUpload=parts)
    assert list(tags(s3, bucket).items()) == [("Hello", "World"), ("foo", "bar")]


def test_a_copy_has_the_tags_of_its_source_unless_told_otherwise(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="a=1&b=2")
    source = {"Bucket": bucket, "Key": "k"}

    def copied(key="copy", **more):
        s3.copy_object(Bucket=bucket, Key=key, CopySource=source, **more)
        return tags(s3, bucket, key)

    assert copied() == {"a": "1", "b": "2"}
    assert copied(TaggingDirective="COPY", Tagging="c=3") == {"a": "1", "b": "2"}
    assert copied(TaggingDirective="REPLACE", Tagging="c=3") == {"c": "3"}
    assert copied(TaggingDirective="REPLACE") == {}
    assert copied(key="k", MetadataDirective="REPLACE") == {"a": "1", "b": "2"}
    with refused(400, "InvalidArgument"):
        copied(TaggingDirective="MERGE")


def test_each_version_has_tags_of_its_own(s3, versioned):
    put = {"Bucket": versioned, "Key": "k"}
    first = s3.put_object(**put, Body=b"1", Tagging="n=1")["VersionId"]
    second = s3.put_object(**put, Body=b"2", Tagging="n=2")["VersionId"]
    assert tags(s3, versioned) == {"n": "2"}
    answer = tag(s3, versioned, version=first, n="one", m="")
    assert answer["VersionId"] == first
    assert tags(s3, versioned, VersionId=first) == {"m": "", "n": "one"}
    assert s3.get_object_tagging(**put)["VersionId"] == second
    marker = s3.delete_object(**put)["VersionId"]
    with refused(404, "NoSuchKey"):
        tags(s3, versioned)
    with refused(405, "MethodNotAllowed"):
        tag(s3, versioned, version=marker, a="1")
    assert s3.delete_object_tagging(**put, VersionId=second)["VersionId"] == second
    s3.delete_object(**put, VersionId=marker)
    assert tags(s3, versioned) == {}
    s3.delete_object(**put, VersionId=second)
    assert tags(s3, versioned) == {"m": "", "n": "one"}


def test_tags_of_what_is_not_there_are_not_there(s3, bucket, fresh_name):
    for ask in (tags, tag):
        with refused(404, "NoSuchKey"):
            ask(s3, bucket)
        with refused(404, "NoSuchBucket"):
            ask(s3, fresh_name())


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({str(n): "" for n in range(11)}, "BadRequest"),
        ({"k" * 129: ""}, "InvalidTag"),
        ({"k": "v" * 257}, "InvalidTag"),
        ({"aws:k": "v"}, "InvalidTag"),
        ({"k": "<"}, "InvalidTag"),
        ({"k": "\n"}, "InvalidTag"),
    ],
    ids=["eleven", "long key", "long value", "system", "sign", "line"],
)
def test_what_is_no_tag_is_refused_and_changes_nothing(s3, bucket, wrong, code):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="a=1")
    with refused(400, code):
        tag(s3, bucket, **wrong)
    header = urlencode(wrong)
    for write in (s3.put_object, s3.create_multipart_upload):
        with refused(400, code):
            write(Bucket=bucket, Key="k", Tagging=header)
    assert tags(s3, bucket) == {"a": "1"}
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (b"<Tagging/>", "MalformedXML"),
        (b"<TagSet/>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "MalformedXML"),
        (
            b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag>"
            b"<Tag><Key>a</Key><Value>2</Value></Tag></TagSet></Tagging>",
            "InvalidTag",
        ),
        (b"<Tagging><TagSet><Tag><Key/><Value>1</Value></Tag></TagSet></Tagging>", "InvalidTag"),
    ],
)
def test_a_document_without_tags_is_refused(s3, endpoint, bucket, body, code):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="a=1")
    for path in (f"/{bucket}/k?tagging", f"/{bucket}?tagging"):
        reply = s3_request(endpoint, "PUT", path, body=body)
        is_refused(reply, 400, code, "MissingRequestBodyError")
    assert tags(s3, bucket) == {"a": "1"}
    reply = s3_request(endpoint, "PUT", f"/{bucket}/k", {"x-amz-tagging": "a=1&a=2"}, b"2")
    is_refused(reply, 400, "InvalidArgument")


def test_a_form_gives_tags_by_a_document(s3, endpoint, bucket):
    text = "<Tagging><TagSet>\n<Tag><Key>0</Key><Value>a</Value></Tag>\n</TagSet></Tagging>"
    form = s3.generate_presigned_post(
        bucket, "k", Fields={"tagging": text}, Conditions=[["starts-with", "$tagging", ""]]
    )

    def post(**fields):
        fields = form["fields"] | fields
        return requests.post(form["url"], data=fields, files={"file": b"hello"}, timeout=10)

    assert post().status_code == 204
    assert tags(s3, bucket) == {"0": "a"}
    answer = post(tagging="0=a")
    assert answer.status_code == 400 and "<Code>MalformedXML</Code>" in answer.text
    fields = form["fields"] | {"x-amz-tagging": "a=1"}
    answer = requests.post(form["url"], data=fields, files={"file": b"x"}, timeout=10)
    assert answer.status_code in (403, 501), answer.text
    assert form["url"].startswith(endpoint)


def test_tags_of_a_bucket_are_shown_as_they_were_set(s3, s3_other, bucket):
    with refused(404, "NoSuchTagSet"):
        bucket_tags(s3, bucket)
    many = {f"Key {n:02}": f"v{n}" for n in range(50)}
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(**many))
    assert bucket_tags(s3, bucket) == many
    with refused(400, "BadRequest"):
        s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(**many, more=""))
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(team="blue"))
    assert bucket_tags(s3, bucket) == {"team": "blue"}
    for ask in (
        lambda: bucket_tags(s3_other, bucket),
        lambda: s3_other.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(a="1")),
        lambda: s3_other.delete_bucket_tagging(Bucket=bucket),
    ):
        with refused(403, "AccessDenied"):
            ask()
    s3.delete_bucket_tagging(Bucket=bucket)
    with refused(404, "NoSuchTagSet"):
        bucket_tags(s3, bucket)


OWNERS = "bucket-owner-full-control"

# What may be done with an object that is there, if its tags allow it.
ASKS = {
    "s3:GetObject": lambda client, named: client.get_object(**named),
    "s3:GetObjectTagging": lambda client, named: client.get_object_tagging(**named),
    "s3:GetObjectAcl": lambda client, named: client.get_object_acl(**named),
    "s3:PutObjectAcl": lambda client, named: client.put_object_acl(**named, ACL=OWNERS),
    "s3:DeleteObjectTagging": lambda client, named: client.delete_object_tagging(**named),
    "s3:PutObjectTagging": lambda client, named: client.put_object_tagging(
        **named, Tagging=tag_set(security="none")
    ),
}


def if_tagged(bucket, actions, *, allow=True, principal=OTHER.identity, operator="StringEquals"):
    """A statement that holds for public objects."""
    condition = {operator: {"s3:ExistingObjectTag/security": "public"}}
    return statement(bucket, actions, allow=allow, principal=principal, Condition=condition)


@pytest.mark.parametrize("action", ASKS)
def test_a_policy_lets_through_what_is_tagged(s3, s3_other, bucket, action):
    for key, given in (("open", "security=public"), ("kept", "security=private"), ("bare", "")):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1", Tagging=given)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(if_tagged(bucket, action)))
    for key in ("kept", "bare", "missing"):
        for ask in ASKS.values():
            with refused(403, "AccessDenied"):
                ask(s3_other, {"Bucket": bucket, "Key": key})
    for name, ask in ASKS.items():
        if name != action:
            with refused(403, "AccessDenied"):
                ask(s3_other, {"Bucket": bucket, "Key": "open"})
    ASKS[action](s3_other, {"Bucket": bucket, "Key": "open"})
    # What it is now decides, not what it was.
    tag(s3, bucket, "open", security="private")
    tag(s3, bucket, "kept", security="public")
    with refused(403, "AccessDenied"):
        ASKS[action](s3_other, {"Bucket": bucket, "Key": "open"})
    ASKS[action](s3_other, {"Bucket": bucket, "Key": "kept"})


def test_each_version_is_let_through_by_its_own_tags(s3, s3_other, versioned):
    put = {"Bucket": versioned, "Key": "k"}
    open_one = s3.put_object(**put, Body=b"1", Tagging="security=public")["VersionId"]
    s3.put_object(**put, Body=b"2")
    actions = ["s3:GetObject", "s3:GetObjectVersion"]
    s3.put_bucket_policy(Bucket=versioned, Policy=policy(if_tagged(versioned, actions)))
    with refused(403):
        s3_other.get_object(**put)
    assert s3_other.get_object(**put, VersionId=open_one)["Body"].read() == b"1"
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(**put, Body=b"3", Tagging="security=public")
    assert s3_other.get_object(**put, VersionId="null")["Body"].read() == b"3"
    tag(s3, versioned, version="null", security="private")
    with refused(403):
        s3_other.get_object(**put, VersionId="null")


def test_tags_keep_from_whoever_is_let_in_otherwise(s3, s3_other, s3_anonymous, endpoint, bucket):
    open_to_policies(s3, bucket)
    iam = query_client("iam", endpoint)
    name = f"t{bucket[-12:]}"
    iam.create_user(UserName=name)
    try:
        user = s3_client(endpoint, keys_of(iam, name))
        everything = allow("s3:*", f"arn:aws:s3:::{bucket}/*")
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=everything)
        public = statement(bucket, "s3:GetObject")
        hidden = {"StringNotEquals": {"s3:ExistingObjectTag/security": "public"}}
        hidden = statement(bucket, "s3:GetObject*", allow=False, Condition=hidden)
        s3.put_bucket_policy(Bucket=bucket, Policy=policy(public, hidden))
        s3.put_object(Bucket=bucket, Key="open", Body=b"1", Tagging="security=public")
        s3.put_object(Bucket=bucket, Key="kept", Body=b"1")
        for client in (s3, s3_other, s3_anonymous, user):
            client.get_object(Bucket=bucket, Key="open")
            with refused(403):
                client.get_object(Bucket=bucket, Key="kept")
            with refused(403):
                client.head_object(Bucket=bucket, Key="kept")
        kept = {"CopySource": {"Bucket": bucket, "Key": "kept"}}
        part = {"Bucket": bucket, "Key": "c", "PartNumber": 1}
        part |= {"UploadId": user.create_multipart_upload(Bucket=bucket, Key="c")["UploadId"]}
        for read in (
            lambda: user.copy_object(Bucket=bucket, Key="c", **kept),
            lambda: user.upload_part_copy(**part, **kept),
            lambda: user.get_object_attributes(
                Bucket=bucket, Key="kept", ObjectAttributes=["ETag"]
            ),
        ):
            with refused(403):
                read()
        iam.put_user_policy(
            UserName=name,
            PolicyName="q",
            PolicyDocument=document({
                "Effect": "Deny",
                "Action": "s3:GetObject",
                "Resource": "*",
                "Condition": {"StringLike": {"s3:ExistingObjectTag/security": "pub*"}},
            }),
        )
        with refused(403):
            user.get_object(Bucket=bucket, Key="open")
    finally:
        remove(iam, "user", name)


def test_a_policy_decides_by_the_tags_that_are_given(s3, s3_other, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="security=public")
    public = {"StringEquals": {"s3:RequestObjectTag/security": "public"}}
    write = ["s3:PutObject", "s3:PutObjectTagging"]
    may_write = statement(bucket, write, principal=OTHER.identity, Condition=public)
    may_read = statement(bucket, ["s3:GetObject", "s3:GetObjectTagging"], principal=OTHER.identity)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(may_write, may_read))

    def put(**more):
        s3_other.put_object(Bucket=bucket, Key="n", Body=b"2", **more)

    def copy(key="k", **more):
        s3_other.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/{key}", **more)

    put(Tagging="security=public&x=y")
    copy(TaggingDirective="REPLACE", Tagging="security=public")
    s3_other.create_multipart_upload(Bucket=bucket, Key="m", Tagging="security=public")
    tag(s3_other, bucket, "n", security="public")
    for refuse in (
        put,
        lambda: put(Tagging="security=private"),
        lambda: put(Tagging="Security=public"),
        lambda: tag(s3_other, bucket, "n", security="private"),
        lambda: tag(s3_other, bucket, "n"),
        lambda: s3_other.create_multipart_upload(Bucket=bucket, Key="m"),
        lambda: copy(TaggingDirective="REPLACE"),
        # A header that is not heeded gives nothing.
        lambda: copy(Tagging="security=public"),
    ):
        with refused(403, "AccessDenied"):
            refuse()
    with sent(s3_other, x_amz_tagging="security=public"), refused(403, "AccessDenied"):
        tag(s3_other, bucket, "n", security="private")
    assert tags(s3, bucket, "n") == {"security": "public"}
    keys = {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}}
    may_write = statement(bucket, write, principal=OTHER.identity, Condition=keys)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(may_write))
    put(Tagging="a=1&b=2")
    put()
    with refused(403, "AccessDenied"):
        put(Tagging="a=1&c=2")


def test_tags_are_given_and_copied_by_whoever_may_do_that(s3, s3_other, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="a=1")
    s3.put_object(Bucket=bucket, Key="bare", Body=b"1")

    def let(*actions):
        granted = statement(bucket, list(actions), principal=OTHER.identity)
        s3.put_bucket_policy(Bucket=bucket, Policy=policy(granted))

    def copy(key="k", **more):
        s3_other.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/{key}", **more)

    let("s3:PutObject", "s3:GetObject")
    s3_other.put_object(Bucket=bucket, Key="n", Body=b"1")
    copy("bare")
    copy(TaggingDirective="REPLACE")
    for refuse in (
        lambda: s3_other.put_object(Bucket=bucket, Key="n", Body=b"1", Tagging="a=1"),
        lambda: s3_other.create_multipart_upload(Bucket=bucket, Key="n", Tagging="a=1"),
        copy,
        lambda: copy(TaggingDirective="REPLACE", Tagging="a=1"),
    ):
        with refused(403, "AccessDenied"):
            refuse()
    # Who may not know the tags is not told how many there are.
    headers = s3_other.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]
    assert "x-amz-tagging-count" not in headers
    let("s3:PutObject", "s3:GetObject", "s3:PutObjectTagging")
    with refused(403, "AccessDenied"):
        copy()
    let("s3:PutObject", "s3:GetObject", "s3:GetObjectTagging")
    with refused(403, "AccessDenied"):
        copy()
    headers = s3_other.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-tagging-count"] == "1"
    let("s3:PutObject", "s3:GetObject", "s3:GetObjectTagging", "s3:PutObjectTagging")
    copy()
    assert tags(s3, bucket, "c") == {"a": "1"}


def test_copied_tags_count_for_denials_of_writing(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="class=secret")
    secret = {"StringEquals": {"s3:RequestObjectTag/class": "secret"}}
    denied = statement(bucket, "s3:PutObject", allow=False, Condition=secret)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(denied))
    with refused(403, "AccessDenied"):
        s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k")
    s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", TaggingDirective="REPLACE")


def test_a_bucket_with_tags_is_deleted_with_them(s3, bucket):
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(a="1"))
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    with refused(404, "NoSuchTagSet"):
        bucket_tags(s3, bucket)


def test_a_condition_on_tags_that_never_count_is_refused(s3, bucket):
    for actions in ("s3:DeleteObject", ["s3:PutObject", "s3:DeleteObjectVersion"]):
        with refused(400, "MalformedPolicy"):
            s3.put_bucket_policy(
                Bucket=bucket, Policy=policy(if_tagged(bucket, actions, allow=False))
            )


def test_who_is_refused_for_tags_is_told_so(s3, s3_other, server, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="security=private")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(if_tagged(bucket, "s3:GetObject")))
    with refused(403) as caught:
        s3_other.get_object(Bucket=bucket, Key="k")
    answer = caught.reply.response["ResponseMetadata"]["HTTPHeaders"]
    told = attempt(server, "explain", answer["x-amz-request-id"], "--json", account=OWNER)
    told = json.loads(output(told))
    key = "s3:ExistingObjectTag/security"
    assert [each["unmet"] for each in told["statements"]] == [key]
    assert {fact["key"]: fact["values"] for fact in told["facts"]} == {key: ["private"]}


def test_nobody_learns_the_tags_of_others_by_asking_why(s3, endpoint, server, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="security=private")
    iam = query_client("iam", endpoint, OTHER)
    name = f"t{bucket[-12:]}"
    iam.create_user(UserName=name)
    try:
        user = s3_client(endpoint, keys_of(iam, name))
        told = []
        for guess in ("private", "public"):
            condition = {"StringEquals": {"s3:ExistingObjectTag/security": guess}}
            statements = [
                {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
                {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": condition},
            ]
            iam.put_user_policy(
                UserName=name, PolicyName="p", PolicyDocument=document(*statements)
            )
            with refused(403) as caught:
                user.get_object(Bucket=bucket, Key="k")
            answer = caught.reply.response["ResponseMetadata"]["HTTPHeaders"]
            why = attempt(server, "explain", answer["x-amz-request-id"], "--json", account=OTHER)
            why = json.loads(output(why))
            told.append({key: why[key] for key in why if key not in ("at", "request_id")})
        assert told[0] == told[1], told
        assert "private" not in json.dumps(told) and "security" not in json.dumps(told)
    finally:
        remove(iam, "user", name)
