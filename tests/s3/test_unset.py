"""Documents nobody can set yet, through boto3: reading says so, deleting changes nothing."""

import pytest

from harness.clients import refused

UNSET = {
    "get_bucket_analytics_configuration": "NoSuchConfiguration",
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "get_bucket_intelligent_tiering_configuration": "NoSuchConfiguration",
    "get_bucket_inventory_configuration": "NoSuchConfiguration",
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_metrics_configuration": "NoSuchConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
}


DEFAULT = {
    "get_bucket_accelerate_configuration": {},
    "get_bucket_logging": {},
    "get_bucket_notification_configuration": {},
    "get_bucket_request_payment": {"Payer": "BucketOwner"},
    "list_bucket_analytics_configurations": {"IsTruncated": False},
    "list_bucket_intelligent_tiering_configurations": {"IsTruncated": False},
    "list_bucket_inventory_configurations": {"IsTruncated": False},
    "list_bucket_metrics_configurations": {"IsTruncated": False},
}
REMOVABLE = (
    "delete_bucket_analytics_configuration",
    "delete_bucket_encryption",
    "delete_bucket_intelligent_tiering_configuration",
    "delete_bucket_inventory_configuration",
    "delete_bucket_lifecycle",
    "delete_bucket_metrics_configuration",
    "delete_bucket_replication",
    "delete_bucket_website",
)
NAMED = ("analytics", "intelligent_tiering", "inventory", "metrics")


@pytest.fixture
def call(s3, bucket):
    """Calls a method of boto3 for the bucket, with an id where one is needed."""

    def by_name(name, **more):
        if any(name.split("_", 1)[1] == f"bucket_{kind}_configuration" for kind in NAMED):
            more["Id"] = "x"
        answer = getattr(s3, name)(Bucket=bucket, **more)
        del answer["ResponseMetadata"]
        return answer

    return by_name


@pytest.mark.parametrize("name", UNSET)
def test_a_document_of_a_bucket_is_not_there(call, name):
    with refused(404, UNSET[name]):
        call(name)


@pytest.mark.parametrize("name", DEFAULT)
def test_a_document_of_a_bucket_has_its_default(call, name):
    assert call(name) == DEFAULT[name]


@pytest.mark.parametrize("name", REMOVABLE)
def test_deleting_a_document_of_a_bucket_changes_nothing(s3, call, bucket, name):
    call(name)
    s3.head_bucket(Bucket=bucket)


@pytest.mark.parametrize("name", ["get_object_retention", "get_object_legal_hold"])
def test_a_document_of_an_object_is_not_there(s3, call, bucket, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    with refused(400, "InvalidRequest"):
        call(name, Key="k")
