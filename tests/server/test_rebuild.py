"""`larder check --rebuild`: all metadata is gone, and what the blobs tell comes back."""

import shutil
import subprocess

import pytest

from harness.accounts import Account
from harness.clients import s3_client
from harness.data import PART, some_bytes
from harness.server import BINARY, Server

ROOT = Account("root", "", "", "ROOTACCESSKEY", "root-secret-key")
ENVIRONMENT = {
    "LARDER_ROOT_ACCESS_KEY": ROOT.access_key,
    "LARDER_ROOT_SECRET_KEY": ROOT.secret_key,
}
DIRECTORIES = ("a=one", "b=two", "c=three")


def fill(s3):
    """Objects of every kind; some are gone or replaced again."""
    s3.create_bucket(Bucket="plain")
    s3.create_bucket(Bucket="empty")
    for number in range(50):
        body = some_bytes(number * 311)
        s3.put_object(Bucket="plain", Key=f"small/{number}", Body=body, ContentType="text/x")
    for size in (300_000, 5_000_000):
        s3.put_object(Bucket="plain", Key=f"large/{size}", Body=some_bytes(size))
    odd = "odd/ \n\u00e4//.."
    s3.put_object(Bucket="plain", Key=odd, Body=b"odd", Metadata={"a": "1", "b": "two"})
    s3.put_object(Bucket="plain", Key="sum", Body=b"summed", ChecksumAlgorithm="SHA256")
    for body in (b"first", b"second", b"third"):
        s3.put_object(Bucket="plain", Key="replaced", Body=body)
    upload = s3.create_multipart_upload(Bucket="plain", Key="parts", Metadata={"p": "q"})
    where = {"Bucket": "plain", "Key": "parts", "UploadId": upload["UploadId"]}
    bodies = {2: some_bytes(PART), 4: some_bytes(PART + 1), 9: b"the end"}
    s3.upload_part(**where, PartNumber=2, Body=b"replaced")
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**where, PartNumber=n, Body=body)["ETag"]}
        for n, body in bodies.items()
    ]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    s3.create_multipart_upload(Bucket="plain", Key="unfinished")


def contents(s3) -> dict:
    """All that a client sees of all objects, but when they were written."""
    seen = {}
    for entry in s3.list_objects_v2(Bucket="plain")["Contents"]:
        got = s3.get_object(Bucket="plain", Key=entry["Key"], ChecksumMode="ENABLED")
        facts = [got.get(name) for name in ("ContentType", "Metadata", "ETag", "ChecksumSHA256")]
        seen[entry["Key"]] = (got["Body"].read(), *facts)
    return seen


def rebuild(server: Server, *directories: str) -> subprocess.CompletedProcess:
    command = [BINARY, "check", "--rebuild", "--config", server.config, *directories]
    return subprocess.run(
        command, cwd=server.home, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("lost", [None, "two"])
def test_objects_come_back_when_all_metadata_is_gone(special_server, lost):
    server = special_server(*DIRECTORIES, environment=ENVIRONMENT)
    s3 = s3_client(server.endpoint, ROOT)
    fill(s3)
    before = contents(s3)
    server.stop()
    names = [name.partition("=")[2] for name in DIRECTORIES]
    for name in names:
        shutil.rmtree(server.home / name / "meta")
    if lost:
        shutil.rmtree(server.home / lost)
        names.remove(lost)
    done = rebuild(server, *names)
    assert done.returncode == 0, done.stderr
    assert f"{len(before)} objects" in done.stdout, done.stdout
    server.directories = names
    server.start()
    s3 = s3_client(server.endpoint, ROOT)
    assert contents(s3) == before
    s3.put_object(Bucket="plain", Key="new", Body=b"writes go on")
    server.stop()
    server.start()
    assert set(contents(s3_client(server.endpoint, ROOT))) == {*before, "new"}


def test_nothing_is_rebuilt_over_metadata_or_a_running_server(special_server):
    server = special_server("data", environment=ENVIRONMENT)
    s3_client(server.endpoint, ROOT).create_bucket(Bucket="kept")
    for stopped in (False, True):
        if stopped:
            server.stop()
        done = rebuild(server, "data")
        assert done.returncode != 0
        assert "has metadata" in done.stderr
    server.start()
    assert s3_client(server.endpoint, ROOT).head_bucket(Bucket="kept")
