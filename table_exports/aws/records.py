"""State records in DynamoDB. Every change is one conditional write.

This is the only module that writes conditions. A lost race is a return value, not an exception.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from table_exports.aws.record_items import (
    HEAD,
    attributes_of,
    ends_of,
    export_of,
    invalid_state,
    pipeline_of,
    plain,
    set_attributes,
    texts_of,
    typed,
)
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.export import Export
from table_exports.domain.limits import WRITES_PER_TRANSACTION
from table_exports.domain.naming import catalog_name_of, snapshot_timestamp
from table_exports.domain.pipeline import RECENT, End, Pipeline, published_in
from table_exports.domain.retention import published_to_list
from table_exports.domain.stages import Stage

T = TypeVar("T")

WRITE_TRIES = 3  # a concurrent write to the same records takes milliseconds
CLAIM, CATALOG_NAME = "claim", "catalog-name/"  # the sort key of a claim, and what its partition key begins with
NAMES_AT_ONCE = WRITES_PER_TRANSACTION - 1  # claimed or released. The other write is that of the head
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
        """Return a pipeline. None if no stack has registered it, or its stack was deleted. Raises InvalidRecord."""
        item = self._get(name, HEAD)
        return pipeline_of(item) if item and "stack_id" in item else None

    def pipelines(self) -> Iterator[Pipeline | InvalidRecord]:
        """Return all registered pipelines. An invalid record does not hide the others.

        The index has only their heads and the claims of their names.
        """
        return (_or_invalid(pipeline_of, item) for item in self._all_of("stack_id") if item["record"] == HEAD)

    def export(self, pipeline: str, record: str) -> Export | None:
        """Return an export. None if it has no record. Raises InvalidRecord."""
        item = self._get(pipeline, record)
        return export_of(item) if item else None

    def find(self, pipeline: str, export_id: str) -> Export | None:
        """Return the export that a request started, if there is one. Raises InvalidRecord.

        The index lags behind the table by moments. During these, `begin` checks the head's `latest_export_id`.
        """
        found = self._query("export_id", export_id)
        mine = [item for item in found if item["pipeline"] == pipeline]
        return self.export(pipeline, mine[0]["record"]) if mine else None

    def find_in_flight(self, pipeline: str) -> Export | None:
        """Return the export that holds the pipeline's lock, even if its stack was deleted. Raises InvalidRecord."""
        holder = (self._get(pipeline, HEAD) or {}).get("export_in_flight")
        return self.export(pipeline, holder) if isinstance(holder, str) else None

    def find_export(self, export_id: str) -> Export | None:
        """Return an export by its id alone. Raises InvalidRecord. The index may lack one that has just begun."""
        found = self._query("export_id", export_id)
        return self.export(found[0]["pipeline"], found[0]["record"]) if found else None

    def exports(self, pipeline: str, limit: int) -> list[Export | InvalidRecord]:
        """Return the pipeline's exports whose records are kept, the newest first."""
        return self._exports(pipeline, "", "~", limit)

    def begun_between(self, pipeline: str, first: datetime, last: datetime) -> list[Export | InvalidRecord]:
        """Return the pipeline's exports that began from `first` to `last`, the newest first."""
        return self._exports(pipeline, snapshot_timestamp(first), f"{snapshot_timestamp(last)}~", None)

    def has_export(self, pipeline: str, snapshot: str) -> bool:
        """Return whether the export that began with this snapshot timestamp has a record."""
        return bool(self._exports(pipeline, snapshot, f"{snapshot}~", 1))

    def _exports(self, pipeline: str, first: str, last: str, limit: int | None) -> list[Export | InvalidRecord]:
        """Query by sort key, which begins with the snapshot timestamp. `~` sorts after all its characters."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pipeline = :pipeline AND #record BETWEEN :first AND :last",
            ExpressionAttributeNames={"#record": "record"},
            ExpressionAttributeValues=typed(
                {":pipeline": pipeline, ":first": f"export#{first}", ":last": f"export#{last}"}
            ),
            ScanIndexForward=False,
            PaginationConfig={"MaxItems": limit, "PageSize": limit},
        )
        return [_or_invalid(export_of, plain(item)) for page in pages for item in page["Items"]]

    def waiting_on(self, thing: str) -> list[Export | InvalidRecord]:
        """Return the exports that wait for `thing`, e.g. `athena-query/0123`.

        The index lags behind the table, so each export is read from the table: a step that `move` would refuse must
        not reach AWS first.
        """
        found = [self._get(item["pipeline"], item["record"]) for item in self._query("waiting_on", thing)]
        return [_or_invalid(export_of, item) for item in found if item and item.get("waiting_on") == thing]

    def in_flight(self) -> Iterator[Export | InvalidRecord]:
        """Return all exports in flight. An invalid record does not hide the others.

        The index has no others, so a scan of it reads nothing in vain.
        """
        return (_or_invalid(export_of, item) for item in self._all_of("waiting_on"))

    def begin(self, export: Export) -> bool:
        """Store a new export and take its pipeline's lock, both or neither.

        False if another export holds the lock, or this one began before.
        """
        take_lock = self._take_lock(export)
        take_lock["ConditionExpression"] += f" AND {NOT_BEGUN_BEFORE}"
        item = _key(export.pipeline, export.record_key) | attributes_of(export)
        return self._write_all(
            {"Put": {"Item": typed(item), "ConditionExpression": "attribute_not_exists(pipeline)"}},
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
        update = set_attributes(_key(export.pipeline, HEAD), {"asked_to_show": export.snapshot_timestamp})
        update["ConditionExpression"] = (
            "export_in_flight = :mine AND (attribute_not_exists(asked_to_show) OR asked_to_show <= :asked_to_show)"
        )
        update["ExpressionAttributeValues"] |= typed({":mine": export.record_key})
        return self._wrote(self._client.update_item, **update)

    def asked_views(self, export: Export) -> tuple[str, ...]:
        """Return the views that were asked to show the export's snapshot, even if the table stack was deleted."""
        head = self._get(export.pipeline, HEAD) or {}
        if head.get("asked_to_show") != export.snapshot_timestamp:
            return ()
        return tuple(texts_of(head.get("entities"))) or (export.catalog_name,)

    def free(self, pipeline: str, holder: str) -> bool:
        """Free a lock whose holder has no record. False if another export holds it now."""
        update = set_attributes(_key(pipeline, HEAD), {}, removed=["export_in_flight"])
        update["ConditionExpression"] = "export_in_flight = :holder"
        update["ExpressionAttributeValues"] = typed({":holder": holder})
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

    def replace_invalid(self, record: InvalidRecord, ended: Export) -> bool:
        """Replace an invalid record by that of the ended export, and free the lock if it holds it.

        False if the record has changed since it was read.
        """
        item = _key(record.pipeline, record.record) | attributes_of(ended) | self._expires(ended)
        comparable = [name for name in (*FENCE, "stage") if isinstance(record.item.get(name, ""), str)]
        condition, values = _unchanged(record.item, comparable)
        put = {"Item": typed(item), "ConditionExpression": condition}
        if values:
            put["ExpressionAttributeValues"] = values
        if self._write_all({"Put": dict(put)}, {"Update": self._note_end(ended)}):
            return True
        return self._wrote(self._client.put_item, **put)

    def register(self, pipeline: Pipeline) -> bool:
        """Claim the pipeline's catalog name and store its configuration, both or neither.

        The pipeline's state is kept. Attributes of it that someone made invalid are removed.

        False if another stack, or another pipeline of this stack, has the name.
        """
        invalid = invalid_state(self._get(pipeline.pipeline, HEAD) or {})
        attributes = attributes_of(pipeline)
        head = set_attributes(_key(pipeline.pipeline, HEAD), attributes, removed=sorted(invalid - attributes.keys()))
        return self._write_all({"Put": _put_claim(pipeline.catalog_name, pipeline)}, {"Update": head})

    def claim_entities(self, export: Export, pipeline: Pipeline, names: Sequence[str]) -> bool:
        """Claim the names of new entities and add them to the pipeline's head, all or none.

        False if another pipeline holds one of them, or the head is not as in `pipeline` any more.
        """
        known = {"entities": (*pipeline.entities, *names), "new_entities": (*pipeline.new_entities, *names)}
        head = set_attributes(_key(pipeline.pipeline, HEAD), known)
        expected: dict[str, Any] = {"stack_id": pipeline.stack_id, "export_in_flight": export.record_key}
        expected |= {"entities": pipeline.entities} if pipeline.entities else {}
        head["ConditionExpression"], values = _unchanged(expected, ("stack_id", "export_in_flight", "entities"))
        head["ExpressionAttributeValues"] |= values
        return self._write_all(*({"Put": _put_claim(name, pipeline)} for name in names), {"Update": head})

    def release_entities(self, export: Export) -> None:
        """Free the names of entities that the export's snapshot does not have, and take them off the head.

        A snapshot has all earlier entities, also without items, unless someone started over. Call it when all views
        show the snapshot. It does nothing if another export holds the lock, or the stack was deleted.
        """
        head, published = self._get(export.pipeline, HEAD) or {}, {entity.name for entity in export.entities}
        gone = [name for name in texts_of(head.get("entities")) if name not in published]
        if not gone or "stack_id" not in head:
            return
        holder = {"held_by": export.pipeline, "stack_id": head["stack_id"]}
        some = gone[:NAMES_AT_ONCE]
        held = [name for name in some if self.holder(name) == tuple(holder.values())]
        left = {
            attribute: tuple(name for name in texts_of(head.get(attribute)) if name not in some)
            for attribute in ("entities", "new_entities")
        }
        known = {attribute: names for attribute, names in left.items() if names}
        update = set_attributes(_key(export.pipeline, HEAD), known, removed=left.keys() - known.keys())
        expected = holder | {"export_in_flight": export.record_key, "entities": tuple(texts_of(head["entities"]))}
        update["ConditionExpression"], values = _unchanged(expected, ("stack_id", "export_in_flight", "entities"))
        update["ExpressionAttributeValues"] |= values
        deletes = [{"Delete": _if_equal(_claim(name), holder)} for name in held]
        if self._write_all({"Update": update}, *deletes) and len(gone) > len(some):
            self.release_entities(export)

    def holder(self, catalog_name: str) -> tuple[str, str] | None:
        """Return the pipeline that holds a catalog name, maybe for an entity, and the id of its stack. None: free."""
        claim = self._get(*_claim(catalog_name).values()) or {}
        return (str(claim["held_by"]), str(claim["stack_id"])) if {"held_by", "stack_id"} <= claim.keys() else None

    def holders(self) -> dict[str, tuple[str, str]]:
        """Return for each catalog name that is held: the pipeline that holds it, and the id of its stack."""
        claims = (item for item in self._all_of("stack_id") if item["record"] == CLAIM)
        return {
            claim["pipeline"].removeprefix(CATALOG_NAME): (str(claim.get("held_by")), str(claim["stack_id"]))
            for claim in claims
        }

    def unregister(self, name: str, stack_id: str, held: str | None = None) -> None:
        """Free a pipeline's catalog name and those of its entities, unless they belong to another stack by now.

        `held`: a name that it is known to hold, even if its head does not say so.

        The pipeline's state is kept, with the export in flight: a later stack of the same name continues from there,
        and its view never moves backwards. The records of its exports stay until they expire.
        """
        forget = set_attributes(_key(name, HEAD), {}, removed=["stack_id"])
        forget["ConditionExpression"] = "stack_id = :stack_id"
        forget["ExpressionAttributeValues"] = typed({":stack_id": stack_id})
        self._wrote(self._client.update_item, **forget)  # from now on, an export in flight claims no names
        head = self._get(name, HEAD) or {}
        entities = texts_of(head.get("entities"))
        for entity in [*entities, held] if held else entities:
            self._delete(_claim(entity), stack_id=stack_id, held_by=name)
        if entities and "stack_id" not in head:
            free = set_attributes(_key(name, HEAD), {}, removed=["entities", "new_entities"])
            free["ConditionExpression"] = "attribute_not_exists(stack_id)"
            del free["ExpressionAttributeValues"]
            self._wrote(self._client.update_item, **free)
        self._delete(_claim(catalog_name_of(name)), stack_id=stack_id, held_by=name)

    def _change(self, before: Export, after: Export) -> dict[str, Any]:
        """Return the write of a transition, on the condition that the record is still as in `before`."""
        old, new = attributes_of(before), attributes_of(after)
        changed = {name: value for name, value in new.items() if old.get(name) != value or name in DERIVED}
        removed = old.keys() - new.keys()
        if after.ended:
            changed |= self._expires(after)
        elif before.ended:
            removed |= {"expires_at"}
        update = set_attributes(_key(before.pipeline, before.record_key), changed, removed)
        update["ConditionExpression"], values = _unchanged(old, FENCE)
        update["ExpressionAttributeValues"] |= values
        return update

    def _expires(self, export: Export) -> dict[str, Any]:
        return {"expires_at": int((export.requested_at + self._history).timestamp())}

    def _take_lock(self, export: Export) -> dict[str, Any]:
        taken = {"export_in_flight": export.record_key, "latest_export_id": export.export_id}
        update = set_attributes(_key(export.pipeline, HEAD), taken)
        update["ConditionExpression"] = f"{IS_REGISTERED} AND {LOCK_IS_FREE}"
        return update

    def _note_end(self, export: Export) -> dict[str, Any]:
        """Return the write that adds an end to the head.

        Only the holder of the lock writes ends, so the read before the write is not a race.
        """
        known: dict[str, Any]
        if export.stage == Stage.SUCCEEDED:
            known = {"published_snapshot": export.snapshot_timestamp, "last_succeeded_at": export.ended_at}
            if export.hot_share is not None:
                known["hot_share"] = export.hot_share
        else:
            known = {"last_failed_at": export.ended_at}
            if export.published:
                known["published_snapshot"] = export.snapshot_timestamp
        head = self._get(export.pipeline, HEAD) or {}
        recent = (*ends_of(head), End.of(export))
        latest = known.get("published_snapshot") or next(iter(texts_of([head.get("published_snapshot")])), None)
        published = published_in(texts_of(head.get("published_snapshots")), latest, recent)
        keep = head.get("keep_snapshots")
        known["recent"] = recent[-RECENT:]
        if export.stage == Stage.SUCCEEDED and export.appeared:
            new = texts_of(head.get("new_entities"))
            known["new_entities"] = tuple(name for name in new if name not in export.appeared)
        known["published_snapshots"] = published_to_list(published, int(keep) if isinstance(keep, Decimal) else 0)
        update = set_attributes(_key(export.pipeline, HEAD), known, removed={"export_in_flight"})
        update["ConditionExpression"] = "export_in_flight = :mine"
        update["ExpressionAttributeValues"] |= typed({":mine": export.record_key})
        return update

    def _get(self, pipeline: str, record: str) -> dict[str, Any] | None:
        key = typed(_key(pipeline, record))
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
            ExpressionAttributeValues=typed({":value": value}),
        )
        return [plain(item) for item in found["Items"]]

    def _delete(self, key: dict[str, str], **expected: str) -> bool:
        return self._wrote(self._client.delete_item, **_if_equal(key, expected))

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


