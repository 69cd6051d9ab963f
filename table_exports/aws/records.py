"""State records in DynamoDB. Every change is one conditional write.

This is the only module that writes conditions. A lost race is a return value, not an exception.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from table_exports.domain.export import Export, Step
from table_exports.domain.naming import snapshot_timestamp
from table_exports.domain.pipeline import RECENT, End, Pipeline, published_in
from table_exports.domain.retention import published_to_list
from table_exports.domain.stages import Stage

T = TypeVar("T")

WRITE_TRIES = 3  # a concurrent write to the same records takes milliseconds
HEAD = "pipeline"  # the sort key of a pipeline's head
IS_REGISTERED = "attribute_exists(stack_id)"
LOCK_IS_FREE = "attribute_not_exists(export_in_flight)"
DERIVED = ("max_attempts", "last_attempt")  # one from the other, if an earlier version wrote the record
FENCE = ("waiting_on", "waiting_since", "claimed_at", "ended_at")  # a writer who changed one of these was first
NOT_BEGUN_BEFORE = "(attribute_not_exists(latest_export_id) OR latest_export_id <> :latest_export_id)"


class Records:
    def __init__(self, client: Any, table: str, history_days: int = 0) -> None:
        """`history_days`: how long records of ended exports are kept. Only writers need it."""
        self._client = client
        self._table = table
        self._history = timedelta(days=history_days)

    def pipeline(self, name: str) -> Pipeline | None:
        """Return a pipeline. None if no stack has registered it, or its stack was deleted."""
        item = self._get(name, HEAD)
        return pipeline_of(item) if item and "stack_id" in item else None

    def pipelines(self) -> Iterator[dict[str, Any]]:
        """Return the attributes of the heads of all registered pipelines, for `pipeline_of`.

        The index has only these and the claims of their names.
        """
        return (item for item in self._all_of("stack_id") if item["record"] == HEAD)

    def export(self, pipeline: str, record: str) -> Export | None:
        item = self._get(pipeline, record)
        return export_of(item) if item else None

    def find(self, pipeline: Pipeline, export_id: str) -> Export | None:
        """Return the export that a request started, if there is one.

        The index lags behind the table by moments. During these, `begin` checks the head's `latest_export_id`.
        """
        found = self._query("export_id", export_id)
        mine = [item for item in found if item["pipeline"] == pipeline.pipeline]
        return self.export(pipeline.pipeline, mine[0]["record"]) if mine else None

    def find_export(self, export_id: str) -> Export | None:
        """Return an export by its id alone. One that has just begun may not be in the index yet."""
        found = self._query("export_id", export_id)
        return self.export(found[0]["pipeline"], found[0]["record"]) if found else None

    def exports(self, pipeline: str, limit: int) -> list[Export]:
        """Return the pipeline's exports whose records are kept, the newest first."""
        return self._exports(pipeline, "", "~", limit)

    def begun_between(self, pipeline: str, first: datetime, last: datetime) -> list[Export]:
        """Return the pipeline's exports that began from `first` to `last`, the newest first."""
        return self._exports(pipeline, snapshot_timestamp(first), f"{snapshot_timestamp(last)}~", None)

    def _exports(self, pipeline: str, first: str, last: str, limit: int | None) -> list[Export]:
        """Query by sort key, which begins with the snapshot timestamp. `~` sorts after all its characters."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pipeline = :pipeline AND #record BETWEEN :first AND :last",
            ExpressionAttributeNames={"#record": "record"},
            ExpressionAttributeValues=_item(
                {":pipeline": pipeline, ":first": f"export#{first}", ":last": f"export#{last}"}
            ),
            ScanIndexForward=False,
            PaginationConfig={"MaxItems": limit, "PageSize": limit},
        )
        return [export_of(plain(item)) for page in pages for item in page["Items"]]

    def waiting_on(self, thing: str) -> list[Export]:
        """Return the exports that wait for `thing`, e.g. `athena-query/0123`.

        The index lags behind the table, so each export is read from the table: a step that `move` would refuse must
        not reach AWS first.
        """
        found = [self.export(item["pipeline"], item["record"]) for item in self._query("waiting_on", thing)]
        return [export for export in found if export and export.waiting_on == thing]

    def in_flight(self) -> Iterator[dict[str, Any]]:
        """Return the attributes of all exports in flight, for `export_of`.

        The index has no others, so a scan of it reads nothing in vain. The caller parses each record, so that one that
        cannot be parsed does not affect the others.
        """
        return self._all_of("waiting_on")

    def begin(self, export: Export) -> bool:
        """Store a new export and take its pipeline's lock, both or neither.

        False if another export holds the lock, or this one began before.
        """
        take_lock = self._take_lock(export)
        take_lock["ConditionExpression"] += f" AND {NOT_BEGUN_BEFORE}"
        item = _key(export.pipeline, export.record_key) | _attributes(export)
        return self._write_all(
            {"Put": {"Item": _item(item), "ConditionExpression": "attribute_not_exists(pipeline)"}},
            {"Update": take_lock},
        )

    def resume(self, before: Export, after: Export) -> bool:
        """Turn a failed export into one in flight and take its pipeline's lock, both or neither.

        False if its record has changed, or another export holds the lock.
        """
        return self._write_all({"Update": self._change(before, after)}, {"Update": self._take_lock(after)})

    def ask_to_show(self, export: Export) -> bool:
        """Record which snapshot the view is about to be asked to show.

        False if another export holds the pipeline's lock, or the view was asked to show a newer snapshot.
        """
        update = _set(_key(export.pipeline, HEAD), {"asked_to_show": export.snapshot_timestamp})
        update["ConditionExpression"] = (
            "export_in_flight = :mine AND (attribute_not_exists(asked_to_show) OR asked_to_show <= :asked_to_show)"
        )
        update["ExpressionAttributeValues"] |= _item({":mine": export.record_key})
        return self._wrote(self._client.update_item, **update)

    def free(self, pipeline: str, holder: str) -> bool:
        """Free a lock whose holder has no record. False if another export holds it now."""
        update = _set(_key(pipeline, HEAD), {}, removed=["export_in_flight"])
        update["ConditionExpression"] = "export_in_flight = :holder"
        update["ExpressionAttributeValues"] = _item({":holder": holder})
        return self._wrote(self._client.update_item, **update)

    def move(self, before: Export, after: Export) -> bool:
        """Turn `before` into `after`. An end also frees the lock and is added to the head.

        False if the record has changed: then the event was a duplicate or late.
        Writes only what changed, so that attributes of a newer version of this package survive.
        """
        if after == before:
            return True
        if after.ended and self._write_all({"Update": self._change(before, after)}, {"Update": self._note_end(after)}):
            return True
        # It has not ended, or another export holds the lock now.
        return self._wrote(self._client.update_item, **self._change(before, after))

    def register(self, pipeline: Pipeline) -> bool:
        """Claim the pipeline's catalog name and store its configuration, both or neither. Its state is kept.

        False if another stack, or another pipeline of this stack, has the name.
        """
        holder = {"stack_id": pipeline.stack_id, "held_by": pipeline.pipeline}
        claim = {
            "Item": _item(_claim(pipeline.catalog_name) | holder),
            "ConditionExpression": ("attribute_not_exists(pipeline) OR (stack_id = :stack_id AND held_by = :held_by)"),
            "ExpressionAttributeValues": _item({f":{name}": value for name, value in holder.items()}),
        }
        head = _set(_key(pipeline.pipeline, HEAD), _attributes(pipeline))
        return self._write_all({"Put": claim}, {"Update": head})

    def pipeline_of_catalog_name(self, catalog_name: str, stack_id: str) -> str | None:
        """Return which of the stack's pipelines holds the catalog name, if one does."""
        claim = self._get(*_claim(catalog_name).values()) or {}
        return claim.get("held_by") if claim.get("stack_id") == stack_id else None

    def unregister(self, name: str, stack_id: str) -> None:
        """Free a pipeline's catalog name, unless it belongs to another stack by now.

        The pipeline's state is kept, with the export in flight: a later stack of the same name continues from there,
        and its view never moves backwards. The records of its exports stay until they expire.
        """
        pipeline = self.pipeline(name)
        if pipeline is None or pipeline.stack_id != stack_id:
            return
        forget = _set(_key(name, HEAD), {}, removed=["stack_id"])
        forget["ConditionExpression"] = "stack_id = :stack_id"
        forget["ExpressionAttributeValues"] = _item({":stack_id": stack_id})
        self._wrote(self._client.update_item, **forget)
        self._delete(_claim(pipeline.catalog_name), stack_id=stack_id, held_by=name)

    def _change(self, before: Export, after: Export) -> dict[str, Any]:
        """Return the write of a transition, on the condition that the record is still as in `before`."""
        old, new = _attributes(before), _attributes(after)
        changed = {name: value for name, value in new.items() if old.get(name) != value or name in DERIVED}
        removed = old.keys() - new.keys()
        if after.ended:
            changed["expires_at"] = int((after.requested_at + self._history).timestamp())
        elif before.ended:
            removed |= {"expires_at"}
        update = _set(_key(before.pipeline, before.record_key), changed, removed)
        known = {name: old[name] for name in FENCE if name in old}
        unknown = [f"attribute_not_exists({name})" for name in FENCE if name not in old]
        update["ConditionExpression"] = " AND ".join(
            ["attribute_exists(pipeline)", *(f"{name} = :was_{name}" for name in known), *unknown]
        )
        update["ExpressionAttributeValues"] |= _item({f":was_{name}": value for name, value in known.items()})
        return update

    def _take_lock(self, export: Export) -> dict[str, Any]:
        taken = {"export_in_flight": export.record_key, "latest_export_id": export.export_id}
        update = _set(_key(export.pipeline, HEAD), taken)
        update["ConditionExpression"] = f"{IS_REGISTERED} AND {LOCK_IS_FREE}"
        return update

    def _note_end(self, export: Export) -> dict[str, Any]:
        """Return the write that adds an end to the head.

        Only the holder of the lock writes ends, so the read before the write is not a race.
        """
        known: dict[str, Any]
        if export.stage == Stage.SUCCEEDED:
            known = {"published_snapshot": export.snapshot_timestamp, "last_succeeded_at": export.ended_at}
        else:
            known = {"last_failed_at": export.ended_at}
        head = self._get(export.pipeline, HEAD) or {}
        recent = (*_ends(head.get("recent", [])), End.of(export))
        published = published_in(head.get("published_snapshots", []), head.get("published_snapshot"), recent)
        known["recent"] = recent[-RECENT:]
        known["published_snapshots"] = published_to_list(published, int(head.get("keep_snapshots", 0)))
        update = _set(_key(export.pipeline, HEAD), known, removed={"export_in_flight"})
        update["ConditionExpression"] = "export_in_flight = :mine"
        update["ExpressionAttributeValues"] |= _item({":mine": export.record_key})
        return update

    def _get(self, pipeline: str, record: str) -> dict[str, Any] | None:
        key = _item(_key(pipeline, record))
        found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return plain(found["Item"]) if "Item" in found else None

    def _all_of(self, index: str) -> Iterator[dict[str, Any]]:
        """Return all items of a sparse index."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table, IndexName=index)
        return (plain(item) for page in pages for item in page["Items"])

    def _query(self, index: str, value: str) -> list[dict[str, Any]]:
        """Return all items of one index key: a handful, so one page."""
        found = self._client.query(
            TableName=self._table,
            IndexName=index,
            KeyConditionExpression="#key = :value",
            ExpressionAttributeNames={"#key": index},
            ExpressionAttributeValues=_item({":value": value}),
        )
        return [plain(item) for item in found["Items"]]

    def _delete(self, key: dict[str, str], **expected: str) -> bool:
        return self._wrote(
            self._client.delete_item,
            Key=_item(key),
            ConditionExpression=" AND ".join(f"{name} = :{name}" for name in expected),
            ExpressionAttributeValues=_item({f":{name}": value for name, value in expected.items()}),
        )

    def _wrote(self, write: Callable[..., Any], **request: Any) -> bool:
        try:
            write(TableName=self._table, **request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _write_all(self, *writes: dict[str, Any]) -> bool:
        """Write all of them, or none and return False if a condition does not hold."""
        for write in writes:
            for request in write.values():
                request["TableName"] = self._table
        for tried in range(1, WRITE_TRIES + 1):
            try:
                self._client.transact_write_items(TransactItems=writes)
                return True
            except self._client.exceptions.TransactionCanceledException as error:
                reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
                if "ConditionalCheckFailed" in reasons:
                    return False
                if "TransactionConflict" not in reasons or tried == WRITE_TRIES:
                    raise
        raise AssertionError("The last try returns or raises")


def export_of(item: dict[str, Any]) -> Export:
    """Return the export of a record. Attributes that a newer version of this package added are ignored."""
    return _parsed(Export, _renamed(item))


def pipeline_of(item: dict[str, Any]) -> Pipeline:
    return _parsed(Pipeline, item)


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item's attributes without DynamoDB's type tags."""
    return {name: _from_dynamodb(value) for name, value in item.items()}


