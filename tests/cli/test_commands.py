"""What the commands say of records, what they refuse, and the exit codes that scripts go by."""

import os
import re
import signal
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from examples import NOW, a_pipeline
from hostile import NAMES

from table_exports.domain.export import EntityItems
from table_exports.domain.stages import Stage
from table_exports_cli import app, output, replays, system
from table_exports_cli.problems import CommandError

ROOT = Path(__file__).parents[2]
ID = "5f0d1c9a7be34f1c2a6e"


@pytest.fixture(autouse=True)
def now(monkeypatch):
    for module in ("system", "app"):
        monkeypatch.setattr(f"table_exports_cli.{module}.the_time", lambda: NOW)


@pytest.fixture
def registered(records):
    for name in ("reviews", "orders"):
        assert records.register(a_pipeline(pipeline=f"{name}-parquet", table_name=name, catalog_name=name))
    return records


@pytest.fixture
def begun(registered):
    export = registered.pipeline("reviews-parquet").begin(ID, Decimal("0.25"), NOW - timedelta(minutes=5))
    assert registered.begin(export)
    exporting = export.run_job("jr_1", NOW - timedelta(minutes=4))
    assert registered.move(export, exporting)
    return exporting


@pytest.fixture
def failed(registered, begun):
    failed = begun.fail("Glue job run jr_1 ended FAILED: out of memory", NOW - timedelta(minutes=1))
    assert registered.move(begun, failed)
    return failed


# ------------------------------------------------------------------------------------------------------------- status


def test_all_is_well_where_nothing_fails(cli, begun):
    said = cli("status")

    assert said.code == 0
    assert "EXPORTING, 5 min" in said.out
    assert "2 pipelines, 1 in flight, no problems" in said.out


def test_status_fails_where_a_person_is_needed_and_names_what_failed_first(cli, failed):
    said = cli("status", "--output", "json")

    assert said.code == 1
    assert said.err == ""
    assert [pipeline["pipeline"] for pipeline in said.data["pipelines"]] == ["reviews-parquet", "orders-parquet"]
    assert said.data["pipelines"][0]["problems"] == ["failing"]
    assert said.data["pipelines"][0]["last_export"] == {
        "export_id": ID,
        "stage": "FAILED",
        "ended_at": failed.ended_at.isoformat(),
        "seconds": 240,
        "reason": failed.reason,
    }
    assert "out of memory" in cli("status").out


def test_status_shows_whole_reasons_with_their_remedies_in_80_columns(cli, registered, begun, monkeypatch):
    columns = ", ".join(f"attribute_{number}" for number in range(40))
    remedy = 'deploy another table stack with its own CatalogName, or start over: docs/schema.md, "Start over".'
    reason = f"Permanent error: Entities.wide: {columns}. Set it to true, {remedy}"
    assert registered.move(begun, begun.fail(reason, NOW))
    orders = registered.pipeline("orders-parquet").begin("e2", Decimal("0.25"), NOW)
    assert registered.begin(orders)
    assert registered.move(orders, orders.fail("out of memory", NOW))
    monkeypatch.setattr(output.out, "width", 80)

    said = cli("status")

    assert max(map(len, said.out.splitlines())) <= 80
    in_one_line = " ".join(said.out.split())
    assert f"reviews-parquet failed: {reason}" in in_one_line
    assert "orders-parquet failed: out of memory" in in_one_line
    assert cli("status", "-o", "json").data["pipelines"][1]["last_export"]["reason"] == reason
    assert f"reviews-parquet failed: {reason}" in " ".join(cli("watch", "--until-done").out.split())


def test_status_shows_what_the_pipeline_knows_of_a_reason_whose_record_has_expired(cli, registered, begun):
    assert registered.move(begun, begun.fail(f"{'x' * 400} the remedy", NOW))
    registered._client.delete_item(
        TableName=registered._table, Key={"pipeline": {"S": begun.pipeline}, "record": {"S": begun.record_key}}
    )

    said = cli("status")

    assert f"{'x' * 299}…" in "".join(said.out.split())
    assert "the remedy" not in said.out


def test_a_system_without_pipelines_says_how_to_begin(cli, records):
    said = cli("status")

    assert (said.code, "deploy a table stack" in said.out) == (0, True)


