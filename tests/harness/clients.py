"""Clients of both dialects, all through real SDKs, with retries off so that faults show."""

import contextlib

import alibabacloud_oss_v2 as oss_v2
import boto3
import botocore
import botocore.exceptions
import oss2
import pytest
from botocore.config import Config

from harness.accounts import OWNER, REGION, Account
from harness.raw import Reply

_SESSION = boto3.session.Session()


def s3_client(endpoint: str, account: Account | None = OWNER, region=REGION, **options):
    """A boto3 client; without an account it sends no credentials. `options` go to its Config."""
    settings = {"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}}
    settings |= {"signature_version": "s3v4" if account else botocore.UNSIGNED}
    settings |= {"connect_timeout": 10, "read_timeout": 120, "max_pool_connections": 32}
    verify = options.pop("verify", None)
    return _SESSION.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=account.access_key if account else None,
        aws_secret_access_key=account.secret_key if account else None,
        aws_session_token=account.token if account else None,
        verify=verify,
        config=Config(**(settings | options)),
    )


def query_client(name: str, endpoint: str, account: Account = OWNER):
    """boto3's client of `iam` or `sts`."""
    return _SESSION.client(
        name,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=account.access_key,
        aws_secret_access_key=account.secret_key,
        aws_session_token=account.token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def oss_auth(scheme: str, account: Account = OWNER):
    """The oss2 signer of scheme V1, V2 or V4."""
    kinds = {"V1": oss2.Auth, "V2": oss2.AuthV2, "V4": oss2.AuthV4}
    if account.token:
        keys = (account.access_key, account.secret_key, account.token)
        return oss2.StsAuth(*keys, auth_version={"V1": "v1", "V2": "v2", "V4": "v4"}[scheme])
    return kinds[scheme](account.access_key, account.secret_key)


def oss_bucket(endpoint: str, name: str, scheme="V4", account: Account | None = OWNER):
    """oss2's Bucket; without an account it sends no credentials."""
    auth = oss_auth(scheme, account) if account else oss2.AnonymousAuth()
    return oss2.Bucket(auth, endpoint, name, region=REGION, connect_timeout=60)


def oss_service(endpoint: str, scheme="V4", account: Account = OWNER):
    """oss2's Service, for what is above buckets."""
    return oss2.Service(oss_auth(scheme, account), endpoint, region=REGION, connect_timeout=60)


def oss_v2_client(endpoint: str, account: Account | None = OWNER):
    """The client of alibabacloud-oss-v2."""
    config = oss_v2.config.load_default()
    config.region = REGION
    config.endpoint = endpoint
    config.retry_max_attempts = 1
    if account:
        config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(
            account.access_key, account.secret_key
        )
    else:
        config.credentials_provider = oss_v2.credentials.AnonymousCredentialsProvider()
    return oss_v2.Client(config)


@contextlib.contextmanager
def refused(status: int, *codes: str):
    """The block must be refused with `status` and one of `codes`, whatever SDK it uses.

    Without `codes` only the status counts (an answer to HEAD has no body). Yields a namespace
    whose `reply` is the SDK's exception.
    """
    caught = Refusal()
    kinds = (botocore.exceptions.ClientError, oss2.exceptions.OssError)
    kinds += (oss_v2.exceptions.OperationError,)
    with pytest.raises(kinds) as raised:
        yield caught
    caught.reply = raised.value
    got_status, got_code = _status_and_code(raised.value)
    assert got_status == status and (not codes or got_code in codes), (
        f"expected {status} {' or '.join(codes)}, got {got_status} {got_code}: {raised.value}"
    )


class Refusal:
    """What `refused` caught."""

    reply: Exception | None = None


def _status_and_code(error) -> tuple[int, str]:
    if isinstance(error, botocore.exceptions.ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    if isinstance(error, oss2.exceptions.OssError):
        return error.status, error.code
    service = error.unwrap()
    return getattr(service, "status_code", 0), getattr(service, "code", repr(service))


def is_refused(reply: Reply, status: int, *codes: str):
    """The same for a raw reply."""
    assert reply.status == status and (not codes or reply.code in codes), (
        f"expected {status} {' or '.join(codes)}, got {reply.status}: {reply.body[:500]!r}"
    )
