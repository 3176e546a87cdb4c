"""OSS's access control lists of one word, through oss2 and the newer SDK, and as S3 shows them."""

import oss2
import pytest

from harness.accounts import OTHER, OWNER
from harness.clients import oss_bucket, refused

PUBLIC = "http://acs.amazonaws.com/groups/global/AllUsers"


@pytest.fixture
def opened(s3, oss):
    """A bucket that may be public."""
    s3.delete_public_access_block(Bucket=oss.bucket_name)
    return oss


@pytest.fixture
def anonymous(endpoint, oss):
    """The bucket as the anonymous see it."""
    return oss_bucket(endpoint, oss.bucket_name, account=None)


@pytest.fixture
def other(endpoint, oss):
    """The bucket as another account sees it."""
    return oss_bucket(endpoint, oss.bucket_name, account=OTHER)


@pytest.mark.parametrize("word", ["public-read", "public-read-write", "private"])
def test_a_bucket_has_the_word_that_was_set(opened, word):
    opened.put_bucket_acl(word)
    assert opened.get_bucket_acl().acl == word
    assert opened.get_bucket_info().acl.grant == word


@pytest.mark.parametrize("word", ["public-read", "public-read-write", "private", "default"])
def test_an_object_has_the_word_that_was_set(opened, word):
    opened.put_object("k", b"1")
    assert opened.get_object_acl("k").acl == "default"
    opened.put_object_acl("k", word)
    assert opened.get_object_acl("k").acl == word
    opened.put_object("k", b"2", headers={"x-oss-object-acl": word})
    assert opened.get_object_acl("k").acl == word
    opened.put_object("k", b"3")
    assert opened.get_object_acl("k").acl == "default"


def test_reading_in_public_is_not_listing_in_public(opened, anonymous, other):
    opened.put_object("k", b"1")
    opened.put_object("hidden", b"2", headers={"x-oss-object-acl": "private"})
    for reader in (anonymous, other):
        with refused(403, "AccessDenied"):
            reader.get_object("k")
    opened.put_bucket_acl("public-read")
    for reader in (anonymous, other):
        assert reader.get_object("k").read() == b"1"
        for refuse in (
            lambda reader=reader: reader.get_object("hidden"),
            lambda reader=reader: reader.list_objects(),
            lambda reader=reader: reader.put_object("k", b"x"),
            lambda reader=reader: reader.delete_object("k"),
            lambda reader=reader: reader.get_bucket_acl(),
        ):
            with refused(403, "AccessDenied"):
                refuse()


def test_writing_in_public_spares_what_is_private(opened, anonymous):
    opened.put_object("hidden", b"1", headers={"x-oss-object-acl": "private"})
    opened.put_bucket_acl("public-read-write")
    anonymous.put_object("k", b"theirs")
    assert anonymous.get_object("k").read() == b"theirs"
    for refuse in (
        lambda: anonymous.put_object("hidden", b"x"),
        lambda: anonymous.delete_object("hidden"),
        lambda: anonymous.list_objects(),
    ):
        with refused(403, "AccessDenied"):
            refuse()
    anonymous.delete_object("k")
    assert not opened.object_exists("k")


def test_an_object_may_be_public_in_a_private_bucket(opened, anonymous):
    opened.put_object("k", b"1", headers={"x-oss-object-acl": "public-read"})
    opened.put_object("other", b"2")
    assert anonymous.get_object("k").read() == b"1"
    with refused(403, "AccessDenied"):
        anonymous.get_object("other")
    with refused(403, "AccessDenied"):
        anonymous.put_object("k", b"x")


