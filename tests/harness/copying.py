"""Copies directories of a store, also while it is served, as `docs/backup.md` does with rsync."""

import os
import shutil
from pathlib import Path

# What is not copied: metadata, which an export carries, and the lock.
LEFT = ("meta", "larder.lock")


def _left(name: str) -> bool:
    return name in LEFT or name.startswith("meta.")


def rsync(source: Path, target: Path, *, delete=False):
    """rsync -a --modify-window=-1 --exclude=/meta… of one directory; files that vanish are none."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if not _left(path.name):
            _copy(path, target / path.name, delete=delete)
    if delete:
        for path in target.iterdir():
            if not _left(path.name) and not (source / path.name).exists():
                _remove(path)


def _copy(source: Path, target: Path, *, delete: bool):
    try:
        about = source.stat()
        if source.is_dir():
            target.mkdir(exist_ok=True)
            for path in sorted(source.iterdir()):
                _copy(path, target / path.name, delete=delete)
            if delete:
                for path in list(target.iterdir()):
                    if not (source / path.name).exists():
                        _remove(path)
            shutil.copystat(source, target)
            return
        if target.exists():
            known = target.stat()
            if (known.st_size, known.st_mtime_ns) == (about.st_size, about.st_mtime_ns):
                return
        fresh = target.with_name(f".{target.name}.copying")
        shutil.copyfile(source, fresh)
        fresh.chmod(about.st_mode & 0o7777)
        # The time from before it was read: whatever is written meanwhile shows the next time.
        fresh.rename(target)
        os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))
    except FileNotFoundError:
        return


def _remove(path: Path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
