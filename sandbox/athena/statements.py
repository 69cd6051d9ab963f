"""SQL statements as Athena tells them apart, and what they return."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from sandbox.datalake.catalog import Catalog, Column

NAME = r'(?:"[^"]+"|`[^`]+`|\w+)'
QUALIFIED = rf"(?P<name>{NAME}(?:\s*\.\s*{NAME}){{0,2}})"
COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)+", re.DOTALL)

QUERY_WORDS = {"SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE", "UNLOAD", "EXECUTE"}
DDL_WORDS = {"CREATE", "DROP", "ALTER", "MSCK"}
UTILITY_WORDS = {"SHOW", "DESCRIBE", "DESC", "EXPLAIN", "PREPARE", "DEALLOCATE", "VACUUM", "OPTIMIZE", "USE"}

CREATE_TABLE_AS = rf"CREATE\s+TABLE\s+{QUALIFIED}(?:\s+WITH\s*\((?P<properties>.*?)\))?\s+AS\s+(?P<query>.+)"
UNLOAD = r"UNLOAD\s*\((?P<query>.+)\)\s*TO\s*'(?P<location>[^']+)'\s*WITH\s*\((?P<properties>.*)\)"


class Malformed(Exception):
    """The statement is not valid SQL. Athena rejects it without queueing it."""


@dataclass(frozen=True)
class Result:
    columns: list[Column]  # with Trino's types for a query, with Hive's for other statements
    rows: list[list[str | None]]  # as Athena prints them
    files: tuple[str, ...] = ()  # that a CREATE TABLE AS has written


EMPTY = Result([], [])


def written(files: Iterable[str]) -> Result:
    """What a statement returns that has written these files."""
    return Result([Column("rows", "bigint")], [], tuple(files))


class Session(Protocol):
    """Runs one statement."""

    bytes_read: int

    def run(self, sql: str) -> Result:
        """Raises QueryFailed, or ClientError if access is denied."""

    def cancel(self) -> None: ...


class Engine(Protocol):
    """Runs queries, and the statements that contain one: CREATE VIEW, CREATE TABLE AS, UNLOAD."""

    def check(self, sql: str) -> None:
        """Raises Malformed for a query that is not valid SQL."""

    def session(self, catalog: Catalog, database: str, location: str) -> Session:
        """`catalog` has the caller's permissions, `database` is what unqualified names are in.

        `location` is the folder of a table that the statement creates without a location.
        """


def statement_of(sql: str) -> str:
    """Returns the SQL without leading comments and the final semicolon."""
    return COMMENTS.sub("", sql).rstrip().rstrip(";").rstrip()


def first_word(sql: str) -> str:
    found = re.match(r"\(*\s*(\S*?)(?:\W|$)", statement_of(sql))
    return found[1].upper() if found else ""


def statement_type(sql: str) -> str:
    """Returns DML, DDL or UTILITY. Raises Malformed if it is not a statement."""
    word = first_word(sql)
    for kind, words in (("DML", QUERY_WORDS), ("DDL", DDL_WORDS), ("UTILITY", UTILITY_WORDS)):
        if word in words:
            return kind
    raise Malformed(f"line 1:1: mismatched input '{word.lower()}'. Expecting: {', '.join(sorted(QUERY_WORDS))}")


def locate(name: str, database: str) -> tuple[str, str]:
    """Database and table of a name as written: quoted or not, qualified or not."""
    *qualifiers, table = [part.strip('"`').lower() for part in re.findall(NAME, name)]
    return (qualifiers[-1] if qualifiers else database), table


def run_first(commands: Iterable[tuple[str, Callable[..., Result]]], target: Any, sql: str) -> Result | None:
    """Runs the first command whose pattern is the statement, as a method of `target`. None if there is none."""
    for pattern, command in commands:
        if found := re.fullmatch(pattern, statement_of(sql), re.IGNORECASE | re.DOTALL):
            return command(target, **{name: text for name, text in found.groupdict().items() if text is not None})
    return None


def not_supported(sql: str) -> str:
    return f"NOT_SUPPORTED: the sandbox does not run: {statement_of(sql)}"
