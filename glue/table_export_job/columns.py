"""The columns of the snapshot table: those of earlier snapshots, and those that this snapshot adds."""

import json
import os
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from table_export_job.arguments import PARTITION_COLUMN, TIMESTAMP, JobArguments
from table_export_job.attributes import Attributes, Seen, merge
from table_export_job.continuity import Published, ensure_continued
from table_export_job.contract import NO_RULES, Contract
from table_export_job.entities import attribute_of
from table_export_job.errors import START_OVER, PermanentError
from table_export_job.folders import of_all_tables
from table_export_job.names import column_names, folded, precedence, shortened
from table_export_job.s3 import bucket_and_key, get, list_objects, names_in
from table_export_job.types import (
    SAME_NAMES,
    KnownType,
    TypeRules,
    arrow_type_of_hive,
    column_type,
    hive_type_of_arrow,
    is_extended,
)

MANIFEST_VERSION = 2
COMMENT = "DynamoDB attribute "  # so begin the comments of columns. The services recognize them by it
COMMENT_BYTES = 255  # the longest comment of a column that the Glue Data Catalog accepts

T = TypeVar("T")


class SnapshotColumn(NamedTuple):
    """A column of the snapshot table."""

    name: str
    type: str  # as the catalog writes it
    attribute: str
    fields: dict[str, str] | None = SAME_NAMES  # as ColumnType.fields; None in manifests of 0.1.0

    def known_type(self, seen: Seen | None, rules: TypeRules) -> KnownType | None:
        """What is known of the type of a column with structs. None if the attributes of its fields are not known.

        `seen` is what was known of the attribute when the column got its type.
        """
        if "struct<" not in self.type or seen is None:
            return None
        arrow, fields = arrow_type_of_hive(self.type), self.fields
        if fields is None:
            by_rule = column_type(seen, rules)
            if by_rule.arrow != arrow:
                return None
            fields = by_rule.fields
        return KnownType(arrow, fields)


class SnapshotTable(NamedTuple):
    """The snapshot table, as the manifest of the latest snapshot describes it."""

    columns: list[SnapshotColumn]
    attributes: Attributes
    hashed: list[str] = []  # noqa: RUF012  # paths of attributes whose values are hashed
    serde_parameters: dict[str, str] | None = None

    @classmethod
    def from_manifest(cls, manifest: dict[str, Any]) -> "SnapshotTable":
        """Raises ValueError, LookupError, TypeError or AttributeError if no export wrote this manifest."""
        if manifest["version"] != MANIFEST_VERSION:
            raise ValueError(f"version {manifest['version']}")
        columns = [SnapshotColumn(**column) for column in manifest["columns"]]
        arrow_schema(columns)
        if not columns or not all(isinstance(text, str) for column in columns for text in column[:3]):
            raise ValueError(f"columns {columns!r}")
        fields = manifest.get("fields")
        for place, column in enumerate(columns):
            columns[place] = column._replace(fields=None if fields is None else fields.get(column.name, {}))
        if not all(isinstance(text, str) for each in (fields or {}).values() for pair in each.items() for text in pair):
            raise ValueError(f"fields {fields!r}")
        attributes = {name: Seen.from_json(known) for name, known in manifest["attributes"].items()}
        hashed = [str(path) for path in manifest.get("hashed", [])]
        return cls(columns, attributes, hashed, manifest.get("serde_parameters"))


def read_snapshot_table(s3: Any, arguments: JobArguments) -> SnapshotTable:
    """The snapshot table as it was before this export: the latest manifest knows all its columns.

    Raises PermanentError as `read_latest_manifest` and `single_table`.
    """
    return read_latest_manifest(s3, arguments, single_table) or SnapshotTable([], {})


def single_table(manifest: dict[str, Any]) -> SnapshotTable:
    """Raises PermanentError if the snapshots are of entities: their tables would no longer be updated."""
    ensure_continued(None, Published.of(manifest), "")
    return SnapshotTable.from_manifest(manifest)


