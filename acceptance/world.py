"""What checks use: AWS clients, the pipelines of the run, and exports. Nothing here depends on the sandbox."""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from acceptance import plan
from acceptance.claims import NotTrue
from infra.deploy import blocks
from infra.deploy.account import Account
from infra.deploy.deployment import Deployment
from infra.deploy.parameters import parameters
from infra.deploy.screen import Screen
from infra.deploy.settings import Settings
from infra.deploy.stacks import Plan, Stacks
from infra.deploy.tables_file import COMMON_STACK, TableStack
from infra.deploy.tables_file import read as read_tables
from table_exports.domain.export import Export
from table_exports.domain.public_events import SOURCE
from table_exports.domain.request import request_identity
from table_exports.domain.stages import Stage
from table_exports_cli.system import System

T = TypeVar("T")
SANDBOX_MINUTES = 6.0  # the longest wait there, on a busy machine


class TimedOut(NotTrue):
    """Something did not happen in time."""


class RecordingScreen(Screen):
    """Confirms everything, prints nothing, and keeps the plans that a user would be shown."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True), yes=True)
        self._plans: list[Plan] = []

    def changes(self, plans: list[Plan]) -> None:
        self._plans += plans

    def taken(self) -> list[Plan]:
        """Returns the plans since the last call."""
        plans, self._plans = self._plans, []
        return plans


@dataclass
class World:
    account: Account
    build: Path
    folder: Path  # for generated files
    sandbox: bool
    own_system: bool  # whether the run deploys the common stack
    profile: str | None = None
    next_build: Path | None = None  # of a later version than `build`, for the upgrade
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    screen: RecordingScreen = field(default_factory=RecordingScreen)
    exported: list[Export] = field(default_factory=list)
    _made: dict[str, Any] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------------------------------ AWS

    def client(self, service: str) -> Any:
        return self.once(f"client {service}", lambda: self.account.client(service))

    @property
    def region(self) -> str:
        return self.account.region

    def arn(self, service: str, resource: str) -> str:
        partition = self.account.session.get_partition_for_region(self.region)
        return f"arn:{partition}:{service}:{self.region}:{self.account.id}:{resource}"

    @property
    def artifacts_bucket(self) -> str:
        return artifacts_bucket(self.account)

    @cached_property
    def stacks(self) -> Stacks:
        return Stacks(self.client("cloudformation"))

    @cached_property
    def system(self) -> System:
        return System(self.profile, self.region)

    def outputs(self, stack: str) -> dict[str, str]:
        found = self.stacks.describe(stack)
        if found is None:
            raise NotTrue(f"there is no stack {stack}")
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    @cached_property
    def common(self) -> dict[str, str]:
        """The outputs of the common stack."""
        return self.outputs(COMMON_STACK)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Returns the result of the first call. If that failed, raises the same error again."""
        if name not in self._made:
            try:
                self._made[name] = make()
            except (KeyboardInterrupt, SystemExit):
                raise
            except Exception as error:
                self._made[name] = error
        found = self._made[name]
        if isinstance(found, Exception):
            raise NotTrue(f"{name}: {type(found).__name__}: {found}") from found
        return found

    def wait_for(self, look: Callable[[], T | None], what: str, minutes: float = 20) -> T:
        """Returns the first result of `look` that is neither None nor False."""
        minutes = min(minutes, SANDBOX_MINUTES) if self.sandbox else minutes
        deadline = time.monotonic() + 60 * minutes
        while True:
            if (found := look()) is not None and found is not False:
                return found
            if time.monotonic() > deadline:
                raise TimedOut(f"{what}: did not happen within {minutes:g} minutes")
            time.sleep(0.3 if self.sandbox else 5)

    # ------------------------------------------------------------------------------------------------------ deployment

    def deployment(self, build: Path | None = None, only_plan: bool = False) -> Deployment:
        return Deployment(
            self.account,
            self.screen,
            self.stacks,
            Settings(
                account=self.account.id,
                region=self.region,
                artifacts_bucket=self.artifacts_bucket,
                parameters={"DatabaseName": plan.DATABASE},
                tags={plan.TAG: "run"},
            ),
            build or self.build,
            only_plan,
        )

    def table_stacks(
        self, pipelines: Sequence[plan.PlannedPipeline], changes: dict[str, dict[str, str]] | None = None
    ) -> list[TableStack]:
        """Returns what a tables.yaml with these pipelines describes."""
        path = self.folder / "tables.yaml"
        path.write_text(plan.tables_file(pipelines, changes))
        return read_tables(path, parameters(self.build / "table.yaml"))

    def deploy_tables(
        self,
        pipelines: Sequence[plan.PlannedPipeline] = plan.PIPELINES,
        changes: dict[str, dict[str, str]] | None = None,
        build: Path | None = None,
    ) -> dict[str, str]:
        """Deploys table stacks and returns the result of each. Raises NotTrue if one failed."""
        stacks = self.table_stacks(pipelines, changes)
        blocks.store(self.account, self.artifacts_bucket, {block for each in stacks for block in each.blocks.items()})
        outcomes = self.deployment(build).deploy_table_stacks(stacks)
        self.screen.taken()
        if failed := [f"{outcome.stack}: {outcome.reason}" for outcome in outcomes if outcome.failed]:
            raise NotTrue("; ".join(failed))
        return {outcome.stack: outcome.result for outcome in outcomes}

    # --------------------------------------------------------------------------------------------------------- exports

    def planned(self, name: str) -> plan.PlannedPipeline:
        return next(pipeline for pipeline in plan.ALL_PIPELINES if pipeline.name == name)

    def request(self, name: str, **changes: Any) -> str:
        """Requests an export and returns its id."""
        detail = json.loads(self.outputs(self.planned(name).stack)["ExportRequest"])
        detail |= {"request_id": f"acceptance-{uuid.uuid4().hex}", **changes}
        self.put_event("Export Requested", detail)
        return request_identity({"detail": detail})

    def put_event(self, detail_type: str, detail: dict[str, Any]) -> None:
        entry = {"EventBusName": COMMON_STACK, "Source": SOURCE, "DetailType": detail_type}
        [answer] = self.client("events").put_events(Entries=[entry | {"Detail": json.dumps(detail)}])["Entries"]
        if "ErrorCode" in answer:
            raise NotTrue(f"the bus did not accept {detail_type}: {answer}")

    def exports(self, name: str) -> list[Export]:
        """Returns the exports of a pipeline, newest first."""
        return self.system.records.exports(self.planned(name).pipeline, 100)

    def find(self, name: str, export_id: str) -> Export | None:
        return next((export for export in self.exports(name) if export.export_id == export_id), None)

    def new_export(self, name: str, known: set[str]) -> str:
        """Waits for an export whose id is not known, and returns its id."""

        def look() -> str | None:
            return next((export.export_id for export in self.exports(name) if export.export_id not in known), None)

        return self.wait_for(look, f"a new export of {name}")

    def in_stage(self, name: str, export_id: str, stage: Stage) -> Export:
        """Waits until an export is in a stage. Raises NotTrue if it has ended in another."""

        def look() -> Export | None:
            export = self.find(name, export_id)
            if export and export.ended and export.stage != stage:
                raise NotTrue(f"the export of {name} is {export.stage}, not {stage}: {export.reason}")
            return export if export and export.stage == stage else None

        return self.wait_for(look, f"the export {export_id} of {name} in stage {stage}")

    def ended(self, name: str, export_id: str, minutes: float = 30) -> Export:
        """Waits until an export has ended."""

        def look() -> Export | None:
            export = self.find(name, export_id)
            return export if export and export.ended else None

        export = self.wait_for(look, f"the end of export {export_id} of {name}", minutes)
        self.exported.append(export)
        return export

    def succeeded(self, name: str, export_id: str, minutes: float = 30) -> Export:
        export = self.ended(name, export_id, minutes)
        if export.stage != Stage.SUCCEEDED:
            raise NotTrue(f"the export of {name} is {export.stage} at {export.failed_stage}: {export.reason}")
        return export

    def export(self, name: str, **changes: Any) -> Export:
        """Exports a table and returns the export when it has succeeded."""
        return self.succeeded(name, self.request(name, **changes))

    def request_first_exports(self) -> None:
        """Requests the first export of each pipeline, so that they run at the same time."""
        for pipeline in plan.PIPELINES:
            with suppress(NotTrue):  # first_export raises it again
                self.once(f"request of {pipeline.name}", lambda name=pipeline.name: self.request(name))

    def first_export(self, name: str) -> Export:
        export_id = self.once(f"request of {name}", lambda: self.request(name))
        return self.once(f"first export of {name}", lambda: self.succeeded(name, export_id))

    # ----------------------------------------------------------------------------------------------- catalog and Athena

    @property
    def database(self) -> str:
        return self.common["DatabaseName"]

    @property
    def bucket(self) -> str:
        return self.common["BucketName"]

    def query(self, sql: str) -> list[dict[str, str | None]]:
        """Runs a query in the workgroup primary and returns its rows."""
        athena = self.client("athena")
        query = athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": self.database},
            ResultConfiguration={"OutputLocation": f"s3://{self.bucket}/query-results/"},
        )["QueryExecutionId"]

        def look() -> dict[str, Any] | None:
            status = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
            return None if status["State"] in ("QUEUED", "RUNNING") else status

        deadline, pause = time.monotonic() + 600, 0.1
        while (status := look()) is None and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(1.5 * pause, 2.0)
        if status is None or status["State"] != "SUCCEEDED":
            raise NotTrue(f"{sql[:300]}: {status}")
        rows: list[list[str | None]] = []
        for page in athena.get_paginator("get_query_results").paginate(QueryExecutionId=query):
            rows += [[value.get("VarCharValue") for value in row["Data"]] for row in page["ResultSet"]["Rows"]]
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]

    def columns(self, snapshot_table: str) -> dict[str, str]:
        """Returns the columns of a table of the catalog, with their types."""
        found = self.client("glue").get_table(DatabaseName=self.database, Name=snapshot_table)["Table"]
        return {column["Name"]: column["Type"] for column in found["StorageDescriptor"]["Columns"]}

    def partitions(self, snapshot_table: str) -> list[str]:
        pages = self.client("glue").get_paginator("get_partitions")
        found = pages.paginate(DatabaseName=self.database, TableName=snapshot_table)
        return sorted(partition["Values"][0] for page in found for partition in page["Partitions"])

    def keys(self, prefix: str) -> list[str]:
        """Returns the keys of the bucket that begin with the prefix."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    # ----------------------------------------------------------------------------------------------------------- queues

    def queue_url(self, name: str) -> str:
        return self.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]

    def messages(self, queue: str, **options: Any) -> list[dict[str, Any]]:
        """Receives up to ten messages of a queue, and leaves them there."""
        found = self.client("sqs").receive_message(
            QueueUrl=self.queue_url(queue),
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
            **options,
        )
        return found.get("Messages", [])

    def drain(self, queue: str) -> list[str]:
        """Returns the bodies of all messages that the queue ever had. Deletes them from the queue."""
        kept = self.once(f"messages of {queue}", list[str])
        while found := self.messages(queue):
            kept += [message["Body"] for message in found]
            entries = [{"Id": each["MessageId"], "ReceiptHandle": each["ReceiptHandle"]} for each in found]
            self.client("sqs").delete_message_batch(QueueUrl=self.queue_url(queue), Entries=entries)
        return kept

    # ----------------------------------------------------------------------------------------------------------- alarms

    def alarm_states(self) -> dict[str, str]:
        pages = self.client("cloudwatch").get_paginator("describe_alarms")
        found = pages.paginate(AlarmNamePrefix=f"{COMMON_STACK}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        return {
            alarm["AlarmName"]: alarm["StateValue"]
            for page in found
            for alarm in [*page.get("MetricAlarms", []), *page.get("CompositeAlarms", [])]
        }

    def notifications(self) -> list[dict[str, Any]]:
        """Returns the messages of the alarms' topic that a subscriber has received so far."""
        return [json.loads(body) for body in self.drain(ALARM_QUEUE)]

    def reconcile(self) -> None:
        """Runs the reconciler now, as its schedule does every few minutes, and waits for its end."""
        self.client("lambda").invoke(FunctionName=f"{COMMON_STACK}-reconcile_exports")


ALARM_QUEUE = f"{plan.PREFIX}-alarms"
EVENT_QUEUE = f"{plan.PREFIX}-events"


def artifacts_bucket(account: Account) -> str:
    return f"{plan.PREFIX}-{account.id}-{account.region}"
