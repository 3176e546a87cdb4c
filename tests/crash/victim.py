"""A server whose system calls a test makes fail or fatal, and a client that makes every change."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator

from crash.check import check
from crash.faults import Faults
from crash.load import Load, Writer
from harness.data import SEED
from harness.server import Server
from harness.speaker import BROKEN, Refused, Speaker

STRIDE = int(os.environ.get("STRIDE", "40"))
REMOVAL_SECONDS = 5.0  # how soon after a change most files are removed
ORPHAN_SECONDS = 40.0  # how soon after a start files without a name are removed


class Victim:
    """A server that the test kills from inside, and how its starts went."""

    def __init__(self, server: Server, faults: Faults):
        self.server = server
        self.faults = faults
        self.inside = f"{server.home}/"
        self.load = Load(SEED)
        self.refused: list[Refused] = []
        self.kills = 0
        self.slowest_start = 0.0

    def start(self):
        """Starts it, looks at everything that was there, and removes it."""
        begun = time.monotonic()
        self.server.start()
        self.slowest_start = max(self.slowest_start, time.monotonic() - begun)
        self.load.connect(self.server.endpoint)
        if self.load.round == 1:
            self.load.create_buckets()
        check(self.load)
        self.empty()

    def empty(self):
        """Deletes all versions of all keys."""
        for (bucket, key), [state] in self.load.possible.items():
            for version in state.versions:
                named = {"VersionId": version.identity} if version.identity else {}
                self.load.s3.delete_object(Bucket=bucket, Key=key, **named)
        self.load.possible.clear()
        self.load.seen.clear()

    def live(self, salt: str):
        """Makes every kind of change until the server is gone or refuses one.

        What was refused may have happened: that is open until the next start.
        """
        self._make(Writer.all_kinds, salt)

    def look(self, salt: str):
        """Stores so many objects that each directory has some, and reads them all."""
        self._make(Writer.further_keys, salt)
        check(self.load)

    def _make(self, changes: Callable[[Writer], Iterator[Callable]], salt: str):
        chance = random.Random(f"{SEED}/{salt}")
        with Speaker(self.server.endpoint) as speaker:
            try:
                for change in changes(Writer(self.load, speaker, 0, chance)):
                    change()
            except Refused as error:
                self.refused.append(error)
            except BROKEN:
                pass

    def wait_for_call(self, number: int):
        """Files are removed in the background: gives the N-th removal some time to come."""
        until = time.monotonic() + REMOVAL_SECONDS
        while self.faults.counted < number and time.monotonic() < until:
            time.sleep(0.02)

    def died(self, seconds: float) -> bool:
        """Whether the server ends within some time, by the signal and by nothing else."""
        waited = time.monotonic() + seconds
        while self.server.process.poll() is None and time.monotonic() < waited:
            time.sleep(0.01)
        code = self.server.process.poll()
        assert code in (None, -signal.SIGKILL), f"exit code {code}: {self.server.logged[-2000:]}"
        self.kills += code is not None
        return code is not None


def numbers(total: int) -> range:
    """Which calls are swept, at least three if there are so many."""
    stride = min(STRIDE, max(1, total // 3))
    return range(1 + SEED % stride, total + 1, stride)


def leftovers(server: Server) -> list[str]:
    """Large blobs and unfinished files in a store that holds nothing, once it had some time."""
    until = time.monotonic() + ORPHAN_SECONDS
    while (found := files(server)) and time.monotonic() < until:
        time.sleep(0.2)
    return found


def files(server: Server) -> list[str]:
    """All files below `blobs` and `tmp` of all directories."""
    roots = [server.home / name.split("=")[-1] for name in server.directories]
    folders = [root / folder for root in roots for folder in ("blobs", "tmp")]
    return [str(it) for folder in folders for it in folder.rglob("*") if it.is_file()]
