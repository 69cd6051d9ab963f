"""Reads the rows of a file as Athena does, with the SerDe, columns and parameters of the catalog."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from sandbox.datalake.storage import (
    AVRO,
    HIVE_JSON,
    LAZY_SIMPLE,
    OPEN_CSV,
    OPENX_JSON,
    ORC,
    PARQUET,
    Storage,
    as_table,
)
from sandbox.datalake.text_files import (
    ReaderOfLines,
    hive_json_rows,
    lazy_simple_rows,
    lines,
    open_csv_rows,
    openx_json_rows,
)
from sandbox.datalake.typed_files import read_avro, read_orc, read_parquet

Reader = Callable[[bytes, str, Storage], pa.Table]


def read_rows(content: bytes, uri: str, storage: Storage) -> pa.Table:
    """Returns the rows of a file in the columns of the storage. Raises QueryFailed."""
    return READERS[storage.serde](content, uri, storage)


def of_lines(rows: ReaderOfLines) -> Reader:
    def read(content: bytes, uri: str, storage: Storage) -> pa.Table:
        columns: list[list[Any]] = [[] for _ in storage.columns]
        for row in rows(lines(content, uri, storage), storage):
            for values, value in zip(columns, row, strict=True):
                values.append(value)
        return as_table(columns, storage, uri)

    return read


READERS: dict[str, Reader] = {
    PARQUET: read_parquet,
    ORC: read_orc,
    AVRO: read_avro,
    HIVE_JSON: of_lines(hive_json_rows),
    OPENX_JSON: of_lines(openx_json_rows),
    OPEN_CSV: of_lines(open_csv_rows),
    LAZY_SIMPLE: of_lines(lazy_simple_rows),
}