def read_latest_manifest(s3: Any, arguments: JobArguments, parse: Callable[[dict[str, Any]], T]) -> T | None:
    """What the latest manifest says of earlier snapshots. None if there is no manifest.

    Raises PermanentError if the columns are unknown, or if the snapshot of this export would not fit the earlier ones.
    If columns started over, formats that are read by position would show old values under other names.
    """
    latest = max((name for name in names_in(s3, arguments.manifests) if name.endswith(".json")), default="")
    if lost := snapshot_without_manifest(s3, arguments, latest.removesuffix(".json")):
        raise PermanentError(
            f"The columns of the snapshot table are unknown: {lost} has no manifest in {arguments.manifests}. "
            f"Restore it with table-exports repair, or {START_OVER}."
        )
    if not latest:
        return None
    uri = f"{arguments.manifests}{latest}"
    try:
        manifest = json.loads(get(s3, uri))
        output_format, earlier = manifest["output_format"], parse(manifest)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise PermanentError(
            f"The columns of the snapshot table are unknown: {uri} is not a manifest of version {MANIFEST_VERSION} "
            f"({error!r}). Restore that file with table-exports repair, or delete it if no export wrote it, or "
            f"{START_OVER}."
        ) from error
    if output_format != arguments.output_format:
        raise PermanentError(
            f"A folder cannot hold two formats: according to {uri} its snapshots are {output_format}, but "
            f"--output_format is {arguments.output_format}. Deploy another table stack with its own CatalogName, or "
            f"{START_OVER}."
        )
    if latest > os.path.basename(arguments.manifest):
        raise PermanentError(
            f"{uri} belongs to a later snapshot than {arguments.snapshot_timestamp}, so the columns that this export "
            "adds would be lost. Request a new export, or delete that file if no export wrote it."
        )
    return earlier


def snapshot_without_manifest(s3: Any, arguments: JobArguments, after: str) -> str | None:
    """The folder of a snapshot later than `after`, if there is one. The snapshot of this export is removed before."""
    end = chr(ord("/") + 1)  # sorts after all files of that snapshot
    for table in of_all_tables(s3, arguments):
        folder = f"{table.output_prefix}/{PARTITION_COLUMN}="
        start = bucket_and_key(f"{folder}{after}{end}" if after else folder)["Key"]
        for found in list_objects(s3, folder, StartAfter=start):
            if snapshot := re.search(rf"/{PARTITION_COLUMN}=({TIMESTAMP})/.", found["Key"]):
                return table.location_of(snapshot[1])
    return None


def ensure_names_are_free(contract: Contract, earlier: SnapshotTable) -> None:
    """Raises PermanentError if another attribute has a column with a name of the contract."""
    for attribute, name in contract.names.items():
        for column in earlier.columns:
            if folded(column.name) == folded(name) and column.attribute != attribute:
                raise PermanentError(
                    f"Columns.{attribute}: name {name} is the column of attribute {quoted(column.attribute)} already. "
                    f"Choose another name, or {START_OVER}."
                )


def snapshot_columns(
    attributes: Attributes,
    table: dict[str, Any],
    earlier: SnapshotTable,
    rules: TypeRules,
    contract: Contract = NO_RULES,
    placeholders: Sequence[str] = (),
) -> tuple[list[SnapshotColumn], Attributes]:
    """All columns of the snapshot table, and everything that is known about each attribute.

    `attributes` is what was observed of all items. Raises PermanentError if there is no column.
    """
    columns, known = expected_columns(attributes, table, earlier, rules, contract, placeholders)
    if not columns:
        raise PermanentError("Columns omits all attributes. Keep at least one key attribute of the table.")
    return columns, known


