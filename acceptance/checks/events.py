"""Claims about EventBridge, Scheduler and SQS: events, schedules, replays and dead letters."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from acceptance import plan
from acceptance.checks.catalog import changed_films
from acceptance.claims import Evidence, check, expect
from acceptance.cleanup import SCHEDULE_PREFIX, SCHEDULE_ROLE
from acceptance.environment import create_queue
from acceptance.world import EVENT_QUEUE, World
from infra.deploy.tables_file import COMMON_STACK
from table_exports.domain import aws_events
from table_exports.domain.errors import InvalidEvent
from table_exports_cli import replays

SUBJECT = "Events"
PARSERS: dict[str, Any] = {
    "Glue Job State Change": aws_events.JobRunEnded,
    "Glue Crawler State Change": aws_events.CrawlEnded,
    "Athena Query State Change": aws_events.QueryEnded,
    "Object Created": aws_events.SummaryWritten,
}
UNDELIVERED, REDELIVERED = f"{COMMON_STACK}-undelivered-events", f"{COMMON_STACK}-redelivered-events"
SOURCE_QUEUE, FROM_QUEUE, TO_QUEUE = (f"{plan.PREFIX}-{name}" for name in ("source", "from", "to"))


@check(
    "event-forms",
    SUBJECT,
    "The events of Glue, Athena and S3 have the documented form",
    "receives all events of the first exports in a queue, and parses each as the functions do",
    in_sandbox="events of that form, delivered by the sandbox",
)
def events_have_their_form(world: World) -> Evidence:
    for pipeline in plan.PIPELINES:
        world.first_export(pipeline.name)
    seen: Counter[str] = Counter()
    wrong: list[str] = []

    def look() -> bool:
        seen.clear()
        wrong.clear()
        for event in map(json.loads, world.drain(EVENT_QUEUE)):
            kind = event["detail-type"]
            try:
                aws_events.check_envelope(event, world.account.id, world.region)
                parsed = PARSERS[kind].from_event(event)
                seen[f"{kind} {getattr(parsed, 'state', '')}".strip()] += 1
            except InvalidEvent as error:
                wrong.append(f"{kind}: {error}: {json.dumps(event['detail'])[:300]}")
        return all(any(name.startswith(kind) for name in seen) for kind in PARSERS) or bool(wrong)

    world.wait_for(look, f"an event of each type, {', '.join(PARSERS)}", 5)
    expect(not wrong, "; ".join(wrong[:3]))
    return Evidence(f"{seen.total()} events", dict(seen))


@check(
    "schedule",
    SUBJECT,
    "The schedule puts the request on the bus",
    "deploys a stack with a schedule that is minutes ahead, and waits for its export",
    in_sandbox="the sandbox asks IAM whether the schedule's role may, and does it as root",
    stage=1,
)
def schedule_requests(world: World) -> Evidence:
    moment = datetime.now(UTC) + timedelta(seconds=20 if world.sandbox else 240)
    at = {
        "ScheduleState": "ENABLED",
        "ScheduleWindowMinutes": "0",
        "ScheduleExpression": f"at({moment:%Y-%m-%dT%H:%M:%S})",
    }
    first = world.first_export("zoo-orc")
    try:
        world.deploy_tables([world.planned("zoo-orc")], {"zoo-orc": at})
        export_id = world.wait_for(
            lambda: next(
                (found.export_id for found in world.exports("zoo-orc") if found.export_id != first.export_id), None
            ),
            "an export by the schedule",
            10,
        )
        export = world.succeeded("zoo-orc", export_id)
    finally:
        world.deploy_tables([world.planned("zoo-orc")])
    late = (export.requested_at - moment.replace(microsecond=0)).total_seconds()
    expect(-1 <= late < 90, f"the export was requested {late:.0f} seconds after its time")
    return Evidence(f"requested for {moment:%H:%M:%S}", {"seconds late": round(late)})


@check(
    "schedule-dead-letter",
    SUBJECT,
    "A request that a schedule could not deliver is in the queue of undelivered events, and can be redelivered",
    "creates a schedule whose role may not put events, and moves its message to the queue for redelivery",
    not_in_sandbox="the sandbox writes no dead letters of schedules. Tests accept both documented forms",
    disturbs=True,
    stage=7,
)
def redelivers_a_schedules_request(world: World) -> Evidence:
    create_schedule_that_may_not_put(world)

    def look() -> dict[str, Any] | None:
        found = world.messages(UNDELIVERED, VisibilityTimeout=0)
        return next((message for message in found if "SCHEDULE_ARN" in message.get("MessageAttributes", {})), None)

    before = {export.export_id for export in world.exports("zoo-orc")}
    message = world.wait_for(look, "the schedule's message", 15)
    attributes = sorted(message["MessageAttributes"])
    form = "the PutEvents entry" if "Entries" in json.loads(message["Body"]) else "the detail"
    move(world, UNDELIVERED, REDELIVERED)
    export_id = world.new_export("zoo-orc", before)
    world.succeeded("zoo-orc", export_id)
    return Evidence(f"the body is {form}. The attributes are {', '.join(attributes)}")


def create_schedule_that_may_not_put(world: World) -> None:
    iam = world.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName=SCHEDULE_ROLE, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": world.arn("sqs", UNDELIVERED)}
    iam.put_role_policy(
        RoleName=SCHEDULE_ROLE,
        PolicyName="dead-letters",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [send]}),
    )
    request = json.loads(world.outputs(world.planned("zoo-orc").stack)["ExportRequest"])
    moment = datetime.now(UTC) + timedelta(minutes=2)  # IAM needs some seconds until the role can be assumed

    def create() -> bool:
        world.client("scheduler").create_schedule(
            Name=f"{SCHEDULE_PREFIX}dead-letter",
            ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={
                "Arn": world.common["BusArn"],
                "RoleArn": role,
                "EventBridgeParameters": {"Source": COMMON_STACK, "DetailType": "Export Requested"},
                "Input": json.dumps(request | {"scheduled_time": "<aws.scheduler.scheduled-time>"}),
                "RetryPolicy": {"MaximumRetryAttempts": 0},
                "DeadLetterConfig": {"Arn": world.arn("sqs", UNDELIVERED)},
            },
        )
        return True

    def try_create() -> bool:
        try:
            return create()
        except world.client("scheduler").exceptions.ValidationException as error:
            expect("role" in str(error), str(error))  # the new role is not known yet
            return False

    world.wait_for(try_create, "the schedule is created", 2)


@check(
    "message-move",
    SUBJECT,
    "SQS moves messages out of a queue that is the dead-letter queue of another, also those that did not come from it",
    "sends a message to a dead-letter queue of its own, and moves it to a third queue",
    in_sandbox="the sandbox refuses a source that is not a dead-letter queue",
)
def moves_messages(world: World) -> Evidence:
    source = create_queue(world, FROM_QUEUE)
    redrive = json.dumps({"deadLetterTargetArn": source, "maxReceiveCount": 1000})
    create_queue(world, SOURCE_QUEUE, RedrivePolicy=redrive)
    create_queue(world, TO_QUEUE)
    world.client("sqs").send_message(QueueUrl=world.queue_url(FROM_QUEUE), MessageBody="not from the source queue")
    status = move(world, FROM_QUEUE, TO_QUEUE)
    moved = world.wait_for(lambda: world.drain(TO_QUEUE) or None, "the moved message", 5)
    expect(moved == ["not from the source queue"], f"moved: {moved}")
    return Evidence(f"the task is {status}", {"messages": len(moved)})


def move(world: World, source: str, destination: str) -> str:
    """Moves all messages of a queue to another, and returns the status of the task."""
    sqs, arn = world.client("sqs"), world.arn("sqs", source)
    sqs.start_message_move_task(SourceArn=arn, DestinationArn=world.arn("sqs", destination))

    def look() -> str | None:
        status = sqs.list_message_move_tasks(SourceArn=arn)["Results"][0]["Status"]
        return status if status != "RUNNING" else None

    status = world.wait_for(look, f"the end of the move from {source}", 10)
    expect(status == "COMPLETED", f"the move is {status}")
    return status


@check(
    "replay",
    SUBJECT,
    "A replay of a past request exports the table again, as it is now",
    "replays the request of one pipeline as `table-exports replay` does, ten minutes after it was archived",
    in_sandbox="archives and replays of the sandbox, without a delay",
    stage=4,  # its success would end the failure that earlier checks need
)
def replays_a_request(world: World) -> Evidence:
    changed = changed_films(world)
    if not world.sandbox:  # archives lag
        world.wait_for(
            lambda: datetime.now(UTC) > changed.requested_at + replays.ARCHIVES_LAG, "the archive has the request", 15
        )
    before = {export.export_id for export in world.exports("films")}
    system = world.system
    begin = datetime.fromtimestamp(math.floor(changed.requested_at.timestamp()) - 10, UTC)
    planned = replays.plan(
        system,
        begin,
        min(begin + timedelta(seconds=20), datetime.now(UTC)),
        system.pipeline(changed.pipeline),
        aws_events=False,
        now=datetime.now(UTC),
    )
    name = replays.carry_out(system, planned)

    export = world.succeeded("films", world.new_export("films", before))
    expect(export.snapshot_timestamp > changed.snapshot_timestamp, f"the snapshot is {export.snapshot_timestamp}")
    return Evidence(f"replay {name} made snapshot {export.snapshot_timestamp} of {export.items} items")


@check(
    "lost-event",
    SUBJECT,
    "An export whose event was lost continues, because the reconciler finds it",
    "disables the rule for job runs until a run has ended",
    in_sandbox="an event is late at once instead of after ten minutes",
    disturbs=True,
    stage=4,
)
def finds_a_lost_event(world: World) -> Evidence:
    events, rule = world.client("events"), f"{COMMON_STACK}-on_glue_complete"
    world.first_export("zoo-avro")
    events.disable_rule(Name=rule)
    try:
        export_id = world.request("zoo-avro")

        def run_has_ended() -> bool:
            export = world.find("zoo-avro", export_id)
            if export is None or export.glue_job_run_id is None:
                return False
            run = world.client("glue").get_job_run(JobName=export.glue_job_name, RunId=export.glue_job_run_id)
            return run["JobRun"]["JobRunState"] == "SUCCEEDED"

        world.wait_for(run_has_ended, "the end of the job run")
        ended_at = datetime.now(UTC)
        if not world.sandbox:
            world.wait_for(lambda: datetime.now(UTC) > ended_at + timedelta(minutes=1), "the event was lost")
    finally:
        events.enable_rule(Name=rule)
    export = world.find("zoo-avro", export_id)
    expect(export is not None and not export.ended, "the event was not lost")

    if world.sandbox:  # or the check would wait for ten minutes, and then for the reconciler's schedule
        with late_at_once(world):
            world.reconcile()
    export = world.succeeded("zoo-avro", export_id, 40)
    assert export.ended_at
    took = (export.ended_at - ended_at).total_seconds()
    return Evidence("the export succeeded", {"seconds after the end of the run": round(took)})


@contextmanager
def late_at_once(world: World) -> Iterator[None]:
    """Lets the reconciler ask about every export in flight, for as long as the context lasts."""
    functions, name = world.client("lambda"), f"{COMMON_STACK}-reconcile_exports"
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def set_variables(given: dict[str, str]) -> None:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": given})

    set_variables(variables | {"LATE_AFTER_MINUTES": "0"})
    try:
        yield
    finally:
        set_variables(variables)
