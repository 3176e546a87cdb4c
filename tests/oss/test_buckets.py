"""OSS buckets: create, info, stat, location, regions, list, delete."""

import oss2
import pytest
from alibabacloud_oss_v2 import DeleteBucketRequest, GetBucketInfoRequest, PutBucketRequest

from harness.accounts import OTHER, OWNER, REGION
from harness.clients import is_refused, oss_bucket, oss_service, refused
from harness.raw import send
from harness.sign import oss_request


@pytest.fixture(params=["V1", "V4"])
def make(request, endpoint, fresh_name):
    """oss2's view of a bucket that does not exist yet."""
    return oss_bucket(endpoint, fresh_name(), request.param)


def test_a_bucket_is_created_found_and_deleted(make, endpoint):
    made = make.create_bucket()
    assert made.status == 200 and made.headers["Location"] == f"/{make.bucket_name}"
    names = [entry.name for entry in oss2.BucketIterator(oss_service(endpoint))]
    assert make.bucket_name in names
    assert make.delete_bucket().status == 204
    with refused(404, "NoSuchBucket"):
        make.get_bucket_info()


def test_head_tells_whether_a_bucket_exists(oss, fresh_name):
    assert oss._do("HEAD", oss.bucket_name, "").status == 200
    with refused(404):
        oss._do("HEAD", fresh_name(), "")


def test_creating_ones_own_bucket_again_succeeds(oss4):
    oss4.put_object("k", b"1")
    assert oss4.create_bucket().status == 200
    assert oss4.get_object("k").read() == b"1"


def test_a_name_somebody_else_has_is_409(endpoint, other_bucket):
    with refused(409, "BucketAlreadyExists"):
        oss_bucket(endpoint, other_bucket).create_bucket()


@pytest.mark.parametrize("name", ["ab", "a" * 64, "Upper", "with.dot", "-a-b", "a-b-", "under_s"])
def test_a_bad_name_is_refused(endpoint, name):
    is_refused(oss_request(endpoint, "PUT", f"/{name}/"), 400, "InvalidBucketName")


def test_a_bucket_that_is_not_empty_is_not_deleted(oss):
    oss.put_object("k", b"1")
    with refused(409, "BucketNotEmpty"):
        oss.delete_bucket()


def test_a_bucket_with_an_upload_is_not_deleted(oss4):
    upload = oss4.init_multipart_upload("k").upload_id
    with refused(409, "BucketNotEmpty"):
        oss4.delete_bucket()
    oss4.abort_multipart_upload("k", upload)
    oss4.delete_bucket()


def test_bucket_info_tells_name_place_owner_and_acl(oss, endpoint):
    info = oss.get_bucket_info()
    assert (info.name, info.owner.id) == (oss.bucket_name, OWNER.identity)
    assert info.location == f"oss-{REGION}"
    assert info.storage_class == "Standard"
    assert info.acl.grant == "private"
    assert info.creation_date.endswith(".000Z")
    assert info.versioning_status is None


def test_the_endpoints_in_bucket_info_reach_this_server(oss, endpoint):
    info = oss.get_bucket_info()
    for named in (info.extranet_endpoint, info.intranet_endpoint):
        url = named if "://" in named else f"http://{named}"
        assert send(url, "GET", "/_larder/ready").status == 200


def test_bucket_stat_counts_exactly(oss):
    oss.put_object("a", b"x" * 10)
    oss.put_object("b", b"x" * 5)
    oss.put_object("a", b"x" * 7)
    oss.init_multipart_upload("c")
    stat = oss.get_bucket_stat()
    assert (stat.object_count, stat.storage_size_in_bytes) == (2, 12)
    assert stat.multi_part_upload_count == 1
    oss.delete_object("a")
    assert oss.get_bucket_stat().storage_size_in_bytes == 5


def test_location_is_the_region_with_its_prefix(oss):
    assert oss.get_bucket_location().location == f"oss-{REGION}"


def test_regions_name_this_one_with_an_endpoint(endpoint):
    regions = oss_service(endpoint).describe_regions().regions
    assert f"oss-{REGION}" in [region.region for region in regions]
    assert all(region.internet_endpoint for region in regions)


def test_buckets_are_listed_by_prefix_in_pages(endpoint, fresh_name):
    prefix = fresh_name()
    for n in range(3):
        oss_bucket(endpoint, f"{prefix}-{n}").create_bucket()
    service = oss_service(endpoint)
    first = service.list_buckets(prefix=prefix, max_keys=2)
    assert first.is_truncated and len(first.buckets) == 2
    rest = service.list_buckets(prefix=prefix, marker=first.next_marker)
    assert [entry.name for entry in rest.buckets] == [f"{prefix}-2"]
    entry = rest.buckets[0]
    assert entry.location == f"oss-{REGION}" and entry.storage_class == "Standard"
    assert entry.creation_date and entry.extranet_endpoint and entry.intranet_endpoint
    for n in range(3):
        oss_bucket(endpoint, f"{prefix}-{n}").delete_bucket()


