"""The items of state records: what their attributes mean, and how an export or a pipeline is stored and parsed.

Parsing checks every attribute, because people edit records. A record that cannot be parsed raises InvalidRecord, which
names the attribute. Attributes that a newer version of this package added are ignored.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, replace
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from table_exports.domain import naming
from table_exports.domain.catalog import FORMATS
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.export import EntityItems, Export, IllegalTransition, NotConverted, Step
from table_exports.domain.foreign import preview
from table_exports.domain.pipeline import End, Pipeline
from table_exports.domain.stages import STAGES, Stage, parse_waiting_on

T = TypeVar("T")

HEAD = "pipeline"  # the sort key of a pipeline's head
YEARS = range(2000, 3000)
MOST_MINUTES, MOST_SECONDS = 10**7, 10**10


def export_of(item: dict[str, Any]) -> Export:
    """Return the export of a record. Raises InvalidRecord."""
    return _checked(Export, item, _renamed, _check_export)


def pipeline_of(item: dict[str, Any]) -> Pipeline:
    """Return the pipeline of a head. Raises InvalidRecord."""
    return _checked(Pipeline, item, dict, _check_pipeline)


def in_flight_again(record: InvalidRecord, pipeline: Pipeline, now: datetime) -> Export:
    """Return the export of an invalid record as far as it can be parsed. The rest is as its pipeline would begin it."""
    _, snapshot, export_id = record.record.split("#")
    try:
        begun = naming.snapshot_moment(snapshot)
    except ValueError:
        begun = now
    usual = pipeline.begin(export_id, pipeline.read_percentage, begun)
    known = {}
    for name, wanted in _attribute_types(Export).items():
        if record.item.get(name) is not None:
            with suppress(_InvalidAttribute):
                known[name] = _read(wanted, record.item[name], name)
    stages: dict[str, Stage] = {row.operation: row.stage for row in STAGES.values() if row.operation}
    stage = stages.get(parse_waiting_on(known.get("waiting_on", "")).operation)
    known |= {"snapshot_timestamp": snapshot, "export_id": export_id, "stage": stage or Stage.STARTING}
    known |= {"waiting_on": known["waiting_on"] if stage else usual.waiting_on, "ended_at": None, "failed_stage": None}
    known |= {name: getattr(pipeline, name) for name in ("output_format", "output_prefix", "timeout_minutes")}
    known.setdefault("waiting_since", now)
    return replace(usual, **known)


def ends_of(head: Mapping[str, Any]) -> tuple[End, ...]:
    """Return the recent ends of a head, without those that are invalid: they must not keep an export from ending."""
    found = head.get("recent")
    ends = []
    for item in found if isinstance(found, list) else []:
        try:
            ends.append(_parsed(End, item, ""))
        except _InvalidAttribute:
            continue
    return tuple(ends)


def texts_of(value: Any) -> list[str]:
    """Return the texts of a list, whatever else the attribute has."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def invalid_state(head: dict[str, Any]) -> set[str]:
    """Return the invalid attributes of a head that `Pipeline` can do without."""
    found = set()
    for name, wanted in _attribute_types(Pipeline).items():
        if name not in _required(Pipeline) and head.get(name) is not None:
            try:
                _read(wanted, head[name], name)
                _check_state(name, head[name])
            except _InvalidAttribute:
                found.add(name)
    return found


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item's attributes without DynamoDB's type tags."""
    return {name: _from_dynamodb(value) for name, value in item.items()}


class _InvalidAttribute(Exception):
    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name, self.problem = name, problem


def _checked(
    kind: type[T],
    item: dict[str, Any],
    rename: Callable[[dict[str, Any]], dict[str, Any]],
    check: Callable[[Any, dict[str, Any]], None],
) -> T:
    try:
        found = _parsed(kind, rename(item), "")
        check(found, item)
        return found
    except _InvalidAttribute as error:
        name, problem = error.name, error.problem
    except IllegalTransition:
        name, problem = "waiting_on", f"is {preview(item.get('waiting_on'))}, which no export in this stage has"
    raise InvalidRecord(str(item.get("pipeline")), str(item.get("record")), name, problem, item)


def _renamed(item: dict[str, Any]) -> dict[str, Any]:
    """Return a record's attributes under the names of `Export`, whichever version wrote it."""
    attributes = dict(item)
    if (blocked := attributes.pop("held_up_by", None)) is not None:
        attributes.setdefault("blocked_reason", blocked)
    if (last_attempt := attributes.pop("last_attempt", None)) is not None and "max_attempts" not in attributes:
        steps = _read(tuple[Step, ...], attributes.get("steps", []), "steps")
        starts = [step.attempt for step in steps if step.stage == Stage.STARTING]
        allowed = _read(int, last_attempt, "last_attempt") - (starts[-1] if starts else 1) + 1
        attributes["max_attempts"] = Decimal(max(0, allowed))
    return attributes


