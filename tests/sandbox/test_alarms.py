"""Each alarm of both stacks fires, notifies and ends.

The tests have their own sandbox, where nothing has failed before and a minute of an alarm lasts a quarter of a second.
"""

import copy
import json
import threading
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime

import botocore.loaders
import botocore.session
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from conftest import EVENTS
from sandbox_user import WITHOUT_SPARK, User, sandbox
from templates import resource

from sandbox.cloudwatch.alarm_rules import ALARM, OK

pytestmark = pytest.mark.slow  # it waits for minutes to pass

MINUTE = 0.25  # seconds
LONG_AGO = "2025-01-01T00:00:00+00:00"

# ----------------------------------------------------------------------------------------------- the stacks' own alarms


class Operator(User):
    """Receives notifications of alarms, by a queue that is subscribed as an address would be."""

    def subscribe(self):
        subscription = resource("common", "AlarmSubscription")["Properties"]
        topic, queue = (
            f"arn:aws:{service}:us-east-1:123456789012:{name}"
            for service, name in (("sns", "table-exports-alarms"), ("sqs", "operator"))
        )
        lets_in = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        lets_in |= {"Resource": queue, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
        policy = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [lets_in]})}
        self.inbox = self.client("sqs").create_queue(QueueName="operator", Attributes=policy)["QueueUrl"]
        self.received = []
        self.client("sns").subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=queue,
            Attributes={
                "FilterPolicyScope": subscription["FilterPolicyScope"],
                "FilterPolicy": json.dumps(subscription["FilterPolicy"]),
                "RawMessageDelivery": "true",
            },
        )

    def messages(self):
        """The alarms and what they became, of all messages until now."""
        sqs = self.client("sqs")
        while found := sqs.receive_message(QueueUrl=self.inbox, MaxNumberOfMessages=10).get("Messages"):
            self.received += [json.loads(message["Body"]) for message in found]
            entries = [{"Id": one["MessageId"], "ReceiptHandle": one["ReceiptHandle"]} for one in found]
            sqs.delete_message_batch(QueueUrl=self.inbox, Entries=entries)
        return [(message["AlarmName"], message["NewStateValue"]) for message in self.received]

    def messages_about(self, pipeline):
        """The same, of messages that name the pipeline."""
        self.messages()
        named = [one for one in self.received if pipeline in one.get("AlarmContributorAttributes", {}).values()]
        return [(message["AlarmName"], message["NewStateValue"]) for message in named]

    def alarms(self):
        """The state of each."""
        found = self.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100)
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in found["MetricAlarms"] + found["CompositeAlarms"]}

    def history(self, alarm):
        """The states that it went to, oldest first."""
        found = self.client("cloudwatch").describe_alarm_history(
            AlarmName=alarm, AlarmTypes=["MetricAlarm", "CompositeAlarm"], ScanBy="TimestampAscending", MaxRecords=100
        )
        changes = [json.loads(item["HistoryData"]) for item in found["AlarmHistoryItems"]]
        return [change["newState"]["stateValue"] for change in changes]

    def export(self, pipeline, stage):
        """The pipeline's only export in this stage, if there is one."""
        return next((export for export in self.exports(pipeline) if export["stage"] == stage), None)

    def change_record(self, pipeline, record, expression, **values):
        self.table("table-exports").update_item(
            Key={"pipeline": pipeline["Pipeline"], "record": record},
            UpdateExpression=expression,
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        )

    def put_metric(self, namespace, name, value, **dimensions):
        described = [{"Name": key, "Value": value} for key, value in dimensions.items()]
        datum = {"MetricName": name, "Dimensions": described, "Value": value}
        self.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[datum])


@pytest.fixture(scope="module")
def operator(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("alarms"), "--alarm-minute", str(MINUTE), *WITHOUT_SPARK) as endpoint:
        operator = Operator(endpoint)
        operator.deployed_at = time.time()
        operator.subscribe()
        yield operator


@pytest.fixture(scope="module")
def pipeline(operator):
    operator.make_table("Watched", [{"id": f"i{n}"} for n in range(30)], {"id": "S"})
    once = {"ScheduleState": "ENABLED", "ScheduleExpression": "cron(0 3 1 1 ? *)", "StaleAfterHours": "48"}
    return operator.deploy_pipeline("Watched", **once)