def test_list_buckets_shows_only_ones_own(endpoint, bucket, other_bucket):
    service = oss_service(endpoint, "V1", OTHER)
    names = [entry.name for entry in service.list_buckets(max_keys=1000).buckets]
    assert other_bucket in names and bucket not in names


def test_acl_is_private_by_default(oss):
    assert oss.get_bucket_acl().acl == "private"


def test_versioning_is_unset_enabled_suspended(oss):
    assert oss.get_bucket_versioning().status is None
    for status in ("Enabled", "Suspended"):
        config = oss2.models.BucketVersioningConfig()
        config.status = status
        oss.put_bucket_versioning(config)
        assert oss.get_bucket_versioning().status == status
        assert oss.get_bucket_info().versioning_status == status


def test_a_body_with_storage_class_is_taken(make):
    config = oss2.models.BucketCreateConfig(oss2.BUCKET_STORAGE_CLASS_STANDARD)
    assert make.create_bucket(oss2.BUCKET_ACL_PRIVATE, config).status == 200


def test_the_newer_sdk_creates_finds_and_deletes(oss_v2, fresh_name):
    name = fresh_name()
    oss_v2.put_bucket(PutBucketRequest(bucket=name))
    assert oss_v2.is_bucket_exist(name)
    info = oss_v2.get_bucket_info(GetBucketInfoRequest(bucket=name)).bucket_info
    assert (info.name, info.acl) == (name, "private")
    oss_v2.delete_bucket(DeleteBucketRequest(bucket=name))
    assert not oss_v2.is_bucket_exist(name)


UNSET = {
    "cors": "NoSuchCORSConfiguration",
    "encryption": "NoSuchServerSideEncryptionRule",
    "inventory&inventoryId=x": "NoSuchInventory",
    "lifecycle": "NoSuchLifecycle",
    "policy": "NoSuchBucketPolicy",
    "replication": "NoSuchReplicationRule",
    "website": "NoSuchWebsiteConfiguration",
    "worm": "NoSuchWORMConfiguration",
}
EMPTY = {
    "logging": b"<BucketLoggingStatus",
    "referer": b"<AllowEmptyReferer>true</AllowEmptyReferer>",
    "requestPayment": b"<Payer>BucketOwner</Payer>",
    "tagging": b"<Tagging",
}


@pytest.mark.parametrize("name", UNSET)
def test_a_document_that_is_not_set_is_404_with_its_own_code(endpoint, bucket, name):
    is_refused(oss_request(endpoint, "GET", f"/{bucket}/?{name}"), 404, UNSET[name])


@pytest.mark.parametrize("name", EMPTY)
def test_a_document_with_a_default_answers_it(endpoint, bucket, name):
    reply = oss_request(endpoint, "GET", f"/{bucket}/?{name}")
    assert reply.status == 200 and EMPTY[name] in reply.body, reply


@pytest.mark.parametrize("name", ["encryption", "lifecycle", "website"])
def test_putting_a_document_is_not_implemented(endpoint, bucket, name):
    reply = oss_request(endpoint, "PUT", f"/{bucket}/?{name}", body=b"<X/>")
    is_refused(reply, 501, "NotImplemented")


@pytest.mark.parametrize("name", ["cors", "lifecycle", "publicAccessBlock", "website", "policy"])
def test_deleting_a_document_does_not_delete_the_bucket(endpoint, bucket, oss4, name):
    reply = oss_request(endpoint, "DELETE", f"/{bucket}/?{name}")
    assert reply.status in (204, 404), reply
    assert oss4.get_bucket_info().name == bucket


@pytest.mark.parametrize(
    "name", ["live", "metaQuery", "asyncFetch", "qosInfo", "style", "httpsConfig", "nonsense"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_an_unserved_subresource_is_refused_and_changes_nothing(endpoint, oss4, method, name):
    reply = oss_request(endpoint, method, f"/{oss4.bucket_name}/?{name}")
    lists_nothing = method == "GET" and reply.status == 200 and reply.body.count(b"<") < 20
    assert lists_nothing or reply.status in (400, 404, 405, 501), reply
    assert b"<ListBucketResult" not in reply.body
    assert oss4.get_bucket_info().name == oss4.bucket_name
