"""Fixtures for users, groups, roles and policies."""

import uuid

import pytest

from harness.accounts import OTHER, OWNER
from harness.clients import query_client
from harness.identities import remove, trust


@pytest.fixture(scope="session")
def iam(endpoint):
    """boto3's IAM as the account that owns the test's bucket."""
    return query_client("iam", endpoint)


@pytest.fixture(scope="session")
def iam_other(endpoint):
    """The same as another account."""
    return query_client("iam", endpoint, OTHER)


@pytest.fixture
def iam_as(endpoint):
    """Makes IAM clients for given keys."""
    return lambda account: query_client("iam", endpoint, account)


class Fresh:
    """Makes entities that nobody has used; all of them go after the test."""

    def __init__(self, iam):
        self.iam = iam
        self.made = []

    @staticmethod
    def name() -> str:
        return f"t{uuid.uuid4().hex[:12]}"

    def __call__(self, kind: str, iam=None, name=None) -> str:
        iam, name = iam or self.iam, name or self.name()
        if kind == "role":
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(OWNER.identity))
        elif kind != "policy":
            getattr(iam, f"create_{kind}")(**{f"{kind.title()}Name": name})
        self.made.append((kind, iam, name))
        return name


@pytest.fixture
def fresh(iam):
    """Makes users, groups and roles, and names for policies."""
    makes = Fresh(iam)
    yield makes
    for kind, client, name in sorted(makes.made, key=lambda made: made[0] == "policy"):
        remove(client, kind, name)
