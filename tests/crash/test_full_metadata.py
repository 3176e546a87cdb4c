"""The disk with the metadata is full, on a small file system of its own, under four clients.

What adds is refused in the caller's dialect; reads and deletes go on, also where not a byte is
left; and as soon as there is room again writing goes on, without a start. That a disk is full is
logged when it gets so, not for each request, whatever lies on it.
"""

import errno
import os
import threading
from collections import Counter
from pathlib import Path

import oss2.exceptions
import pytest

from harness.clients import oss_bucket
from harness.disks import Disk, demand_disks, disks
from harness.operator import until
from harness.server import Server, http_status
from harness.speaker import Speaker

# The metadata sets 384 MiB aside: not enough is left for a third journal file.
DISK_BYTES = 530 << 20
DIRECTORIES = ("m=meta", "a=one", "b=two")
ARGUMENTS = ("--metadata", "meta", "--copies", "2")
CLIENTS = 4
# Some kilobytes of metadata for each object, so that the journal grows quickly.
HEADERS = {f"x-amz-meta-{number}": "m" * 480 for number in range(4)}
CORS = (
    "<CORSConfiguration>"
    + "".join(
        "<CORSRule><AllowedOrigin>https://"
        + f"{number:02}{'o' * 400}"
        + "</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
        for number in range(100)
    )
    + "</CORSConfiguration>"
).encode()

pytestmark = pytest.mark.timeout(600)


class Load:
    """Clients that write, read and delete until they are told to end, as often as one likes."""

    def __init__(self, server: Server):
        self.server = server
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.there = {}
        self.gone = set()
        self.answers = Counter()
        self.faults = []
        self.threads = []
        self.rounds = 0

    def __enter__(self):
        self.over.clear()
        self.rounds += 1
        for number in range(CLIENTS):
            thread = threading.Thread(target=self._guarded, args=(number,))
            self.threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        while self.threads:
            self.threads.pop().join()

    def until(self, what: str, condition):
        """Waits for answers from now on of which the condition is true, without any fault."""
        with self.lock:
            self.answers.clear()
        until(lambda: self.faults or condition(self.answers), what)
        assert not self.faults, self.faults[0]

    def _guarded(self, number: int):
        try:
            with Speaker(self.server.endpoint) as speaker:
                self._work(speaker, f"/full/{self.rounds}/{number}")
        except Exception as error:
            self.faults.append(error)

    def _work(self, speaker: Speaker, folder: str):
        mine, turn = [], 0
        while not self.over.is_set():
            turn += 1
            key, body = f"{folder}/{turn:06}", f"{folder} {turn}".encode()
            if self._ask(speaker, "PUT", key, HEADERS, body) == 200:
                self.there[key] = body
                mine.append(key)
            if turn % 4 == 0:
                self._ask(speaker, "PUT", "/full?cors", None, CORS)
            if mine and turn % 3 == 0:
                read = speaker.ask("GET", mine[-1])
                assert (read.status, read.body) == (200, self.there[mine[-1]]), read
            if mine and turn % 5 == 0:
                key = mine.pop(0)
                del self.there[key]
                if self._ask(speaker, "DELETE", key) == 204:
                    self.gone.add(key)

    def _ask(self, speaker: Speaker, method: str, target: str, headers=None, body=b"") -> int:
        reply = speaker.ask(method, target, headers, body)
        with self.lock:
            self.answers[method, reply.status] += 1
        # 503 is for the moment in which an index that met the end of the disk is made anew.
        refused = {503: "ServiceUnavailable"}
        if method == "PUT":
            refused[507] = "InsufficientStorage"
        assert reply.status in (200, 204) or refused.get(reply.status) == reply.code, reply
        return reply.status


def fill(disk: Disk, name: str) -> Path:
    """Takes what is free on a disk now, to the last block.

    What a running server gives back meanwhile stays: of a program that takes that too, reserve
    after reserve, nothing is promised.
    """
    filler, space = disk.path / name, os.statvfs(disk.path)
    free = space.f_bavail * space.f_frsize
    with filler.open("wb") as file:
        for step in (1 << 20, 4096):
            try:
                while file.tell() + step <= free:
                    os.posix_fallocate(file.fileno(), file.tell(), step)
                    file.seek(step, os.SEEK_CUR)
            except OSError as error:
                assert error.errno == errno.ENOSPC, error
    return filler


def check(load: Load):
    """What was acknowledged is there, and what was deleted is not."""
    with Speaker(load.server.endpoint) as speaker:
        for key, body in load.there.items():
            assert speaker.tell("GET", key).body == body, key
        for key in load.gone:
            assert speaker.ask("GET", key).status == 404, key


def errors(server: Server) -> list[str]:
    """What was logged as an error."""
    return [line for line in server.logged.splitlines() if "ERROR" in line]


def test_a_full_metadata_disk_refuses_what_adds_and_comes_back_by_itself(tmp_path):
    demand_disks()
    with (
        disks(tmp_path, "meta", size=DISK_BYTES) as [disk],
        Server(tmp_path, DIRECTORIES, ARGUMENTS) as server,
    ):
        with Speaker(server.endpoint) as speaker:
            speaker.tell("PUT", "/full")
        load = Load(server)
        with load:
            load.until("the journal has taken all room", lambda seen: seen["PUT", 507] > 20)
            load.until("snapshots have made room", lambda seen: seen["PUT", 200] > 20)
            fillers = [fill(disk, "filler")]
            load.until("somebody else has taken it", lambda seen: seen["PUT", 507] > 20)
            with pytest.raises(oss2.exceptions.ServerError) as refused:
                oss_bucket(server.endpoint, "full").put_object("oss", b"x")
            assert (refused.value.status, refused.value.code) == (507, "InsufficientStorage")
            assert http_status(f"{server.endpoint}/_larder/health") == 200
            load.until("deletes go on", lambda seen: seen["DELETE", 204] > 200)
        check(load)
        told = errors(server)
        assert 1 <= len(told) < 20, f"{len(told)} errors: {told[:50]}"
        server.kill()
        fillers.append(fill(disk, "another"))
        server.start()
        check(load)
        with load:
            load.until("puts are refused after a start", lambda seen: seen["PUT", 507] > 20)
            for filler in fillers:
                filler.unlink()
            load.until("writing goes on", lambda seen: seen["PUT", 200] > 100)
        check(load)
        server.stop()
        server.start()
        check(load)
    print(f"\n{len(load.there)} objects kept, {len(load.gone)} deleted")


def test_a_full_data_directory_is_told_once(tmp_path):
    demand_disks()
    arguments = ("--metadata", "meta", "--copies", "2")
    with (
        disks(tmp_path, "one", size=64 << 20) as [_],
        Server(tmp_path, ("m=meta", "a=one"), arguments) as server,
        Speaker(server.endpoint) as speaker,
    ):
        speaker.tell("PUT", "/full")
        for number in range(30):
            assert speaker.ask("PUT", f"/full/{number}", body=b"x").status == 507
        told = errors(server)
        assert len(told) == 1 and "directory is full" in told[0], told
