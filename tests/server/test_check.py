"""`larder check`: damage is named and mended, with a running server and without.

ROT= sets how many bits are flipped in one copy (200 by default), SEED repeats the choice.
"""

import json
import os
import random

import oss2
import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from harness.clients import oss_bucket, s3_client
from harness.data import SEED, some_bytes
from harness.operator import ENVIRONMENT, ROOT, attempt
from harness.server import Server

DIRECTORIES = ("a=one", "b=two")
ROT = int(os.environ.get("ROT", "200"))


def check(server: Server, *arguments: str) -> tuple[int, dict]:
    done = attempt(server, "check", "--json", *arguments)
    return done.returncode, json.loads(done.stdout) if done.stdout else {"error": done.stderr}


def offline(server: Server, *arguments: str) -> tuple[int, dict]:
    return check(server, "--offline", "--config", str(server.config), *arguments, *DIRECTORIES)


def fill(s3) -> dict[str, bytes]:
    """Small and large objects; their bytes by key."""
    s3.create_bucket(Bucket="checked")
    bodies = {f"small/{number}": some_bytes(100 + number * 97) for number in range(60)}
    bodies |= {f"large/{number}": some_bytes(300_000 + number * 131_072) for number in range(8)}
    for key, body in bodies.items():
        s3.put_object(Bucket="checked", Key=key, Body=body)
    return bodies


def blob_files(directory, *folders):
    """The files that hold bytes of objects."""
    for folder in folders or ("blobs", "segments"):
        for path in sorted((directory / folder).rglob("*")):
            if path.is_file() and path.stat().st_size:
                yield path


def flip(path, position: int, bit: int):
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ (1 << bit)]))


def rot(directory, chance: random.Random, times: int):
    """Flips bits anywhere in the files of one directory, headers and unused space included."""
    files = list(blob_files(directory))
    for _ in range(times):
        path = chance.choice(files)
        flip(path, chance.randrange(path.stat().st_size), chance.randrange(8))


def wrong(s3, bodies: dict[str, bytes]) -> list[str]:
    """Keys that read otherwise than they were written."""
    got = {key: s3.get_object(Bucket="checked", Key=key)["Body"].read() for key in bodies}
    return [key for key, body in bodies.items() if got[key] != body]


@pytest.mark.timeout(120 + ROT)
def test_rot_in_one_copy_is_never_served_and_all_of_it_is_healed(special_server):
    server = special_server(*DIRECTORIES, environment=ENVIRONMENT)
    s3 = s3_client(server.endpoint, ROOT)
    bodies = fill(s3)
    code, report = check(server)
    assert (code, report["objects"], report["faults"]) == (0, len(bodies), [])
    chance = random.Random(SEED)
    flipped = repaired = 0
    for turn in range((ROT + 99) // 100):
        server.stop()
        flips = min(100, ROT - flipped)
        rot(server.home / ("one", "two")[turn % 2], chance, flips)
        flipped += flips
        server.start()
        s3 = s3_client(server.endpoint, ROOT)
        assert not wrong(s3, bodies), f"SEED={SEED}: wrong bytes were served"
        code, report = check(server, "--repair")
        assert (code, report["lost"]) == (0, 0), f"SEED={SEED}: {report}"
        repaired += report["repaired"]
        code, report = check(server)
        assert (code, report["faults"]) == (0, []), f"SEED={SEED}: {report}"
    print(f"\nSEED={SEED}: {flipped} bits flipped, {repaired} blobs mended by check, 0 wrong")


def test_the_flips_of_that_test_do_change_objects(special_server):
    """The control: with the same damage in the only copy objects cannot be read any more."""
    server = special_server("only", environment=ENVIRONMENT)
    s3 = s3_client(server.endpoint, ROOT)
    bodies = fill(s3)
    server.stop()
    rot(server.home / "only", random.Random(SEED), 100)
    server.start()
    s3 = s3_client(server.endpoint, ROOT)
    failed = 0
    for key, body in bodies.items():
        try:
            got = s3.get_object(Bucket="checked", Key=key)["Body"].read()
        except (ClientError, IncompleteReadError, ResponseStreamingError):
            failed += 1
        else:
            assert got == body, f"SEED={SEED}: wrong bytes were served"
    assert failed > 0
    code, report = check(server)
    assert (code, report["clean"]) == (1, False)
    assert report["lost"] >= failed
    named = {fault["key"] for fault in report["faults"]}
    assert named <= set(bodies) and len(named) >= failed


@pytest.mark.parametrize("online", [True, False])
def test_damage_in_all_copies_is_named_and_refused(special_server, online):
    server = special_server(*DIRECTORIES, environment=ENVIRONMENT)
    s3 = s3_client(server.endpoint, ROOT)
    bodies = fill(s3)
    server.stop()
    for name in ("one", "two"):
        files = blob_files(server.home / name, "blobs")
        flip(max(files, key=lambda path: path.stat().st_size), 5000, 1)
    if online:
        server.start()
        code, report = check(server, "--repair", "--bucket", "checked")
    else:
        code, report = offline(server, "--repair")
        server.start()
    assert code == 1, report
    assert report["lost"] == 1
    assert [fault["key"] for fault in report["faults"]] == ["large/7"]
    s3 = s3_client(server.endpoint, ROOT)
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket="checked", Key="large/7")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert refused.value.response["Error"]["Code"] == "DamagedData"
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        oss_bucket(server.endpoint, "checked", account=ROOT).get_object("large/7")
    assert (refused.value.status, refused.value.code) == (500, "DamagedData")
    del bodies["large/7"]
    assert not wrong(s3, bodies)


def test_a_check_without_a_server_needs_the_directories_to_itself(special_server):
    server = special_server(*DIRECTORIES, environment=ENVIRONMENT)
    fill(s3_client(server.endpoint, ROOT))
    code, report = offline(server)
    assert (code, "in use" in report["error"]) == (2, True), report
    server.stop()
    code, report = offline(server)
    assert (code, report["objects"]) == (0, 68), report
    code, report = check(server, "--bucket", "checked")
    assert code == 2, "nobody answers"
