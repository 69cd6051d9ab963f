"""A table stack was created, changed or deleted: register or remove its pipeline, or refuse the change with a reason.

This is a CloudFormation custom resource, for two rules that CloudFormation cannot check: catalog names are lower case,
and no two pipelines share one, so that a folder has one format. Its attributes are the names that follow from the
parameters.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.request import Request, urlopen

from aws_lambda_powertools.utilities.typing import LambdaContext

from register_pipeline.origin import verify
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain import naming, schedules
from table_exports.domain.errors import InvalidRecord, InvalidRequest
from table_exports.domain.parameters import DPUS, PARAMETERS
from table_exports.domain.pipeline import Pipeline
from table_exports.functions import claims
from table_exports.functions.telemetry import logger
from table_exports.functions.tracing import trace_handler

NOT_REGISTERED = "not-registered"  # the physical id of a resource whose creation was refused


@logger.inject_lambda_context(clear_state=True)
@trace_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    """Always answers, because CloudFormation would wait an hour for a missing answer."""
    try:
        response = on_table_stack_changed(event, the_cloud(), datetime.now(UTC))
    except InvalidRequest as error:
        logger.warning("Refused", extra={"reason": str(error), "stack_id": event["StackId"]})
        # A stack that was refused its name has nothing to delete.
        response = answer(event, "SUCCESS" if event["RequestType"] == "Delete" else "FAILED", reason=str(error))
    except Exception as error:
        logger.exception("Pipeline not registered")
        where = f"the log of {context.function_name}, request {context.aws_request_id}"
        response = answer(event, "FAILED", reason=f"{error!r}: see {where}")
    send_to_cloudformation(event, response)


def on_table_stack_changed(event: dict[str, Any], cloud: Cloud, now: datetime) -> dict[str, Any]:
    """Return the answer for CloudFormation. Raises InvalidRequest if the stack's parameters cannot be met."""
    unconfirmed = verify(event, cloud)
    if event["RequestType"] == "Delete":  # whatever the parameters are: this version might refuse them
        cloud.records.unregister(event.get("PhysicalResourceId", NOT_REGISTERED), event["StackId"])
        return answer(event, "SUCCESS")
    pipeline = configured(event["ResourceProperties"], event["StackId"])
    logger.append_keys(pipeline=pipeline.pipeline)
    before = registered(pipeline.pipeline, cloud)
    if unconfirmed:
        return left_as_it_is(event, pipeline, before, unconfirmed, cloud)
    pipeline = scheduled(pipeline, event["ResourceProperties"], before, now)
    if not cloud.records.register(pipeline):
        holder = cloud.records.holder(pipeline.catalog_name)
        if holder is None or not take_over(pipeline, *holder, cloud):
            raise refusal(pipeline, holder)
    return answer(event, "SUCCESS", pipeline)


def registered(name: str, cloud: Cloud) -> Pipeline | None:
    """Return the pipeline as it is registered. None if it is not, or its record is invalid: this replaces it."""
    try:
        return cloud.records.pipeline(name)
    except InvalidRecord:
        logger.warning("The record of the pipeline is invalid: it is replaced")
        return None


def left_as_it_is(
    event: dict[str, Any], restored: Pipeline, before: Pipeline | None, unconfirmed: list[str], cloud: Cloud
) -> dict[str, Any]:
    """Answer a rollback whose properties CloudFormation does not confirm: it succeeds, and deletes nothing.

    Whoever may invoke the function could have sent it. If it fails, so does a rollback that CloudFormation has sent. So
    nothing changes, except that the pipeline keeps as many snapshots as the event says, if that is more: the update
    that failed may have lowered KeepSnapshots.
    """
    if before is None or before.stack_id != event["StackId"]:
        reason = f"is not confirmed by CloudFormation, and its stack has no pipeline {restored.pipeline}"
        raise InvalidRequest(unconfirmed[0], reason)
    logger.warning("CloudFormation does not confirm this rollback", extra={"differs": unconfirmed})
    kept = replace(before, keep_snapshots=more_kept(restored, before))
    if kept != before:
        cloud.records.register(kept)
    return answer(event, "SUCCESS", kept)


def more_kept(one: Pipeline, other: Pipeline) -> int:
    """Return the KeepSnapshots of the pipeline that keeps more. 0 keeps all."""
    return 0 if 0 in (one.keep_snapshots, other.keep_snapshots) else max(one.keep_snapshots, other.keep_snapshots)


def take_over(pipeline: Pipeline, holder: str, stack_id: str, cloud: Cloud) -> bool:
    """Register the pipeline with the catalog name of a stack that no longer exists. False if it does exist."""
    return claims.free(pipeline.catalog_name, holder, stack_id, pipeline, cloud) and cloud.records.register(pipeline)


