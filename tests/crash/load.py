"""Writers that remember what was acknowledged, and the check after a crash."""

import hashlib
import random
import threading

import botocore.exceptions

from harness.accounts import OWNER
from harness.clients import s3_client
from harness.data import KIB, PART

SIZES = (0, 100, 10 * KIB, 200 * KIB, 300 * KIB, 2_000_000, 6_000_000)
KEYS_PER_WRITER = 12


class Load:
    """Each writer owns some keys and puts, deletes and uploads them in parts, one after another.

    Per key it keeps what may be there: the last acknowledged state and, after a request without
    an answer, also the state that this request would have made.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.bucket = f"crash-{seed:08x}"
        self.possible: dict[str, set[str | None]] = {}
        self.acknowledged = 0
        self.stopped = threading.Event()
        self.enough = threading.Condition()
        self.round = 0

    def connect(self, endpoint: str):
        """Speaks to the server at `endpoint` from now on."""
        self.s3 = s3_client(endpoint, OWNER)
        self.stopped.clear()
        self.acknowledged = 0
        self.round += 1

    def create_bucket(self):
        """Makes the bucket and turns nothing else on."""
        self.s3.create_bucket(Bucket=self.bucket)

    def wait_for(self, acknowledged: int):
        """Returns when so many writes of this round were acknowledged."""
        with self.enough:
            reached = self.enough.wait_for(lambda: self.acknowledged >= acknowledged, 120)
        assert reached, f"only {self.acknowledged} writes were acknowledged in time"

    def write(self, writer: int):
        """Writes until the server no longer answers or `stopped` is set."""
        chance = random.Random(f"{self.seed}/{self.round}/{writer}")
        while not self.stopped.is_set():
            key = f"{writer}/{chance.randrange(KEYS_PER_WRITER)}"
            before = self.possible.setdefault(key, {None})
            body = None if chance.random() < 0.15 else chance.randbytes(chance.choice(SIZES))
            after = body if body is None else hashlib.sha256(body).hexdigest()
            self.possible[key] = before | {after}
            try:
                self._change(key, body, in_parts=chance.random() < 0.1)
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                return
            self.possible[key] = {after}
            with self.enough:
                self.acknowledged += 1
                self.enough.notify_all()

    def _change(self, key: str, body: bytes | None, in_parts: bool):
        where = {"Bucket": self.bucket, "Key": key}
        if body is None:
            self.s3.delete_object(**where)
        elif in_parts:
            upload = where | {"UploadId": self.s3.create_multipart_upload(**where)["UploadId"]}
            bodies = [body[:PART], body[PART:]] if len(body) > PART else [body]
            parts = [
                {
                    "PartNumber": n,
                    "ETag": self.s3.upload_part(PartNumber=n, Body=b, **upload)["ETag"],
                }
                for n, b in enumerate(bodies, 1)
            ]
            self.s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
        else:
            self.s3.put_object(Body=body, **where)

    def check(self):
        """Every key holds one of its possible states, and the list says the same."""
        found = {}
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            for entry in page.get("Contents", []):
                got = self.s3.get_object(Bucket=self.bucket, Key=entry["Key"])
                body = got["Body"].read()
                assert len(body) == entry["Size"], entry
                found[entry["Key"]] = hashlib.sha256(body).hexdigest()
        wrong = [key for key, states in self.possible.items() if found.get(key) not in states]
        assert not wrong, f"SEED={self.seed}: lost or half-written: {wrong}"
        assert set(found) <= set(self.possible), "keys that nobody wrote"
        for key in self.possible:
            self.possible[key] = {found.get(key)}