def expected_columns(
    attributes: Attributes,
    table: dict[str, Any],
    earlier: SnapshotTable,
    rules: TypeRules,
    contract: Contract = NO_RULES,
    placeholders: Sequence[str] = (),
) -> tuple[list[SnapshotColumn], Attributes]:
    """The same if `attributes` is what was observed of some items, or of none. There may be no column yet.

    Columns are only added, at the end. They keep their types, except that structs get additional fields at their end.
    So Athena can read old and new snapshots, by name and by position alike. If values of an attribute no longer fit its
    column, the attribute gets a new column. New columns are in the order of the key attributes, then of names. The keys
    come from DescribeTable, so the snapshot of an empty table has columns, too. If names collide, those of earlier
    snapshots stay. Then those that the contract and placeholders give come first, and then an attribute whose name
    needs no change keeps it. The values of placeholders are attributes of an entity's items, and always text.
    """
    types = {definition["AttributeName"]: definition["AttributeType"] for definition in table["AttributeDefinitions"]}
    keys = [element["AttributeName"] for element in sorted(table["KeySchema"], key=lambda element: element["KeyType"])]
    keys = [key for key in keys if not contract.omits(key)]
    seen_keys = {key: Seen({contract.kind_of_key(key, types[key])}) for key in keys}
    given = {attribute_of(name): name for name in placeholders}
    seen_keys |= {attribute: Seen({"S"}) for attribute in given}
    keys += given
    attributes = merge(seen_keys, contract.without_converted(attributes))
    first_to_name = partial(precedence, ascii_only=rules.ascii_names)
    for seen in attributes.values():
        seen.sort(first_to_name)
    current = {column.attribute: column for column in earlier.columns}
    known = {name: column.known_type(earlier.attributes.get(name), rules) for name, column in current.items()}
    attributes = merge(deepcopy(earlier.attributes), attributes)
    contract.declare(attributes)
    rehashed = {name for name in current if contract.hashes_otherwise(name, attributes[name], earlier.hashed)}
    known |= dict.fromkeys(rehashed)
    needed = {name: column_type(seen, rules, known.get(name)) for name, seen in attributes.items()}
    columns, fitting = list(earlier.columns), set()
    for place, column in enumerate(columns):
        found, before = needed[column.attribute], known[column.attribute]
        hive = hive_type_of_arrow(found.arrow)
        fits = column.type == hive or (before is not None and is_extended(before.type, found.arrow))
        if fits and column is current[column.attribute] and column.attribute not in rehashed:
            columns[place] = SnapshotColumn(column.name, hive, column.attribute, found.fields)
            fitting.add(column.attribute)
    added = [name for name in attributes if name not in fitting]
    wanted = contract.wanted_names | given
    added.sort(key=lambda name: (name not in wanted, name in current, first_to_name(name)))
    reserved = (name for attribute, name in (contract.names | given).items() if attribute not in added)
    taken = [PARTITION_COLUMN, *(column.name for column in columns), *reserved]
    names = column_names(added, taken, ascii_only=rules.ascii_names, wanted=wanted)
    added.sort(key=lambda name: (keys.index(name) if name in keys else len(keys), names[name]))
    for name in added:
        found = needed[name]
        columns.append(SnapshotColumn(names[name], hive_type_of_arrow(found.arrow), name, found.fields))
    return columns, attributes


def view_names(columns: list[SnapshotColumn], contract: Contract) -> dict[str, str]:
    """By attribute: the name that the contract gives it, if its first column has another one."""
    first = {column.attribute: column.name for column in reversed(columns)}
    return {attribute: name for attribute, name in contract.names.items() if first.get(attribute, name) != name}


def column_comments(columns: list[SnapshotColumn]) -> dict[str, str]:
    """By column name: a comment that names the attribute, where the names of column and fields alone do not.

    An older column of an attribute, from before its type changed, has the fields of its time. They are not listed.
    """
    current = {column.attribute: column for column in columns}
    comments = {}
    for column in columns:
        fields = (column.fields or {}) if current[column.attribute] is column else {}
        if fields or column.name != column.attribute:
            listed = ", ".join(f"{field} {quoted(name)}" for field, name in fields.items())
            comment = f"{COMMENT}{quoted(column.attribute)}{', its fields: ' if fields else ''}{listed}"
            fits = shortened(comment, COMMENT_BYTES)
            comments[column.name] = fits if fits == comment else f"{shortened(comment, COMMENT_BYTES - 3)}…"
    return comments


def quoted(attribute: str) -> str:
    """The name in quotation marks, on one line: the catalog accepts no control characters."""
    text = json.dumps(attribute, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def arrow_schema(columns: list[SnapshotColumn]) -> pa.Schema:
    return pa.schema([pa.field(column.name, arrow_type_of_hive(column.type)) for column in columns])
