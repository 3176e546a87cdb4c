"""`larder disk`: directories are added, emptied, replaced and removed while clients go on."""

import json
import re
import shutil
import threading
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from harness.clients import s3_client
from harness.data import some_bytes
from harness.operator import ENVIRONMENT, ROOT, attempt, is_clean, output, until
from harness.server import Server


def disk(server: Server, *arguments: str) -> str:
    """The output of a command that must succeed."""
    return output(refusal(server, *arguments))


def refusal(server: Server, *arguments: str):
    return attempt(server, "disk", *arguments)


def listed(server: Server) -> dict[str, dict]:
    """The directories by name, and `placement`."""
    answer = json.loads(disk(server, "list", "--json"))
    found = {Path(it["path"]).name: it for it in answer["disks"]}
    return found | {"placement": answer["placement"]}


def bodies(count: int, prefix: str) -> dict[str, bytes]:
    sizes = {f"{prefix}/small/{number}": 1_000 + number * 97 for number in range(count)}
    sizes |= {f"{prefix}/large/{number}": 400_000 + number * 131_072 for number in range(4)}
    return {key: some_bytes(size) for key, size in sizes.items()}


def fill(s3, count=60, prefix="before") -> dict[str, bytes]:
    s3.create_bucket(Bucket="kept")
    written = bodies(count, prefix)
    for key, body in written.items():
        s3.put_object(Bucket="kept", Key=key, Body=body)
    upload = s3.create_multipart_upload(Bucket="kept", Key="parts")["UploadId"]
    parts = [some_bytes(5 << 20), some_bytes(70_000)]
    done = []
    for number, part in enumerate(parts, 1):
        answer = s3.upload_part(
            Bucket="kept", Key="parts", UploadId=upload, PartNumber=number, Body=part
        )
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    s3.complete_multipart_upload(
        Bucket="kept", Key="parts", UploadId=upload, MultipartUpload={"Parts": done}
    )
    return written | {"parts": b"".join(parts)}


def all_there(server: Server, written: dict[str, bytes]):
    s3 = s3_client(server.endpoint, ROOT)
    for key, body in written.items():
        assert s3.get_object(Bucket="kept", Key=key)["Body"].read() == body, key


class Load:
    """Puts, overwrites and reads in the background; what was acknowledged is in `written`."""

    def __init__(self, server: Server):
        self.s3 = s3_client(server.endpoint, ROOT)
        self.written = {}
        self.faults = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert not self.faults, self.faults[:3]
        assert len(self.written) > 10

    def run(self, number: int):
        turn = 0
        while not self.over.is_set():
            key = f"load/{number}/{turn % 50}"
            body = some_bytes(100_000 * (1 + turn % 5) + turn)
            turn += 1
            try:
                self.s3.put_object(Bucket="kept", Key=key, Body=body)
                self.written[key] = body
                if self.s3.get_object(Bucket="kept", Key=key)["Body"].read() != body:
                    self.faults.append(f"{key} is another one")
            except ClientError as error:
                self.faults.append(f"{key}: {error}")


@pytest.fixture
def server(tmp_path):
    """Three directories, metadata on two of them, two copies."""
    arguments = ("--metadata", "one,two", "--copies", "2")
    with Server(tmp_path, ("a=one", "b=two", "c=three"), arguments, ENVIRONMENT) as server:
        yield server


def test_a_directory_joins_takes_blobs_and_is_found_again(server):
    written = fill(s3_client(server.endpoint, ROOT))
    home = server.home
    for bad in ("one", "four/x"):
        (home / "four").mkdir(exist_ok=True)
        (home / "four" / "x").write_text("mine")
        refused = refusal(server, "add", str((home / bad).parent if bad == "four/x" else home / bad))
        assert refused.returncode == 1, refused
    assert (home / "four" / "x").read_text() == "mine"
    disk(server, "add", str(home / "five"), "--zone", "e")
    assert listed(server)["five"]["zone"] == "e"
    assert holders(server) == {"one", "two"}, "those that were chosen at the first start"
    for key, body in bodies(60, "after").items():
        server_client = s3_client(server.endpoint, ROOT)
        server_client.put_object(Bucket="kept", Key=key, Body=body)
        written[key] = body
    assert any(path.is_file() for path in (home / "five" / "blobs").rglob("*"))
    server.stop()
    # It is not on the command line.
    server.start()
    assert listed(server)["five"]["state"] == "healthy"
    all_there(server, written)
    is_clean(server)


