"""Signatures of both dialects, written from their descriptions, so that any part can be bent."""

import base64
import datetime
import hashlib
import hmac
from email.utils import format_datetime
from urllib.parse import quote, unquote

from harness.accounts import OWNER, REGION, Account
from harness.raw import Reply, host, send

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


def now() -> datetime.datetime:
    """The present, in whole seconds."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def stamp(moment: datetime.datetime) -> str:
    """A moment as 20260102T030405Z."""
    return moment.strftime("%Y%m%dT%H%M%SZ")


def http_date(moment: datetime.datetime) -> str:
    """A moment as `Fri, 02 Jan 2026 03:04:05 GMT`."""
    return format_datetime(moment, usegmt=True)


def digest(key: bytes, text: str, algorithm="sha256") -> bytes:
    """HMAC of a text."""
    return hmac.new(key, text.encode(), algorithm).digest()


def derived_key(first: str, *rest: str) -> bytes:
    """The chain of HMACs that both V4 schemes start with."""
    key = first.encode()
    for part in rest:
        key = digest(key, part)
    return key


def pairs(query: str) -> list[tuple[str, str]]:
    """The decoded names and values of a raw query."""
    split = [part.partition("=") for part in query.split("&") if part]
    return [(unquote(name), unquote(value)) for name, _, value in split]


def encoded(text: str) -> str:
    """Percent-encoded, slashes too."""
    return quote(text, safe="-._~")


class S3V4:
    """Signature V4 of S3. `sign` adds the headers; the chunk methods go on from its signature."""

    def __init__(self, account: Account = OWNER, region=REGION, moment=None, service="s3"):
        self.account = account
        self.moment = moment or now()
        day = self.moment.strftime("%Y%m%d")
        self.scope = f"{day}/{region}/{service}/aws4_request"
        self.key = derived_key("AWS4" + account.secret_key, day, region, service, "aws4_request")
        self.previous = ""

    def sign(self, method, endpoint, target, headers=None, payload=EMPTY_SHA256) -> dict[str, str]:
        """The headers to send: the given ones, Host, date, payload hash and Authorization."""
        headers = {"Host": host(endpoint)} | dict(headers or {})
        headers |= {"x-amz-date": stamp(self.moment), "x-amz-content-sha256": payload}
        names = sorted(name.lower() for name in headers)
        self.previous = self.signature(method, target, headers, names, payload)
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.account.access_key}/{self.scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={self.previous}"
        )
        return headers

    def presign(self, method, endpoint, target, seconds=600, headers=None) -> str:
        """The target with everything a presigned URL carries."""
        headers = {"Host": host(endpoint)} | dict(headers or {})
        names = sorted(name.lower() for name in headers)
        target += "&" if "?" in target else "?"
        target += "&".join(
            (
                "X-Amz-Algorithm=AWS4-HMAC-SHA256",
                f"X-Amz-Credential={encoded(f'{self.account.access_key}/{self.scope}')}",
                f"X-Amz-Date={stamp(self.moment)}",
                f"X-Amz-Expires={seconds}",
                f"X-Amz-SignedHeaders={encoded(';'.join(names))}",
            )
        )
        signature = self.signature(method, target, headers, names, UNSIGNED)
        return f"{target}&X-Amz-Signature={signature}"

    def signature(self, method, target, headers, names, payload) -> str:
        """The signature of a request over the headers `names` (lower-case, sorted)."""
        path, _, query = target.partition("?")
        lower = {name.lower(): " ".join(str(value).split()) for name, value in headers.items()}
        items = sorted((encoded(name), encoded(value)) for name, value in pairs(query))
        canonical = "\n".join(
            (
                method,
                path,
                "&".join(f"{name}={value}" for name, value in items),
                "".join(f"{name}:{lower[name]}\n" for name in names),
                ";".join(names),
                payload,
            )
        )
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        return self.mac("AWS4-HMAC-SHA256", hashed)

    def mac(self, algorithm: str, *lines: str) -> str:
        """The signature over a string to sign."""
        text = "\n".join((algorithm, stamp(self.moment), self.scope, *lines))
        return digest(self.key, text).hex()

    def chunk(self, data: bytes) -> bytes:
        """One signed chunk of an aws-chunked body."""
        hashed = hashlib.sha256(data).hexdigest()
        self.previous = self.mac("AWS4-HMAC-SHA256-PAYLOAD", self.previous, EMPTY_SHA256, hashed)
        head = f"{len(data):x};chunk-signature={self.previous}\r\n".encode()
        return head + data + (b"\r\n" if data else b"")

    def trailer(self, name: str, value: str) -> bytes:
        """The signed trailer after the last chunk."""
        hashed = hashlib.sha256(f"{name}:{value}\n".encode()).hexdigest()
        self.previous = self.mac("AWS4-HMAC-SHA256-TRAILER", self.previous, hashed)
        line = f"{name}:{value}\r\nx-amz-trailer-signature:{self.previous}\r\n\r\n"
        return line.encode()


def s3_v2(method, target, resource, headers=None, account: Account = OWNER) -> dict[str, str]:
    """The headers of an S3 request signed with V2 over `resource` (`/bucket/key?acl`)."""
    headers = {"Date": http_date(now())} | dict(headers or {})
    headers["Authorization"] = _v1(method, headers, resource, account, "AWS", "x-amz-")
    return headers


def oss_v1(method, resource, headers=None, account: Account = OWNER, moment=None):
    """The headers of an OSS request signed with V1 over `resource`."""
    headers = {"Date": http_date(moment or now())} | dict(headers or {})
    headers["Authorization"] = _v1(method, headers, resource, account, "OSS", "x-oss-")
    return headers


def _v1(method, headers, resource, account, word, prefix) -> str:
    lower = {name.lower(): value for name, value in headers.items()}
    own = "".join(f"{n}:{v}\n" for n, v in sorted(lower.items()) if n.startswith(prefix))
    date = lower.get(f"{prefix}date", lower.get("date", ""))
    if word == "AWS" and f"{prefix}date" in lower:
        date = ""
    first = (method, lower.get("content-md5", ""), lower.get("content-type", ""), date)
    text = "\n".join(first) + "\n" + own + resource
    mac = digest(account.secret_key.encode(), text, "sha1")
    return f"{word} {account.access_key}:{base64.b64encode(mac).decode()}"


class OssV4:
    """Signature V4 of OSS."""

    def __init__(self, account: Account = OWNER, region=REGION, moment=None):
        self.account = account
        self.moment = moment or now()
        day = self.moment.strftime("%Y%m%d")
        self.scope = f"{day}/{region}/oss/aliyun_v4_request"
        parts = (day, region, "oss", "aliyun_v4_request")
        self.key = derived_key("aliyun_v4" + account.secret_key, *parts)

    def sign(self, method, target, headers=None) -> dict[str, str]:
        """The headers to send: the given ones, the date and Authorization."""
        headers = {"x-oss-content-sha256": UNSIGNED} | dict(headers or {})
        headers.setdefault("x-oss-date", stamp(self.moment))
        headers["Authorization"] = (
            f"OSS4-HMAC-SHA256 Credential={self.account.access_key}/{self.scope},"
            f"Signature={self.signature(method, target, headers)}"
        )
        return headers

    def presign(self, method, target, seconds=600) -> str:
        """The target with everything a signed URL carries."""
        target += "&" if "?" in target else "?"
        target += "&".join(
            (
                f"x-oss-credential={encoded(f'{self.account.access_key}/{self.scope}')}",
                f"x-oss-date={stamp(self.moment)}",
                f"x-oss-expires={seconds}",
                "x-oss-signature-version=OSS4-HMAC-SHA256",
            )
        )
        return f"{target}&x-oss-signature={self.signature(method, target, {})}"

    def signature(self, method, target, headers) -> str:
        """The signature of a request."""
        path, _, query = target.partition("?")
        lower = {name.lower(): str(value).strip() for name, value in headers.items()}
        own = ("content-type", "content-md5")
        signed = sorted(n for n in lower if n in own or n.startswith("x-oss-"))
        items = sorted((encoded(name), encoded(value)) for name, value in pairs(query))
        canonical = "\n".join(
            (
                method,
                quote(unquote(path), safe="/-._~"),
                "&".join(f"{name}={value}" if value else name for name, value in items),
                "".join(f"{name}:{lower[name]}\n" for name in signed),
                "",
                UNSIGNED,
            )
        )
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join(("OSS4-HMAC-SHA256", stamp(self.moment), self.scope, hashed))
        return digest(self.key, text).hex()


def s3_request(
    endpoint, method, target, headers=None, body=b"", account: Account = OWNER, payload=None
) -> Reply:
    """Sends one request signed with S3 V4, its body hashed unless `payload` says otherwise."""
    payload = payload or hashlib.sha256(body).hexdigest()
    signed = S3V4(account).sign(method, endpoint, target, headers, payload)
    return send(endpoint, method, target, signed, body)


def oss_request(endpoint, method, target, headers=None, body=b"", account: Account = OWNER):
    """Sends one request signed with OSS V4."""
    return send(endpoint, method, target, OssV4(account).sign(method, target, headers), body)
