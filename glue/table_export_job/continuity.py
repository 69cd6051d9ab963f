"""What a pipeline has published, it goes on publishing, because queries depend on it. docs/entities.md.

`make deploy` compares the block Entities with the latest manifest before it deploys anything, and the job before it
reads the table.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from table_export_job.blocks import Problem
from table_export_job.entities import MAX_ENTITIES, MOST_ENTITIES, REST, full_name
from table_export_job.errors import START_OVER, PermanentError

OTHERWISE = f"deploy another table stack with its own CatalogName, or {START_OVER}"


class Published(NamedTuple):
    """The tables that the latest manifest describes."""

    names: dict[str | None, str]  # of the entities in the catalog, by value. None: the rest
    wide: bool  # whether there is a table of all items
    entities: bool = True  # whether it is of a pipeline with entities

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> "Published":
        """Raises LookupError, TypeError or AttributeError for what is no manifest."""
        if "entities" not in manifest:
            return cls({}, wide=True, entities=False)
        sections = manifest["entities"]
        names = {each["value"]: str(each["name"]) for each in sections if not each.get("wide")}
        return cls(names, wide=any(each.get("wide") for each in sections))


def problems(block: dict[str, Any] | None, published: Published, catalog_name: str) -> Iterator[Problem]:
    """What an export with this valid block would no longer publish, each problem with its place and the remedy."""
    if block is None:
        if published.entities:
            yield (), f"the latest snapshot has tables of entities. Restore this block, {OTHERWISE}"
        return
    if published.wide and not block.get("wide", False):
        yield (
            ("wide",),
            f"the table {catalog_name} of all items would no longer be updated. Set it to true, {OTHERWISE}",
        )
    yield from _name_problems(block, published, catalog_name)
    omitted = {value for value, each in block.get("types", {}).items() if "omit" in each}
    found, most = len(published.names.keys() - omitted), block.get("max_entities", MAX_ENTITIES)
    if found > most:
        remedy = f"Set it to {found} or more, or omit types" if found <= MOST_ENTITIES else "Omit types"
        yield ("max_entities",), f"is {most}, but earlier snapshots have {found} entities. {remedy}"


def _name_problems(block: dict[str, Any], published: Published, catalog_name: str) -> Iterator[Problem]:
    holders = {name: value for value, name in published.names.items()}
    types = block.get("types", {}).items()
    given = {("rest",): (None, block.get("rest", REST))} | {
        ("types", value, "name"): (value, each["name"]) for value, each in types if "name" in each
    }
    for place, (value, name) in given.items():
        full = full_name(catalog_name, name)
        earlier = published.names.get(value, full)
        if earlier != full:
            short = earlier.removeprefix(f"{catalog_name}_")
            yield place, f"is {name}, but these items are in the table {earlier}. Set it to {short} again, {OTHERWISE}"
        elif holders.get(full, value) != value:
            other = "the items that match no type" if holders[full] is None else f'the type "{holders[full]}"'
            yield place, f"is {name}, but {full} is the table of {other}. Choose another name"


def ensure_continued(block: dict[str, Any] | None, published: Published, catalog_name: str) -> None:
    """Raises PermanentError if something would no longer be published."""
    for place, problem in problems(block, published, catalog_name):
        raise PermanentError(f"{'.'.join(['Entities', *place])}: {problem}.")