def _check_export(export: Export, item: dict[str, Any]) -> None:
    if item.get("record", export.record_key) != export.record_key:
        raise _InvalidAttribute("record", f"is not {export.record_key}, which follows from the other attributes")
    operation = STAGES[export.stage].operation
    if export.waiting_on and parse_waiting_on(export.waiting_on).operation != operation:
        raise _InvalidAttribute("waiting_on", f"is {preview(export.waiting_on)}: in {export.stage} it is {operation}/…")
    if export.waiting_on and export.waiting_since is None:
        raise _InvalidAttribute("waiting_since", "is missing")
    if export.timeout_minutes > MOST_MINUTES:
        raise _InvalidAttribute("timeout_minutes", f"is {export.timeout_minutes}: it must be a number of minutes")
    _check_snapshot("snapshot_timestamp", export.snapshot_timestamp)
    _check_output(export)


def _check_pipeline(pipeline: Pipeline, item: dict[str, Any]) -> None:
    for name in _STATE_CHECKS:
        _check_state(name, item.get(name))
    if pipeline.stale_after_seconds > MOST_SECONDS:
        raise _InvalidAttribute(
            "stale_after_seconds", f"is {pipeline.stale_after_seconds}: it must be a number of seconds"
        )
    _check_output(pipeline)


def _check_output(thing: Export | Pipeline) -> None:
    if thing.output_format not in FORMATS:
        raise _InvalidAttribute(
            "output_format", f"is {preview(thing.output_format)}: it must be one of {', '.join(FORMATS)}"
        )
    if not re.fullmatch(rf"s3://[^/]+/exports/{naming.SNAPSHOT_PREFIX}[a-z0-9_]+", thing.output_prefix):
        raise _InvalidAttribute(
            "output_prefix",
            f"is {preview(thing.output_prefix)}: it must be s3://BUCKET/exports/{naming.SNAPSHOT_PREFIX}…",
        )


def _check_state(name: str, value: Any) -> None:
    if name in _STATE_CHECKS and value is not None:
        _STATE_CHECKS[name](name, value)


def _check_snapshot(name: str, value: Any) -> None:
    try:
        naming.snapshot_moment(value)
    except (TypeError, ValueError):
        raise _InvalidAttribute(
            name, f"is {preview(value)}: it must be a snapshot such as 2026-11-23T02-00-07Z"
        ) from None


def _check_snapshots(name: str, value: Any) -> None:
    for each in value:
        _check_snapshot(name, each)


def _check_record_key(name: str, value: Any) -> None:
    if not re.fullmatch(r"export#[^#]+#[^#]+", value):
        raise _InvalidAttribute(name, f"is {preview(value)}: it must be export#SNAPSHOT#EXPORT_ID")


def _check_entities(name: str, value: Any) -> None:
    for each in value:
        if not re.fullmatch(naming.ENTITY, each):
            raise _InvalidAttribute(name, f"has {preview(each)}: it must be a name in the catalog")


def _check_share(name: str, value: Any) -> None:
    if not 0 <= value <= 1:
        raise _InvalidAttribute(name, f"is {preview(value)}: it must be a share from 0 to 1")


_STATE_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "published_snapshot": _check_snapshot,
    "published_snapshots": _check_snapshots,
    "asked_to_show": _check_snapshot,
    "export_in_flight": _check_record_key,
    "hot_share": _check_share,
    "entities": _check_entities,
    "new_entities": _check_entities,
}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it must be true or false")
    return value


def _number(value: Any) -> Decimal:
    if not isinstance(value, Decimal):
        raise ValueError("it must be a number")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, Decimal) or value != value.to_integral_value() or value < 0:
        raise ValueError("it must be a whole number")
    return int(value)


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in YEARS:
        raise ValueError("it must be a time in UTC, such as 2026-11-23T02:00:07+00:00")
    return moment


def _stage(value: Any) -> Stage:
    if not isinstance(value, str) or value not in STAGES:
        raise ValueError(f"it must be one of {', '.join(STAGES)}, unless a newer version of table-exports wrote it")
    return Stage(value)


_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    bool: _flag,
    Decimal: _number,
    int: _whole,
    datetime: _moment,
    Stage: _stage,
}
_PARTS = {
    tuple[Step, ...]: Step,
    tuple[NotConverted, ...]: NotConverted,
    tuple[EntityItems, ...]: EntityItems,
    tuple[End, ...]: End,
}


