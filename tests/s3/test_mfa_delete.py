"""MFA delete: versions go for good, and versioning changes, only with a code of the owner's device."""

import uuid

import oss2
import pytest

from harness.clients import is_refused, oss_bucket, query_client, refused, s3_client
from harness.identities import keys_of, remove
from harness.sign import s3_request
from harness.totp import Device

ON = {"Status": "Enabled", "MFADelete": "Enabled"}
OFF = {"Status": "Enabled", "MFADelete": "Disabled"}


def named(device, code: str) -> str:
    """The header's value."""
    return f"{device.serial} {code}"


@pytest.fixture
def owned(endpoint):
    """Makes devices of the owner's account itself; they go after the test."""
    made = []

    def make() -> Device:
        iam = query_client("iam", endpoint)
        made.append(Device(iam, f"t{uuid.uuid4().hex[:12]}").enable("root"))
        return made[-1]

    yield make
    for device in made:
        device.remove()


@pytest.fixture
def guarded(s3, bucket, owned):
    """A bucket with MFA delete, and the device that switched it on; two codes are left."""
    device = owned()
    shown = named(device, device.fresh())
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=ON, MFA=shown)
    return bucket, device


def versions_of(s3, bucket):
    """The ids of all versions and delete markers."""
    listed = s3.list_object_versions(Bucket=bucket)
    entries = listed.get("Versions", []) + listed.get("DeleteMarkers", [])
    return {entry["VersionId"] for entry in entries}


def test_a_version_goes_for_good_only_with_a_code(s3, guarded):
    bucket, device = guarded
    made = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
    # A delete marker takes nothing away.
    marker = s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    about = {"Bucket": bucket, "Key": "a", "VersionId": made}
    with refused(403, "AccessDenied") as told:
        s3.delete_object(**about)
    assert "Mfa Authentication must be used for this request" in str(told.reply)
    with refused(403, "AccessDenied"):
        s3.delete_object(**about, MFA=named(device, device.wrong()))
    with refused(400, "InvalidArgument"):
        s3.delete_object(**about, MFA=device.serial)
    assert versions_of(s3, bucket) == {made, marker}
    shown = named(device, device.fresh())
    s3.delete_object(**about, MFA=shown)
    assert versions_of(s3, bucket) == {marker}
    with refused(403, "AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="a", VersionId=marker, MFA=shown)
    s3.delete_object(Bucket=bucket, Key="a", VersionId=marker, MFA=named(device, device.fresh()))
    assert versions_of(s3, bucket) == set()


def test_versioning_changes_only_with_a_code(s3, guarded, endpoint):
    bucket, device = guarded
    shown = s3.get_bucket_versioning(Bucket=bucket)
    assert (shown["Status"], shown["MFADelete"]) == ("Enabled", "Enabled")
    for change in ({"Status": "Suspended"}, {"Status": "Enabled"}, OFF):
        with refused(403, "AccessDenied"):
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=change)
    with refused(403, "AccessDenied"):
        oss_bucket(endpoint, bucket).put_bucket_versioning(
            oss2.models.BucketVersioningConfig("Suspended")
        )
    about = {"Bucket": bucket, "VersioningConfiguration": {"Status": "Suspended"}}
    s3.put_bucket_versioning(**about, MFA=named(device, device.fresh()))
    shown = s3.get_bucket_versioning(Bucket=bucket)
    assert (shown["Status"], shown["MFADelete"]) == ("Suspended", "Enabled")
    off = {"Bucket": bucket, "VersioningConfiguration": OFF}
    s3.put_bucket_versioning(**off, MFA=named(device, device.fresh()))
    assert s3.get_bucket_versioning(Bucket=bucket)["MFADelete"] == "Disabled"
    made = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="a", VersionId=made)


def test_a_batch_is_deleted_with_one_code_or_not_at_all(s3, guarded):
    bucket, device = guarded
    made = [s3.put_object(Bucket=bucket, Key=key, Body=b"1")["VersionId"] for key in "abc"]
    pairs = zip("ab", made[:2], strict=True)
    objects = [{"Key": key, "VersionId": version} for key, version in pairs]
    batch = {"Bucket": bucket, "Delete": {"Objects": [*objects, {"Key": "c"}]}}
    with refused(403, "AccessDenied"):
        s3.delete_objects(**batch)
    plain = {"Bucket": bucket, "Delete": {"Objects": [{"Key": "c"}]}}
    with refused(403, "AccessDenied"):
        s3.delete_objects(**plain, MFA=named(device, device.wrong()))
    assert versions_of(s3, bucket) == set(made)
    told = s3.delete_objects(**batch, MFA=named(device, device.fresh()))
    assert "Errors" not in told and len(told["Deleted"]) == 3
    assert made[2] in versions_of(s3, bucket) and not versions_of(s3, bucket) & set(made[:2])
    # Markers alone take no code.
    assert "Errors" not in s3.delete_objects(**plain)


def test_only_the_owning_account_itself_can(endpoint, s3, s3_other, bucket, owned):
    iam = query_client("iam", endpoint)
    user = f"t{uuid.uuid4().hex[:12]}"
    iam.create_user(UserName=user)
    device = Device(iam, user)
    try:
        keys = keys_of(iam, user)
        all_of_s3 = "arn:aws:iam::aws:policy/AmazonS3FullAccess"
        iam.attach_user_policy(UserName=user, PolicyArn=all_of_s3)
        device.enable(user)
        about = {"Bucket": bucket, "VersioningConfiguration": ON}
        with refused(403, "AccessDenied"):
            s3_client(endpoint, keys).put_bucket_versioning(
                **about, MFA=named(device, device.fresh())
            )
        for account in (s3, s3_other):
            with refused(403, "AccessDenied"):
                account.put_bucket_versioning(**about, MFA=named(device, device.fresh()))
        with refused(403, "AccessDenied"):
            s3.put_bucket_versioning(**about)
        assert "MFADelete" not in s3.get_bucket_versioning(Bucket=bucket)
        own = owned()
        s3.put_bucket_versioning(**about, MFA=named(own, own.fresh()))
        made = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
        with refused(403, "AccessDenied"):
            s3_client(endpoint, keys).delete_object(
                Bucket=bucket, Key="a", VersionId=made, MFA=named(own, own.fresh())
            )
        with refused(403, "AccessDenied"):
            oss_bucket(endpoint, bucket).delete_object("a", params={"versionId": made})
        assert versions_of(s3, bucket) == {made}
    finally:
        device.remove()
        remove(iam, "user", user)


def test_a_code_is_sent_over_https_or_within_one_machine(special_server):
    server = special_server()
    server.stop()
    trusted = '[server]\ntrusted_proxies = ["127.0.0.1/32"]\n'
    server.config.write_text(trusted + server.config.read_text())
    server.start()
    s3 = s3_client(server.endpoint)
    s3.create_bucket(Bucket="guarded")
    device = Device(query_client("iam", server.endpoint), "owner").enable("owner")
    body = (
        b"<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"
        b"</VersioningConfiguration>"
    )
    shown = {"x-amz-mfa": named(device, device.fresh()), "x-forwarded-for": "192.0.2.1"}

    def put(scheme):
        headers = shown | {"x-forwarded-proto": scheme}
        return s3_request(server.endpoint, "PUT", "/guarded?versioning", headers, body)

    refusal = put("http")
    is_refused(refusal, 400, "InvalidRequest")
    assert b"must use HTTPS" in refusal.body
    assert put("https").status == 200
    assert s3.get_bucket_versioning(Bucket="guarded")["MFADelete"] == "Enabled"
