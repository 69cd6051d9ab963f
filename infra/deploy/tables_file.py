"""tables.yaml: which tables are exported, and how. Entries are validated by the parameters of the table stack."""

import difflib
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import yaml

from infra.deploy import CannotDeploy, blocks, files
from infra.deploy.parameters import Parameter
from table_exports.domain import naming, schedules
from table_exports.domain.errors import InvalidRequest

COMMON_STACK = "table-exports"
MAX_STACK_NAME = 128
STACK_NAME = re.compile(f"[a-zA-Z][a-zA-Z0-9-]{{0,{MAX_STACK_NAME - 1}}}")
IF_TEXT = "If it is text, put quotation marks around it"
HIDES_END = re.compile(r"[{\[][^}\]]*\s#.*[}\]]")  # a comment that does
INVALID = object()  # instead of a value that YAML cannot read
BLOCKS = (blocks.COLUMNS, blocks.ENTITIES)
NO_DEFAULT = ("CatalogName", "StackName", *BLOCKS)  # of one pipeline: its names, and what its items have
DEPTH_OF_COLUMNS, DEPTH_OF_ENTITIES = 2, 4  # of mappings: a rule of a path, and `types: {order: {when: {sk: …}}}`


@dataclass(frozen=True, kw_only=True)
class TableStack:
    """An entry of the file: one table in one format."""

    stack: str
    catalog_name: str
    parameters: dict[str, str]
    where: str  # its place in the file: the table, with an index if that has several formats
    line: int = 0  # where the file names the stack
    blocks: dict[str, bytes] = field(default_factory=dict)  # by parameter: the block, as the deployment stores it
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)  # by place in the block Entities

    @property
    def table(self) -> str:
        return self.parameters["TableName"]

    def line_of(self, place: tuple[str, ...]) -> int:
        """Returns the line of a place in the block Entities, or of what it is in."""
        found = (self.lines[place[:end]] for end in range(len(place), -1, -1) if place[:end] in self.lines)
        return next(found, self.line)

    def is_named(self, name: str) -> bool:
        """Whether a user can mean this table stack by the name."""
        return name.casefold() in (self.table.casefold(), self.catalog_name, self.stack.casefold())


