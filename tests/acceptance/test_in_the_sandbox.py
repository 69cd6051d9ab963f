"""The whole suite in a sandbox: all checks, what a broken claim becomes, and the cleanup after a kill."""

import json
import os
import subprocess
import sys

import pytest
from sandbox_user import ROOT, WITHOUT_SPARK, User, sandbox

from acceptance import __main__ as command
from acceptance import checks, environment, plan, runner
from acceptance.claims import CLAIMS
from acceptance.cleanup import Cleanup
from acceptance.world import World
from infra.deploy.account import sign_in

pytestmark = pytest.mark.slow  # it deploys an account of its own, and waits for alarms
assert checks

NOT_BY_PROGRAM = {
    "same-bytes",
    "long-export",
    "widget-in-console",
    "console-links",
    "metric-cost",
    "email",
    "table-key",
    "own-key",
    "lake-formation",
}
NOT_SHOWN = {
    "early-validation",
    "many-stacks",
    "adopt-retained",
    "job-on-glue",
    "job-role",
    "run-queue",
    "scan-share",
    "missing-summary",
    "read-cost",
    "schedule-dead-letter",
    "heartbeat",
    "cold-starts",
    "traces",
    "traces-of-export",
    "reserved-source",
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sandbox")
    with sandbox(folder, "--no-deploy", "--alarm-minute", "1", *WITHOUT_SPARK) as endpoint:
        yield endpoint


def accept(endpoint, folder, *options):
    """Starts the command as a user does."""
    arguments = ["--sandbox-at", endpoint, "--report", str(folder / "found"), "--build", str(ROOT / "build"), *options]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'services'}", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "acceptance", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_in(endpoint):
    """All that could be left in the account, by kind. The sandbox has resources of its own."""
    user = User(endpoint)
    aws = user.client
    stacks = aws("cloudformation").describe_stacks()["Stacks"]
    buckets = aws("s3").list_buckets()["Buckets"]
    databases = aws("glue").get_databases()["DatabaseList"]
    return {
        "stacks": [each["StackName"] for each in stacks if each["StackStatus"] != "DELETE_COMPLETE"],
        "tables": aws("dynamodb").list_tables()["TableNames"],
        "buckets": [each["Name"] for each in buckets if "table-exports" in each["Name"]],
        "queues": [url for url in aws("sqs").list_queues().get("QueueUrls", []) if "table-exports" in url],
        "rules": [each["Name"] for each in aws("events").list_rules(NamePrefix="table-exports")["Rules"]],
        "schedules": aws("scheduler").list_schedules()["Schedules"],
        "databases": [each["Name"] for each in databases if "exports" in each["Name"]],
        "alarms": aws("cloudwatch").describe_alarms(AlarmNamePrefix="table-exports")["MetricAlarms"],
        "functions": [f for f in aws("lambda").list_functions()["Functions"] if "table-exports" in f["FunctionName"]],
        "roles": [r for r in aws("iam").list_roles()["Roles"] if "table-exports" in r["RoleName"]],
    }


def nothing(found):
    return {kind: names for kind, names in found.items() if names}


def test_all_claims_that_the_sandbox_can_show_pass_and_nothing_is_left(endpoint, tmp_path):
    process = accept(endpoint, tmp_path)
    said, _ = process.communicate()

    report = json.loads((tmp_path / "found.json").read_text())
    outcomes = {result["id"]: result["outcome"] for result in report["results"]}
    failed = [result for result in report["results"] if result["outcome"] == "failed"]
    assert failed == [], said
    assert process.returncode == 0, said
    assert {name for name, outcome in outcomes.items() if outcome == "not checkable"} == NOT_BY_PROGRAM
    assert {name for name, outcome in outcomes.items() if outcome == "not shown"} == NOT_SHOWN
    assert outcomes.keys() == CLAIMS.keys()
    assert len(report["durations"]) > 10
    assert "This run was in the sandbox" in (tmp_path / "found.md").read_text()
    assert nothing(left_in(endpoint)) == {}


