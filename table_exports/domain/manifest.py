"""The manifest, which the Glue job writes for each snapshot: the proof that it is complete, and its columns."""

import builtins
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

from table_exports.domain.errors import PermanentError
from table_exports.domain.export import Export
from table_exports.domain.naming import PARTITION_KEY

VERSION = 2
FAR_OFF_ITEMS = 1_000
FAR_OFF_SHARE = 10  # per cent


class OtherVersion(PermanentError):
    """The manifest is of a version that this package cannot read."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str  # Hive's, as cataloged
    attribute: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What a manifest says about one table of a pipeline with entities. Its fields are as those of the manifest."""

    name: str  # in the catalog
    value: str | None  # of the discriminator. None: the rest, or the table of all items
    wide: bool  # whether it is the table of all items, and no entity
    location: str  # the folder of the snapshot
    items_written: int
    files: int
    bytes: int
    columns: tuple[Column, ...]
    comments: dict[str, str]
    serde_parameters: dict[str, str]
    view_names: dict[str, str]
    not_converted: dict[str, int]

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        values = {name: content[name] for name in cls.__slots__ if name != "wide"}
        section = cls(**values | {"columns": _columns_of(content)}, wide=content.get("wide", False))
        _must(isinstance(section.name, str) and isinstance(section.location, str), "name and location must be text")
        _must(section.value is None or isinstance(section.value, str), f"value of {section.name} is not text")
        _must(isinstance(section.wide, bool), f"wide of {section.name} is not true or false")
        try:
            _check(section)
        except ValueError as error:
            raise ValueError(f"{section.name}: {error}") from error
        return section


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    export_id: str
    snapshot_timestamp: str
    output_format: str
    items_counted: int  # by DynamoDB while the table was read
    items_written: int  # counted in the finished files before they were published
    items_expected: int  # the table's own ItemCount
    files: int
    bytes: int
    columns: tuple[Column, ...]  # all of the snapshot table, in its order, without the partition key
    comments: dict[str, str]  # by column: the attribute, where the name of the column does not say it
    serde_parameters: dict[str, str]  # for the catalog's SerDe, in addition to those of the format
    hot_share: Decimal | None  # what one segment of the scan had far more of than the others. 0: none. None: not known
    view_names: dict[str, str] = field(default_factory=dict)  # by attribute: its name in the view, where declared
    not_converted: dict[str, int] = field(default_factory=dict)  # by attribute: values that do not fit its type
    items_omitted: int = 0  # of types that are omitted: they were read, and are in no file
    entities: tuple[Section, ...] = ()  # if there are any, they have the columns

    @classmethod
    def from_json(cls, text: str | builtins.bytes) -> Self:
        """Parse a manifest. Raises PermanentError if it is malformed, or of another version."""
        try:
            content = json.loads(text, parse_float=Decimal)
            if content["version"] != VERSION:
                raise OtherVersion(
                    f"The manifest has version {content['version']}, not {VERSION}: deploy job and services again"
                )
            for name in ("comments", "view_names", "not_converted"):  # earlier versions do not write all of them
                content.setdefault(name, {})
            content.setdefault("hot_share", None)  # 0.1.0 does not write it
            content.setdefault("items_omitted", 0)  # only with entities
            has_entities = "entities" in content
            values = {name: content[name] for name in cls.__slots__ if name != "entities"}
            values["columns"] = _columns_of(content)
            sections = tuple(map(Section.from_json, content["entities"])) if has_entities else ()
            _must(bool(sections) or not has_entities, "it has no entities")
            manifest = cls(**values, entities=sections)
            manifest._check()
            return manifest
        except KeyError as missing:
            raise PermanentError(
                f"The manifest cannot be read: it lacks {missing}. The job is of another version than the services: "
                "update the table stack"
            ) from missing
        except (ValueError, TypeError) as error:
            raise PermanentError(f"The manifest cannot be read: {error}") from error

    def prove(self, export: Export) -> None:
        """Raise PermanentError unless this proves that the export's snapshot is complete."""
        if (self.export_id, self.snapshot_timestamp) != (export.export_id, export.snapshot_timestamp):
            raise PermanentError(f"The manifest is another export's, {self.export_id} of {self.snapshot_timestamp}")
        if self.output_format != export.output_format:
            raise PermanentError(f"The snapshot is {self.output_format}, not {export.output_format}")
        if self.items_counted != self.items_written + self.items_omitted:
            omitted = f", {self.items_omitted} omitted" if self.items_omitted else ""
            raise PermanentError(
                f"Incomplete snapshot: DynamoDB counted {self.items_counted} items, {self.items_written} were "
                f"written{omitted}"
            )

    @property
    def view_columns(self) -> list[tuple[str, str]]:
        """Each attribute once: its last column, and its name in the view.

        That is the name that the column contract declares, or else the name of its first column.
        """
        return _view_columns(self)

    @property
    def hot_key(self) -> str | None:
        """A message for an operator if one segment of the scan had far more to read than the others."""
        if not self.hot_share:
            return None
        return (
            f"One segment of the scan had {self.hot_share:.0%} of what was read: one partition key has many or large "
            "items. Only one task can read them, so more workers do not shorten the scan. If that is too slow, read by "
            "a table export (ReadMode export)"
        )

    @property
    def warning(self) -> str | None:
        """A message for an operator if the table's own count is far from the number of items written."""
        off = abs(self.items_written - self.items_expected)
        if off <= FAR_OFF_ITEMS or off * 100 <= self.items_expected * FAR_OFF_SHARE:
            return None
        return (
            f"The snapshot has {self.items_written} items, the table's own ItemCount is {self.items_expected}. "
            "DynamoDB updates it every six hours. If the table did not change that much since then, find out why"
        )

    def _check(self) -> None:
        """Raise ValueError for values that neither the catalog nor an event can have."""
        for name in ("export_id", "snapshot_timestamp", "output_format"):
            _must(isinstance(getattr(self, name), str), f"{name} is not text")
        for name in ("items_counted", "items_expected", "items_omitted"):
            _must(_is_count(getattr(self, name)), f"{name} is {getattr(self, name)!r}, which is not a count")
        share = self.hot_share
        _must(share is None or _is_share(share), f"hot_share is {share}, not a share")
        _check(self, has_columns=not self.entities)
        if not self.entities:
            return _must(self.items_omitted == 0, "it has omitted items and no entities")
        names = [section.name for section in self.entities]
        _must(len(set(names)) == len(names), "two entities have the same name")
        for whole in (True, False):
            parts = [section.items_written for section in self.entities if section.wide == whole]
            _must(
                not parts or sum(parts) == self.items_written, f"its tables have {parts} items of {self.items_written}"
            )
        _must(not all(section.wide for section in self.entities), "it has no entities")
        _must(sum(section.wide for section in self.entities) <= 1, "it has two tables of all items")


