"""More than the server can do: it says so, stays within its memory, and is back at once.

Small counts by default; CONNECTIONS and UPLOADS set others (10000 and 1000 in tests/long/run).
Every limit has a control: without it the same load does what the limit prevents.
"""

import hashlib
import os
import resource
import shutil
import time

import pytest

from crash.faults import EVER, SLOW, SYNC, WRITE, Faults, compiled
from harness.crowd import Client, Watch, move
from harness.data import SEED
from harness.raw import head_of, host, send
from harness.server import Server
from harness.sign import UNSIGNED, S3V4
from harness.speaker import Speaker

CONNECTIONS = int(os.environ.get("CONNECTIONS", "400"))
UPLOADS = int(os.environ.get("UPLOADS", "60"))
HEALTH_SECONDS = float(os.environ.get("HEALTH_SECONDS", "5"))
MIB = 1024 * 1024
MEMORY = 512 * MIB
GIB_5 = 5 * 1024 * MIB
NO_LIMIT = 1 << 40

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def _many_files():
    """This process needs a descriptor for each connection."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def serve(tmp_path):
    """Starts a server with settings, under a limit of 512 MiB on what it may allocate."""
    servers = []

    def start(settings: str, environment=None, files=None) -> Server:
        before = ["prlimit", f"--data={MEMORY}"]
        if files:
            before.append(f"--nofile={files}")
        # Not for prlimit itself, which would hand the filter of the faults on.
        before += ["env", *(f"{name}={value}" for name, value in (environment or {}).items())]
        home = tmp_path / f"server{len(servers)}"
        server = Server(home, before=before, settings=settings)
        servers.append(server)
        server.start()
        Speaker(server.endpoint).tell("PUT", "/bucket")
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()
        shutil.rmtree(server.home / "data", ignore_errors=True)


def put_head(server: Server, key: str, size_bytes: int) -> bytes:
    """The head of a PUT whose body is not signed."""
    target = f"/bucket/{key}"
    headers = {"Content-Length": str(size_bytes)}
    signed = S3V4().sign("PUT", server.endpoint, target, headers, UNSIGNED)
    return head_of("PUT", target, signed)


def works_again(server: Server, seconds: float = 2.0):
    """A write and a read succeed, if not at once then within some moments."""
    begun = time.monotonic()
    body = os.urandom(3 * MIB)
    while True:
        with Speaker(server.endpoint) as speaker:
            reply = speaker.ask("PUT", "/bucket/after", body=body)
            if reply.status == 200:
                break
            assert reply.status == 503 and time.monotonic() - begun < seconds, reply
    with Speaker(server.endpoint) as speaker:
        assert speaker.tell("GET", "/bucket/after").body == body
    print(f"works again after {time.monotonic() - begun:.2f} s")


def answers_in_time(watch: Watch):
    """Health was answered throughout."""
    assert watch.asked and not watch.failures, watch.failures[:5]
    assert watch.slowest < HEALTH_SECONDS, watch.told()


def crowd(server: Server, count: int) -> list[Client]:
    """Connections that have had an answer and are kept open."""
    clients = []
    for _ in range(count):
        client = Client(server.endpoint)
        client.tell(head_of("GET", "/_larder/health", {"Host": host(server.endpoint)}))
        client.push()
        clients.append(client)
    move(clients, 60, until=lambda: all(client.answered for client in clients))
    return clients


def full_house(server: Server, count: int) -> list[Client]:
    """The same, when somebody may just have been about to leave."""
    clients = []
    for _ in range(20):
        missing = count - sum(not client.ended for client in clients)
        if not missing:
            return clients
        clients += crowd(server, missing)
        move(clients, 0.2)
    raise AssertionError(f"{missing} connections are not kept")


def refusals(server: Server):
    """What S3 and OSS clients are told now."""
    s3 = Speaker(server.endpoint).ask("GET", "/bucket")
    oss = send(server.endpoint, "GET", "/bucket/key", {"x-oss-date": "20260102T030405Z"})
    return s3, oss


def assert_refused(server: Server):
    """Both dialects say it in their own words."""
    s3, oss = refusals(server)
    assert (s3.status, s3.code, s3.headers["retry-after"]) == (503, "SlowDown", "1")
    assert (oss.status, oss.code, oss.headers["retry-after"]) == (503, "ServiceUnavailable", "1")
    assert "x-amz-request-id" in s3.headers and "x-oss-request-id" in oss.headers


def test_idle_connections_leave_health_and_a_clear_no(serve):
    server = serve(f"[server]\nconnections_max = {CONNECTIONS}\n")
    watch = Watch(server)
    clients = full_house(server, CONNECTIONS)
    # Only now: its own connections come and go, and none may be free to be taken.
    with watch:
        idle = sum(client.status == 200 and not client.ended for client in clients)
        for _ in range(20):
            assert_refused(server)
        reply = Speaker(server.endpoint).ask("PUT", "/bucket/large", body=bytes(2 * MIB))
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        for client in clients:
            client.close()
        works_again(server)
    print(f"{idle} idle connections: {watch.told()}")
    assert idle == CONNECTIONS
    answers_in_time(watch)
    assert watch.grown < 32 * MIB + CONNECTIONS * 32 * 1024


def test_control_without_the_limit_nobody_is_refused(serve):
    server = serve(f"[server]\nconnections_max = {CONNECTIONS * 2 + 100}\n")
    clients = crowd(server, CONNECTIONS)
    assert [reply.status for reply in refusals(server)] != [503, 503]
    for client in clients:
        client.close()


def test_connections_far_beyond_the_limit_are_not_kept_waiting(serve):
    server = serve("[server]\nconnections_max = 64\n")
    clients = full_house(server, 64)
    silent = [Client(server.endpoint) for _ in range(200)]
    move(silent, 8, until=lambda: all(client.ended for client in silent))
    assert all(client.ended for client in silent)
    told = [client for client in silent if client.received]
    assert told and {client.status for client in told} == {503}
    assert {client.header("retry-after") for client in told} == {"1"}
    with Watch(server) as watch:
        assert_refused(server)
        time.sleep(0.5)
    answers_in_time(watch)
    for client in clients:
        client.close()
    works_again(server)


def test_heads_that_drip_are_cut_and_free_their_place(serve):
    count = max(100, CONNECTIONS // 10)
    server = serve(f"[server]\nconnections_max = {count}\n")
    with Watch(server) as watch:
        clients = [Client(server.endpoint) for _ in range(count)]
        begun = time.monotonic()
        while not all(client.ended for client in clients):
            assert time.monotonic() - begun < 20, "some drip for ever"
            for client in clients:
                if not client.ended:
                    client.tell(b"G" if client.left == 0 and not client.received else b"x")
            move(clients, 0.5)
            if not all(client.ended for client in clients):
                status = Speaker(server.endpoint).ask("GET", "/bucket").status
                assert status in (200, 503)
        works_again(server)
    print(f"{count} dripping heads cut after {time.monotonic() - begun:.1f} s: {watch.told()}")
    answers_in_time(watch)


def uploads_of_5_gib(server: Server, count: int) -> list[Client]:
    """Uploads that announce 5 GiB, send 8 MiB and are cut."""
    clients = [Client(server.endpoint) for _ in range(count)]
    for number, client in enumerate(clients):
        client.tell(put_head(server, f"large/{number}", GIB_5), 8 * MIB)
    move(clients, 300, until=lambda: not any(client.sending for client in clients))
    return clients


def assert_taken_or_refused(server: Server, clients: list[Client]):
    """Whoever was answered was told 503 and when to come back; nobody was just cut off."""
    assert server.process.poll() is None, server.logged[-1000:]
    for client in clients:
        assert client.failed is None, client.failed
        assert client.status in (None, 503), client.received
        if client.status:
            assert client.header("retry-after") == "1", client.received


def test_uploads_that_announce_much_and_break_off(serve):
    server = serve("")
    with Watch(server) as watch:
        begun = time.monotonic()
        clients = uploads_of_5_gib(server, UPLOADS)
        sent = sum(client.left == 0 and not client.rest for client in clients)
        refused = sum(client.status == 503 for client in clients)
        assert_taken_or_refused(server, clients)
        for client in clients:
            client.close()
        seconds = time.monotonic() - begun
        works_again(server)
    counts = f"{sent} sent 8 MiB, {refused} refused, {seconds:.0f} s"
    print(f"{UPLOADS} uploads, {counts}: {watch.told()}")
    answers_in_time(watch)
    assert watch.most < MEMORY
    assert watch.grown < 2 * 64 * MIB + UPLOADS * 200 * 1024
    # Nothing of what broke off stays.
    deadline = time.monotonic() + 20
    unfinished = server.home / "data" / "tmp"
    while any(unfinished.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(unfinished.iterdir())


def standing_still(serve, waiting_bytes_max: int) -> Watch:
    """Bodies of 256 KiB whose last byte does not come."""
    server = serve(f"[storage]\nwaiting_bytes_max = {waiting_bytes_max}\n")
    count, size_bytes = 400, 256 * 1024
    with Watch(server) as watch:
        clients = [Client(server.endpoint) for _ in range(count)]
        for number, client in enumerate(clients):
            client.tell(put_head(server, f"small/{number}", size_bytes), size_bytes - 1)
        move(clients, 60, until=lambda: not any(client.sending for client in clients))
        move(clients, 1)
        assert_taken_or_refused(server, clients)
        if waiting_bytes_max < NO_LIMIT:
            with Speaker(server.endpoint) as speaker:
                assert speaker.ask("PUT", "/bucket/tiny", body=b"tiny").status == 200
        for client in clients:
            client.close()
        works_again(server)
    answers_in_time(watch)
    refused = sum(client.status == 503 for client in clients)
    print(f"{count} bodies stood still, {refused} refused: {watch.told()}")
    return watch


STANDING_STILL_BYTES = 128 * MIB


def test_bodies_that_stand_still_hold_bounded_memory(serve):
    assert standing_still(serve, 4 * MIB).grown < STANDING_STILL_BYTES


def test_control_without_the_limit_bodies_hold_what_they_like(serve):
    assert standing_still(serve, NO_LIMIT).grown > STANDING_STILL_BYTES


def test_without_descriptors_large_puts_are_answered(serve):
    server = serve("[server]\nconnections_max = 10000\n", files=256)
    assert "too few files may be open" in server.logged
    with Watch(server) as watch:
        clients = crowd(server, 150)
        uploads = [Client(server.endpoint) for _ in range(60)]
        for number, client in enumerate(uploads):
            client.tell(put_head(server, f"large/{number}", 4 * MIB), 4 * MIB)
        move(uploads, 60, until=lambda: all(client.answered for client in uploads))
        for client in clients:
            client.close()
        uploads = [Client(server.endpoint) for _ in range(40)]
        for number, client in enumerate(uploads):
            client.tell(put_head(server, f"large/{number}", 4 * MIB), 4 * MIB)
        move(uploads, 120, until=lambda: all(client.answered for client in uploads))
        statuses = [client.status for client in uploads]
        assert set(statuses) <= {200, 503}, statuses
        assert all(c.header("retry-after") == "1" for c in uploads if c.status == 503)
        for client in uploads:
            client.close()
        works_again(server)
    counts = {status: statuses.count(status) for status in set(statuses)}
    print(f"256 descriptors: large uploads {counts}, {watch.told()}")
    answers_in_time(watch)


def test_the_limit_of_open_files_is_raised(serve):
    server = serve("", files="256:4096")
    assert "open files: the limit was raised" in server.logged


def test_a_slow_disk_makes_wait_and_costs_no_memory(serve, tmp_path):
    faults = Faults(compiled(tmp_path), tmp_path / "control")
    settings = f"[storage]\nwaiting_bytes_max = {16 * MIB}\n"
    server = serve(settings, environment=faults.environment)
    size_bytes, count = 4 * MIB, min(UPLOADS, 100)
    with Watch(server) as watch:
        faults.arm(WRITE | SYNC, f"{server.home}/data/", SLOW, 1, EVER, error=200)
        clients = [Client(server.endpoint) for _ in range(count)]
        for number, client in enumerate(clients):
            client.tell(put_head(server, f"slow/{number}", size_bytes), size_bytes)
        move(clients, 10, until=lambda: all(client.answered for client in clients))
        slowed = faults.struck
        waiting = sum(client.status is None for client in clients)
        faults.disarm()
        move(clients, 60, until=lambda: all(client.answered for client in clients))
        works_again(server)
    statuses = [client.status for client in clients]
    counts = {status: statuses.count(status) for status in set(statuses)}
    print(f"SEED={SEED}: {slowed} slow calls, {waiting} waited, {counts}: {watch.told()}")
    assert slowed and set(statuses) <= {200, 503}, counts
    answers_in_time(watch)
    assert watch.grown < 2 * 16 * MIB + count * 400 * 1024
    with Speaker(server.endpoint) as speaker:
        for number, status in enumerate(statuses):
            if status == 200:
                body = speaker.tell("GET", f"/bucket/slow/{number}").body
                assert hashlib.sha256(body).digest() == hashlib.sha256(bytes(size_bytes)).digest()
