"""kill -9 at the N-th write, sync, rename or removal of a file, N swept over all of them.

One client makes every kind of change, small and large; at the N-th call of a kind the server kills
itself. Then the old or the new state must be there, and in the end no file that nothing names.

STRIDE sets which N: every STRIDE-th, beginning with SEED modulo STRIDE. STRIDE=1 takes all.
"""

import time

import pytest

from crash.faults import KILL, KINDS
from crash.victim import STRIDE, leftovers, numbers
from harness.data import SEED

KILLING = ("write", "sync", "rename", "unlink")
REMOVAL_SECONDS = 3.0  # how soon what a change left unnamed is removed


one_and_three = pytest.mark.parametrize(
    "victim", [("data",), ("a=one", "b=two", "c=three")], ids=["one", "three"], indirect=True
)


@one_and_three
@pytest.mark.parametrize("kind", KILLING)
@pytest.mark.timeout(3600)
def test_kill_9_at_any_call_leaves_the_old_or_the_new_state(victim, kind):
    victim.start()
    victim.faults.count(KINDS[kind], victim.inside)
    victim.live(kind)
    assert not victim.died(REMOVAL_SECONDS)
    total = victim.faults.counted
    assert total > 0, "nothing to kill at"
    victim.server.stop()
    for number in numbers(total):
        victim.faults.disarm()
        victim.start()
        victim.faults.arm(KINDS[kind], victim.inside, KILL, number)
        victim.live(f"{kind}/{number}")
        if not victim.died(REMOVAL_SECONDS if kind == "unlink" else 0.5):
            victim.server.kill()
    victim.faults.disarm()
    victim.start()
    assert victim.kills > 0, "nobody was killed"
    left = leftovers(victim.server)
    print(
        f"\nSEED={SEED}: {kind}, {victim.kills} kills at {len(numbers(total))} of {total} calls, "
        f"{victim.load.acknowledged_ever} acknowledged, 0 lost, "
        f"slowest start {victim.slowest_start:.2f} s"
    )
    assert not left, f"SEED={SEED}: files that nothing names: {left}"


@one_and_three
@pytest.mark.timeout(3600)
def test_kill_9_at_any_call_of_a_start_leaves_a_store_that_starts(victim):
    victim.start()
    kinds = KINDS["write"] | KINDS["sync"] | KINDS["rename"] | KINDS["unlink"]
    victim.live("start")
    victim.server.kill()
    number, step = 1 + SEED % STRIDE, 0
    while True:
        victim.faults.arm(kinds, victim.inside, KILL, number)
        victim.server.begin()
        victim.server.process.stdout.close()
        if not victim.died(2.0):
            break
        victim.faults.disarm()
        if step % 4 == 0:  # else the next one begins where this one broke off
            victim.start()
            victim.live("start")
            victim.server.kill()
        number, step = number + STRIDE, step + 1
    victim.server.kill()
    victim.faults.disarm()
    victim.start()
    print(f"\nSEED={SEED}: {victim.kills} kills in {number} calls of a start")
    assert victim.kills > 0