def _renamed(item: dict[str, Any]) -> dict[str, Any]:
    """Return a record's attributes under the names of `Export`, whichever version wrote it."""
    attributes = dict(item)
    if (blocked := attributes.pop("held_up_by", None)) is not None:
        attributes.setdefault("blocked_reason", blocked)
    if (last_attempt := attributes.pop("last_attempt", None)) is not None and "max_attempts" not in attributes:
        starts = [step["attempt"] for step in attributes.get("steps", []) if step["stage"] == Stage.STARTING]
        attributes["max_attempts"] = last_attempt - (starts[-1] if starts else 1) + 1
    return attributes


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


def _steps(items: Iterable[dict[str, Any]]) -> tuple[Step, ...]:
    return tuple(_parsed(Step, item) for item in items)


def _ends(items: Iterable[dict[str, Any]]) -> tuple[End, ...]:
    return tuple(_parsed(End, item) for item in items)


_READERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "int": int,
    "Stage": Stage,
    "Step": _steps,
    "End": _ends,
    "tuple[str, ...]": tuple,
}


@cache  # the dashboard reads thousands of ends at a time
def _readers(kind: type[Any]) -> dict[str, Callable[[Any], Any] | None]:
    """Return how to parse each attribute. None: as it is."""
    return {field.name: _READERS.get(_type_name(field.type)) for field in fields(kind)}


