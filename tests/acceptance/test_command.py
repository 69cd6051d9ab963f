"""What the command refuses, and what it deletes, on moto."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import boto3
import pytest
from moto import mock_aws

from acceptance import __main__ as command
from acceptance import plan
from acceptance.cleanup import Cleanup
from infra.deploy.account import Account

ROOT = Path(__file__).parents[2]
BUCKET = "table-exports-acceptance-123456789012-us-east-1"
DATA = "table-exports-123456789012-us-east-1"
TAGS = [{"Key": "table-exports", "Value": "common"}]
OURS = [*TAGS, {"Key": "table-exports-acceptance", "Value": "run"}]
TEMPLATE = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})


class Shared(boto3.Session):
    """Makes one client of each service for all tests, because that takes most of a test's time."""

    def client(self, service, **given):
        if service not in self.made:
            self.made[service] = super().client(service)
        return self.made[service]

    made: ClassVar[dict] = {}


SESSION = Shared(region_name="us-east-1")
ACCOUNT = Account(SESSION, "123456789012", "us-east-1", "arn:aws:sts::123456789012:user/moto")
client = SESSION.client


@pytest.fixture
def aws():
    with mock_aws():
        yield


@pytest.fixture
def build(tmp_path):
    (tmp_path / "version.txt").write_text("abc")
    (tmp_path / "common.yaml").write_text((ROOT / "infra/common.yaml").read_text())
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys, build):
    """Runs the command in this process. Returns its exit code and output."""

    def run(*options):
        monkeypatch.setattr(command, "sign_in", lambda profile, region: ACCOUNT)
        monkeypatch.setattr("sys.argv", ["acceptance", "--build", str(build), *options])
        code = command.main()
        return code, capsys.readouterr().out

    return run


def buckets():
    return [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]]


def test_without_credentials_it_says_so_in_one_line(build):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environment = kept | {"AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "eu-west-1", "HOME": str(build)}

    ran = subprocess.run(
        [sys.executable, "-m", "acceptance", "--build", str(build)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 1
    assert ran.stdout == "No AWS credentials found: sign in (`aws sso login`, `aws configure`), or pass --profile\n", (
        ran.stderr
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sandbox-at", "https://aws.example.com"], "is not an endpoint on this machine"),
        (["--only", "deploy,weather"], "weather is not a check"),
        (["--sandbox", "--sandbox-at", "http://127.0.0.1:1"], "not allowed with"),
    ],
)
def test_wrong_options_are_refused(run, capsys, options, message):
    with pytest.raises(SystemExit) as ended:
        run(*options)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_it_states_account_region_and_cost_and_does_nothing_without_a_confirmation(aws, run):
    code, said = run()

    assert code == 1
    assert "Account 123456789012, Region us-east-1" in said
    assert "Costs about $1.9" in said
    assert "Cannot ask without a terminal: Run the acceptance suite?" in said
    assert buckets() == []


def test_it_refuses_a_cost_above_the_limit(aws, run):
    code, said = run("--limit", "1", "--yes")

    assert (code, buckets()) == (1, [])
    assert "more than the limit of $1.00" in said


def test_it_refuses_a_region_with_a_common_stack(aws, run):
    client("cloudformation").create_stack(StackName="table-exports", TemplateBody=TEMPLATE, Tags=TAGS)

    code, said = run("--yes")

    assert (code, buckets()) == (1, [])
    assert "already has a stack table-exports" in said


def test_it_refuses_a_region_with_the_data_of_a_deleted_common_stack(aws, run):
    client("s3").create_bucket(Bucket=DATA)

    code, said = run("--yes")

    assert (code, buckets()) == (1, [DATA])
    assert f"resources that a deleted common stack retained: {DATA}" in said


def test_it_refuses_to_run_before_the_cleanup_of_an_interrupted_run(aws, run):
    client("s3").create_bucket(Bucket=BUCKET)

    code, said = run("--yes")

    assert (code, buckets()) == (1, [BUCKET])
    assert "make accept CLEAN=1" in said


def test_an_existing_system_must_exist(aws, run):
    code, said = run("--existing", "--yes")

    assert code == 1
    assert "--existing: there is no stack table-exports" in said


# ------------------------------------------------------------------------------------------------------------ cleanup


def a_table(name):
    client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )


def what_a_run_leaves(owns_system):
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="run.json", Body=json.dumps({"owns_system": owns_system}).encode())
    for table in plan.TABLES:
        a_table(table)
    client("sqs").create_queue(QueueName="table-exports-acceptance-events")
    client("events").put_rule(Name="table-exports-acceptance-events", EventPattern='{"source": ["x"]}')
    client("cloudformation").create_stack(StackName="table-exports-acceptance-films", TemplateBody=TEMPLATE, Tags=OURS)


