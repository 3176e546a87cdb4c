"""Runs the rows against each server in turn and stores what was measured. See `run`."""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import report
from botocore.config import Config
from clients import run_clients
from measure import Syncs, cpu_seconds, disk_bytes, memory_bytes, say
from peers import ACCESS_KEY, PEERS, ROOT, SECRET_KEY, Larder, Unavailable
from rows import KIB, MIB, QUICK, READ_KEYS, Row, all_rows, chosen

# A million keys take some servers a quarter of an hour.
FILL_SECONDS = 3600
SYNC_PUTS = 20


class Failed(Exception):
    """The generator got an answer that is not the expected one."""


class Session:
    """One running server, and the objects that were put there for the rows."""

    def __init__(self, peer, options):
        self.peer, self.options = peer, options
        self.filled, self.next_key = set(), 0
        self.buckets = set()

    def bucket(self, versioned: bool) -> str:
        name = "bench-versioned" if versioned else "bench"
        if name not in self.buckets:
            self._make(name, versioned)
            self.buckets.add(name)
        return name

    def _make(self, name: str, versioned: bool):
        if not self.peer.signs:
            (self.peer.folders[0] / name).mkdir()
            (self.peer.folders[0] / name).chmod(0o777)
            return
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{self.peer.address}",
            region_name=self.peer.region,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
        )
        client.create_bucket(Bucket=name)
        if versioned:
            status = {"Status": "Enabled"}
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration=status)

    def generate(self, job: dict) -> dict:
        """Runs the generator; the report. Keys it wrote are not written again."""
        whole = {
            "address": self.peer.address,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "region": self.peer.region,
        } | job
        done = subprocess.run(
            [self.options.generator],
            input=json.dumps(whole),
            env=os.environ | {"RUST_BACKTRACE": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(done.stderr.strip()[-600:])
        found = json.loads(done.stdout)
        self.next_key = max(self.next_key, job.get("first", 0) + found["requests"])
        return found

    def fill(self, row: Row, prefix: str, keys: int, first=0):
        """Puts `keys` objects of the row's size below `prefix`."""
        job = dict(row.job) | {"operation": "put", "requests": keys, "payload": "signed"}
        if row.size_bytes > 64 * MIB:
            job["payload"] = "unsigned"
        job |= {"bucket": self.bucket(row.versioned), "prefix": prefix, "first": first}
        self.generate(job | {"concurrency": 16, "seconds": FILL_SECONDS})

    def measure(self, row: Row) -> dict:
        """Warms up, runs the row, and returns what it cost."""
        job = dict(row.job) | {"bucket": self.bucket(row.versioned)}
        job |= {"concurrency": row.concurrency, "seconds": self.options.seconds}
        if self.options.rate:
            job["rate"] = self.options.rate
        job = self._provided(row, job)
        if "requests" in job and row.operation == "get":
            # Not every server leaves what was written in the page cache: all are read from that.
            self.generate(job)
        elif not row.operation.startswith("delete") and "requests" not in job:
            warm_up = {"seconds": max(0.5, self.options.seconds / 5), "first": self.next_key}
            self.generate(job | warm_up)
        if not row.operation.startswith("delete"):
            job["first"] = self.next_key
        pid = self.peer.process.pid
        cpu = cpu_seconds(pid)
        found = self.generate(job)
        found["server_cpu_seconds"] = cpu_seconds(pid) - cpu
        return found

    def _provided(self, row: Row, job: dict) -> dict:
        """Puts what the row reads or deletes there, if it is not there yet."""
        if row.operation in ("get", "head", "mixed"):
            keys = READ_KEYS[row.size_bytes]
            prefix = f"read-{row.size_bytes}/"
            if prefix not in self.filled:
                self.fill(row, prefix, keys)
                self.filled.add(prefix)
            # What a mixed row writes must not be what others read, so its keys begin higher.
            self.next_key = max(self.next_key, keys)
            return job | {"prefix": prefix, "keys": keys}
        if row.operation.startswith("list"):
            if "list/" not in self.filled:
                self.fill(row, "list/", job["keys"])
                self.filled.add("list/")
            return job | {"prefix": "list/"}
        if row.operation.startswith("delete"):
            prefix = f"delete-{row.name}/"
            self.fill(row, prefix, job["keys"])
            return job | {"prefix": prefix, "first": 0, "seconds": FILL_SECONDS}
        return job | {"prefix": f"write-{row.name}/"}


def emit(options, record: dict):
    with options.out.open("a") as out:
        out.write(json.dumps(record) + "\n")


def facts(session: Session, options) -> dict:
    """Start time, idle memory, bytes on disk and syncs for each PUT, on a fresh server."""
    peer, pid = session.peer, session.peer.process.pid
    found = {"start_seconds": peer.start_seconds, "idle_bytes": memory_bytes(pid, "VmRSS")}
    for name, size in (("4k", 4 * KIB), ("1m", MIB)):
        put = Row("facts", "put", (("operation", "put"), ("size_bytes", size)), 1)
        count = 1000 if size == 4 * KIB else 100
        session.fill(put, f"warm-{name}/", 10)
        before = disk_bytes(peer.home)
        session.fill(put, f"facts-{name}/", count)
        found[f"disk_bytes_{name}"] = (disk_bytes(peer.home) - before) / count
        if not shutil.which("strace"):
            say("strace is not installed: syncs are NOT counted (apt-get install strace)")
            continue
        job = {"operation": "put", "size_bytes": size, "bucket": "bench", "concurrency": 1}
        job |= {"prefix": f"syncs-{name}/", "requests": SYNC_PUTS, "seconds": FILL_SECONDS}
        with Syncs(pid, options.directory / "strace.log") as syncs:
            session.generate(job)
        counts = {call: n / SYNC_PUTS for call, n in syncs.counts.items()}
        found[f"syncs_{name}"] = counts
    return found


def run_server(peer_type, directories: int, repeat: int, rows: list[Row], options):
    """All rows of one layout against one server, started on fresh directories."""
    record = {"server": peer_type.name, "directories": directories, "repeat": repeat}
    home = options.directory / peer_type.name
    with peer_type(home, directories) as peer:
        session = Session(peer, options)
        if options.facts and repeat == 0:
            emit(options, record | {"kind": "facts"} | facts(session, options))
        for row in rows:
            if row.needs not in peer.can:
                continue
            try:
                found = session.measure(row)
            except Failed as failure:
                # A wrong answer is no figure: said here, stored, and the exit code tells.
                say(f"FAILED {peer.name} {row.name}: {failure}")
                options.failures.append(f"{peer.name} {row.name}")
                emit(options, record | {"kind": "failure", "row": row.name, "why": str(failure)})
                continue
            per_request = found["server_cpu_seconds"] / max(1, found["requests"]) * 1e6
            say(
                f"{peer.name:10} {row.name:32} {found['requests'] / found['seconds']:9.0f}/s"
                f" p50 {found['latency_us']['p50'] / 1e3:8.2f} ms  cpu {per_request:9.0f} us"
            )
            emit(options, record | {"kind": "row", "row": row.name} | found)
        if options.clients and repeat == 0 and peer.signs and directories == 1:
            for found in run_clients(peer, session.bucket(False), options.directory):
                emit(options, record | {"kind": "client"} | found)
        peak = memory_bytes(peer.process.pid, "VmHWM")
        emit(options, record | {"kind": "peak", "peak_bytes": peak})


def available(names) -> list:
    found = []
    for name in names:
        try:
            PEERS[name].program()
            found.append(PEERS[name])
        except Unavailable as reason:
            say(f"SKIPPED {name}: {reason}")
    return found


def options_from(arguments) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="few rows, 16 connections, one repeat, 2 seconds")
    add("--full", action="store_true", help="all rows and --clients, three repeats")
    add("--rows", help="shell patterns of row names, with commas")
    add("--servers", default=",".join(PEERS), help="names, with commas")
    add("--repeats", type=int, help="how often each server has its turn")
    add("--seconds", type=float, help="for one row, after a fifth of it as warm-up")
    add("--rate", type=float, help="open loop: so many requests arrive per second")
    add("--list-keys", type=int, default=5000, help="keys in the bucket that is listed")
    add("--clients", action="store_true", help="also aws, rclone, restic, ossutil on files")
    add("--no-facts", dest="facts", action="store_false", help="no syncs, start time, disk use")
    add("--larder", type=Path, help="the program; target/release/larder otherwise")
    add("--generator", type=Path, help="the load generator, built already")
    add("--directory", type=Path, help="where servers keep data; target/bench otherwise")
    add("--out", type=Path, help="results are appended; DIRECTORY/results.jsonl otherwise")
    options = parser.parse_args(arguments)
    if options.quick and options.full:
        parser.error("--quick or --full")
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.seconds = options.seconds or (2 if options.quick else 5)
    options.directory = (options.directory or ROOT / "target" / "bench").resolve()
    options.directory.mkdir(parents=True, exist_ok=True)
    options.out = options.out or options.directory / "results.jsonl"
    options.failures = []
    options.clients = options.clients or options.full
    if options.larder:
        Larder.binary = options.larder
    return options


def build(options):
    """Builds what is not given. The workspace's release profile is right for both."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    wanted = []
    if not options.generator:
        options.generator = target / "larder-bench"
        wanted += ["-p", "larder-bench"]
    if not options.larder:
        Larder.binary = target / "larder"
        wanted += ["-p", "server"]
    if wanted:
        subprocess.run(["cargo", "build", "--release", *wanted], cwd=ROOT, check=True)


def main(arguments) -> int:
    if arguments[:1] == ["report"]:
        return report.publish(Path(arguments[1]))
    options = options_from(arguments)
    rows = all_rows(options.list_keys)
    patterns = options.rows.split(",") if options.rows else QUICK if options.quick else ["*"]
    rows = chosen(rows, patterns)
    build(options)
    servers = available(options.servers.split(","))
    emit(
        options,
        {
            "kind": "run",
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.release()}",
            "load": os.getloadavg()[0],
            "seconds": options.seconds,
            "repeats": options.repeats,
        },
    )
    for repeat in range(options.repeats):
        for directories in (1, 4):
            fitting = [row for row in rows if row.directories == directories]
            turn = repeat % max(1, len(servers))
            for peer in servers[turn:] + servers[:turn]:
                if not fitting or (directories == 4 and not peer.four):
                    continue
                try:
                    run_server(peer, directories, repeat, fitting, options)
                except (Failed, Unavailable) as reason:
                    say(f"FAILED {peer.name}: {reason}")
                    options.failures.append(peer.name)
    print(report.tables(report.read(options.out)))
    for failure in options.failures:
        print(f"FAILED: {failure}")
    return 1 if options.failures else 0


if __name__ == "__main__":
    # Ends the servers too when it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
