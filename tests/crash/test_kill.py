"""kill -9 under load: what was acknowledged is there, what was not is whole or absent.

CYCLES sets how often the server is killed (5 by default), SEED repeats the choice of moments.
"""

import os
import random
import shutil
import threading

import pytest

from crash.load import Load
from harness.data import SEED
from harness.server import Server

CYCLES = int(os.environ.get("CYCLES", "5"))
WRITERS = 4


def cycle(server: Server, load: Load, chance: random.Random):
    """Writes from several threads, kills the server in the midst, starts it, checks everything."""
    load.connect(server.endpoint)
    threads = [threading.Thread(target=load.write, args=(n,)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    load.wait_for(acknowledged=chance.randrange(5, 60))
    server.kill()
    load.stopped.set()
    for thread in threads:
        thread.join()
    server.start()
    load.connect(server.endpoint)
    load.check()


def run(server: Server, cycles: int):
    """Some cycles on one server; what an earlier one wrote is checked by every later one."""
    load = Load(SEED)
    load.connect(server.endpoint)
    load.create_bucket()
    chance = random.Random(SEED)
    assert cycles > 0
    for _ in range(cycles):
        cycle(server, load, chance)


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
    load.create_bucket()
    writers = [threading.Thread(target=load.write, args=(n,)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    load.wait_for(acknowledged=50)
    server.kill()
    load.stopped.set()
    for writer in writers:
        writer.join()
    shutil.rmtree(server.home / random.Random(SEED).choice(["one", "two", "three"]))
    server.start()
    load.connect(server.endpoint)
    load.check()
