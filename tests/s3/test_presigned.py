"""Presigned URLs: V4 and V2, expiry, overrides, and what a bent one gets."""

import datetime
import re

import pytest
from botocore.exceptions import ClientError

from harness.accounts import OWNER, Account
from harness.clients import is_refused, s3_client
from harness.raw import Reply, host, send
from harness.sign import S3V4, now

WRONG = Account("wrong", "", "", OWNER.access_key, "not-the-secret")
NOBODY = Account("nobody", "", "", "NOSUCHKEY0000000001", "any")


@pytest.fixture(params=["s3v4", "s3"], ids=["V4", "V2"])
def signer(request, endpoint):
    """boto3 presigning with V4 and again with V2."""
    return s3_client(endpoint, signature_version=request.param)


@pytest.fixture
def stored(s3, bucket) -> str:
    """A bucket whose key `k` holds `hello`."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ContentType="text/plain")
    return bucket


def use(endpoint, url: str, method="GET", headers=None, body=b"") -> Reply:
    """Requests a presigned URL."""
    return send(endpoint, method, url.removeprefix(endpoint), headers, body)


def test_a_presigned_get_needs_no_credentials(signer, endpoint, stored):
    url = signer.generate_presigned_url("get_object", {"Bucket": stored, "Key": "k"})
    reply = use(endpoint, url)
    assert (reply.status, reply.body) == (200, b"hello")


def test_a_presigned_put_stores(signer, s3, endpoint, bucket):
    url = signer.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "new é +"})
    assert use(endpoint, url, "PUT", body=b"sent").status == 200
    assert s3.get_object(Bucket=bucket, Key="new é +")["Body"].read() == b"sent"


def test_a_presigned_put_holds_to_its_signed_content_type(signer, endpoint, bucket):
    parameters = {"Bucket": bucket, "Key": "k", "ContentType": "text/plain"}
    url = signer.generate_presigned_url("put_object", parameters)
    other = use(endpoint, url, "PUT", {"Content-Type": "text/html"}, b"x")
    is_refused(other, 403, "SignatureDoesNotMatch")
    assert use(endpoint, url, "PUT", {"Content-Type": "text/plain"}, b"x").status == 200


def test_a_presigned_head_delete_and_list_work(signer, s3, endpoint, stored):
    url = signer.generate_presigned_url("head_object", {"Bucket": stored, "Key": "k"})
    assert use(endpoint, url, "HEAD").headers["content-length"] == "5"
    url = signer.generate_presigned_url("list_objects_v2", {"Bucket": stored, "Prefix": "k"})
    assert b"<Key>k</Key>" in use(endpoint, url).body
    url = signer.generate_presigned_url("delete_object", {"Bucket": stored, "Key": "k"})
    assert use(endpoint, url, "DELETE").status == 204
    assert "Contents" not in s3.list_objects_v2(Bucket=stored)


def test_response_overrides_count_on_a_signed_request(signer, endpoint, stored):
    overrides = {
        "ResponseContentType": "text/html",
        "ResponseContentLanguage": "de",
        "ResponseContentDisposition": 'attachment; filename="ä b.txt"',
        "ResponseCacheControl": "no-store",
        "ResponseContentEncoding": "gzip",
        "ResponseExpires": "Wed, 02 Jan 2030 03:04:05 GMT",
    }
    overrides["ResponseContentDisposition"] = 'attachment; filename="a b.txt"'
    parameters = {"Bucket": stored, "Key": "k"} | overrides
    reply = use(endpoint, signer.generate_presigned_url("get_object", parameters))
    assert reply.status == 200 and reply.body == b"hello"
    for name, value in overrides.items():
        header = "-".join(re.findall("[A-Z][a-z]+", name.removeprefix("Response"))).lower()
        assert reply.headers[header] == value


def test_an_added_override_breaks_the_signature(signer, endpoint, stored):
    url = signer.generate_presigned_url("get_object", {"Bucket": stored, "Key": "k"})
    reply = use(endpoint, f"{url}&response-content-type=text%2Fhtml")
    is_refused(reply, 403, "SignatureDoesNotMatch")


def test_an_expired_url_is_403(endpoint, stored):
    past = S3V4(moment=now() - datetime.timedelta(hours=1))
    url = past.presign("GET", endpoint, f"/{stored}/k", 600)
    is_refused(send(endpoint, "GET", url, {"Host": host(endpoint)}), 403, "AccessDenied")


def test_an_expired_v2_url_is_403(endpoint, stored):
    signer = s3_client(endpoint, signature_version="s3")
    parameters = {"Bucket": stored, "Key": "k"}
    url = signer.generate_presigned_url("get_object", parameters, ExpiresIn=-60)
    is_refused(use(endpoint, url), 403, "AccessDenied")


def test_a_url_from_the_future_is_403(endpoint, stored):
    future = S3V4(moment=now() + datetime.timedelta(hours=1))
    url = future.presign("GET", endpoint, f"/{stored}/k", 600)
    is_refused(send(endpoint, "GET", url), 403, "AccessDenied", "RequestTimeTooSkewed")


@pytest.mark.parametrize("seconds", [-1, 604801, "abc", ""])
def test_a_lifetime_out_of_bounds_is_refused(endpoint, stored, seconds):
    url = S3V4().presign("GET", endpoint, f"/{stored}/k", seconds)
    reply = send(endpoint, "GET", url)
    is_refused(reply, 400, "AuthorizationQueryParametersError")


def test_a_url_for_another_method_key_or_bucket_is_403(signer, endpoint, stored):
    url = signer.generate_presigned_url("get_object", {"Bucket": stored, "Key": "k"})
    is_refused(use(endpoint, url, "DELETE"), 403, "SignatureDoesNotMatch")
    is_refused(use(endpoint, url, "PUT"), 403, "SignatureDoesNotMatch")
    is_refused(use(endpoint, url.replace("/k?", "/l?")), 403, "SignatureDoesNotMatch")
    is_refused(use(endpoint, url.replace(stored, f"{stored}x")), 403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders"])
def test_a_v4_url_lacking_a_parameter_is_refused(endpoint, stored, name):
    url = S3V4().presign("GET", endpoint, f"/{stored}/k")
    reply = send(endpoint, "GET", re.sub(f"X-Amz-{name}=[^&]*&", "", url))
    assert reply.status in (400, 403) and reply.body != b"hello", reply


def test_a_v2_url_lacking_a_parameter_is_refused(endpoint, stored):
    signer = s3_client(endpoint, signature_version="s3")
    url = signer.generate_presigned_url("get_object", {"Bucket": stored, "Key": "k"})
    for name in ("AWSAccessKeyId", "Signature", "Expires"):
        reply = use(endpoint, re.sub(f"{name}=[^&]*&?", "", url))
        assert reply.status in (400, 403) and reply.body != b"hello", reply


def test_wrong_and_unknown_keys_are_403(endpoint, stored):
    url = S3V4(WRONG).presign("GET", endpoint, f"/{stored}/k")
    is_refused(send(endpoint, "GET", url), 403, "SignatureDoesNotMatch")
    url = S3V4(NOBODY).presign("GET", endpoint, f"/{stored}/k")
    is_refused(send(endpoint, "GET", url), 403, "InvalidAccessKeyId")


def test_a_header_signature_and_a_query_signature_together_are_refused(endpoint, stored):
    url = S3V4().presign("GET", endpoint, f"/{stored}/k")
    signed = S3V4().sign("GET", endpoint, f"/{stored}/k")
    reply = send(endpoint, "GET", url, signed)
    is_refused(reply, 400, "InvalidArgument")


def test_a_v2_url_of_a_subresource_signs_the_subresource(signer, endpoint, stored):
    url = signer.generate_presigned_url("get_bucket_versioning", {"Bucket": stored})
    assert b"VersioningConfiguration" in use(endpoint, url).body
    bent = url.replace("versioning", "acl")
    is_refused(use(endpoint, bent), 403, "SignatureDoesNotMatch")


def test_v2_in_the_header_works(s3, endpoint, stored):
    client = s3_client(endpoint, signature_version="s3")
    client.put_object(Bucket=stored, Key="v2 é", Body=b"v2", Metadata={"b": "2", "a": "1"})
    assert s3.get_object(Bucket=stored, Key="v2 é")["Body"].read() == b"v2"
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=stored)["Contents"]] == [
        "k",
        "v2 é",
    ]


@pytest.mark.parametrize("name", ["X-Amz-Copy-Source", "x-amz-copy-source", "x-amz-Copy-Source"])
def test_a_header_added_to_a_url_copies_nothing(signer, s3, endpoint, bucket, name):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = signer.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "avatar"})
    reply = use(endpoint, f"{url}&{name}=/{bucket}/secret", "PUT")
    assert reply.status == 403 and b"CopyObjectResult" not in reply.body, reply
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["secret"]


def test_a_header_signed_v2_request_holds_no_headers_in_its_query(s3, endpoint, bucket):
    def add(request, **_):
        request.url += "?X-Amz-Acl=private"

    client = s3_client(endpoint, signature_version="s3")
    client.meta.events.register("before-send.s3.PutObject", add)
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_signed_list_of_parameters_cannot_be_joined(endpoint, bucket):
    signer = s3_client(endpoint, signature_version="s3")
    parameters = {"Bucket": bucket, "Key": "k", "PartNumber": 1, "UploadId": "x"}
    url = signer.generate_presigned_url("upload_part", parameters)
    joined = re.sub("(partNumber=1)&(uploadId)=", r"\1%26\2%3D", url)
    joined = re.sub("(uploadId=x)&(partNumber)=", r"\1%26\2%3D", joined)
    assert joined != url
    is_refused(use(endpoint, joined, "PUT", body=b"x"), 403, "AccessDenied")


@pytest.mark.parametrize("count", [201, 2000])
def test_a_query_of_very_many_parameters_is_refused(endpoint, count):
    query = "&".join(f"p{number}" for number in range(count))
    is_refused(send(endpoint, "GET", f"/?{query}"), 400, "InvalidRequest")