def test_the_first_hour_is_quiet(operator, pipeline):
    operator.request(pipeline)
    [export] = operator.ended_exports(pipeline, 1)
    assert export["stage"] == "SUCCEEDED", export.get("reason")
    operator.invoke("reconcile_exports", {})
    time.sleep(max(0, operator.deployed_at + 60 * MINUTE - time.time()))

    operator.wait_for(lambda: {*operator.alarms().values()} == {OK} or None, "OK of all alarms")
    assert operator.alarms().keys() == {*NOTIFYING, *SILENT}
    assert [alarm for alarm in operator.alarms() if ALARM in operator.history(alarm)] == []
    assert operator.messages() == []


class Loader(botocore.loaders.Loader):
    """Knows CloudWatch in one protocol alone."""

    def __init__(self, protocol):
        super().__init__()
        self.protocol = protocol

    def load_service_model(self, service_name, type_name, api_version=None):
        model = copy.deepcopy(super().load_service_model(service_name, type_name, api_version))
        if "metadata" in model:
            model["metadata"] |= {"protocol": self.protocol, "protocols": [self.protocol]}
        return model


@pytest.mark.parametrize("protocol", ["json", "smithy-rpc-v2-cbor", "query"])
def test_any_client_can_put_an_alarm_and_sees_it_as_it_put_it(operator, protocol):
    session = botocore.session.get_session()
    session.register_component("data_loader", Loader(protocol))
    known = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    client = session.create_client("cloudwatch", endpoint_url=operator.endpoint, **known)
    name, dimensions = f"in {protocol}", [{"Name": "protocol", "Value": f"<{protocol}>"}]
    metric = {"Namespace": "Tested", "MetricName": "M", "Dimensions": dimensions}
    given = {
        "AlarmName": name,
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 599.5,
        "TreatMissingData": "notBreaching",
        "Metrics": [
            {"Id": "all", "Expression": "SUM(METRICS())"},
            {"Id": "m", "ReturnData": False, "MetricStat": {"Stat": "Sum", "Period": 300, "Metric": metric}},
        ],
    }
    datum = {"MetricName": "M", "Dimensions": dimensions, "Values": [1.0], "Counts": [2.0]}

    client.put_metric_alarm(**given)
    client.put_metric_data(Namespace="Tested", MetricData=[datum] * 300)  # so many that the client zips them

    operator.wait_for(lambda: operator.alarms()[name] == ALARM or None, f"ALARM of {name}")
    [alarm] = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm | given == alarm
    assert (alarm["StateValue"], type(alarm["StateUpdatedTimestamp"])) == (ALARM, datetime)
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.set_alarm_state(AlarmName="none", StateValue=OK, StateReason="-")
    with pytest.raises(ClientError, match="does not evaluate 'p99'"):
        client.put_metric_alarm(**{**given, "Metrics": [*given["Metrics"], percentile(metric)]})
    client.delete_alarms(AlarmNames=[name])
    assert client.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []


def percentile(metric):
    return {"Id": "p", "ReturnData": False, "MetricStat": {"Stat": "p99", "Period": 300, "Metric": metric}}


def test_what_is_set_by_hand_is_put_right_unless_it_is_ignored(operator):
    """Of a metric without data; and an alarm of other dimensions is none of it."""
    client = operator.client("cloudwatch")
    metric = {"Namespace": "Tested", "MetricName": "N", "Statistic": "Maximum", "Period": 60}
    rule = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": 0}
    names = {treatment: f"treats as {treatment}" for treatment in ("ignore", "notBreaching")}
    for treatment, name in names.items():
        client.put_metric_alarm(AlarmName=name, TreatMissingData=treatment, **metric, **rule)
        client.set_alarm_state(AlarmName=name, StateValue=ALARM, StateReason="A drill")
    operator.put_metric("Tested", "N", 1, of="another")

    operator.wait_for(lambda: operator.alarms()[names["notBreaching"]] == OK or None, "state put right")

    assert operator.alarms()[names["ignore"]] == ALARM
    client.delete_alarms(AlarmNames=[*names.values()])


def test_the_saved_queries_are_there(operator):
    found = operator.client("logs").describe_query_definitions(queryDefinitionNamePrefix="table-exports/")

    assert len(found["queryDefinitions"]) == 3
    assert {*found["queryDefinitions"][0]["logGroupNames"]} == {"/table-exports/functions"}


