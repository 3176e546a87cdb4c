"""The program: start, readiness, accounts, regions, TLS, several directories, orderly stop."""

import json
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from harness.accounts import OTHER
from harness.clients import oss_bucket, s3_client
from harness.data import MIB, some_bytes
from harness.raw import address, head_of, send, status_of
from harness.server import BINARY, http_status
from harness.sign import S3V4, UNSIGNED


def test_what_was_stored_is_there_after_an_orderly_restart(special_server):
    server = special_server()
    s3 = s3_client(server.endpoint)
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="k", Body=b"hello", Metadata={"a": "1"})
    upload = s3.create_multipart_upload(Bucket="kept", Key="u")["UploadId"]
    s3.upload_part(Bucket="kept", Key="u", UploadId=upload, PartNumber=1, Body=b"part")
    server.stop()
    server.start()
    s3 = s3_client(server.endpoint)
    got = s3.get_object(Bucket="kept", Key="k")
    assert (got["Body"].read(), got["Metadata"]) == (b"hello", {"a": "1"})
    parts = s3.list_parts(Bucket="kept", Key="u", UploadId=upload)["Parts"]
    assert [part["Size"] for part in parts] == [4]


def test_sigterm_lets_a_running_request_finish(special_server):
    server = special_server()
    s3_client(server.endpoint).create_bucket(Bucket="drained")
    body = some_bytes(2 * MIB)
    headers = S3V4().sign("PUT", server.endpoint, "/drained/k", payload=UNSIGNED)
    headers |= {"Content-Length": str(len(body)), "Expect": "100-continue"}
    with socket.create_connection(address(server.endpoint), timeout=60) as connection:
        connection.sendall(head_of("PUT", "/drained/k", headers))
        assert status_of(connection.recv(65536)) == 100
        connection.sendall(body[:MIB])
        server.process.terminate()
        connection.sendall(body[MIB:])
        assert status_of(connection.recv(65536)) == 200
    assert server.process.wait(60) == 0
    server.start()
    got = s3_client(server.endpoint).get_object(Bucket="drained", Key="k")
    assert got["Body"].read() == body


def test_the_logs_hold_no_secret(special_server):
    server = special_server()
    s3_client(server.endpoint, OTHER).list_buckets()
    server.stop()
    assert OTHER.secret_key not in server.logged