def refusal(pipeline: Pipeline, holder: tuple[str, str] | None) -> InvalidRequest:
    """Return why the catalog name is taken. `holder` is the pipeline that has it, and the id of its stack."""
    name = pipeline.catalog_name
    held_by, stack_id = holder or ("", "")
    if held_by and naming.catalog_name_of(held_by) != name:
        return InvalidRequest(
            "CatalogName",
            f"{name} is an entity of the pipeline {held_by}, in stack {stack_id}: give this stack a CatalogName of its "
            "own",
        )
    if stack_id != pipeline.stack_id:
        return InvalidRequest(
            "CatalogName",
            f"{name} is taken by another stack: give this one a CatalogName of its own. The other is {stack_id}",
        )
    return InvalidRequest(
        "OutputFormat",
        f"the snapshots of {name} are {held_by.removeprefix(f'{name}-')}. For {pipeline.output_format}, deploy another "
        "table stack with another CatalogName",
    )


def configured(properties: Mapping[str, str], stack_id: str) -> Pipeline:
    """Return the pipeline as the stack's parameters describe it. Raises InvalidRequest for an invalid value."""
    given = {name: parameter.value(properties) for name, parameter in PARAMETERS.items()}
    catalog_name = naming.catalog_name(given["TableName"], given["CatalogName"])
    name = naming.pipeline_name(catalog_name, given["OutputFormat"])
    return Pipeline(
        pipeline=name,
        stack_id=stack_id,
        table_name=given["TableName"],
        catalog_name=catalog_name,
        output_format=given["OutputFormat"],
        output_prefix=naming.output_prefix(properties["Bucket"], catalog_name),
        glue_job_name=naming.resource_name(name),
        crawler_name=naming.resource_name(name),
        catalog_update=given["CatalogUpdate"],
        keep_snapshots=int(given["KeepSnapshots"]),
        timeout_minutes=int(given["TimeoutMinutes"]),
        dpus=DPUS[given["WorkerType"]] * int(given["NumberOfWorkers"]),
        read_mode=given["ReadMode"],
        read_percentage=Decimal(given["ReadPercentage"]),
        read_capacity_cap=Decimal(given["ReadCapacityCap"]),
        max_attempts=int(given["MaxAttempts"]),
        max_read_cost=Decimal(given["MaxReadCost"]),
        table_role_arn=properties.get("TableRoleArn", ""),
    )


def scheduled(pipeline: Pipeline, properties: Mapping[str, str], before: Pipeline | None, now: datetime) -> Pipeline:
    """Return the pipeline with its schedule, which counts from `now` unless it is the same as `before`.

    Raises InvalidRequest if Scheduler would not accept the schedule.
    """
    pipeline = replace(
        pipeline,
        schedule_expression=PARAMETERS["ScheduleExpression"].value(properties),
        schedule_time_zone=properties.get("ScheduleTimezone", ""),
        stale_after_seconds=int(PARAMETERS["StaleAfterHours"].value(properties)) * 3600,
    )
    schedules.parse(pipeline.schedule_expression, pipeline.schedule_time_zone or "UTC")
    if PARAMETERS["ScheduleState"].value(properties) != "ENABLED":
        return pipeline
    unchanged = (
        before is not None
        and before.scheduled
        and before.schedule_expression == pipeline.schedule_expression
        and before.schedule_time_zone in ("", pipeline.schedule_time_zone)
    )
    return replace(pipeline, scheduled=True, scheduled_since=before.scheduled_since if before and unchanged else now)


def answer(event: dict[str, Any], status: str, pipeline: Pipeline | None = None, reason: str = "") -> dict[str, Any]:
    """Return an answer. Shape: CloudFormation user guide, "Custom resource response objects".

    The physical id is the pipeline's name, so that CloudFormation replaces the resource when the name changes.
    """
    unchanged = event.get("PhysicalResourceId", NOT_REGISTERED)
    return {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": pipeline.pipeline if pipeline else unchanged,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
        "Data": attributes(pipeline) if pipeline else {},
    }


def attributes(pipeline: Pipeline) -> dict[str, str]:
    """Return what the table stack reads with Fn::GetAtt."""
    return {
        "CatalogName": pipeline.catalog_name,
        "JobName": pipeline.glue_job_name,
        "CrawlerName": pipeline.crawler_name,
        "OutputPrefix": pipeline.output_prefix,
        "SnapshotTable": naming.snapshot_table(pipeline.catalog_name),
    }


def send_to_cloudformation(event: dict[str, Any], response: dict[str, Any]) -> None:
    body = json.dumps(response).encode()
    urlopen(Request(event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""}), timeout=10)
