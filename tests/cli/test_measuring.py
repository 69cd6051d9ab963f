"""The queries that measure columns, on rows whose measures are known. DuckDB runs Athena's SQL here."""

import re
from decimal import Decimal
from types import SimpleNamespace

import pyarrow as pa
import pytest

from sandbox.athena.duckdb_engine import DuckDbSession
from table_export_job.conversions import Conversion
from table_exports.domain.limits import QUERY_BYTES
from table_exports_cli import measuring
from table_exports_cli.proposals import Facts, Wanted

SNAPSHOT = "2026-11-23T02-00-07Z"
TWO = pa.struct([("a", pa.int64()), ('b"x', pa.int64())])
ISO = ["2026-11-23", "2019-03-01T02:00:07.123Z", "2026-11-23 03:00+01:00", "2026-02-30", "2026-11-23T25:00", "soon", ""]


def measured(what, values, type="string", *, name='a "name"', text_only=False, fields=()):
    """What the query says of a column with these values, and of no other snapshot's."""
    wanted = [Wanted("attribute", name, type, what, fields), Wanted("other", "other", "string", "text")]
    rows = pa.table({name: values, "other": ["1"] * len(values), "snapshot_timestamp": [SNAPSHOT] * len(values)})
    earlier = rows.set_column(2, "snapshot_timestamp", pa.array(["2026-11-22T02-00-07Z"] * len(values)))
    catalog = SimpleNamespace(
        find=lambda database, table: SimpleNamespace(is_view=False),
        read=lambda table, held: pa.concat_tables([rows, earlier]),
    )
    sql = measuring.sql(wanted, text_only, "exports", "snapshots_reviews", SNAPSHOT)
    [row] = DuckDbSession(catalog, "exports", "").run(sql).rows
    found = measuring.facts(wanted, text_only, row)
    assert found["other"] == Facts(values=len(values))
    return found["attribute"]


def decimals(*texts):
    return pa.array([text and Decimal(text) for text in texts], pa.decimal128(38, 5))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: measured("time", pa.array([7, None, 5]), "bigint"), Facts(values=2, least=5, most=7)),
        (lambda: measured("time", pa.array([None], pa.int64()), "bigint"), Facts()),
        (lambda: measured("time", ["7", "", "5"], text_only=True), Facts(values=2, least=5, most=7)),
        (
            lambda: measured("scale", decimals("1", "2.50", "0.00001", None, "-3.14"), "decimal(38,5)"),
            Facts(values=4, scales={0: 1, 1: 1, 2: 1, 5: 1}),
        ),
        (
            lambda: measured("scale", ["1E-30", "12.50", "-3", None]),
            Facts(values=3, scales={0: 1, 1: 1, measuring.UNREADABLE_SCALE: 1}),
        ),
        (lambda: measured("scale", decimals(None), "decimal(38,5)"), Facts()),
        (
            lambda: measured("text", [*ISO, None]),
            Facts(values=7, times=3, days=1, least="2019-03-01", most="2026-11-23"),
        ),
        (
            lambda: measured("text", [*ISO[:3], ""], text_only=True),
            Facts(values=3, times=3, days=1, least="2019-03-01", most="2026-11-23"),
        ),
        (
            lambda: measured(
                "fields",
                pa.array([{"a": 1, 'b"x': None}, None, {"a": 2, 'b"x': 3}], TWO),
                "struct",
                fields=("a", 'b"x'),
            ),
            Facts(values=2, filled=3),
        ),
    ],
)
def test_a_query_measures_a_column_of_one_snapshot(found, expected):
    assert found() == expected


@pytest.mark.parametrize("clock", ["02:00", "02:00:07", "02:00:07.1", "02:00:07,123456789", "23:59:59"])
@pytest.mark.parametrize("offset", ["", "Z", "+01:00", "-0330"])
def test_a_text_that_counts_as_a_time_is_one_for_the_job(clock, offset):
    text, pattern = f"2026-11-23T{clock}{offset}", measuring.TIMES.strip("'")

    assert re.fullmatch(pattern, text)
    assert Conversion("timestamp", "iso8601").convert({"S": text}) is not None


@pytest.mark.parametrize("text", ["2026-11-23T24:00", "2026-11-23T02:60", "2026-11-23T02", "26-11-23", "0000-01-01"])
def test_a_text_that_is_no_time_does_not_count(text):
    assert not re.fullmatch(measuring.TIMES.strip("'"), text)


def test_queries_are_few_and_none_is_larger_than_athena_accepts():
    wanted = [Wanted(f"a{n}", "ö" * 120, "string", "text") for n in range(1000)]

    queries = measuring.planned(wanted, True)

    assert len(queries) == measuring.MOST_QUERIES
    assert [each for query in queries for each in query] == wanted[: sum(map(len, queries))]
    for query in queries:
        assert len(measuring.sql(query, True, "exports", "t", SNAPSHOT).encode()) < QUERY_BYTES
        assert sum(len(measuring.expressions_for(each, True)) for each in query) <= measuring.MOST_EXPRESSIONS
    assert measuring.planned([], False) == []
