"""Command-line programs, run with a home of their own and nothing from the caller's."""

import os
import subprocess
from pathlib import Path

from harness.accounts import OWNER, REGION

CACHE = Path(__file__).parents[2] / ".cache"
PATH = f"{CACHE / 'venv' / 'bin'}:{CACHE / 'bin'}:{os.environ['PATH']}"
TIMEOUT_SECONDS = 240


class Tools:
    """Runs programs against one endpoint, in one folder."""

    def __init__(self, endpoint: str, home: Path):
        self.endpoint = endpoint
        self.home = home
        self.environment = {
            "PATH": PATH,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": OWNER.access_key,
            "AWS_SECRET_ACCESS_KEY": OWNER.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "PYTHONWARNINGS": "ignore",
        }

    def run(self, *command, fails=False, **environment) -> str:
        """Runs a command and returns its standard output; `fails` turns the expectation round."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.home,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        assert (done.returncode != 0) == fails, (
            f"{' '.join(map(str, command))}\nexit code {done.returncode}\n"
            f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done.stdout + done.stderr if fails else done.stdout

    def aws(self, *words, **options) -> str:
        """aws-cli."""
        return self.run("aws", "--endpoint-url", self.endpoint, *words, **options)

    def ossutil(self, *words, scheme="V1", **options) -> str:
        """ossutil 1.x with signature V1 or V4."""
        sign = () if scheme == "V1" else ("--sign-version", "v4", "--region", REGION)
        keys = ("-e", self.endpoint, "-i", OWNER.access_key, "-k", OWNER.secret_key)
        return self.run("ossutil", *words, *keys, *sign, **options)

    def rclone(self, *words, **options) -> str:
        """rclone with a remote `store:` of type S3, provider Other."""
        remote = {
            "RCLONE_CONFIG": str(self.home / "rclone.conf"),
            "RCLONE_CONFIG_STORE_TYPE": "s3",
            "RCLONE_CONFIG_STORE_PROVIDER": "Other",
            "RCLONE_CONFIG_STORE_ENDPOINT": self.endpoint,
            "RCLONE_CONFIG_STORE_ACCESS_KEY_ID": OWNER.access_key,
            "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY": OWNER.secret_key,
            "RCLONE_CONFIG_STORE_REGION": REGION,
        }
        return self.run("rclone", "--retries", "1", *words, **remote, **options)

    def s3cmd(self, *words, **options) -> str:
        """s3cmd with path style."""
        name = self.endpoint.partition("://")[2]
        keys = (f"--access_key={OWNER.access_key}", f"--secret_key={OWNER.secret_key}")
        where = (f"--host={name}", f"--host-bucket={name}", f"--region={REGION}", "--no-ssl")
        config = self.home / "s3cfg"
        config.touch()
        return self.run("s3cmd", f"--config={config}", *keys, *where, *words, **options)

    def restic(self, bucket: str, *words, **options) -> str:
        """restic with its repository in `bucket`."""
        environment = {
            "RESTIC_REPOSITORY": f"s3:{self.endpoint}/{bucket}/restic",
            "RESTIC_PASSWORD": "only-for-this-test",
            "RESTIC_CACHE_DIR": str(self.home / "restic-cache"),
        }
        return self.run("restic", *words, **environment, **options)
