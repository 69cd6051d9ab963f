"""Which snapshots a pipeline keeps: the newest so many, and always what is shown or in the making."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from table_exports.domain.errors import InvalidEvent
from table_exports.domain.export import Stage
from table_exports.domain.foreign import shown
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.request import NAME

SNAPSHOT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An export succeeded, so that snapshots may be superseded. Read from our own fact."""

    stage: ClassVar[Stage] = Stage.SUCCEEDED

    pipeline: str
    export_id: str

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        """Raises InvalidEvent."""
        detail = event.get("detail")
        if not isinstance(detail, dict):
            raise InvalidEvent("detail", f"is {shown(detail)}: it must be that of the fact Export Succeeded")
        for name in ("pipeline", "export_id"):
            value = detail.get(name)
            if not isinstance(value, str) or not re.fullmatch(NAME, value):
                raise InvalidEvent(f"detail.{name}", f"is {shown(value)}: it must be as in the fact Export Succeeded")
        return cls(pipeline=detail["pipeline"], export_id=detail["export_id"])


def superseded(snapshots: Iterable[str], pipeline: Pipeline) -> list[str]:
    """Those of the pipeline's snapshots that it does not keep, the oldest first.

    What is newer than the published one is never among them, whatever became of its export.
    """
    published = pipeline.published_snapshot
    if not pipeline.keep_snapshots or published is None:
        return []
    older = sorted({name for name in snapshots if re.fullmatch(SNAPSHOT, name) and name < published})
    kept = pipeline.keep_snapshots - 1  # beside the published one
    in_flight = (pipeline.export_in_flight or "").split("#")
    return [name for name in older[: max(0, len(older) - kept)] if name not in in_flight]
