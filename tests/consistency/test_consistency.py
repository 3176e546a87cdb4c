"""Strong consistency: what many clients saw of few keys is what one register a key would have shown.

A program in Go makes the load and checks each history with porcupine; this test starts, kills and
restarts the server. OPERATIONS sets how many operations there are in all (20 000 by default), SEED
repeats their choice.
"""

import os
import random
import subprocess
import threading
from pathlib import Path

import pytest

from harness.accounts import OWNER
from harness.clients import s3_client
from harness.data import SEED
from harness.server import Server

OPERATIONS = int(os.environ.get("OPERATIONS", "20000"))
ROUND = 2500
CHECKER = Path(__file__).parents[2] / ".cache" / "bin" / "consistency"
DIRECTORIES = ("a=one", "b=two", "c=three")


class Checker:
    """The program, told what to do line by line."""

    def __init__(self, *arguments: str):
        keys = ("-access-key", OWNER.access_key, "-secret-key", OWNER.secret_key)
        command = [str(CHECKER), *keys, "-bucket", "consistent", *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)

    def tell(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def answer(self) -> list[str]:
        return self.process.stdout.readline().split()


def begin(special_server) -> Server:
    server = special_server(*DIRECTORIES)
    s3_client(server.endpoint).create_bucket(Bucket="consistent")
    return server


def one_round(server: Server, checker: Checker, number: int, chance: random.Random) -> list[str]:
    """Lets the clients work, kills the server in the midst of it in two of three rounds."""
    checker.tell("round", server.endpoint, ROUND, SEED + number)
    if number % 3:
        # The moment does not matter, only that it is another one each time.
        threading.Event().wait(chance.uniform(0.05, 1.0))
        server.kill()
    ended = checker.answer()
    assert ended[:1] == ["ended"], ended
    if server.process.poll() is not None:
        server.start()
    checker.tell("verify", server.endpoint)
    return [*checker.answer(), *ended[1:]]


@pytest.mark.timeout(300 + OPERATIONS // 50)
def test_every_history_is_one_that_a_register_could_have(special_server):
    server = begin(special_server)
    chance = random.Random(SEED)
    total = unknown = rounds = 0
    with Checker() as checker:
        while total < OPERATIONS:
            verdict, checked, _, open_ones = one_round(server, checker, rounds, chance)
            assert verdict == "ok", f"SEED={SEED}, round {rounds}: {verdict} {checked}"
            total, unknown, rounds = total + int(checked), unknown + int(open_ones), rounds + 1
    print(
        f"\nSEED={SEED}: {total} operations in {rounds} rounds, {rounds - (rounds + 2) // 3} kills, "
        f"{unknown} of unknown outcome, all linearizable"
    )


def test_one_stale_read_in_a_history_is_noticed(special_server):
    """The control."""
    server = begin(special_server)
    chance = random.Random(SEED)
    with Checker("-corrupt") as checker:
        verdicts = {one_round(server, checker, number, chance)[0] for number in (0, 1, 3)}
    assert verdicts == {"broken"}