def test_a_second_process_on_the_same_directory_refuses(special_server):
    server = special_server("data")
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "data"]
    second = subprocess.run(
        command, cwd=server.home, capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode != 0
    assert http_status(f"{server.endpoint}/_larder/ready") == 200


def doctor(server, *arguments) -> tuple[int, dict]:
    """Exit code and verdicts of `larder doctor` by check; of several, the worst."""
    ran = subprocess.run(
        [BINARY, "doctor", "--json", *arguments, *server.directories],
        cwd=server.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    worst = {}
    for found in json.loads(ran.stdout):
        verdicts = (worst.get(found["check"], "ok"), found["verdict"])
        worst[found["check"]] = max(verdicts, key=["ok", "warning", "problem"].index)
    return ran.returncode, worst


def test_the_doctor_looks_beside_a_running_server_and_without_one(special_server):
    server = special_server("a=one", "b=two")
    listen = ("--listen", server.endpoint.removeprefix("http://"))
    before = sorted(path.name for path in (server.home / "one").iterdir())
    code, verdicts = doctor(server, *listen)
    assert verdicts["lock"] == verdicts["identity"] == verdicts["address"] == "ok"
    assert verdicts["separate disks"] == "warning"
    assert (code != 0) == ("problem" in verdicts.values())
    assert sorted(path.name for path in (server.home / "one").iterdir()) == before
    s3_client(server.endpoint).create_bucket(Bucket="still-served")
    server.stop()
    assert doctor(server, *listen)[1]["master key"] == "ok"
    (server.home / "two" / "larder.id").write_bytes(b"no identity")
    code, verdicts = doctor(server, *listen)
    assert (code, verdicts["identity"]) == (1, "problem")


def test_a_buckets_bytes_lie_only_in_its_region(special_server):
    server = special_server("eu/a=eu-disk", "us/b=us-disk")
    mark = b"find-me-" + some_bytes(16).hex().encode()
    for region in ("eu", "us"):
        s3 = s3_client(server.endpoint, region=region)
        place = {"LocationConstraint": region}
        s3.create_bucket(Bucket=f"in-{region}", CreateBucketConfiguration=place)
        s3.put_object(Bucket=f"in-{region}", Key="small", Body=mark + region.encode())
        large = (mark + region.encode()) * 50_000
        s3.put_object(Bucket=f"in-{region}", Key="large", Body=large)
        assert s3.get_bucket_location(Bucket=f"in-{region}")["LocationConstraint"] == region
    for region, other in (("eu", "us"), ("us", "eu")):
        assert holds(server.home / f"{region}-disk", mark + region.encode())
        assert not holds(server.home / f"{other}-disk", mark + region.encode())


def holds(folder, text: bytes) -> bool:
    """Does any file below `folder` contain `text`?"""
    return any(text in path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("lost", ["one", "two", "three"])
def test_with_three_directories_any_one_may_be_lost(special_server, lost):
    server = special_server("a=one", "b=two", "c=three")
    s3 = s3_client(server.endpoint)
    s3.create_bucket(Bucket="twice")
    bodies = {"small": some_bytes(1000), "large": some_bytes(2 * MIB)}
    for key, body in bodies.items():
        s3.put_object(Bucket="twice", Key=key, Body=body)
    server.stop()
    shutil.rmtree(server.home / lost)
    server.start()
    s3 = s3_client(server.endpoint)
    for key, body in bodies.items():
        assert s3.get_object(Bucket="twice", Key=key)["Body"].read() == body


def test_a_start_without_its_metadata_is_refused_and_removes_nothing(special_server):
    server = special_server("a=one", "b=two")
    s3 = s3_client(server.endpoint)
    s3.create_bucket(Bucket="kept")
    bodies = {"small": some_bytes(1000), "large": some_bytes(2 * MIB)}
    for key, body in bodies.items():
        s3.put_object(Bucket="kept", Key=key, Body=body)
    server.stop()
    before = blob_files(server.home)
    assert any("/blobs/" in name for name in before) and any("/segments/" in name for name in before)
    disks = [server.home / "one", server.home / "two"]
    for disk in disks:
        (disk / "meta").rename(disk.with_suffix(".meta"))
        (disk / "meta").mkdir()
    for _ in range(2):
        server.begin()
        assert server.process.wait(60) != 0
        assert "metadata is missing" in server.logged
        assert all(f"{disk.name}/meta" in server.logged for disk in disks)
        assert "a new store was made" not in server.logged.split("metadata is missing")[-1]
        assert blob_files(server.home) == before
    for disk in disks:
        shutil.rmtree(disk / "meta")
        disk.with_suffix(".meta").rename(disk / "meta")
    server.start()
    s3 = s3_client(server.endpoint)
    for key, body in bodies.items():
        assert s3.get_object(Bucket="kept", Key=key)["Body"].read() == body


def blob_files(home) -> dict[str, int]:
    """Names and sizes of all files below `home` that hold objects' bytes."""
    found = [path for kind in ("blobs", "segments") for path in home.glob(f"*/{kind}/**/*")]
    return {str(path): path.stat().st_size for path in found if path.is_file()}


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for 127.0.0.1 and its key."""
    files = (tmp_path / "cert.pem", tmp_path / "key.pem")
    make_certificate(*files)
    return files


def make_certificate(certificate, key):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", certificate]
        + ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:*.localhost"],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def tls_server(special_server, certificate):
    """A server that speaks TLS."""
    files = ("--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1]))
    return special_server(arguments=files)


def test_both_dialects_work_over_tls(tls_server, certificate, monkeypatch):
    assert tls_server.endpoint.startswith("https://")
    s3 = s3_client(tls_server.endpoint, verify=str(certificate[0]))
    s3.create_bucket(Bucket="safe")
    for algorithm in ("CRC32", "CRC64NVME", "SHA256"):
        # Over TLS the SDK sends the checksum as an unsigned trailer.
        s3.put_object(Bucket="safe", Key="k", Body=b"hello", ChecksumAlgorithm=algorithm)
    assert s3.get_object(Bucket="safe", Key="k")["Body"].read() == b"hello"
    oss = oss_bucket(tls_server.endpoint, "safe")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    assert oss.get_object("k").read() == b"hello"


def test_http_2_is_offered_over_tls(tls_server, certificate):
    url = f"{tls_server.endpoint}/_larder/ready"
    command = ["curl", "--silent", "--cacert", certificate[0], "--http2", "--output", "/dev/null"]
    shown = subprocess.run(
        [*command, "--write-out", "%{http_version} %{response_code}", url],
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout == "2 200"


def test_a_policy_may_ask_for_a_version_of_tls(tls_server, certificate):
    s3 = s3_client(tls_server.endpoint, verify=str(certificate[0]))
    s3.create_bucket(Bucket="modern")
    s3.put_object(Bucket="modern", Key="k", Body=b"hello")
    s3.delete_public_access_block(Bucket="modern")
    allowed = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::modern/*",
        "Condition": {"NumericGreaterThanEquals": {"s3:TlsVersion": "1.3"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    s3.put_bucket_policy(Bucket="modern", Policy=json.dumps(policy))
    command = ["curl", "--silent", "--cacert", certificate[0], "--output", "/dev/null"]
    for http in ("--http1.1", "--http2"):
        for most, status in (("1.2", "403"), ("1.3", "200")):
            shown = subprocess.run(
                [*command, http, "--tls-max", most, "--write-out", "%{response_code}"]
                + [f"{tls_server.endpoint}/modern/k"],
                check=True,
                capture_output=True,
                text=True,
            )
            assert shown.stdout == status, (http, most)


def test_a_renewed_certificate_is_taken_without_a_restart(tls_server, certificate):
    host, port = address(tls_server.endpoint)
    before = ssl.get_server_certificate((host, port))
    make_certificate(*certificate)
    pause = threading.Event()
    for _ in range(600):
        if ssl.get_server_certificate((host, port)) != before:
            return
        pause.wait(0.1)
    pytest.fail("the old certificate is still served after a minute")


def test_health_readiness_and_metrics_are_served(endpoint):
    assert send(endpoint, "GET", "/_larder/health").status == 200
    assert send(endpoint, "GET", "/_larder/ready").status == 200
    metrics = send(endpoint, "GET", "/_larder/metrics")
    assert metrics.status == 200 and b"# TYPE " in metrics.body


def test_metrics_are_open_to_no_name_that_leads_here(endpoint):
    port = endpoint.rsplit(":", 1)[1]
    for name, status in [("localhost", 200), ("127.0.0.1", 200), ("rebound.example", 403)]:
        reply = send(endpoint, "GET", "/_larder/metrics", {"Host": f"{name}:{port}"})
        assert reply.status == status, name


@pytest.mark.parametrize("kind", ["server", "tls_server"])
def test_a_head_that_drips_into_a_kept_alive_connection_is_cut_off(kind, request):
    server = request.getfixturevalue(kind)
    connection = socket.create_connection(address(server.endpoint), timeout=1)
    if kind == "tls_server":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = context.wrap_socket(connection)
    with connection:
        get = b"GET /_larder/health HTTP/1.1\r\nHost: localhost\r\n"
        for _ in range(3):
            connection.sendall(get + b"\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.sendall(get)
        for second in range(30):
            try:
                connection.sendall(b"x" if second else b"X-Drip: ")
                if not connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:  # reset, broken pipe
                break
        else:
            pytest.fail("the connection stays open")
        assert second > 5, "a head has ten seconds"