def test_after_a_kill_a_cleanup_finds_what_is_left_and_a_new_run_waits_for_it(endpoint, tmp_path):
    process = accept(endpoint, tmp_path, "--only", "deploy,doctor,alarm-failing")
    for line in process.stdout:
        if "doctor" in line:
            break
    process.kill()
    process.communicate()
    before = left_in(endpoint)
    assert "table-exports" in before["stacks"]
    assert "table-exports-acceptance-films" in before["stacks"]

    refused = accept(endpoint, tmp_path, "--only", "deploy")
    assert "make accept CLEAN=1" in refused.communicate()[0]
    assert refused.returncode == 1

    cleaning = accept(endpoint, tmp_path, "--clean")
    said, _ = cleaning.communicate()

    assert (cleaning.returncode, "Nothing is left" in said) == (0, True), said
    assert nothing(left_in(endpoint)) == {}


def test_an_interrupted_run_deletes_what_it_created_and_says_how_far_it_came(endpoint, tmp_path):
    process = accept(endpoint, tmp_path, "--only", "deploy,doctor,alarm-failing")
    first = next(line.split()[1] for line in process.stdout if line.startswith("passed"))
    process.terminate()
    said, _ = process.communicate()

    assert process.returncode == 130, said
    assert nothing(left_in(endpoint)) == {}
    report = json.loads((tmp_path / "found.json").read_text())
    outcomes = {result["id"]: result["outcome"] for result in report["results"]}
    assert outcomes.keys() == {"deploy", "doctor", "alarm-failing"}
    assert (outcomes[first], outcomes["alarm-failing"]) == ("passed", "not shown")
    assert "The run was interrupted" in report["notes"]


# --------------------------------------------------------------------------------------------------- deliberate faults


@pytest.fixture(scope="module")
def world(endpoint, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        for name in ("AWS_ENDPOINT_URL", "AWS_REGION"):
            patched.setenv(name, "")  # restored after use_sandbox
        command.use_sandbox(endpoint)
        account = sign_in(None, None)
        folder = tmp_path_factory.mktemp("world")
        world = World(account, build=ROOT / "build", folder=folder, sandbox=True, own_system=True)
        environment.create(world)
        yield world
        assert Cleanup(account, print).run() == []


def outcome(world, claim_id):
    result = runner.examine(world, CLAIMS[claim_id])
    report = runner.report(world, [result], show_account=False)
    assert result.evidence[:40] in report.as_json().replace('\\"', '"')
    return result.outcome, result.evidence


def test_an_alarm_without_actions_is_detected(world):
    """The first of the faults, because doctor would find the others."""
    found, evidence = outcome(world, "doctor")
    assert found == "passed", evidence
    alarm = "table-exports-failing"

    world.client("cloudwatch").disable_alarm_actions(AlarmNames=[alarm])

    found, evidence = outcome(world, "doctor")
    assert (found, evidence) == ("failed", f"{alarm} notifies nobody: its actions are disabled")


def test_a_wrong_type_in_the_catalog_is_detected(world):
    glue, export = world.client("glue"), world.first_export("zoo-csv")
    place = {"DatabaseName": world.database, "Name": export.snapshot_table}
    table = glue.get_table(**place)["Table"]
    assert outcome(world, "athena-csv")[0] == "passed"
    kept = {name: table[name] for name in ("Name", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")}
    columns = table["StorageDescriptor"]["Columns"]
    wrong = [each | ({"Type": "bigint"} if each["Name"] == "once" else {}) for each in columns]
    storage = table["StorageDescriptor"]

    glue.update_table(
        DatabaseName=world.database, TableInput=kept | {"StorageDescriptor": storage | {"Columns": wrong}}
    )

    found, evidence = outcome(world, "athena-csv")
    assert (found, "'once'" in evidence) == ("failed", True)


def test_a_view_that_shows_another_snapshot_is_detected(world):
    assert outcome(world, "view-latest")[0] == "passed"
    first = world.first_export("films")
    view = first.catalog_name

    world.query(
        f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM snapshots_{view} "
        f"WHERE snapshot_timestamp = '{first.snapshot_timestamp}'"
    )

    found, evidence = outcome(world, "view-latest")
    assert (found, "'came': '0'" in evidence) == ("failed", True)


def test_a_stack_that_differs_from_its_template_is_detected(world):
    [changed] = world.table_stacks([world.planned("zoo-orc")], {"zoo-orc": {"KeepSnapshots": "7"}})
    world.deployment().deploy_table_stacks([changed])
    world.screen.taken()

    found, evidence = outcome(world, "deploy")

    assert found == "failed"
    assert "'table-exports-acceptance-zoo-orc': 'updated'" in evidence
    assert plan.PREFIX in evidence
