"""The command line as an operator has it: a process with AWS's usual settings, against the stacks as deployed."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("table-exports")


@pytest.fixture(scope="module")
def cli(user):
    def run(*arguments, **environment):
        settings = {"AWS_ENDPOINT_URL": user.endpoint, "AWS_REGION": "us-east-1"}
        settings |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.run(
            [COMMAND, *arguments],
            env=inherited | settings | environment,
            capture_output=True,
            text=True,
            timeout=150,
        )

    return run


@pytest.fixture(scope="module")
def notes(user):
    user.make_table("Notes", [{"id": "1"}, {"id": "2"}], {"id": "S"})
    return user.deploy_pipeline("Notes")["Pipeline"]


def test_an_export_is_asked_for_followed_and_told(cli, notes):
    ran = cli("run", notes, "--wait", "--output", "json")

    shown = json.loads(ran.stdout)
    assert (ran.returncode, shown["stage"], shown["items"]) == (0, "SUCCEEDED", 2)
    assert "EXPORTING since" in ran.stderr
    assert json.loads(cli("show", shown["export_id"], "-o", "json").stdout) == shown
    [row] = [row for row in json.loads(cli("status", "-o", "json").stdout)["pipelines"] if row["pipeline"] == notes]
    assert (row["items"], row["problems"], row["in_flight"]) == (2, [], None)


@pytest.mark.slow
def test_a_failed_export_goes_on_when_its_cause_is_gone(cli, user, notes):
    user.client("dynamodb").delete_table(TableName="Notes")
    failed = cli("run", notes, "--wait", "--output", "json")
    assert (failed.returncode, json.loads(failed.stdout)["may_resume"]) == (1, True)
    assert "failing" in cli("status").stdout
    user.make_table("Notes", [{"id": "3"}], {"id": "S"})

    resumed = cli("resume", notes, "--wait", "--output", "json")

    shown = json.loads(resumed.stdout)
    assert (resumed.returncode, shown["stage"], shown["items"]) == (0, "SUCCEEDED", 1)
    assert shown["export_id"] == json.loads(failed.stdout)["export_id"]


def test_a_pipelines_requests_are_replayed_and_no_rule_stays(cli, user, notes):
    begun = len(json.loads(cli("list", notes, "-o", "json").stdout))
    now = datetime.now(UTC)
    window = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (now - timedelta(minutes=10), now)]

    replayed = cli("replay", "--from", window[0], "--to", window[1], "--pipeline", notes, "--yes", "-o", "json")

    assert replayed.returncode == 0, replayed.stderr
    replayed_window = json.loads(replayed.stdout)
    assert {export["pipeline"] for export in replayed_window["exports_in_window"]} == {notes}
    exports = user.ended_exports({"Pipeline": notes}, begun + 1)
    assert exports[0]["stage"] == "SUCCEEDED"
    rules = user.client("events").list_rules(EventBusName="table-exports", NamePrefix="table-exports-replay-")
    assert rules["Rules"] == []


def test_the_shell_completes_pipelines_names(cli, notes):
    words = {"COMP_WORDS": "table-exports show note", "COMP_CWORD": "2", "_TABLE_EXPORTS_COMPLETE": "complete_bash"}

    assert cli(**words).stdout.split() == [notes]


# ------------------------------------------------------------------------------------------------------------- doctor


@pytest.fixture(scope="module")
def doctor(cli):
    """The problems that it reports, by check and subject."""

    def ask(**environment):
        answer = cli("doctor", "--output", "json", **environment)
        found = json.loads(answer.stdout)
        states = {finding["state"] for finding in found}
        assert answer.returncode == (1 if "problem" in states else 4 if "unknown" in states else 0)
        return {
            finding["check"]: finding["unknown"] or {problem["subject"]: problem for problem in finding["problems"]}
            for finding in found
        }

    return ask


@pytest.fixture(scope="module")
def healthy(doctor, notes):
    """Nothing is wrong with what was deployed; what other tests did to their tables may be found."""
    found = doctor()
    ours = {"stacks", "functions", "deliveries", "rules", "streams", "archives", "alarms"}
    assert {check: found[check] for check in ours} == {check: {} for check in ours}
    assert not any(notes in problems for problems in found.values())
    return found


@pytest.mark.slow
def test_it_reports_what_is_disabled_taken_away_or_gone(user, doctor, notes, healthy):
    """All at once, each by its own remedy; and nothing more once that is mended."""
    events, functions, cloudwatch = user.client("events"), user.client("lambda"), user.client("cloudwatch")
    glue, ssm, iam = user.client("glue"), user.client("ssm"), user.client("iam")
    job_role = glue.get_job(JobName=f"table-exports-{notes}")["Job"]["Role"].rpartition("/")[2]
    deny = {"Effect": "Deny", "Action": "dynamodb:Scan", "Resource": "*"}
    rule = {"Name": "table-exports-on_export_succeeded", "EventBusName": "table-exports"}
    [permission] = json.loads(functions.get_policy(FunctionName="table-exports-on_export_succeeded")["Policy"])[
        "Statement"
    ]
    found = cloudwatch.describe_alarms(AlarmNames=["table-exports-health"], AlarmTypes=["CompositeAlarm"])
    [health] = found["CompositeAlarms"]
    [stream] = functions.list_event_source_mappings(FunctionName="table-exports-redeliver_events")[
        "EventSourceMappings"
    ]
    script = ssm.get_parameter(Name="/table-exports/job-script")["Parameter"]["Value"]

    events.disable_rule(**rule)
    functions.remove_permission(FunctionName="table-exports-on_export_succeeded", StatementId=permission["Sid"])
    functions.put_function_concurrency(FunctionName="table-exports-pipeline_widget", ReservedConcurrentExecutions=0)
    functions.update_event_source_mapping(UUID=stream["UUID"], Enabled=False)
    cloudwatch.disable_alarm_actions(AlarmNames=["table-exports-slow"])
    cloudwatch.delete_alarms(AlarmNames=["table-exports-health"])  # whose rule keeps all others from being deleted
    ssm.put_parameter(Name="/table-exports/job-script", Value="another/version.py", Overwrite=True)
    iam.put_role_policy(
        RoleName=job_role,
        PolicyName="taken-away",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [deny]}),
    )
    glue.delete_crawler(Name=f"table-exports-{notes}")
    user.client("dynamodb").delete_table(TableName="Notes")
    found = doctor()

    expected = {
        "rules": "table-exports-on_export_succeeded on table-exports",
        "deliveries": "table-exports-on_export_succeeded on table-exports",
        "functions": "table-exports-pipeline_widget",
        "streams": "table-exports-redeliver_events",
        "versions": "/table-exports/job-script",
        "roles": notes,
        "crawlers": notes,
        "tables": notes,
    }
    assert {
        check: list(found[check]) for check in expected if check in ("rules", "deliveries", "functions", "streams")
    } == {check: [of] for check, of in expected.items() if check in ("rules", "deliveries", "functions", "streams")}
    assert all(of in found[check] for check, of in expected.items())
    assert {"table-exports-health", "table-exports-slow"} == set(found["alarms"])
    assert f"{job_role} may not dynamodb:Scan" in found["roles"][notes]["description"]

    remedies = [found["deliveries"][expected["deliveries"]]["remedy"], found["rules"][expected["rules"]]["remedy"]]
    assert (
        remedies[1] == "aws events enable-rule --name table-exports-on_export_succeeded --event-bus-name table-exports"
    )
    carry_out(functions, remedies[0])
    events.enable_rule(**rule)
    functions.delete_function_concurrency(FunctionName="table-exports-pipeline_widget")
    functions.update_event_source_mapping(UUID=stream["UUID"], Enabled=True)
    cloudwatch.enable_alarm_actions(AlarmNames=["table-exports-slow"])
    cloudwatch.put_composite_alarm(**{name: health[name] for name in ("AlarmName", "AlarmRule", "AlarmDescription")})
    ssm.put_parameter(Name="/table-exports/job-script", Value=script, Overwrite=True)
    iam.delete_role_policy(RoleName=job_role, PolicyName="taken-away")
    user.make_table("Notes", [{"id": "1"}], {"id": "S"})
    mended = doctor()

    for check in expected.keys() - {"crawlers"}:
        assert expected[check] not in mended[check]
    assert notes in mended["crawlers"]


def carry_out(functions, remedy):
    """`aws lambda add-permission …`, as the remedy has it."""
    words = remedy.split()
    given = dict(zip(words[3::2], words[4::2], strict=True))
    functions.add_permission(
        FunctionName=given["--function-name"],
        StatementId=given["--statement-id"],
        Action=given["--action"],
        Principal=given["--principal"],
        SourceArn=given["--source-arn"],
    )


def test_it_says_which_right_one_lacks_to_ask(user, doctor):
    iam = user.client("iam")
    iam.create_user(UserName="reader")
    allowed = {"Effect": "Allow", "NotAction": "iam:SimulatePrincipalPolicy", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="reader", PolicyName="all-but-one", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]

    found = doctor(AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])

    assert found["roles"].startswith("Access denied: you need iam:SimulatePrincipalPolicy")
    assert isinstance(found["rules"], dict)


@pytest.mark.slow
def test_it_knows_who_is_told_of_alarms(user, doctor):
    topic, sns = "arn:aws:sns:us-east-1:123456789012:table-exports-alarms", user.client("sns")
    assert "nobody is notified of alarms" in doctor()["subscriptions"]["table-exports-alarms"]["description"]
    queue = user.client("sqs").create_queue(QueueName="alarms")["QueueUrl"]
    arn = user.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    expected = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]

    assert doctor()["subscriptions"] == {}
    sns.unsubscribe(SubscriptionArn=expected)
