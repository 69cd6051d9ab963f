"""What goes wrong on AWS, done to the sandbox: each export ends as it should, and nothing is done twice."""

import json
import uuid
from unittest.mock import ANY
from urllib.error import HTTPError

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

JOB_RUN = {"detail-type": ["Glue Job State Change"]}
CRAWL = {"detail-type": ["Glue Crawler State Change"], "detail": {"state": ["Succeeded"]}}
QUERY = {"detail-type": ["Athena Query State Change"], "detail": {"currentState": ["SUCCEEDED"]}}


@pytest.fixture(autouse=True)
def _no_fault_is_left(user):
    yield
    user.clear_faults()


@pytest.fixture(scope="module", autouse=True)
def _reconciled_at_once(user):
    with user.reconciling_at_once():
        yield


def deploy(user, table, **parameters):
    user.make_table(table, [{"id": f"i{n}"} for n in range(30)], {"id": "S"})
    return user.deploy_pipeline(table, **parameters)


def reconciled(user, pipeline):
    """The pipeline's newest export when it has ended, with the reconciler at work."""

    def ended():
        export = user.exports(pipeline)[0]
        return export if export["stage"] in ("SUCCEEDED", "FAILED") else None

    return user.reconcile_until(ended, "ended export")


def once(user, pipeline, **expected):
    """The pipeline's newest export, once it is like that."""

    def found():
        newest = user.exports(pipeline)[:1]
        return newest[0] if newest and newest[0] | expected == newest[0] else None

    return user.wait_for(found, f"export with {expected}")


def runs(user, pipeline):
    return user.client("glue").get_job_runs(JobName=pipeline["JobName"])["JobRuns"]


def crawls(user, pipeline):
    return user.client("glue").list_crawls(CrawlerName=pipeline["CrawlerName"])["Crawls"]


def queries(user, pipeline):
    """All that were asked to publish its view."""
    athena = user.client("athena")
    ids = athena.list_query_executions(WorkGroup="table-exports")["QueryExecutionIds"]
    found = athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"]
    return [query for query in found if f'snapshots_{pipeline["View"]}"' in query["Query"]]


# ------------------------------------------------------------------------------------------------------------ events


