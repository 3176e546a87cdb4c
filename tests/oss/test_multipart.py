"""OSS multipart uploads."""

import oss2
import pytest

from harness.clients import is_refused, refused
from harness.data import KIB, crc64, md5, some_bytes
from harness.sign import oss_request

BIG = some_bytes(100 * KIB, "big")
SMALL = some_bytes(1000, "small")


@pytest.fixture
def upload(oss) -> str:
    """The id of a started upload of the key `dir/k`."""
    return oss.init_multipart_upload("dir/k", headers={"x-oss-meta-a": "1"}).upload_id


def part(oss, upload, number, body) -> oss2.models.PartInfo:
    sent = oss.upload_part("dir/k", upload, number, body)
    assert sent.headers["x-oss-hash-crc64ecma"] == crc64(body)
    return oss2.models.PartInfo(number, sent.etag, size=len(body), part_crc=sent.crc)


def test_parts_give_the_crc_of_the_whole(oss, upload):
    parts = [part(oss, upload, 1, BIG), part(oss, upload, 2, SMALL)]
    done = oss.complete_multipart_upload("dir/k", upload, parts)
    etags = bytes.fromhex(md5(BIG)) + bytes.fromhex(md5(SMALL))
    assert done.etag == f"{md5(etags).upper()}-2"
    assert done.headers["x-oss-hash-crc64ecma"] == crc64(BIG + SMALL)
    got = oss.get_object("dir/k")
    assert got.read() == BIG + SMALL
    assert got.headers["x-oss-object-type"] == "Multipart"
    assert got.headers["x-oss-meta-a"] == "1"


def test_complete_all_takes_the_parts_that_are_there(oss, upload):
    part(oss, upload, 3, SMALL)
    part(oss, upload, 1, BIG)
    headers = {"x-oss-complete-all": "yes"}
    oss.complete_multipart_upload("dir/k", upload, None, headers)
    assert oss.get_object("dir/k").read() == BIG + SMALL


def test_complete_may_be_repeated(oss, upload):
    parts = [part(oss, upload, 1, SMALL)]
    first = oss.complete_multipart_upload("dir/k", upload, parts)
    assert oss.complete_multipart_upload("dir/k", upload, parts).etag == first.etag


def test_parts_are_listed_with_their_crc(endpoint, oss4):
    upload = oss4.init_multipart_upload("k").upload_id
    oss4.upload_part("k", upload, 1, SMALL)
    reply = oss_request(endpoint, "GET", f"/{oss4.bucket_name}/k?uploadId={upload}")
    assert reply.field("HashCrc64ecma") == crc64(SMALL)


def test_parts_are_listed_in_pages(oss, upload):
    for number in (1, 3, 5):
        part(oss, upload, number, SMALL)
    first = oss.list_parts("dir/k", upload, max_parts=2)
    assert first.is_truncated and [entry.part_number for entry in first.parts] == [1, 3]
    rest = oss.list_parts("dir/k", upload, marker=first.next_marker)
    assert [(entry.part_number, entry.size) for entry in rest.parts] == [(5, 1000)]
    assert rest.parts[0].etag == md5(SMALL).upper()


def test_a_small_part_that_is_not_the_last_is_refused(oss, upload):
    parts = [part(oss, upload, 1, SMALL), part(oss, upload, 2, SMALL)]
    with refused(400, "EntityTooSmall"):
        oss.complete_multipart_upload("dir/k", upload, parts)


def test_wrong_and_missing_parts_are_refused(oss, upload):
    good = part(oss, upload, 1, BIG)
    for bad in (oss2.models.PartInfo(1, md5(b"other")), oss2.models.PartInfo(2, good.etag)):
        with refused(400, "InvalidPart"):
            oss.complete_multipart_upload("dir/k", upload, [bad])


def test_parts_out_of_order_are_refused(endpoint, oss4):
    upload = oss4.init_multipart_upload("k").upload_id
    etags = [oss4.upload_part("k", upload, number, BIG).etag for number in (1, 2)]
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>&#34;{etags[number - 1]}&#34;</ETag></Part>"
        for number in (2, 1)
    )
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    target = f"/{oss4.bucket_name}/k?uploadId={upload}"
    is_refused(oss_request(endpoint, "POST", target, body=body), 400, "InvalidPartOrder")


def test_abort_drops_everything(oss, upload):
    part(oss, upload, 1, SMALL)
    assert oss.abort_multipart_upload("dir/k", upload).status == 204
    with refused(404, "NoSuchUpload"):
        oss.list_parts("dir/k", upload)
    assert oss.list_multipart_uploads().upload_list == []


def test_a_range_can_be_copied_into_a_part(oss, upload):
    oss.put_object("source é", BIG + SMALL)
    spans = ((0, len(BIG) - 1), (len(BIG), len(BIG) + 999))
    parts = []
    for number, span in enumerate(spans, 1):
        copied = oss.upload_part_copy(oss.bucket_name, "source é", span, "dir/k", upload, number)
        assert copied.etag
        parts.append(oss2.models.PartInfo(number, copied.etag))
    oss.complete_multipart_upload("dir/k", upload, parts)
    assert oss.get_object("dir/k").read() == BIG + SMALL


def test_forbid_overwrite_counts_at_complete(oss):
    oss.put_object("dir/k", b"first")
    headers = {"x-oss-forbid-overwrite": "true"}
    with refused(409, "FileAlreadyExists"):
        started = oss.init_multipart_upload("dir/k", headers=headers)
        parts = [part(oss, started.upload_id, 1, SMALL)]
        oss.complete_multipart_upload("dir/k", started.upload_id, parts, headers)
    assert oss.get_object("dir/k").read() == b"first"


def test_the_sdk_uploads_and_downloads_files_in_parallel_parts(oss, tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(some_bytes(1_000_000))
    sizes = {"multipart_threshold": 200 * KIB, "part_size": 150 * KIB, "num_threads": 3}
    oss2.resumable_upload(oss, "file", str(source), **sizes)
    sizes = {"multiget_threshold": 200 * KIB, "part_size": 150 * KIB, "num_threads": 3}
    oss2.resumable_download(oss, "file", str(copy), **sizes)
    assert copy.read_bytes() == source.read_bytes()
