"""The job on Spark itself, as `make sandbox` runs it. The other tests here run it on tests/local_spark."""

from contextlib import suppress
from pathlib import Path

import pytest
from sandbox_user import User, sandbox

pytestmark = pytest.mark.slow

FORMATS = ["parquet", "orc", "avro", "json", "csv"]
ITEMS = [{"id": f"i{n}", "stars": n % 6, "tags": ["a", f"t{n}"]} for n in range(500)]


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """The folder with the sandbox's logs and the job runs' own folders."""
    return tmp_path_factory.mktemp("spark")


@pytest.fixture(scope="module")
def user(state):
    with sandbox(state) as endpoint:
        yield User(endpoint)


@pytest.fixture(scope="module")
def exported(user):
    """The pipelines of one table in each format, and the record of each one's export."""
    user.make_table("Sparked", ITEMS, {"id": "S"})
    pipelines = [
        user.deploy_pipeline("Sparked", OutputFormat=name, CatalogName=f"sparked_{name}", ReadMode="scan")
        for name in FORMATS
    ]
    exports = [user.export(pipeline)[0] for pipeline in pipelines]
    return dict(zip(FORMATS, zip(pipelines, exports, strict=True), strict=True))


@pytest.mark.parametrize("output_format", FORMATS)
def test_every_format_is_written_by_spark(user, exported, output_format):
    pipeline, export = exported[output_format]

    assert export["items"] == len(ITEMS)
    [counted] = user.query(
        f"SELECT count(DISTINCT id) AS ids, sum(CAST(stars AS bigint)) AS stars FROM {pipeline['View']}"
    )
    assert counted == {"ids": "500", "stars": str(sum(item["stars"] for item in ITEMS))}


def test_it_was_spark(exported, state):
    _, export = exported["parquet"]

    assert "sc.setLogLevel" in (state / "glue" / export["glue_job_run_id"] / "output.log").read_text()


def test_a_stopped_run_ends_with_all_its_processes(user, state):
    user.make_table("Spark-Stopped", ITEMS, {"id": "S"})
    pipeline = user.deploy_pipeline("Spark-Stopped")
    user.request(pipeline)
    run = user.wait_for(lambda: run_with_spark(user, pipeline, state), "job run whose Spark has started")

    user.client("glue").batch_stop_job_run(JobName=pipeline["JobName"], JobRunIds=[run])

    [export] = user.ended_exports(pipeline, 1)
    assert export["reason"].startswith(f"Glue job run {run} ended STOPPED")
    user.wait_for(lambda: processes_of(state / "glue" / run) == [] or None, "end of the run's processes")


def run_with_spark(user, pipeline, state):
    """The pipeline's job run once it has a Java process."""
    for run in user.client("glue").get_job_runs(JobName=pipeline["JobName"])["JobRuns"]:
        if any("java" in name for name in processes_of(state / "glue" / run["Id"])):
            return run["Id"]
    return None


def processes_of(folder):
    """The names of the processes that work in a folder."""
    names = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                names.append((process / "comm").read_text().strip())
    return names


def test_a_job_that_is_killed_while_it_writes_leaves_one_snapshot(user):
    user.make_table("Spark-Killed", ITEMS, {"id": "S"})
    pipeline = user.deploy_pipeline("Spark-Killed")
    user.inject_faults({"when": {"caller": "glue", "action": "PUT */snapshots_spark_killed/*"}, "do": "kill"})

    [export] = user.export(pipeline)

    assert export["attempt"] == 2
    assert user.query("SELECT count(*) AS items FROM snapshots_spark_killed") == [{"items": "500"}]


def test_the_error_of_an_executor_is_the_reason_of_the_export(user):
    user.make_table("Spark-Denied", ITEMS, {"id": "S"})
    pipeline = user.deploy_pipeline("Spark-Denied")
    role = user.client("glue").get_job(JobName=pipeline["JobName"])["Job"]["Role"]

    with user.denied(role, "dynamodb:Scan"):
        user.request(pipeline)
        [export] = user.ended_exports(pipeline, 1)

    assert export["stage"] == "FAILED"
    assert "Scan failed with AccessDenied" in export["reason"]
    assert "Allow this action in the job's role." in export["reason"]