LATE = "table-exports-events-late"  # which fires as the trouble ends: the reconciler publishes an event
OF_PIPELINES = ("table-exports-failing", "table-exports-stale", "table-exports-slow")
NOTIFYING = {
    "table-exports-requests-refused",
    "table-exports-undelivered-events",
    "table-exports-unhandled-events",
    "table-exports-functions-fail",
    "table-exports-functions-throttled",
    "table-exports-delivery-fails",
    LATE,
    "table-exports-exports-not-reconciled",
    "table-exports-reconciler-silent",
    *OF_PIPELINES,
}
SILENT = ["table-exports-health"]


@pytest.fixture(scope="module")
def trouble(operator, pipeline):
    """All that alarms are about, at once. Returns what ends it."""
    restore_delivery = cannot_be_delivered(operator, pipeline)
    refuse_a_request(operator, pipeline)
    fail_an_export(operator, pipeline)
    hide_the_end_of_an_export(operator, pipeline)
    restore_records = take_the_records_away(operator)
    turn_back_the_clock(operator, pipeline)
    take_every_wait_for_a_long_one(operator)
    until_it_fires(
        operator,
        {
            "table-exports-functions-fail": fail_at_an_event,
            "table-exports-functions-throttled": functions_are_throttled,
            "table-exports-reconciler-silent": the_heartbeat_is_old,
        },
    )
    for _ in range(3):
        operator.invoke("reconcile_exports", {})
        time.sleep(9 * MINUTE)

    def is_over():
        restore_delivery()
        restore_records()
        operator.clear_faults()
        now = datetime.now(UTC).isoformat()
        operator.change_record(pipeline, "pipeline", "SET scheduled_since = :now", now=now)
        operator.invoke("reconcile_exports", {})  # which publishes the end of the operation
        stages = [export["stage"] for export in operator.ended_exports(pipeline, 3)]
        assert sorted(stages) == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
        operator.invoke("reconcile_exports", {})
        for queue in ("undelivered", "unhandled"):
            sqs = operator.client("sqs")
            sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName=f"table-exports-{queue}-events")["QueueUrl"])

    return is_over


def until_it_fires(operator, causes):
    """What must happen in each five minutes for an alarm to fire, by alarm, however long the rest takes."""

    def repeat():
        waiting = dict(causes)
        while waiting:
            for alarm, cause in list(waiting.items()):
                with suppress(BotoCoreError, ClientError):  # a call that fails on a busy machine is made again
                    cause(operator)
                    if ALARM in operator.history(alarm):
                        del waiting[alarm]
            time.sleep(4 * MINUTE)

    threading.Thread(target=repeat, daemon=True).start()


def cannot_be_delivered(operator, pipeline):
    """A rule may not invoke its function: FailedInvocations, and the event in a queue."""
    functions, name = operator.client("lambda"), "table-exports-on_crawler_complete"
    [taken] = [
        statement
        for statement in json.loads(functions.get_policy(FunctionName=name)["Policy"])["Statement"]
        if "table-exports/" not in json.dumps(statement["Condition"])  # the rule of the default bus
    ]
    functions.remove_permission(FunctionName=name, StatementId=taken["Sid"])
    operator.client("glue").start_crawler(Name=pipeline["CrawlerName"])

    def restore():
        functions.add_permission(
            FunctionName=name,
            StatementId=taken["Sid"],
            Action=taken["Action"],
            Principal="events.amazonaws.com",
            SourceArn=next(iter(taken["Condition"]["ArnLike"].values())),
        )

    return restore


def refuse_a_request(operator, pipeline):
    """A request for another table than the pipeline's."""
    operator.request(pipeline, table_name="Unknown")


def fail_an_export(operator, pipeline):
    """AWS says no for good: there is no such job."""
    refused = {"caller": "start_export", "service": "glue", "action": "StartJobRun"}
    operator.inject_faults({"when": refused, "do": "refuse", "error": "EntityNotFoundException"})
    operator.request(pipeline)
    operator.ended_exports(pipeline, 2)


def hide_the_end_of_an_export(operator, pipeline):
    """Its job run ends, no event says so, and the reconciler may not ask."""
    asked = {"caller": "reconcile_exports", "service": "glue", "action": "GetJobRun"}
    operator.inject_faults(
        {"when": {"event": {"detail-type": ["Glue Job State Change"]}}, "do": "drop"},
        {"when": asked, "do": "refuse", "error": "AccessDeniedException", "times": 1000},
    )
    operator.request(pipeline)
    operator.wait_for(lambda: operator.export(pipeline, "EXPORTING"), "job run")


