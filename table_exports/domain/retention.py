"""Which snapshots a pipeline keeps: the newest ones, the one that the view shows, and the one being exported."""

import re
from collections.abc import Iterable

from table_exports.domain.pipeline import Pipeline

SNAPSHOT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}Z"


def superseded(snapshots: Iterable[str], pipeline: Pipeline) -> list[str]:
    """Return the snapshots that the pipeline does not keep, the oldest first.

    A snapshot newer than the published one is always kept, however its export ended.
    """
    published = pipeline.published_snapshot
    if not pipeline.keep_snapshots or published is None:
        return []
    older = sorted({name for name in snapshots if re.fullmatch(SNAPSHOT, name) and name < published})
    kept = pipeline.keep_snapshots - 1  # in addition to the published one
    in_flight = (pipeline.export_in_flight or "").split("#")
    return [name for name in older[: max(0, len(older) - kept)] if name not in in_flight]
