"""Files have the bytes that they would have if rows were written one after the other. No Spark, no AWS."""

import csv
import gzip
import io
from decimal import Decimal

import fastavro
import orjson
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from table_export_job import formats, fragments
from table_export_job.avro_rows import avro_schema
from table_export_job.formats import FORMATS

AWKWARD = " \t\r\n\v\b\f\0\x1f\x7f\x85\u2028\"'\\,;:{}[]|nru/0eEé日\U0001f600"
texts = st.text(AWKWARD, max_size=8) | st.text(max_size=8)
names = st.text(min_size=1, max_size=4) | st.sampled_from(["id", 'a"b', "größe", "\\", "日"])


def decimals(scale):
    unscaled = st.integers(-200, 200) | st.integers(1 - 10**38, 10**38 - 1)
    return unscaled.map(lambda number: Decimal(f"{number}e-{scale}"))


@st.composite
def types(draw, names=names, scalars=("decimal",), depth=2):
    """A strategy: a type of a column, and a strategy of its values."""
    kinds = ["string", "string", "boolean", "bigint", *scalars]
    kinds += ["list", "map", "struct"] if depth else []
    match draw(st.sampled_from(kinds)):
        case "string":
            return pa.string(), texts
        case "boolean":
            return pa.bool_(), st.booleans()
        case "bigint":
            return pa.int64(), st.integers(-200, 200) | st.integers(-(2**63), 2**63 - 1)
        case "decimal":
            scale = draw(st.integers(0, 38))
            return pa.decimal128(38, scale), decimals(scale)
        case "binary":
            return pa.binary(), st.binary(max_size=4) | st.integers(60, 70).map(bytes)
        case "double":
            return pa.float64(), st.floats(allow_nan=False)
        case "date":
            return pa.date32(), st.dates()
        case "list":
            inner, values = draw(types(names, scalars, depth - 1))
            return pa.list_(inner), st.lists(st.none() | values, max_size=3)
        case "map":
            inner, values = draw(types(names, scalars, depth - 1))
            return pa.map_(pa.string(), inner), st.dictionaries(texts, st.none() | values, max_size=3).map(
                list_of_pairs
            )
    fields = draw(st.dictionaries(names, types(names, scalars, depth - 1), min_size=1, max_size=3))
    values = {name: st.none() | inner for name, (_, inner) in fields.items()}
    return pa.struct([(name, type) for name, (type, _) in fields.items()]), st.fixed_dictionaries(values)


def list_of_pairs(of):
    return list(of.items())


text_columns = st.just((pa.string(), texts))


@st.composite
def batches(draw, columns, names=names):
    """A strategy: batches of one schema, some of them parts of larger ones, as slices are."""
    chosen = draw(st.dictionaries(names, columns, min_size=1, max_size=4))
    schema = pa.schema([(name, type) for name, (type, _) in chosen.items()])
    found = []
    for _ in range(draw(st.integers(0, 2))):
        count = draw(st.integers(0, 6))
        values = [draw(st.lists(st.none() | each, min_size=count, max_size=count)) for _, each in chosen.values()]
        arrays = [pa.array(each, type) for each, type in zip(values, schema.types, strict=True)]
        rows = pa.RecordBatch.from_arrays(arrays, schema=schema)
        start = draw(st.integers(0, count))
        found.append(rows.slice(start, draw(st.integers(0, count - start))))
    return schema, found


def written(name, schema, rows):
    file = io.BytesIO()
    writer = FORMATS[name].writer(file, schema, FORMATS[name].serde_parameters(schema, None))
    for batch in rows:
        writer.write(batch)
    writer.close()
    return file.getvalue()


def python_rows(batches):
    return [row for rows in batches for row in rows.to_pylist(maps_as_pydicts="strict")]


def as_number(value):
    assert isinstance(value, Decimal)
    return orjson.Fragment(format(value, "f"))


