"""Fixtures of the tests that make a server's system calls fail."""

import shutil
from pathlib import Path

import pytest

from crash.faults import Faults, compiled
from crash.victim import Victim
from harness.server import Server


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Path:
    """The preloaded library."""
    return compiled(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def victim(tmp_path, library, request):
    """A server over the directories `request.param`, not started; ends with the test."""
    faults = Faults(library, tmp_path / "control")
    server = Server(tmp_path / "server", request.param, environment=faults.environment)
    yield Victim(server, faults)
    if server.process:
        server.kill()
    # Each directory has hundreds of megabytes set aside.
    shutil.rmtree(server.home)
