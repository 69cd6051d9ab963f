"""A pipeline, an export and a request with usual values, of which a test changes those that it is about."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from table_exports.domain.export import Export
from table_exports.domain.manifest import Column, Manifest, Section
from table_exports.domain.pipeline import End, Pipeline
from table_exports.domain.reading import GB, Table
from table_exports.domain.stages import Stage

ACCOUNT, REGION = "123456789012", "us-east-1"
NOW = datetime(2026, 11, 23, 2, 8, 10, tzinfo=UTC)


def a_pipeline(**changes: Any) -> Pipeline:
    usual = {
        "pipeline": "reviews-parquet",
        "stack_id": "arn:aws:cloudformation:us-east-1:123456789012:stack/reviews/1",
        "table_name": "Reviews",
        "catalog_name": "reviews",
        "output_format": "parquet",
        "output_prefix": "s3://bucket/exports/snapshots_reviews",
        "glue_job_name": "table-exports-reviews-parquet",
        "crawler_name": "table-exports-reviews-parquet",
        "timeout_minutes": 480,
        "table_role_arn": "arn:aws:iam::123456789012:role/table-exports/reviews-TableRole",
    }
    return Pipeline(**usual | changes)


def a_table(**changes: Any) -> Table:
    """One GB on demand, which may be read at 3,000 units per second: a scan is the cheaper way."""
    usual = {"bytes": GB, "on_demand": True, "read_units": 12_000, "point_in_time_recovery": True}
    return Table(**usual | changes)


def an_export(**changes: Any) -> Export:
    usual = {
        "pipeline": "reviews-parquet",
        "export_id": "e1",
        "snapshot_timestamp": "2026-11-23T02-00-07Z",
        "stage": Stage.STARTING,
        "requested_at": datetime(2026, 11, 23, 2, 0, 7, tzinfo=UTC),
        "timeout_minutes": 480,
        "waiting_on": "export-request/e1",
        "waiting_since": datetime(2026, 11, 23, 2, 0, 7, 654321, tzinfo=UTC),
        "table_name": "Reviews",
        "catalog_name": "reviews",
        "read_percentage": Decimal("0.25"),
        "output_format": "parquet",
        "output_prefix": "s3://bucket/exports/snapshots_reviews",
        "glue_job_name": "table-exports-reviews-parquet",
        "crawler_name": "table-exports-reviews-parquet",
    }
    if changes.get("stage") in (Stage.SUCCEEDED, Stage.FAILED):
        usual |= {"waiting_on": None, "waiting_since": None, "ended_at": NOW}
    return Export(**usual | changes)


def a_manifest(*columns: tuple[str, ...], **changes: Any) -> Manifest:
    """`columns` are name, type and, where it is not the name, attribute."""
    usual = {
        "export_id": "e1",
        "snapshot_timestamp": "2026-11-23T02-00-07Z",
        "output_format": "parquet",
        "items_counted": 2,
        "items_written": 2,
        "items_expected": 2,
        "files": 1,
        "bytes": 1234,
        "columns": tuple(
            Column(name, kind, attribute[0] if attribute else name)
            for name, kind, *attribute in columns or [("asin", "string"), ("stars", "bigint")]
        ),
        "comments": {},
        "serde_parameters": {},
        "hot_share": None,
    }
    return Manifest(**usual | changes)


def a_section(name: str, *columns: tuple[str, str], items: int = 1, **changes: Any) -> Section:
    """The section of an entity of `a_pipeline`. If its name is that of the pipeline, of the table of all items."""
    wide = name == "reviews"
    folder = "snapshots_reviews" if wide else f"entities_reviews/{name}"
    usual = {
        "name": name,
        "value": None if wide else name.removeprefix("reviews_"),
        "wide": wide,
        "location": f"s3://bucket/exports/{folder}/snapshot_timestamp=2026-11-23T02-00-07Z/",
        "items_written": items,
        "files": 1 if items else 0,
        "bytes": 100 * items,
        "columns": tuple(Column(column, kind, column) for column, kind in columns or [("asin", "string")]),
        "comments": {},
        "serde_parameters": {},
        "view_names": {},
        "not_converted": {},
    }
    return Section(**usual | changes)


def a_manifest_of(*sections: Section, **changes: Any) -> Manifest:
    """The manifest of a snapshot with entities."""
    items = sum(section.items_written for section in sections if not section.wide)
    usual = {
        "items_counted": items,
        "items_written": items,
        "items_expected": items,
        "files": sum(section.files for section in sections),
        "bytes": sum(section.bytes for section in sections),
        "columns": (),
        "entities": tuple(sorted(sections, key=lambda section: section.name)),
    }
    return replace(a_manifest(), **usual | changes)


def manifest_json(manifest: Manifest) -> str:
    """The manifest as the job writes it."""
    content = {"version": 2, **asdict(manifest)}
    if not manifest.entities:
        del content["entities"], content["items_omitted"]
    return json.dumps(content)


def a_request(**changes: Any) -> dict[str, Any]:
    """An `Export Requested`, as Scheduler puts it on the bus. A change to `...` takes the field out."""
    detail = {
        "pipeline": "reviews-parquet",
        "table_name": "Reviews",
        "read_percentage": 0.25,
        "output_prefix": "s3://bucket/exports/snapshots_reviews",
        "output_format": "parquet",
        "glue_job_name": "table-exports-reviews-parquet",
        "crawler_name": "table-exports-reviews-parquet",
        "scheduled_time": "2026-11-23T02:00:00Z",
    }
    return an_event_of_ours(detail | changes)


def a_resumption(export_id: str = "e1", **changes: Any) -> dict[str, Any]:
    """An `Export Requested` for an export that is to go on."""
    return an_event_of_ours({"pipeline": "reviews-parquet", "resume_export_id": export_id} | changes)


def an_event_of_ours(detail: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "event-1",
        "source": "table-exports",
        "detail-type": "Export Requested",
        "account": ACCOUNT,
        "region": REGION,
        "detail": {name: value for name, value in detail.items() if value is not ...},
    }


def ends(*seconds: int, last: Stage = Stage.SUCCEEDED) -> tuple[End, ...]:
    """Of successes that took so long, and of the last to end."""
    return tuple(
        End(
            export_id=f"e{n}",
            snapshot_timestamp="2026-11-23T02-00-07Z",
            stage=last if n == len(seconds) else Stage.SUCCEEDED,
            ended_at=NOW,
            seconds=took,
        )
        for n, took in enumerate(seconds, 1)
    )