def _view_columns(table: Manifest | Section) -> list[tuple[str, str]]:
    first: dict[str, str] = {}
    last: dict[str, str] = {}
    for column in table.columns:
        first.setdefault(column.attribute, column.name)
        last[column.attribute] = column.name
    return [(last[attribute], table.view_names.get(attribute, name)) for attribute, name in first.items()]


def _columns_of(content: dict[str, Any]) -> tuple[Column, ...]:
    return tuple(Column(column["name"], column["type"], column["attribute"]) for column in content["columns"])


def _check(table: Manifest | Section, *, has_columns: bool = True) -> None:
    """Raise ValueError for counts and columns that the catalog cannot have."""
    for name in ("items_written", "files", "bytes"):
        _must(_is_count(getattr(table, name)), f"{name} is {getattr(table, name)!r}, which is not a count")
    counts = table.not_converted
    _must(isinstance(counts, dict) and all(map(_is_count, counts.values())), "not_converted must have counts")
    for name in ("serde_parameters", "comments", "view_names"):
        _must(_is_text_to_text(getattr(table, name)), f"{name} must map text to text")
    _must(bool(table.columns) == has_columns, f"it has {'no ' * has_columns}columns")
    names = set()
    for column in table.columns:
        _must(
            all(isinstance(text, str) for text in (column.name, column.type, column.attribute))
            and bool(column.name and column.type),  # an attribute's name may be empty
            f"{column} is not a column",
        )
        folded = column.name.lower()  # as the catalog has it
        _must(folded not in names, f"two columns are named {folded}")
        _must(folded != PARTITION_KEY, f"a column is named {PARTITION_KEY}, which is reserved for the partition key")
        names.add(folded)
    shown = [name.lower() for _, name in _view_columns(table)]
    _must(len(set(shown)) == len(shown), "two columns of the view have the same name")


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_share(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and 0 <= value <= 1


def _is_text_to_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair)
