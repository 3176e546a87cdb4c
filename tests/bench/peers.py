"""The servers that are compared: how each is got, started, and what it can do."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from measure import say

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"
ACCESS_KEY = "GK0123456789abcdef01234567"
SECRET_KEY = "0123456789abcdef" * 4
START_SECONDS = 60
EVERYTHING = frozenset("put get head list delete batch mixed multipart versioned stream".split())


class Unavailable(Exception):
    """The peer cannot be had on this machine."""


def built(program: str, command: list, **environment) -> Path:
    """The path of `program` in .cache/bench/bin, made by `command` if it is not there."""
    path = CACHE / "bin" / program
    if not path.exists():
        say(f"building {program}: {' '.join(command)}")
        if not shutil.which(command[0]):
            raise Unavailable(f"{command[0]} is not installed")
        environment = os.environ | environment
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not path.exists():
            raise Unavailable(f"{' '.join(command)}: {done.stderr[-800:]}")
    return path


def go_program(program: str, package: str) -> Path:
    command = ["go", "install", package]
    return built(program, command, GOBIN=str(CACHE / "bin"), GOPATH=str(CACHE / "go"))


def installed(program: str, package: str) -> Path:
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    if not path:
        raise Unavailable(f"not installed; apt-get install {package}")
    return Path(path)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Peer:
    """One server. `directories` is 1 or 4; with 4 it keeps each object twice, or nearly so."""

    name = ""
    region = "us-east-1"
    can = EVERYTHING
    signs = True
    four = False

    def __init__(self, home: Path, directories: int):
        self.home, self.port = home, free_port()
        self.folders = [home / f"disk{number}" for number in range(1, directories + 1)]
        self.address = f"127.0.0.1:{self.port}"
        self.start_seconds = None

    @classmethod
    def program(cls) -> Path:
        """The program; built or found at the first call. Raises `Unavailable`."""
        raise NotImplementedError

    def command(self) -> list:
        raise NotImplementedError

    def environment(self) -> dict:
        return {}

    def prepare(self):
        """Before the start."""

    def prepared(self):
        """After the first answer."""

    def __enter__(self):
        shutil.rmtree(self.home, ignore_errors=True)
        for folder in self.folders:
            folder.mkdir(parents=True)
        self.prepare()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LARDER_", "MINIO_"))}
        begin = time.monotonic()
        with (self.home / "log").open("w") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self.command()],
                cwd=self.home,
                env=kept | self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait(begin + START_SECONDS)
        self.start_seconds = time.monotonic() - begin
        self.prepared()
        return self

    def _wait(self, end: float):
        """Until something answers a GET of / with less than 500."""
        while time.monotonic() < end and self.process.poll() is None:
            try:
                connection = http.client.HTTPConnection(self.address, timeout=5)
                connection.request("GET", "/")
                if connection.getresponse().status < 500:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.005)
        self.stop()
        raise Unavailable(f"does not start: {self.log()}")

    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")[-1500:]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)


class Larder(Peer):
    name, four = "larder", True
    binary = ROOT / "target" / "release" / "larder"

    @classmethod
    def program(cls):
        if not cls.binary.exists():
            raise Unavailable(f"{cls.binary} is missing: cargo build --release, or --larder PATH")
        return cls.binary.resolve()

    def command(self):
        return [self.program(), "serve", "--listen", self.address, *self.folders]

    def environment(self):
        return {"LARDER_ROOT_ACCESS_KEY": ACCESS_KEY, "LARDER_ROOT_SECRET_KEY": SECRET_KEY}


class Minio(Peer):
    name, four = "minio", True

    @classmethod
    def program(cls):
        return go_program("minio", "github.com/minio/minio@latest")

    def command(self):
        return [self.program(), "server", "--quiet", "--address", self.address, *self.folders]

    def environment(self):
        # CI lets several directories lie on one disk. Four make erasure sets of 2 + 2.
        keys = {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY}
        return keys | {"MINIO_CI_CD": "1", "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}

    def _wait(self, end):
        super()._wait(end)
        while time.monotonic() < end:
            connection = http.client.HTTPConnection(self.address, timeout=5)
            connection.request("GET", "/minio/health/cluster")
            if connection.getresponse().status == 200:
                return
            time.sleep(0.005)
        raise Unavailable(f"does not get ready: {self.log()}")


class VersityGw(Peer):
    name = "versitygw"

    @classmethod
    def program(cls):
        return go_program("versitygw", "github.com/versity/versitygw/cmd/versitygw@latest")

    def prepare(self):
        (self.home / "versions").mkdir()

    def command(self):
        keys = ["--access", ACCESS_KEY, "--secret", SECRET_KEY, "--region", self.region]
        versions = ["--versioning-dir", self.home / "versions"]
        start = [self.program(), "--quiet", "--port", self.address, *keys]
        return [*start, "posix", *versions, self.folders[0]]


class Rclone(Peer):
    name, can = "rclone", EVERYTHING - {"versioned"}

    @classmethod
    def program(cls):
        return installed("rclone", "rclone, or run tests/setup")

    def command(self):
        key = f"{ACCESS_KEY},{SECRET_KEY}"
        start = [self.program(), "serve", "s3", "--addr", self.address, "--auth-key", key]
        return [*start, "--config", "/dev/null", self.folders[0]]


class Garage(Peer):
    name, region, can = "garage", "garage", EVERYTHING - {"versioned"}

    @classmethod
    def program(cls):
        return built("garage", ["cargo", "install", "garage", "--locked", "--root", str(CACHE)])

    def prepare(self):
        disk = self.folders[0]
        rpc = free_port()
        (self.home / "garage.toml").write_text(
            f'metadata_dir = "{disk}/meta"\ndata_dir = "{disk}/data"\ndb_engine = "lmdb"\n'
            "metadata_fsync = true\ndata_fsync = true\nreplication_factor = 1\n"
            f'rpc_bind_addr = "127.0.0.1:{rpc}"\nrpc_public_addr = "127.0.0.1:{rpc}"\n'
            f'rpc_secret = "{"00" * 32}"\n'
            f'[s3_api]\ns3_region = "garage"\napi_bind_addr = "{self.address}"\n'
        )

    def command(self):
        return [self.program(), "-c", self.home / "garage.toml", "server"]

    def prepared(self):
        def garage(*words):
            command = [str(self.program()), "-c", str(self.home / "garage.toml"), *words]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Unavailable(f"garage {' '.join(words)}: {done.stderr[-800:]}")
            return done.stdout

        node = garage("node", "id", "-q").split("@")[0].strip()
        garage("layout", "assign", "-z", "dc1", "-c", "100G", node)
        garage("layout", "apply", "--version", "1")
        garage("key", "import", "--yes", "-n", "bench", ACCESS_KEY, SECRET_KEY)
        garage("key", "allow", "--create-bucket", ACCESS_KEY)


class Nginx(Peer):
    """No object store: files as a web server gives and takes them, unsigned and unsynced."""

    name, signs, can = "nginx", False, frozenset("put get head delete mixed stream".split())

    @classmethod
    def program(cls):
        return installed("nginx", "nginx-light")

    def prepare(self):
        for path in (self.home, *self.folders):
            path.chmod(0o777)
        (self.home / "nginx.conf").write_text(
            f"daemon off; pid {self.home}/pid; error_log stderr; worker_processes auto;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; sendfile on; keepalive_requests 1000000000;\n"
            f"client_body_temp_path {self.home}/incoming; client_max_body_size 0;\n"
            f"server {{ listen {self.address}; root {self.folders[0]};\n"
            "location / { dav_methods PUT DELETE; create_full_put_path on; } } }\n"
        )

    def command(self):
        return [self.program(), "-p", self.home, "-c", self.home / "nginx.conf"]


PEERS = {peer.name: peer for peer in (Larder, Minio, VersityGw, Garage, Rclone, Nginx)}