# These are cached because the dashboard reads thousands of ends at a time.
@cache
def _attribute_types(kind: Any) -> dict[str, Any]:
    """Return the type of each attribute: `datetime` for `datetime` and for `datetime | None`."""
    return {field.name: _bare(field.type) for field in fields(kind)}


@cache
def _required(kind: Any) -> tuple[str, ...]:
    """Return the names of the attributes without which there is no object."""
    return tuple(field.name for field in fields(kind) if field.default is MISSING)


def _bare(annotation: Any) -> Any:
    if annotation in _PARTS or annotation == tuple[str, ...]:
        return annotation
    return getattr(annotation, "__args__", (annotation,))[0]


def _read(wanted: Any, value: Any, name: str) -> Any:
    """Return the attribute's value. `wanted` is its type without `| None`."""
    if (reader := _READERS.get(wanted)) is not None:
        try:
            return reader(value)
        except ValueError as error:
            raise _InvalidAttribute(name, f"is {preview(value)}: {error}") from None
    if not isinstance(value, list):
        raise _InvalidAttribute(name, f"is {preview(value)}: it must be a list")
    if wanted in _PARTS:
        return tuple(_parsed(_PARTS[wanted], item, f"{name}[{n}].") for n, item in enumerate(value))
    return tuple(_read(str, item, f"{name}[{n}]") for n, item in enumerate(value))


def _parsed(kind: type[T], item: Any, path: str) -> T:
    """Return an object of the attributes. `path` is that of the item in its record, for messages."""
    if not isinstance(item, dict):
        raise _InvalidAttribute(path.rstrip("."), f"is {preview(item)}: it must be a map")
    types = _attribute_types(kind)  # type: ignore[arg-type]  # a class is hashable
    values = {
        name: _read(types[name], value, path + name)
        for name, value in item.items()
        if name in types and value is not None
    }
    for name in _required(kind):  # type: ignore[arg-type]
        if name not in values:
            raise _InvalidAttribute(path + name, "is missing")
    return kind(**values)


def _for_both_versions(export: Export) -> dict[str, Any]:
    """Return an export's attributes under names that the previous version can read, too.

    Both versions run side by side during a deployment. The previous one reads `held_up_by`, and it allows another
    attempt if `attempt` is less than `last_attempt`.
    """
    attributes = _known(export)
    if "blocked_reason" in attributes:
        attributes["held_up_by"] = attributes.pop("blocked_reason")
    attributes["last_attempt"] = export.attempt + max(0, export.max_attempts - max(1, export.attempts_made))
    return attributes


def attributes_of(thing: Export | Pipeline) -> dict[str, Any]:
    """Return the attributes of its record, without the partition key."""
    known = _known(thing) if isinstance(thing, Pipeline) else _for_both_versions(thing)
    return {name: value for name, value in known.items() if value != () and name != "pipeline"}


def _known(thing: Any) -> dict[str, Any]:
    kind: Any = type(thing)
    return {name: value for name in _attribute_types(kind) if (value := getattr(thing, name)) is not None}


def set_attributes(key: dict[str, str], known: dict[str, Any], removed: Iterable[str] = ()) -> dict[str, Any]:
    sets, removes = ", ".join(f"#{name} = :{name}" for name in known), ", ".join(f"#{name}" for name in removed)
    return {
        "Key": typed(key),
        "UpdateExpression": " ".join([f"SET {sets}"] * bool(sets) + [f"REMOVE {removes}"] * bool(removes)),
        "ExpressionAttributeNames": {f"#{name}": name for name in [*known, *removed]},
        "ExpressionAttributeValues": typed({f":{name}": value for name, value in known.items()}),
    }


def typed(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _to_dynamodb(value) for name, value in values.items()}


# Importing boto3 for its serializers would slow down every cold start, and a record has only these types.
def _to_dynamodb(value: Any) -> dict[str, Any]:
    match value:
        case str():
            return {"S": str(value)}
        case tuple():
            return {"L": [{"S": each} if isinstance(each, str) else {"M": typed(_known(each))} for each in value]}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case datetime():
            return {"S": value.isoformat()}
    raise TypeError(f"{value!r} cannot be stored in a record")


def _from_dynamodb(typed: dict[str, Any]) -> Any:
    [(kind, value)] = typed.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return Decimal(value)
        case "M":
            return plain(value)
        case "L":
            return [_from_dynamodb(each) for each in value]
    return None
