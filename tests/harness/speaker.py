"""One connection that is kept, for many signed requests in a row; faster than an SDK."""

import hashlib
import http.client

from harness.raw import Reply, address
from harness.sign import S3V4

TIMEOUT_SECONDS = 120
BROKEN = (OSError, http.client.HTTPException)


class Refused(Exception):
    """An answer that says no."""

    def __init__(self, what: str, reply: Reply):
        super().__init__(f"{what}: {reply.status} {reply.body[:300]!r}")
        self.reply = reply


class Speaker:
    """Speaks S3 as the owner. Not for more than one thread."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self.connection = http.client.HTTPConnection(*address(endpoint), timeout=TIMEOUT_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, method: str, target: str, headers=None, body: bytes = b"") -> Reply:
        """Sends one request and returns the whole answer, whatever it is."""
        payload = hashlib.sha256(body).hexdigest()
        signed = S3V4().sign(method, self.endpoint, target, headers, payload)
        try:
            self.connection.request(method, target, body, signed)
            answer = self.connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        except BROKEN:
            self.connection.close()  # the next request opens it again
            raise

    def tell(self, method: str, target: str, headers=None, body: bytes = b"") -> Reply:
        """The same, but the answer must be a success."""
        reply = self.ask(method, target, headers, body)
        if reply.status >= 300 or (method == "POST" and reply.code):
            raise Refused(f"{method} {target}", reply)
        return reply
