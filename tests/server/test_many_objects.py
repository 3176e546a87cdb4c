"""A store of many small objects: every kind of start finds all of them, and tells how long it took.

OBJECTS sets how many (2 000 by default, a million in tests/long/run). The figures are for
docs/durability.md; they are not asserted, since the machine may be busy.
"""

import os
import re
import shutil
import threading
import time

import pytest

from harness.crowd import resident
from harness.speaker import Speaker

OBJECTS = int(os.environ.get("OBJECTS", "2000"))
CLIENTS = 8
MIB = 1024 * 1024
THREE = ("a=one", "b=two", "c=three")

pytestmark = pytest.mark.timeout(120 + OBJECTS // 50)


def fill(endpoint: str):
    """Small objects from several clients, in keys as backups have them."""
    with Speaker(endpoint) as speaker:
        speaker.tell("PUT", "/many")
    faults = []

    def work(number: int):
        try:
            with Speaker(endpoint) as speaker:
                for n in range(number, OBJECTS, CLIENTS):
                    speaker.tell("PUT", f"/many/data/{n % 256:02x}/{n:08}", body=b"%d" % n)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults[0]


def count(endpoint: str) -> int:
    """How many objects a full listing has."""
    objects, after = 0, ""
    with Speaker(endpoint) as speaker:
        while True:
            query = "list-type=2" + (f"&start-after={after}" if after else "")
            page = speaker.tell("GET", f"/many?{query}").body.decode()
            keys = re.findall("<Key>([^<]+)</Key>", page)
            objects += len(keys)
            if "<IsTruncated>true</IsTruncated>" not in page:
                return objects
            after = keys[-1].replace("/", "%2F")


def test_every_start_finds_all_of_many_objects(special_server):
    server = special_server(*THREE)
    begun = time.monotonic()
    fill(server.endpoint)
    filled = time.monotonic() - begun
    print(f"\n{OBJECTS} objects in {filled:.0f} s")

    def start(how: str, index_kept: bool):
        logged, begun = len(server.logged), time.monotonic()
        server.start()
        took, memory = time.monotonic() - begun, resident(server, "VmHWM")
        print(f"  {how}: {took:.2f} s, {memory / MIB:.0f} MiB")
        assert count(server.endpoint) == OBJECTS
        said = server.logged[logged:]
        assert ("index kept" in said) == index_kept, said

    server.stop()
    start("a clean start", True)
    server.kill()
    start("after kill -9", True)
    server.kill()
    # What a power cut comes to: of the index nothing counts that was not synced.
    shutil.rmtree(server.home / "one/meta/index")
    start("after a power cut, with the index made anew", False)
    with Speaker(server.endpoint) as speaker:
        assert speaker.ask("GET", "/many/data/01/00000001").body == b"1"
