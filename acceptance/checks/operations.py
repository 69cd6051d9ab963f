"""Claims about alarms, metrics, logs, traces and the dashboard."""

import json
import time
from datetime import UTC, datetime, timedelta
from statistics import mean
from typing import Any

from acceptance import plan
from acceptance.checks.events import UNDELIVERED
from acceptance.checks.reading import failed_export
from acceptance.claims import Evidence, NotTrue, by_hand, check, expect
from acceptance.world import World
from infra.deploy.tables_file import COMMON_STACK
from table_exports.domain.export import Export
from table_exports.domain.request import resume_detail

SUBJECT = "Operations"
EVALUATOR = "an evaluator that follows the documented rules, with shorter minutes"
HEARTBEAT_SCHEDULE = f"{COMMON_STACK}-reconcile_exports"
LOG_GROUP = "/table-exports/functions"
STEPS = ("start_export", "on_glue_complete", "on_view_complete")  # of an export without a crawl


def history(world: World, name: str) -> list[str]:
    """Returns the states to which an alarm changed, oldest first."""
    pages = world.client("cloudwatch").get_paginator("describe_alarm_history")
    found = pages.paginate(AlarmName=name, AlarmTypes=["MetricAlarm", "CompositeAlarm"], ScanBy="TimestampAscending")
    items = [json.loads(item["HistoryData"]) for page in found for item in page["AlarmHistoryItems"]]
    return [item["newState"]["stateValue"] for item in items if "newState" in item]


@check(
    "alarms-quiet",
    SUBJECT,
    "No alarm goes on after a deployment, and none sends its first `OK`",
    "reads the history of all alarms, and what a subscriber received, before the first failure",
    in_sandbox=f"{EVALUATOR}. The emulator applies the subscription's filter policy",
)
def alarms_are_quiet(world: World) -> Evidence:
    world.first_export("films")
    states = world.alarm_states()
    expect(len(states) >= plan.ALARMS, f"only {len(states)} alarms exist")
    went_on = [name for name in states if "ALARM" in history(world, name)]
    expect(not (world.own_system and went_on), f"alarms went on: {', '.join(went_on)}")  # others may have reasons
    world.wait_for(lambda: "OK" in world.alarm_states().values(), "the first alarm is OK", 30)
    received = [
        f"{each['AlarmName']}: {each['NewStateValue']}"
        for each in world.notifications()
        if world.own_system or plan.CATALOG_PREFIX in json.dumps(each)
    ]
    expect(not received, f"messages: {', '.join(received)}")
    minutes = (datetime.now(UTC) - world.started_at).total_seconds() / 60
    return Evidence("no alarm went on, no message", {"alarms": len(states), "minutes": round(minutes)})


@check(
    "alarm-failing",
    SUBJECT,
    "An alarm of all pipelines notifies of each one, by name, when its problem begins and when it is over",
    "fails an export, waits for a message of the alarm `failing` that names the pipeline and says `ALARM`, resumes the "
    "export, and waits for one that says `OK`",
    in_sandbox=EVALUATOR,
    stage=2,
)
def alarm_names_the_pipeline(world: World) -> Evidence:
    failed, pipeline, name = failed_export(world), world.planned("films").pipeline, f"{COMMON_STACK}-failing"
    begun = time.monotonic()
    notified(world, name, pipeline, "ALARM")
    on = time.monotonic() - begun
    wait_for_state(world, name, "ALARM")
    wait_for_state(world, f"{COMMON_STACK}-health", "ALARM")
    resumed_export(world, failed)
    begun = time.monotonic()
    notified(world, name, pipeline, "OK")
    off = time.monotonic() - begun
    if world.own_system:  # other pipelines of an existing system may have their own problems
        wait_for_state(world, name, "OK")
    return Evidence("ALARM and OK, each with a message", {"seconds until ALARM": round(on), "until OK": round(off)})


def wait_for_state(world: World, name: str, state: str) -> None:
    def look() -> bool:
        send_metrics(world)
        seen = history(world, name)  # the state of this moment can be a later one
        return "ALARM" in seen if state == "ALARM" else seen[-1:] == [state]

    world.wait_for(look, f"alarm {name} is {state}", 45)


def notified(world: World, name: str, pipeline: str, state: str) -> None:
    """Waits for a message about a pipeline. The alarm can send others, which name none."""

    def look() -> bool:
        send_metrics(world)
        return any(
            (each["AlarmName"], each["NewStateValue"]) == (name, state) and pipeline in json.dumps(each)
            for each in world.notifications()
        )

    world.wait_for(look, f"a message that {name} of {pipeline} is {state}", 45)


