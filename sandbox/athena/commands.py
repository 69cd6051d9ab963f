"""Statements that Athena runs on the catalog, and not on its query engine: SHOW, DESCRIBE and Hive's DDL."""

import re
from collections.abc import Callable

from sandbox.athena.statements import EMPTY, NAME, QUALIFIED, Result, locate, run_first
from sandbox.athena.views import CATALOG, decode_view
from sandbox.datalake.catalog import Catalog, Column, QueryFailed, Table

OF_THE_EMULATOR = r"(CREATE\s+EXTERNAL\s+TABLE|DROP\s+TABLE)\b"
SPECIFICATION = r"\([^()]*\)"  # of a partition: (day = '1', hour = 2)
PARTITION = rf"PARTITION\s*(?:{SPECIFICATION})(?:\s*LOCATION\s*'[^']*')?"


class Commands:
    """One statement's work. `catalog` has the caller's permissions, `database` is what unqualified names are in."""

    def __init__(self, catalog: Catalog, database: str) -> None:
        self._catalog, self._database = catalog, database

    def run(self, sql: str) -> Result | None:
        """Returns None for other statements. Raises QueryFailed, or ClientError if access is denied."""
        return run_first(COMMANDS, self, sql)

    def _find(self, name: str) -> Table:
        database, table = locate(name, self._database)
        found = self._catalog.find(database, table)
        if found is None:
            raise QueryFailed(f"TABLE_NOT_FOUND: line 1:1: Table '{CATALOG}.{database}.{table}' does not exist")
        return found

    def _named(self, database: str) -> str:
        return database.strip('"`').lower() or self._database

    # ------------------------------------------------------------------------------------------------ DDL

    def create_database(self, database: str, if_not_exists: str = "", comment: str = "", location: str = "") -> Result:
        name = self._named(database)
        if not self._catalog.has_database(name):
            self._catalog.create_database(name, comment, location)
        elif not if_not_exists:
            raise QueryFailed(f"FAILED: Execution Error: Database {name} already exists")
        return EMPTY

    def drop_database(self, database: str, if_exists: str = "", cascade: str = "") -> Result:
        name = self._named(database)
        if not self._catalog.has_database(name):
            if if_exists:
                return EMPTY
            raise QueryFailed(f"FAILED: SemanticException Database does not exist: {name}")
        if self._catalog.tables(name) and not cascade:
            raise QueryFailed(f"FAILED: Execution Error: Database {name} is not empty. One or more tables exist.")
        self._catalog.drop_database(name)
        return EMPTY

    def add_partitions(self, name: str, partitions: str, if_not_exists: str = "") -> Result:
        table = self._find(name)
        known = [partition["Values"] for partition in self._catalog.partitions(table)]
        for values, location in partitions_of(table, partitions):
            if values not in known:
                self._catalog.add_partition(table, values, location)
            elif not if_not_exists:
                raise QueryFailed(f"FAILED: Execution Error: AlreadyExistsException: Partition {values} already exists")
        return EMPTY

    def drop_partitions(self, name: str, partitions: str, if_exists: str = "") -> Result:
        table = self._find(name)
        known = [partition["Values"] for partition in self._catalog.partitions(table)]
        for values, _ in partitions_of(table, partitions):
            if values in known:
                self._catalog.drop_partition(table, values)
            elif not if_exists:
                raise QueryFailed(f"FAILED: SemanticException Partition not found {values}")
        return EMPTY

    def drop_view(self, name: str, if_exists: str = "") -> Result:
        database, view = locate(name, self._database)
        found = self._catalog.find(database, view)
        if found and found.is_view:
            self._catalog.drop(database, view)
        elif not if_exists:
            raise QueryFailed(f"TABLE_NOT_FOUND: line 1:1: View '{CATALOG}.{database}.{view}' does not exist")
        return EMPTY

    # ------------------------------------------------------------------------------------------------ SHOW, DESCRIBE

    def show_create_view(self, name: str) -> Result:
        database, view = locate(name, self._database)
        sql = decode_view(self._find(name))["originalSql"]
        lines = [f"CREATE VIEW {database}.{view} AS", *sql.splitlines()]
        return Result([Column("Create View", "string")], [[line] for line in lines])

    def show_create_table(self, name: str) -> Result:
        """As Hive would have it written."""
        table = self._find(name)
        if table.is_view:
            raise QueryFailed(f"SYNTAX_ERROR: line 1:1: {name} is a view: use SHOW CREATE VIEW")
        database, short = locate(name, self._database)
        storage = table.content["StorageDescriptor"]
        lines = [f"CREATE EXTERNAL TABLE `{database}.{short}`(", *hive_columns(table.columns)]
        if table.partition_keys:
            lines += ["PARTITIONED BY ( ", *hive_columns(table.partition_keys)]
        lines += [
            "ROW FORMAT SERDE ",
            f"  '{storage['SerdeInfo']['SerializationLibrary']}' ",
            "STORED AS INPUTFORMAT ",
            f"  '{storage['InputFormat']}' ",
            "OUTPUTFORMAT ",
            f"  '{storage['OutputFormat']}'",
            "LOCATION",
            f"  '{storage['Location']}'",
            "TBLPROPERTIES (",
            ", \n".join(f"  '{key}'='{value}'" for key, value in sorted(table.content["Parameters"].items())) + ")",
        ]
        return Result([Column("createtab_stmt", "string")], [[line] for line in "\n".join(lines).splitlines()])

    def show_tables(self, database: str = "", pattern: str = "") -> Result:
        names = [table.content["Name"] for table in self._catalog.tables(self._named(database))]
        return Result([Column("tab_name", "string")], [[name] for name in names if matches(name, pattern)])

    def show_views(self, database: str = "", pattern: str = "") -> Result:
        tables = self._catalog.tables(self._named(database))
        names = [table.content["Name"] for table in tables if table.is_view]
        return Result([Column("views", "string")], [[name] for name in names if matches(name, pattern)])

    def show_databases(self) -> Result:
        return Result([Column("database_name", "string")], [[name] for name in self._catalog.databases()])

    def show_columns(self, name: str) -> Result:
        table = self._find(name)
        return Result([Column("field", "string")], [[c.name] for c in table.columns + table.partition_keys])

    def show_partitions(self, name: str) -> Result:
        table = self._find(name)
        keys = [key.name for key in table.partition_keys]
        rows = [
            ["/".join(f"{key}={value}" for key, value in zip(keys, partition["Values"], strict=True))]
            for partition in self._catalog.partitions(table)
        ]
        return Result([Column("partition", "string")], sorted(rows))

    def describe(self, name: str) -> Result:
        """One padded line per column, as Hive prints it."""
        table = self._find(name)
        lines = [f"{c.name:<20}\t{c.type:<20}\t{'':<20}" for c in table.columns + table.partition_keys]
        if table.partition_keys:
            head = f"{'# col_name':<20}\t{'data_type':<20}\t{'comment':<20}"
            lines += ["\t \t ", "# Partition Information\t \t ", head, "\t \t "]
            lines += [f"{c.name:<20}\t{c.type:<20}\t{'':<20}" for c in table.partition_keys]
        columns = [Column(name, "string") for name in ("col_name", "data_type", "comment")]
        return Result(columns, [[line] for line in lines])


