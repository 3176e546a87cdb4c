"""Multipart uploads: all seven operations, their order and size rules, paging."""

import pytest

from harness.accounts import OWNER
from harness.clients import is_refused, refused
from harness.data import MIB, PART, md5, some_bytes
from harness.sign import s3_request

BIG = some_bytes(PART, "big")
SMALL = some_bytes(1000, "small")
NOBODYS = "bm9ib2R5IGdhdmUgdGhpcyBpZCBvdXQgZXZlcg"


@pytest.fixture
def upload(s3, bucket):
    """A started upload of the key `k`, as parameters of further calls."""
    begun = s3.create_multipart_upload(Bucket=bucket, Key="k")
    return {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}


def send_part(s3, upload, number, body) -> dict:
    """Uploads a part and returns it as complete wants it."""
    answer = s3.upload_part(PartNumber=number, Body=body, **upload)
    return {"PartNumber": number, "ETag": answer["ETag"]}


def complete(s3, upload, parts, **options) -> dict:
    return s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload, **options)


def read(s3, upload, **options) -> bytes:
    return s3.get_object(Bucket=upload["Bucket"], Key=upload["Key"], **options)["Body"].read()


def test_parts_are_put_together_in_order(s3, upload):
    second = send_part(s3, upload, 2, SMALL)
    first = send_part(s3, upload, 1, BIG)
    done = complete(s3, upload, [first, second])
    etags = bytes.fromhex(md5(BIG)) + bytes.fromhex(md5(SMALL))
    assert done["ETag"] == f'"{md5(etags)}-2"'
    assert (done["Bucket"], done["Key"]) == (upload["Bucket"], "k")
    assert read(s3, upload) == BIG + SMALL
    assert s3.head_object(Bucket=upload["Bucket"], Key="k")["ContentLength"] == PART + 1000


def test_part_numbers_may_have_gaps(s3, upload):
    parts = [send_part(s3, upload, 7, BIG), send_part(s3, upload, 10_000, SMALL)]
    complete(s3, upload, parts)
    assert read(s3, upload) == BIG + SMALL


def test_parts_that_complete_does_not_name_are_dropped(s3, upload):
    send_part(s3, upload, 1, b"dropped")
    complete(s3, upload, [send_part(s3, upload, 2, SMALL)])
    assert read(s3, upload) == SMALL


def test_the_same_part_again_replaces_the_first(s3, upload):
    stale = send_part(s3, upload, 1, b"stale")
    fresh = send_part(s3, upload, 1, b"fresh")
    with refused(400, "InvalidPart"):
        complete(s3, upload, [stale])
    complete(s3, upload, [fresh])
    assert read(s3, upload) == b"fresh"


def test_the_object_appears_only_with_complete(s3, upload):
    part = send_part(s3, upload, 1, SMALL)
    with refused(404):
        s3.head_object(Bucket=upload["Bucket"], Key="k")
    assert "Contents" not in s3.list_objects_v2(Bucket=upload["Bucket"])
    complete(s3, upload, [part])
    assert read(s3, upload) == SMALL


def test_metadata_comes_from_the_start_of_the_upload(s3, bucket):
    begun = s3.create_multipart_upload(
        Bucket=bucket, Key="k", ContentType="text/x", Metadata={"a": "1"}
    )
    upload = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    complete(s3, upload, [send_part(s3, upload, 1, SMALL)])
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentType"], head["Metadata"]) == ("text/x", {"a": "1"})


def test_complete_may_be_repeated_with_the_same_parts(s3, upload):
    parts = [send_part(s3, upload, 1, SMALL)]
    assert complete(s3, upload, parts)["ETag"] == complete(s3, upload, parts)["ETag"]
    assert read(s3, upload) == SMALL


def test_a_part_that_was_never_sent_is_refused(s3, upload):
    part = send_part(s3, upload, 1, BIG)
    with refused(400, "InvalidPart"):
        complete(s3, upload, [part, {"PartNumber": 2, "ETag": part["ETag"]}])


def test_a_wrong_etag_is_refused(s3, upload):
    send_part(s3, upload, 1, SMALL)
    with refused(400, "InvalidPart"):
        complete(s3, upload, [{"PartNumber": 1, "ETag": md5(b"other")}])


def test_an_etag_counts_with_and_without_quotes(s3, upload):
    part = send_part(s3, upload, 1, SMALL)
    complete(s3, upload, [{"PartNumber": 1, "ETag": part["ETag"].strip('"')}])
    assert read(s3, upload) == SMALL


def test_parts_out_of_order_are_refused(s3, upload):
    first, second = send_part(s3, upload, 1, BIG), send_part(s3, upload, 2, BIG)
    for parts in ([second, first], [first, second, first]):
        with refused(400, "InvalidPartOrder"):
            complete(s3, upload, parts)


