"""The snapshots of one table, one after another, and what an engine must show of them."""

from dataclasses import dataclass, field
from typing import Any

from tests.trino.lake import Item, Lake, timestamp_of
from tests.trino.promised import Type, column_name, extended_type, promised_type, shows, type_of

PARTITION = "snapshot_timestamp"


@dataclass
class Column:
    name: str
    attribute: str
    types: dict[int, Type]  # in each snapshot that fills it

    @property
    def type(self) -> Type:
        return self.types[max(self.types)]

    @property
    def since(self) -> int:
        return min(self.types)


@dataclass
class History:
    """`snapshots` are the items that the table had, each time it was exported. `id` is its key, a string."""

    output_format: str
    snapshots: list[list[Item]]
    columns: list[Column] = field(init=False)

    def __post_init__(self) -> None:
        self.columns = []
        for number in range(len(self.snapshots)):
            seen = self._values(number)
            for attribute in sorted(seen, key=self._precedence):
                known = [column for column in self.columns if column.attribute == attribute]
                if known and (kind := extended_type(known[-1].type, seen[attribute], self.output_format)):
                    known[-1].types[number] = kind
                else:
                    kind = promised_type(seen[attribute], self.output_format)
                    self.columns.append(Column(self._free_name(attribute), attribute, {number: kind}))

    def _values(self, number: int) -> dict[str, list[Any]]:
        """Of each attribute, all values that it has had up to this snapshot."""
        seen: dict[str, list[Any]] = {"id": []}
        for items in self.snapshots[: number + 1]:
            for item in items:
                for attribute, value in item.items():
                    seen.setdefault(attribute, []).append(value)
        return seen

    def _precedence(self, attribute: str) -> tuple[bool, bool, str]:
        """Of attributes that collide, the one that needs no other name keeps it, unless it has a column already."""
        has_column = any(column.attribute == attribute for column in self.columns)
        return has_column, column_name(attribute, self.output_format) != attribute, attribute

    def _free_name(self, attribute: str) -> str:
        name = candidate = column_name(attribute, self.output_format)
        taken = {column.name for column in self.columns} | {PARTITION}
        number = 1
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        return candidate

    def column_of(self, attribute: str, number: int) -> str:
        """The column that the snapshot of this number filled."""
        known = [column for column in self.columns if column.attribute == attribute and column.since <= number]
        return known[-1].name

    def check(self, lake: Lake, name: str) -> None:
        """Compare all that Trino shows of the snapshot table and of the view with the items."""
        found = lake.query(f"SELECT * FROM snapshots_{name}")
        types = {column.name: type_of(column.signature) for column in found.columns}
        self.check_snapshots(types, found.as_dicts())
        self._check_view(lake, name)

    def check_snapshots(self, types: dict[str, Type], found: list[dict[str, Any]]) -> None:
        """Compare the types of the snapshot table's columns, and all of its rows, with the items."""
        promised = {column.name: column.type for column in self.columns} | {PARTITION: "varchar"}
        names = sorted(types.keys() | promised.keys())
        assert types == promised, [(n, types.get(n), promised.get(n)) for n in names if types.get(n) != promised.get(n)]
        rows = {(row[PARTITION], row["id"]): row for row in found}
        assert len(rows) == len(found)
        wanted = {(timestamp_of(n + 1), item["id"]["S"]) for n, items in enumerate(self.snapshots) for item in items}
        assert rows.keys() == wanted
        for number, items in enumerate(self.snapshots):
            for item in items:
                row = rows[timestamp_of(number + 1), item["id"]["S"]]
                for column in self.columns:
                    self._check_cell(row[column.name], column, item, number)

    def _check_cell(self, found: Any, column: Column, item: Item, number: int) -> None:
        if column.since > number:
            assert found is None, (column, found)
        elif column.name == self.column_of(column.attribute, number):
            value = item.get(column.attribute)
            assert shows(found, value, column.types[number], self.output_format), (column, found, value)
        else:
            assert found is None, (column, found)

    def _check_view(self, lake: Lake, name: str) -> None:
        latest = len(self.snapshots) - 1
        found = lake.query(f"SELECT * FROM {name}")
        first: dict[str, str] = {}
        last: dict[str, Column] = {}
        for column in self.columns:
            first.setdefault(column.attribute, column.name)
            last[column.attribute] = column
        types = {column.name: type_of(column.signature) for column in found.columns}
        assert types == {first[a]: column.type for a, column in last.items()} | {PARTITION: "varchar"}
        rows = {row["id"]: row for row in found.as_dicts()}
        assert len(rows) == len(found.rows)
        assert rows.keys() == {item["id"]["S"] for item in self.snapshots[latest]}
        for item in self.snapshots[latest]:
            row = rows[item["id"]["S"]]
            assert row[PARTITION] == timestamp_of(latest + 1)
            for attribute, column in last.items():
                shown = row[first[attribute]]
                assert shows(shown, item.get(attribute), column.type, self.output_format), (column, shown, item)


def keep(lake: Lake, name: str, history: History, *, keep_partitions: bool = False, crawl: bool = False) -> None:
    """Write the history: each time the items, then a snapshot."""
    table = f"History-{name}"
    lake.make_table(table, id="S")
    for number, items in enumerate(history.snapshots):
        lake.write(table, items)
        lake.snapshot(table, name, history.output_format, number + 1, keep_partitions=keep_partitions, crawl=crawl)
