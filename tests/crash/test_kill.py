"""kill -9 under load: what was acknowledged is there, what was not is whole or absent.

CYCLES sets how often the server is killed (5 by default), SEED repeats the choice of moments.
"""

import os
import random
import shutil

import pytest

from crash.check import check
from crash.load import Load
from harness.data import SEED
from harness.server import Server

CYCLES = int(os.environ.get("CYCLES", "5"))


def kill_under_load(server: Server, load: Load, chance: random.Random):
    """Lets the load run for a while, then kills the server in the midst of it."""
    load.begin()
    load.wait_for(acknowledged=chance.randrange(5, 300))
    load.crashing.set()
    server.kill()
    load.end()


def run(server: Server, cycles: int):
    """Some cycles on one server; what an earlier one wrote is checked by every later one."""
    load = Load(SEED)
    load.connect(server.endpoint)
    load.create_buckets()
    chance = random.Random(SEED)
    assert cycles > 0
    for _ in range(cycles):
        kill_under_load(server, load, chance)
        server.start()
        load.connect(server.endpoint)
        check(load)
    print(f"\nSEED={SEED}: {cycles} kills, {load.acknowledged_ever} acknowledged, 0 lost")


@pytest.mark.timeout(60 + 60 * CYCLES)
def test_no_acknowledged_write_is_lost_by_kill_9(special_server):
    run(special_server("data"), CYCLES)


@pytest.mark.timeout(60 + 60 * CYCLES)
def test_nor_with_three_directories(special_server):
    run(special_server("a=one", "b=two", "c=three"), max(1, CYCLES // 2))


def test_with_three_directories_any_one_may_be_lost(special_server):
    server = special_server("a=one", "b=two", "c=three")
    load = Load(SEED)
    load.connect(server.endpoint)
    load.create_buckets()
    chance = random.Random(SEED)
    kill_under_load(server, load, chance)
    shutil.rmtree(server.home / chance.choice(["one", "two", "three"]))
    server.start()
    load.connect(server.endpoint)
    check(load)
