"""Bodies that a connection sends itself, past the HTTP library: not a byte may get out of place."""

import contextlib
import socket

import pytest

from harness.data import KIB, MIB, some_bytes
from harness.raw import address, head_of
from harness.sign import S3V4, UNSIGNED, s3_request

SIZES = {"small": 10, "packed": 200 * KIB, "large": 3 * MIB + 17, "larger": 9 * MIB}


@pytest.fixture(scope="module")
def contents():
    return {key: some_bytes(size) for key, size in SIZES.items()}


@pytest.fixture
def filled(s3, bucket, contents):
    for key, content in contents.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    return bucket


def get(endpoint, bucket, key, method="GET", **headers):
    """The head of a signed request."""
    target = f"/{bucket}/{key}"
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return head_of(method, target, S3V4().sign(method, endpoint, target, payload=UNSIGNED) | headers)


class Answers:
    """Reads one answer after another from a connection."""

    def __init__(self, connection):
        self.file = connection.makefile("rb")

    def head(self):
        status = self.file.readline().split()[1]
        lines = iter(self.file.readline, b"\r\n")
        fields = (line.decode().strip().partition(": ") for line in lines)
        return int(status), {name.lower(): value for name, _, value in fields}

    def next(self):
        status, headers = self.head()
        assert "transfer-encoding" not in headers
        return status, self.file.read(int(headers["content-length"]))


@pytest.fixture
def connection(endpoint):
    with socket.create_connection(address(endpoint), timeout=60) as connection:
        yield connection


def test_answers_to_requests_sent_at_once_come_whole_and_in_order(
    endpoint, filled, contents, connection
):
    keys = ["large", "small", "larger", "packed", "large", "nothing", "larger", "small"]
    connection.sendall(b"".join(get(endpoint, filled, key) for key in keys))
    answers = Answers(connection)
    for key in keys:
        status, body = answers.next()
        assert status == (200 if key in contents else 404)
        assert body == contents.get(key, body), key


def test_a_client_that_reads_slowly_gets_every_byte(endpoint, filled, contents, connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * KIB)
    connection.sendall(get(endpoint, filled, "larger") + get(endpoint, filled, "small"))
    answers = Answers(connection)
    _, headers = answers.head()
    body = bytearray()
    while len(body) < int(headers["content-length"]):
        left = int(headers["content-length"]) - len(body)
        body += answers.file.read(min(left, 700 * KIB))
        # Others are served while this answer waits for its client.
        assert s3_request(endpoint, "GET", f"/{filled}/larger").body == contents["larger"]
    assert body == contents["larger"]
    assert answers.next() == (200, contents["small"])


def test_many_clients_that_stand_still_keep_nobody_waiting(endpoint, filled, contents):
    with contextlib.ExitStack() as stack:
        standing = [
            stack.enter_context(socket.create_connection(address(endpoint), timeout=60))
            for _ in range(80)
        ]
        for connection in standing:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * KIB)
            connection.sendall(get(endpoint, filled, "larger"))
            connection.recv(1, socket.MSG_PEEK)
        for _ in range(3):
            assert s3_request(endpoint, "GET", f"/{filled}/larger").body == contents["larger"]
        for connection in standing:
            assert Answers(connection).next() == (200, contents["larger"])


def test_a_head_has_no_body_and_the_next_answer_follows(endpoint, filled, contents, connection):
    answers = Answers(connection)
    for key in ("large", "small", "larger"):
        connection.sendall(get(endpoint, filled, key, "HEAD"))
        assert answers.head()[1]["content-length"] == str(SIZES[key])
        connection.sendall(get(endpoint, filled, key))
        assert answers.next() == (200, contents[key])


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (0, MIB),
        (1, 2 * MIB),
        (128 * KIB - 1, 128 * KIB),
        (300_000, 3_000_000),
        (3 * MIB, 3 * MIB + 16),
    ],
)
def test_ranges_of_large_objects_are_exact(endpoint, filled, contents, connection, first, last):
    asked = get(endpoint, filled, "large", Range=f"bytes={first}-{last}")
    connection.sendall(asked + get(endpoint, filled, "small"))
    answers = Answers(connection)
    assert answers.next() == (206, contents["large"][first : last + 1])
    assert answers.next() == (200, contents["small"])


def test_http_1_0_gets_a_length_too(endpoint, filled, contents, connection):
    asked = get(endpoint, filled, "large").replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1)
    connection.sendall(asked)
    answers = Answers(connection)
    assert answers.next() == (200, contents["large"])
    assert answers.file.read() == b"", "the connection ends"


def test_a_connection_that_is_to_end_ends_behind_the_body(endpoint, filled, contents, connection):
    connection.sendall(get(endpoint, filled, "larger", Connection="close"))
    answers = Answers(connection)
    assert answers.next() == (200, contents["larger"])
    assert answers.file.read() == b""


def test_who_leaves_in_the_midst_harms_nobody(endpoint, filled, contents):
    for _ in range(20):
        with socket.create_connection(address(endpoint), timeout=60) as connection:
            connection.sendall(get(endpoint, filled, "larger"))
            assert Answers(connection).head()[0] == 200
    for key, content in contents.items():
        assert s3_request(endpoint, "GET", f"/{filled}/{key}").body == content
