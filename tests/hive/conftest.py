"""A sandbox without stacks, what fills it with snapshots, and Hive. One of each for all tests here."""

import pytest
from sandbox_user import sandbox

from tests.hive.serdes import Hive, why_no_json
from tests.trino.lake import Job, Lake


@pytest.fixture(scope="session")
def hive(tmp_path_factory):
    hive = Hive(tmp_path_factory.mktemp("hive") / "java.log")
    yield hive
    hive.stop()


@pytest.fixture(scope="session")
def lake(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake")
    with sandbox(folder / "sandbox", "--no-deploy") as endpoint:
        job = Job(endpoint, folder / "job.log")
        try:
            yield Lake(endpoint, job)
        finally:
            job.stop()


@pytest.fixture(params=["json", "csv", "avro"])
def output_format(request):
    if request.param == "json" and (reason := why_no_json()):
        pytest.skip(reason)
    return request.param
