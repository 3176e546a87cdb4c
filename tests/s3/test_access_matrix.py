"""Every route of the operation table, with every kind of bad credentials: all are refused.

And every route with a policy that allows one action: only the routes of that action pass.

The table comes from the program itself (`larder operations --json`), so a new operation is in
the matrix as soon as it is served. After each request the bucket is as it was.
"""

import dataclasses
import datetime
import functools
import json
import subprocess

import pytest

from harness.accounts import OTHER, OWNER, Account
from harness.policies import open_to_policies, policy, statement
from harness.raw import send
from harness.server import BINARY
from harness.sign import S3V4, UNSIGNED, OssV4, now, oss_v1, s3_v2

WRONG = Account("wrong", "", "", OWNER.access_key, "not-the-secret")
NOBODY = Account("nobody", "", "", "NOSUCHKEY0000000001", "any")
LATE = datetime.timedelta(hours=1)
OTHERS = "other account"
BODY = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


@dataclasses.dataclass(frozen=True)
class Route:
    """One row of the operation table."""

    dialect: str
    name: str
    method: str
    target: str
    query: tuple[str, ...]
    headers: tuple[str, ...]
    actions: tuple[str, ...]
    served: bool

    def path(self, bucket: str) -> str:
        """The path and query of a request to this route."""
        place = {"service": "/", "bucket": f"/{bucket}", "object": f"/{bucket}/k"}[self.target]
        if self.dialect == "oss" and self.target == "bucket":
            place += "/"
        return place + ("?" + "&".join(map(self._query_item, self.query)) if self.query else "")

    def _query_item(self, name: str) -> str:
        values = {"uploadId": "0" * 32, "partNumber": "1", "list-type": "2", "position": "0"}
        return f"{name}={values[name]}" if name in values else name

    def extra(self, bucket: str) -> dict[str, str]:
        """The headers that choose this route, or that it cannot do without."""
        extra = {"x-amz-object-attributes": "ETag"} if "attributes" in self.query else {}
        for name in self.headers:
            extra[name] = f"/{bucket}/k" if name.endswith("copy-source") else "1"
            if name.endswith("copy-source"):
                # Otherwise a copy to itself is refused whoever asks.
                extra[name.replace("copy-source", "metadata-directive")] = "REPLACE"
        return extra


def load_routes() -> list[Route]:
    """All routes that the program knows, served or not; none if there is no such program."""
    command = [BINARY, "operations", "--json"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        rows = json.loads(shown.stdout)
    except (OSError, subprocess.CalledProcessError, json.JSONDecodeError):
        return []
    return [
        Route(
            dialect.lower(),
            row["name"],
            row["method"],
            row["target"].lower(),
            tuple(row.get("query", ())),
            tuple(row.get("headers", ())),
            tuple(row["actions"]),
            row["served"],
        )
        for row in rows
        for dialect in dialects(row["dialect"])
    ]


def dialects(value) -> list[str]:
    """`s3`, `oss`, `both` or a list of them."""
    if isinstance(value, list):
        return value
    return ["s3", "oss"] if value.lower() == "both" else [value]


ROUTES = load_routes()


def signed(route, endpoint, path, headers, account=OWNER, moment=None) -> dict[str, str]:
    """The route's headers with the V4 signature of its dialect."""
    if route.dialect == "oss":
        return OssV4(account, moment=moment).sign(route.method, path, headers)
    return S3V4(account, moment=moment).sign(route.method, endpoint, path, headers, UNSIGNED)


def presigned(route, endpoint, path, account=OWNER, moment=None, method=None) -> str:
    """The path with the V4 signature of the route's dialect in its query."""
    method = method or route.method
    if route.dialect == "oss":
        return OssV4(account, moment=moment).presign(method, path)
    return S3V4(account, moment=moment).presign(method, endpoint, path)


def older(route, path, headers, account) -> dict[str, str]:
    """The route's headers with the old signature of its dialect."""
    sign = oss_v1 if route.dialect == "oss" else s3_v2
    if route.dialect == "oss":
        return sign(route.method, path, headers, account)
    return sign(route.method, path, path, headers, account)


def attempts(route: Route, endpoint: str, bucket: str):
    """(what is wrong, path, headers) of every attempt."""
    path, extra = route.path(bucket), route.extra(bucket)
    make = functools.partial(signed, route, endpoint, path, extra)
    url = functools.partial(presigned, route, endpoint, path)
    yield "none", path, extra
    yield "wrong secret", path, make(WRONG)
    yield "unknown key", path, make(NOBODY)
    yield "old scheme, wrong secret", path, older(route, path, extra, WRONG)
    yield "old date", path, make(moment=now() - LATE)
    yield "future date", path, make(moment=now() + LATE)
    yield "expired URL", url(moment=now() - LATE), extra
    yield "URL with wrong secret", url(WRONG), extra
    yield "URL of another method", url(method="OPTIONS"), extra
    yield "header of another target", path + ("&" if "?" in path else "?") + "x-added", make()
    yield "URL and header", url(), make()
    other = dataclasses.replace(route, dialect="s3" if route.dialect == "oss" else "oss")
    yield "both dialects", presigned(other, endpoint, path), make()
    if route.target != "service":
        yield "URL of another bucket", url().replace(bucket, f"{bucket}x"), extra
        yield OTHERS, path, make(OTHER)


def state(s3, bucket) -> tuple:
    """All that could have changed."""
    versions = s3.list_object_versions(Bucket=bucket).get("Versions", [])
    return (
        [(entry["Key"], entry["VersionId"], entry["ETag"]) for entry in versions],
        s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []),
        s3.get_bucket_versioning(Bucket=bucket).get("Status"),
    )


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.dialect}-{route.name}")
def test_only_a_right_signature_reaches_storage(s3, endpoint, bucket, route):
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret")
    before = state(s3, bucket)
    for wrong, path, headers in attempts(route, endpoint, bucket):
        body = BODY if route.method in ("PUT", "POST") else b""
        reply = send(endpoint, route.method, path, headers, body)
        unserved = wrong == OTHERS and (reply.status, reply.code) == (501, "NotImplemented")
        refused = 400 <= reply.status < 500 or unserved
        assert refused, f"{wrong}: {route.method} {path}: {reply}"
        assert b"secret" not in reply.body or b"<Error>" in reply.body, wrong
    assert state(s3, bucket) == before


