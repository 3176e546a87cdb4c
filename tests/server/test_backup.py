"""`larder export` and `larder import`: a store moves to other directories while it is written to,
and what `docs/backup.md` says of backups holds.

SEED repeats the choice of the writers.
"""

import json
import os
import random
import shutil
import subprocess
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from harness.accounts import OWNER, Account
from harness.clients import query_client, refused, s3_client
from harness.copying import rsync
from harness.data import PART, SEED, some_bytes, tree
from harness.operator import ENVIRONMENT, ROOT, larder, output
from harness.server import BINARY, Server
from harness.sign import s3_request
from harness.totp import Device

DIRECTORIES = ("a=one", "b=two", "c=three")
NAMES = tuple(name.partition("=")[2] for name in DIRECTORIES)


def done(server: Server, *arguments) -> str:
    """The output of a command that has to succeed."""
    return output(larder(server, *arguments))


def export(server: Server, file, *arguments) -> str:
    return done(server, "export", file, "--endpoint", server.endpoint, *arguments)


def export_offline(server: Server, file) -> str:
    return done(server, "export", file, "--offline", "--config", server.config, *DIRECTORIES)


def put_in(server: Server, file, *arguments) -> subprocess.CompletedProcess:
    """`larder import` into the directories of a stopped server."""
    place = ("--config", server.config, "--into", *NAMES)
    return larder(server, "import", file, *arguments, *place)


def check(server: Server) -> dict:
    finished = larder(server, "check", "--json", "--endpoint", server.endpoint)
    assert finished.stdout, finished.stderr
    return json.loads(finished.stdout)


class Writer(threading.Thread):
    """Writes, replaces and removes objects, and remembers what was acknowledged."""

    def __init__(self, endpoint: str, number: int, *, only_new=False):
        super().__init__(daemon=True)
        self.s3 = s3_client(endpoint, ROOT)
        self.number = number
        self.only_new = only_new
        self.chance = random.Random(f"{SEED}/{number}")
        self.ended = threading.Event()
        self.enough = threading.Event()
        # Of the plain bucket: what is there. Of the versioned one: all there was, newest last;
        # a body of None is a delete marker.
        self.plain: dict[str, tuple] = {}
        self.versions: dict[str, list] = {}
        self.uncertain: str | None = None
        self.writes = 0
        self.failure = None

    def run(self):
        try:
            while not self.ended.is_set():
                self.write()
                self.writes += 1
                if self.writes >= 40:
                    self.enough.set()
        except (ClientError, BotoCoreError):
            return
        except Exception as error:
            self.failure = error
            raise
        finally:
            self.enough.set()

    def write(self):
        key = f"w{self.number}/{self.writes if self.only_new else self.chance.randrange(25)} ä"
        bucket = self.chance.choice(("plain", "versioned"))
        self.uncertain = key
        if not self.only_new and self.chance.random() < 0.25:
            gone = self.s3.delete_object(Bucket=bucket, Key=key)
            self.note(bucket, key, gone, None, {})
        else:
            size = self.chance.choice((0, 90, 5_000, 40_000, 300_000))
            body = some_bytes(size, f"{self.number}/{self.writes}")
            about = {"writer": str(self.number), "write": str(self.writes)}
            if self.chance.random() < 0.05:
                body, answer = self.upload(bucket, key, body, about)
            else:
                answer = self.s3.put_object(
                    Bucket=bucket, Key=key, Body=body, Metadata=about, ContentType="text/x"
                )
            self.note(bucket, key, answer, body, about)
        self.uncertain = None

    def upload(self, bucket, key, last, about):
        begun = self.s3.create_multipart_upload(
            Bucket=bucket, Key=key, Metadata=about, ContentType="text/x"
        )
        where = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"]}
        bodies = (some_bytes(PART, f"{self.number}/{self.writes}/1"), last or b"end")
        parts = [
            {"PartNumber": n, "ETag": self.s3.upload_part(**where, PartNumber=n, Body=body)["ETag"]}
            for n, body in enumerate(bodies, 1)
        ]
        answer = self.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        return b"".join(bodies), answer

    def note(self, bucket, key, answer, body, about):
        if bucket == "versioned":
            entry = (answer["VersionId"], body, about)
            self.versions.setdefault(key, []).append(entry)
        elif body is None:
            self.plain.pop(key, None)
        else:
            self.plain[key] = (body, about)

    def copy(self) -> tuple[dict, dict]:
        """What is known now; only for writers that never remove anything."""
        return dict(self.plain), {key: list(known) for key, known in list(self.versions.items())}


