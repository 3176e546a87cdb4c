"""What is known but not served yet is answered by name; what is unknown is refused.

Nothing of it is ever taken for the plain request to the same bucket or key.
"""

import pytest

from harness.accounts import OTHER
from harness.clients import is_refused
from harness.raw import send
from harness.sign import s3_request

UNSET = {
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "object-lock": "ObjectLockConfigurationNotFoundError",
    "replication": "ReplicationConfigurationNotFoundError",
    "website": "NoSuchWebsiteConfiguration",
}
EMPTY = {
    "accelerate": b"<AccelerateConfiguration",
    "logging": b"<BucketLoggingStatus",
    "notification": b"<NotificationConfiguration",
    "requestPayment": b"<Payer>BucketOwner</Payer>",
}
REMOVABLE = (
    "encryption",
    "lifecycle",
    "replication",
    "website",
)
NAMED = ("analytics&id=x", "inventory&id=x", "metrics&id=x", "intelligent-tiering&id=x")
UNKNOWN = ("torrent", "nonsense", "Versioning")


@pytest.mark.parametrize("name", UNSET)
def test_a_document_that_is_not_set_is_404_with_its_own_code(endpoint, bucket, name):
    is_refused(s3_request(endpoint, "GET", f"/{bucket}?{name}"), 404, UNSET[name])


@pytest.mark.parametrize("name", EMPTY)
def test_a_document_with_a_default_answers_it(endpoint, bucket, name):
    reply = s3_request(endpoint, "GET", f"/{bucket}?{name}")
    assert reply.status == 200 and EMPTY[name] in reply.body, reply


@pytest.mark.parametrize("name", [*REMOVABLE, "object-lock", "accelerate", "logging"])
def test_putting_a_document_is_not_implemented(endpoint, bucket, name):
    reply = s3_request(endpoint, "PUT", f"/{bucket}?{name}", body=b"<X/>")
    is_refused(reply, 501, "NotImplemented")


@pytest.mark.parametrize("name", REMOVABLE)
def test_deleting_a_document_leaves_the_bucket_and_its_objects(s3, endpoint, bucket, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    reply = s3_request(endpoint, "DELETE", f"/{bucket}?{name}")
    assert reply.status == 204 or (reply.status, reply.code) == (404, UNSET[name]), reply
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


@pytest.mark.parametrize("name", REMOVABLE)
def test_deleting_a_document_of_an_empty_bucket_does_not_delete_it(s3, endpoint, bucket, name):
    s3_request(endpoint, "DELETE", f"/{bucket}?{name}")
    s3.head_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", [*UNSET, *EMPTY])
def test_documents_are_asked_for_only_by_the_owner(endpoint, bucket, name):
    for method in ("GET", "PUT", "DELETE"):
        reply = s3_request(endpoint, method, f"/{bucket}?{name}", account=OTHER)
        assert reply.status in (403, 405, 501), (method, reply)
        assert reply.code in ("AccessDenied", "MethodNotAllowed", "NotImplemented")
    is_refused(send(endpoint, "GET", f"/{bucket}?{name}"), 403, "AccessDenied")


@pytest.mark.parametrize("name", [*UNSET, *EMPTY])
def test_documents_of_a_missing_bucket_are_404(endpoint, fresh_name, name):
    is_refused(s3_request(endpoint, "GET", f"/{fresh_name()}?{name}"), 404, "NoSuchBucket")


@pytest.mark.parametrize("name", UNKNOWN)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_an_unknown_subresource_of_a_bucket_is_refused(s3, endpoint, bucket, method, name):
    reply = s3_request(endpoint, method, f"/{bucket}?{name}")
    plain = b"<ListBucketResult" in reply.body
    assert not plain and reply.status in (400, 404, 405, 501), reply
    s3.head_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", NAMED)
def test_a_configuration_with_a_name_is_not_there_and_cannot_be_made(s3, endpoint, bucket, name):
    target = f"/{bucket}?{name}"
    is_refused(s3_request(endpoint, "GET", target), 404, "NoSuchConfiguration")
    is_refused(s3_request(endpoint, "PUT", target, body=b"<X/>"), 501, "NotImplemented")
    assert s3_request(endpoint, "DELETE", target).status in (204, 404)
    s3.head_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", ["torrent", "nonsense", "retention", "legal-hold", "restore"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_an_unserved_subresource_of_an_object_changes_nothing(s3, endpoint, bucket, method, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    reply = s3_request(endpoint, method, f"/{bucket}/k?{name}", body=b"new")
    assert reply.status in (400, 404, 405, 501), reply
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def test_select_is_not_implemented(s3, endpoint, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"a,b")
    target = f"/{bucket}/k?select&select-type=2"
    is_refused(s3_request(endpoint, "POST", target, body=b"<X/>"), 501, "NotImplemented")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-legal-hold", "ON"),
        ("x-amz-write-offset-bytes", "0"),
    ],
)
def test_a_header_that_asks_for_what_is_not_served_is_never_ignored(
    s3, endpoint, bucket, name, value
):
    reply = s3_request(endpoint, "PUT", f"/{bucket}/k", {name: value}, b"1")
    assert reply.status in (400, 501), reply
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_redirect_location_is_kept_for_the_website_to_come(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", WebsiteRedirectLocation="/elsewhere")
    assert s3.head_object(Bucket=bucket, Key="k")["WebsiteRedirectLocation"] == "/elsewhere"