def send_metrics(world: World) -> None:
    world.reconcile()
    time.sleep(1 if world.sandbox else 20)


@check(
    "resume",
    SUBJECT,
    "A failed export can be resumed",
    "resumes the export of the check `error-message` when its cause is removed",
    in_sandbox="the whole export",
    stage=3,
)
def resumes(world: World) -> Evidence:
    failed = failed_export(world)
    export = resumed_export(world, failed)
    expect(export.snapshot_timestamp == failed.snapshot_timestamp, f"the snapshot is {export.snapshot_timestamp}")
    return Evidence(f"export {export.export_id} succeeded", {"attempt": export.attempt, "items": export.items})


def resumed_export(world: World, failed: Export) -> Export:
    def resume() -> Export:
        world.put_event("Export Requested", resume_detail(failed, f"acceptance-{time.time_ns()}"))
        world.wait_for(
            lambda: (found := world.find("films", failed.export_id)) and found.resumed_by is not None, "the resume"
        )
        return world.succeeded("films", failed.export_id)

    return world.once("resumed export of films", resume)


@check(
    "delivery-fails",
    SUBJECT,
    "EventBridge counts failed deliveries by rule and bus, as the alarm `delivery-fails` expects",
    "removes the permission of the rule for queries, runs a query, and waits for the alarm",
    in_sandbox="failed deliveries are counted by the sandbox",
    disturbs=True,
    stage=4,
)
def failed_deliveries_are_counted(world: World) -> Evidence:
    functions, name = world.client("lambda"), f"{COMMON_STACK}-on_view_complete"
    statements = json.loads(functions.get_policy(FunctionName=name)["Policy"])["Statement"]
    for statement in statements:
        functions.remove_permission(FunctionName=name, StatementId=statement["Sid"])
    try:
        query = world.client("athena").start_query_execution(
            QueryString="SELECT 1", WorkGroup=world.common["WorkGroupName"]
        )
        query_id = query["QueryExecutionId"]
        message = world.wait_for(lambda: dead_letter(world, query_id), "the undelivered event in its queue", 10)
        wait_for_state(world, f"{COMMON_STACK}-delivery-fails", "ALARM")
    finally:
        for statement in statements:
            functions.add_permission(
                FunctionName=name,
                StatementId=statement["Sid"],
                Action=statement["Action"],
                Principal=statement["Principal"]["Service"],
                SourceArn=next(iter(next(iter(statement["Condition"].values())).values())),
            )
    receipt = message["ReceiptHandle"]
    world.client("sqs").delete_message(QueueUrl=world.queue_url(UNDELIVERED), ReceiptHandle=receipt)
    code = message["MessageAttributes"].get("ERROR_CODE", {}).get("StringValue", "none")
    return Evidence(f"the alarm went on. ERROR_CODE of the dead letter: {code}")


def dead_letter(world: World, text: str) -> dict[str, Any] | None:
    found = world.messages(UNDELIVERED, VisibilityTimeout=0)
    return next((message for message in found if text in message["Body"]), None)


@check(
    "heartbeat",
    SUBJECT,
    "The age of the heartbeat is a metric for as long as its message exists, so the alarm `reconciler-silent` goes on",
    "disables the reconciler's schedule for half an hour",
    not_in_sandbox="ages keep real time, so the check would take half an hour. The sandbox computes the metric",
    disturbs=True,
    stage=8,
)
def notices_a_silent_reconciler(world: World) -> Evidence:
    scheduler = world.client("scheduler")
    given = scheduler.get_schedule(Name=HEARTBEAT_SCHEDULE)
    names = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target", "Description")
    kept = {name: given[name] for name in names if name in given}
    scheduler.update_schedule(**kept, State="DISABLED")
    begun = time.monotonic()
    try:
        silent = f"{COMMON_STACK}-reconciler-silent"
        world.wait_for(lambda: world.alarm_states().get(silent) == "ALARM", "the alarm reconciler-silent", 60)
    finally:
        scheduler.update_schedule(**kept, State="ENABLED")
    return Evidence("the alarm went on", {"minutes": round((time.monotonic() - begun) / 60)})


@check(
    "cold-starts",
    SUBJECT,
    "How long cold starts take",
    "reads `initDurationMs` of the functions' reports in their log",
    not_in_sandbox="the emulator reports no cold starts. `make bench` measures the same packages",
)
def measures_cold_starts(world: World) -> Evidence:
    pages = world.client("logs").get_paginator("filter_log_events")
    found = pages.paginate(
        logGroupName=LOG_GROUP,
        startTime=int(world.started_at.timestamp() * 1000),
        filterPattern='{ $.type = "platform.report" && $.record.metrics.initDurationMs > 0 }',
    )
    took = [
        json.loads(event["message"])["record"]["metrics"]["initDurationMs"]
        for page in found
        for event in page["events"]
    ]
    expect(took, "no report with an init duration was found")
    figures = {"cold starts": len(took), "average ms": round(mean(took)), "maximum ms": round(max(took))}
    return Evidence("of all functions", figures)


