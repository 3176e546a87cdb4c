"""Where a bucket's name stands: in the path, or in the Host."""

import pytest

from harness.clients import is_refused
from harness.raw import address, send
from harness.sign import S3V4


def request(endpoint, method, host, target, body=b"", payload="UNSIGNED-PAYLOAD"):
    """A signed request with a Host of our own."""
    headers = S3V4().sign(method, endpoint, target, {"Host": host}, payload)
    return send(endpoint, method, target, headers, body)


@pytest.fixture(params=["localhost", "localhost:{port}", "LOCALHOST"])
def domain(request, endpoint) -> str:
    """The bare Host of virtual-host style, in the forms clients send it."""
    return request.param.format(port=address(endpoint)[1])


def test_a_bucket_in_the_host_is_addressed(s3, endpoint, bucket, domain):
    host = f"{bucket}.{domain}"
    assert request(endpoint, "PUT", host, "/dir/k", b"hello").status == 200
    assert s3.get_object(Bucket=bucket, Key="dir/k")["Body"].read() == b"hello"
    assert request(endpoint, "GET", host, "/dir/k").body == b"hello"
    assert b"<Key>dir/k</Key>" in request(endpoint, "GET", host, "/").body


def test_a_key_named_like_the_bucket_is_a_key(s3, endpoint, bucket, domain):
    host = f"{bucket}.{domain}"
    assert request(endpoint, "PUT", host, f"/{bucket}/k", b"1").status == 200
    assert s3.get_object(Bucket=bucket, Key=f"{bucket}/k")["Body"].read() == b"1"


def test_the_bare_domain_means_path_style(s3, endpoint, bucket, domain):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert request(endpoint, "GET", domain, f"/{bucket}/k").body == b"1"
    assert b"<ListAllMyBucketsResult" in request(endpoint, "GET", domain, "/").body


def test_a_foreign_host_means_path_style(s3, endpoint, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    for host in ("storage.example.com", "10.0.0.7", "[::1]:9000"):
        assert request(endpoint, "GET", host, f"/{bucket}/k").body == b"1"


def test_a_bucket_can_be_created_and_deleted_by_host(s3, endpoint, fresh_name):
    name = fresh_name()
    host = f"{name}.localhost"
    assert request(endpoint, "PUT", host, "/").status == 200
    s3.head_bucket(Bucket=name)
    assert request(endpoint, "DELETE", host, "/").status == 204


def test_a_missing_bucket_in_the_host_is_404(endpoint, fresh_name):
    reply = request(endpoint, "GET", f"{fresh_name()}.localhost", "/k")
    is_refused(reply, 404, "NoSuchBucket")


def test_a_trailing_slash_behind_the_bucket_changes_nothing(endpoint, bucket):
    for target in (f"/{bucket}", f"/{bucket}/"):
        reply = request(endpoint, "GET", address(endpoint)[0], target)
        assert b"<ListBucketResult" in reply.body


def test_our_own_paths_are_no_bucket(endpoint):
    for path in ("/_larder/ready", "/_larder/health"):
        assert send(endpoint, "GET", path).status == 200
    reply = request(endpoint, "PUT", address(endpoint)[0], "/_larder")
    assert 400 <= reply.status < 500
