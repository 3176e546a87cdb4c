"""Copying a directory of a store, by the command that docs/backup.md names."""

import subprocess
from pathlib import Path

LEFT_OUT = ("--exclude=/meta", "--exclude=/meta.*", "--exclude=/larder.lock")
SOME_FILES_VANISHED = 24


def rsync(source: Path, target: Path, *, delete=False, written_to: bool):
    """One pass over one directory. While that is written to, files may vanish under way."""
    target.mkdir(parents=True, exist_ok=True)
    command = ["rsync", "-a", "--modify-window=-1", *LEFT_OUT]
    if delete:
        command.append("--delete")
    done = subprocess.run([*command, f"{source}/", f"{target}/"], capture_output=True, text=True)
    accepted = (0, SOME_FILES_VANISHED) if written_to else (0,)
    assert done.returncode in accepted, done.stderr
