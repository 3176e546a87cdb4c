"""The accounts that every test server declares, or those the environment names."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    """An account with one key; `identity` is its id, in OSS the uid."""

    name: str
    identity: str
    canonical_id: str
    access_key: str
    secret_key: str
    token: str | None = None

    def table(self) -> str:
        """This account as it stands in the configuration file."""
        return (
            "[[account]]\n"
            f'name = "{self.name}"\n'
            f'id = "{self.identity}"\n'
            f'canonical_id = "{self.canonical_id}"\n'
            f'email = "{self.name}@example.com"\n'
            f'keys = [{{ access_key = "{self.access_key}", secret_key = "{self.secret_key}" }}]\n'
        )


OWNER = Account(
    name="owner",
    identity="100000000001",
    canonical_id="a1" * 32,
    access_key=os.environ.get("ACCESS_KEY", "LARDEROWNERKEY000001"),
    secret_key=os.environ.get("SECRET_KEY", "owner-secret-for-tests-0000000000000000a"),
)
OTHER = Account(
    name="other",
    identity="200000000002",
    canonical_id="b2" * 32,
    access_key=os.environ.get("OTHER_ACCESS_KEY", "LARDEROTHERKEY000002"),
    secret_key=os.environ.get("OTHER_SECRET_KEY", "other-secret-for-tests-0000000000000000b"),
)
REGION = os.environ.get("REGION", "us-east-1")
