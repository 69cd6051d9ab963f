"""The public events of an export's life: the extension point. Their schemas are in `table_exports/schemas`."""

import re
from dataclasses import dataclass
from typing import Any

from table_exports.domain.export import Export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.request import NAME
from table_exports.domain.stages import Stage, events_between

SOURCE = "table-exports"


@dataclass(frozen=True, slots=True)
class PublicEvent:
    detail_type: str
    detail: dict[str, Any]


def of_change(before: Export | None, after: Export) -> list[PublicEvent]:
    """Return the events to publish when a state record changed from `before` to `after`."""
    if before is None:
        return []
    return [_event(detail_type, after) for detail_type in events_between(before.stage, after.stage)]


def request_skipped(pipeline: Pipeline, export_id: str) -> PublicEvent:
    """Return the event for a request that found another export of its pipeline in flight."""
    return PublicEvent(
        "Export Skipped",
        {
            "version": "1",
            "pipeline": pipeline.pipeline,
            "table_name": pipeline.table_name,
            "export_id": export_id,
            "reason": f"{pipeline.export_in_flight} is in flight: a pipeline has one export at a time",
        },
    )


def request_rejected(event: Any, reason: str) -> PublicEvent:
    """Return the event for an invalid request, which never became an export. It repeats the names that are valid."""
    detail = event.get("detail") if isinstance(event, dict) else None
    names = {
        name: detail[name]
        for name in ("pipeline", "table_name")
        if isinstance(detail, dict) and isinstance(detail.get(name), str) and re.fullmatch(NAME, detail[name])
    }
    return PublicEvent("Export Failed", {"version": "1", **names, "stage": Stage.STARTING, "reason": reason})


def _event(detail_type: str, export: Export) -> PublicEvent:
    identity = {
        "version": "1",
        "pipeline": export.pipeline,
        "table_name": export.table_name,
        "export_id": export.export_id,
        "snapshot_timestamp": export.snapshot_timestamp,
    }
    return PublicEvent(detail_type, identity | _specific_to(detail_type, export))


def _specific_to(detail_type: str, export: Export) -> dict[str, Any]:
    match detail_type:
        case "Export Started" if export.stage == Stage.STAGING:
            return {"read_mode": export.read_mode, "table_export_arn": export.awaited_id}
        case "Export Started":
            run = {"glue_job_name": export.glue_job_name, "glue_job_run_id": export.awaited_id}
            return {"read_mode": export.read_mode, **run}
        case "Snapshot Written":
            return {"location": export.snapshot_location, **_written(export)}
        case "Snapshot Cataloged":
            return {"snapshot_table": export.snapshot_table}
        case "Export Succeeded":
            return {"view": export.catalog_name, **_written(export)}
        case "Export Failed":
            return {"stage": export.failed_stage, "reason": export.reason}
    raise ValueError(f"There is no event {detail_type}")


def _written(export: Export) -> dict[str, Any]:
    warning = {"warning": export.warning} if export.warning else {}
    return {"items": export.items, "files": export.files, "bytes": export.bytes, **warning}
