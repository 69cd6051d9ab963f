"""Claims about the Glue job, and about reading tables."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from acceptance import plan
from acceptance.claims import Evidence, by_hand, check, expect
from acceptance.items import FOREIGN
from acceptance.world import World
from acceptance.zoo import ZOO
from infra.cost import PRICES
from table_exports.domain import naming
from table_exports.domain.export import Export
from table_exports.domain.stages import Stage

SUBJECT = "Reading tables"
SLOW = 0.1  # the share of the films' read capacity with which an export takes minutes
LOG_GROUP = "/aws-glue/jobs/error"
PERMANENT = "Permanent error: "
TOLERANCE = 1.2  # of a rate that is measured by the minute
ENDED = ("SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED")
MISSING_SUMMARY = "AWSDynamoDB/01600000000000-00000000/manifest-summary.json"


def job_run(world: World, export: Export) -> dict[str, Any]:
    glue = world.client("glue")
    return glue.get_job_run(JobName=export.glue_job_name, RunId=export.glue_job_run_id)["JobRun"]


@check(
    "job-on-glue",
    SUBJECT,
    "The job runs on Glue 5.1 workers, and how fast",
    f"reads `ExecutionTime` and `DPUSeconds` of the run that exported {plan.FILM_COUNT:,} films",
    not_in_sandbox="PySpark runs in one process, with the versions of pyarrow, orjson and numpy that Glue 5.1 has",
    rehearsed=True,
)
def runs_on_glue(world: World) -> Evidence:
    export = world.first_export("films")
    run = job_run(world, export)
    expect(run["GlueVersion"] == "5.1", f"Glue version {run['GlueVersion']}")
    expect(export.items == plan.FILM_COUNT, f"{export.items} items, not {plan.FILM_COUNT}")
    seconds = run["ExecutionTime"]
    figures = {
        "ExecutionTime": seconds,
        "DPUSeconds": run.get("DPUSeconds", "none"),
        "items": export.items,
        "bytes": export.bytes,
        "startup seconds": round((export.steps[-1].since - export.requested_at).total_seconds()) - seconds,
    }
    return Evidence(f"Glue {run['GlueVersion']}, {run['NumberOfWorkers']} {run['WorkerType']} workers", figures)


@check(
    "job-role",
    SUBJECT,
    "The job's role has all permissions that it needs on Glue",
    f"looks for `AccessDenied` in `{LOG_GROUP}` for all runs of the suite",
    not_in_sandbox="the role is enforced on the job's calls to DynamoDB and S3, but Glue's own calls do not exist",
)
def job_role_suffices(world: World) -> Evidence:
    runs = {name: world.first_export(name).glue_job_run_id for name in ("films", "zoo-parquet", "zoo-avro")}
    logs = world.client("logs")
    denied = [
        event["message"][:300]
        for run in runs.values()
        for page in logs.get_paginator("filter_log_events").paginate(
            logGroupName=LOG_GROUP, logStreamNamePrefix=run, filterPattern="AccessDenied"
        )
        for event in page["events"]
    ]
    expect(not denied, "; ".join(denied[:3]))
    return Evidence(f"no denied call in the logs of {len(runs)} runs", {"runs": len(runs)})


@check(
    "avro-module",
    SUBJECT,
    "Glue installs the Avro module from its wheel in S3",
    "exports a table in Avro",
    in_sandbox="the sandbox unpacks the wheel for the job, in its role",
)
def installs_the_avro_module(world: World) -> Evidence:
    export = world.first_export("zoo-avro")
    arguments = world.client("glue").get_job(JobName=export.glue_job_name)["Job"]["DefaultArguments"]
    module = arguments.get("--additional-python-modules", "none")
    expect(module.endswith(".whl"), f"the job's modules: {module}")
    return Evidence(f"{export.items} items in Avro, with {module.rpartition('/')[2]}", {"items": export.items})


@check(
    "job-modules",
    SUBJECT,
    "Glue puts the zip of `--extra-py-files` on the Python path of the driver and of all executors",
    "exports a table with two workers",
    in_sandbox="the zip is on the path of both",
)
def finds_the_modules(world: World) -> Evidence:
    export = world.first_export("films")
    return Evidence(f"{export.items} items were read and written", {"items": export.items, "files": export.files})


@check(
    "error-message",
    SUBJECT,
    "The `ErrorMessage` of a failed run contains the message of the job's exception, so that a permanent error is not "
    "retried",
    "exports a table whose manifests were moved to another folder",
    in_sandbox="the message is the last exception in the log",
    stage=2,
)
def tells_permanent_errors(world: World) -> Evidence:
    export = failed_export(world)
    run = job_run(world, export)
    expect(PERMANENT in run.get("ErrorMessage", ""), f"ErrorMessage: {run.get('ErrorMessage')}")
    attempts = {step.attempt for step in export.steps if step.stage == Stage.EXPORTING}
    expect(len(attempts) == 1, f"the job ran {len(attempts)} times")
    return Evidence(f"failed at the first attempt: {export.reason}", {"attempts": len(attempts)})


def failed_export(world: World) -> Export:
    """An export of the films that failed, because the manifests were elsewhere. They are back now."""
    return world.once("failed export of films", lambda: fail_an_export(world))


def fail_an_export(world: World) -> Export:
    world.first_export("films")
    folder = f"exports/manifests_{world.planned('films').catalog_name}/"
    s3, bucket = world.client("s3"), world.bucket
    moved = {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in world.keys(folder)}
    for key in moved:
        s3.delete_object(Bucket=bucket, Key=key)
    try:
        export = world.ended("films", world.request("films"))
    finally:
        for key, body in moved.items():
            s3.put_object(Bucket=bucket, Key=key, Body=body)
    expect(export.stage == Stage.FAILED, f"the export is {export.stage}")
    return export


@check(
    "stopped-run",
    SUBJECT,
    "A killed run leaves nothing in the snapshot's folder, and its export fails",
    "stops a job run while it reads the table",
    in_sandbox="the run's processes are killed. Tests end the job at each step",
    stage=1,
)
def stopped_run_leaves_nothing(world: World) -> Evidence:
    world.first_export("films")
    export_id = world.request("films", read_percentage=SLOW)
    export = world.in_stage("films", export_id, Stage.EXPORTING)
    world.wait_for(lambda: job_run(world, export)["JobRunState"] == "RUNNING", "the job run is RUNNING")
    time.sleep(0.5 if world.sandbox else 20)  # a run of the sandbox reads these few items in two seconds
    stop(world, export.glue_job_name, str(export.glue_job_run_id))
    export = world.ended("films", export_id)
    expect(export.stage == Stage.FAILED, f"the export is {export.stage}")
    left = world.keys(export.snapshot_location.partition(f"{world.bucket}/")[2])
    expect(not left, f"left in the snapshot's folder: {left}")
    return Evidence(f"the folder is empty. The export failed: {export.reason}")


def stop(world: World, job: str, run: str) -> None:
    errors = world.client("glue").batch_stop_job_run(JobName=job, JobRunIds=[run]).get("Errors")
    expect(not errors, f"the run could not be stopped: {errors}")


def start_slow_run(world: World, **options: Any) -> tuple[str, str]:
    """Starts a run of the films' job that no export waits for. Returns the names of job and run."""
    export = world.first_export("films")
    glue = world.client("glue")
    arguments = job_run(world, export)["Arguments"]
    now = naming.snapshot_timestamp(datetime.now(UTC))
    changed = {
        "--read_percentage": str(SLOW),
        "--snapshot_timestamp": now,
        "--export_id": f"acceptance-{time.time_ns()}",
        "--manifest": naming.manifest_uri(export.output_prefix, now),
    }
    run = glue.start_job_run(JobName=export.glue_job_name, Arguments=arguments | changed, **options)["JobRunId"]
    return export.glue_job_name, run


