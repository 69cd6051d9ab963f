"""What is deployed in an account and Region, as AWS describes it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

from table_exports.aws.bucket_owner import expect_owner
from table_exports.aws.overviews import readable
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.pipeline import End, Pipeline
from table_exports.domain.reports.overview import Cataloged
from table_exports.domain.stages import Stage
from table_exports_cli.system import NAME, System

LATEST = 20  # exports of a pipeline whose records are checked
AT_ONCE = 8  # concurrent calls, if a check makes one per pipeline
BUSES = (NAME, "default")
T = TypeVar("T")


class CannotTell(Exception):
    """A check cannot be made. The message says why."""


class Deployed:
    """What is deployed. Each part is read once, all pages of it."""

    def __init__(self, system: System) -> None:
        self.client = system.client
        self._records = system.records
        self.pipelines, self._invalid_heads = readable(system.records.pipelines())
        self.pipelines.sort(key=lambda pipeline: pipeline.pipeline)

    @cached_property
    def stacks(self) -> dict[str, dict[str, Any]]:
        """The stacks that exist, by id."""
        return {stack["StackId"]: stack for stack in self._all("cloudformation", "describe_stacks", "Stacks")}

    @cached_property
    def common(self) -> dict[str, Any] | None:
        return next((stack for stack in self.stacks.values() if stack["StackName"] == NAME), None)

    @cached_property
    def s3(self) -> Any:
        """The client of S3. A bucket that belongs to another account by now is refused."""
        return expect_owner(self.client("s3"), self.common["StackId"].split(":")[4] if self.common else "")

    def output(self, key: str) -> str:
        """Return an output of the common stack."""
        for found in (self.common or {}).get("Outputs", []):
            if found["OutputKey"] == key:
                return found["OutputValue"]
        raise CannotTell(f"there is no stack {NAME} with the output {key}")

    @cached_property
    def artifacts(self) -> tuple[str, str]:
        """The bucket and the folder of the artifacts of the common stack's version."""
        given = _parameters(self.common or {})
        try:
            return given["ArtifactsBucket"], given["ArtifactsPrefix"]
        except KeyError as error:
            raise CannotTell(f"there is no stack {NAME} with the parameter {error}") from error

    @cached_property
    def catalog(self) -> dict[str, dict[str, Any]]:
        """The views and tables of the Glue database, by name. Empty if there is no database."""
        try:
            found = self._all("glue", "get_tables", "TableList", DatabaseName=self.output("DatabaseName"))
        except self.client("glue").exceptions.EntityNotFoundException:
            return {}
        return {table["Name"]: table for table in found}

    @cached_property
    def cataloged(self) -> Cataloged:
        """What the catalog has, and which snapshots its views show."""
        return Cataloged.of(self.catalog.values(), self.output("DatabaseName"))

    @cached_property
    def resources(self) -> list[dict[str, Any]]:
        """The resources of the common stack."""
        if self.common is None:
            raise CannotTell(f"there is no stack {NAME}")
        return self._all("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=NAME)

    def names(self, kind: str) -> list[str]:
        """Return the names of the common stack's resources whose type ends with `kind`."""
        found = [each for each in self.resources if each["ResourceType"].endswith(kind)]
        return [each["PhysicalResourceId"].rpartition("|")[2] for each in found if each.get("PhysicalResourceId")]

    def named(self, logical_id: str) -> str:
        """Return the physical id of a resource of the common stack."""
        for each in self.resources:
            if each["LogicalResourceId"] == logical_id and each.get("PhysicalResourceId"):
                return each["PhysicalResourceId"]
        raise CannotTell(f"the stack {NAME} has no {logical_id}: make deploy")

    @cached_property
    def rules(self) -> list[tuple[str, dict[str, Any]]]:
        """The rules with our prefix, each with its bus."""
        return [
            (bus, rule)
            for bus in BUSES
            for rule in self._all("events", "list_rules", "Rules", EventBusName=bus, NamePrefix=f"{NAME}-")
        ]

    @cached_property
    def schedules(self) -> dict[str, str]:
        """The state of each schedule, by name."""
        found = self._all("scheduler", "list_schedules", "Schedules")
        return {schedule["Name"]: schedule["State"] for schedule in found}

    @cached_property
    def jobs(self) -> dict[str, dict[str, Any]]:
        return {job["Name"]: job for job in self._all("glue", "get_jobs", "Jobs")}

    @cached_property
    def crawlers(self) -> dict[str, dict[str, Any]]:
        return {crawler["Name"]: crawler for crawler in self._all("glue", "get_crawlers", "Crawlers")}

    @cached_property
    def alarms(self) -> dict[str, dict[str, Any]]:
        pages = self.client("cloudwatch").get_paginator("describe_alarms")
        found = pages.paginate(AlarmNamePrefix=f"{NAME}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        return {
            alarm["AlarmName"]: alarm
            for page in found
            for alarm in [*page.get("MetricAlarms", []), *page.get("CompositeAlarms", [])]
        }

    @cached_property
    def invalid_records(self) -> list[InvalidRecord]:
        """The invalid records of pipelines, of exports in flight, and of each pipeline's latest exports."""
        of_exports = self.of_each_pipeline(lambda pipeline: self._records.exports(pipeline.pipeline, LATEST))
        latest = (record for exports in of_exports for record in readable(exports)[1])
        in_flight = readable(self._records.in_flight())[1]
        found = {(record.pipeline, record.record): record for record in [*in_flight, *latest]}
        return [*self._invalid_heads, *found.values()]

    @property
    def unregistered_stacks(self) -> list[str]:
        """The names of complete table stacks whose pipeline has no record."""
        known = {pipeline.stack_id for pipeline in self.pipelines}
        invalid = {record.pipeline for record in self._invalid_heads}
        found = []
        for stack in self.stacks.values():
            outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
            complete = stack["StackStatus"].endswith("_COMPLETE") and "ExportRequest" in outputs
            if complete and stack["StackId"] not in known and outputs["Pipeline"] not in invalid:
                found.append(stack["StackName"])
        return sorted(found)

    def may_resume(self, pipeline: Pipeline, end: End) -> bool:
        """Return whether a failed export can be resumed. Its record may have expired."""
        try:
            export = self._records.export(pipeline.pipeline, end.record_key)
        except InvalidRecord:
            return False
        return (
            export is not None
            and export.stage == Stage.FAILED
            and not pipeline.export_in_flight
            and pipeline.why_not_resume(export) is None
        )

    @cached_property
    def holders(self) -> dict[str, tuple[str, str]]:
        """For each catalog name that is held: the pipeline that holds it, and the id of its stack."""
        return self._records.holders()

    @cached_property
    def vanished_holders(self) -> list[str]:
        """The pipelines that hold a catalog name for a stack that is gone, and are not registered themselves."""
        registered = {pipeline.pipeline for pipeline in self.pipelines}
        holders = set(self.holders.values())
        return sorted(name for name, stack in holders if not {name, stack} & {*registered, *self.stacks})

    def outputs(self, pipeline: Pipeline) -> dict[str, str]:
        """Return the outputs of the pipeline's table stack."""
        stack = self.stacks.get(pipeline.stack_id, {})
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def parameter(self, pipeline: Pipeline, name: str) -> str:
        """Return a parameter of the pipeline's table stack. Empty if a stack of an earlier version has none."""
        return _parameters(self.stacks.get(pipeline.stack_id, {})).get(name, "")

    def of_each_pipeline(self, look: Callable[[Pipeline], T]) -> Iterator[T]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(look, self.pipelines)

    def _all(self, service: str, operation: str, key: str, **given: Any) -> list[dict[str, Any]]:
        pages = self.client(service).get_paginator(operation).paginate(**given)
        return [each for page in pages for each in page[key]]


def _parameters(stack: dict[str, Any]) -> dict[str, str]:
    return {each["ParameterKey"]: each.get("ParameterValue", "") for each in stack.get("Parameters", [])}
