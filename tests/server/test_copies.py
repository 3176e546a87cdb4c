"""`larder bucket copies`: a bucket has its own number of copies, while clients go on."""

import json
import shutil
import threading

import pytest

from harness.clients import s3_client
from harness.data import some_bytes
from harness.operator import ENVIRONMENT, ROOT, attempt, is_clean, output, until
from harness.server import Server

SIZES = (1_000, 90_000, 300_000, 2_000_000)


@pytest.fixture
def server(tmp_path):
    """Three directories, metadata on the first, two copies."""
    arguments = ("--metadata", "one", "--copies", "2")
    with Server(tmp_path, ("a=one", "b=two", "c=three"), arguments, ENVIRONMENT) as server:
        yield server


def bucket(server: Server, *arguments: str) -> str:
    return output(attempt(server, "bucket", *arguments))


def shown(server: Server, name: str) -> dict:
    return json.loads(bucket(server, "show", name, "--json"))


def fill(server: Server, name: str) -> dict[str, bytes]:
    s3 = s3_client(server.endpoint, ROOT)
    s3.create_bucket(Bucket=name)
    written = {f"{name}/{size}": some_bytes(size) for size in SIZES}
    for key, body in written.items():
        s3.put_object(Bucket=name, Key=key, Body=body)
    upload = s3.create_multipart_upload(Bucket=name, Key="parts")["UploadId"]
    where = {"Bucket": name, "Key": "parts", "UploadId": upload}
    parts = [some_bytes(5 << 20), some_bytes(70_000)]
    tags = [
        s3.upload_part(**where, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    chosen = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": chosen})
    return written | {"parts": b"".join(parts)}


def all_there(server: Server, name: str, written: dict[str, bytes]):
    s3 = s3_client(server.endpoint, ROOT)
    for key, body in written.items():
        assert s3.get_object(Bucket=name, Key=key)["Body"].read() == body, key


def large_files(server: Server) -> int:
    """Files of large blobs in all directories."""
    folders = [server.home / name / "blobs" for name in ("one", "two", "three")]
    return sum(path.is_file() for folder in folders for path in folder.rglob("*"))


def wipe(server: Server, *names: str):
    for name in names:
        for folder in ("blobs", "segments"):
            shutil.rmtree(server.home / name / folder)


def test_a_bucket_with_three_copies_outlives_two_directories(server):
    kept, plain = fill(server, "kept"), fill(server, "plain")
    bucket(server, "copies", "kept", "3", "--wait")
    assert (shown(server, "kept")["copies"], shown(server, "kept")["copies_now"]) == (3, 3)
    assert (shown(server, "plain")["copies"], shown(server, "plain")["copies_now"]) == (None, 2)
    kept["late"] = some_bytes(400_000)
    s3 = s3_client(server.endpoint, ROOT)
    s3.put_object(Bucket="kept", Key="late", Body=kept["late"])
    # Bytes that lie in two copies are not enough here.
    s3.copy_object(Bucket="kept", Key="copied", CopySource="plain/plain/300000")
    kept["copied"] = plain["plain/300000"]
    is_clean(server)
    server.stop()
    wipe(server, "two", "three")
    server.start()
    all_there(server, "kept", kept)
    assert "copies: 3 (set for this bucket)" in bucket(server, "show", "kept")


def test_surplus_copies_are_given_up(server):
    written = fill(server, "scratch")
    assert large_files(server) == 2 * 3
    bucket(server, "copies", "scratch", "1", "--wait")
    until(lambda: large_files(server) == 3, "one file is left of each large blob")
    all_there(server, "scratch", written)
    is_clean(server)
    bucket(server, "copies", "scratch", "default", "--wait")
    assert large_files(server) == 2 * 3
    assert shown(server, "scratch")["copies"] is None
    is_clean(server)


def test_the_walk_goes_on_after_kill_and_beside_a_writer(server):
    written = fill(server, "kept")
    with server.config.open("a") as config:
        config.write("\n[placement]\nbytes_per_second_max = 2000000\n")
    server.stop()
    server.start()
    bucket(server, "copies", "kept", "3")
    until(lambda: (shown(server, "kept")["recount"] or {}).get("changed"), "some have more copies")
    server.kill()
    server.start()
    assert shown(server, "kept")["recount"], "a restart does not forget it"
    s3, over, late = s3_client(server.endpoint, ROOT), threading.Event(), {}

    def write():
        while not over.is_set():
            key = f"late/{len(late) % 20}"
            late[key] = some_bytes(1_000 + len(late))
            s3.put_object(Bucket="kept", Key=key, Body=late[key])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: not shown(server, "kept")["recount"], "all have three copies")
    finally:
        over.set()
        writer.join()
    server.stop()
    wipe(server, "two", "three")
    server.start()
    all_there(server, "kept", written | late)


def test_more_copies_than_directories_are_refused(server):
    fill(server, "kept")
    for copies in ("0", "4", "200"):
        refused = attempt(server, "bucket", "copies", "kept", copies)
        assert refused.returncode == 1 and "1 to 3 copies" in refused.stderr, refused
    assert attempt(server, "bucket", "copies", "kept", "many").returncode == 2
    assert "NoSuchBucket" in attempt(server, "bucket", "copies", "none", "2").stderr
    bucket(server, "copies", "kept", "3", "--wait")
    refused = attempt(server, "disk", "drain", "three")
    assert refused.returncode == 1 and "too few" in refused.stderr