def _parsed(kind: type[T], item: dict[str, Any]) -> T:
    readers: dict[str, Callable[[Any], Any] | None] = _readers(kind)  # type: ignore[arg-type]  # a class is hashable
    values = {}
    for name, value in item.items():
        if name in readers and value is not None:
            reader = readers[name]
            values[name] = reader(value) if reader else value
    return kind(**values)


def _type_name(annotation: Any) -> str:
    """Return `datetime` for `datetime` and for `datetime | None`."""
    if annotation == tuple[str, ...]:
        return str(annotation)
    return getattr(annotation, "__args__", (annotation,))[0].__name__


def _attributes(thing: Export | Pipeline) -> dict[str, Any]:
    """Return the attributes of its record, without the partition key."""
    known = _known(thing) if isinstance(thing, Pipeline) else _for_both_versions(thing)
    return {name: value for name, value in known.items() if value != () and name != "pipeline"}


def _known(thing: Any) -> dict[str, Any]:
    values = {field.name: getattr(thing, field.name) for field in fields(thing)}
    return {name: value for name, value in values.items() if value is not None}


def _set(key: dict[str, str], known: dict[str, Any], removed: Iterable[str] = ()) -> dict[str, Any]:
    sets, removes = ", ".join(f"#{name} = :{name}" for name in known), ", ".join(f"#{name}" for name in removed)
    return {
        "Key": _item(key),
        "UpdateExpression": " ".join([f"SET {sets}"] * bool(sets) + [f"REMOVE {removes}"] * bool(removes)),
        "ExpressionAttributeNames": {f"#{name}": name for name in [*known, *removed]},
        "ExpressionAttributeValues": _item({f":{name}": value for name, value in known.items()}),
    }


def _key(pipeline: str, record: str) -> dict[str, str]:
    return {"pipeline": pipeline, "record": record}


def _claim(catalog_name: str) -> dict[str, str]:
    """Return the key of a claim, which gives a catalog name to one pipeline. No pipeline's name has a slash."""
    return _key(f"catalog-name/{catalog_name}", "claim")


def _item(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _to_dynamodb(value) for name, value in values.items()}


# Importing boto3 for its serializers would slow down every cold start, and a record has only these types.
def _to_dynamodb(value: Any) -> dict[str, Any]:
    match value:
        case tuple():
            return {"L": [{"S": each} if isinstance(each, str) else {"M": _item(_known(each))} for each in value]}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case datetime():
            return {"S": value.isoformat()}
        case str():
            return {"S": str(value)}
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
