"""Requests byte by byte, for what no SDK would send, and the signatures to go with them."""

import html
import http.client
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 60


@dataclass
class Reply:
    """An answer: status, headers with lower-case names, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The error code in an XML body."""
        return self.field("Code")

    def field(self, name: str) -> str | None:
        """The text of the first element `name` of an XML body."""
        match = re.search(rf"<{name}>([^<]*)</{name}>", self.body.decode("utf-8", "replace"))
        return html.unescape(match.group(1)) if match else None


def address(endpoint: str) -> tuple[str, int]:
    """Host and port of an endpoint."""
    parts = urlsplit(endpoint)
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def host(endpoint: str) -> str:
    """The Host header for an endpoint."""
    return urlsplit(endpoint).netloc


def send(endpoint: str, method: str, target: str, headers=None, body: bytes = b"") -> Reply:
    """Sends one request with exactly this target and these headers.

    Host is added if absent; Content-Length too, unless Transfer-Encoding is there.
    """
    headers = dict(headers or {})
    given = {name.lower() for name in headers}
    connection = http.client.HTTPConnection(*address(endpoint), timeout=TIMEOUT_SECONDS)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        if "host" not in given:
            connection.putheader("Host", host(endpoint))
        if not given & {"content-length", "transfer-encoding"} and (body or method != "GET"):
            connection.putheader("Content-Length", str(len(body)))
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        if body:
            connection.send(body)
        answer = connection.getresponse()
        found = {}
        for name, value in answer.getheaders():
            found.setdefault(name.lower(), value)
        return Reply(answer.status, found, answer.read())
    finally:
        connection.close()


def exchange(endpoint: str, *pieces: bytes, half_close=False, timeout=20) -> bytes:
    """Sends raw bytes over a fresh connection and returns all that comes until it is closed.

    `half_close` says after the last piece that nothing more will follow. An end by reset counts
    as an end; silence for `timeout` seconds is an error.
    """
    with socket.create_connection(address(endpoint), timeout=timeout) as connection:
        received = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        except TimeoutError:
            raise
        except OSError:  # reset, broken pipe, not connected any more
            pass
        return received


def status_of(received: bytes) -> int | None:
    """The status of the first answer in raw bytes; None if there is none."""
    match = re.match(rb"HTTP/1\.[01] (\d{3})", received)
    return int(match.group(1)) if match else None


def head_of(method: str, target: str, headers: dict[str, str]) -> bytes:
    """The bytes of a request up to its body."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode()