COMMANDS: list[tuple[str, Callable[..., Result]]] = [
    (
        rf"CREATE\s+(?:DATABASE|SCHEMA)\s+(?P<if_not_exists>IF\s+NOT\s+EXISTS\s+)?(?P<database>{NAME})"
        r"(?:\s+COMMENT\s+'(?P<comment>[^']*)')?(?:\s+LOCATION\s+'(?P<location>[^']*)')?",
        Commands.create_database,
    ),
    (
        rf"DROP\s+(?:DATABASE|SCHEMA)\s+(?P<if_exists>IF\s+EXISTS\s+)?(?P<database>{NAME})"
        r"(?:\s+(?:(?P<cascade>CASCADE)|RESTRICT))?",
        Commands.drop_database,
    ),
    (
        rf"ALTER\s+TABLE\s+{QUALIFIED}\s+ADD\s+(?P<if_not_exists>IF\s+NOT\s+EXISTS\s+)?"
        rf"(?P<partitions>{PARTITION}(?:\s*{PARTITION})*)",
        Commands.add_partitions,
    ),
    (
        rf"ALTER\s+TABLE\s+{QUALIFIED}\s+DROP\s+(?P<if_exists>IF\s+EXISTS\s+)?"
        rf"(?P<partitions>{PARTITION}(?:\s*,\s*{PARTITION})*)",
        Commands.drop_partitions,
    ),
    (rf"DROP\s+VIEW\s+(?P<if_exists>IF\s+EXISTS\s+)?{QUALIFIED}", Commands.drop_view),
    (rf"SHOW\s+CREATE\s+VIEW\s+{QUALIFIED}", Commands.show_create_view),
    (rf"SHOW\s+CREATE\s+TABLE\s+{QUALIFIED}", Commands.show_create_table),
    (rf"SHOW\s+TABLES(?:\s+(?:IN|FROM)\s+(?P<database>{NAME}))?(?:\s+'(?P<pattern>[^']*)')?", Commands.show_tables),
    (
        rf"SHOW\s+VIEWS(?:\s+(?:IN|FROM)\s+(?P<database>{NAME}))?(?:\s+LIKE\s+'(?P<pattern>[^']*)')?",
        Commands.show_views,
    ),
    (r"SHOW\s+(?:DATABASES|SCHEMAS)", Commands.show_databases),
    (rf"SHOW\s+COLUMNS\s+(?:IN|FROM)\s+{QUALIFIED}", Commands.show_columns),
    (rf"SHOW\s+PARTITIONS\s+{QUALIFIED}", Commands.show_partitions),
    (rf"(?:DESCRIBE|DESC)\s+(?:EXTENDED\s+|FORMATTED\s+)?{QUALIFIED}", Commands.describe),
]


def partitions_of(table: Table, text: str) -> list[tuple[list[str], str]]:
    """The values of each PARTITION clause, in the order of the table's keys, and its location or an empty text."""
    clauses = re.findall(rf"PARTITION\s*({SPECIFICATION})(?:\s*LOCATION\s*'([^']*)')?", text, re.IGNORECASE)
    return [(values_of(table, specification), location) for specification, location in clauses]


def values_of(table: Table, specification: str) -> list[str]:
    pairs = re.findall(rf"({NAME})\s*=\s*(?:'([^']*)'|([^\s,()']+))", specification)
    given = {key.strip('"`').lower(): text or plain for key, text, plain in pairs}
    keys = [key.name for key in table.partition_keys]
    if sorted(given) != sorted(keys):
        raise QueryFailed(f"FAILED: SemanticException {specification} must have a value for each of the keys {keys}")
    return [given[key] for key in keys]


def hive_columns(columns: list[Column]) -> list[str]:
    """One line each, as in CREATE TABLE; the last closes the bracket."""
    lines = [f"  `{column.name}` {column.type}, " for column in columns]
    return [*lines[:-1], lines[-1].removesuffix(", ") + ")"]


def matches(name: str, pattern: str) -> bool:
    """Hive's patterns: `*` is any text, `|` separates alternatives."""
    alternatives = [re.escape(part).replace(r"\*", ".*") for part in pattern.split("|")]
    return not pattern or any(re.fullmatch(part, name) for part in alternatives)
