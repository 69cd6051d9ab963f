"""The overview of all pipelines, read from their records."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from table_exports.aws.records import Records
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.reports.overview import Overview, overview

T = TypeVar("T")


def overview_of(records: Records, now: datetime) -> Overview:
    """Read the overview from two sparse indexes. An invalid record does not hide the others."""
    pipelines, invalid_heads = readable(records.pipelines())
    exports, invalid_exports = readable(records.in_flight())
    known = {(export.pipeline, export.record_key) for export in exports}
    known |= {(record.pipeline, record.record) for record in invalid_exports}
    for pipeline in pipelines:
        holder = (pipeline.pipeline, pipeline.export_in_flight or "")
        if pipeline.export_in_flight and holder not in known:  # the index lags, or someone edited the record
            try:
                export = records.export(*holder)
            except InvalidRecord as error:
                invalid_exports.append(error)
            else:
                exports += [export] if export and not export.ended else []
    return overview(pipelines, exports, now, [*invalid_heads, *invalid_exports])


def readable(found: Iterable[T | InvalidRecord]) -> tuple[list[T], list[InvalidRecord]]:
    """Return what could be parsed, and what could not."""
    parsed, invalid = list[T](), list[InvalidRecord]()
    for each in found:
        if isinstance(each, InvalidRecord):
            invalid.append(each)
        else:
            parsed.append(each)
    return parsed, invalid