@pytest.mark.slow
def test_an_export_whose_every_event_is_lost_comes_to_its_end_all_the_same(user):
    user.make_table("Unheard", [{"id": "1"}], {"id": "S"})
    user.client("dynamodb").update_continuous_backups(
        TableName="Unheard", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    pipeline = user.deploy_pipeline("Unheard", ReadMode="export", CatalogUpdate="always")
    user.inject_faults(*({"when": {"event": event}, "do": "drop"} for event in (JOB_RUN, CRAWL, QUERY)))
    of_s3 = {"Name": "table-exports-on_table_exported"}  # whose events are the emulator's own
    user.client("events").disable_rule(**of_s3)
    try:
        user.request(pipeline)
        once(user, pipeline, stage="STAGING")

        export = reconciled(user, pipeline)
    finally:
        user.client("events").enable_rule(**of_s3)

    assert export["stage"] == "SUCCEEDED", export["reason"]
    assert user.remaining_faults() == []
    assert [len(found(user, pipeline)) for found in (runs, crawls, queries)] == [1, 1, 1]


@pytest.fixture(scope="module")
def steady(user):
    """A pipeline whose first export received every event twice."""
    pipeline = deploy(user, "Steady")
    user.inject_faults(*({"when": {"event": event}, "do": "repeat"} for event in (JOB_RUN, CRAWL, QUERY)))
    user.request(pipeline)
    user.ended_exports(pipeline, 1)
    assert user.remaining_faults() == []
    return pipeline


@pytest.mark.slow
def test_events_told_twice_change_nothing(user, steady):
    [export] = user.exports(steady)

    assert export["stage"] == "SUCCEEDED", export["reason"]
    assert [len(found(user, steady)) for found in (runs, crawls, queries)] == [1, 1, 1]


# ------------------------------------------------------------------------------------------------------------ deaths


@pytest.mark.slow
def test_what_a_function_started_before_it_died_is_not_started_again(user, steady):
    user.inject_faults(
        {"when": {"caller": "start_export", "action": "StartJobRun"}, "do": "kill"},
        {"when": {"caller": "on_glue_complete", "action": "StartQueryExecution"}, "do": "kill"},
    )

    user.request(steady)
    user.wait_for(lambda: True if len(runs(user, steady)) == 2 else None, "job run")
    user.let_claim_lapse(once(user, steady, stage="STARTING"))
    # The job run may end before its export waits for it. Then the reconciler publishes its end.
    user.reconcile_until(lambda: True if len(queries(user, steady)) == 2 else None, "query")
    user.let_claim_lapse(once(user, steady, stage="EXPORTING"))
    export = reconciled(user, steady)

    assert export["stage"] == "SUCCEEDED", export["reason"]
    assert user.remaining_faults() == []
    assert [len(found(user, steady)) for found in (runs, crawls, queries)] == [2, 1, 2]


@pytest.mark.slow
def test_a_job_killed_while_it_writes_is_run_again_and_leaves_one_snapshot(user):
    pipeline = deploy(user, "Killed")
    user.inject_faults({"when": {"caller": "glue", "action": "PUT */snapshots_killed/*"}, "do": "kill"})

    user.request(pipeline)
    [export] = user.ended_exports(pipeline, 1)

    assert (export["stage"], export["attempt"]) == ("SUCCEEDED", 2), export.get("reason")
    assert [run["JobRunState"] for run in runs(user, pipeline)] == ["SUCCEEDED", "FAILED"]
    assert user.query("SELECT count(*) AS items, count(DISTINCT id) AS ids FROM snapshots_killed") == [
        {"items": "30", "ids": "30"}
    ]


@pytest.mark.slow
def test_a_job_that_is_killed_each_time_fails_the_export_with_the_reason(user):
    pipeline = deploy(user, "Doomed", MaxAttempts="2")
    user.inject_faults({"when": {"caller": "glue", "service": "dynamodb"}, "do": "kill", "times": 2})

    user.request(pipeline)
    [export] = user.ended_exports(pipeline, 1)

    last, _ = runs(user, pipeline)
    assert export["stage"] == "FAILED"
    assert export["reason"] == f"Glue job run {last['Id']} ended FAILED: The job's process was killed by signal 9"


# ---------------------------------------------------------------------------------------------- refusals, of two kinds


@pytest.mark.slow
def test_an_export_waits_while_aws_has_no_time_for_it(user):
    pipeline = deploy(user, "Patient")
    refused = {"do": "refuse", "message": "Not now"}
    user.inject_faults(
        refused | {"when": {"service": "glue", "action": "StartJobRun"}, "error": "ConcurrentRunsExceededException"},
        refused | {"when": {"service": "athena", "action": "StartQuery*"}, "error": "TooManyRequestsException"},
    )

    user.request(pipeline)
    assert "Not now" in once(user, pipeline, stage="STARTING", held_up_by=ANY)["held_up_by"]
    user.invoke("reconcile_exports", {})
    assert "Not now" in once(user, pipeline, stage="CATALOGING", held_up_by=ANY)["held_up_by"]
    export = reconciled(user, pipeline)

    assert export["stage"] == "SUCCEEDED", export["reason"]
    assert user.remaining_faults() == []
    assert [len(found(user, pipeline)) for found in (runs, crawls, queries)] == [1, 1, 1]


@pytest.mark.slow
def test_an_export_goes_on_when_what_stopped_it_is_allowed_again(user):
    """Where AWS refuses a step, the export fails; where the records cannot be reached, it waits."""
    pipeline = deploy(user, "Forbearing")
    with user.denied(user.function_role("on_crawler_complete"), "athena:StartQueryExecution"):
        user.request(pipeline)
        [failed] = user.ended_exports(pipeline, 1)
    assert failed["stage"] == "FAILED"
    assert "not authorized to perform: athena:StartQueryExecution" in failed["reason"]

    with user.denied(user.function_role("on_view_complete"), "dynamodb:*"):
        resume(user, failed)
        published = once(user, pipeline, stage="PUBLISHING")
        take_unhandled(user, published["waiting_on"])
        assert user.exports(pipeline) == [published]

    export = reconciled(user, pipeline)
    assert export["stage"] == "SUCCEEDED", export["reason"]
    assert [export[name] == failed[name] for name in ("export_id", "snapshot_timestamp")] == [True, True]
    assert [len(found(user, pipeline)) for found in (runs, queries)] == [1, 1]


def resume(user, export):
    detail = json.dumps({"pipeline": export["pipeline"], "resume_export_id": export["export_id"]})
    entry = {"Source": "table-exports", "DetailType": "Export Requested", "Detail": detail}
    user.client("events").put_events(Entries=[entry | {"EventBusName": "table-exports"}])


def take_unhandled(user, query):
    """Waits until Lambda gave up on the event of the query, and takes it from the queue."""
    sqs = user.client("sqs")
    queue = sqs.get_queue_url(QueueName="table-exports-unhandled-events")["QueueUrl"]

    def found():
        for message in sqs.receive_message(QueueUrl=queue, VisibilityTimeout=1, WaitTimeSeconds=1).get("Messages", []):
            if query == f"athena-query/{json.loads(message['Body'])['requestPayload']['detail']['queryExecutionId']}":
                return sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return None

    user.wait_for(found, "event that could not be handled")


# ------------------------------------------------------------------------------------------------ the faults themselves


def test_a_call_is_refused_or_loses_its_answer_as_often_as_asked(user):
    config = Config(user_agent_appid="tester", retries={"total_max_attempts": 1})
    sqs = boto3.Session("test", "test", region_name="us-east-1").client(
        "sqs", endpoint_url=user.endpoint, config=config
    )
    name = f"tested-{uuid.uuid4().hex[:8]}"
    mine = {"caller": "tester", "service": "sqs", "action": "Create*"}
    user.inject_faults({"when": mine, "do": "refuse", "error": "OverLimit", "times": 2}, {"when": mine, "do": "lose"})

    for _ in range(2):
        with pytest.raises(ClientError, match="OverLimit"):
            sqs.create_queue(QueueName=name)
    assert sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", []) == []
    with pytest.raises(ConnectionClosedError):
        sqs.create_queue(QueueName=name)
    assert len(sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]) == 1
    assert user.remaining_faults() == []


