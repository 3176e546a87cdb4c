"""The public access block of a whole account, through the newer SDK and ossutil's words."""

import alibabacloud_oss_v2 as models
import pytest

from harness.clients import oss_bucket, refused
from harness.policies import open_to_policies


@pytest.fixture
def block(oss_v2):
    """Reads the block, or switches it; it is gone afterwards."""

    def switch(on=None) -> bool:
        if on is not None:
            wanted = models.PublicAccessBlockConfiguration(block_public_access=on)
            oss_v2.put_public_access_block(
                models.PutPublicAccessBlockRequest(public_access_block_configuration=wanted)
            )
        shown = oss_v2.get_public_access_block(models.GetPublicAccessBlockRequest())
        return shown.public_access_block_configuration.block_public_access

    yield switch
    oss_v2.delete_public_access_block(models.DeletePublicAccessBlockRequest())


def test_the_block_is_shown_as_it_was_set(block, oss_v2):
    assert block() is False
    assert block(True) is True
    assert block(False) is False
    assert block(True) is True
    oss_v2.delete_public_access_block(models.DeletePublicAccessBlockRequest())
    assert block() is False


def test_nothing_is_public_while_it_is_on(block, s3, oss4, endpoint):
    open_to_policies(s3, oss4.bucket_name)
    oss4.put_object("k", b"content")
    oss4.put_object_acl("k", "public-read")
    anonymous = oss_bucket(endpoint, oss4.bucket_name, account=None)
    assert anonymous.get_object("k").read() == b"content"
    block(True)
    with refused(403, "AccessDenied"):
        anonymous.get_object("k")
    for refuse in (
        lambda: oss4.put_bucket_acl("public-read"),
        lambda: oss4.put_object_acl("k", "public-read-write"),
        lambda: oss4.put_object("l", b"", headers={"x-oss-object-acl": "public-read"}),
    ):
        with refused(403, "AccessDenied") as refusal:
            refuse()
        assert "public access block of the bucket owner's account" in str(refusal.reply)
    assert oss4.get_object("k").read() == b"content"
    block(False)
    assert anonymous.get_object("k").read() == b"content"
