"""The overview of all pipelines, read from their records."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from table_exports.aws.records import Records, export_of, pipeline_of
from table_exports.domain.reports.overview import Overview, overview


def overview_of(records: Records, now: datetime) -> Overview:
    """Read the overview from two sparse indexes. A record that cannot be parsed does not hide the others."""
    pipelines, odd_heads = readable(records.pipelines(), pipeline_of)
    exports, odd_exports = readable(records.in_flight(), export_of)
    return overview(pipelines, exports, now, [*odd_heads, *odd_exports])


def readable(items: Iterable[dict[str, Any]], read: Callable[[dict[str, Any]], Any]) -> tuple[list[Any], list[str]]:
    """Return what could be parsed, and the pipelines of records that a newer version of this package wrote."""
    found, odd = [], []
    for item in items:
        try:
            found.append(read(item))
        except (TypeError, ValueError):
            odd.append(item["pipeline"])
    return found, odd
