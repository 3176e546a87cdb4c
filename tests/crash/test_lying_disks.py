"""The control: with syncs that do nothing, the power test must find losses, or it tests nothing."""

import random
import subprocess
from pathlib import Path

import pytest

from crash.check import Lost, check
from crash.load import Load
from crash.rack import Rack, rack
from harness.data import SEED
from harness.disks import demand_disks

CYCLES_MAX = 5


@pytest.fixture(scope="module")
def shim(tmp_path_factory) -> str:
    """A library that makes syncs do nothing."""
    demand_disks()
    library = tmp_path_factory.mktemp("shim") / "lying_sync.so"
    source = Path(__file__).with_name("lying_sync.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", library, source], check=True)
    return str(library)


@pytest.mark.parametrize("about", ["/meta/", "/segments/", "/blobs/"])
def test_a_disk_that_lies_about_syncs_is_found_out(tmp_path, shim, about):
    """`about`: the folder of the metadata, of small blobs, of large blobs."""
    with rack(tmp_path, random.Random(SEED)) as running:
        running.start()
        load = Load(SEED)
        load.connect(running.server.endpoint)
        load.create_buckets()
        running.server.stop()
        running.server.environment = {"LD_PRELOAD": shim, "LYING_ABOUT": about}
        losses = (loss(running, load) for _ in range(CYCLES_MAX))
        found = next(filter(None, losses), None)
    assert found, f"SEED={SEED}: {CYCLES_MAX} power cuts, and nobody noticed"
    print(f"\nSEED={SEED}: lying about {about} was noticed: {found[:300]}")


def loss(running: Rack, load: Load) -> str | None:
    """What a power cut cost; None if nothing."""
    running.start()
    load.connect(running.server.endpoint)
    load.begin()
    load.wait_for(acknowledged=100)
    load.crashing.set()
    running.cut()
    load.end()
    try:
        running.start()
    except AssertionError as error:
        return f"the start is refused: {error}"
    load.connect(running.server.endpoint)
    try:
        check(load)
    except Lost as error:
        return str(error)
    running.server.kill()
    return None
