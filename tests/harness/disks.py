"""File systems of their own on loop devices, whose power can be cut. Needs root."""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, the same number as XFS_IOC_GOINGDOWN
FREEZE, THAW = 0xC0045877, 0xC0045878  # FIFREEZE, FITHAW
WITHOUT_LOG = struct.pack("=I", 2)  # nothing is written any more, not even the journal
IMAGE_BYTES = 3 << 30  # sparse; the metadata sets 384 MiB aside, the blobs keep 256 MiB free
UNMOUNT_ATTEMPTS = 50
EXT4 = ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard", "-J", "size=16", "-m", "0")
MAKERS = {"ext4": EXT4, "xfs": ("mkfs.xfs", "-q", "-f", "-K")}
KINDS = tuple(MAKERS)


class Disk:
    """A file system in a file. What was not synced when its power is cut is gone."""

    def __init__(self, home: Path, name: str, kind="ext4", size=IMAGE_BYTES):
        self.kind = kind
        self.size = size
        self.image = home / f"{name}.img"
        self.path = home / name
        self.path.mkdir(parents=True)
        self.handle = None

    def format(self):
        """Makes it anew and mounts it."""
        self.image.unlink(missing_ok=True)
        with self.image.open("wb") as image:
            image.truncate(self.size)
        run(*MAKERS[self.kind], self.image)
        self.mount()

    def mount(self):
        """Mounts it, which replays the journal of the file system."""
        run("mount", "-o", "loop", self.image, self.path)
        self.handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)

    def cut(self):
        """Cuts the power. Everything on it fails from now on until it is mounted again."""
        fcntl.ioctl(self.handle, SHUTDOWN, WITHOUT_LOG)

    def unmount(self):
        """Unmounts it and frees the loop device; waits for a process that is just ending."""
        if self.handle is None:
            return
        os.close(self.handle)
        self.handle = None
        for attempt in range(UNMOUNT_ATTEMPTS):
            try:
                run("umount", "--detach-loop", self.path)
                return
            except AssertionError:
                if attempt == UNMOUNT_ATTEMPTS - 1:
                    raise
                time.sleep(0.1)

    def freeze(self):
        """Lets every write wait, with what is on the disk being whole, as before a snapshot of it."""
        fcntl.ioctl(self.handle, FREEZE, 0)

    def thaw(self):
        """Lets writes go on."""
        fcntl.ioctl(self.handle, THAW, 0)

    def copied_image(self) -> Path:
        """A copy of what is on the disk now; freeze it first."""
        copy = self.image.with_suffix(".copy")
        run("cp", "--sparse=always", self.image, copy)
        return copy

    def wipe(self):
        """Empties it, as if somebody had put a new disk in its place."""
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        os.sync()


@contextlib.contextmanager
def disks(home: Path, *names: str, kind="ext4", size=IMAGE_BYTES):
    """Formatted and mounted disks; they are gone afterwards."""
    made = [Disk(home, name, kind, size) for name in names]
    try:
        for disk in made:
            disk.format()
        yield made
    finally:
        for disk in made:
            disk.unmount()
            disk.image.unlink(missing_ok=True)


def demand_disks():
    """Skips the test where nobody can mount; root must be able to, or the test fails."""
    if os.geteuid() != 0:
        pytest.skip("POWER CUTS ARE NOT TESTED: only root can mount loop devices")
    makers = [maker[0] for maker in MAKERS.values()]
    missing = [maker for maker in makers if not shutil.which(maker)]
    if missing or not os.path.exists("/dev/loop-control"):
        needed = " and ".join((*makers, "loop devices"))
        pytest.fail(f"power cuts cannot be tested: {needed} are needed")


def run(*command):
    """Runs a command that must succeed."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
