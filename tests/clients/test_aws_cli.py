"""aws-cli 1.x: the `s3` commands people use, and the core of `s3api`."""

import json
import os
import urllib.request

import pytest

from harness.data import MIB, sha256_of, some_bytes, some_file, some_tree, tree


@pytest.fixture
def store(tools, bucket):
    """aws-cli and the address of an empty bucket."""
    return tools, f"s3://{bucket}"


def test_mb_ls_and_rb(tools, fresh_name):
    name = fresh_name()
    tools.aws("s3", "mb", f"s3://{name}")
    assert name in tools.aws("s3", "ls")
    tools.aws("s3", "rb", f"s3://{name}")
    assert name not in tools.aws("s3", "ls")


def test_rb_force_empties_the_bucket_first(store):
    tools, url = store
    for n in range(3):
        tools.aws("s3", "cp", some_file(tools.home / "f", 10), f"{url}/{n}")
    tools.aws("s3", "rb", url, fails=True)
    tools.aws("s3", "rb", url, "--force")


def test_cp_there_and_back_keeps_the_bytes(store):
    tools, url = store
    source = some_file(tools.home / "file é.bin", 1_000_000)
    tools.aws("s3", "cp", source, f"{url}/dir/file é.bin", "--metadata", "a=1")
    tools.aws("s3", "cp", f"{url}/dir/file é.bin", tools.home / "back")
    assert sha256_of(tools.home / "back") == sha256_of(source)
    assert "dir/" in tools.aws("s3", "ls", url)


def test_cp_of_more_than_100_mib_goes_in_parts(store):
    tools, url = store
    source = some_file(tools.home / "big", 101 * MIB)
    tools.aws("s3", "cp", source, f"{url}/big", "--no-progress")
    head = json.loads(tools.aws("s3api", "head-object", "--bucket", url[5:], "--key", "big"))
    assert head["ContentLength"] == 101 * MIB and head["ETag"].endswith('-13"')
    tools.aws("s3", "cp", f"{url}/big", tools.home / "back", "--no-progress")
    assert sha256_of(tools.home / "back") == sha256_of(source)


def test_cp_from_and_to_a_pipe(store):
    tools, url = store
    command = f"echo hello | aws --endpoint-url {tools.endpoint} s3 cp - {url}/piped"
    tools.run("sh", "-c", command)
    assert tools.aws("s3", "cp", f"{url}/piped", "-") == "hello\n"


def test_sync_there_and_back_gives_the_same_folder(store):
    tools, url = store
    expected = some_tree(tools.home / "source")
    tools.aws("s3", "sync", tools.home / "source", f"{url}/tree")
    tools.aws("s3", "sync", f"{url}/tree", tools.home / "back")
    assert tree(tools.home / "back") == expected


def test_sync_again_sends_nothing_and_delete_follows(store):
    tools, url = store
    for name in some_tree(tools.home / "source"):
        # A file as young as its copy would be sent again: the server tells whole seconds.
        os.utime(tools.home / "source" / name, (0, 0))
    tools.aws("s3", "sync", tools.home / "source", url)
    assert tools.aws("s3", "sync", tools.home / "source", url) == ""
    (tools.home / "source" / "readme.txt").unlink()
    done = tools.aws("s3", "sync", tools.home / "source", url, "--delete")
    assert "delete:" in done and "upload:" not in done
    assert "readme.txt" not in tools.aws("s3", "ls", url, "--recursive")


def test_mv_and_rm(store):
    tools, url = store
    some_tree(tools.home / "source")
    tools.aws("s3", "cp", "--recursive", tools.home / "source", f"{url}/a")
    tools.aws("s3", "mv", "--recursive", f"{url}/a", f"{url}/b")
    listed = tools.aws("s3", "ls", url, "--recursive")
    assert listed.count(" b/") == 5 and " a/" not in listed
    tools.aws("s3", "rm", "--recursive", f"{url}/b")
    assert tools.aws("s3", "ls", url) == ""


def test_presign_gives_a_url_that_curl_can_use(store):
    tools, url = store
    tools.aws("s3", "cp", some_file(tools.home / "f", 100), f"{url}/dir/f é")
    signed = tools.aws("s3", "presign", f"{url}/dir/f é", "--expires-in", "60").strip()
    with urllib.request.urlopen(signed, timeout=30) as answer:
        assert answer.read() == (tools.home / "f").read_bytes()


