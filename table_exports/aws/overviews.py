"""All pipelines at once, as their records tell it."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from table_exports.aws.records import Records, export_of, pipeline_of
from table_exports.domain.overview import Overview, overview


def overview_of(records: Records, now: datetime) -> Overview:
    """By two reads of sparse indexes, however many pipelines there are. What cannot be read hides no other."""
    pipelines, odd_heads = readable(records.pipelines(), pipeline_of)
    exports, odd_exports = readable(records.in_flight(), export_of)
    return overview(pipelines, exports, now, [*odd_heads, *odd_exports])


def readable(items: Iterable[dict[str, Any]], read: Callable[[dict[str, Any]], Any]) -> tuple[list[Any], list[str]]:
    """What was read; and the pipelines whose records were not, because a newer version of this package wrote them."""
    found, odd = [], []
    for item in items:
        try:
            found.append(read(item))
        except (TypeError, ValueError):
            odd.append(item["pipeline"])
    return found, odd
