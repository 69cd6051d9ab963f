"""tables.yaml: which tables are exported, and how. The rules are those of the table stack's own parameters."""

import difflib
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zoneinfo import available_timezones

import yaml

from infra.deploy import CannotDeploy
from infra.deploy.parameters import Parameter
from table_exports.domain import naming
from table_exports.domain.errors import InvalidRequest

COMMON_STACK = "table-exports"
LONGEST_STACK_NAME = 128
STACK_NAME = re.compile(f"[a-zA-Z][a-zA-Z0-9-]{{0,{LONGEST_STACK_NAME - 1}}}")
OF_ONE_PIPELINE = ("CatalogName", "StackName")  # no default would do for two


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    stack: str
    catalog_name: str
    parameters: dict[str, str]

    @property
    def table(self) -> str:
        return self.parameters["TableName"]

    def answers_to(self, name: str) -> bool:
        """Whether a person means it by that name."""
        return name.casefold() in (self.table.casefold(), self.catalog_name, self.stack.casefold())


def read(path: Path, parameters: dict[str, Parameter]) -> list[Pipeline]:
    """In the order of the file. Raises CannotDeploy with all that is wrong with it."""
    file = TablesFile(path, parameters)
    pipelines = file.pipelines()
    if file.problems:
        raise CannotDeploy("\n".join(f"{path}:{line}: {problem}" for line, problem in sorted(file.problems)))
    return pipelines


class TablesFile:
    """Reads YAML's nodes rather than its values: they have lines, and a value is the text that was written."""

    def __init__(self, path: Path, parameters: dict[str, Parameter]) -> None:
        self._loader = yaml.SafeLoader(path.read_text())
        self._parameters = parameters
        taken_care_of = {name for name, known in parameters.items() if known.is_looked_up} | {"TableName"}
        self._known = sorted({*parameters, "StackName"} - taken_care_of)
        self._catalog_names: dict[str, str] = {}
        self._stacks: dict[str, str] = {}
        self.problems: list[tuple[int, str]] = []
        try:
            self._root = self._loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise CannotDeploy(f"{path}:{line}: {error.problem}: not YAML as it stands") from error

    def pipelines(self) -> list[Pipeline]:
        sections = self._entries(self._root, "the file") if self._root else {}
        for name, node in sections.items():
            if name not in ("defaults", "tables"):
                self._complain(node, f"{name}: unknown. A file has defaults and tables")
        defaults = self._values(sections.get("defaults"), "defaults")
        tables = self._entries(sections.get("tables"), "tables")
        found = [self._pipelines(table, node, defaults) for table, node in tables.items()]
        return [pipeline for of_table in found for pipeline in of_table]

    def _pipelines(self, table: str, node: yaml.Node, defaults: dict[str, str]) -> list[Pipeline]:
        if problem := self._parameters["TableName"].problem(table):
            self._complain(node, f"tables: {problem}")
            return []
        if isinstance(node, yaml.SequenceNode):
            if not node.value:
                self._complain(node, f"{table}: an empty list exports nothing: take the table out, or name a format")
            several = [(f"{table}[{number}]", entry) for number, entry in enumerate(node.value)]
        else:
            several = [(table, node)]
        found = [self._pipeline(where, table, entry, defaults) for where, entry in several]
        return [pipeline for pipeline in found if pipeline]

    def _pipeline(self, where: str, table: str, node: yaml.Node, defaults: dict[str, str]) -> Pipeline | None:
        own = self._values(node, where)
        stack = own.pop("StackName", None)
        values = {**defaults, **own, "TableName": table}
        output_format = values.get("OutputFormat", self._parameters["OutputFormat"].default or "")
        try:
            catalog_name = naming.catalog_name(table, values.get("CatalogName", ""))
        except InvalidRequest as error:
            self._complain(node, f"{where}: {error}")
            return None
        stack = stack or stack_name(catalog_name, output_format)
        self._take(self._catalog_names, catalog_name, where, node, "CatalogName", "catalog name")
        self._take(self._stacks, stack, where, node, "StackName", "stack")
        return Pipeline(stack=stack, catalog_name=catalog_name, parameters=values)

    def _take(self, taken: dict[str, str], name: str, where: str, node: yaml.Node, key: str, what: str) -> None:
        if name in taken:
            self._complain(node, f"{where}: the {what} {name} is that of {taken[name]}: give it a {key} of its own")
        taken.setdefault(name, where)

    def _values(self, node: yaml.Node | None, where: str) -> dict[str, str]:
        """The values that can be taken; what is wrong with the others is noted."""
        values = {}
        for name, value in self._entries(node, where).items():
            if problem := self._problem(name, value, where):
                self._complain(value, f"{where}.{name}: {problem}")
            else:
                values[name] = value.value
        return values

    def _problem(self, name: str, node: yaml.Node, where: str) -> str | None:
        parameter = self._parameters.get(name)
        if where == "defaults" and name in OF_ONE_PIPELINE:
            return "is one pipeline's own: it cannot be a default"
        if name == "TableName":
            return "is the entry's own name: leave it out"
        if parameter is None and name != "StackName":
            close = difflib.get_close_matches(name, self._known, 1, 0.5)
            return f"unknown: {close[0]} is meant?" if close else f"unknown. Known are {', '.join(self._known)}"
        if parameter and parameter.is_looked_up:
            return "comes from the common stack: leave it out"
        if not isinstance(node, yaml.ScalarNode):
            several = " For several formats make the table's entry a list" if name == "OutputFormat" else ""
            return f"must be a single value.{several}"
        if not node.value:
            return "has no value: give one, or take the line out"
        if parameter is None:
            allowed = STACK_NAME.fullmatch(node.value) and node.value != COMMON_STACK
            return None if allowed else f"{node.value} cannot be a table stack's name"
        return parameter.problem(node.value) or (_no_time_zone(node.value) if name == "ScheduleTimezone" else None)

    def _entries(self, node: yaml.Node | None, where: str) -> dict[str, yaml.Node]:
        if node is None or node.tag == "tag:yaml.org,2002:null":
            return {}
        if not isinstance(node, yaml.MappingNode):
            self._complain(node, f"{where}: must have entries of the form `name: value`")
            return {}
        once = set()
        for key, _ in node.value:
            if key.value in once:
                self._complain(key, f"{where}.{key.value}: is there twice")
            once.add(key.value)
        self._loader.flatten_mapping(node)  # `<<: *others`
        return {key.value: value for key, value in node.value}

    def _complain(self, node: yaml.Node, problem: str) -> None:
        self.problems.append((node.start_mark.line + 1, problem))


@cache
def _time_zones() -> set[str]:
    """Opens hundreds of files. Empty where this machine has none."""
    return available_timezones()


def _no_time_zone(name: str) -> str | None:
    known = _time_zones()
    if name in known or not known:
        return None
    close = difflib.get_close_matches(name, known, 1, 0.8)
    return f"{name} is no time zone: {f'{close[0]} is meant?' if close else 'give one as Europe/Berlin'}"


def stack_name(catalog_name: str, output_format: str) -> str:
    """Of a pipeline's stack, unless tables.yaml says another: `table-exports-reviews-parquet`."""
    name = naming.resource_name(naming.pipeline_name(catalog_name, output_format)).replace("_", "-")
    if len(name) <= LONGEST_STACK_NAME:
        return name
    short = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_STACK_NAME - 9]}-{short}"
