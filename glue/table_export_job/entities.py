"""Entities: the types of items in a single-table design, each with a table of its own. docs/entities.md.

`make deploy` validates the block `Entities` of tables.yaml with this module and stores it. The job reads it from there.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from table_export_job import blocks
from table_export_job.blocks import Problem
from table_export_job.contract import ANY, NAME, PARTITION_KEY, given_names
from table_export_job.errors import PermanentError
from table_export_job.names import POSITION

BLOCK = "entities"  # its name in the stored object
FIELDS = ("by", "types", "rest", "wide", "max_entities")
TYPE_FIELDS = ("name", "when", "omit")
REST = "other"  # the default name of the entity of items that match no type
MAX_ENTITIES = 100  # the default
MOST_ENTITIES = 200
MOST_TYPES = 200
MOST_CHARACTERS = 1024  # of a pattern, a value or an attribute's name: the longest sort key has as many bytes
LONGEST_NAME = 118  # of a table in the catalog: the table of its snapshots has the prefix snapshots_, and 128 at most
ENTITY_NAME = re.compile(r"[a-z0-9_]+")
SNAPSHOTS = "snapshots"  # with a name after it, the name of a snapshot table

PUNCTUATION = "#|:/~^$"  # that separates the parts of keys
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
QUOTE = "Put quotation marks around it"
WITHOUT_QUOTES = ", without quotation marks"
AN_ATTRIBUTE = "the name of an attribute"
A_PATTERN = 'a pattern such as "ORDER#{order_id}"'
A_NAME = "lowercase letters, digits and underscores"
BY_KEY = '{key: sk, before: "#"}'


# -------------------------------------------------------------------------------------------------------- validation


def problems(block: Any, columns: dict[str, Any] | None = None, catalog_name: str = "") -> Iterator[Problem]:
    """What is wrong with a block, each problem with its place.

    `columns` is the valid block Columns of the same table. The names must fit behind the catalog name.
    """
    if not isinstance(block, dict) or not block:
        yield (), "must have `by` or `types`, such as {by: entityType}"
        return
    for field in block:
        if field not in FIELDS:
            hint = "If it is a type, put it under `types`. Otherwise use" if isinstance(block[field], dict) else "Use"
            yield (str(field),), f"unknown field. {hint} one of {', '.join(FIELDS)}"
    if "by" in block:
        yield from _by_problems(block["by"])
    types = block.get("types", {})
    if not isinstance(types, dict):
        yield ("types",), "must have entries in the form `value: {name: orders}`"
        types = {}
    if len(types) > MOST_TYPES:
        yield ("types",), f"has {len(types)} types, and at most {MOST_TYPES} are possible"
    if "by" not in block and not types:
        yield (), "needs `by`, or `types` that have `when` each"
    for value, declared in types.items():
        for place, problem in _type_problems(value, declared, has_by="by" in block):
            yield ("types", str(value), *place), problem
    yield from _entity_name_problems(block, types, catalog_name)
    if not isinstance(wide := block.get("wide", False), bool):
        yield ("wide",), f"must be true or false{WITHOUT_QUOTES if isinstance(wide, str) else ''}"
    most = block.get("max_entities", MAX_ENTITIES)
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= MOST_ENTITIES:
        quotes = WITHOUT_QUOTES if isinstance(most, str) else ""
        yield ("max_entities",), f"must be a number from 1 to {MOST_ENTITIES}{quotes}"
    yield from _column_problems(block, columns or {})


def _by_problems(by: Any) -> Iterator[Problem]:
    if not isinstance(by, dict) or not by:
        if problem := _text_problem(by, f"{AN_ATTRIBUTE}, or {BY_KEY}"):
            yield ("by",), problem
        return
    if unknown := [str(field) for field in by if field not in ("key", "before")]:
        yield ("by", unknown[0]), f"unknown field. Use key and before, as in {BY_KEY}"
        return
    if "key" not in by:
        yield ("by",), f"needs key, {AN_ATTRIBUTE}, as in {BY_KEY}"
    elif problem := _text_problem(by["key"], AN_ATTRIBUTE):
        yield ("by", "key"), problem
    whole = "To use the whole value, write the attribute alone, as in `by: sk`"
    if "before" not in by:
        yield ("by",), f"needs before, the text that follows the type, as in {BY_KEY}. {whole}"
    elif problem := _text_problem(by["before"], 'the text that follows the type, such as "#"'):
        yield ("by", "before"), problem if by["before"] else f"{problem}. {whole}"


def _type_problems(value: Any, declared: Any, *, has_by: bool) -> Iterator[Problem]:
    if problem := _text_problem(value, "a value of `by`, or remove the entry"):
        yield (), f"the value {problem}"
        return
    if not isinstance(declared, dict) or not declared:
        yield (), "must have name, when or omit, such as {name: orders}"
        return
    for field in declared:
        if field not in TYPE_FIELDS:
            yield (str(field),), f"unknown field. Use one of {', '.join(TYPE_FIELDS)}"
    if declared.get("omit", True) is not True:
        yield ("omit",), "must be true. Remove it otherwise"
    if "when" in declared:
        yield from _when_problems(declared["when"])
    elif not has_by:
        yield (), "needs `when`, because the block has no `by`"


def _when_problems(when: Any) -> Iterator[Problem]:
    if not isinstance(when, dict) or not when:
        yield ("when",), 'must have entries in the form `attribute: pattern`, such as {sk: "ORDER#{order_id}"}'
        return
    used = set()
    for attribute, pattern in when.items():
        place = ("when", str(attribute))
        if problem := _text_problem(attribute, AN_ATTRIBUTE):
            yield place, f"the name of the attribute {problem}"
        if problem := _text_problem(pattern, A_PATTERN) or _pattern_problem(pattern):
            yield place, problem
            continue
        for name in placeholders_of(pattern):
            if name in used:
                yield place, f"{{{name}}} occurs twice in `when`. Give each placeholder a name of its own"
            used.add(name)


def _text_problem(text: Any, what: str) -> str | None:
    """Why this is not a text that can be `what`, with the remedy."""
    if text is None or text == "":
        return f"{'has no value' if text is None else 'is empty'}. Write {what}"
    if isinstance(text, dict | list):
        return f"must be {what}"
    if not isinstance(text, str):
        return f"must be text. {QUOTE}"
    if len(text) > MOST_CHARACTERS:
        return f"can have at most {MOST_CHARACTERS} characters"
    if re.search("[\ud800-\udfff]", text):
        return "has a surrogate, which is not a character. Remove it"
    return None


def _pattern_problem(pattern: str) -> str | None:
    literals, names = PLACEHOLDER.split(pattern)[::2], placeholders_of(pattern)
    if any("{" in literal or "}" in literal for literal in literals):
        return "has a brace that is not part of a placeholder such as {order_id}. Complete or remove it"
    for name in names:
        if not NAME.fullmatch(name):
            return f"{{{name}}} must be {A_NAME}, at most 128 characters"
        if name == PARTITION_KEY or POSITION.fullmatch(name):
            return f"{{{name}}} has a meaning of its own. Choose another name"
    if "" in literals[1:-1]:
        return "has two placeholders with nothing between them. Make them one, or put text between them"
    return None


def _entity_name_problems(block: dict[str, Any], types: dict[Any, Any], catalog_name: str) -> Iterator[Problem]:
    given = {
        ("types", str(value), "name"): each["name"]
        for value, each in types.items()
        if isinstance(each, dict) and "name" in each
    }
    longest = LONGEST_NAME - len(f"{catalog_name}_")
    if catalog_name == SNAPSHOTS:
        yield (), f"the table {SNAPSHOTS}_{REST} would be a snapshot table. Set another CatalogName"
    if longest < len(REST):
        yield (), f"{catalog_name} leaves no room for the names of entities. Set a CatalogName that is shorter"
        return
    taken: dict[str, tuple[str, ...]] = {}
    for place, name in {("rest",): block.get("rest", REST), **given}.items():
        if problem := _text_problem(name, f"a name of {A_NAME}"):
            yield place, problem
        elif not ENTITY_NAME.fullmatch(name):
            yield place, f"{name} must be {A_NAME}"
        elif len(name) > longest:
            room = f"{longest} fit behind the catalog name {catalog_name}"
            yield place, f"{name} has {len(name)} characters, and {room}. Shorten it, or set a shorter CatalogName"
        elif name in taken:
            yield place, f"{name} is the name of {taken[name][-2:][0]}, too. Choose another name"
        else:
            taken[name] = place


def _column_problems(block: dict[str, Any], columns: dict[str, Any]) -> Iterator[Problem]:
    """Rules of Columns that change what the types depend on, and names that both blocks give."""
    names, used = given_names(columns), attributes_of(block)
    for place, attribute, pattern in _uses(block):
        for path in (attribute, ANY):
            if columns.get(path, {}).keys() - {"name"}:
                yield place, f"Columns changes or removes {attribute} (rule {path}). Keep only `name` in that rule"
        for name in placeholders_of(pattern):
            if attribute_of(name) in columns:
                yield place, f"Columns has a rule for {attribute_of(name)}. Remove it: the placeholder names the column"
            if name in names:
                yield place, f"{{{name}}} is the column of {names[name]} in Columns. Choose another name"
            if attribute_of(name) in used:
                yield place, f"the block uses an attribute {attribute_of(name)}, too. Choose another name"


def _uses(block: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """The attributes that decide on the type of an item, each with its place and pattern, of any block."""
    by, types = block.get("by"), block.get("types")
    if isinstance(attribute := by.get("key") if isinstance(by, dict) else by, str):
        yield ("by",), attribute, ""
    for value, declared in types.items() if isinstance(types, dict) else ():
        when = declared.get("when") if isinstance(declared, dict) else None
        for attribute, pattern in when.items() if isinstance(when, dict) else ():
            if isinstance(attribute, str) and isinstance(pattern, str):
                yield ("types", str(value), "when", attribute), attribute, pattern


def attributes_of(block: dict[str, Any]) -> list[str]:
    """The attributes that `by` and `when` use."""
    return list(dict.fromkeys(attribute for _, attribute, _ in _uses(block)))


def ensure_valid(block: dict[str, Any], columns: dict[str, Any], catalog_name: str) -> None:
    """Raises PermanentError if the block does not go with the column contract or the catalog name."""
    for place, problem in problems(block, columns, catalog_name):
        raise PermanentError(f"{'.'.join(['Entities', *place])}: {problem}, and deploy the table again.")


# ------------------------------------------------------------------------------------------------------- stored block


def dump(block: dict[str, Any]) -> bytes:
    """The block as it is stored. The order of its types decides, so it is kept."""
    return blocks.dump(BLOCK, block, sort_keys=False)


def parsed(content: bytes) -> dict[str, Any]:
    """The opposite of `dump`. Raises ValueError for what no deployment of this version stores."""
    return blocks.parsed(BLOCK, content, problems)


def verified(content: bytes, uri: str) -> dict[str, Any]:
    """The block that was stored under this URI. Raises PermanentError if it was changed, or is not valid."""
    return blocks.verified(content, uri, "block Entities", parsed)


# ----------------------------------------------------------------------------------------------------------- patterns


def placeholders_of(pattern: str) -> list[str]:
    return PLACEHOLDER.findall(pattern)


def attribute_of(placeholder: str) -> str:
    """The attribute that an item gets for a placeholder. Braces are rare in the names of attributes."""
    return f"{{{placeholder}}}"


def regular_expression(pattern: str) -> str:
    """The pattern as RE2 reads it, which Arrow uses. It must match the whole text."""
    literals, names = PLACEHOLDER.split(pattern)[::2], placeholders_of(pattern)
    excluded = {character for literal in literals for character in literal if character in PUNCTUATION} or {"#"}
    one_part = f"[^{re.escape(''.join(sorted(excluded)))}]+"
    groups = [f"(?P<{name}>{one_part})" for name in names]
    return "".join(part for pair in zip(map(re.escape, literals), [*groups, ""], strict=True) for part in pair)


def derived_name(value: str) -> str:
    """The name of a type that has no given one."""
    return re.sub(r"[^a-z0-9_]", "_", value.lower())


def full_name(catalog_name: str, name: str, number: int = 1) -> str:
    """The name in the catalog, cut to what fits. A number distinguishes names that would be the same."""
    suffix = f"_{number}" if number > 1 else ""
    return f"{catalog_name}_{name}"[: LONGEST_NAME - len(suffix)] + suffix


def entity_names(
    values: Iterable[str | None], given: dict[str | None, str], catalog_name: str, earlier: dict[str | None, str]
) -> dict[str | None, str]:
    """The full name of each value's entity. `given` has the names of the block, `earlier` those of earlier manifests.

    They do not contradict each other: continuity.py.
    """
    names = {value: full_name(catalog_name, name) for value, name in given.items()} | earlier
    holders = {name: value for value, name in names.items()}
    for value in sorted({*values} - names.keys(), key=lambda value: (derived_name(value) != value, value)):
        number = 1
        while (full := full_name(catalog_name, derived_name(value), number)) in holders:
            number += 1
        names[value], holders[full] = full, value
    return {value: names[value] for value in values}
