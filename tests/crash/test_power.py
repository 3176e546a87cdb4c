"""Power cuts under load: three directories, each a file system of its own, and two copies.

On ext4 and again on xfs, which order what they write differently.

CYCLES sets how often the power goes (3 by default, 2 with a directory lost as well, and 2 in a
first start), SEED repeats the choice of requests and moments; the threads still take turns as they
like.
"""

import os
import random

import pytest

from crash.check import check
from crash.load import Load
from crash.rack import NAMES, Rack, rack
from harness.data import SEED
from harness.disks import KINDS, demand_disks

CYCLES = int(os.environ.get("CYCLES", "3"))
CYCLES_WITH_LOSS = int(os.environ.get("CYCLES", "2"))
FIRST_STARTS = int(os.environ.get("CYCLES", "2"))


def begin(running: Rack) -> Load:
    """Starts the server on empty disks and makes the buckets."""
    running.start()
    load = Load(SEED)
    load.connect(running.server.endpoint)
    load.create_buckets()
    return load


def start_and_check(running: Rack, load: Load, all_there=True):
    """Starts the server again and compares what it has with what it said."""
    running.start()
    load.connect(running.server.endpoint)
    before = len(running.server.logged)
    check(load)
    damaged = "needs repair" in running.server.logged[before:]
    assert not (all_there and damaged), f"SEED={SEED}: another copy had to help out"


def check_without_one(running: Rack, load: Load):
    """A disk that is not mounted at one start: the others have all, and its place stays empty."""
    late = running.chance.choice(running.disks)
    running.server.stop()
    late.unmount()
    start_and_check(running, load, all_there=False)
    running.server.stop()
    assert not any(late.path.iterdir()), f"SEED={SEED}: files where nothing is mounted"
    late.mount()
    start_and_check(running, load)


every_kind = pytest.mark.parametrize("kind", KINDS)


def report(cycles: str, cuts: int, acknowledged: int, slowest: float):
    """Says what the run was worth."""
    print(
        f"\nSEED={SEED}: {cycles}, {cuts} power cuts, {acknowledged} acknowledged, 0 lost, "
        f"slowest start {slowest:.2f} s"
    )


@every_kind
@pytest.mark.timeout(60 + 60 * CYCLES)
def test_no_acknowledged_write_is_lost_by_a_power_cut(tmp_path, kind):
    demand_disks()
    with rack(tmp_path, random.Random(SEED), kind) as running:
        load = begin(running)
        for _ in range(CYCLES):
            running.cut_under_load(load)
            start_and_check(running, load)
            if running.chance.random() < 0.3:
                check_without_one(running, load)
        running.server.stop()
        start_and_check(running, load)
    report(f"{kind}, {CYCLES} cycles", running.cuts, load.acknowledged_ever, running.slowest_start)


@every_kind
@pytest.mark.timeout(60 + 60 * FIRST_STARTS)
def test_snapshots_of_the_disks_of_a_running_server_are_a_store(tmp_path, kind):
    demand_disks()
    with rack(tmp_path, random.Random(SEED), kind) as running:
        load = begin(running)
        for _ in range(FIRST_STARTS):
            running.copy_under_load(load)
            start_and_check(running, load)
        running.server.stop()
    print(f"\nSEED={SEED}: {kind}, {FIRST_STARTS} snapshots, {load.acknowledged_ever} acknowledged")


@every_kind
@pytest.mark.timeout(60 + 90 * CYCLES_WITH_LOSS)
def test_nor_if_one_directory_is_lost_with_it(tmp_path, kind):
    demand_disks()
    chance = random.Random(SEED)
    cuts, acknowledged, slowest = 0, 0, 0.0
    for cycle in range(CYCLES_WITH_LOSS):
        with rack(tmp_path / str(cycle), chance, kind) as running:
            load = lose(running, (SEED + cycle) % len(NAMES))
        cuts += running.cuts
        acknowledged += load.acknowledged_ever
        slowest = max(slowest, running.slowest_start)
    report(f"{kind}, {CYCLES_WITH_LOSS} directories wiped", cuts, acknowledged, slowest)


def lose(running: Rack, which: int) -> Load:
    """A cut after which a disk is empty: the others have everything, and work goes on."""
    lost = running.disks[which]
    load = begin(running)
    running.cut_under_load(load)
    lost.wipe()
    start_and_check(running, load, all_there=False)
    assert "a directory of this store is missing" in running.server.logged
    running.cut_under_load(load)
    start_and_check(running, load, all_there=False)
    left = [path.name for path in lost.path.iterdir()]
    assert not left, f"SEED={SEED}: {left} in a directory that nobody gave to the store"
    running.server.stop()
    return load


@every_kind
@pytest.mark.timeout(60 + 60 * FIRST_STARTS)
def test_a_power_cut_in_the_first_start_leaves_nothing_in_the_way(tmp_path, kind):
    demand_disks()
    chance = random.Random(SEED)
    for cycle in range(FIRST_STARTS):
        with rack(tmp_path / str(cycle), chance, kind) as running:
            for _ in range(2):
                running.cut_while_starting(1.5)
            load = begin(running)
            load.begin()
            load.wait_for(acknowledged=20)
            load.end()
            running.server.kill()
            start_and_check(running, load)
    print(f"\nSEED={SEED}: {kind}, {2 * FIRST_STARTS} power cuts in first starts, none was refused")