def run_state(world: World, job: str, run: str) -> str:
    return world.client("glue").get_job_run(JobName=job, RunId=run)["JobRun"]["JobRunState"]


@check(
    "find-run",
    SUBJECT,
    "A run that was just started is found by its arguments",
    "starts a run, lists the job's runs at once, and stops it",
    in_sandbox="a run is found at once",
    stage=1,
)
def finds_a_run(world: World) -> Evidence:
    job, run = start_slow_run(world)
    begun = time.monotonic()

    def look() -> dict[str, Any] | None:
        runs = world.client("glue").get_job_runs(JobName=job)["JobRuns"]
        return next((found for found in runs if found["Id"] == run), None)

    try:
        found = world.wait_for(look, "the run in the list of runs", 5)
        took = time.monotonic() - begun
        expect("--export_id" in found.get("Arguments", {}), f"the run's arguments: {found.get('Arguments')}")
        expect(took < 10, f"the run was in the list after {took:.0f} seconds only")
    finally:
        stop(world, job, run)
        world.wait_for(lambda: run_state(world, job, run) in ENDED, "the end of the stopped run")
    return Evidence("the run was found by its arguments", {"seconds": round(took, 1)})


@check(
    "run-queue",
    SUBJECT,
    "Glue queues a second run, and ends a run at its timeout",
    "starts two slow runs with a timeout of one minute",
    not_in_sandbox="job runs, their queue and their timeouts are a stand-in's",
    stage=1,
)
def queues_and_times_out(world: World) -> Evidence:
    job, first = start_slow_run(world, Timeout=1)
    _, second = start_slow_run(world, Timeout=1)
    world.wait_for(lambda: run_state(world, job, second) == "WAITING", "the second run is WAITING", 5)
    ended = world.wait_for(lambda: (s := run_state(world, job, first)) in ENDED and s, "the end of the first run")
    if run_state(world, job, second) not in ENDED:
        stop(world, job, second)
    world.wait_for(lambda: run_state(world, job, second) in ENDED, "the end of the second run")
    expect(ended == "TIMEOUT", f"the first run is {ended}")
    return Evidence("the second run waited, the first timed out")


