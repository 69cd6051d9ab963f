"""`table-exports cancel`: what it stops, how the export ends, and what happens if an event comes first."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from examples import NOW, a_pipeline

from table_exports.domain.export import EntityItems
from table_exports.domain.stages import Stage
from table_exports_cli import system

ID = "5f0d1c9a7be34f1c2a6e"
CALLER = "arn:aws:iam::123456789012:user/ada"
BY = f"Cancelled by {CALLER} while it waited for "
RUN, ARN = "jr_1", "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews/export/1"


class Aws:
    """The services whose operations an export waits for. `on_stop` is called before an operation is stopped."""

    def __init__(self):
        self.stopped, self.runs, self.query, self.crawler = [], {RUN: "RUNNING"}, "RUNNING", "RUNNING"
        self.begun = []  # job runs, as the list of runs has them
        self.on_stop = lambda: None
        self.exceptions = SimpleNamespace(
            EntityNotFoundException=KeyError, CrawlerNotRunningException=KeyError, CrawlerStoppingException=KeyError
        )

    def get_caller_identity(self):
        return {"Arn": CALLER}

    def get_function_configuration(self, FunctionName):
        return {"Environment": {"Variables": {"HISTORY_DAYS": "30", "DATABASE": "exports"}}}

    def get_job_run(self, JobName, RunId):
        return {"JobRun": {"JobRunState": self.runs[RunId]}}

    def get_paginator(self, operation):
        return SimpleNamespace(paginate=lambda **given: [{"JobRuns": self.begun}])

    def batch_stop_job_run(self, JobName, JobRunIds):
        self._stop(*JobRunIds)
        self.runs |= dict.fromkeys(JobRunIds, "STOPPING")
        return {}

    def get_crawler(self, Name):
        return {"Crawler": {"State": self.crawler}}

    def stop_crawler(self, Name):
        self._stop(Name)

    def get_query_execution(self, QueryExecutionId):
        return {"QueryExecution": {"Status": {"State": self.query}}}

    def stop_query_execution(self, QueryExecutionId):
        self._stop(QueryExecutionId)
        self.query = self.query if self.query == "SUCCEEDED" else "CANCELLED"

    def _stop(self, what):
        self.on_stop()
        self.stopped.append(what)


@pytest.fixture
def aws(monkeypatch, cli):
    """Answers for all services but DynamoDB."""
    found, client = Aws(), system.System.client
    monkeypatch.setattr(system.System, "client", lambda self, name: client(self, name) if name == "dynamodb" else found)
    for module in ("system", "app", "cancelling"):
        monkeypatch.setattr(f"table_exports_cli.{module}.the_time", lambda: NOW)
    monkeypatch.setattr("table_exports_cli.cancelling.POLL_SECONDS", 0)
    return found


@pytest.fixture
def waiting(records):
    """Puts an export in flight."""

    def wait(stage, awaited_id, **known):
        pipeline = a_pipeline()
        assert records.register(pipeline)
        begun = pipeline.begin(ID, Decimal("0.25"), NOW - timedelta(minutes=5))
        assert records.begin(begun)
        export = replace(begun, claimed_at=None, **known)
        if stage != Stage.STARTING:
            export = replace(export, stage=_BEFORE.get(stage, export.stage))
            export = export.advance(stage, awaited_id, NOW - timedelta(minutes=4))
        assert records.move(begun, export)
        return export

    return wait


_BEFORE = {Stage.CATALOGING: Stage.EXPORTING, Stage.PUBLISHING: Stage.EXPORTING}


def after(records, export):
    return records.export(export.pipeline, export.record_key)


@pytest.mark.parametrize(
    ("stage", "awaited", "stopped", "note"),
    [
        (Stage.STARTING, "", [], ""),
        (Stage.STAGING, ARN, [], f"DynamoDB cannot stop {ARN}: that export continues and is charged"),
        (Stage.EXPORTING, RUN, [RUN], f"Stopped Glue job run {RUN}"),
        (Stage.CATALOGING, "table-exports-reviews-parquet", ["table-exports-reviews-parquet"], "Stopped the crawl"),
        (Stage.PUBLISHING, "q1", ["q1"], "Stopped Athena query q1"),
    ],
)
def test_what_it_waits_for_is_stopped_and_it_ends(cli, aws, records, waiting, stage, awaited, stopped, note):
    export = waiting(stage, awaited, own_crawl=True)

    said = cli("cancel", ID)

    ended = after(records, export)
    assert (said.code, aws.stopped) == (0, stopped), said.err
    assert note in said.err
    assert f"Export {ID} is FAILED: {ended.reason}" in " ".join(said.out.split())
    assert (ended.stage, ended.failed_stage) == (Stage.FAILED, stage)
    assert ended.reason.startswith(f"{BY}{export.waiting_on}")
    pipeline = records.pipeline(export.pipeline)
    assert pipeline.export_in_flight is None
    assert pipeline.why_not_resume(ended) is None
    record = records._get(export.pipeline, export.record_key)
    assert record["expires_at"] == int((export.requested_at + timedelta(days=30)).timestamp())


@pytest.mark.parametrize(("ends", "stopped"), [({}, ["q1", "q2", "q3"]), ({"q1": "SUCCEEDED"}, ["q2", "q3"])])
def test_all_queries_of_entities_that_run_are_stopped(cli, aws, records, waiting, monkeypatch, ends, stopped):
    """Views that show the snapshot by then keep it, and the export fails because the others do not."""
    entities = tuple(EntityItems(name, 1) for name in ("reviews_a", "reviews_b", "reviews_c"))
    export = waiting(Stage.PUBLISHING, "q3", queries=("q1", "q2", "q3"), entities=entities, wide=False)

    def state(QueryExecutionId):
        ended = "CANCELLED" if QueryExecutionId in aws.stopped else "RUNNING"
        return {"QueryExecution": {"Status": {"State": ends.get(QueryExecutionId, ended)}}}

    monkeypatch.setattr(aws, "get_query_execution", state)

    said = cli("cancel", ID)

    assert (said.code, sorted(aws.stopped)) == (0, stopped), said.err
    assert after(records, export).stage == Stage.FAILED
    for query in ("q1", "q2", "q3"):
        assert (f"Stopped Athena query {query}" if query in stopped else f"Athena query {query} had ended") in said.err
    assert ("Views that show its snapshot already, until the next export succeeds: 1" in said.err) == bool(ends)


def test_a_second_call_changes_nothing(cli, aws, records, waiting):
    export = waiting(Stage.EXPORTING, RUN)
    cli("cancel", ID)
    ended = after(records, export)

    said = cli("cancel", ID, "--output", "json")

    assert (said.code, said.data["stage"], said.data["reason"]) == (0, "FAILED", ended.reason)
    assert (after(records, export), aws.stopped) == (ended, [RUN])


def test_a_crawl_of_someone_else_continues(cli, aws, waiting):
    waiting(Stage.CATALOGING, "table-exports-reviews-parquet", own_crawl=False)

    said = cli("cancel", ID)

    assert (said.code, aws.stopped) == (0, [])
    assert "belongs to someone else: it continues" in said.err


def test_an_event_that_ends_the_export_first_names_who_cancelled(cli, aws, records, waiting):
    export = waiting(Stage.EXPORTING, RUN)

    def its_event_arrives():
        found = after(records, export)
        assert records.move(found, found.fail("Glue job run jr_1 ended STOPPED: no message", NOW, stopped=True))

    aws.on_stop = its_event_arrives

    said = cli("cancel", ID)

    assert said.code == 0
    assert after(records, export).reason == f"Glue job run jr_1 ended STOPPED: no message (cancelled by {CALLER})"


def test_an_export_that_moves_on_meanwhile_is_cancelled_in_its_next_stage(cli, aws, records, waiting):
    export = waiting(Stage.EXPORTING, RUN)

    def the_run_succeeds():
        aws.on_stop = lambda: None
        found = after(records, export)
        assert records.move(found, found.advance(Stage.PUBLISHING, "q1", NOW))

    aws.on_stop = the_run_succeeds

    said = cli("cancel", ID)

    assert (said.code, aws.stopped) == (0, [RUN, "q1"])
    assert after(records, export).reason.startswith(f"{BY}athena-query/q1")


def test_an_export_whose_view_shows_its_snapshot_is_not_cancelled(cli, aws, records, waiting, monkeypatch):
    export = waiting(Stage.PUBLISHING, "q1")
    aws.query = "SUCCEEDED"

    def its_event_arrives(_):
        found = after(records, export)
        if found.stage == Stage.PUBLISHING:
            assert records.move(found, found.succeed(NOW))

    monkeypatch.setattr("table_exports_cli.cancelling.time.sleep", its_event_arrives)

    said = cli("cancel", ID)

    assert (said.code, after(records, export).stage) == (1, Stage.SUCCEEDED)
    assert said.err == f"Export {ID} has succeeded: there is nothing to cancel\n"


def test_a_function_that_works_on_it_is_waited_for(cli, aws, records, waiting, monkeypatch):
    export = waiting(Stage.EXPORTING, RUN)
    claimed = export.claim(NOW)
    assert records.move(export, claimed)

    def it_finishes(_):
        found = after(records, export)
        if found.claimed_at:
            assert records.move(found, found.advance(Stage.PUBLISHING, "q1", NOW))

    monkeypatch.setattr("table_exports_cli.cancelling.time.sleep", it_finishes)

    cli("cancel", ID)

    assert aws.stopped == ["q1"]


def test_a_run_that_a_dead_function_may_have_started_is_stopped(cli, aws, records, waiting):
    export = waiting(Stage.STARTING, "")
    assert records.move(export, export.claim(NOW - timedelta(minutes=3)))
    aws.begun = [{"Id": RUN, "Arguments": {"--export_id": ID, "--attempt": "1"}}]

    said = cli("cancel", ID)

    ended = after(records, export)
    assert (aws.stopped, ended.stage) == ([RUN], Stage.FAILED), said.err
    assert ended.reason.endswith(f". An interrupted step started Glue job run {RUN}, which was stopped.")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("stage", {"S": "GONE"}),
        ("table_name", None),
        ("requested_at", {"S": "yesterday"}),
        ("export_id", None),
        ("waiting_on", {"S": "nothing"}),
        ("waiting_on", None),
        ("waiting_since", {"N": "7"}),
        ("timeout_minutes", {"S": "many"}),
        ("steps", {"M": {}}),
    ],
)
def test_an_edited_record_is_shown_and_cancelled(cli, aws, records, dynamodb, waiting, attribute, value):
    export = waiting(Stage.EXPORTING, RUN)
    dynamodb.update_item(
        TableName="table-exports",
        Key={"pipeline": {"S": export.pipeline}, "record": {"S": export.record_key}},
        UpdateExpression=f"SET {attribute} = :v" if value else f"REMOVE {attribute}",
        **({"ExpressionAttributeValues": {":v": value}} if value else {}),
    )
    for command in (["status"], ["show", ID], ["show", "reviews-parquet"], ["run", "reviews-parquet"]):
        said = cli(*command)
        assert said.code == 1, command
        assert f"table-exports cancel {ID}" in said.out + said.err, command
    assert "invalid record" in cli("list", "reviews-parquet").out
    assert f"table-exports cancel {ID}" in cli("list", "reviews-parquet", "-o", "json").data[0]["remedy"]
    assert "invalid_records" in cli("status", "-o", "json").data

    said = cli("cancel", ID)

    assert said.code == 0, said.err
    assert aws.stopped == ([] if attribute == "waiting_on" else [RUN])
    ended = after(records, export)
    assert ended.reason.startswith(f"Cancelled by {CALLER}")
    assert f"Its record was invalid: {attribute}" in ended.reason or attribute == "export_id"
    assert records.pipeline("reviews-parquet").export_in_flight is None
    assert cli("cancel", ID).code == 0


@pytest.mark.parametrize("stage", [Stage.SUCCEEDED, Stage.FAILED])
def test_an_edited_record_of_an_export_that_has_ended_stays_as_it_is(cli, aws, records, dynamodb, waiting, stage):
    export = waiting(Stage.EXPORTING, RUN)
    key = {"pipeline": {"S": export.pipeline}, "record": {"S": export.record_key}}
    dynamodb.update_item(
        TableName="table-exports",
        Key=key,
        UpdateExpression="SET stage = :stage, #items = :items REMOVE waiting_on, waiting_since",
        ExpressionAttributeNames={"#items": "items"},
        ExpressionAttributeValues={":stage": {"S": stage}, ":items": {"S": "many"}},
    )
    before = dynamodb.get_item(TableName="table-exports", Key=key)["Item"]

    said = cli("cancel", ID)

    assert said.code == 1
    assert "has ended" in said.err
    assert "items" in said.err
    assert "delete the record" in said.err
    assert dynamodb.get_item(TableName="table-exports", Key=key)["Item"] == before
    assert aws.stopped == []
    assert "table-exports cancel" not in cli("status").out


def test_a_cancel_that_aws_refuses_leaves_the_export_as_it_was(cli, aws, records, waiting):
    export = waiting(Stage.EXPORTING, RUN)
    aws.on_stop = refuse

    said = cli("cancel", ID)

    assert "Access denied" in said.err
    assert after(records, export).blocked_reason is None


def refuse():
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "BatchStopJobRun")


def test_a_lock_that_an_ended_export_holds_does_not_keep_a_request_back(
    cli, aws, records, dynamodb, waiting, monkeypatch
):
    export = waiting(Stage.EXPORTING, RUN)
    dynamodb.update_item(
        TableName="table-exports",
        Key={"pipeline": {"S": export.pipeline}, "record": {"S": export.record_key}},
        UpdateExpression="SET stage = :v REMOVE waiting_on, waiting_since",
        ExpressionAttributeValues={":v": {"S": "FAILED"}},
    )
    asked = []
    monkeypatch.setattr(system.System, "_put", lambda self, detail: asked.append(detail))

    said = cli("run", "reviews-parquet")

    assert (said.code, len(asked)) == (0, 1), said.err


def test_an_invalid_head_is_named_by_every_command(cli, aws, records, dynamodb, waiting):
    waiting(Stage.EXPORTING, RUN)
    dynamodb.update_item(
        TableName="table-exports",
        Key={"pipeline": {"S": "reviews-parquet"}, "record": {"S": "pipeline"}},
        UpdateExpression="SET timeout_minutes = :v",
        ExpressionAttributeValues={":v": {"S": "many"}},
    )

    for command in (["status"], ["list", "reviews-parquet"], ["show", ID], ["run", "reviews-parquet"], ["cancel", ID]):
        said = cli(*command)
        told = said.out + said.err
        if command[0] == "cancel":
            assert said.code == 0, told
        else:
            assert said.code == 1, told
            assert "timeout_minutes is" in told, command
            assert "delete its table stack, then run make deploy" in told, command
    assert cli("list").out == "reviews-parquet\n"