# -------------------------------------------------------------------------------------------------------- list, show


def test_list_names_the_pipelines_one_a_line(cli, registered):
    assert cli("list").out == "orders-parquet\nreviews-parquet\n"


def test_list_has_a_pipelines_exports(cli, failed):
    assert re.search(rf"{ID} .*FAILED +4 min +Glue job run jr_1", cli("list", "reviews-parquet").out)
    assert [export["stage"] for export in cli("list", "reviews-parquet", "-o", "json").data] == ["FAILED"]
    assert cli("list", "orders-parquet", "-o", "json").data == []
    assert "No exports yet" in cli("list", "orders-parquet").out


@pytest.mark.parametrize("named", [ID, "reviews-parquet"])
def test_show_tells_the_story_of_an_export_or_of_a_pipelines_latest(cli, failed, named):
    told = cli("show", named)

    assert told.code == 0
    for part in (failed.reason, "glue-job-run/jr_1", "/job/table-exports-reviews-parquet/run/jr_1", f"resume {ID}"):
        assert part in told.out
    data = cli("show", named, "--output", "json").data
    assert [(wait["stage"], wait["seconds"]) for wait in data["waits"]] == [("STARTING", 60), ("EXPORTING", 180)]
    assert (data["may_resume"], data["why_not_resume"]) == (True, None)


def test_show_counts_values_that_do_not_fit(cli, registered):
    export = a_pipeline().begin("e1", Decimal("0.25"), NOW)
    assert registered.begin(export)
    running = export.run_job("jr_1", NOW)
    assert registered.move(export, running)
    written = running.wrote(items=5, files=1, size=9, warning=None, not_converted={"at": 2, "\x1b[31m": 1})
    assert registered.move(running, written.crawl(True, NOW))

    shown = cli("show", "reviews-parquet")

    assert "at: 2 values do not fit the type in Columns" in shown.out
    assert "\x1b" not in shown.out
    assert cli("show", "reviews-parquet", "-o", "json").data["not_converted"] == {"at": 2, "\x1b[31m": 1}


def test_show_counts_the_rows_of_each_entity(cli, registered):
    export = a_pipeline().begin("e1", Decimal("0.25"), NOW)
    assert registered.begin(export)
    running = export.run_job("jr_1", NOW)
    assert registered.move(export, running)
    entities = [EntityItems("reviews_order", 12345, "order"), EntityItems("reviews_\x1b[31m", 0)]
    written = running.wrote(items=12345, files=1, size=9, warning=None, entities=entities)
    assert registered.move(running, written.crawl(True, NOW))

    shown = cli("show", "reviews-parquet")

    assert re.search(r"Entity +Rows\s+reviews_order +12,345", shown.out)
    assert "\x1b" not in shown.out
    assert cli("show", "reviews-parquet", "-o", "json").data["entities"] == [
        {"name": "reviews_order", "items": 12345},
        {"name": "reviews_\x1b[31m", "items": 0},
    ]
    assert "Entity" not in cli("show", "orders-parquet").out


@pytest.mark.parametrize("name", NAMES)
def test_what_names_and_reasons_hold_is_text_on_a_terminal(cli, registered, name):
    hostile = a_pipeline(pipeline="h-parquet", table_name=name, catalog_name="h")
    assert registered.register(hostile)
    export = hostile.begin("e1", Decimal("0.25"), NOW)
    assert registered.begin(export)
    reason = f"{name} [bold]not markup[/bold] \x1b[31mred\x1b]8;;http://example.com\x07"
    assert registered.move(export, export.fail(reason, NOW))

    shown = cli("show", "h-parquet").out + cli("status").out + cli("list", "h-parquet").out

    assert "[bold]not markup[/bold]" in shown
    assert not {"\x1b", "\x07", "\u202e", "\t"} & set(shown)
    assert cli("show", "h-parquet", "-o", "json").data["reason"] == reason


