"""Everything that depends on the format of a snapshot: one row of FORMATS for each."""

import gzip
import json
from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet

from table_export_job.avro_rows import avro_rows, avro_schema
from table_export_job.errors import PermanentError
from table_export_job.fragments import bounded, content, joined, joined_without_nulls
from table_export_job.json_text import escaped, json_string, json_text, without_first_comma
from table_export_job.types import TypeRules

MB = 1024 * 1024
ROW_GROUP_BYTES = 128 * MB  # of rows in memory, before Parquet encodes them
PARAMETER_CHARACTERS = 512_000  # Glue, the longest value of a table's or SerDe's parameter
SCHEMA_LITERAL = "avro.schema.literal"
ANY_NUMBER_OF_ROWS = 2**40  # in a row group: ROW_GROUP_BYTES is its limit. PyArrow's default is a million
AVRO_BLOCK_BYTES = 256 * 1024  # about. A reader has a block in memory
GZIP_LEVEL = 3  # level 6 makes files 11% smaller and takes twice the time
CSV_ESCAPES = {"\\": "\\\\", '"': '""', "\r": r"\\r", "\n": r"\\n"}


class Writer(Protocol):
    """Writes one file of a format."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, serde_parameters: dict[str, str]) -> None: ...
    def write(self, rows: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


class ParquetWriter:
    """Writes row groups of the size that suits query engines, whatever the size of the batches."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, serde_parameters: dict[str, str]) -> None:
        self._file = pyarrow.parquet.ParquetWriter(file, schema, compression="zstd", store_schema=False)
        self._schema, self._group = schema, []

    def write(self, rows: pa.RecordBatch) -> None:
        self._group.append(rows)
        if sum(batch.nbytes for batch in self._group) >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._group:
            self._file.write_table(pa.Table.from_batches(self._group, self._schema), row_group_size=ANY_NUMBER_OF_ROWS)
        self._group = []

    def close(self) -> None:
        self._flush()
        self._file.close()


class OrcWriter:
    """Writes small batches if columns are nested: in them, lists take less time and many columns more.

    Rows must not be slices, of which Arrow 22 writes wrong structs.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema, serde_parameters: dict[str, str]) -> None:
        rows = 512 if any(map(pa.types.is_nested, schema.types)) else 1024
        self._file = pyarrow.orc.ORCWriter(file, compression="zstd", batch_size=rows)
        self._file.write(schema.empty_table())  # a file without rows has columns, too

    def write(self, rows: pa.RecordBatch) -> None:
        self._file.write(pa.Table.from_batches([rows]))

    def close(self) -> None:
        self._file.close()


class EncodedRows(NamedTuple):
    """A block of a file, as fastavro expects it."""

    num_records: int
    bytes_: BytesIO


class AvroWriter:
    def __init__(self, file: BinaryIO, schema: pa.Schema, serde_parameters: dict[str, str]) -> None:
        import fastavro.write  # shipped with jobs that write Avro only

        self._file = fastavro.write.Writer(file, json.loads(serde_parameters[SCHEMA_LITERAL]), codec="deflate")

    def write(self, rows: pa.RecordBatch) -> None:
        for part in bounded(rows):
            encoded = avro_rows(part.columns)
            size = max(1, len(encoded) * AVRO_BLOCK_BYTES // (len(content(encoded)) or 1))
            for start in range(0, len(encoded), size):
                block = encoded.slice(start, size)
                self._file.write_block(EncodedRows(len(block), BytesIO(content(block))))

    def close(self) -> None:
        self._file.flush()


class LinesWriter:
    """Writes gzipped lines."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, serde_parameters: dict[str, str]) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=GZIP_LEVEL)

    def write(self, rows: pa.RecordBatch) -> None:
        for part in bounded(rows):
            self._file.write(content(self.lines(part.columns)))

    def lines(self, columns: list[pa.Array]) -> pa.Array:
        raise NotImplementedError

    def close(self) -> None:
        self._file.close()


class JsonWriter(LinesWriter):
    """Writes one line per row, without the fields that are NULL. Decimals are numbers with all their digits."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, serde_parameters: dict[str, str]) -> None:
        super().__init__(file, schema, serde_parameters)
        self._keys = [f",{json_string(name)}:" for name in schema.names]

    def lines(self, columns: list[pa.Array]) -> pa.Array:
        fields = [joined(key, *json_text(values)) for key, values in zip(self._keys, columns, strict=True)]
        return joined(without_first_comma("{", fields), "}\n")


class CsvWriter(LinesWriter):
    """Writes what Athena's OpenCSVSerDe reads: a header, all fields quoted, a backslash to escape, no line breaks."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, serde_parameters: dict[str, str]) -> None:
        super().__init__(file, schema, serde_parameters)
        self._file.write(content(self.lines([pa.array([name]) for name in schema.names])))

    def lines(self, columns: list[pa.Array]) -> pa.Array:
        fields = [escaped(values, CSV_ESCAPES) for values in columns]
        return joined('"', joined_without_nulls(*fields, separator='","'), '"\n')


def count_parquet(path: str) -> int:
    return pyarrow.parquet.read_metadata(path).num_rows


def count_orc(path: str) -> int:
    return pyarrow.orc.ORCFile(path).nrows


def count_avro(path: str) -> int:
    import fastavro

    with open(path, "rb") as file:
        return sum(block.num_records for block in fastavro.block_reader(file))


def count_lines(path: str) -> int:
    with gzip.open(path) as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(MB), b""))


def count_csv(path: str) -> int:
    return count_lines(path) - 1  # the header


def no_serde_parameters(schema: pa.Schema, earlier: dict[str, str] | None) -> dict[str, str]:
    return {}


def avro_serde_parameters(schema: pa.Schema, earlier: dict[str, str] | None) -> dict[str, str]:
    """`earlier` are those of the latest snapshot. Raises PermanentError if the catalog cannot hold the schema."""
    literal = json.dumps(avro_schema(schema, json.loads((earlier or {}).get(SCHEMA_LITERAL, "null"))))
    if len(literal) > PARAMETER_CHARACTERS:
        raise PermanentError(
            f"The Avro schema of {len(schema)} columns has {len(literal):,} characters, and the Glue Data Catalog "
            f"accepts {PARAMETER_CHARACTERS:,}. Deploy a table stack with its own CatalogName and OutputFormat parquet,"
            ' or put attributes whose names are data into a map, then start over: docs/schema.md, "Start over".'
        )
    return {SCHEMA_LITERAL: literal}


class Format(NamedTuple):
    suffix: str  # of a file's name
    writer: type[Writer]
    count_items: Callable[[str], int]  # in a finished file, as a reader of the format finds them
    rules: TypeRules = TypeRules()
    serde_parameters: Callable[[pa.Schema, dict[str, str] | None], dict[str, str]] = no_serde_parameters


FORMATS = {
    "parquet": Format(".zstd.parquet", ParquetWriter, count_parquet),
    "orc": Format(".orc", OrcWriter, count_orc, TypeRules(whole_seconds_before_1970=True)),
    "avro": Format(".avro", AvroWriter, count_avro, TypeRules(ascii_names=True), avro_serde_parameters),
    "json": Format(".json.gz", JsonWriter, count_lines, TypeRules(binary_as_text=True)),
    "csv": Format(".csv.gz", CsvWriter, count_csv, TypeRules(text_only=True)),
}
