"""restic with its repository in a bucket."""

import json

from harness.data import some_file, some_tree, tree


def test_init_backup_check_restore_and_prune(tools, bucket):
    source = tools.home / "source"
    first = some_tree(source)
    tools.restic(bucket, "init")
    tools.restic(bucket, "backup", source)
    some_file(source / "new.bin", 2_000_000)
    (source / "readme.txt").unlink()
    tools.restic(bucket, "backup", source)
    tools.restic(bucket, "check", "--read-data")
    snapshots = json.loads(tools.restic(bucket, "snapshots", "--json"))
    assert len(snapshots) == 2
    oldest = snapshots[0]["short_id"]
    tools.restic(bucket, "restore", oldest, "--target", tools.home / "old")
    assert tree(tools.home / "old" / str(source).lstrip("/")) == first
    tools.restic(bucket, "forget", "--keep-last", "1", "--prune")
    tools.restic(bucket, "check", "--read-data")
    tools.restic(bucket, "restore", "latest", "--target", tools.home / "new")
    assert tree(tools.home / "new" / str(source).lstrip("/")) == tree(source)
    assert len(json.loads(tools.restic(bucket, "snapshots", "--json"))) == 1


def test_a_second_backup_stores_little(tools, bucket):
    some_file(tools.home / "source" / "f", 3_000_000)
    tools.restic(bucket, "init")
    tools.restic(bucket, "backup", tools.home / "source")
    done = tools.restic(bucket, "backup", "--json", tools.home / "source").splitlines()
    assert json.loads(done[-1])["data_added"] < 100_000
