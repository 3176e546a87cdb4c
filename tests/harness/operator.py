"""The operator: `larder` commands with the keys of the root account."""

import json
import os
import subprocess
import threading

from harness.accounts import Account
from harness.server import BINARY, Server

ROOT = Account("root", "", "", "ROOTACCESSKEY", "root-secret-key")
PATIENCE_SECONDS = 300


def keys(account: Account = ROOT) -> dict[str, str]:
    """The variables by which a server gets its root keys, and a command finds them."""
    return {
        "LARDER_ROOT_ACCESS_KEY": account.access_key,
        "LARDER_ROOT_SECRET_KEY": account.secret_key,
    }


ENVIRONMENT = keys()


def larder(server: Server, *arguments, account=ROOT) -> subprocess.CompletedProcess:
    """A command where the server's files are, however it ends."""
    return subprocess.run(
        [BINARY, *map(str, arguments)],
        cwd=server.home,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env=os.environ | keys(account),
    )


def attempt(server: Server, *arguments, account=ROOT) -> subprocess.CompletedProcess:
    """A command that asks the server, however it ends."""
    return larder(server, *arguments, "--endpoint", server.endpoint or "", account=account)


def output(finished: subprocess.CompletedProcess) -> str:
    """What a command printed, which must have succeeded."""
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def is_clean(server: Server):
    """A check of the whole store finds nothing wrong."""
    finished = attempt(server, "check", "--json")
    report = json.loads(finished.stdout)
    assert finished.returncode == 0 and report["unreachable"] == 0, report


def until(condition, what: str):
    """Asks again and again; there is nothing to wait on across processes."""
    pause = threading.Event()
    for _ in range(PATIENCE_SECONDS * 10):
        if condition():
            return
        pause.wait(0.1)
    raise AssertionError(f"not in time: {what}")