def begin(server: Server, *, number=3, **options) -> list[Writer]:
    s3 = s3_client(server.endpoint, ROOT)
    for bucket in ("plain", "versioned"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    writers = [Writer(server.endpoint, n, **options) for n in range(number)]
    for writer in writers:
        writer.start()
    for writer in writers:
        assert writer.enough.wait(120)
    return writers


def end(writers: list[Writer]):
    for writer in writers:
        writer.ended.set()
    for writer in writers:
        writer.join(120)
        assert not writer.is_alive() and not writer.failure, writer.failure


def is_there(s3, bucket: str, key: str, body: bytes, about: dict, **version):
    got = s3.get_object(Bucket=bucket, Key=key, **version)
    assert got["Body"].read() == body, f"SEED={SEED}: {bucket}/{key} {version}"
    assert (got["Metadata"], got["ContentType"]) == (about, "text/x")


def all_is_there(server: Server, writers: list[Writer]) -> int:
    """Compares every object and version with what was acknowledged. Answers how many there are."""
    s3 = s3_client(server.endpoint, ROOT)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="plain")
    listed = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    found: dict[str, list] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket="versioned"):
        for kind in ("Versions", "DeleteMarkers"):
            for entry in page.get(kind, []):
                found.setdefault(entry["Key"], []).append((entry["VersionId"], entry["IsLatest"]))
    unsure = {writer.uncertain for writer in writers}
    plain = {key: value for writer in writers for key, value in writer.plain.items()}
    assert listed - unsure == set(plain) - unsure, f"SEED={SEED}"
    compared = 0
    for key in set(plain) - unsure:
        is_there(s3, "plain", key, *plain[key])
        compared += 1
    for writer in writers:
        for key, known in writer.versions.items():
            here = found.pop(key, [])
            assert {entry[0] for entry in known} <= {entry[0] for entry in here}, f"SEED={SEED}"
            if key not in unsure:
                newest = (known[-1][0], True)
                assert newest in here and len(here) == len(known), f"SEED={SEED}: {key}"
            for version, body, about in known:
                compared += 1
                if body is not None:
                    is_there(s3, "versioned", key, body, about, VersionId=version)
    assert set(found) <= unsure, f"SEED={SEED}: {found}"
    return compared


@pytest.fixture
def second_machine(tmp_path, special_server):
    """Where the store goes: a server over directories of the same names, not started."""
    server = Server(tmp_path / "second", DIRECTORIES, environment=ENVIRONMENT)
    yield server
    server.stop()


def copy_to(old: Server, new: Server, *, delete=False):
    runs = old.process.poll() is None
    for name in NAMES:
        rsync(old.home / name, new.home / name, delete=delete, written_to=runs)


@pytest.mark.timeout(600)
def test_a_store_moves_to_another_machine_while_it_is_written_to(special_server, second_machine):
    old, new = special_server(*DIRECTORIES, environment=ENVIRONMENT), second_machine
    writers = begin(old)

    # The rehearsal: a copy is begun elsewhere, while the original goes on.
    copy_to(old, new)
    file = new.home / "rehearsal"
    export(old, file)
    copy_to(old, new)
    assert put_in(new, file).returncode == 0
    new.start()
    assert check(new)["objects"] > 0
    s3_client(new.endpoint, ROOT).put_object(Bucket="plain", Key="rehearsed", Body=b"x" * 9_000)
    new.stop()

    # The move.
    logged = len(new.logged)
    copy_to(old, new, delete=True)
    before = sum(writer.writes for writer in writers)
    old.stop()
    end(writers)
    copy_to(old, new, delete=True)
    file = new.home / "moved"
    export_offline(old, file)
    refused = put_in(new, file)
    assert refused.returncode != 0 and "--replace" in refused.stderr, refused.stderr
    assert put_in(new, file, "--replace").returncode == 0
    shutil.rmtree(old.home / "one")
    shutil.rmtree(old.home / "two")
    shutil.rmtree(old.home / "three")
    new.start()
    compared = all_is_there(new, writers)
    report = check(new)
    assert (report["clean"], report["faults"]) == (True, []), report
    assert report["unreachable"] == 0
    s3 = s3_client(new.endpoint, ROOT)
    s3.put_object(Bucket="plain", Key="new", Body=b"writes go on")
    writers[0].plain["new"] = (b"writes go on", {})
    s3.delete_object(Bucket="plain", Key="new")
    del writers[0].plain["new"]
    new.stop()
    new.start()
    assert all_is_there(new, writers) == compared
    assert "does not know" not in new.logged[logged:], "a move leaves no start unknown"
    print(f"\nSEED={SEED}: {before} writes before the stop, {compared} versions compared")


