"""Which snapshots a pipeline keeps: the newest ones, the one that the view shows, and the one being exported."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from table_exports.domain.errors import InvalidEvent
from table_exports.domain.foreign import preview
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.request import NAME
from table_exports.domain.stages import Stage

SNAPSHOT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSucceeded:
    """Our own public event: an export succeeded, so older snapshots may be superseded."""

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
