"""Fixtures of all wire tests: the server, its clients, a fresh bucket, fresh names."""

import os
import uuid

import pytest

from harness import clients
from harness.accounts import OTHER
from harness.data import SEED
from harness.server import BINARY, Elsewhere, Server
from harness.tools import Tools


def pytest_configure(config):
    """Hands the seed to the worker processes, so that all use the same one."""
    os.environ["SEED"] = str(SEED)


def pytest_report_header(config):
    """Says what is tested and with which seed."""
    return f"server {os.environ.get('ENDPOINT') or BINARY}, SEED={SEED}"


# The servers a test speaks to, each with the length of its log when the test began.
SERVERS = pytest.StashKey[list[tuple[Server, int]]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows with a failed test what its servers logged meanwhile."""
    report = yield
    if report.failed:
        for server, before in item.stash.get(SERVERS, []):
            logged = server.logged[before:][-8000:]
            report.sections.append((f"log of {server.home.name}", logged))
    return report


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The server of this session: one of our own, or the one that ENDPOINT names."""
    if endpoint := os.environ.get("ENDPOINT"):
        yield Elsewhere(endpoint)
        return
    with Server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(autouse=True)
def _log_mark(request):
    """Remembers the server of the session, if this test speaks to it."""
    request.node.stash[SERVERS] = []
    if "server" in request.fixturenames:
        server = request.getfixturevalue("server")
        if isinstance(server, Server):
            request.node.stash[SERVERS].append((server, len(server.logged)))


@pytest.fixture
def special_server(tmp_path, request, _log_mark):
    """Makes further servers with other directories, flags or environment; stops them all."""
    started = []

    def start(*directories, arguments=(), environment=None) -> Server:
        home = tmp_path / f"server-{len(started)}"
        special = Server(home, directories or ("data",), arguments, environment)
        started.append(special)
        request.node.stash[SERVERS].append((special, 0))
        special.start()
        return special

    yield start
    for special in started:
        special.stop()


@pytest.fixture(scope="session")
def endpoint(server) -> str:
    """The server's address."""
    return server.endpoint


@pytest.fixture(scope="session")
def s3(endpoint):
    """boto3 as the account that owns the test's bucket."""
    return clients.s3_client(endpoint)


@pytest.fixture(scope="session")
def s3_other(endpoint):
    """boto3 as another account."""
    return clients.s3_client(endpoint, OTHER)


@pytest.fixture(scope="session")
def s3_anonymous(endpoint):
    """boto3 without credentials."""
    return clients.s3_client(endpoint, None)


@pytest.fixture
def fresh_name(s3):
    """Makes bucket names that nobody has used. What exists under them goes after the test."""
    names = []

    def name() -> str:
        names.append(f"larder-{uuid.uuid4().hex[:16]}")
        return names[-1]

    yield name
    if "ENDPOINT" in os.environ:
        for used in names:
            wipe(s3, used)


@pytest.fixture
def bucket(s3, fresh_name) -> str:
    """The name of a fresh, empty bucket of the owner."""
    name = fresh_name()
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def other_bucket(s3_other, fresh_name) -> str:
    """The name of a fresh, empty bucket of the other account."""
    name = fresh_name()
    s3_other.create_bucket(Bucket=name)
    return name


@pytest.fixture
def versioned(s3, bucket) -> str:
    """The name of a fresh bucket with versioning on."""
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    return bucket


@pytest.fixture
def tools(endpoint, tmp_path) -> Tools:
    """Command-line programs in an empty folder."""
    home = tmp_path / "home"
    home.mkdir()
    return Tools(endpoint, home)


@pytest.fixture(params=["V1", "V4"])
def oss(request, endpoint, bucket):
    """oss2's view of the bucket, with signature V1 and again with V4."""
    return clients.oss_bucket(endpoint, bucket, request.param)


@pytest.fixture
def oss4(endpoint, bucket):
    """oss2's view of the bucket, with signature V4."""
    return clients.oss_bucket(endpoint, bucket)


@pytest.fixture(scope="session")
def oss_v2(endpoint):
    """The client of alibabacloud-oss-v2 (always V4)."""
    return clients.oss_v2_client(endpoint)


def wipe(s3, bucket: str):
    """Removes a bucket on a foreign server with all that is in it, as well as it goes."""
    try:
        for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
                version = {"Key": entry["Key"], "VersionId": entry["VersionId"]}
                s3.delete_object(Bucket=bucket, **version)
        s3.delete_bucket(Bucket=bucket)
    except clients.botocore.exceptions.ClientError as error:
        print(f"left behind: {bucket}: {error}")
