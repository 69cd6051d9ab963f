"""Names in the catalog, each of which one pipeline holds: for itself, or for an entity."""

from collections.abc import Sequence
from dataclasses import replace

from table_exports.aws.cloud import Cloud
from table_exports.aws.records import NAMES_AT_ONCE
from table_exports.domain.errors import PermanentError, RetryableError
from table_exports.domain.export import Export
from table_exports.domain.pipeline import Pipeline
from table_exports.functions.telemetry import logger

NAMES_IN_LOG = 3


def free(name: str, holder: str, stack_id: str, wanted_by: Pipeline, cloud: Cloud) -> bool:
    """Free a name that a stack holds which no longer exists. False if it does exist.

    A stack can disappear without an event, for example if its custom resource was retained.
    """
    if stack_id == wanted_by.stack_id or not cloud.stacks.is_gone(stack_id):
        return False
    logger.warning("The stack that held the catalog name is gone", extra={"holder": holder, "stack_id": stack_id})
    cloud.records.unregister(holder, stack_id, name)
    return True


def claim_entities(export: Export, names: Sequence[str], pipeline: Pipeline, cloud: Cloud) -> Pipeline:
    """Claim those of the names that are new, and return the pipeline with them.

    Raises RetryableError if a name has been taken, or the pipeline has changed, since they were read.
    """
    new = [name for name in names if name not in pipeline.entities]
    for start in range(0, len(new), NAMES_AT_ONCE):
        some = tuple(new[start : start + NAMES_AT_ONCE])
        if not cloud.records.claim_entities(export, pipeline, some):
            raise RetryableError(f"A name of an entity, or the record of {pipeline.pipeline}, has just changed")
        logger.info("Names of entities claimed", extra={"names": len(some), "first_names": some[:NAMES_IN_LOG]})
        pipeline = replace(pipeline, entities=(*pipeline.entities, *some), new_entities=(*pipeline.new_entities, *some))
    return pipeline


def ensure_not_taken(export: Export, name: str, pipeline: Pipeline, cloud: Cloud) -> None:
    """Raise PermanentError if another pipeline holds the name of an entity, and its stack exists."""
    holder = cloud.records.holder(name)
    if holder in (None, (pipeline.pipeline, pipeline.stack_id)) or free(name, *holder, pipeline, cloud):
        return
    held_by, stack_id = holder
    raise PermanentError(
        f"{name}, the name of an entity, is taken by the pipeline {held_by} in stack {stack_id}. Delete that stack or "
        "deploy it with another CatalogName, then resume the export. Or delete this snapshot, which keeps the name: "
        f"{delete_snapshot(export)}. Then give the type another `name` in Entities, and request a new export"
    )


def delete_snapshot(export: Export) -> str:
    """Return the commands that delete a snapshot with entities that was never published."""
    folders = export.output_prefix.rpartition("/")[0]
    return (
        f'aws s3 rm {folders}/ --recursive --exclude "*" '
        f'--include "entities_{export.catalog_name}/*/snapshot_timestamp={export.snapshot_timestamp}/*" '
        f'--include "snapshots_{export.catalog_name}/snapshot_timestamp={export.snapshot_timestamp}/*" '
        f'--include "manifests_{export.catalog_name}/{export.snapshot_timestamp}.json"'
    )
