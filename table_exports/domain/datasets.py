"""The tables and views that an export publishes: one of each, or one of each entity."""

from collections.abc import Iterable
from dataclasses import replace

from table_exports.domain import naming
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import EntityItems, Export
from table_exports.domain.manifest import Manifest, Section
from table_exports.domain.pipeline import Pipeline

LONGEST_VALUE = 255  # characters
Dataset = tuple[Export, Manifest]  # as if the export had this table and view alone


def datasets(export: Export, manifest: Manifest) -> list[Dataset]:
    """Return each table and view to publish, in the order in which they are published.

    Raises PermanentError if a table would have the name or the folder of another pipeline.
    """
    if not manifest.entities:
        return [(export, manifest)]
    return [(_export_of(section, export), _manifest_of(section, manifest)) for section in manifest.entities]


def names_not_held(tables: Iterable[Dataset], pipeline: Pipeline) -> list[str]:
    """Return the names of tables that the pipeline does not hold, for example after its stack was deployed again."""
    held = {table.catalog_name for table in pipeline.tables}
    return [export.catalog_name for export, _ in tables if export.catalog_name not in held]


def entity_items(manifest: Manifest) -> list[EntityItems]:
    """Return how many items each entity has, without the table of all items."""
    return [
        EntityItems(section.name, section.items_written, _shortened(section.value))
        for section in manifest.entities
        if not section.wide
    ]


def _shortened(value: str | None) -> str | None:
    """Return a value that a record and an event can have. A value is data, and can be of any length."""
    return value if value is None or len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"


def _export_of(section: Section, export: Export) -> Export:
    if section.wide:
        found, valid = export, section.name == export.catalog_name
    else:
        folder = naming.entity_prefix(export.output_prefix, section.name)
        found = replace(export, catalog_name=section.name, output_prefix=folder)
        valid = naming.is_entity_of(export.catalog_name, section.name)
    if not valid:
        raise PermanentError(
            f"The manifest has a table {section.name}, which is no name of an entity of {export.catalog_name}: "
            "request a new export"
        )
    if section.location.rstrip("/") != found.snapshot_location.rstrip("/"):
        raise PermanentError(
            f"The manifest has {section.name} in {section.location}, and its folder is {found.snapshot_location}: "
            "request a new export"
        )
    return found


def _manifest_of(section: Section, manifest: Manifest) -> Manifest:
    return replace(
        manifest,
        items_counted=section.items_written,
        items_written=section.items_written,
        items_omitted=0,
        files=section.files,
        bytes=section.bytes,
        columns=section.columns,
        comments=section.comments,
        serde_parameters=section.serde_parameters,
        view_names=section.view_names,
        not_converted=section.not_converted,
        entities=(),
    )