@pytest.mark.timeout(600)
def test_a_backup_of_a_running_server_has_all_that_was_written_before(
    special_server, second_machine
):
    old, new = special_server(*DIRECTORIES, environment=ENVIRONMENT), second_machine
    writers = begin(old, only_new=True)
    copy_to(old, new)
    known = [writer.copy() for writer in writers]
    file = new.home / "export"
    with open(file, "wb") as out:
        # Through a pipe: nothing but the export goes to standard output.
        command = [BINARY, "export", "-", "--endpoint", old.endpoint]
        subprocess.run(command, stdout=out, check=True, env=os.environ | ENVIRONMENT)
    copy_to(old, new)
    end(writers)
    old.kill()
    assert put_in(new, file).returncode == 0
    new.start()
    s3 = s3_client(new.endpoint, ROOT)
    compared = 0
    for plain, versions in known:
        for key, (body, about) in plain.items():
            is_there(s3, "plain", key, body, about)
            compared += 1
        for key, entries in versions.items():
            for version, body, about in entries:
                is_there(s3, "versioned", key, body, about, VersionId=version)
                compared += 1
    assert compared >= 100
    report = check(new)
    assert (report["clean"], report["faults"]) == (True, []), report


def test_older_metadata_loses_nothing_that_newer_metadata_names(special_server):
    server = special_server(*DIRECTORIES, environment=ENVIRONMENT)
    s3 = s3_client(server.endpoint, ROOT)
    s3.create_bucket(Bucket="plain")
    s3.put_object(Bucket="plain", Key="early", Body=some_bytes(400_000, "early"))
    file = server.home / "export"
    export(server, file)
    late = {f"late/{size}": some_bytes(size, size) for size in (10, 70_000, 400_000)}
    for key, body in late.items():
        s3.put_object(Bucket="plain", Key=key, Body=body)
    server.stop()
    assert put_in(server, file, "--replace").returncode == 0
    server.start()
    s3 = s3_client(server.endpoint, ROOT)
    listed = s3.list_objects_v2(Bucket="plain")["Contents"]
    assert [entry["Key"] for entry in listed] == ["early"], "the older metadata counts"
    assert s3.get_object(Bucket="plain", Key="early")["Body"].read() == some_bytes(400_000, "early")
    # The sweep goes through all files at the start, and says so when it keeps some.
    for _ in range(600):
        if "does not know are kept" in server.logged:
            break
        threading.Event().wait(0.1)
    else:
        raise AssertionError("nothing was found by the sweep")
    server.stop()
    for name in NAMES:
        shutil.rmtree(server.home / name / "meta")
        (server.home / name / "meta.old").rename(server.home / name / "meta")
    server.start()
    s3 = s3_client(server.endpoint, ROOT)
    for key, body in late.items():
        assert s3.get_object(Bucket="plain", Key=key)["Body"].read() == body
    assert check(server)["clean"]


def test_an_import_brings_second_factors_back_and_what_was_used_of_them(special_server):
    server = special_server(*DIRECTORIES, environment=ENVIRONMENT)
    iam = query_client("iam", server.endpoint)
    device = Device(iam, "phone").enable("root")
    shown = device.shown()
    query_client("sts", server.endpoint).get_session_token(**shown)
    iam.create_virtual_mfa_device(VirtualMFADeviceName="spare")
    file = server.home / "export"
    export(server, file)
    iam.deactivate_mfa_device(UserName="root", SerialNumber=device.serial)
    iam.delete_virtual_mfa_device(SerialNumber=device.serial)
    server.stop()
    assert put_in(server, file, "--replace").returncode == 0
    server.start()
    listed = query_client("iam", server.endpoint).list_virtual_mfa_devices()["VirtualMFADevices"]
    names = [found["SerialNumber"].rpartition("/")[2] for found in listed]
    assert names == ["phone", "spare"]
    sts = query_client("sts", server.endpoint)
    with refused(403, "AccessDenied"):
        sts.get_session_token(**shown)
    sts.get_session_token(**device.shown())