def what_a_common_stack_retains():
    client("s3").create_bucket(Bucket=DATA)
    client("s3").put_object(Bucket=DATA, Key="exports/x", Body=b"x")
    client("glue").create_database(DatabaseInput={"Name": "table_exports_acceptance"})
    client("logs").create_log_group(logGroupName="/table-exports/functions")
    a_table("table-exports")


def a_users_resources():
    a_table("Orders")
    a_table("table-exports-orders")
    client("sqs").create_queue(QueueName="table-exports-undelivered-events")
    client("events").put_rule(Name="table-exports-on_glue_complete", EventPattern='{"source": ["x"]}')
    client("cloudformation").create_stack(
        StackName="table-exports-acceptance-of-someone", TemplateBody=TEMPLATE, Tags=TAGS
    )


def names():
    return {
        "buckets": buckets(),
        "tables": sorted(client("dynamodb").list_tables()["TableNames"]),
        "queues": [url.rpartition("/")[2] for url in client("sqs").list_queues().get("QueueUrls", [])],
        "rules": [rule["Name"] for rule in client("events").list_rules()["Rules"]],
        "stacks": [stack["StackName"] for stack in client("cloudformation").describe_stacks()["Stacks"]],
    }


def test_a_cleanup_deletes_what_a_run_left_and_nothing_else(aws):
    a_users_resources()
    before = names()
    what_a_run_leaves(owns_system=True)
    client("cloudformation").create_stack(StackName="table-exports", TemplateBody=TEMPLATE, Tags=OURS)
    what_a_common_stack_retains()
    said = []

    left = Cleanup(ACCOUNT, said.append).run()

    assert left == []
    assert names() == before
    assert "deleted stack table-exports" in said
    assert client("glue").get_databases()["DatabaseList"] == []


def test_a_cleanup_after_the_common_stack_is_gone_deletes_what_it_retained(aws):
    what_a_run_leaves(owns_system=True)
    what_a_common_stack_retains()

    left = Cleanup(ACCOUNT, print).run()

    assert left == []
    assert names() == {"buckets": [], "tables": [], "queues": [], "rules": [], "stacks": []}


def test_a_cleanup_never_deletes_the_system_of_a_user(aws):
    """Not even if the marker says so: the stack has no tag of ours."""
    what_a_run_leaves(owns_system=True)
    client("cloudformation").create_stack(StackName="table-exports", TemplateBody=TEMPLATE, Tags=TAGS)
    what_a_common_stack_retains()

    left = Cleanup(ACCOUNT, print).run()

    assert left == []
    assert names() == {
        "buckets": [DATA],
        "tables": ["table-exports"],
        "queues": [],
        "rules": [],
        "stacks": ["table-exports"],
    }
    assert client("s3").list_objects_v2(Bucket=DATA)["KeyCount"] == 1


def test_without_a_run_a_cleanup_deletes_nothing(aws, run):
    a_users_resources()
    what_a_common_stack_retains()
    before = names()

    code, said = run("--clean", "--yes")

    assert code == 0
    assert "Nothing is left" in said
    assert names() == before


def test_what_cannot_be_deleted_is_reported_and_the_marker_stays(aws, run, monkeypatch):
    what_a_run_leaves(owns_system=True)
    monkeypatch.setattr(Cleanup, "_delete_rule", lambda *given: None)

    code, said = run("--clean", "--yes")

    assert code == 1
    assert "Left: rule table-exports-acceptance-events" in said
    assert buckets() == [BUCKET]
