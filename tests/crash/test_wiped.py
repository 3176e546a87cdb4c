"""A directory is wiped at each restart, after kill -9 or a power cut: the others have everything.

An empty one at the same place then takes the lost one's part, and once it has it, the next one
is wiped. CYCLES sets how often (2 by default), SEED repeats the choice of moments.
"""

import json
import os
import random
import shutil

import pytest

from crash.check import check
from crash.load import Load
from crash.rack import NAMES, ZONES, rack
from harness.data import SEED
from harness.disks import KINDS, demand_disks
from harness.operator import ENVIRONMENT, attempt, is_clean, output
from harness.server import Server

CYCLES = int(os.environ.get("CYCLES", "2"))


class Store:
    """A server of three directories, the load on it, and how often one was lost."""

    def __init__(self, server: Server, chance: random.Random):
        self.server = server
        self.chance = chance
        self.load = Load(SEED)
        self.load.connect(server.endpoint)
        self.load.create_buckets()
        self.lost = 0

    def work(self):
        """Lets the load run for a while; it is not over when this returns."""
        self.load.begin()
        self.load.wait_for(acknowledged=self.chance.randrange(5, 300))
        self.load.crashing.set()

    def some_directory(self):
        return self.server.home / self.chance.choice(NAMES)

    def start_without(self, lost):
        """Starts with an empty directory in the place of one, and has it taken over."""
        before = len(self.server.logged)
        self.server.start()
        assert "a directory of this store is missing" in self.server.logged[before:]
        self.load.connect(self.server.endpoint)
        check(self.load)
        assert not any(lost.iterdir()), f"SEED={SEED}: files in a directory nobody gave the store"
        disks = json.loads(output(attempt(self.server, "disk", "list", "--json")))["disks"]
        gone = next(it for it in disks if it["path"].endswith(f"/{lost.name}"))
        zone = ("--zone", f"zone-{lost.name}")
        replace = ("disk", "replace", gone["id"], lost, *zone, "--wait")
        output(attempt(self.server, *replace))
        self.lost += 1

    def report(self, what: str):
        """Reads everything once more, all copies of it."""
        check(self.load)
        is_clean(self.server)
        wiped, acknowledged = self.lost, self.load.acknowledged_ever
        print(f"\nSEED={SEED}: {what}, {wiped} wiped, {acknowledged} acknowledged, 0 lost")


@pytest.mark.timeout(60 + 60 * CYCLES)
def test_kill_9_and_a_lost_directory_lose_nothing(special_server):
    store = Store(special_server(*ZONES, environment=ENVIRONMENT), random.Random(SEED))
    for _ in range(CYCLES):
        store.work()
        store.server.kill()
        store.load.end()
        lost = store.some_directory()
        shutil.rmtree(lost)
        lost.mkdir(mode=0o700)
        store.start_without(lost)
    store.report("kill -9")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.timeout(60 + 90 * CYCLES)
def test_a_power_cut_and_a_lost_directory_lose_nothing(tmp_path, kind):
    demand_disks()
    with rack(tmp_path, random.Random(SEED), kind) as running:
        running.server.environment = ENVIRONMENT
        running.start()
        store = Store(running.server, running.chance)
        for _ in range(CYCLES):
            store.work()
            running.cut()
            store.load.end()
            lost = running.chance.choice(running.disks)
            lost.wipe()
            store.start_without(lost.path)
        store.report(f"power cuts on {kind}")
