"""An `Export Requested` event: parsed and validated before anything else happens."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Self

from table_exports.domain.catalog import FORMATS
from table_exports.domain.errors import InvalidRequest
from table_exports.domain.export import Export
from table_exports.domain.foreign import preview
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.stages import Stage

NAME = r"[A-Za-z0-9_.\-]{1,255}"
EXPORT_ID_DIGITS = 20
EXPORT_ID = rf"[0-9a-f]{{{EXPORT_ID_DIGITS}}}"
LOWEST_READ_PERCENTAGE, HIGHEST_READ_PERCENTAGE = 0.1, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """A request for a new export of a pipeline, or to resume a failed export."""

    stage: ClassVar[Stage] = Stage.STARTING

    export_id: str  # of the export that this request starts or resumes, the same for each delivery
    identity: str  # of the request, the same for each delivery
    pipeline: str
    resumes: bool = False
    read_percentage: Decimal = Decimal(0)
    expected: dict[str, str]  # values that the deployed pipeline must have

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        """Parse the event. Raises InvalidRequest for the first field that is missing, unknown or invalid."""
        detail = event.get("detail")
        if not isinstance(detail, dict):
            raise InvalidRequest("detail", f"is {preview(detail)}: it must be an object with {', '.join(_REQUIRED)}")
        for name in detail:
            if name not in _REQUIRED and name not in _OPTIONAL:
                known = ", ".join([*_REQUIRED, *_OPTIONAL])
                raise InvalidRequest(preview(name), f"is not a field of a request: remove it. The fields are {known}")
        resumes = "resume_export_id" in detail
        for name, rule in (_REQUIRED | _OPTIONAL).items():
            if name in detail:
                rule.check(name, detail[name])
            elif name == "pipeline" or (name in _REQUIRED and not resumes):
                raise InvalidRequest(name, f"is missing: {rule.remedy}")
        for name, rule in _ENVELOPE.items():
            rule.check(name, event.get(name))
        return cls(
            export_id=detail["resume_export_id"] if resumes else request_identity(event),
            identity=request_identity(event),
            pipeline=detail["pipeline"],
            resumes=resumes,
            read_percentage=Decimal(str(detail.get("read_percentage", 0))),
            expected={name: detail[name] for name in _DEPLOYED if name in detail},
        )

    def validate_against(self, pipeline: Pipeline | None) -> Pipeline:
        """Return the request's pipeline. Raises InvalidRequest if it is not deployed, or differs from the request."""
        if pipeline is None:
            raise InvalidRequest("pipeline", f"{self.pipeline} is unknown: deploy its table stack, infra/table.yaml")
        for name, requested in self.expected.items():
            deployed = getattr(pipeline, name)
            if requested != deployed:
                raise InvalidRequest(
                    name, f"is {requested}, but {self.pipeline} is deployed with {deployed}: use {deployed}"
                )
        if reason := pipeline.why_not_read_at(self.read_percentage):
            raise InvalidRequest("read_percentage", reason)
        return pipeline


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """A request to resume an export."""

    detail_type: ClassVar[str] = "Export Requested"

    export: Export

    @property
    def detail(self) -> dict[str, str]:
        return {"pipeline": self.export.pipeline, "resume_export_id": self.export.export_id}


def request_detail(pipeline: Pipeline, request_id: str, read_percentage: Decimal | None = None) -> dict[str, Any]:
    """Return the detail of an Export Requested for a new export of the pipeline as it is deployed."""
    percentage = pipeline.read_percentage if read_percentage is None else read_percentage
    deployed = {name: getattr(pipeline, name) for name in ("pipeline", *_DEPLOYED)}
    return deployed | {"read_percentage": float(percentage), "request_id": request_id}


def resume_detail(export: Export, request_id: str) -> dict[str, Any]:
    """Return the detail of an Export Requested that resumes a failed export."""
    return ResumeRequest(export).detail | {"request_id": request_id}


def request_identity(event: dict[str, Any]) -> str:
    """Return the identity of a request, which is also the id of the export that it starts.

    It is the same for each delivery, and a new one for each replay.

    It depends on what AWS documents as stable. Scheduler's execution id changes with every attempt. The event's own id
    may change in a replay, so it counts only if the request has neither a scheduled time nor a request id.
    """
    detail = event["detail"]
    given = [detail.get("scheduled_time"), detail.get("request_id")]
    identity = given if any(given) else [event.get("id")]
    seed = json.dumps([detail["pipeline"], *identity, event.get("replay-name")])
    return hashlib.sha256(seed.encode()).hexdigest()[:EXPORT_ID_DIGITS]


@dataclass(frozen=True, slots=True)
class _Rule:
    holds: Callable[[Any], bool]
    remedy: str

    def check(self, name: str, value: Any) -> None:
        if not self.holds(value):
            raise InvalidRequest(name, f"is {preview(value)}: {self.remedy}")


def _text(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_short_text(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 255


def _is_read_percentage(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return LOWEST_READ_PERCENTAGE <= value <= HIGHEST_READ_PERCENTAGE  # NaN is in no range


_NAME = _Rule(_text(NAME), "it must be a name of letters, digits, hyphens, underscores and dots")
_REQUIRED = {
    "pipeline": _NAME,
    "table_name": _Rule(_text(r"[A-Za-z0-9_.\-]{3,255}"), "it must be the name of a DynamoDB table"),
    "read_percentage": _Rule(_is_read_percentage, "it must be a number from 0.1 to 1.0"),
    "output_prefix": _Rule(
        _text(r"s3://[a-z0-9.\-]{3,63}/[A-Za-z0-9_/\-]{0,900}[A-Za-z0-9_\-]"),
        "it must be s3://BUCKET/FOLDER without a slash at the end",
    ),
    "output_format": _Rule(
        lambda value: isinstance(value, str) and value in FORMATS,
        f"it must be one of {', '.join(FORMATS)}",
    ),
    "glue_job_name": _NAME,
    "crawler_name": _NAME,
}
_ENVELOPE = {
    "id": _Rule(_is_short_text, "it must be text, as EventBridge gives it; or send a request_id"),
    "replay-name": _Rule(lambda value: value is None or _is_short_text(value), "it must be the name of a replay"),
}
_DEPLOYED = ("table_name", "output_prefix", "output_format", "glue_job_name", "crawler_name")
_OPTIONAL = {
    "resume_export_id": _Rule(
        _text(EXPORT_ID), f"it must be the id of an export, {EXPORT_ID_DIGITS} hexadecimal digits"
    ),
    "scheduled_time": _Rule(
        _text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z"),
        "it must be a time in UTC, such as 2026-11-23T02:00:00Z",
    ),
    "request_id": _Rule(_text(r"[A-Za-z0-9_.:\-]{1,128}"), "it must be 1 to 128 letters, digits or _ . : -"),
}
