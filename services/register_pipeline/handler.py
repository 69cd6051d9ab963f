"""A table stack was created, changed or deleted: register its pipeline, or refuse the stack with a reason.

A CloudFormation custom resource, for what CloudFormation cannot say itself: catalog names are lower case, and are
one pipeline's alone, so that a folder has one format. Its attributes name the pipeline, its Glue job and its folders.
"""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.request import Request, urlopen

from aws_lambda_powertools.utilities.typing import LambdaContext

from register_pipeline.schedule import longest_interval
from table_exports.aws.cloud import Cloud, the_cloud
from table_exports.domain import naming
from table_exports.domain.errors import InvalidRequest
from table_exports.domain.pipeline import Pipeline
from table_exports.telemetry import logger, tracer

DPUS = {"G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8}  # of one worker

# What a table stack of an earlier version does not say.
OLDER_STACKS = {
    "CatalogUpdate": "on-schema-change",
    "ReadMode": "auto",
    "MaxReadCost": "0",
    "WorkerType": "G.1X",
    "NumberOfWorkers": "2",
    "MaxAttempts": "2",
    "KeepSnapshots": "0",
    "TableRoleArn": "",
    "ScheduleState": "DISABLED",
    "ScheduleExpression": "",
    "StaleAfterHours": "0",
}


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
def handle(event: dict[str, Any], context: LambdaContext) -> None:
    """Always answers, because CloudFormation waits for an hour if nobody does."""
    try:
        answered = on_table_stack_changed(event, the_cloud(), datetime.now(UTC))
    except InvalidRequest as error:  # and what was refused for its name has nothing to delete
        answered = answer(event, "SUCCESS" if event["RequestType"] == "Delete" else "FAILED", reason=str(error))
    except Exception as error:
        logger.exception("Pipeline not registered")
        where = f"the log of {context.function_name}, request {context.aws_request_id}"
        answered = answer(event, "FAILED", reason=f"{error!r}: see {where}")
    tell_cloudformation(event, answered)


def on_table_stack_changed(event: dict[str, Any], cloud: Cloud, now: datetime) -> dict[str, Any]:
    """CloudFormation's answer. Raises InvalidRequest if the stack asks for what it cannot have."""
    pipeline = configured(event["ResourceProperties"], event["StackId"])
    if event["RequestType"] == "Delete":
        cloud.records.unregister(pipeline.pipeline, pipeline.stack_id)
        return answer(event, "SUCCESS")
    logger.append_keys(pipeline=pipeline.pipeline)
    pipeline = scheduled(pipeline, event["ResourceProperties"], cloud.records.pipeline(pipeline.pipeline), now)
    if not cloud.records.register(pipeline):
        raise refusal(pipeline, cloud.records.pipeline_of_catalog_name(pipeline.catalog_name, pipeline.stack_id))
    return answer(event, "SUCCESS", pipeline)


def refusal(pipeline: Pipeline, before: str | None) -> InvalidRequest:
    """`before` is the stack's own pipeline that has the name: one of another format, whose snapshots stay."""
    name = pipeline.catalog_name
    if before is None:
        return InvalidRequest(
            "CatalogName", f"{name} is taken by another stack: give this one a CatalogName of its own"
        )
    return InvalidRequest(
        "OutputFormat",
        f"{name} has {before.removeprefix(f'{name}-')}: deploy another table stack with a CatalogName of its own for "
        f"{pipeline.output_format}",
    )


def configured(properties: dict[str, str], stack_id: str) -> Pipeline:
    """The pipeline as the stack's parameters have it. Raises InvalidRequest for what cannot be."""
    given = OLDER_STACKS | properties
    percentage = number(properties, "ReadPercentage", r"[01]|[01]\.\d+", "a number as 0.25")
    cap = number(properties, "ReadCapacityCap", r"\d+(\.\d+)?", "a number as 100 or 0.5")
    catalog_name = naming.catalog_name(properties["TableName"], properties.get("CatalogName", ""))
    name = naming.pipeline_name(catalog_name, properties["OutputFormat"])
    return Pipeline(
        pipeline=name,
        stack_id=stack_id,
        table_name=properties["TableName"],
        catalog_name=catalog_name,
        output_format=properties["OutputFormat"],
        output_prefix=naming.output_prefix(properties["Bucket"], catalog_name),
        glue_job_name=naming.resource_name(name),
        crawler_name=naming.resource_name(name),
        catalog_update=given["CatalogUpdate"],
        keep_snapshots=int(number(given, "KeepSnapshots", r"\d+", "a whole number of snapshots, 0 for all")),
        timeout_minutes=int(number(properties, "TimeoutMinutes", r"\d+", "a whole number of minutes")),
        dpus=DPUS[given["WorkerType"]] * int(number(given, "NumberOfWorkers", r"\d+", "a whole number of workers")),
        read_mode=given["ReadMode"],
        read_percentage=Decimal(percentage),
        read_capacity_cap=Decimal(cap),
        max_attempts=int(number(given, "MaxAttempts", r"[1-9]\d*", "a whole number of attempts, 2 say")),
        max_read_cost=Decimal(number(given, "MaxReadCost", r"\d+(\.\d+)?", "an amount in USD as 5 or 0.5")),
        table_role_arn=given["TableRoleArn"],
    )


def scheduled(pipeline: Pipeline, properties: dict[str, str], before: Pipeline | None, now: datetime) -> Pipeline:
    """The pipeline with what its schedule lets one expect of it, from `now` on if that was not so `before`."""
    given = OLDER_STACKS | properties
    expression = given["ScheduleExpression"]
    stale_after = int(number(given, "StaleAfterHours", r"\d+", "a whole number of hours")) * 3600
    if given["ScheduleState"] != "ENABLED":
        return replace(pipeline, schedule_expression=expression, stale_after_seconds=stale_after)
    was_so = before is not None and before.scheduled and before.schedule_expression == expression
    return replace(
        pipeline,
        scheduled=True,
        schedule_expression=expression,
        scheduled_since=before.scheduled_since if was_so else now,
        interval_seconds=0 if stale_after else int(longest_interval(expression, now).total_seconds()),
        stale_after_seconds=stale_after,
    )


def number(properties: dict[str, str], name: str, form: str, what: str) -> str:
    """CloudFormation lets numbers through in forms that neither JSON nor a Glue argument may have, `.5` say."""
    if not re.fullmatch(form, properties[name]):
        raise InvalidRequest(name, f"is {properties[name]}: write {what}")
    return properties[name]


def answer(event: dict[str, Any], status: str, pipeline: Pipeline | None = None, reason: str = "") -> dict[str, Any]:
    """Shape: CloudFormation user guide, "Custom resource response objects". Another name is another resource."""
    unchanged = event.get("PhysicalResourceId", "not-registered")
    return {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": pipeline.pipeline if pipeline else unchanged,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
        "Data": attributes(pipeline) if pipeline else {},
    }


def attributes(pipeline: Pipeline) -> dict[str, str]:
    """What the table stack reads with Fn::GetAtt."""
    return {
        "CatalogName": pipeline.catalog_name,
        "JobName": pipeline.glue_job_name,
        "CrawlerName": pipeline.crawler_name,
        "OutputPrefix": pipeline.output_prefix,
        "SnapshotTable": naming.snapshot_table(pipeline.catalog_name),
    }


def tell_cloudformation(event: dict[str, Any], answered: dict[str, Any]) -> None:
    body = json.dumps(answered).encode()
    urlopen(Request(event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""}), timeout=10)
