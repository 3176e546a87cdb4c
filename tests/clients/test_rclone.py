"""rclone with an S3 remote of provider Other."""

import json

import pytest

from harness.data import MIB, sha256_of, some_file, some_tree, tree


@pytest.fixture
def remote(bucket) -> str:
    return f"store:{bucket}"


def test_sync_and_check_and_back(tools, remote):
    expected = some_tree(tools.home / "source")
    tools.rclone("sync", tools.home / "source", f"{remote}/tree")
    tools.rclone("check", tools.home / "source", f"{remote}/tree")
    tools.rclone("check", "--download", tools.home / "source", f"{remote}/tree")
    tools.rclone("sync", f"{remote}/tree", tools.home / "back")
    assert tree(tools.home / "back") == expected


def test_sync_follows_changes_and_deletions(tools, remote):
    some_tree(tools.home / "source")
    tools.rclone("sync", tools.home / "source", remote)
    (tools.home / "source" / "readme.txt").unlink()
    some_file(tools.home / "source" / "new.bin", 5000)
    tools.rclone("sync", tools.home / "source", remote)
    tools.rclone("check", tools.home / "source", remote)
    names = {entry["Path"] for entry in json.loads(tools.rclone("lsjson", "-R", remote))}
    assert "new.bin" in names and "readme.txt" not in names


def test_check_finds_a_difference(tools, remote):
    some_tree(tools.home / "source")
    tools.rclone("sync", tools.home / "source", remote)
    some_file(tools.home / "source" / "readme.txt", 20, "other")
    tools.rclone("check", tools.home / "source", remote, fails=True)


def test_modification_times_survive(tools, remote):
    source = some_file(tools.home / "source" / "f", 100)
    tools.rclone("touch", "-t", "2020-01-02T03:04:05", source)
    tools.rclone("copy", tools.home / "source", remote)
    entry = json.loads(tools.rclone("lsjson", f"{remote}/f"))[0]
    assert entry["ModTime"].startswith("2020-01-02T03:04:05")


def test_a_large_file_goes_in_parts(tools, remote):
    source = some_file(tools.home / "source" / "big", 30 * MIB)
    sizes = ("--s3-upload-cutoff", "10M", "--s3-chunk-size", "5M")
    tools.rclone("copy", *sizes, tools.home / "source", remote)
    tools.rclone("check", tools.home / "source", remote)
    tools.rclone("copy", f"{remote}/big", tools.home / "back")
    assert sha256_of(tools.home / "back" / "big") == sha256_of(source)


def test_buckets_are_made_purged_and_moved_between(tools, bucket, fresh_name):
    there = f"store:{fresh_name()}"
    tools.rclone("mkdir", there)
    source = some_file(tools.home / "source" / "f", 100)
    tools.rclone("copy", tools.home / "source", f"store:{bucket}")
    tools.rclone("move", f"store:{bucket}", there)
    assert tools.rclone("cat", f"{there}/f", "--count", "0") == ""
    assert tools.rclone("lsf", f"store:{bucket}") == ""
    assert tools.rclone("md5sum", f"{there}/f").split()[1] == source.name
    tools.rclone("purge", there)
    assert there.removeprefix("store:") not in tools.rclone("lsd", "store:")
