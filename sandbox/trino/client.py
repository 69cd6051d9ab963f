"""Runs statements on a Trino server by its REST API."""

import base64
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

USER = "hadoop"
CALL_SECONDS = 60


class TrinoError(Exception):
    """Trino's answer to a statement that it cannot run."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message


@dataclass(frozen=True)
class TrinoColumn:
    name: str
    type: str  # as Trino prints it: row(city varchar, "null" varchar)
    signature: dict[str, Any]  # the same, taken apart


@dataclass(frozen=True)
class TrinoResult:
    columns: list[TrinoColumn]
    rows: list[list[Any]]  # Python values: a row is a dictionary, a varbinary bytes, a decimal a Decimal
    bytes_read: int = 0

    def as_dicts(self) -> list[dict[str, Any]]:
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


class TrinoClient:
    """One session. `schema` is what unqualified names are in."""

    def __init__(self, url: str, catalog: str, schema: str = "default") -> None:
        self.url = url
        self._headers = {"X-Trino-User": USER, "X-Trino-Catalog": catalog, "X-Trino-Schema": schema}
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End the statement that runs."""
        self._cancelled.set()

    def run(self, sql: str) -> TrinoResult:
        """Raises TrinoError."""
        columns: list[TrinoColumn] = []
        rows: list[list[Any]] = []
        bytes_read = 0
        for answer in self._answers(sql):
            if "columns" in answer:
                columns = [TrinoColumn(each["name"], each["type"], each["typeSignature"]) for each in answer["columns"]]
            if error := answer.get("error"):
                raise TrinoError(error["errorName"], error.get("message", ""))
            bytes_read = answer.get("stats", {}).get("physicalInputBytes", 0)
            readers = [reader(column.signature) for column in columns]
            rows += [[read(v) for read, v in zip(readers, row, strict=True)] for row in answer.get("data") or []]
        return TrinoResult(columns, rows, bytes_read)

    def _answers(self, sql: str) -> Iterator[dict[str, Any]]:
        answer = self._call("POST", f"{self.url}/v1/statement", sql.encode())
        yield answer
        while uri := answer.get("nextUri"):
            if self._cancelled.is_set():
                with suppress(OSError):
                    self._call("DELETE", uri)
                raise TrinoError("USER_CANCELED", "Query was canceled")
            answer = self._call("GET", uri)
            yield answer

    def _call(self, method: str, url: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(url, body, self._headers, method=method)
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as answer:
            return json.loads(answer.read() or b"{}")


def reader(signature: dict[str, Any]) -> Callable[[Any], Any]:
    """Reads the JSON form of a value of this type."""
    read = _reader(signature)
    return lambda value: None if value is None else read(value)


def _reader(signature: dict[str, Any]) -> Callable[[Any], Any]:
    arguments = [argument["value"] for argument in signature["arguments"]]
    match signature["rawType"]:
        case "array":
            element = reader(arguments[0])
            return lambda value: [element(each) for each in value]
        case "map":
            read_key, read_value = key_reader(arguments[0]), reader(arguments[1])
            return lambda value: {read_key(k): read_value(v) for k, v in value.items()}
        case "row":
            fields = [(field_name(field, at), reader(field["typeSignature"])) for at, field in enumerate(arguments)]
            return lambda value: {name: read(v) for (name, read), v in zip(fields, value, strict=True)}
        case "decimal":
            return Decimal
        case "varbinary":
            return base64.b64decode
        case "double" | "real":
            return float
        case _:
            return lambda value: value


def field_name(field: dict[str, Any], position: int) -> str:
    return (field.get("fieldName") or {}).get("name") or f"field{position}"


def key_reader(signature: dict[str, Any]) -> Callable[[str], Any]:
    """Reads the key of a map, which JSON makes a text."""
    match signature["rawType"]:
        case "tinyint" | "smallint" | "integer" | "bigint":
            return int
        case "boolean":
            return lambda text: text == "true"
        case _:
            return _reader(signature)
