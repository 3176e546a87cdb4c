"""What a server costs, read from /proc and from its directory."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SYNCS = ("fsync", "fdatasync", "sync_file_range", "syncfs", "msync")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
SYNCED_OPEN = re.compile(r"\bopen(?:at2?)?\(.*\bO_(?:DIRECT|DSYNC|SYNC)\b")


def say(*words):
    print("bench:", *words, file=sys.stderr, flush=True)


def family(pid: int) -> list[int]:
    """The process and all that it started."""
    found = [pid]
    for parent in found:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in path.read_text().split()]
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its children, ended ones included."""
    ticks = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_SECOND


def memory_bytes(pid: int, field: str) -> int:
    """`VmRSS` (now) or `VmHWM` (the peak), summed over the family."""
    total = 0
    for member in family(pid):
        try:
            text = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue
        match = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
        total += int(match[1]) * 1024 if match else 0
    return total


def disk_bytes(home: Path) -> int:
    """What the files below `home` take on disk, folders included."""
    found = subprocess.run(
        ["du", "--summarize", "--block-size=1", home], capture_output=True, text=True, check=False
    )
    return int(found.stdout.split()[0])


def count_syncs(lines) -> dict[str, int]:
    """Counts what makes data durable in the output of strace."""
    counts = dict.fromkeys((*SYNCS, "synced_opens"), 0)
    for line in lines:
        if "resumed>" in line:
            continue
        for name in SYNCS:
            counts[name] += f" {name}(" in line
        counts["synced_opens"] += bool(SYNCED_OPEN.search(QUOTED.sub("", line)))
    return counts


class Syncs:
    """Counts syncs of a server while the block runs; `counts` afterwards."""

    def __init__(self, pid: int, log: Path):
        self.pid, self.log, self.counts = pid, log, None

    def __enter__(self):
        calls = ",".join(("open", "openat", *SYNCS))
        members = [flag for member in family(self.pid) for flag in ("-p", str(member))]
        self.log.unlink(missing_ok=True)
        command = ["strace", "-f", "-e", f"trace={calls}", "-o", self.log, *members]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(500):
            status = Path(f"/proc/{self.pid}/status").read_text()
            if not re.search(r"^TracerPid:\s+0$", status, re.MULTILINE):
                break
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.counts = count_syncs(self.log.read_text(errors="replace").splitlines())
