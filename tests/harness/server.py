"""A Larder process: start, wait until ready, stop, kill, start again."""

import os
import re
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

from harness.accounts import OTHER, OWNER

BINARY = Path(os.environ.get("LARDER", Path(__file__).parents[2] / "target" / "release" / "larder"))
ENDPOINT = re.compile(r"https?://127\.0\.0\.1:\d+")
START_SECONDS = 60
STOP_SECONDS = 60


class Elsewhere:
    """A server that somebody else runs, named by ENDPOINT."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint.rstrip("/")


class Server:
    """One process over `directories` (as on the command line) below `home`.

    Use it as a context manager. `start` may be called again after `stop` or `kill`; the port
    then is another one. `before` is a command that runs the server's, `settings` the beginning of
    its configuration file.
    """

    def __init__(
        self,
        home: Path,
        directories=("data",),
        arguments=(),
        environment=None,
        before=(),
        settings="",
    ):
        self.home = home
        self.directories = directories
        self.arguments = arguments
        self.environment = environment or {}
        self.before = before
        self.endpoint = None
        self.process = None
        self.log = home / "server.log"
        home.mkdir(parents=True, exist_ok=True)
        self.config = home / "config.toml"
        tables = (account.table() for account in (OWNER, OTHER))
        self.config.write_text("\n".join((settings, *tables)))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def logged(self) -> str:
        """All that the process wrote to standard error so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self):
        """Starts the process and returns when it says that it is ready."""
        self.begin()
        self.endpoint = self._printed_endpoint()
        self._wait_until_ready()

    def begin(self):
        """Starts the process and waits for nothing."""
        command = [*self.before, str(BINARY), "serve", "--listen", "127.0.0.1:0"]
        command += ["--config", str(self.config), *self.arguments, *self.directories]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LARDER_")}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment | self.environment,
            )

    def stop(self):
        """Ends the process as an operator does; it must end well."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS)
        assert code == 0, f"SIGTERM ended with exit code {code}\n{self.logged[-4000:]}"

    def pause(self):
        """Stops the process where it is: it answers nothing any more, though what it asked of the
        kernel may still be done."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        while {_state(task) for task in tasks.iterdir()} - {"T", "D", "Z"}:
            os.sched_yield()

    def kill(self):
        """Ends the process without a warning."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def _printed_endpoint(self) -> str:
        """The address in the first line of standard output that has one; the rest is drained."""
        found = threading.Event()
        printed = []

        def read():
            for line in self.process.stdout:
                printed.append(line)
                if ENDPOINT.search(line):
                    found.set()
            found.set()

        threading.Thread(target=read, daemon=True).start()
        assert found.wait(START_SECONDS), "the server printed no endpoint in time"
        match = ENDPOINT.search("".join(printed))
        assert match, f"the server ended while starting\n{''.join(printed)}\n{self.logged[-4000:]}"
        return match.group()

    def _wait_until_ready(self):
        """Asks until the answer is 200. A refused connection cannot happen: it listens already."""
        pause = threading.Event()
        status = None
        for _ in range(START_SECONDS * 20):
            assert self.process.poll() is None, f"the server ended\n{self.logged[-4000:]}"
            status = http_status(f"{self.endpoint}/_larder/ready")
            if status == 200:
                return
            pause.wait(0.05)
        raise AssertionError(f"not ready in time, the last answer was {status}")


def _state(task: Path) -> str:
    """The letter for what a thread is doing; Z if it has ended meanwhile. See proc(5)."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def http_status(url: str) -> int | None:
    """The status of a GET, or None if nobody answered."""
    insecure = ssl._create_unverified_context() if url.startswith("https") else None
    try:
        with urllib.request.urlopen(url, timeout=5, context=insecure) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