def test_a_directory_is_emptied_and_removed_under_load(server):
    written = fill(s3_client(server.endpoint, ROOT))
    refused = refusal(server, "remove", "three")
    assert refused.returncode == 1 and "drain" in refused.stderr
    disk(server, "add", str(server.home / "four"), "--zone", "d")
    with Load(server) as load:
        disk(server, "drain", "three", "--then-remove", "--wait")
    written |= load.written
    assert set(listed(server)) == {"one", "two", "four", "placement"}
    shutil.rmtree(server.home / "three")
    all_there(server, written)
    is_clean(server)
    server.stop()
    server.directories = ("a=one", "b=two")
    server.start()
    all_there(server, written)
    assert listed(server)["placement"]["settled"]


def test_a_lost_directory_is_replaced_under_load(server):
    written = fill(s3_client(server.endpoint, ROOT))
    with Load(server) as load:
        for folder in ("blobs", "segments"):
            shutil.rmtree(server.home / "three" / folder)
        disk(server, "replace", "three", str(server.home / "four"), "--wait")
    written |= load.written
    assert set(listed(server)) == {"one", "two", "four", "placement"}
    assert listed(server)["four"]["zone"] == "c", "it takes the place of the old one"
    all_there(server, written)
    is_clean(server)


def test_emptying_goes_on_after_kill_and_can_be_taken_back(server):
    written = fill(s3_client(server.endpoint, ROOT), count=300)
    with server.config.open("a") as config:
        config.write("\n[placement]\nbytes_per_second_max = 500000\n")
    server.stop()
    server.start()
    disk(server, "add", str(server.home / "four"))
    disk(server, "drain", "three")
    until(lambda: listed(server)["placement"]["moved"] > 20, "some are moved")
    server.kill()
    server.config.write_text(server.config.read_text().replace("500000", "500000000"))
    server.start()
    assert listed(server)["three"]["draining"], "a restart does not forget it"
    until(lambda: listed(server)["three"]["empty"], "it is empty")
    disk(server, "keep", "three")
    assert not listed(server)["three"]["draining"]
    disk(server, "drain", "three", "--wait")
    disk(server, "remove", "three")
    all_there(server, written)
    is_clean(server)
    # It is on the command line still, and its disk too: it is left alone, with a warning.
    server.stop()
    server.start()
    assert "three" not in listed(server)
    assert "removed from its store" in server.logged
    all_there(server, written)


def test_no_directory_goes_that_is_needed(tmp_path):
    with Server(tmp_path, ("a=one", "b=two"), (), ENVIRONMENT) as server:
        refused = refusal(server, "drain", "two")
        assert refused.returncode == 1 and "too few" in refused.stderr
        assert refusal(server, "drain", "nowhere").returncode == 1


def test_more_copies_are_made_when_more_are_wanted(tmp_path):
    server = Server(tmp_path, ("a=one", "b=two", "c=three"), ("--copies", "1"), ENVIRONMENT)
    with server:
        written = fill(s3_client(server.endpoint, ROOT))
    server.arguments = ("--copies", "2")
    with server:
        until(lambda: listed(server)["placement"]["settled"], "all have two copies")
        for folder in ("blobs", "segments"):
            shutil.rmtree(tmp_path / "two" / folder)
        all_there(server, written)
    server.arguments = ("--copies", "1")
    with Server(tmp_path, server.directories, ("--copies", "1"), ENVIRONMENT) as server:
        until(lambda: listed(server)["placement"]["settled"], "surplus copies are given up")


def test_what_takes_the_place_of_a_directory_is_not_written_to(server):
    written = fill(s3_client(server.endpoint, ROOT))
    place, aside = server.home / "three", server.home / "aside"
    place.rename(aside)
    place.mkdir(mode=0o700)
    until(lambda: listed(server)["three"]["state"] == "failed", "it is missed")
    s3 = s3_client(server.endpoint, ROOT)
    for key, body in bodies(20, "meanwhile").items():
        s3.put_object(Bucket="kept", Key=key, Body=body)
        written[key] = body
    all_there(server, written)
    assert not any(place.iterdir()), "the empty directory was written to"
    place.rmdir()
    aside.rename(place)
    until(lambda: listed(server)["three"]["state"] == "healthy", "it is back")
    all_there(server, written)
    is_clean(server)