def take_the_records_away(operator):
    """A function cannot reach them."""
    denied = ExitStack()
    denied.enter_context(operator.denied(operator.function_role("on_view_complete"), "dynamodb:*"))
    return denied.close


def fail_at_an_event(operator):
    """So it fails at an event, three times."""
    event = (EVENTS / "athena_query_succeeded.json").read_bytes()
    functions = operator.client("lambda")
    functions.invoke(FunctionName="table-exports-on_view_complete", InvocationType="Event", Payload=event)


def turn_back_the_clock(operator, pipeline):
    """The export in flight began long ago, when its predecessors took seconds; and so did the schedule."""
    in_flight, failed, succeeded = (operator.export(pipeline, stage) for stage in ("EXPORTING", "FAILED", "SUCCEEDED"))
    end = {name: succeeded[name] for name in ("export_id", "snapshot_timestamp", "stage", "ended_at")} | {"seconds": 9}
    failure = end | {name: failed[name] for name in ("export_id", "snapshot_timestamp", "stage", "ended_at")}
    operator.change_record(pipeline, in_flight["record"], "SET steps[0].since = :then", then=LONG_AGO)
    operator.change_record(
        pipeline,
        "pipeline",
        "SET scheduled_since = :then, last_succeeded_at = :then, recent = :recent",
        then=LONG_AGO,
        recent=[end, end, end, failure],
    )


def take_every_wait_for_a_long_one(operator):
    """So that the reconciler asks about the export, and is refused."""
    functions, name = operator.client("lambda"), "table-exports-reconcile_exports"
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    at_once = {"Variables": variables | {"LATE_AFTER_MINUTES": "0"}}
    functions.update_function_configuration(FunctionName=name, Environment=at_once)


def functions_are_throttled(operator):
    """Writes the metric that only AWS can cause."""
    operator.put_metric("AWS/Lambda", "Throttles", 1, FunctionName="table-exports-start_export")


def the_heartbeat_is_old(operator):
    """As if no pass of the reconciler had ended for an hour."""
    operator.put_metric("AWS/SQS", "ApproximateAgeOfOldestMessage", 3600, QueueName="table-exports-heartbeat")


@pytest.mark.parametrize("alarm", sorted(NOTIFYING - {LATE}))
def test_it_fires_and_notifies(operator, trouble, alarm):
    """Of real causes, but for `functions_are_throttled` and `the_heartbeat_is_old`."""
    operator.wait_for(lambda: (alarm, ALARM) in operator.messages() or None, f"message of {alarm}")

    assert ALARM in operator.history(alarm)


@pytest.mark.parametrize("alarm", OF_PIPELINES)
def test_a_message_names_the_pipeline(operator, trouble, pipeline, alarm):
    told = operator.wait_for(
        lambda: [one for one in operator.messages_about(pipeline["Pipeline"]) if one[0] == alarm] or None,
        f"message of {alarm} about {pipeline['Pipeline']}",
    )

    assert told[0] == (alarm, ALARM)


@pytest.mark.parametrize("alarm", SILENT)
def test_a_summary_fires_and_notifies_nobody(operator, trouble, alarm):
    operator.wait_for(lambda: ALARM in operator.history(alarm) or None, f"ALARM of {alarm}")

    assert alarm not in dict(operator.messages())


@pytest.fixture(scope="module")
def over(trouble):
    trouble()


def test_it_fires_when_the_reconciler_publishes_an_event(operator, over):
    operator.wait_for(lambda: (LATE, ALARM) in operator.messages() or None, f"message of {LATE}")


@pytest.mark.parametrize("alarm", sorted(NOTIFYING))
def test_it_notifies_that_it_is_over(operator, over, alarm):
    def is_over():
        return operator.history(alarm)[-1] == OK and dict(operator.messages()).get(alarm) == OK

    operator.wait_for(lambda: is_over() or None, f"message of {alarm}")


def test_it_notifies_that_it_is_over_for_a_pipeline(operator, over, pipeline):
    about = pipeline["Pipeline"]
    over_for_it = dict.fromkeys(OF_PIPELINES, OK)

    operator.wait_for(lambda: dict(operator.messages_about(about)) == over_for_it or None, f"messages about {about}")


@pytest.mark.parametrize("alarm", SILENT)
def test_a_summary_is_fine_when_all_is(operator, over, alarm):
    operator.wait_for(lambda: operator.history(alarm)[-1] == OK or None, f"OK of {alarm}")

    assert alarm not in dict(operator.messages())
