"""The snapshot tables of a pipeline with entities: those of earlier snapshots, and what must stay as it was."""

from collections import Counter
from typing import Any, NamedTuple

from table_export_job.arguments import JobArguments
from table_export_job.columns import SnapshotTable, read_latest_manifest
from table_export_job.continuity import Published, ensure_continued
from table_export_job.entities import entity_names
from table_export_job.errors import PermanentError
from table_export_job.folders import catalog_name
from table_export_job.routing import Router, Value

MOST_FREQUENT = 10  # values in the message about too many
VALUE_CHARACTERS = 60  # of each


class TableKey(NamedTuple):
    """Identifies a snapshot table: that of an entity, by the value of its type, or that of all items."""

    value: Value = None  # None for the rest
    wide: bool = False


WIDE = TableKey(wide=True)


class EarlierTables(NamedTuple):
    """The snapshot tables, as the manifest of the latest snapshot describes them."""

    names: dict[Value, str]  # in the catalog, of the entities
    tables: dict[TableKey, SnapshotTable]

    @classmethod
    def from_manifest(cls, manifest: dict[str, Any]) -> "EarlierTables":
        """Raises as SnapshotTable.from_manifest."""
        if "entities" not in manifest:
            return cls({}, {WIDE: SnapshotTable.from_manifest(manifest)})
        tables = {
            WIDE if section.get("wide") else TableKey(section["value"]): SnapshotTable.from_manifest(manifest | section)
            for section in manifest["entities"]
        }
        return cls(Published.of(manifest).names, tables)

    def of(self, key: TableKey) -> SnapshotTable:
        return self.tables.get(key, SnapshotTable([], {}))


def read_earlier_tables(s3: Any, arguments: JobArguments, router: Router) -> EarlierTables:
    """The snapshot tables as they were before this export.

    Raises PermanentError as `read_latest_manifest`, or if a table would no longer be written, or have another name.
    """
    earlier = read_latest_manifest(s3, arguments, EarlierTables.from_manifest) or EarlierTables({}, {})
    ensure_continued(router.block, Published(earlier.names, WIDE in earlier.tables), catalog_name(arguments))
    return earlier


def names_of(values: set[Value], arguments: JobArguments, earlier: EarlierTables, router: Router) -> dict[Value, str]:
    """The names of these entities in the catalog."""
    return entity_names(values, router.given_names, catalog_name(arguments), earlier.names)


def is_too_many(items: Counter[Value], earlier: EarlierTables, router: Router) -> bool:
    return len((items.keys() | earlier.names.keys()) - router.omitted) > router.max_entities


def ensure_not_too_many(items: Counter[Value], earlier: EarlierTables, router: Router) -> None:
    """Raises PermanentError if there are more entities than allowed. `items` counts the items of some values."""
    if is_too_many(items, earlier, router):
        frequent = ", ".join(f"{described(value)} ({count})" for value, count in items.most_common(MOST_FREQUENT))
        raise PermanentError(
            f"There are more than {router.max_entities} entities. The most frequent values of items counted so far: "
            f"{frequent}. Nothing was published. If these are not the types of items, correct `by` in Entities. "
            "Otherwise increase max_entities (200 at most), or omit types."
        )


def described(value: Value) -> str:
    if value is None:
        return "no type"
    return f'"{value}"' if len(value) <= VALUE_CHARACTERS else f'"{value[:VALUE_CHARACTERS]}…"'