def holders(server: Server) -> set[str]:
    return {name for name, it in listed(server).items() if it.get("holds_metadata")}


def active_members(server: Server) -> int:
    with urllib.request.urlopen(f"{server.endpoint}/_larder/metrics", timeout=10) as page:
        text = page.read().decode()
    return int(re.search(r'larder_metadata_members{state="active"} (\d+)', text).group(1))


def test_a_store_begun_with_one_directory_outlives_it(tmp_path):
    server = Server(tmp_path, ("a=one",), (), ENVIRONMENT)
    with server:
        written = fill(s3_client(server.endpoint, ROOT))
        with Load(server) as load:
            disk(server, "add", str(tmp_path / "two"), "--zone", "b")
        written |= load.written
        assert holders(server) == {"one", "two"}
        disk(server, "add", str(tmp_path / "three"), "--zone", "c", "--metadata", "false")
        assert holders(server) == {"one", "two"}
        until(lambda: listed(server)["placement"]["settled"], "all have two copies")
        lost = listed(server)["one"]["id"]
        server.kill()
        shutil.rmtree(tmp_path / "one")
        server.directories = ("two",)
        server.arguments = ("--accept-loss", lost)
        server.start()
        all_there(server, written)
        disk(server, "replace", "one", str(tmp_path / "four"), "--wait")
        assert holders(server) == {"two", "four"}, "a third is there, and was not to hold any"
        is_clean(server)


def test_metadata_moves_off_a_directory_that_is_replaced(tmp_path):
    """Each of the first directories is replaced, so nothing of the first day is left."""
    server = Server(tmp_path, ("a=one", "b=two"), (), ENVIRONMENT)
    with server:
        written = fill(s3_client(server.endpoint, ROOT))
        assert holders(server) == {"one", "two"}
        for old, new in (("one", "three"), ("two", "four")):
            with Load(server) as load:
                disk(server, "replace", old, str(tmp_path / new), "--wait")
            written |= load.written
            assert not (tmp_path / old / "master.key").exists()
            shutil.rmtree(tmp_path / old)
        assert holders(server) == {"three", "four"}
        all_there(server, written)
        is_clean(server)
        server.kill()
        server.directories = ("three", "four")
        server.start()
        assert holders(server) == {"three", "four"}
        all_there(server, written)
        is_clean(server)


def test_a_metadata_directory_that_is_lost_is_replaced_while_it_runs(tmp_path):
    with Server(tmp_path, ("a=one", "b=two", "c=three"), (), ENVIRONMENT) as server:
        written = fill(s3_client(server.endpoint, ROOT))
        # The one with the index, and with copies of blobs.
        (tmp_path / "one").rename(tmp_path / "gone")
        (tmp_path / "one").mkdir(mode=0o700)
        until(lambda: listed(server)["one"]["state"] == "failed", "it is missed")
        old = listed(server)["one"]["id"]
        disk(server, "replace", old, str(tmp_path / "one"), "--wait")
        assert holders(server) == {"one", "two", "three"}
        shutil.rmtree(tmp_path / "gone")
        all_there(server, written)
        is_clean(server)
        server.kill()
        server.start()
        assert holders(server) == {"one", "two", "three"}
        all_there(server, written)


def test_a_directory_missing_at_the_start_takes_part_again_when_it_is_back(tmp_path):
    server = Server(tmp_path, ("a=one", "b=two", "c=three"), (), ENVIRONMENT)
    with server:
        written = fill(s3_client(server.endpoint, ROOT))
    (tmp_path / "three").rename(tmp_path / "aside")
    with server:
        more = bodies(20, "meanwhile")
        s3 = s3_client(server.endpoint, ROOT)
        for key, body in more.items():
            s3.put_object(Bucket="kept", Key=key, Body=body)
        written |= more
        (tmp_path / "aside").rename(tmp_path / "three")
        until(lambda: listed(server)["three"]["state"] == "healthy", "it is back")
        until(lambda: active_members(server) == 3, "its metadata is up to date")
        all_there(server, written)
        is_clean(server)
    # Now the others may go.
    (tmp_path / "one").rename(tmp_path / "aside")
    with server:
        all_there(server, written)
