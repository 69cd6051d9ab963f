"""An `Export Requested` event, read and judged before anything is touched."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from table_exports.domain import naming
from table_exports.domain.errors import InvalidRequest
from table_exports.domain.pipeline import Pipeline

LOWEST_READ_PERCENTAGE, HIGHEST_READ_PERCENTAGE = 0.1, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What the schedule asks for: the blog's payload, and which pipeline it is for."""

    export_id: str  # of the export that answers this request, however often it is delivered
    pipeline: str
    table_name: str
    read_percentage: Decimal
    output_prefix: str
    output_format: str
    glue_job_name: str
    crawler_name: str

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        """Raises InvalidRequest for the first field that is missing, unknown, or not what it must be."""
        detail = event.get("detail")
        if not isinstance(detail, dict):
            raise InvalidRequest("detail", f"is {_shown(detail)}: it must be an object with {', '.join(_REQUIRED)}")
        for name in detail:
            if name not in _REQUIRED and name not in _OPTIONAL:
                known = ", ".join([*_REQUIRED, *_OPTIONAL])
                raise InvalidRequest(_shown(name), f"is no field of a request: take it out. Known are {known}")
        for name, rule in _REQUIRED.items():
            if name not in detail:
                raise InvalidRequest(name, f"is missing: {rule.remedy}")
            rule.check(name, detail[name])
        for name, rule in _OPTIONAL.items():
            if name in detail:
                rule.check(name, detail[name])
        fields = {name: detail[name] for name in _REQUIRED}
        fields["read_percentage"] = Decimal(str(detail["read_percentage"]))
        return cls(export_id=export_id(event), **fields)

    def must_fit(self, pipeline: Pipeline | None) -> Pipeline:
        """The pipeline it is for. Raises InvalidRequest if that is not deployed, or not as the request says."""
        if pipeline is None:
            raise InvalidRequest("pipeline", f"{self.pipeline} is unknown: deploy its table stack, infra/table.yaml")
        for name in ("table_name", "output_prefix", "output_format", "glue_job_name", "crawler_name"):
            asked, deployed = getattr(self, name), getattr(pipeline, name)
            if asked != deployed:
                raise InvalidRequest(name, f"is {asked}, but {self.pipeline} is deployed with {deployed}: send that")
        return pipeline


def export_id(event: dict[str, Any]) -> str:
    """The identity of a request, the same for each delivery of it, another for each replay.

    Built on what is documented to last: not on Scheduler's execution id, which changes with every attempt,
    and on the event's own id only if the request brings nothing better, as a replay may change it.
    """
    detail = event["detail"]
    given = [detail.get("scheduled_time"), detail.get("request_id")]
    identity = given if any(given) else [event.get("id")]
    seed = json.dumps([detail["pipeline"], *identity, event.get("replay-name")])
    return hashlib.sha256(seed.encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class _Rule:
    holds: Callable[[Any], bool]
    remedy: str

    def check(self, name: str, value: Any) -> None:
        if not self.holds(value):
            raise InvalidRequest(name, f"is {_shown(value)}: {self.remedy}")


def _text(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_read_percentage(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return LOWEST_READ_PERCENTAGE <= value <= HIGHEST_READ_PERCENTAGE  # NaN is in no range


_NAME = _Rule(_text(r"[A-Za-z0-9_.\-]{1,255}"), "it must be a name of letters, digits, hyphens, underscores and dots")
_REQUIRED = {
    "pipeline": _NAME,
    "table_name": _Rule(_text(r"[A-Za-z0-9_.\-]{3,255}"), "it must be the name of a DynamoDB table"),
    "read_percentage": _Rule(_is_read_percentage, "it must be a number from 0.1 to 1.0"),
    "output_prefix": _Rule(
        _text(r"s3://[a-z0-9.\-]{3,63}/[A-Za-z0-9_/\-]{1,900}[A-Za-z0-9_\-]"),
        "it must be s3://BUCKET/FOLDER without a slash at the end",
    ),
    "output_format": _Rule(
        lambda value: isinstance(value, str) and value in naming.FORMATS,
        f"it must be one of {', '.join(naming.FORMATS)}",
    ),
    "glue_job_name": _NAME,
    "crawler_name": _NAME,
}
_OPTIONAL = {
    "scheduled_time": _Rule(
        _text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "it must be a time in UTC, as 2026-11-23T02:00:00Z"
    ),
    "request_id": _Rule(_text(r"[A-Za-z0-9_.:\-]{1,128}"), "it must be 1 to 128 letters, digits or _ . : -"),
}


def _shown(value: Any) -> str:
    """A foreign value as it may stand in a message: JSON, and not too much of it."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