def test_a_part_named_twice_counts_once(s3, upload):
    first, last = send_part(s3, upload, 1, BIG), send_part(s3, upload, 2, SMALL)
    complete(s3, upload, [first, first, last])
    assert s3.get_object(Bucket=upload["Bucket"], Key=upload["Key"])["Body"].read() == BIG + SMALL


def test_a_small_part_that_is_not_the_last_is_refused(s3, upload):
    parts = [send_part(s3, upload, 1, SMALL), send_part(s3, upload, 2, SMALL)]
    with refused(400, "EntityTooSmall"):
        complete(s3, upload, parts)
    assert len(s3.list_parts(**upload)["Parts"]) == 2


def test_no_parts_at_all_are_refused(endpoint, s3, upload):
    target = f"/{upload['Bucket']}/k?uploadId={upload['UploadId']}"
    for body in (b"<CompleteMultipartUpload></CompleteMultipartUpload>", b"<Complete", b""):
        is_refused(s3_request(endpoint, "POST", target, body=body), 400, "MalformedXML")


@pytest.mark.parametrize("number", ["0", "10001", "-1", "abc", ""])
def test_a_bad_part_number_is_refused(endpoint, upload, number):
    target = f"/{upload['Bucket']}/k?partNumber={number}&uploadId={upload['UploadId']}"
    is_refused(s3_request(endpoint, "PUT", target, body=SMALL), 400, "InvalidArgument")


def test_an_upload_nobody_started_is_404(s3, bucket):
    upload = {"Bucket": bucket, "Key": "k", "UploadId": NOBODYS}
    part = {"PartNumber": 1, "ETag": md5(b"")}
    with refused(404, "NoSuchUpload"):
        s3.upload_part(PartNumber=1, Body=b"", **upload)
    with refused(404, "NoSuchUpload"):
        s3.list_parts(**upload)
    with refused(404, "NoSuchUpload"):
        s3.abort_multipart_upload(**upload)
    with refused(404, "NoSuchUpload"):
        complete(s3, upload, [part])


def test_an_upload_belongs_to_its_key(s3, upload):
    with refused(404, "NoSuchUpload"):
        s3.upload_part(PartNumber=1, Body=b"", **(upload | {"Key": "other"}))


def test_abort_drops_the_upload_and_its_parts(s3, upload):
    part = send_part(s3, upload, 1, SMALL)
    s3.abort_multipart_upload(**upload)
    with refused(404, "NoSuchUpload"):
        s3.list_parts(**upload)
    with refused(404, "NoSuchUpload"):
        complete(s3, upload, [part])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=upload["Bucket"])


