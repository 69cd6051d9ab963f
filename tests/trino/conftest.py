"""Trino on a sandbox without stacks, and what fills it with snapshots. One of each for all tests here."""

import pytest
from sandbox_user import sandbox

from sandbox.trino.install import why_missing
from sandbox.trino.server import TrinoServer
from tests.trino.lake import Job, Lake


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("sandbox"), "--no-deploy") as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def lake(endpoint, tmp_path_factory):
    if reason := why_missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("trino")
    server, job = TrinoServer(endpoint, folder), Job(endpoint, folder / "job.log")
    try:
        server.wait_until_ready()
        yield Lake(endpoint, job, server.url)
    finally:
        job.stop()
        server.stop()
