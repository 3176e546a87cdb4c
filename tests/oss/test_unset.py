"""Documents nobody can set yet, through the SDKs: reading says so, deleting changes nothing."""

import alibabacloud_oss_v2 as models
import pytest

from harness.clients import refused

# The other SDK has some calls that oss2 lacks.
NEWER = {
    "get_bucket_object_worm_configuration": models.GetBucketObjectWormConfigurationRequest,
    "get_object_legal_hold": models.GetObjectLegalHoldRequest,
    "get_object_retention": models.GetObjectRetentionRequest,
}
WITH_ID = (
    "delete_bucket_inventory_configuration",
    "get_bucket_inventory_configuration",
    "get_bucket_replication_progress",
)
UNSET = {
    "get_bucket_encryption": "NoSuchServerSideEncryptionRule",
    "get_bucket_inventory_configuration": "NoSuchInventory",
    "get_bucket_lifecycle": "NoSuchLifecycle",
    "get_bucket_object_worm_configuration": "NoSuchObjectWormConfiguration",
    "get_bucket_replication": "NoSuchReplicationRule",
    "get_bucket_replication_progress": "NoSuchReplicationRule",
    "get_bucket_transfer_acceleration": "NoSuchTransferAccelerationConfiguration",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_worm": "NoSuchWORMConfiguration",
}
# What of the answer is looked at, and what it is.
DEFAULT = {
    "get_bucket_access_monitor": ("access_monitor.status", "Disabled"),
    "get_bucket_archive_direct_read": ("enabled", False),
    "get_bucket_https_config": ("tls_enabled", False),
    "get_bucket_logging": ("target_bucket", ""),
    "get_bucket_referer": ("allow_empty_referer", True),
    "get_bucket_replication_location": ("location_list", []),
    "get_bucket_request_payment": ("payer", "BucketOwner"),
    "get_bucket_resource_group": ("resource_group_id", ""),
    "get_bucket_storage_capacity": ("storage_capacity", -1),
    "list_bucket_cname": ("cname", []),
    "list_bucket_inventory_configurations": ("inventory_configurations", []),
    "list_bucket_style": ("styles", []),
    "list_live_channel": ("channels", []),
}
REMOVABLE = (
    "delete_bucket_encryption",
    "delete_bucket_inventory_configuration",
    "delete_bucket_lifecycle",
    "delete_bucket_logging",
    "delete_bucket_website",
)


@pytest.fixture
def call(oss, oss_v2):
    """Calls a method of whichever SDK has it, with an id where one is needed."""

    def by_name(name, **key):
        if name in NEWER:
            return getattr(oss_v2, name)(NEWER[name](bucket=oss.bucket_name, **key))
        arguments = ["x"] if name in WITH_ID else list(key.values())
        return getattr(oss, name)(*arguments)

    return by_name


@pytest.mark.parametrize("name", UNSET)
def test_a_document_of_a_bucket_is_not_there(call, name):
    with refused(404, UNSET[name]):
        call(name)


@pytest.mark.parametrize("name", DEFAULT)
def test_a_document_of_a_bucket_has_its_default(call, name):
    found = call(name)
    path, expected = DEFAULT[name]
    for part in path.split("."):
        found = getattr(found, part)
    assert found == expected


@pytest.mark.parametrize("name", REMOVABLE)
def test_deleting_a_document_of_a_bucket_changes_nothing(oss, call, name):
    assert call(name).status == 204
    assert oss.get_bucket_info().name == oss.bucket_name


@pytest.mark.parametrize("name", ["get_object_legal_hold", "get_object_retention", "get_symlink"])
def test_a_document_of_an_object_is_not_there(oss, call, name):
    oss.put_object("k", b"1")
    with refused(400, "InvalidRequest"):
        call(name, key="k")
