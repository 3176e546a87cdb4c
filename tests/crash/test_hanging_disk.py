"""A disk hangs under load: nothing else does, requests go on without it, and then with it again."""

import random
import re
import threading
import time
import urllib.request

import pytest

from crash.rack import rack
from harness.data import SEED, some_bytes
from harness.disks import demand_disks
from harness.server import http_status
from harness.speaker import BROKEN, Speaker

PATIENCE_SECONDS = 90
HEALTHY_WITHIN_SECONDS = 3.0


class Health:
    """Asks for the health of a server all the time; how long it took at most."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self.slowest = 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def run(self):
        while not self.over.wait(0.2):
            begun = time.monotonic()
            status = http_status(f"{self.endpoint}/_larder/health")
            took = time.monotonic() - begun if status == 200 else float("inf")
            self.slowest = max(self.slowest, took)


class Client:
    """Puts and gets; what was acknowledged."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self.stored = {}
        self.turn = 0
        self.slowest = 0.0

    def put(self) -> bool:
        self.turn += 1
        key, body = f"k{self.turn}", some_bytes(500_000 if self.turn % 4 == 0 else 3_000)
        begun = time.monotonic()
        try:
            with Speaker(self.endpoint) as speaker:
                status = speaker.ask("PUT", f"/hang/{key}", body=body).status
        except BROKEN:
            status = 0
        self.slowest = max(self.slowest, time.monotonic() - begun)
        if status == 200:
            self.stored[key] = body
        else:
            assert status in (0, 503), status
        return status == 200

    def put_until(self, times: int, what: str):
        """Until so many in a row are stored."""
        until = time.monotonic() + PATIENCE_SECONDS
        row = 0
        while row < times:
            assert time.monotonic() < until, f"SEED={SEED}: not in time: {what}"
            row = row + 1 if self.put() else 0

    def all_there(self):
        with Speaker(self.endpoint) as speaker:
            for key, body in self.stored.items():
                reply = speaker.tell("GET", f"/hang/{key}")
                assert reply.body == body, f"SEED={SEED}: {key}"


def active_members(endpoint: str) -> int:
    """How many directories take part with their metadata."""
    with urllib.request.urlopen(f"{endpoint}/_larder/metrics", timeout=10) as page:
        text = page.read().decode()
    return int(re.search(r'larder_metadata_members{state="active"} (\d+)', text).group(1))


@pytest.mark.parametrize("name", ["one", "three"])
@pytest.mark.timeout(600)
def test_requests_go_on_without_a_disk_that_hangs(tmp_path, name):
    demand_disks()
    with rack(tmp_path, random.Random(SEED)) as running:
        running.start()
        endpoint = running.server.endpoint
        client = Client(endpoint)
        with Speaker(endpoint) as speaker:
            speaker.tell("PUT", "/hang")
        client.put_until(50, "it works at first")
        [disk] = [disk for disk in running.disks if disk.path.name == name]
        with Health(endpoint) as health:
            disk.freeze()
            try:
                client.put_until(50, "the others go on")
                client.all_there()
            finally:
                disk.thaw()
            client.put_until(50, "all is well again")
        client.all_there()
        assert health.slowest < HEALTHY_WITHIN_SECONDS, f"SEED={SEED}: {health.slowest:.1f} s"
        print(f"\nSEED={SEED}: {name} hangs: {client.slowest:.1f} s for the slowest put, "
              f"{health.slowest:.2f} s for the slowest answer about health")
        until = time.monotonic() + PATIENCE_SECONDS
        while active_members(endpoint) < 3:
            assert time.monotonic() < until, f"SEED={SEED}: it stays away"
            time.sleep(0.2)
        client.put_until(10, "it takes part again")
        running.server.kill()
        running.start()
        client.endpoint = running.server.endpoint
        client.all_there()