def test_s3api_multipart_by_hand(store):
    tools, url = store
    where = ("--bucket", url[5:], "--key", "k")
    body = tools.home / "part"
    body.write_bytes(some_bytes(1000))
    begun = json.loads(tools.aws("s3api", "create-multipart-upload", *where))
    upload = (*where, "--upload-id", begun["UploadId"])
    sent = json.loads(
        tools.aws("s3api", "upload-part", *upload, "--part-number", "1", "--body", body)
    )
    assert len(json.loads(tools.aws("s3api", "list-parts", *upload))["Parts"]) == 1
    parts = json.dumps({"Parts": [{"PartNumber": 1, "ETag": sent["ETag"]}]})
    tools.aws("s3api", "complete-multipart-upload", *upload, "--multipart-upload", parts)
    tools.aws("s3api", "get-object", *where, tools.home / "back")
    assert (tools.home / "back").read_bytes() == some_bytes(1000)


def test_s3api_versions_and_checksums(store):
    tools, url = store
    name, where = url[5:], ("--bucket", url[5:], "--key", "k")
    enabled = "Status=Enabled"
    tools.aws(
        "s3api", "put-bucket-versioning", "--bucket", name, "--versioning-configuration", enabled
    )
    body = some_file(tools.home / "f", 10)
    for algorithm in ("SHA256", "CRC32"):
        put = ("put-object", *where, "--body", body, "--checksum-algorithm", algorithm)
        assert f"Checksum{algorithm}" in json.loads(tools.aws("s3api", *put))
    listed = json.loads(tools.aws("s3api", "list-object-versions", "--bucket", name))
    assert len(listed["Versions"]) == 2
    oldest = listed["Versions"][1]["VersionId"]
    tools.aws("s3api", "delete-object", *where, "--version-id", oldest)
    listed = json.loads(tools.aws("s3api", "list-object-versions", "--bucket", name))
    assert len(listed["Versions"]) == 1


def test_s3api_lists_copies_and_deletes_many(store):
    tools, url = store
    name = url[5:]
    body = some_file(tools.home / "f", 10)
    for key in ("a", "b/c"):
        tools.aws("s3api", "put-object", "--bucket", name, "--key", key, "--body", body)
    where = ("--bucket", name)
    tools.aws("s3api", "copy-object", *where, "--key", "d", "--copy-source", f"{name}/a")
    page = json.loads(tools.aws("s3api", "list-objects-v2", *where, "--delimiter", "/"))
    assert [entry["Key"] for entry in page["Contents"]] == ["a", "d"]
    assert page["CommonPrefixes"] == [{"Prefix": "b/"}]
    many = json.dumps({"Objects": [{"Key": "a"}, {"Key": "d"}]})
    done = json.loads(tools.aws("s3api", "delete-objects", *where, "--delete", many))
    assert len(done["Deleted"]) == 2


def test_s3api_tags_and_copies_that_keep_them(store):
    tools, url = store
    bucket = ("--bucket", url[5:])
    source = some_file(tools.home / "f", 1000)
    tools.aws("s3", "cp", source, f"{url}/k", "--no-progress")
    tagging = "TagSet=[{Key=team,Value=blue},{Key=é,Value=x y}]"
    tools.aws("s3api", "put-object-tagging", *bucket, "--key", "k", "--tagging", tagging)

    def tags(key):
        shown = json.loads(tools.aws("s3api", "get-object-tagging", *bucket, "--key", key))
        return {tag["Key"]: tag["Value"] for tag in shown["TagSet"]}

    assert tags("k") == {"team": "blue", "é": "x y"}
    # aws-cli 1.x takes them along only where the copy is one request.
    tools.aws("s3", "cp", f"{url}/k", f"{url}/copy", "--no-progress")
    assert tags("copy") == {"team": "blue", "é": "x y"}
    tools.aws("s3api", "put-object", *bucket, "--key", "put", "--tagging", "a=1&b=2")
    assert tags("put") == {"a": "1", "b": "2"}
    tools.aws("s3api", "delete-object-tagging", *bucket, "--key", "put")
    assert tags("put") == {}
    tools.aws("s3api", "put-bucket-tagging", *bucket, "--tagging", "TagSet=[{Key=a,Value=1}]")
    shown = json.loads(tools.aws("s3api", "get-bucket-tagging", *bucket))
    assert shown["TagSet"] == [{"Key": "a", "Value": "1"}]
    tools.aws("s3api", "delete-bucket-tagging", *bucket)
    assert "NoSuchTagSet" in tools.aws("s3api", "get-bucket-tagging", *bucket, fails=True)
