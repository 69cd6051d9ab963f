"""The facts of an export's life that we publish: the extension point. Their schemas lie in `table_exports/schemas`."""

import re
from dataclasses import dataclass
from typing import Any

from table_exports.domain.export import Export, Stage
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.request import NAME

SOURCE = "table-exports"


@dataclass(frozen=True, slots=True)
class Fact:
    detail_type: str
    detail: dict[str, Any]


def of_change(before: Export | None, after: Export) -> list[Fact]:
    """What became true when a state record turned from `before` to `after`."""
    if before is None or before.stage == after.stage:
        return []
    match after.stage:
        case Stage.STAGING | Stage.EXPORTING if before.stage == Stage.STARTING:
            return [_fact("Export Started", after, read_mode=after.read_mode, **_started(after))]
        case Stage.CATALOGING:
            return [_snapshot_written(after)]
        case Stage.PUBLISHING:
            cataloged = _fact("Snapshot Cataloged", after, snapshot_table=after.snapshot_table)
            return [_snapshot_written(after), cataloged] if before.stage == Stage.EXPORTING else [cataloged]
        case Stage.SUCCEEDED:
            return [_fact("Export Succeeded", after, view=after.catalog_name, **_written(after))]
        case Stage.FAILED:
            return [_fact("Export Failed", after, stage=after.failed_stage, reason=after.reason)]
    return []


def skipped(pipeline: Pipeline, export_id: str) -> Fact:
    """What was asked for is not done: the pipeline is at another export."""
    return Fact(
        "Export Skipped",
        {
            "version": "1",
            "pipeline": pipeline.pipeline,
            "table_name": pipeline.table_name,
            "export_id": export_id,
            "reason": f"{pipeline.export_in_flight} is in flight: a pipeline has one export at a time",
        },
    )


def refused(event: Any, reason: str) -> Fact:
    """A bad request, of which no export came. It is named as far as it named itself."""
    asked = event.get("detail") if isinstance(event, dict) else None
    named = {
        name: asked[name]
        for name in ("pipeline", "table_name")
        if isinstance(asked, dict) and isinstance(asked.get(name), str) and re.fullmatch(NAME, asked[name])
    }
    return Fact("Export Failed", {"version": "1", **named, "stage": Stage.STARTING, "reason": reason})


def _fact(detail_type: str, export: Export, **more: Any) -> Fact:
    return Fact(
        detail_type,
        {
            "version": "1",
            "pipeline": export.pipeline,
            "table_name": export.table_name,
            "export_id": export.export_id,
            "snapshot_timestamp": export.snapshot_timestamp,
            **more,
        },
    )


def _started(export: Export) -> dict[str, Any]:
    if export.stage == Stage.STAGING:
        return {"table_export_arn": export.awaited_id}
    return {"glue_job_name": export.glue_job_name, "glue_job_run_id": export.awaited_id}


def _snapshot_written(export: Export) -> Fact:
    return _fact("Snapshot Written", export, location=export.snapshot_location, **_written(export))


def _written(export: Export) -> dict[str, Any]:
    warning = {"warning": export.warning} if export.warning else {}
    return {"items": export.items, "files": export.files, "bytes": export.bytes, **warning}
