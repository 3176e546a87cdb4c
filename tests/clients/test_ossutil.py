"""ossutil 1.x, with signature V1 and again with V4."""

import re
import urllib.request
from functools import partial

import pytest

from harness.data import MIB, crc64, sha256_of, some_file, some_tree, tree


@pytest.fixture(params=["V1", "V4"])
def ossutil(request, tools):
    """The program with one of the signatures."""
    return partial(tools.ossutil, scheme=request.param)


@pytest.fixture
def url(bucket) -> str:
    return f"oss://{bucket}"


def test_mb_ls_stat_and_rm(ossutil, fresh_name):
    url = f"oss://{fresh_name()}"
    ossutil("mb", url)
    assert url in ossutil("ls")
    assert re.search(r"ACL\s*: private", ossutil("stat", url))
    ossutil("rm", "-b", "-f", url)
    assert url not in ossutil("ls")


def test_cp_there_and_back_keeps_the_bytes(ossutil, tools, url):
    source = some_file(tools.home / "file é.bin", 1_000_000)
    ossutil("cp", source, f"{url}/dir/file é.bin", "--meta", "x-oss-meta-a:1")
    shown = ossutil("stat", f"{url}/dir/file é.bin")
    assert re.search(r"Content-Length\s*: 1000000", shown)
    assert re.search(r"X-Oss-Meta-A\s*: 1", shown)
    ossutil("cp", f"{url}/dir/file é.bin", tools.home / "back")
    assert sha256_of(tools.home / "back") == sha256_of(source)


def test_cp_of_more_than_100_mib_goes_in_parts(ossutil, tools, url):
    source = some_file(tools.home / "big", 101 * MIB)
    ossutil("cp", source, f"{url}/big")
    assert re.search(r"Object-Type\s*: Multipart", ossutil("stat", f"{url}/big"))
    ossutil("cp", f"{url}/big", tools.home / "back")
    assert sha256_of(tools.home / "back") == sha256_of(source)


def test_hash_is_that_of_the_server(ossutil, tools, url):
    source = some_file(tools.home / "f", 10_000)
    ossutil("cp", source, f"{url}/f")
    shown = re.search(r"X-Oss-Hash-Crc64ecma\s*: (\d+)", ossutil("stat", f"{url}/f"))
    local = re.search(r"CRC64-ECMA\s*: (\d+)", tools.run("ossutil", "hash", source))
    assert shown.group(1) == local.group(1) == crc64(source.read_bytes())


def test_folders_there_and_back(ossutil, tools, url):
    expected = some_tree(tools.home / "source")
    ossutil("cp", "-r", "-f", f"{tools.home}/source/", f"{url}/tree/")
    ossutil("cp", "-r", "-f", f"{url}/tree/", f"{tools.home}/back/")
    assert tree(tools.home / "back") == expected
    assert "deep/er/" in ossutil("ls", f"{url}/tree/", "-s")


def test_sync_adds_and_deletes(ossutil, tools, url):
    expected = some_tree(tools.home / "source")
    ossutil("sync", f"{tools.home}/source/", f"{url}/", "-f")
    (tools.home / "source" / "readme.txt").unlink()
    ossutil("sync", f"{tools.home}/source/", f"{url}/", "-f", "--delete")
    ossutil("sync", f"{url}/", f"{tools.home}/back/", "-f")
    del expected["readme.txt"]
    assert tree(tools.home / "back") == expected


def test_mkdir_cat_and_du(ossutil, tools, url):
    ossutil("mkdir", f"{url}/folder")
    source = tools.home / "text"
    source.write_text("hello from a file\n")
    ossutil("cp", source, f"{url}/folder/text")
    assert "hello from a file" in ossutil("cat", f"{url}/folder/text")
    assert re.search(r"total object sum size: 18\b", ossutil("du", url))
    assert f"{url}/folder/" in ossutil("ls", url, "-s")


def test_a_copy_within_the_store(ossutil, tools, url):
    source = some_file(tools.home / "f", 5000)
    ossutil("cp", source, f"{url}/a b/é")
    ossutil("cp", f"{url}/a b/é", f"{url}/copy")
    ossutil("cp", f"{url}/copy", tools.home / "back")
    assert sha256_of(tools.home / "back") == sha256_of(source)


def test_rm_of_one_and_of_many(ossutil, tools, url):
    some_tree(tools.home / "source")
    ossutil("cp", "-r", "-f", f"{tools.home}/source/", f"{url}/")
    ossutil("rm", f"{url}/readme.txt")
    assert "readme.txt" not in ossutil("ls", url, "-s")
    ossutil("rm", "-r", "-f", url)
    assert "Object Number is: 0" in ossutil("ls", url)


def test_sign_gives_a_url_that_anybody_can_use(ossutil, tools, url):
    source = some_file(tools.home / "f", 5000)
    ossutil("cp", source, f"{url}/dir/a b")
    signed = ossutil("sign", f"{url}/dir/a b", "--timeout", "60").splitlines()[0]
    with urllib.request.urlopen(signed, timeout=30) as answer:
        assert answer.read() == source.read_bytes()


def test_versions_are_listed_and_removed(ossutil, tools, url):
    ossutil("bucket-versioning", "--method", "put", url, "enabled")
    assert "Enabled" in ossutil("bucket-versioning", "--method", "get", url)
    for salt in range(2):
        ossutil("cp", "-f", some_file(tools.home / "f", 100, salt), f"{url}/k")
    listed = ossutil("ls", url, "--all-versions")
    assert len(re.findall(rf"{url}/k", listed)) == 2
    ossutil("rm", "-r", "-f", "--all-versions", url)
    assert f"{url}/k" not in ossutil("ls", url, "--all-versions")


def test_what_aws_put_ossutil_reads(ossutil, tools, url, bucket):
    source = some_file(tools.home / "f", 20 * MIB)
    tools.aws("s3", "cp", source, f"s3://{bucket}/dir/ä", "--no-progress")
    ossutil("cp", f"{url}/dir/ä", tools.home / "back")
    assert sha256_of(tools.home / "back") == sha256_of(source)


def test_tags_are_set_shown_and_removed(ossutil, tools, url):
    source = some_file(tools.home / "f", 10)
    ossutil("cp", source, f"{url}/k", "--tagging", "abc=1&b=2")
    shown = ossutil("object-tagging", "--method", "get", f"{url}/k")
    assert re.search(r'"abc"\s+"1"', shown) and re.search(r'"b"\s+"2"', shown), shown
    ossutil("object-tagging", "--method", "put", f"{url}/k", "c#3")
    shown = ossutil("object-tagging", "--method", "get", f"{url}/k")
    assert re.search(r'"c"\s+"3"', shown) and '"abc"' not in shown, shown
    ossutil("object-tagging", "--method", "delete", f"{url}/k")
    assert '"c"' not in ossutil("object-tagging", "--method", "get", f"{url}/k")
    ossutil("bucket-tagging", "--method", "put", url, "team#blue", "x#1")
    shown = ossutil("bucket-tagging", "--method", "get", url)
    assert "team" in shown and "blue" in shown, shown
    ossutil("bucket-tagging", "--method", "delete", url)
    assert "team" not in ossutil("bucket-tagging", "--method", "get", url)