def test_a_part_with_a_wrong_digest_is_not_taken(s3, upload):
    with refused(400, "BadDigest"):
        s3.upload_part(PartNumber=1, Body=SMALL, ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==", **upload)
    assert "Parts" not in s3.list_parts(**upload)


def test_parts_are_listed_in_pages(s3, upload):
    for number in (1, 3, 5, 7):
        send_part(s3, upload, number, b"x" * number)
    found, marker = [], 0
    for more in (True, False):
        page = s3.list_parts(MaxParts=2, PartNumberMarker=marker, **upload)
        found += [(part["PartNumber"], part["Size"]) for part in page["Parts"]]
        assert page["IsTruncated"] is more and page["MaxParts"] == 2
        marker = page.get("NextPartNumberMarker")
    assert found == [(1, 1), (3, 3), (5, 5), (7, 7)]
    page = s3.list_parts(**upload)
    assert page["Parts"][0]["ETag"] == f'"{md5(b"x")}"' and page["Parts"][0]["LastModified"]
    assert page["Owner"]["ID"] == page["Initiator"]["ID"] == OWNER.canonical_id
    assert page["StorageClass"] == "STANDARD"


def test_uploads_are_listed_in_pages_by_key_and_start(s3, bucket):
    started = []
    for key in ("a", "b", "b", "c/d"):
        begun = s3.create_multipart_upload(Bucket=bucket, Key=key)
        started.append((key, begun["UploadId"]))
    found, markers = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=1, **markers)
        found += [(entry["Key"], entry["UploadId"]) for entry in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        markers = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
    assert sorted(found) == sorted(started)
    assert [key for key, _ in found] == ["a", "b", "b", "c/d"]


def test_uploads_are_folded_by_prefix_and_delimiter(s3, bucket):
    for key in ("a/1", "a/2", "b"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [entry["Key"] for entry in page["Uploads"]] == ["b"]
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == ["a/"]
    page = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")
    assert [entry["Key"] for entry in page["Uploads"]] == ["a/1", "a/2"]


def test_a_range_can_be_copied_into_a_part(s3, upload):
    bucket, data = upload["Bucket"], some_bytes(PART + 2000)
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    parts = []
    for number, span in enumerate((f"bytes=0-{PART - 1}", f"bytes={PART}-{PART + 1999}"), 1):
        copied = s3.upload_part_copy(
            PartNumber=number, CopySource=f"{bucket}/source", CopySourceRange=span, **upload
        )
        assert copied["CopyPartResult"]["LastModified"]
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    complete(s3, upload, parts)
    assert read(s3, upload) == data


def test_a_whole_object_can_be_copied_into_a_part(s3, upload):
    bucket = upload["Bucket"]
    s3.put_object(Bucket=bucket, Key="source", Body=SMALL)
    copied = s3.upload_part_copy(PartNumber=1, CopySource=f"{bucket}/source", **upload)
    complete(s3, upload, [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}])
    assert read(s3, upload) == SMALL


@pytest.mark.parametrize("span", ["bytes=0-1000", "bytes=5-", "bytes=-5", "0-1", "bytes=3-2"])
def test_a_bad_copy_range_is_refused(s3, upload, span):
    bucket = upload["Bucket"]
    s3.put_object(Bucket=bucket, Key="source", Body=SMALL)
    status, code = (416, "InvalidRange") if span == "bytes=0-1000" else (400, "InvalidArgument")
    with refused(status, code):
        s3.upload_part_copy(
            PartNumber=1, CopySource=f"{bucket}/source", CopySourceRange=span, **upload
        )
    assert "Parts" not in s3.list_parts(**upload)


def test_a_part_can_be_read_by_its_number(s3, upload):
    parts = [send_part(s3, upload, 1, BIG), send_part(s3, upload, 2, SMALL)]
    complete(s3, upload, parts)
    got = s3.get_object(Bucket=upload["Bucket"], Key="k", PartNumber=2)
    assert got["Body"].read() == SMALL
    assert got["PartsCount"] == 2
    assert got["ContentRange"] == f"bytes {PART}-{PART + 999}/{PART + 1000}"
    head = s3.head_object(Bucket=upload["Bucket"], Key="k", PartNumber=1)
    assert (head["ContentLength"], head["PartsCount"]) == (PART, 2)
    with refused(416, "InvalidPartNumber"):
        s3.get_object(Bucket=upload["Bucket"], Key="k", PartNumber=3)


def test_an_ordinary_object_is_its_own_part_1(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=SMALL)
    got = s3.get_object(Bucket=bucket, Key="k", PartNumber=1)
    assert got["Body"].read() == SMALL
    with refused(416, "InvalidPartNumber"):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=2)


def test_a_range_may_cross_parts(s3, upload):
    parts = [send_part(s3, upload, 1, BIG), send_part(s3, upload, 2, BIG)]
    complete(s3, upload, parts)
    got = read(s3, upload, Range=f"bytes={PART - 10}-{PART + 9}")
    assert got == BIG[-10:] + BIG[:10]


def test_attributes_list_the_parts(s3, upload):
    parts = [send_part(s3, upload, 1, BIG), send_part(s3, upload, 2, SMALL)]
    complete(s3, upload, parts)
    got = s3.get_object_attributes(
        Bucket=upload["Bucket"], Key="k", ObjectAttributes=["ObjectParts", "ObjectSize"]
    )
    assert got["ObjectSize"] == PART + 1000
    assert got["ObjectParts"]["TotalPartsCount"] == 2


def test_each_upload_to_a_versioned_key_makes_a_version(s3, versioned):
    ids = []
    for body in (b"1", b"2"):
        begun = s3.create_multipart_upload(Bucket=versioned, Key="k")
        upload = {"Bucket": versioned, "Key": "k", "UploadId": begun["UploadId"]}
        ids.append(complete(s3, upload, [send_part(s3, upload, 1, body)])["VersionId"])
    assert read(s3, upload, VersionId=ids[0]) == b"1"
    assert read(s3, upload) == b"2"


def test_an_upload_of_many_parts_reads_whole(s3, upload):
    bodies = [some_bytes(PART + n, n) for n in range(6)]
    parts = [send_part(s3, upload, n, body) for n, body in enumerate(bodies, 1)]
    complete(s3, upload, parts)
    assert read(s3, upload) == b"".join(bodies)
    assert sum(len(body) for body in bodies) > 30 * MIB


def test_complete_checks_the_size_of_the_whole_if_told(s3, upload):
    parts = [send_part(s3, upload, 1, SMALL)]
    with refused(400, "InvalidRequest"):
        complete(s3, upload, parts, MpuObjectSize=999)
    complete(s3, upload, parts, MpuObjectSize=1000)


def test_a_bucket_with_only_an_upload_can_be_deleted(s3, upload):
    s3.delete_bucket(Bucket=upload["Bucket"])
    with refused(404, "NoSuchBucket"):
        s3.upload_part(PartNumber=1, Body=b"", **upload)
