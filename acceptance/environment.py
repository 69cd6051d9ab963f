"""Creates what the checks need: both stacks, tables with items, and queues that receive events and notifications."""

import json
from collections.abc import Iterable
from typing import Any

from acceptance import items, plan
from acceptance.world import ALARM_QUEUE, EVENT_QUEUE, World
from infra.deploy import CannotDeploy, artifacts
from infra.deploy.adoption import RetainedResources
from infra.deploy.tables_file import COMMON_STACK

MARKER = "run.json"  # in the artifacts bucket: says what a cleanup may delete
ALARM_FILTER = {"$or": [{"NewStateValue": ["ALARM"]}, {"OldStateValue": ["ALARM"]}]}  # as in infra/common.yaml


class CannotRun(Exception):
    """The suite cannot run in this account and Region. The message says why and what to do."""


def require_free_region(world: World) -> None:
    """Raises CannotRun if something of an earlier run or of a user is in the Region."""
    if artifacts.exists(world.account, world.artifacts_bucket):
        raise CannotRun(f"An earlier run left resources in {world.region}. Delete them with: make accept CLEAN=1")
    stack = world.stacks.describe(COMMON_STACK)
    if not world.own_system:
        if stack is None:
            raise CannotRun(f"--existing: there is no stack {COMMON_STACK} in {world.region}. Run without it")
        return
    if stack is not None:
        raise CannotRun(
            f"Region {world.region} already has a stack {COMMON_STACK}. Choose another Region with --region, or use "
            "the stack as it is with --existing (make accept EXISTING=1)"
        )
    retained = RetainedResources(world.account, world.build / "common.yaml", {"DatabaseName": plan.DATABASE}).found()
    if retained:
        names = ", ".join(retained.values())
        raise CannotRun(
            f"Region {world.region} has resources that a deleted common stack retained: {names}. The suite would "
            "delete them. Choose another Region with --region"
        )


def create(world: World) -> None:
    """Creates everything. What it creates first marks the run, so that a cleanup finds the rest."""
    artifacts.create(world.account, world.artifacts_bucket)
    marker = {"owns_system": world.own_system, "database": plan.DATABASE, "started_at": world.started_at.isoformat()}
    world.client("s3").put_object(
        Bucket=world.artifacts_bucket, Key=MARKER, Body=json.dumps(marker).encode(), ContentType="application/json"
    )
    artifacts.upload(world.account, world.artifacts_bucket, world.build)
    create_tables(world)
    if world.own_system:
        world.deployment().deploy_common_stack()
        world.screen.taken()
    receive_alarms(world)
    receive_events(world)
    world.deploy_tables()
    fill_tables(world)


def create_tables(world: World) -> None:
    dynamodb = world.client("dynamodb")
    tags = [{"Key": plan.TAG, "Value": "run"}]
    by_id: dict[str, Any] = {
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    provisioned = {"ReadCapacityUnits": plan.FILMS_READ_UNITS, "WriteCapacityUnits": plan.FILMS_WRITE_UNITS}
    dynamodb.create_table(TableName=plan.ZOO, Tags=tags, **by_id, BillingMode="PAY_PER_REQUEST")
    dynamodb.create_table(TableName=plan.FILMS, Tags=tags, **by_id, ProvisionedThroughput=provisioned)


def fill_tables(world: World) -> None:
    dynamodb = world.client("dynamodb")
    contents = {plan.ZOO: items.zoo(), plan.FILMS: items.films()}
    for table, content in contents.items():
        dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 2, "MaxAttempts": 150})
        put_items(world, table, content)
    world.wait_for(lambda: enable_recovery(dynamodb, plan.ZOO), f"point-in-time recovery of {plan.ZOO}", 10)


def enable_recovery(dynamodb: Any, table: str) -> bool:
    """Enables point-in-time recovery. Returns whether the table can be exported."""
    enabled = {"PointInTimeRecoveryEnabled": True}
    try:
        dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=enabled)
    except dynamodb.exceptions.ContinuousBackupsUnavailableException:  # the table is a moment old
        return False
    found = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    return found.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") == "ENABLED"


def put_items(world: World, table: str, content: Iterable[dict[str, Any]]) -> None:
    """Writes items in batches below the request limit of 16 MB."""
    batch: list[dict[str, Any]] = []
    for item in content:
        batch.append({"PutRequest": {"Item": item}})
        if len(batch) == 25:
            write(world, table, batch)
            batch = []
    write(world, table, batch)


def write(world: World, table: str, batch: list[dict[str, Any]]) -> None:
    dynamodb = world.client("dynamodb")

    def look() -> bool:
        nonlocal batch
        if batch:
            batch = dynamodb.batch_write_item(RequestItems={table: batch})["UnprocessedItems"].get(table, [])
        return not batch

    world.wait_for(look, f"items in {table}")


# -------------------------------------------------------------------------------------------------------- subscriptions


def create_queue(world: World, name: str, **attributes: str) -> str:
    """Creates a queue that events and notifications of this account can reach, and returns its ARN."""
    sqs, arn = world.client("sqs"), world.arn("sqs", name)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnLike": {"aws:SourceArn": [world.arn("events", "rule/*"), world.arn("sns", "*")]}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.create_queue(QueueName=name, Attributes={"Policy": policy, **attributes}, tags={plan.TAG: "run"})
    return arn


def receive_alarms(world: World) -> None:
    """Subscribes a queue to the alarms' topic, with the filter that the template gives to email addresses."""
    world.client("sns").subscribe(
        TopicArn=world.common["AlarmsArn"],
        Protocol="sqs",
        Endpoint=create_queue(world, ALARM_QUEUE),
        Attributes={
            "FilterPolicyScope": "MessageBody",
            "FilterPolicy": json.dumps(ALARM_FILTER),
            "RawMessageDelivery": "true",
        },
    )


def receive_events(world: World) -> None:
    """Sends AWS's events about job runs, crawls, queries and table exports to a queue."""
    events, queue = world.client("events"), create_queue(world, EVENT_QUEUE)
    archive = events.describe_archive(ArchiveName=f"{COMMON_STACK}-aws-events")
    events.put_rule(Name=EVENT_QUEUE, EventPattern=archive["EventPattern"])
    failed = events.put_targets(Rule=EVENT_QUEUE, Targets=[{"Id": "queue", "Arn": queue}])
    if failed["FailedEntryCount"]:
        raise CannotDeploy(f"The rule {EVENT_QUEUE} has no target: {failed['FailedEntries']}")
