"""Deletes what a run created, also after an interruption. It knows names and tags only, not what the run did."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from acceptance import plan
from acceptance.environment import MARKER
from acceptance.world import artifacts_bucket
from infra.deploy import CannotDeploy, artifacts
from infra.deploy.account import Account
from infra.deploy.stacks import StackFailed, Stacks
from infra.deploy.tables_file import COMMON_STACK

RUNNING = ("STARTING", "RUNNING", "WAITING")
NOT_FOUND = (
    "404",
    "NoSuchBucket",
    "NoSuchEntity",
    "ResourceNotFoundException",
    "ResourceNotFound",
    "EntityNotFoundException",
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "NotFound",
    "NotFoundException",
    "ValidationError",
)
AT_ONCE = 5


@dataclass(frozen=True)
class Found:
    """A resource of a run."""

    name: str  # with its kind, for messages
    delete: Callable[[], Any]


class Cleanup:
    def __init__(self, account: Account, say: Callable[[str], None]) -> None:
        self._account, self._say = account, say
        self._stacks = Stacks(account.client("cloudformation"))
        self._bucket = artifacts_bucket(account)
        self._clients: dict[str, Any] = {}
        self._marker = self._read_marker()
        self._common = self._stacks.describe(COMMON_STACK)
        self._owns_system = self._decide_owner()
        # empty if the stack was never created
        self._outputs = {each["OutputKey"]: each["OutputValue"] for each in (self._common or {}).get("Outputs", [])}

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._account.client(service)
        return self._clients[service]

    def _read_marker(self) -> dict[str, Any] | None:
        """Returns what the run wrote about itself. None if there is no run."""
        if not artifacts.exists(self._account, self._bucket):
            return None
        try:
            return json.load(self._client("s3").get_object(Bucket=self._bucket, Key=MARKER)["Body"])
        except self._client("s3").exceptions.NoSuchKey:
            return {}

    def _decide_owner(self) -> bool:
        """Whether the common stack and what it retains belong to the run. Never true of a stack without our tag."""
        if self._common is not None and self._common["StackStatus"] != "REVIEW_IN_PROGRESS":
            return is_tagged(self._common)
        return bool(self._marker and self._marker.get("owns_system"))

    # ------------------------------------------------------------------------------------------------------ everything

    def run(self) -> list[str]:
        """Deletes everything and returns what is left."""
        self._stop_job_runs()
        self.delete_table_stacks()
        for step in (self._others, self._data):
            for found in step():
                self._delete(found)
        if self._owns_system:
            self._delete_stack(COMMON_STACK)
            for found in self._retained():
                self._delete(found)
        left = self.leftovers()
        if not left and self._marker is not None:
            self._delete(Found(f"bucket {self._bucket}", lambda: self._delete_bucket(self._bucket)))
            left = self.leftovers()
        return left

    def leftovers(self) -> list[str]:
        """Returns the names of what exists, without the artifacts bucket, which marks the run until the end."""
        found = [f"stack {name}" for name in self._table_stacks()]
        found += [each.name for each in self._others()]
        if self._owns_system:
            common = self._stacks.describe(COMMON_STACK)
            found += [f"stack {COMMON_STACK}"] if common else [each.name for each in self._retained()]
        return found

    def _delete(self, found: Found) -> None:
        try:
            found.delete()
            self._say(f"deleted {found.name}")
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_FOUND:
                return
            self._say(f"could not delete {found.name}: {error}")

    # ---------------------------------------------------------------------------------------------------------- stacks

    def _table_stacks(self) -> list[str]:
        ours = self._stacks.ours()
        return [
            name
            for name, stack in ours.items()
            if name.startswith(f"{plan.PREFIX}-") and stack["StackStatus"] != "DELETE_COMPLETE" and is_tagged(stack)
        ]

    def delete_table_stacks(self) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._delete_stack, self._table_stacks()))

    def _delete_stack(self, name: str) -> None:
        try:
            with suppress(CannotDeploy):  # a failed deletion or rollback, which a deletion ends
                self._stacks.wait_until_idle(name)
            stack = self._stacks.describe(name)
            if stack is None:
                return
            if stack["StackStatus"] == "REVIEW_IN_PROGRESS":
                self._client("cloudformation").delete_stack(StackName=name)
            else:
                self._stacks.delete(name)
            self._say(f"deleted stack {name}")
        except (StackFailed, ClientError) as error:
            self._say(f"could not delete stack {name}: {error}")

    def _stop_job_runs(self) -> None:
        glue = self._client("glue")
        for pipeline in plan.ALL_PIPELINES:
            job = f"table-exports-{pipeline.pipeline}"
            with suppress(ClientError):
                runs = glue.get_job_runs(JobName=job).get("JobRuns", [])
                if going := [run["Id"] for run in runs if run["JobRunState"] in RUNNING]:
                    glue.batch_stop_job_run(JobName=job, JobRunIds=going)

    # ------------------------------------------------------------------------------------------------- other resources

    def _others(self) -> list[Found]:
        """Returns tables, queues, rules, schedules and roles whose names begin with our prefix."""
        found: list[Found] = []
        dynamodb, sqs, events = self._client("dynamodb"), self._client("sqs"), self._client("events")
        for table in plan.TABLES:
            with suppress(dynamodb.exceptions.ResourceNotFoundException):
                if dynamodb.describe_table(TableName=table)["Table"]["TableStatus"] != "DELETING":
                    found.append(Found(f"table {table}", lambda table=table: self._delete_table(table)))
        for url in sqs.list_queues(QueueNamePrefix=f"{plan.PREFIX}-").get("QueueUrls", []):
            found.append(Found(f"queue {url.rpartition('/')[2]}", lambda url=url: sqs.delete_queue(QueueUrl=url)))
        for bus in ("default", COMMON_STACK):
            with suppress(events.exceptions.ResourceNotFoundException):
                for rule in events.list_rules(NamePrefix=f"{plan.PREFIX}-", EventBusName=bus)["Rules"]:
                    delete = lambda name=rule["Name"], bus=bus: self._delete_rule(name, bus)  # noqa: E731
                    found.append(Found(f"rule {rule['Name']}", delete))
        scheduler = self._client("scheduler")
        # Only the names that checks give: stacks own the schedules with generated names.
        for schedule in scheduler.list_schedules(NamePrefix=SCHEDULE_PREFIX)["Schedules"]:
            name = schedule["Name"]
            found.append(Found(f"schedule {name}", lambda name=name: scheduler.delete_schedule(Name=name)))
        iam = self._client("iam")
        with suppress(iam.exceptions.NoSuchEntityException):
            iam.get_role(RoleName=SCHEDULE_ROLE)
            found.append(Found(f"role {SCHEDULE_ROLE}", self._delete_role))
        found += self._subscriptions()
        return found

    def _subscriptions(self) -> list[Found]:
        """Returns our subscription of an existing system's topic. Our own topic is deleted with its stack."""
        if self._owns_system or not self._outputs:
            return []
        sns = self._client("sns")
        pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=self._outputs["AlarmsArn"])
        return [
            Found(
                f"subscription of {each['Endpoint']}",
                lambda arn=each["SubscriptionArn"]: sns.unsubscribe(SubscriptionArn=arn),
            )
            for page in pages
            for each in page["Subscriptions"]
            if f":{plan.PREFIX}-" in each["Endpoint"]
        ]

    def _delete_table(self, name: str) -> None:
        dynamodb = self._client("dynamodb")
        if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
            dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
            dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 150})
        dynamodb.delete_table(TableName=name)
        dynamodb.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 150})

    def _delete_rule(self, name: str, bus: str) -> None:
        events = self._client("events")
        targets = events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]
        if targets:
            events.remove_targets(Rule=name, EventBusName=bus, Ids=[target["Id"] for target in targets])
        events.delete_rule(Name=name, EventBusName=bus)

    def _delete_role(self) -> None:
        iam = self._client("iam")
        for policy in iam.list_role_policies(RoleName=SCHEDULE_ROLE)["PolicyNames"]:
            iam.delete_role_policy(RoleName=SCHEDULE_ROLE, PolicyName=policy)
        iam.delete_role(RoleName=SCHEDULE_ROLE)

    # ------------------------------------------------------------------------------- what the common stack would retain

    def _data(self) -> list[Found]:
        """Returns the data of our pipelines in an existing system: objects, tables of the catalog and records."""
        if self._owns_system or not self._outputs:
            return []
        glue, database, bucket = self._client("glue"), self._outputs["DatabaseName"], self._outputs["BucketName"]
        found = []
        for pipeline in plan.ALL_PIPELINES:
            name = pipeline.catalog_name
            for table in self._tables_of(name):
                delete = lambda table=table: glue.delete_table(DatabaseName=database, Name=table)  # noqa: E731
                found.append(Found(f"table {table} of the catalog", delete))
            of_exports = [f"exports/{kind}_{name}/" for kind in ("snapshots", "entities", "manifests")]
            for folder in (*of_exports, f"staging/{name}/"):
                delete = lambda folder=folder: self._delete_objects(bucket, folder)  # noqa: E731
                found.append(Found(f"s3://{bucket}/{folder}", delete))
            found.append(
                Found(f"records of {pipeline.pipeline}", lambda name=pipeline.pipeline: self._delete_records(name))
            )
        return found

    def _tables_of(self, name: str) -> list[str]:
        """Returns the tables and views of a pipeline in the catalog, those of its entities included."""
        pages = self._client("glue").get_paginator("get_tables").paginate(DatabaseName=self._outputs["DatabaseName"])
        found = [table["Name"] for page in pages for table in page["TableList"]]
        return [table for table in found if f"{table}_".startswith((f"{name}_", f"snapshots_{name}_"))]

    def _delete_records(self, pipeline: str) -> None:
        dynamodb, table = self._client("dynamodb"), self._outputs["StateTableName"]
        pages = dynamodb.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="pipeline = :pipeline",
            ExpressionAttributeValues={":pipeline": {"S": pipeline}},
        )
        for item in [item for page in pages for item in page["Items"]]:
            dynamodb.delete_item(TableName=table, Key={name: item[name] for name in ("pipeline", "record")})

    def _retained(self) -> list[Found]:
        """Returns what our own common stack retains when it is deleted. The names are those of infra/common.yaml."""
        glue, dynamodb, logs = (self._client(name) for name in ("glue", "dynamodb", "logs"))
        bucket, log = f"table-exports-{self._account.id}-{self._account.region}", "/table-exports/functions"
        found = []
        if artifacts.exists(self._account, bucket):
            found.append(Found(f"bucket {bucket}", lambda: self._delete_bucket(bucket)))
        with suppress(glue.exceptions.EntityNotFoundException):
            glue.get_database(Name=plan.DATABASE)
            found.append(Found(f"database {plan.DATABASE}", lambda: glue.delete_database(Name=plan.DATABASE)))
        with suppress(dynamodb.exceptions.ResourceNotFoundException):
            dynamodb.describe_table(TableName=COMMON_STACK)
            found.append(Found(f"table {COMMON_STACK}", lambda: self._delete_table(COMMON_STACK)))
        groups = logs.describe_log_groups(logGroupNamePrefix=log)["logGroups"]
        if any(group["logGroupName"] == log for group in groups):
            found.append(Found(f"log group {log}", lambda: logs.delete_log_group(logGroupName=log)))
        return found

    def _delete_bucket(self, bucket: str) -> None:
        self._delete_objects(bucket, "")
        self._client("s3").delete_bucket(Bucket=bucket)

    def _delete_objects(self, bucket: str, prefix: str) -> None:
        s3 = self._client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if objects := [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


SCHEDULE_ROLE = f"{plan.PREFIX}-scheduler"
SCHEDULE_PREFIX = f"{plan.PREFIX}-check-"


def is_tagged(stack: dict[str, Any]) -> bool:
    return any(tag["Key"] == plan.TAG for tag in stack.get("Tags", []))