def _unchanged(item: dict[str, Any], names: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """Return the condition that a record exists and has these attributes as in `item`, and the condition's values."""
    conditions = [f"{name} = :was_{name}" if name in item else f"attribute_not_exists({name})" for name in names]
    values = {f":was_{name}": item[name] for name in names if name in item}
    return " AND ".join(["attribute_exists(pipeline)", *conditions]), typed(values)


def _if_equal(key: dict[str, str], expected: dict[str, str]) -> dict[str, Any]:
    """Return the request to delete a record that has these attributes."""
    return {
        "Key": typed(key),
        "ConditionExpression": " AND ".join(f"{name} = :{name}" for name in expected),
        "ExpressionAttributeValues": typed({f":{name}": value for name, value in expected.items()}),
    }


def _or_invalid(parse: Callable[[dict[str, Any]], T], item: dict[str, Any]) -> T | InvalidRecord:
    try:
        return parse(item)
    except InvalidRecord as error:
        return error


def _key(pipeline: str, record: str) -> dict[str, str]:
    return {"pipeline": pipeline, "record": record}


def claim_record(catalog_name: str, pipeline: Pipeline) -> dict[str, Any]:
    """Return the record by which the pipeline holds a catalog name, as DynamoDB's API has it."""
    return typed(_claim(catalog_name) | {"stack_id": pipeline.stack_id, "held_by": pipeline.pipeline})


def _put_claim(catalog_name: str, pipeline: Pipeline) -> dict[str, Any]:
    """Return the write that claims a catalog name for the pipeline, unless another holds it."""
    holder = {"stack_id": pipeline.stack_id, "held_by": pipeline.pipeline}
    return {
        "Item": claim_record(catalog_name, pipeline),
        "ConditionExpression": "attribute_not_exists(pipeline) OR (stack_id = :stack_id AND held_by = :held_by)",
        "ExpressionAttributeValues": typed({f":{name}": value for name, value in holder.items()}),
    }


def _claim(catalog_name: str) -> dict[str, str]:
    """Return the key of a claim, which gives a catalog name to one pipeline. No pipeline's name has a slash."""
    return _key(f"{CATALOG_NAME}{catalog_name}", CLAIM)