# Whoever creates a bucket asks its own account.
CREATE = ("CreateBucket", "PutBucket")
WITHIN = [
    route
    for route in ROUTES
    if route.served and route.target != "service" and route.name not in CREATE
]
GRANTS = sorted({(route.dialect, route.actions) for route in WITHIN})


def allowing(dialect: str, bucket: str, actions) -> str:
    """A policy that allows everybody these actions, in the language of the dialect."""
    if all(action.startswith("s3:") for action in actions):
        return policy(statement(bucket, list(actions)))
    assert dialect == "oss"
    places = [f"acs:oss:*:*:{bucket}", f"acs:oss:*:*:{bucket}/*"]
    one = {"Effect": "Allow", "Principal": ["*"], "Action": list(actions), "Resource": places}
    return json.dumps({"Version": "1", "Statement": [one]})


@pytest.mark.parametrize(("dialect", "actions"), GRANTS, ids=str)
def test_a_policy_lets_through_the_routes_of_its_actions_only(
    s3, endpoint, bucket, dialect, actions
):
    open_to_policies(s3, bucket)
    text = allowing(dialect, bucket, actions)

    def prepare():
        s3.put_bucket_policy(Bucket=bucket, Policy=text)
        s3.put_object(Bucket=bucket, Key="k", Body=b"secret")

    prepare()
    passed = set()
    for route in (route for route in WITHIN if route.dialect == dialect):
        path, extra = route.path(bucket), route.extra(bucket)
        body = b"<Nonsense/>" if route.method in ("PUT", "POST") else b""
        # Without a signature only a header tells the protocol.
        anonymous = extra | {f"x-{'oss' if dialect == 'oss' else 'amz'}-meta-any": "1"}
        for headers in (anonymous, signed(route, endpoint, path, extra, OTHER)):
            reply = send(endpoint, route.method, path, headers, body)
            assert reply.status < 500, f"{route.method} {path}: {reply}"
            expected = set(route.actions) <= set(actions)
            assert (reply.status != 403) == expected, f"{route.method} {path}: {reply}"
            if expected:
                passed.add(route.name)
                prepare()
            else:
                assert b"secret" not in reply.body
    assert passed


def test_the_table_has_the_operations_that_every_client_needs():
    known = {(route.dialect, route.name) for route in ROUTES}
    for dialect in ("s3", "oss"):
        for name in ("PutObject", "GetObject", "DeleteObject", "CopyObject", "UploadPart"):
            assert (dialect, name) in known