def test_s3_is_refused_and_loses_answers_too(user):
    config = Config(user_agent_appid="tester", retries={"total_max_attempts": 1})
    s3 = boto3.Session("test", "test", region_name="us-east-1").client("s3", endpoint_url=user.endpoint, config=config)
    s3.create_bucket(Bucket="tested")
    mine = {"caller": "tester", "action": "PUT /tested/*"}
    user.inject_faults({"when": mine, "do": "refuse", "error": "SlowDown"}, {"when": mine, "do": "lose"})

    with pytest.raises(ClientError, match="SlowDown"):
        s3.put_object(Bucket="tested", Key="a", Body=b"1")
    with pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket="tested", Key="b", Body=b"2")

    assert [found["Key"] for found in s3.list_objects_v2(Bucket="tested")["Contents"]] == ["b"]


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"when": {"caller": "x"}, "do": "explode"}, "do: is 'explode': it must be one of refuse, lose, kill, drop"),
        ({"when": {}, "do": "kill"}, "when: is {}: to kill it must name action, caller, service"),
        ({"when": {"event": {}}, "do": "lose"}, "when: is {'event': {}}: to lose it must name"),
        ({"when": {"caller": ["x"]}, "do": "lose"}, "when.caller: is ['x']: it must be text"),
        ({"when": {"event": "x"}, "do": "drop"}, "when.event: is 'x': it must be an event pattern"),
        ({"when": {"caller": "x"}, "do": "lose", "times": 0}, "times: is 0"),
        ({"do": "lose"}, "A fault has when, do, times, error, message and seconds"),
        ({"when": {"event": {}}, "do": "slow", "seconds": 0}, "seconds: is 0: it must be a number above 0"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_what_does(user, fault, problem):
    with pytest.raises(HTTPError) as refused:
        user.inject_faults(fault)

    assert problem in json.loads(refused.value.read())["error"]
    assert user.remaining_faults() == []