def json_lines(schema, rows):
    for row in python_rows(rows):
        known = {name: value for name, value in row.items() if value is not None}
        yield orjson.dumps(known, default=as_number, option=orjson.OPT_APPEND_NEWLINE)


def csv_lines(schema, rows):
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, escapechar="\\", lineterminator="\n")
    for row in [schema.names, *(row.values() for row in python_rows(rows))]:
        writer.writerow([text and text.replace("\r", "\\r").replace("\n", "\\n") for text in row])
    return file.getvalue().encode()


many_times = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@many_times
@given(batches(types()))
def test_json_is_that_of_each_row(batches):
    assert gzip.decompress(written("json", *batches)) == b"".join(json_lines(*batches))


@many_times
@given(batches(text_columns))
def test_csv_is_that_of_each_row(batches):
    assert gzip.decompress(written("csv", *batches)) == csv_lines(*batches)


avro_names = st.sampled_from(["id", "a", "_1", "B_2", "größe".encode("punycode").decode().replace("-", "_")])


@many_times
@given(batches(types(avro_names, ["binary", "decimal", "double", "date"]), avro_names))
def test_fastavro_reads_from_avro_what_the_rows_have(batches):
    assert list(fastavro.reader(io.BytesIO(written("avro", *batches)))) == python_rows(batches[1])


@many_times
@given(batches(types(scalars=["binary", "decimal", "double"])))
def test_arrow_reads_from_parquet_and_orc_what_the_rows_have(batches):
    schema, rows = batches
    copies = [each.take(pa.array(range(len(each)), pa.int64())) for each in rows]  # not slices
    parquet = pyarrow.parquet.read_table(io.BytesIO(written("parquet", schema, rows)))
    orc = pyarrow.orc.read_table(io.BytesIO(written("orc", schema, copies)))

    assert parquet.schema.names == orc.schema.names == schema.names
    assert python_rows([parquet]) == python_rows([orc]) == python_rows(rows)


@many_times
@given(batches(types(avro_names, ["binary", "double", "date"]), avro_names))
def test_avro_is_that_of_each_row(batches):
    """As fastavro writes it, but for decimals: theirs have more bytes than they need."""
    theirs = io.BytesIO()
    fastavro.writer(theirs, avro_schema(batches[0]), python_rows(batches[1]))

    assert content_of(written("avro", *batches)) == content_of(theirs.getvalue())


def content_of(avro):
    return b"".join(block.bytes_.getvalue() for block in fastavro.block_reader(io.BytesIO(avro)))


@pytest.mark.parametrize(("block_bytes", "items"), [(1, [1] * 100), (10, [2] * 50), (1000, [100])])
def test_avro_has_blocks_of_bounded_size(monkeypatch, block_bytes, items):
    monkeypatch.setattr(formats, "AVRO_BLOCK_BYTES", block_bytes)
    rows = pa.record_batch({"id": [f"{n:03d}" for n in range(100)]})

    avro = written("avro", rows.schema, [rows])

    assert [block.num_records for block in fastavro.block_reader(io.BytesIO(avro))] == items
    assert list(fastavro.reader(io.BytesIO(avro))) == rows.to_pylist()


def test_rows_with_many_values_are_written_in_parts(monkeypatch):
    monkeypatch.setattr(fragments, "BATCH_VALUES", 20)
    wide = pa.struct([(f"f{number}", pa.int64()) for number in range(9)])
    rows = pa.record_batch(
        {"id": [str(n) for n in range(7)], "x": pa.array([[{"f3": n}] for n in range(7)], pa.list_(wide))}
    )

    assert [len(part) for part in fragments.bounded(rows)] == [1] * 7
    assert gzip.decompress(written("json", rows.schema, [rows])) == b"".join(json_lines(rows.schema, [rows]))


def test_columns_that_json_cannot_hold_are_refused():
    rows = pa.record_batch({"id": pa.array([b"x"])})

    with pytest.raises(TypeError, match="binary cannot be written as JSON"):
        written("json", rows.schema, [rows])