def read(path: Path, parameters: dict[str, Parameter]) -> list[TableStack]:
    """Returns the table stacks in the order of the file. Raises CannotDeploy with all problems of the file."""
    text = files.read(path)
    try:
        file = TablesFile(text, parameters)
        table_stacks = file.table_stacks()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        if comment := _line_of_comment(text, line, error):
            problem = f"the rest of the line is a comment, because # follows a space. {IF_TEXT}"
            raise CannotDeploy(f"{path}:{comment}: {problem}") from error
        remedy = _yaml_remedy(error)
        raise CannotDeploy(f"{path}:{line}: the file is not valid YAML: {error.problem}{remedy}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise CannotDeploy(f"{path}:{line}: remove the character U+{ord(text[error.position]):04X}") from error
    except RecursionError as error:
        raise CannotDeploy(f"{path}: an entry contains itself, or is nested too deeply") from error
    if file.problems:
        raise CannotDeploy("\n".join(f"{path}:{line}: {problem}" for line, problem in sorted(file.problems)))
    return table_stacks


class TablesFile:
    """Reads YAML nodes and not values, because nodes have line numbers and the text as it was written."""

    def __init__(self, text: str, parameters: dict[str, Parameter]) -> None:
        self._loader = yaml.SafeLoader(text)
        self._root = self._loader.get_single_node()
        self._parameters = parameters
        set_elsewhere = {name for name, known in parameters.items() if known.is_looked_up} | {"TableName"}
        self._known = sorted({*parameters, "StackName"} - set_elsewhere)
        self._catalog_names: dict[str, str] = {}
        self._stacks: dict[str, str] = {}
        self.problems: list[tuple[int, str]] = []

    def table_stacks(self) -> list[TableStack]:
        sections = self._entries(self._root, "the file") if self._root else {}
        for name, node in sections.items():
            if name not in ("defaults", "tables"):
                self._report(node, f"{name}: unknown section. Use defaults or tables")
        defaults = self._values(sections.get("defaults"), "defaults")
        tables = self._entries(sections.get("tables"), "tables")
        found = [self._table_stacks(table, node, defaults) for table, node in tables.items()]
        return [table_stack for of_table in found for table_stack in of_table]

    def _table_stacks(self, table: str, node: yaml.Node, defaults: dict[str, str]) -> list[TableStack]:
        if problem := self._parameters["TableName"].problem(table):
            self._report(node, f"tables: {problem}")
            return []
        if isinstance(node, yaml.SequenceNode):
            if not node.value:
                self._report(node, f"{table}: an empty list exports nothing. Remove the table, or add a format")
            several = [(f"{table}[{number}]", entry) for number, entry in enumerate(node.value)]
        else:
            several = [(table, node)]
        found = [self._table_stack(where, table, entry, defaults) for where, entry in several]
        return [table_stack for table_stack in found if table_stack]

    def _table_stack(self, where: str, table: str, node: yaml.Node, defaults: dict[str, str]) -> TableStack | None:
        columns = self._columns(node, where).valid
        own = self._values(node, where)
        stack = own.pop("StackName", None)
        named = next((key for key, _ in node.value if key.value == "StackName"), node) if stack else node
        values = {**defaults, **own, "TableName": table}
        if not blocks.needs_key(columns):
            values.pop(blocks.KEY_PARAMETER, None)  # its job's role needs no access to the secret
        elif blocks.KEY_PARAMETER not in values:
            how = 'docs/columns.md, "Hashed attributes"'
            self._report(node, f"{where}.{blocks.COLUMNS}: to hash, set {blocks.KEY_PARAMETER}: {how}")
        output_format = values.get("OutputFormat", self._parameters["OutputFormat"].default or "")
        try:
            catalog_name = naming.catalog_name(table, values.get("CatalogName", ""))
        except InvalidRequest as error:
            self._report(node, f"{where}: {error}")
            return None
        entities = self._entities(node, where, columns, catalog_name)
        if entities.valid and values.get("CatalogUpdate") == "always":
            problem = "needs CatalogUpdate: on-schema-change, because no crawler catalogs the tables of entities"
            self._report(node, f"{where}.{blocks.ENTITIES}: {problem}")
        stack = stack or stack_name(catalog_name, output_format)
        self._claim(self._catalog_names, catalog_name, where, node, "CatalogName", "catalog name")
        self._claim(self._stacks, stack, where, node, "StackName", "stack")
        given = {blocks.COLUMNS: columns, blocks.ENTITIES: entities.valid}
        return TableStack(
            stack=stack,
            catalog_name=catalog_name,
            parameters=values,
            where=where,
            line=line_of(named),
            blocks={name: blocks.content(name, block) for name, block in given.items() if block},
            lines={place: line_of(each) for place, each in entities.nodes.items()},
        )

    def _claim(self, taken: dict[str, str], name: str, where: str, node: yaml.Node, key: str, what: str) -> None:
        if name in taken:
            self._report(node, f"{where}: {taken[name]} has the same {what}, {name}. Set another {key}")
        taken.setdefault(name, where)

    def _values(self, node: yaml.Node | None, where: str) -> dict[str, str]:
        """Returns the valid values, and reports the problems of the others."""
        values = {}
        for name, value in self._entries(node, where).items():
            if name in BLOCKS and where != "defaults":
                continue
            if problem := self._problem(name, value, where):
                self._report(value, f"{where}.{name}: {problem}")
            else:
                values[name] = value.value
        return values

    def _columns(self, node: yaml.Node, where: str) -> "Block":
        """Returns the column contract. Reports its problems."""
        block = self._block(node, where, blocks.COLUMNS, DEPTH_OF_COLUMNS, blocks.is_field_of_columns)
        return self._checked(block, blocks.problems_of_columns(block.value))

    def _entities(self, node: yaml.Node, where: str, columns: dict[str, Any], catalog_name: str) -> "Block":
        """The same for the entities."""
        block = self._block(node, where, blocks.ENTITIES, DEPTH_OF_ENTITIES)
        if not block.value or not block.is_complete:
            return block
        return self._checked(block, blocks.problems_of_entities(block.value, columns, catalog_name))

    def _checked(self, block: "Block", problems: Iterator[blocks.Problem]) -> "Block":
        for place, problem in problems:
            self._report(block.node(place), f"{'.'.join([block.where, *place])}: {problem}")
            block.is_complete = False
        return block

    def _block(
        self, node: yaml.Node, where: str, name: str, depth: int, is_field: Callable[[str], bool] | None = None
    ) -> "Block":
        block = Block(f"{where}.{name}")
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        if found := next((value for key, value in entries if key.value == name), None):
            value = self._mapping(found, block, (), depth, is_field)
            block.value = {key: each for key, each in value.items() if each is not INVALID}
        return block

    def _mapping(
        self,
        node: yaml.Node,
        block: "Block",
        place: tuple[str, ...],
        depth: int,
        is_field: Callable[[str], bool] | None,
    ) -> dict[str, Any]:
        """Returns the values by the text of their keys, as it was written. INVALID for those that have problems."""
        where = ".".join([block.where, *place])
        values = {}
        for key, inner in self._entries(node, where).items():
            block.nodes[(*place, key)] = inner
            if isinstance(inner, yaml.MappingNode) and depth > 1:
                values[key] = self._mapping(inner, block, (*place, key), depth - 1, is_field)
                if INVALID in values[key].values() or self._report_split_value(inner, f"{where}.{key}", is_field):
                    values[key] = INVALID
            else:
                values[key] = self._value(inner, f"{where}.{key}")
        block.nodes[place] = node
        block.is_complete &= INVALID not in values.values()
        return values

    def _value(self, node: yaml.Node, where: str) -> Any:
        """Returns the value as YAML defines it. INVALID if it has none. Reports why."""
        try:
            return self._loader.construct_object(node, deep=True)
        except (ValueError, OverflowError, yaml.MarkedYAMLError) as error:
            problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
            self._report(node, f"{where}: {problem}. {IF_TEXT}")
            return INVALID

    def _report_split_value(self, rule: yaml.Node, where: str, is_field: Callable[[str], bool] | None) -> bool:
        """Reports the value that a comma ends. In {as: decimal(18,2)}, YAML reads `2)` as a name without a value."""
        for (before, value), (name, other) in pairwise(rule.value if is_field and rule.flow_style else []):
            if not other.value and not is_field(name.value):
                how = 'Put quotation marks around it, as in "decimal(18,2)"'
                self._report(value, f"{where}.{before.value}: the value ends at the comma. {how}")
                return True
        return False

    def _problem(self, name: str, node: yaml.Node, where: str) -> str | None:
        parameter = self._parameters.get(name)
        if where == "defaults" and name in NO_DEFAULT:
            return "cannot be a default, because each pipeline needs its own. Set it for a table"
        if name == "TableName":
            return "is the key of the entry. Remove it"
        if parameter is None and name != "StackName":
            close = difflib.get_close_matches(name, self._known, 1, 0.5)
            return (
                f"unknown parameter. Did you mean {close[0]}?"
                if close
                else f"unknown parameter. Use one of {', '.join(self._known)}"
            )
        if parameter and parameter.is_looked_up:
            return "comes from the common stack. Remove it"
        if not isinstance(node, yaml.ScalarNode):
            several = " For several formats, make the table's entry a list" if name == "OutputFormat" else ""
            return f"must be a single value.{several}"
        if not node.value:
            return "has no value. Set one, or remove the line"
        if parameter is None:
            allowed = STACK_NAME.fullmatch(node.value) and node.value != COMMON_STACK
            return (
                None
                if allowed
                else f"{node.value} is not a valid name for a table stack. Use letters, digits and hyphens"
            )
        return parameter.problem(node.value) or _schedule_problem(name, node.value)

    def _entries(self, node: yaml.Node | None, where: str) -> dict[str, yaml.Node]:
        if node is None or node.tag == "tag:yaml.org,2002:null":
            return {}
        if not isinstance(node, yaml.MappingNode):
            self._report(node, f"{where}: must have entries in the form `name: value`")
            return {}
        if several := [key for key, _ in node.value if not isinstance(key, yaml.ScalarNode)]:
            self._report(several[0], f"{where}: a name must be a single value")
            return {}
        once = set()
        for key, _ in node.value:
            if key.value in once:
                self._report(key, f"{where}.{key.value}: occurs twice. Remove one")
            once.add(key.value)
        self._loader.flatten_mapping(node)  # `<<: *others`
        return {key.value: value for key, value in node.value}

    def _report(self, node: yaml.Node, problem: str) -> None:
        self.problems.append((line_of(node), problem))


class Block:
    """What an entry has under one name, with the nodes of its parts."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.value: dict[str, Any] = {}
        self.is_complete = True
        self.nodes: dict[tuple[str, ...], yaml.Node] = {}

    @property
    def valid(self) -> dict[str, Any]:
        """The value. Empty if it has problems."""
        return self.value if self.is_complete else {}

    def node(self, place: tuple[str, ...]) -> yaml.Node:
        """Returns the node of the place, or else of what it is in."""
        return self.nodes[next(found for end in range(len(place), -1, -1) if (found := place[:end]) in self.nodes)]


def _line_of_comment(text: str, last: int, error: yaml.MarkedYAMLError) -> int | None:
    """Returns the last line in which a comment hides the end of a flow mapping or list, as in {key: sk, before: #}."""
    if not str(error.context).startswith("while parsing a flow"):
        return None
    lines = list(enumerate(text.splitlines()[:last], start=1))
    return next((number for number, line in reversed(lines) if HIDES_END.search(line)), None)


def _yaml_remedy(error: yaml.MarkedYAMLError) -> str:
    """Returns a sentence for the mistakes whose message in YAML's terms does not say what to change."""
    if "\\t" in str(error.problem):
        return ". Indent with spaces, not with tabs"
    is_alias = error.context == "while scanning an alias" or "undefined alias" in str(error.problem)  # *.email
    is_placeholder = "but got '{'" in str(error.problem)  # ORDER#{order_id} in {}
    return f". {IF_TEXT}" if is_alias or is_placeholder or "cannot start any token" in str(error.problem) else ""


def line_of(node: yaml.Node) -> int:
    return node.start_mark.line + 1


@cache
def _time_zones() -> set[str]:
    """Returns the known time zones. Cached, because it opens hundreds of files. Empty if the machine has none."""
    return available_timezones()


def _schedule_problem(name: str, value: str) -> str | None:
    """Returns what is wrong with the value of a schedule's parameter. None for every other parameter."""
    if name == "ScheduleTimezone":
        return _time_zone_problem(value)
    if name == "ScheduleExpression":
        try:
            schedules.parse(value)
        except InvalidRequest as error:
            return error.problem
    return None


def _time_zone_problem(name: str) -> str | None:
    known = _time_zones()
    if name in known or not known:
        return None
    close = difflib.get_close_matches(name, known, 1, 0.8)
    return f"{name} is not a time zone. {f'Did you mean {close[0]}?' if close else 'Use a name such as Europe/Berlin'}"


def stack_name(catalog_name: str, output_format: str) -> str:
    """Returns the default name of a pipeline's stack, such as `table-exports-reviews-parquet`."""
    name = naming.resource_name(naming.pipeline_name(catalog_name, output_format)).replace("_", "-")
    if len(name) <= MAX_STACK_NAME:
        return name
    short = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MAX_STACK_NAME - 9]}-{short}"