def test_the_block_refuses_public_words(s3, oss, anonymous):
    oss.put_object("k", b"1")
    for refuse in (
        lambda: oss.put_bucket_acl("public-read"),
        lambda: oss.put_object_acl("k", "public-read"),
        lambda: oss.put_object("k", b"2", headers={"x-oss-object-acl": "public-read"}),
    ):
        with refused(403, "AccessDenied"):
            refuse()
    s3.delete_public_access_block(Bucket=oss.bucket_name)
    oss.put_bucket_acl("public-read")
    anonymous.get_object("k")
    block = {"IgnorePublicAcls": True}
    s3.put_public_access_block(Bucket=oss.bucket_name, PublicAccessBlockConfiguration=block)
    with refused(403, "AccessDenied"):
        anonymous.get_object("k")


def test_words_that_do_not_exist_are_refused(opened):
    opened.put_object("k", b"1")
    for refuse in (
        lambda: opened.put_bucket_acl("default"),
        lambda: opened.put_bucket_acl("authenticated-read"),
        lambda: opened.put_object_acl("k", "public"),
        lambda: opened.put_object("k", b"2", headers={"x-oss-object-acl": "x"}),
    ):
        with refused(400, "InvalidArgument"):
            refuse()


def test_a_bucket_is_made_with_its_word(s3, endpoint, fresh_name):
    bucket = oss_bucket(endpoint, fresh_name())
    with refused(403, "AccessDenied"):
        bucket.create_bucket(oss2.BUCKET_ACL_PUBLIC_READ)
    bucket.create_bucket(oss2.BUCKET_ACL_PRIVATE)
    assert bucket.get_bucket_acl().acl == "private"
    bucket.delete_bucket()


def test_s3_shows_what_a_word_lets_through(s3, opened):
    opened.put_object("k", b"1")
    opened.put_bucket_acl("public-read")

    def groups(acl):
        return [grant["Permission"] for grant in acl["Grants"] if "URI" in grant["Grantee"]]

    assert groups(s3.get_object_acl(Bucket=opened.bucket_name, Key="k")) == ["READ"]
    # READ of a bucket would be the right to list it.
    assert groups(s3.get_bucket_acl(Bucket=opened.bucket_name)) == []
    owner = f"id={OWNER.canonical_id}"
    s3.put_bucket_acl(Bucket=opened.bucket_name, GrantFullControl=owner)
    assert opened.get_bucket_acl().acl == "private"


def test_what_another_account_wrote_is_its_own_where_the_bucket_says_so(s3, opened, other):
    opened.put_bucket_acl("public-read-write")
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=opened.bucket_name, OwnershipControls=rules)
    other.put_object("k", b"theirs", headers={"x-oss-object-acl": "private"})
    assert other.get_object("k").read() == b"theirs"
    for refuse in (
        lambda: opened.get_object("k"),
        lambda: opened.get_object_meta("k"),
        lambda: opened.get_object_acl("k"),
        lambda: opened.put_object_acl("k", "public-read"),
        lambda: opened.copy_object(opened.bucket_name, "k", "mine"),
    ):
        with refused(403):
            refuse()
    other.put_object_acl("k", "public-read")
    assert opened.get_object("k").read() == b"theirs"
    other.put_object_acl("k", "private")
    opened.delete_object("k")
    assert not opened.object_exists("k")
    # Without a word of its own it is what the bucket says.
    other.put_object("k", b"theirs", headers={"x-oss-object-acl": "default"})
    assert opened.get_object("k").read() == b"theirs"


def test_who_may_write_touches_no_upload_that_others_began(opened, anonymous, other):
    opened.put_bucket_acl("public-read-write")
    for began, strangers in ((opened, [other, anonymous]), (other, [anonymous])):
        upload = began.init_multipart_upload("k").upload_id
        etag = began.upload_part("k", upload, 1, b"own").etag
        parts = [oss2.models.PartInfo(1, etag)]
        for stranger in strangers:
            for ask, more in (
                (stranger.upload_part, (1, b"x")),
                (stranger.list_parts, ()),
                (stranger.complete_multipart_upload, (parts,)),
                (stranger.abort_multipart_upload, ()),
            ):
                with refused(403, "AccessDenied"):
                    ask("k", upload, *more)
        began.complete_multipart_upload("k", upload, parts)
        assert opened.get_object("k").read() == b"own"
