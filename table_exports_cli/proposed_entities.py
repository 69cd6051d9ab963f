"""The block `Entities` of tables.yaml, as text that can be pasted under the entry of a table."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from table_exports.domain.reports.formatting import count
from table_exports_cli.entity_proposals import FoundType, Proposal
from table_exports_cli.proposed_yaml import scalar

MOST_COLUMNS = 30  # in a comment


def block(found: Proposal) -> str:
    return "\n".join(["Entities:", *(f"  {line}" for line in _lines(found))])


def _lines(found: Proposal) -> Iterator[str]:
    given = found.block
    yield "# You can change the name of an entity until its first export. Then it keeps its name"
    yield f"# Types by {_comment(found.by)}. Score {found.score:.2f}: how well the type predicts the other attributes"
    for by, score in found.others:
        yield f"# Score {score:.2f}: {_comment(by)}"
    for doubt in found.unsure:
        yield f"# Unsure: {_comment(doubt)}"
    if "by" in given:
        yield f"by: {_flow(given['by'])}"
    yield "types:"
    for each in found.types:
        yield from (f"  {line}" for line in _description(each))
        yield f"  {scalar(str(each.value))}: {_flow(given['types'][each.value])}"
    if found.rest:
        yield from _description(found.rest)
    yield f"rest: {given.get('rest', 'other')}"
    if "max_entities" in given:
        yield f"max_entities: {given['max_entities']}"


def _description(found: FoundType) -> Iterator[str]:
    what = "of other items " if found.value is None else ""
    more = len(found.columns) - MOST_COLUMNS
    columns = ", ".join(found.columns[:MOST_COLUMNS]) + (f" and {count(more)} more" if more > 0 else "")
    yield f"# {count(found.items)} item{'' if found.items == 1 else 's'}. Columns {what}from {_comment(columns)}"
    yield f"# Keys: {', '.join(_comment(json.dumps(each, ensure_ascii=False)) for each in found.examples)}"
    for doubt in found.unsure:
        yield f"# Unsure: {doubt}"


def _comment(text: str) -> str:
    """Return text in one line: a line break would end the comment."""
    return "".join(character if character.isprintable() else " " for character in text)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    return scalar(value)


def as_data(found: Proposal | None) -> dict[str, Any]:
    """Return the block, and each type with what is known and unsure about it."""
    if found is None:
        return {"entities": None, "types": []}
    return {
        "entities": found.block,
        "by": found.by,
        "score": found.score,
        "types": [asdict(each) for each in found.types],
        "rest": asdict(found.rest) if found.rest else None,
        "others": [{"by": by, "score": score} for by, score in found.others],
        "unsure": found.unsure,
    }