@pytest.mark.parametrize(
    "arguments",
    [("show", "films-parquet"), ("list", "films-parquet"), ("run", "films-parquet"), ("resume", "films-parquet")],
)
def test_a_name_that_is_none_is_answered_with_those_that_are(cli, registered, arguments):
    said = cli(*arguments)

    assert (said.code, said.out) == (3, "")
    assert said.err == "There is no pipeline films-parquet. Pipelines: orders-parquet, reviews-parquet\n"


def test_an_export_without_a_record_may_have_expired(cli, registered):
    said = cli("show", "0" * 20)

    assert (said.code, said.err) == (3, f"There is no record of export {'0' * 20}: it may have expired\n")


def test_a_pipeline_without_exports_says_how_to_have_one(cli, registered):
    assert cli("show", "orders-parquet").err == "orders-parquet has no exports yet: table-exports run orders-parquet\n"


# -------------------------------------------------------------------------------------------------------- run, resume


@pytest.fixture
def asked(monkeypatch):
    """The requests that were put on the bus."""
    requests = []
    monkeypatch.setattr(system.System, "_put", lambda self, detail: requests.append(detail))
    return requests


def test_run_asks_for_an_export_and_says_which_it_will_be(cli, registered, asked):
    said = cli("run", "orders-parquet", "--read-percentage", "0.2")

    [request] = asked
    assert (said.code, said.out) == (0, f"{system.request_identity({'detail': request})}\n")
    assert (request["table_name"], request["read_percentage"]) == ("orders", 0.2)


def test_each_run_is_a_request_of_its_own(cli, registered, asked):
    first, second = (cli("run", "orders-parquet", "-o", "json").data["export_id"] for _ in range(2))

    assert first != second


def test_no_export_is_asked_for_while_one_is_in_flight(cli, begun, asked):
    said = cli("run", "reviews-parquet")

    assert (said.code, asked) == (1, [])
    assert f"Export {ID} of reviews-parquet is already running, and a pipeline has one export at a time" in said.err


def test_no_more_than_the_deployed_share_is_asked_for(cli, registered, asked):
    said = cli("run", "orders-parquet", "--read-percentage", "0.3")

    assert (said.code, asked) == (1, [])
    assert "--read-percentage is 0.3, but orders-parquet is deployed with ReadPercentage 0.25" in " ".join(
        said.err.split()
    )


@pytest.mark.parametrize("percentage", ["0.05", "1.5", "nan", "much"])
def test_a_share_that_is_none_is_refused_before_anything_is_asked(cli, registered, asked, percentage):
    said = cli("run", "orders-parquet", "--read-percentage", percentage)

    assert (said.code, asked) == (2, [])
    assert "read-percentage" in said.err


def test_resume_has_a_failed_export_go_on(cli, failed, asked):
    said = cli("resume", ID)

    assert (said.code, said.out) == (0, f"{ID}\n")
    assert [(request["pipeline"], request["resume_export_id"]) for request in asked] == [("reviews-parquet", ID)]


def test_an_export_that_cannot_go_on_is_not_asked_to(cli, begun, asked):
    said = cli("resume", ID)

    assert (said.code, asked) == (1, [])
    assert said.err == f"Export {ID} cannot be resumed: it is EXPORTING, and only a failed export can be resumed\n"


def test_no_failed_export_goes_on_beside_another(cli, registered, failed, asked):
    assert registered.begin(a_pipeline(table_name="reviews").begin("e2", Decimal("0.25"), NOW))

    assert "another export of its pipeline is in flight" in cli("resume", ID).err
    assert asked == []


def test_a_wait_ends_with_the_export_and_fails_with_it(cli, registered, monkeypatch):
    monkeypatch.setattr("table_exports_cli.app.POLL_SECONDS", 0)

    def begins_and_fails(self, detail):
        export = registered.pipeline("orders-parquet").begin(
            system.request_identity({"detail": detail}), Decimal("0.25"), NOW
        )
        assert registered.begin(export)
        assert registered.move(export, export.fail("no luck", NOW))

    monkeypatch.setattr(system.System, "_put", begins_and_fails)

    said = cli("run", "orders-parquet", "--wait", "--output", "json")

    assert (said.code, said.data["stage"], said.data["reason"]) == (1, "FAILED", "no luck")


