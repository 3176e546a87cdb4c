"""Writers that remember what was acknowledged; `crash.check` compares it after a crash."""

import base64
import hashlib
import random
import threading
from urllib.parse import quote

from crash.states import State, Upload, Version
from harness.accounts import OWNER
from harness.clients import s3_client
from harness.data import KIB, PART
from harness.speaker import BROKEN, Refused, Speaker

SIZES = (0, 100, 100, 10 * KIB, 10 * KIB, 200 * KIB, 300 * KIB, 2_000_000)
LONG = 6_000_000
KEYS_PER_WRITER = 12
VERSIONS_MAX = 8
Where = tuple[str, str]


class Load:
    """Each writer owns some keys and changes them, one request after another.

    Per key it keeps what may be there: one state, and during a request also the state this would
    make. Readers look on: what they have seen once must never be gone again.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.plain = f"plain-{seed:08x}"
        self.versioned = f"versioned-{seed:08x}"
        self.possible: dict[Where, list[State]] = {}
        self.seen: dict[Where, int] = {}
        self.uploads: dict[str, Upload] = {}
        self.creating: set[Where] = set()
        self.numbers: dict[int, int] = {}
        self.endpoint = ""
        self.round = 0
        self.acknowledged = 0
        self.acknowledged_ever = 0
        self.checked = 0
        self.faults: list[str] = []
        self.stopped = threading.Event()
        self.crashing = threading.Event()
        self.enough = threading.Condition()
        self.threads: list[threading.Thread] = []

    def connect(self, endpoint: str):
        """Speaks to the server at `endpoint` from now on."""
        self.endpoint = endpoint
        self.s3 = s3_client(endpoint, OWNER)
        self.stopped.clear()
        self.crashing.clear()
        self.acknowledged = 0
        self.round += 1

    def create_buckets(self):
        """Makes both buckets; one keeps versions."""
        self.s3.create_bucket(Bucket=self.plain)
        self.s3.create_bucket(Bucket=self.versioned)
        enabled = {"Status": "Enabled"}
        self.s3.put_bucket_versioning(Bucket=self.versioned, VersioningConfiguration=enabled)

    def begin(self, writers=4, readers=1):
        """Starts the threads."""
        self.threads = [threading.Thread(target=self._write, args=(n,)) for n in range(writers)]
        self.threads += [threading.Thread(target=self._read, args=(n,)) for n in range(readers)]
        for thread in self.threads:
            thread.start()

    def wait_for(self, acknowledged: int):
        """Returns when so many writes of this round were acknowledged."""
        with self.enough:
            reached = self.enough.wait_for(
                lambda: self.faults or self.acknowledged >= acknowledged, 120
            )
        assert not self.faults, f"SEED={self.seed}: {self.faults}"
        assert reached, f"only {self.acknowledged} writes were acknowledged in time"

    def end(self):
        """Waits for the threads; the server is dead or they stop after what they are doing."""
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        assert not self.faults, f"SEED={self.seed}: {self.faults}"

    def _write(self, writer: int):
        chance = random.Random(f"{self.seed}/{self.round}/{writer}")
        with Speaker(self.endpoint) as speaker:
            try:
                one = Writer(self, speaker, writer, chance)
                while not self.stopped.is_set():
                    one.step()
            except (Refused, *BROKEN) as error:
                self._broken(f"writer {writer}", error)

    def _read(self, reader: int):
        chance = random.Random(f"{self.seed}/{self.round}/reader {reader}")
        with Speaker(self.endpoint) as speaker:
            try:
                while not self.stopped.wait(0.002):
                    if keys := list(self.possible):
                        self._look(speaker, chance.choice(keys))
            except (Refused, *BROKEN) as error:
                self._broken(f"reader {reader}", error)

    def _look(self, speaker: Speaker, where: Where):
        least = self.possible[where][0]
        reply = speaker.ask("GET", target(*where))
        if reply.status == 404:
            return
        if reply.status != 200:
            raise Refused(f"GET {where}", reply)
        number = int(reply.headers["x-amz-meta-number"])
        self.seen[where] = max(number, self.seen.get(where, 0))
        whole = hashlib.sha256(reply.body).hexdigest() == reply.headers["x-amz-meta-digest"]
        # In a bucket with versions an older one may come back by a delete.
        if not whole or (where[0] == self.plain and number < least.number):
            self.fault(f"{where}: write {number} was read after {least}, whole: {whole}")

    def _broken(self, who: str, error: Exception):
        if not self.crashing.is_set():
            self.fault(f"{who}: {error!r}")

    def fault(self, text: str):
        """Notes what must not happen while the server runs."""
        with self.enough:
            self.faults.append(text)
            self.enough.notify_all()

    def count(self):
        """One more write was acknowledged."""
        with self.enough:
            self.acknowledged += 1
            self.acknowledged_ever += 1
            self.enough.notify_all()


class Writer:
    """The changes that one thread makes."""

    def __init__(self, load: Load, speaker: Speaker, name: int, chance: random.Random):
        self.load = load
        self.speaker = speaker
        self.name = name
        self.chance = chance

    def step(self):
        """One change of one key, sometimes of several."""
        bucket = self.chance.choice((self.load.plain, self.load.plain, self.load.versioned))
        where = (bucket, self._some_key())
        before = self._state(where)
        if len(before.versions) > VERSIONS_MAX:
            return self._delete_version(where, before)
        steps = (self._put, self._delete, self._copy, self._put_if, self._in_parts, self._many)
        step = self.chance.choices((*steps, self._delete_version), (50, 10, 12, 12, 6, 4, 6))[0]
        return step(where, before)

    def all_kinds(self):
        """Yields one after another: every kind of change in both buckets, small and large."""
        for bucket in (self.load.plain, self.load.versioned):
            where = (bucket, f"{self.name}/0")
            for size in (100, 300 * KIB):
                yield lambda: self._put(where, self._state(where), size=size)
            for step in (self._put_if, self._copy, self._delete, self._put_if, self._many):
                yield lambda: step(where, self._state(where))
            for size in (100, LONG):
                yield lambda: self._in_parts(where, self._state(where), size, finish=True)
            yield lambda: self._delete_version(where, self._state(where))
            yield lambda: self._in_parts(where, self._state(where), 300 * KIB, finish=False)

    def further_keys(self):
        """Yields a put of each other key, small and large by turns."""
        for number in range(1, KEYS_PER_WRITER):
            where = (self.load.plain, f"{self.name}/{number}")
            size = 300 * KIB if number % 2 else 100
            yield lambda where=where, size=size: self._put(where, self._state(where), size=size)

    def _some_key(self) -> str:
        return f"{self.name}/{self.chance.randrange(KEYS_PER_WRITER)}"

    def _state(self, where: Where) -> State:
        return self.load.possible.setdefault(where, [State()])[0]

    def _number(self) -> int:
        self.load.numbers[self.name] = self.load.numbers.get(self.name, 0) + 1
        return self.load.numbers[self.name]

    def _keeps(self, where: Where) -> bool:
        return where[0] == self.load.versioned

    def _body(self, size: int) -> tuple[bytes, Version, dict[str, str]]:
        body = self.chance.randbytes(size)
        version = Version(hashlib.sha256(body).hexdigest(), size, self._number())
        return body, version, metadata(version)

    def _change(self, where: Where, after: State, method, headers=None, body=b"", query=""):
        """Sends the request that makes `after`, and notes the answer."""
        self.load.possible[where] = [self._state(where), after]
        reply = self.speaker.tell(method, target(*where) + query, headers, body)
        self._done(where, after, reply)

    def _done(self, where: Where, after: State, reply):
        if not is_without_one(after, self._state(where)):
            identity = reply.headers.get("x-amz-version-id") if self._keeps(where) else None
            etag = reply.headers.get("etag") or reply.field("ETag")
            facts = {"identity": identity} | ({"etag": etag} if after.current else {})
            after = after.learned(**facts) if after.versions else after
        self.load.possible[where] = [after]
        self.load.count()

    def _put(self, where: Where, before: State, headers=None, size=None):
        body, version, own = self._body(self.chance.choice(SIZES) if size is None else size)
        after = before.put(version, self._keeps(where))
        self._change(where, after, "PUT", own | (headers or {}), body)

    def _put_if(self, where: Where, before: State):
        """A conditional put whose outcome is known, because nobody else writes this key."""
        if before.current is None:
            return self._put(where, before, {"If-None-Match": "*"})
        if self.chance.random() < 0.5:
            return self._put(where, before, {"If-Match": before.current.etag})
        body, _, own = self._body(100)
        reply = self.speaker.ask("PUT", target(*where), own | {"If-None-Match": "*"}, body)
        if reply.status != 412:
            raise Refused("a put only if absent, over an object", reply)
        return None

    def _delete(self, where: Where, before: State):
        self._change(where, before.deleted(self._number(), self._keeps(where)), "DELETE")

    def _delete_version(self, where: Where, before: State):
        if not self._keeps(where) or not before.versions:
            return self._put(where, before)
        version = self.chance.choice(before.versions)
        query = f"?versionId={quote(version.identity, safe='')}"
        return self._change(where, before.without(self._number(), version), "DELETE", query=query)

    def _copy(self, where: Where, before: State):
        """Takes the bytes of another key of this writer."""
        source = (where[0], self._some_key())
        current = self._state(source).current
        if current is None:
            return self._put(where, before)
        version = Version(current.digest, current.size, self._number())
        headers = metadata(version) | {"x-amz-metadata-directive": "REPLACE"}
        headers["x-amz-copy-source"] = target(*source)
        after = before.put(version, self._keeps(where))
        return self._change(where, after, "PUT", headers)

    def _many(self, where: Where, before: State):
        """One request that deletes three keys; each may be done or not if it breaks off."""
        keys = {where[1], self._some_key(), self._some_key()}
        after = {}
        for key in keys:
            old = self._state((self.load.plain, key))
            after[self.load.plain, key] = old.deleted(self._number(), versioned=False)
            self.load.possible[self.load.plain, key] = [old, after[self.load.plain, key]]
        entries = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
        body = f"<Delete><Quiet>true</Quiet>{entries}</Delete>".encode()
        md5 = {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        self.speaker.tell("POST", f"/{self.load.plain}?delete=", md5, body)
        self.load.possible |= {where: [state] for where, state in after.items()}
        self.load.count()

    def _in_parts(self, where: Where, before: State, size=None, finish=None):
        """A multipart upload, left unfinished now and then."""
        size = size or self.chance.choice((100, 300 * KIB, LONG))
        finish = self.chance.random() >= 0.25 if finish is None else finish
        body, version, own = self._body(size)
        self.load.creating.add(where)
        reply = self.speaker.tell("POST", target(*where) + "?uploads=", own)
        self.load.creating.discard(where)
        identity = reply.field("UploadId")
        upload = self.load.uploads[identity] = Upload(*where, {})
        query = f"uploadId={quote(identity, safe='')}"
        for number, part in enumerate([body[:PART], body[PART:]] if size > PART else [body], 1):
            upload.sending = number
            part_target = f"{target(*where)}?partNumber={number}&{query}"
            reply = self.speaker.tell("PUT", part_target, body=part)
            upload.parts[number], upload.sending = reply.headers["etag"], None
            self.load.count()
        if not finish:
            return
        upload.completing = True
        entries = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in upload.parts.items()
        )
        request = f"<CompleteMultipartUpload>{entries}</CompleteMultipartUpload>".encode()
        after = before.put(version, self._keeps(where))
        self._change(where, after, "POST", {}, request, f"?{query}")
        del self.load.uploads[identity]


def is_without_one(after: State, before: State) -> bool:
    """Whether `after` came from `before` by the delete of one version."""
    return len(after.versions) < len(before.versions) and bool(after.versions)


def metadata(version: Version) -> dict[str, str]:
    """What an object says about itself, so that each can be checked alone."""
    return {"x-amz-meta-number": str(version.number), "x-amz-meta-digest": version.digest}


def target(bucket: str, key: str) -> str:
    """The path of an object."""
    return f"/{bucket}/{key}"
