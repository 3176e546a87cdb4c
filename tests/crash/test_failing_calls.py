"""The N-th write, sync, rename, removal or read of one directory fails, once or from then on.

Nothing may be answered with success that is not so, no sync may be tried a second time, and no
wrong byte is read. With three directories and two copies nobody notices, unless a disk is full.

STRIDE sets which N, as in the kill sweep.
"""

import errno

import pytest

from crash.check import check
from crash.faults import EVER, FAIL, KINDS, SHORT
from crash.victim import Victim, numbers
from harness.data import SEED

ONE = ("data",)
THREE = ("a=one", "b=two", "c=three")
FAULTS = {
    "write fails": ("write", FAIL, errno.EIO),
    "write finds no space": ("write", FAIL, errno.ENOSPC),
    "write is cut short": ("write", SHORT, 0),
    "sync fails": ("sync", FAIL, errno.EIO),
    "sync finds no space": ("sync", FAIL, errno.ENOSPC),
    "rename fails": ("rename", FAIL, errno.EIO),
    "removal fails": ("unlink", FAIL, errno.EIO),
    "read fails": ("read", FAIL, errno.EIO),
}

# A full disk that holds metadata makes the whole store refuse: what others could take is not lost.
NOTICED = ("write finds no space", "sync finds no space")

every_told_fault = pytest.mark.parametrize("fault", [it for it in FAULTS if it != "read fails"])
every_hidden_fault = pytest.mark.parametrize("fault", [it for it in FAULTS if it not in NOTICED])


def sweep(victim: Victim, fault: str, directory: str, for_ever: bool):
    """Lives through the fault at every number in turn, and checks before and after a new start."""
    kind, act, error = FAULTS[fault]
    inside = f"{victim.server.home}/{directory}/"
    victim.start()
    victim.faults.count(KINDS[kind], inside)
    victim.live("count")
    if kind == "read":
        victim.look("count")
    assert not victim.refused, "nothing was to fail yet"
    total = victim.faults.counted
    struck = 0
    # Which copy is read is left to chance, so that a later call need not come.
    for number in sorted({1, *numbers(total)}):
        victim.faults.arm(KINDS[kind], inside, act, number, EVER if for_ever else number, error)
        victim.live(f"{fault}/{number}")
        assert not victim.died(0)
        if kind == "read":
            victim.look(f"look/{number}")
        if kind == "unlink":
            victim.wait_for_call(number)
        struck += victim.faults.struck
        assert not victim.faults.synced_again, f"SEED={SEED}: {fault}, {number}: synced again"
        victim.faults.disarm()
        victim.server.kill()
        victim.start()
    statuses = sorted(error.reply.status for error in victim.refused)
    print(
        f"\nSEED={SEED}: {fault} in {directory}, {'for ever' if for_ever else 'once'}: "
        f"{struck} hits at 1 and {len(numbers(total))} of {total} calls, refused {statuses}"
    )
    assert struck or total < 3, f"SEED={SEED}: nothing was hit"
    return statuses


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for-ever"])
@every_hidden_fault
@pytest.mark.parametrize("victim", [THREE], ids=["three"], indirect=True)
@pytest.mark.timeout(3600)
def test_a_fault_in_one_of_three_directories_is_nobodys_business(victim, fault, for_ever):
    assert not sweep(victim, fault, "two", for_ever)


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for-ever"])
@every_told_fault
@pytest.mark.parametrize("victim", [ONE], ids=["one"], indirect=True)
@pytest.mark.timeout(3600)
def test_a_fault_in_the_only_directory_is_told(victim, fault, for_ever):
    statuses = sweep(victim, fault, "data", for_ever)
    # A request to delete many answers 200, with an error for each key.
    assert set(statuses) <= {200, 500, 503, 507}


@pytest.mark.parametrize("victim", [THREE], ids=["three"], indirect=True)
def test_the_index_is_made_anew_elsewhere_when_its_disk_fails(victim):
    """Only the index: it is written late, so the failure comes out of nowhere."""
    victim.start()
    index = f"{victim.server.home}/one/meta/index/"
    victim.faults.arm(KINDS["write"], index, FAIL, 1, EVER, errno.EIO)
    for turn in range(500):
        victim.live(f"failing/{turn}")
        if victim.refused:
            # It may have happened: later changes of the same key would hide whether it did.
            check(victim.load)
        if "started anew" in victim.server.logged:
            break
    assert "started anew" in victim.server.logged, f"SEED={SEED}: it was not noticed"
    # Whoever met the failure may have been refused; from now on nobody is.
    refused = len(victim.refused)
    assert refused <= 1, victim.refused
    victim.live("after")
    assert len(victim.refused) == refused, victim.refused
    check(victim.load)
    assert (victim.server.home / "two" / "meta" / "index" / "db").exists()
    victim.server.kill()
    victim.faults.disarm()
    victim.start()