def test_a_request_that_leads_to_nothing_is_not_waited_for_without_end(cli, registered, asked, monkeypatch):
    monkeypatch.setattr("table_exports_cli.app.POLL_SECONDS", 0)
    monkeypatch.setattr("table_exports_cli.app.APPEARS_WITHIN_SECONDS", 0)

    said = cli("run", "orders-parquet", "--wait")

    assert said.code == 1
    assert "The request has had no effect yet. If it was refused or skipped" in said.err


def test_a_request_goes_to_the_bus_as_a_schedules_would(cli, registered, bus):
    queue = boto3.client("sqs").create_queue(QueueName="heard")["QueueUrl"]
    bus.put_rule(Name="all", EventBusName="table-exports", EventPattern='{"source": ["table-exports"]}')
    target = {"Id": "heard", "Arn": "arn:aws:sqs:us-east-1:123456789012:heard"}
    bus.put_targets(Rule="all", EventBusName="table-exports", Targets=[target])

    cli("run", "orders-parquet")

    [message] = boto3.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    assert '"detail-type": "Export Requested"' in message["Body"]
    bus.remove_targets(Rule="all", EventBusName="table-exports", Ids=["heard"])
    bus.delete_rule(Name="all", EventBusName="table-exports")


# ------------------------------------------------------------------------------------------------------------- replay

WINDOW = ("--from", "2026-11-23T01:00Z", "--to", "2026-11-23T03:00Z")


def test_a_replay_says_what_it_would_do_and_does_nothing_of_it(cli, failed, bus):
    before, after = ((NOW + timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%SZ") for n in (-60, 0))

    said = cli("replay", "--from", before, "--to", after, "--dry-run", "--output", "json")

    assert said.code == 0
    assert said.data["exports_in_window"] == [{"pipeline": "reviews-parquet", "export_id": ID}]
    assert (said.data["archive"], said.data["may_be_incomplete"]) == ("table-exports-requests", True)
    assert bus.list_replays()["Replays"] == []


def test_a_replay_knows_of_the_window_alone(cli, failed, bus):
    said = cli("replay", "--from", "2026-11-20", "--to", "2026-11-21", "--dry-run")

    assert "Exports that began in this window: 0, of no pipeline" in said.err
    assert "can lag" not in said.err


def test_a_replay_asks_first(cli, registered, bus, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))

    said = cli("replay", "--from", "2026-11-20", "--to", "2026-11-21")

    assert said.code == 1
    assert bus.list_replays()["Replays"] == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--from", "2026-11-21", "--to", "2026-11-20"), "--from must be before --to"),
        (("--from", "2026-11-20", "--to", "2030-01-01"), "--to is in the future"),
        (("--from", "yesterday", "--to", "2026-11-20"), "--from"),
        (("--from", "2026-11-20"), "--to"),
        (
            ("--from", "2026-11-20", "--to", "2026-11-21", "--aws-events", "--pipeline", "orders-parquet"),
            "omit --pipeline",
        ),
    ],
)
def test_a_window_that_is_none_is_refused(cli, registered, arguments, why):
    said = cli("replay", *arguments)

    assert said.code == 2
    assert why in said.err


# ------------------------------------------------------------------------------------------------ where nothing is


def test_where_nothing_is_deployed_it_says_what_to_deploy(cli, dynamodb):
    said = cli("status")

    assert (said.code, said.err) == (3, "table-exports is not deployed in us-east-1: make deploy\n")


def test_another_region_is_another_system(cli, registered):
    assert cli("--region", "eu-west-1", "status").code == 3


