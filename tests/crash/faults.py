"""Lets the N-th system call of a running server kill it, fail, be cut short or slow (faults.c)."""

import mmap
import struct
import subprocess
from pathlib import Path

WRITE, SYNC, RENAME, UNLINK, READ = 1, 2, 4, 8, 16
KINDS = {"write": WRITE, "sync": SYNC, "rename": RENAME, "unlink": UNLINK, "read": READ}
KILL, FAIL, SHORT, SLOW = 1, 2, 3, 4
EVER = 2**64 - 1

_LAYOUT = struct.Struct("=8Q256s")
_COUNTED = struct.Struct("=3Q")
_COUNTED_AT = 5 * 8


def compiled(folder: Path) -> Path:
    """The library, built in `folder`."""
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o", library, source]
    subprocess.run(command, check=True)
    return library


class Faults:
    """What is to happen to one server; `environment` is what that server needs."""

    def __init__(self, library: Path, home: Path):
        home.mkdir(parents=True, exist_ok=True)
        file = home / "faults"
        file.write_bytes(bytes(_LAYOUT.size))
        with file.open("r+b") as opened:
            self.shared = mmap.mmap(opened.fileno(), _LAYOUT.size)
        self.environment = {"LD_PRELOAD": str(library), "FAULTS": str(file)}

    def count(self, kinds: int, inside: str):
        """From now on counts calls of these kinds on paths that have `inside` in them."""
        self.arm(kinds, inside, act=KILL, first=0)

    def arm(self, kinds: int, inside: str, act: int, first: int, last=None, error=0):
        """From now on the calls number `first` to `last` are hit; counting begins anew."""
        last = first if last is None else last
        where = inside.encode()
        assert len(where) < 256, f"too long: {inside}"
        # The numbers come first: until `first` is there, nothing is hit.
        self.shared[: _LAYOUT.size] = bytes(_LAYOUT.size)
        self.shared[: _LAYOUT.size] = _LAYOUT.pack(
            kinds, act, error, first, last, 0, 0, 0, where
        )

    def disarm(self):
        """Nothing happens any more."""
        self.shared[: _LAYOUT.size] = bytes(_LAYOUT.size)

    @property
    def counted(self) -> int:
        """Calls that counted since the last change."""
        return self._numbers()[0]

    @property
    def struck(self) -> int:
        """How many of them were hit."""
        return self._numbers()[1]

    @property
    def synced_again(self) -> int:
        """Syncs of a file whose sync had failed: the kernel would have dropped its pages."""
        return self._numbers()[2]

    def _numbers(self):
        return _COUNTED.unpack_from(self.shared, _COUNTED_AT)
