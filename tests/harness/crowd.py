"""Many connections at once from one thread, and an eye on the server meanwhile."""

import contextlib
import re
import selectors
import socket
import threading
import time
from pathlib import Path

from harness.raw import address, send

PIECE_BYTES = 64 * 1024


class Client:
    """One connection: sends `rest` as far as the server takes it, and keeps what comes back."""

    def __init__(self, endpoint: str):
        self.socket = socket.socket()
        self.socket.settimeout(20)
        self.failed = None
        try:
            self.socket.connect(address(endpoint))
        except OSError as error:
            self.failed = error
        self.socket.setblocking(False)
        self.rest = b""
        self.left = 0
        self.received = b""
        self.ended = self.failed is not None

    def tell(self, head: bytes, body_bytes: int = 0):
        """From now on sends the head and so many bytes."""
        self.rest, self.left = head, body_bytes

    @property
    def sending(self) -> bool:
        """Something is left to be sent, and no answer has come."""
        return bool(self.rest or self.left) and not self.received and not self.ended

    @property
    def answered(self) -> bool:
        """Nothing more is to be expected."""
        return self.ended or self.status is not None

    @property
    def status(self) -> int | None:
        """The status of the first final answer."""
        found = re.findall(rb"HTTP/1\.1 (\d{3})", self.received)
        return next((int(it) for it in found if it != b"100"), None)

    def header(self, name: str) -> str | None:
        """A header of the answer."""
        found = re.search(rf"(?im)^{name}: *([^\r]*)".encode(), self.received)
        return found.group(1).decode() if found else None

    def push(self):
        """Sends what goes now."""
        if not self.rest and self.left:
            self.rest = bytes(min(PIECE_BYTES, self.left))
            self.left -= len(self.rest)
        try:
            self.rest = self.rest[self.socket.send(self.rest) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self.failed, self.rest, self.left = error, b"", 0

    def pull(self):
        """Takes what has come."""
        try:
            while not self.ended:
                piece = self.socket.recv(65536)
                self.ended = not piece
                self.received += piece
        except BlockingIOError:
            pass
        except OSError as error:
            self.failed, self.ended = self.failed or error, True

    def close(self):
        """Goes away without a word."""
        self.socket.close()
        self.ended = True


def move(clients: list[Client], seconds: float, until=lambda: False):
    """Lets all clients send and receive until they are through, `until` says so, or time is up."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for client in clients:
            if not client.ended:
                events = selectors.EVENT_READ | selectors.EVENT_WRITE
                selector.register(client.socket, events if client.sending else 1, client)
        while selector.get_map() and time.monotonic() < deadline and not until():
            for key, events in selector.select(0.1):
                client = key.data
                if events & selectors.EVENT_WRITE:
                    client.push()
                if events & selectors.EVENT_READ:
                    client.pull()
                if client.ended:
                    selector.unregister(client.socket)
                elif not client.sending and key.events != selectors.EVENT_READ:
                    selector.modify(client.socket, selectors.EVENT_READ, client)


class Watch(threading.Thread):
    """Asks for the server's health all the time, and notes its memory. A context manager."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.over = threading.Event()
        self.asked = 0
        self.slowest = 0.0
        self.failures = []
        self.before = resident(server)
        self.most = self.before

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.most = max(self.most, resident(self.server))

    def run(self):
        """Until the end, and once at least."""
        while not self.asked or not self.over.wait(0.1):
            begun = time.monotonic()
            try:
                status = send(self.server.endpoint, "GET", "/_larder/health").status
                if status != 200:
                    self.failures.append(status)
            except (OSError, ValueError) as error:
                self.failures.append(error)
            self.asked += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.most = max(self.most, resident(self.server))

    @property
    def grown(self) -> int:
        """Bytes of memory more than at the beginning, at the worst moment."""
        return self.most - self.before

    def told(self) -> str:
        """For people."""
        return (
            f"health asked {self.asked} times, slowest {self.slowest:.2f} s, "
            f"memory {self.before >> 20} -> {self.most >> 20} MiB"
        )


def resident(server, what="VmRSS") -> int:
    """Bytes of memory that the server has now, or had at most (`VmHWM`); 0 if it has ended."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{server.process.pid}/status").read_text()
        if found := re.search(rf"{what}:\s+(\d+) kB", text):
            return int(found.group(1)) * 1024
    return 0