def test_the_region_may_be_set_as_for_the_aws_cli(cli, registered, monkeypatch):
    """Which takes AWS_REGION before AWS_DEFAULT_REGION; boto3 knows the latter alone."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")

    assert cli("status").err == "table-exports is not deployed in eu-west-1: make deploy\n"
    assert cli("--region", "us-east-1", "status").code == 0


def test_without_a_region_or_with_no_such_profile_it_says_what_to_set(cli, dynamodb, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    assert cli("status").code == 4
    assert "pass --region, or set AWS_REGION" in cli("status").err
    assert "aws configure list-profiles" in cli("--profile", "none-such", "status").err


def test_each_command_is_documented(cli):
    documented = (ROOT / "docs/cli.md").read_text()

    for command in ("status", "list", "show", "watch", "doctor", "run", "resume", "replay"):
        assert f"table-exports {command}" in documented


def test_the_stage_of_an_export_in_flight_is_in_the_data(cli, begun):
    [export] = cli("list", "reviews-parquet", "-o", "json").data

    assert (export["stage"], export["ended_at"]) == (Stage.EXPORTING, None)


def test_watch_goes_on_until_nothing_is_in_flight(cli, begun, registered, monkeypatch):
    waited = []

    def end_the_export(seconds):
        waited.append(seconds)
        assert registered.move(begun, begun.fail("no luck", NOW))

    monkeypatch.setattr("table_exports_cli.app.time", SimpleNamespace(sleep=end_the_export))

    said = cli("watch", "reviews-parquet", "--until-done")

    assert (said.code, len(waited)) == (0, 1)
    assert "FAILED" in said.out


def test_watch_tells_a_pipe_each_state_as_it_comes(cli, begun, monkeypatch, capsys):
    told = []

    def wait(_):
        told.append(capsys.readouterr().out)
        if len(told) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("table_exports_cli.app.time", SimpleNamespace(sleep=wait))

    cli("watch")

    assert ["EXPORTING" in state for state in told] == [True, True]


def test_an_address_that_is_none_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")

    with pytest.raises(CommandError, match="Invalid endpoint: nonsense: AWS_ENDPOINT_URL is") as said:
        system.System(None, "us-east-1").client("sqs")

    assert said.value.code == 4


@pytest.mark.parametrize("command", [("show", ""), ("run", ""), ("list", "")])
def test_an_empty_name_is_no_pipelines(cli, registered, command):
    said = cli(*command)

    assert said.code == 3
    assert "orders-parquet" in said.err


def test_a_replay_that_cannot_be_followed_is_stopped(cli, registered, bus, monkeypatch):
    def refused(**_):
        raise ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "-"}}, "DescribeReplay")

    cli("replay", "--from", "2026-11-20", "--to", "2026-11-21", "--dry-run")
    events = system.System(None, None).client("events")
    stopped = []
    monkeypatch.setattr(events, "start_replay", lambda **_: None)
    monkeypatch.setattr(events, "describe_replay", refused)
    monkeypatch.setattr(events, "cancel_replay", lambda ReplayName: stopped.append(ReplayName))

    said = cli("replay", "--from", "2026-11-20", "--to", "2026-11-21", "--yes")

    assert said.code == 4
    assert said.err.splitlines()[-1] == (
        f"The credentials have expired: sign in again. Replay {stopped[0]} is cancelled. "
        "Events that it has sent by now take effect"
    )


def test_the_rules_of_killed_replays_are_removed_by_the_next_one(bus, monkeypatch):
    states = {"table-exports-0": "COMPLETED", "table-exports-1": "RUNNING", "table-exports-2": None}
    for name in ["replay-0", "replay-1", "replay-2", "on_export_changed"]:
        bus.put_rule(Name=f"table-exports-{name}", EventBusName="table-exports", EventPattern='{"source": ["a"]}')
    target = {"Id": "start_export", "Arn": "arn:aws:lambda:us-east-1:123456789012:function:table-exports-start_export"}
    bus.put_targets(Rule="table-exports-replay-0", EventBusName="table-exports", Targets=[target])

    def describe_replay(ReplayName):
        if states[ReplayName] is None:
            raise bus.exceptions.ResourceNotFoundException({"Error": {"Code": "ResourceNotFoundException"}}, "x")
        return {"State": states[ReplayName]}

    monkeypatch.setattr(bus, "describe_replay", describe_replay)

    replays._remove_left_rules(bus)

    left = {rule["Name"] for rule in bus.list_rules(EventBusName="table-exports")["Rules"]}
    assert {f"table-exports-{name}" for name in ("replay-1", "replay-2", "on_export_changed")} == {
        name for name in left if not name.startswith("Events-Archive-")
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_terminated_cleans_up_as_after_ctrl_c(cli, registered, monkeypatch, number):
    monkeypatch.setattr(app.System, "overview", lambda self, now: os.kill(os.getpid(), number))
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        assert cli("status").code == 130
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
