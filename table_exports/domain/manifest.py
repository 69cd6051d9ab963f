"""What the Glue job says it wrote, beside the snapshot: the proof that nothing is missing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from table_exports.domain.errors import Refused
from table_exports.domain.export import Export

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    export_id: str
    snapshot_timestamp: str
    items_counted: int  # by DynamoDB, while it was read
    items_written: int  # read back from the snapshot
    files: int
    bytes: int
    schema: dict[str, str]  # column -> Hive type, without the partition key

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises Refused if this is no manifest of the version that we know."""
        try:
            content = json.loads(text)
            if content["version"] != VERSION:
                raise Refused(
                    f"The manifest has version {content['version']}, not {VERSION}: deploy job and services anew"
                )
            schema = {column["name"]: column["type"] for column in content["schema"]}
            return cls(**{name: content[name] for name in cls.__slots__ if name != "schema"}, schema=schema)
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"The manifest cannot be read: {error!r}") from error

    def prove(self, export: Export) -> None:
        """Raises Refused unless this is the proof that the export's snapshot is complete."""
        if (self.export_id, self.snapshot_timestamp) != (export.export_id, export.snapshot_timestamp):
            raise Refused(f"The manifest is another export's, {self.export_id} of {self.snapshot_timestamp}")
        if self.items_counted != self.items_written:
            raise Refused(
                f"Incomplete snapshot: DynamoDB counted {self.items_counted} items, {self.items_written} were written"
            )

    def must_be_readable_as(self, columns: Mapping[str, str]) -> None:
        """Raises Refused if Athena could not read the snapshot with the catalog's `columns`, of name -> Hive type.

        The catalog keeps the type that a column had first. Fields of nested types may come and go.
        """
        for name, written in self.schema.items():
            cataloged = columns.get(name, written)
            if written != cataloged and not ("<" in written and "<" in cataloged):
                raise Refused(
                    f"Column {name} is {written} in this snapshot and {cataloged} in the catalog, by an earlier one: "
                    "remove the earlier snapshots and the table, or export under another CatalogName"
                )
