"""The public events of an export's life: the extension point. Their schemas are in `table_exports/schemas`."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from table_exports.domain.errors import InvalidEvent
from table_exports.domain.export import Export
from table_exports.domain.foreign import preview
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.request import NAME
from table_exports.domain.stages import Stage, events_between

SOURCE = "table-exports"


@dataclass(frozen=True, slots=True)
class PublicEvent:
    detail_type: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSucceeded:
    """The event Export Succeeded, as a service of our own receives it."""

    detail_type: ClassVar[str] = "Export Succeeded"
    stage: ClassVar[Stage] = Stage.SUCCEEDED

    pipeline: str
    export_id: str

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        """Raises InvalidEvent."""
        detail = event.get("detail")
        if not isinstance(detail, dict):
            raise InvalidEvent("detail", f"is {preview(detail)}: it must be that of the event Export Succeeded")
        for name in ("pipeline", "export_id"):
            value = detail.get(name)
            if not isinstance(value, str) or not re.fullmatch(NAME, value):
                raise InvalidEvent(
                    f"detail.{name}", f"is {preview(value)}: it must be as in the event Export Succeeded"
                )
        return cls(pipeline=detail["pipeline"], export_id=detail["export_id"])


def of_change(before: Export | None, after: Export) -> list[PublicEvent]:
    """Return the events to publish when a state record changed from `before` to `after`.

    If it is unknown how the export was before, only its failure is published.
    """
    if before is None:
        return [_event("Export Failed", after)] if after.stage == Stage.FAILED else []
    events = [_event(detail_type, after) for detail_type in events_between(before.stage, after.stage)]
    return [*events, *entities_appeared(after)] if before.stage != after.stage else events


def entities_appeared(export: Export) -> list[PublicEvent]:
    """Return an event for each entity that a successful export is the first one to publish."""
    if export.stage != Stage.SUCCEEDED:
        return []
    return [
        PublicEvent(
            "Entity Appeared",
            {**_identity(export), "entity": entity.name, "value": entity.value, "items": entity.items},
        )
        for entity in export.entities
        if entity.name in export.appeared
    ]


def request_skipped(pipeline: Pipeline, export_id: str) -> PublicEvent:
    """Return the event for a request that found another export of its pipeline in flight."""
    return PublicEvent(
        "Export Skipped",
        {
            "version": "1",
            "pipeline": pipeline.pipeline,
            "table_name": pipeline.table_name,
            "export_id": export_id,
            "reason": f"Export {pipeline.export_id_in_flight} of the pipeline is already running",
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
    return PublicEvent(detail_type, _identity(export) | _specific_to(detail_type, export))


def _identity(export: Export) -> dict[str, Any]:
    return {
        "version": "1",
        "pipeline": export.pipeline,
        "table_name": export.table_name,
        "export_id": export.export_id,
        "snapshot_timestamp": export.snapshot_timestamp,
    }


def _specific_to(detail_type: str, export: Export) -> dict[str, Any]:
    match detail_type:
        case "Export Started" if export.stage == Stage.STAGING:
            return {"read_mode": export.read_mode, "table_export_arn": export.awaited_id}
        case "Export Started":
            run = {"glue_job_name": export.glue_job_name, "glue_job_run_id": export.awaited_id}
            return {"read_mode": export.read_mode, **run}
        case "Snapshot Written":
            return _of_all_items(export, location=export.snapshot_location) | _written(export)
        case "Snapshot Cataloged":
            return _of_all_items(export, snapshot_table=export.snapshot_table)
        case "Export Succeeded":
            return _of_all_items(export, view=export.catalog_name) | _written(export)
        case "Export Failed":
            return {"stage": export.failed_stage, "reason": export.reason}
    raise ValueError(f"There is no event {detail_type}")


def _of_all_items(export: Export, **names: str) -> dict[str, Any]:
    """Return names of the table of all items. A pipeline that has only entities has no such table."""
    return {} if export.wide is False else names


def _written(export: Export) -> dict[str, Any]:
    warning = {"warning": export.warning} if export.warning else {}
    counts = {each.attribute: each.values for each in export.not_converted}
    not_converted = {"not_converted": counts} if counts else {}
    entities = [{"name": entity.name, "items": entity.items} for entity in export.entities]
    return {
        "items": export.items,
        "files": export.files,
        "bytes": export.bytes,
        **warning,
        **not_converted,
        **({"entities": entities} if entities else {}),
    }
