"""A server on three disks whose power goes at once."""

import contextlib
import random
import time
from pathlib import Path

from crash.load import Load
from harness.disks import Disk, disks
from harness.server import Server

NAMES = ("one", "two", "three")
ZONES = tuple(f"zone-{name}={name}" for name in NAMES)


class Rack:
    """The server, its disks, and how long its starts took."""

    def __init__(self, server: Server, made: list[Disk], chance: random.Random):
        self.server = server
        self.disks = made
        self.chance = chance
        self.cuts = 0
        self.slowest_start = 0.0

    def start(self):
        """Starts the server and measures that."""
        begun = time.monotonic()
        self.server.start()
        self.slowest_start = max(self.slowest_start, time.monotonic() - begun)

    def cut(self):
        """Cuts the power of all disks and ends the process; the disks are back afterwards.

        The process stops first. While a file system is being shut down, `fdatasync` answers well
        now and then for what is lost with it; with the power, whoever would have believed that is
        gone.
        """
        self.server.pause()
        for disk in self.disks:
            disk.cut()
        self.server.kill()
        for disk in self.disks:
            disk.unmount()
        for disk in self.disks:
            disk.mount()
        self.cuts += 1

    def cut_under_load(self, load: Load):
        """Lets the load run for a while and cuts the power; now and then once more at the start."""
        load.begin()
        load.wait_for(acknowledged=self.chance.randrange(5, 400))
        load.crashing.set()
        self.cut()
        load.end()
        if self.chance.random() < 0.3:
            self.cut_while_starting(0.6)

    def copy_under_load(self, load: Load):
        """Copies all disks at one moment while the load runs, and goes on with the copies."""
        load.begin()
        load.wait_for(acknowledged=self.chance.randrange(5, 400))
        for disk in self.disks:
            disk.freeze()
        copies = [disk.copied_image() for disk in self.disks]
        load.crashing.set()
        # It ends before anything that waits is answered.
        self.server.process.kill()
        for disk in self.disks:
            disk.thaw()
        self.server.kill()
        load.end()
        for disk, copy in zip(self.disks, copies, strict=True):
            disk.unmount()
            copy.replace(disk.image)
            disk.mount()

    def cut_while_starting(self, seconds_max: float):
        """Starts the server and cuts the power soon after, ready or not."""
        self.server.begin()
        time.sleep(self.chance.uniform(0, seconds_max))
        self.cut()


@contextlib.contextmanager
def rack(home: Path, chance: random.Random, kind="ext4"):
    """A server on three fresh disks, not started yet."""
    with disks(home, *NAMES, kind=kind) as made:
        server = Server(home, ZONES)
        try:
            yield Rack(server, made, chance)
        finally:
            if server.process:
                server.kill()