@check(
    "scan-share",
    SUBJECT,
    "The scan stays within its share of a busy table's capacity",
    f"exports a table with {plan.FILMS_READ_UNITS} provisioned read units at {SLOW:.0%}, and reads "
    "`ConsumedReadCapacityUnits`",
    not_in_sandbox="DynamoDB's metrics do not exist. The emulator estimates the consumed capacity",
    stage=1,
)
def scans_within_its_share(world: World) -> Evidence:
    world.first_export("films")
    begun = datetime.now(UTC)
    world.export("films", read_percentage=SLOW)
    points = consumed(world, plan.FILMS, begun)
    allowed = SLOW * plan.FILMS_READ_UNITS * 60 * TOLERANCE
    expect(points and max(points) <= allowed, f"units per minute: {points}, allowed {allowed:.0f}")
    return Evidence("consumed units per minute", {"maximum": max(points), "allowed": allowed, "total": sum(points)})


def consumed(world: World, table: str, since: datetime) -> list[float]:
    """Returns the consumed read units of each minute, when CloudWatch has them."""
    cloudwatch, until = world.client("cloudwatch"), datetime.now(UTC) + timedelta(minutes=1)

    def look() -> list[float] | None:
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/DynamoDB",
            MetricName="ConsumedReadCapacityUnits",
            Dimensions=[{"Name": "TableName", "Value": table}],
            StartTime=since - timedelta(minutes=1),
            EndTime=until,
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return [point["Sum"] for point in sorted(found, key=lambda point: point["Timestamp"])] or None

    time.sleep(180)  # the last points arrive minutes later
    return world.wait_for(look, f"the metric of {table}", 10)


@check(
    "table-role",
    SUBJECT,
    "`TableRole` has all permissions for DynamoDB's export",
    "exports a table with `ReadMode: export`",
    in_sandbox="the role is enforced on the call, and on the files that the sandbox writes",
)
def exports_with_dynamodb(world: World) -> Evidence:
    export = world.first_export("zoo-parquet")
    expect(export.table_export is not None, f"the table was read by a {export.read_mode}")
    expected = sum(len(case.items) for case in ZOO)
    expect(export.items == expected, f"{export.items} items, not {expected}")
    return Evidence(f"{export.items} items by DynamoDB's export", {"items": export.items})


@check(
    "missing-summary",
    SUBJECT,
    "A summary of a DynamoDB export that has expired is distinguished from one that must not be read",
    "invokes `on_table_exported` with an event about a key that does not exist",
    not_in_sandbox="the role is enforced, but not the missing permission that turns S3's 404 into 403",
    rehearsed=True,
)
def knows_a_missing_summary(world: World) -> Evidence:
    folder = f"staging/{world.planned('zoo-parquet').catalog_name}/{MISSING_SUMMARY}"
    event = {
        "version": "0",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "account": world.account.id,
        "region": world.region,
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "detail": {"bucket": {"name": world.bucket}, "object": {"key": folder}},
    }
    answer = world.client("lambda").invoke(
        FunctionName="table-exports-on_table_exported", Payload=json.dumps(event).encode()
    )
    expect("FunctionError" not in answer, f"the function failed: {answer['Payload'].read()[:500]!r}")
    return Evidence("the function ignored the event, as for a summary that has expired")


@check(
    "read-cost",
    SUBJECT,
    "The estimated cost of a read agrees with the capacity that DynamoDB counts",
    "compares `read_cost_usd` of the exports of an on-demand table with `ConsumedReadCapacityUnits`. What AWS charges "
    "is in Cost Explorer a day later",
    not_in_sandbox="DynamoDB's metrics do not exist. The estimate follows from size, rate and list prices",
    stage=1,
)
def estimates_the_cost(world: World) -> Evidence:
    exports = [world.first_export(f"zoo-{name}") for name in ("orc", "avro", "json", "csv")]
    estimated = float(sum(export.read_cost_usd or 0 for export in exports))
    units = sum(consumed(world, plan.ZOO, world.started_at))
    counted = units * PRICES["million read units"] / 1e6
    expect(0.5 <= estimated / counted <= 2, f"estimated ${estimated:.6f}, counted ${counted:.6f}")
    return Evidence("of four exports", {"estimated USD": estimated, "counted USD": counted, "read units": units})


@check(
    "script-names",
    SUBJECT,
    "Column names in scripts other than Latin work",
    f"exports items with the attributes {', '.join(FOREIGN)} and queries them",
    in_sandbox="the names are kept as they are",
)
def keeps_foreign_names(world: World) -> Evidence:
    world.first_export("films")
    view = world.planned("films").catalog_name
    listed = ", ".join(f'"{name}"' for name in FOREIGN)
    rows = world.query(f"SELECT {listed} FROM {view} WHERE id = 'tt0000100'")
    expect(rows == [FOREIGN], f"rows: {rows}")
    return Evidence(f"{len(FOREIGN)} columns have their names and values", {"columns": len(FOREIGN)})


by_hand(
    "long-export",
    SUBJECT,
    "A DynamoDB export that takes longer than an hour continues, although the session of the role that requested it "
    "ends after an hour",
    "export a table of hundreds of GB with `ReadMode: export`, then `aws dynamodb describe-export`",
    "It needs a table whose export costs more than this suite may. An export of a small table is checked",
)