def test_an_export_carries_what_an_account_trusts_and_blocks(special_server, second_machine):
    old, new = special_server(*DIRECTORIES, environment=ENVIRONMENT), second_machine
    url, path = "https://idp.example.com/x", "/v20180820/configuration/publicAccessBlock"
    s3 = s3_client(old.endpoint)
    s3.create_bucket(Bucket="carried")
    s3.put_object(Bucket="carried", Key="k", Body=b"content")
    iam = query_client("iam", old.endpoint)
    provider = iam.create_open_id_connect_provider(Url=url, ClientIDList=["app"])
    named = {"x-amz-account-id": OWNER.identity}
    on = b"<PublicAccessBlockConfiguration><BlockPublicPolicy>true</BlockPublicPolicy>"
    body = on + b"</PublicAccessBlockConfiguration>"
    assert s3_request(old.endpoint, "PUT", path, named, body).status == 200
    old.stop()
    copy_to(old, new)
    file = new.home / "export"
    export_offline(old, file)
    assert put_in(new, file, "--replace").returncode == 0
    new.start()
    iam = query_client("iam", new.endpoint)
    arn = {"OpenIDConnectProviderArn": provider["OpenIDConnectProviderArn"]}
    assert iam.get_open_id_connect_provider(**arn)["ClientIDList"] == ["app"]
    shown = s3_request(new.endpoint, "GET", path, named)
    assert b"<BlockPublicPolicy>true</BlockPublicPolicy>" in shown.body


def test_a_cut_or_changed_export_is_refused_and_changes_nothing(special_server):
    server = special_server(*DIRECTORIES, environment=ENVIRONMENT)
    s3 = s3_client(server.endpoint, ROOT)
    s3.create_bucket(Bucket="plain")
    for number in range(50):
        s3.put_object(Bucket="plain", Key=f"{number}", Body=some_bytes(number * 997, number))
    server.stop()
    file = server.home / "export"
    export_offline(server, file)
    assert file.stat().st_mode & 0o777 == 0o600
    whole = file.read_bytes()
    before = {name: tree(server.home / name) for name in NAMES}
    chance = random.Random(SEED)
    spoilt = [whole[: chance.randrange(len(whole))] for _ in range(6)]
    spoilt += [b"", whole[:-1], whole + b"\0", whole + whole]
    for _ in range(6):
        at = chance.randrange(len(whole))
        flipped = bytes([whole[at] ^ (1 << chance.randrange(8))])
        spoilt.append(whole[:at] + flipped + whole[at + 1 :])
    for number, content in enumerate(spoilt):
        bad = server.home / "spoilt"
        bad.write_bytes(content)
        for refused in (put_in(server, bad, "--replace"), larder(server, "import", "--verify", bad)):
            assert refused.returncode == 1, f"SEED={SEED}: {number}"
            assert "export" in refused.stderr, refused.stderr
    assert {name: tree(server.home / name) for name in NAMES} == before
    server.start()
    s3 = s3_client(server.endpoint, ROOT)
    assert s3.list_objects_v2(Bucket="plain")["KeyCount"] == 50
    server.stop()

    # The control: undamaged it is taken, and the comparison above does see that.
    assert json.loads(done(server, "import", "--verify", file, "--json"))["bytes"] == len(whole)
    assert put_in(server, file, "--replace").returncode == 0
    assert {name: tree(server.home / name) for name in NAMES} != before
    server.start()
    s3 = s3_client(server.endpoint, ROOT)
    assert s3.list_objects_v2(Bucket="plain")["KeyCount"] == 50
    assert check(server)["clean"]


def test_exports_and_imports_are_refused_where_they_do_not_belong(special_server):
    server = special_server(*DIRECTORIES, environment=ENVIRONMENT)
    other = special_server(*DIRECTORIES, environment=ENVIRONMENT)
    for running in (server, other):
        s3 = s3_client(running.endpoint, ROOT)
        s3.create_bucket(Bucket="plain")
        s3.put_object(Bucket="plain", Key="k", Body=b"v")
    file = server.home / "export"
    denied = larder(server, "export", file, "--endpoint", server.endpoint, account=OWNER)
    assert denied.returncode == 1 and "403" in denied.stderr, denied.stderr
    assert not list(server.home.glob("export*")), "nothing was left"
    export(server, file)
    running = put_in(server, file, "--replace")
    assert running.returncode == 1, "a server has the directories"
    other.stop()
    foreign = put_in(other, file, "--replace")
    assert foreign.returncode == 1 and "of the store" in foreign.stderr
    server.stop()
    some = ("--config", server.config, "--into", "one", "two")
    missing = larder(server, "import", file, "--replace", *some)
    assert missing.returncode == 1 and "not given" in missing.stderr, missing.stderr
    for name in NAMES:
        key = server.home / name / "master.key"
        key.write_text(f"{'5a' * 32}\n")
        (server.home / name / "root.key").unlink()
    wrong = put_in(server, file, "--replace")
    assert wrong.returncode == 1 and "master key" in wrong.stderr, wrong.stderr
    assert not list(server.home.glob("*/meta.*")), "nothing was left"