def traces(world: World, condition: str) -> list[dict[str, Any]]:
    pages = world.client("xray").get_paginator("get_trace_summaries")
    since = max(world.started_at, datetime.now(UTC) - timedelta(hours=5))
    found = pages.paginate(StartTime=since, EndTime=datetime.now(UTC), FilterExpression=condition)
    return [trace for page in found for trace in page["TraceSummaries"]]


def traced_functions(found: list[dict[str, Any]]) -> set[str]:
    return {service["Name"] for trace in found for service in trace.get("ServiceIds", []) if service.get("Name")}


@check(
    "traces",
    SUBJECT,
    "Each function sends an X-Ray trace",
    "lists the traces of the functions that take part in an export with a crawl",
    not_in_sandbox="no X-Ray daemon listens. Tests check the calls of the SDK",
)
def sends_traces(world: World) -> Evidence:
    world.first_export("films")
    wanted = {f"{COMMON_STACK}-{name}" for name in (*STEPS, "on_crawler_complete", "on_export_changed")}

    def look() -> set[str] | None:
        seen = {name for name in wanted if traces(world, f'service("{name}")')}
        return seen if seen == wanted else None

    seen = world.wait_for(look, f"traces of {', '.join(sorted(wanted))}", 10)
    return Evidence(f"traces of {', '.join(sorted(seen))}", {"functions": len(seen)})


@check(
    "traces-of-export",
    SUBJECT,
    "One filter finds all traces of an export",
    'filters traces by `annotation.export_id = "…"`',
    not_in_sandbox="no X-Ray daemon listens. Tests check the annotations",
)
def finds_the_traces_of_an_export(world: World) -> Evidence:
    export = world.first_export("films")
    wanted = {f"{COMMON_STACK}-{name}" for name in STEPS}

    def look() -> list[dict[str, Any]] | None:
        found = traces(world, f'annotation.export_id = "{export.export_id}"')
        return found if wanted <= traced_functions(found) else None

    found = world.wait_for(look, f"traces of export {export.export_id}", 10)
    return Evidence(f"traces of {', '.join(sorted(traced_functions(found)))}", {"traces": len(found)})


@check(
    "widget-page",
    SUBJECT,
    "The widget lists all pipelines, and the page of an export has its timeline",
    "invokes the widget's function as CloudWatch does",
    in_sandbox="the function itself, in its role",
)
def widget_lists_pipelines(world: World) -> Evidence:
    export = world.first_export("films")
    overview = widget(world, {})
    missing = [name for name in (export.pipeline, world.planned("zoo-csv").pipeline) if name not in overview]
    expect(not missing, f"the overview does not list {missing}")
    page = widget(world, {"view": "timeline", "export_id": export.export_id})
    expect(str(export.glue_job_run_id) in page, "the timeline does not show the job run")
    return Evidence("overview and timeline", {"bytes": len(overview.encode())})


def widget(world: World, event: dict[str, Any]) -> str:
    answer = world.client("lambda").invoke(
        FunctionName=f"{COMMON_STACK}-pipeline_widget",
        Payload=json.dumps(event | {"widgetContext": {"theme": "light"}}).encode(),
    )
    payload = answer["Payload"].read()
    if "FunctionError" in answer:
        raise NotTrue(f"the function failed: {payload[:500]!r}")
    return json.loads(payload)


by_hand(
    "widget-in-console",
    SUBJECT,
    "CloudWatch shows the widget as the sandbox does, permits its buttons to call it, and removes nothing of it",
    "open the dashboard `table-exports-<Region>`, allow the widget, click a name, filter by a name, run a pipeline",
    "It needs a person who is signed in to the console. The function's answer is checked",
)
by_hand(
    "console-links",
    SUBJECT,
    "The links to the AWS console work",
    "click each link in an export's timeline",
    "It needs a person who is signed in to the console, because the addresses are not documented",
)
by_hand(
    "metric-cost",
    SUBJECT,
    "A metric costs only for the hours in which it is sent",
    "Cost Explorer, usage type `CW:MetricMonitorUsage`, two days later",
    "Cost Explorer has the costs a day later at the earliest",
)
by_hand(
    "email",
    SUBJECT,
    "A subscriber by email receives the alarms",
    "deploy with `AlarmEmail`, confirm, and cause a failure",
    "It needs a person's inbox. The suite subscribes a queue with the same filter",
)
