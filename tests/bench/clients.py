"""The client tools on a tree of small files and on one large file: what users wait for."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from measure import cpu_seconds, say
from peers import ACCESS_KEY, SECRET_KEY

FILES, FILE_BYTES = 1000, 4096
LARGE_BYTES = 1 << 30


def tree(home: Path) -> Path:
    folder = home / "client-tree"
    for number in range(FILES):
        path = folder / str(number % 20) / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(FILE_BYTES))
    return folder


def large(home: Path) -> Path:
    path = home / "client-large"
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(LARGE_BYTES // len(block)):
            file.write(block)
    return path


def commands(peer, bucket: str, folder: Path, file: Path) -> dict[str, list[list[str]]]:
    """What each tool is called with, one after the other."""
    url = f"http://{peer.address}"
    remote = f":s3,provider=Other,env_auth,region={peer.region},endpoint='{url}':{bucket}/rclone"
    restic = ["restic", "--no-cache", "-r", f"s3:{url}/{bucket}/restic"]
    ossutil = ["ossutil", "cp", "-r", "-f", str(folder), f"oss://{bucket}/ossutil/", "-e", url]
    ossutil += ["-i", ACCESS_KEY, "-k", SECRET_KEY]
    aws = ["aws", "--endpoint-url", url, "s3"]
    copy, stored = [*aws, "cp", "--only-show-errors"], f"s3://{bucket}/large"
    every = {
        "rclone": [["rclone", "--config", "/dev/null", "copy", str(folder), remote]],
        "aws": [[*aws, "sync", "--only-show-errors", str(folder), f"s3://{bucket}/aws"]],
        "restic": [[*restic, "init"], [*restic, "backup", str(folder)]],
        "aws 1 GiB up": [[*copy, str(file), stored]],
        "aws 1 GiB down": [[*copy, stored, str(file)]],
    }
    # The others do not speak OSS.
    return every | ({"ossutil": [ossutil]} if peer.name == "larder" else {})


def run_clients(peer, bucket: str, home: Path):
    """Yields what each tool took, or why it failed."""
    folder, file = tree(home), large(home)
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": peer.region,
        "RESTIC_PASSWORD": "bench",
    }
    for tool, calls in commands(peer, bucket, folder, file).items():
        if not shutil.which(calls[0][0]):
            say(f"SKIPPED {tool}: not installed; tests/setup makes it")
            continue
        pid = peer.process.pid
        cpu, begin = cpu_seconds(pid), time.monotonic()
        for call in calls:
            done = subprocess.run(call, env=environment, capture_output=True, check=False)
            if done.returncode:
                say(f"FAILED {peer.name} {tool}: {done.stderr[-400:]}")
                yield {"tool": tool, "why": done.stderr[-400:].decode(errors="replace")}
                break
        else:
            seconds = time.monotonic() - begin
            yield {"tool": tool, "seconds": seconds, "server_cpu_seconds": cpu_seconds(pid) - cpu}
    shutil.rmtree(folder)
    file.unlink()
