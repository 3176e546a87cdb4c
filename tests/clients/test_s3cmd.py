"""s3cmd with path style."""

import pytest

from harness.data import MIB, sha256_of, some_file, some_tree, tree


@pytest.fixture
def url(bucket) -> str:
    return f"s3://{bucket}"


def test_mb_ls_and_rb(tools, fresh_name):
    url = f"s3://{fresh_name()}"
    tools.s3cmd("mb", url)
    assert url in tools.s3cmd("ls")
    tools.s3cmd("rb", url)
    assert url not in tools.s3cmd("ls")


def test_put_get_info_and_del(tools, url):
    source = some_file(tools.home / "f é", 1_000_000)
    tools.s3cmd("put", source, f"{url}/dir/f é", "--add-header=x-amz-meta-a:1")
    info = tools.s3cmd("info", f"{url}/dir/f é")
    assert "File size: 1000000" in info and "x-amz-meta-a: 1" in info
    tools.s3cmd("get", f"{url}/dir/f é", tools.home / "back")
    assert sha256_of(tools.home / "back") == sha256_of(source)
    tools.s3cmd("del", f"{url}/dir/f é")
    assert tools.s3cmd("ls", "--recursive", url) == ""


def test_a_large_file_goes_in_parts(tools, url):
    source = some_file(tools.home / "big", 20 * MIB)
    tools.s3cmd("put", source, f"{url}/big", "--multipart-chunk-size-mb=5")
    tools.s3cmd("get", f"{url}/big", tools.home / "back")
    assert sha256_of(tools.home / "back") == sha256_of(source)


def test_sync_there_and_back(tools, url):
    expected = some_tree(tools.home / "source")
    tools.s3cmd("sync", f"{tools.home}/source/", f"{url}/tree/")
    (tools.home / "back").mkdir()
    tools.s3cmd("sync", f"{url}/tree/", f"{tools.home}/back/")
    assert tree(tools.home / "back") == expected


def test_cp_mv_and_recursive_del(tools, url):
    tools.s3cmd("put", some_file(tools.home / "f", 100), f"{url}/a")
    tools.s3cmd("cp", f"{url}/a", f"{url}/b/c d")
    tools.s3cmd("mv", f"{url}/b/c d", f"{url}/e")
    listed = tools.s3cmd("ls", "--recursive", url)
    assert f"{url}/e" in listed and f"{url}/b/" not in listed
    tools.s3cmd("del", "--recursive", "--force", url)
    assert tools.s3cmd("ls", "--recursive", url) == ""


def test_signature_v2_works_too(tools, url):
    source = some_file(tools.home / "f", 100)
    tools.s3cmd("--signature-v2", "put", source, f"{url}/v2")
    tools.s3cmd("--signature-v2", "get", f"{url}/v2", tools.home / "back")
    assert sha256_of(tools.home / "back") == sha256_of(source)
    assert f"{url}/v2" in tools.s3cmd("--signature-v2", "ls", url)
