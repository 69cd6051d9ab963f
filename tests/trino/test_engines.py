"""The sandbox's DuckDB answers the queries of analysts as Trino does, except for the differences in docs/sandbox.md."""

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from sandbox.athena.duckdb_engine import DuckDbEngine
from sandbox.athena.queries import column_info
from sandbox.athena.statements import Malformed
from sandbox.athena.trino_engine import TrinoEngine
from sandbox.datalake.catalog import Catalog, QueryFailed
from table_exports_cli import measuring
from table_exports_cli.proposals import Wanted
from tests.trino.lake import BUCKET, DATABASE

ROOT = Path(__file__).parents[2]
TABLE = pa.table(
    {
        "id": ["a", "b", "c"],
        "stars": pa.array([5, 2, None], pa.int64()),
        "price": pa.array([Decimal("9.9"), Decimal("1.0"), None], pa.decimal128(38, 1)),
        "ratio": [0.5, 1e10, None],
        "sold": [True, False, None],
        "tags": pa.array([["x", "y"], [], None], pa.list_(pa.string())),
        "place": pa.array([{"city": "Ulm", "zip": 89073}, {"city": None, "zip": 1}, None]),
        "lines": pa.array([[{"sku": "s", "count": 2}], [], None]),
        "counts": pa.array([[("k", 1), ("l", None)], [], None], pa.map_(pa.string(), pa.int64())),
        "data": pa.array([b"\x00\xff", b"", None], pa.binary()),
        "day": [datetime.date(2026, 11, 23), datetime.date(2026, 1, 31), None],
    }
)


SAME = [
    "SELECT * FROM things ORDER BY id",
    "SELECT count(*), count(stars), sum(stars), min(price), max(ratio) FROM things",
    "SELECT avg(stars) FROM things",
    "SELECT sum(price) FROM things",
    "SELECT price * 3 FROM things WHERE id = 'a'",
    "SELECT price + 1 FROM things WHERE id = 'a'",
    "SELECT price * price FROM things WHERE id = 'a'",
    "SELECT avg(CAST(price AS double)) FROM things",
    "SELECT stars / 2 FROM things WHERE id = 'a'",
    "SELECT stars % 2 FROM things WHERE id = 'a'",
    "SELECT CAST(stars AS double) / 2 FROM things WHERE id = 'a'",
    "SELECT 7 / 2, -7 / 2, 7 % -2",
    "SELECT order FROM things",
    "SELECT id FROM things WHERE group = 1",
    "SELECT id AS table FROM things",
    'SELECT 1 AS value, 2 AS date, 3 AS "order"',
    "SELECT id, tag FROM things CROSS JOIN UNNEST(tags) AS t (tag) ORDER BY 1, 2",
    "SELECT id, tag, n FROM things CROSS JOIN UNNEST(tags) WITH ORDINALITY AS t (tag, n) ORDER BY 1, 3",
    "SELECT id, tag FROM things LEFT JOIN UNNEST(tags) AS t (tag) ON true ORDER BY 1, 2",
    "SELECT map_agg(id, counts) FROM things WHERE id = 'a'",
    "SELECT map_agg(id, stars) FROM things WHERE id = 'a'",
    "SELECT map_keys(counts), map_values(counts) FROM things WHERE id = 'a'",
    "SELECT counts['k'], element_at(counts, 'nope') FROM things WHERE id = 'a'",
    "SELECT tags[1], element_at(tags, 2), element_at(tags, -1), element_at(tags, 9) FROM things WHERE id = 'a'",
    "SELECT array_agg(id ORDER BY id) FROM things",
    "SELECT reduce(ARRAY[1, 2, 3], 0, (s, x) -> s + x, s -> s)",
    "SELECT place.city, place.zip FROM things ORDER BY id",
    "SELECT place FROM things WHERE place IS NOT NULL ORDER BY id",
    "SELECT length(data), to_hex(data), to_base64(data) FROM things WHERE id = 'a'",
    "SELECT to_hex(md5(data)), to_hex(sha256(data)) FROM things WHERE id = 'a'",
    "SELECT DATE '2026-11-23', TIMESTAMP '2026-11-23 02:00:00', TIME '02:00:00'",
    "SELECT TIMESTAMP '2026-11-23 02:00:00 UTC'",
    "SELECT from_iso8601_timestamp('2026-11-23T02:00:00Z')",
    "SELECT from_iso8601_date('2026-11-23')",
    "SELECT from_unixtime(0)",
    "SELECT to_unixtime(from_iso8601_timestamp('2026-11-23T02:00:00Z'))",
    "SELECT date_parse('2026-11-23T02-00-07Z', '%Y-%m-%dT%H-%i-%sZ')",
    "SELECT CAST('2026-11-23' AS date), CAST(DATE '2026-11-23' AS timestamp), CAST(DATE '2026-11-23' AS varchar)",
    "SELECT date('2026-11-23')",
    "SELECT current_date = date(now())",
    "SELECT CAST(1.5 AS bigint), CAST(2.5 AS bigint), CAST(-1.5 AS integer)",
    "SELECT TRY_CAST('x' AS bigint), TRY(1 / 0), COALESCE(NULL, 1), NULLIF(1, 1)",
    "SELECT CAST(tags AS json), CAST(place AS json) FROM things WHERE id = 'a'",
    "SELECT json_format(CAST(counts AS json)) FROM things WHERE id = 'a'",
    (
        "SELECT json_extract('{\"a\": [1, 2]}', '$.a'), json_extract_scalar('{\"a\": [1, 2]}', '$.a[1]'), "
        "json_array_length('[1, 2]')"
    ),
    "SELECT CAST(json_parse('[1, 2]') AS array(bigint))",
    "SELECT upper(id), length(id), substr(id, 1, 1), concat(id, '-', id), id || '!' FROM things WHERE id = 'a'",
    (
        "SELECT split('a,b', ','), split_part('a,b', ',', 2), replace('aXb', 'X', '-'), reverse('abc'), "
        "lpad('7', 3, '0'), trim('  a ')"
    ),
    "SELECT strpos('abc', 'b'), position('b' IN 'abc'), starts_with('abc', 'ab'), substring('abc' FROM 2)",
    "SELECT regexp_like('abc', 'b'), regexp_extract('a1b2', '\\d'), regexp_replace('a1', '\\d', 'x')",
    "SELECT regexp_extract_all('a1b2', '\\d')",
    "SELECT greatest(1, 2), least('a', 'b'), if(sold, 'yes', 'no') FROM things WHERE id = 'a'",
    "SELECT CASE WHEN stars > 3 THEN 'good' WHEN stars IS NULL THEN 'none' ELSE 'poor' END FROM things ORDER BY id",
    "SELECT approx_distinct(id), count(DISTINCT id), arbitrary(1), bool_and(sold), count_if(sold) FROM things",
    "SELECT max_by(id, stars), min_by(id, stars) FROM things",
    "SELECT stddev(stars), variance(stars) FROM things",
    "SELECT histogram(id) FROM things WHERE id = 'a'",
    "SELECT listagg(id, ',') WITHIN GROUP (ORDER BY id) FROM things",
    (
        "SELECT id, row_number() OVER (ORDER BY id), lag(id) OVER (ORDER BY id), sum(stars) OVER (ORDER BY "
        "id) FROM things ORDER BY id"
    ),
    "SELECT sold, count(*) FROM things GROUP BY sold ORDER BY sold",
    "SELECT sold, count(*) FROM things GROUP BY 1 HAVING count(*) > 0 ORDER BY 1 DESC",
    "SELECT id FROM things ORDER BY stars",
    "SELECT id FROM things ORDER BY stars DESC",
    "SELECT id FROM things WHERE tags = ARRAY['x', 'y']",
    "SELECT id FROM things WHERE stars BETWEEN 1 AND 3 OR id IN ('c') ORDER BY 1",
    "SELECT id FROM things WHERE id LIKE 'a%' ESCAPE '\\'",
    "SELECT 'a' = 'a ', 'A' = 'a'",
    "SELECT 'it''s', 'é', '日本'",
    "SELECT nan(), infinity(), -infinity()",
    "SELECT ARRAY[ARRAY[1], NULL], MAP(ARRAY['a'], ARRAY[ARRAY[1.5]])",
    "SELECT id FROM things UNION ALL SELECT 'z' ORDER BY 1",
    "SELECT id FROM things EXCEPT SELECT 'a' ORDER BY 1",
    "WITH t AS (SELECT stars AS n FROM things) SELECT sum(n) FROM t",
    "SELECT (SELECT max(id) FROM things), EXISTS (SELECT 1 FROM things)",
    "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t (n, t)",
    "SELECT * FROM things LIMIT 0",
    "SELECT id FROM things ORDER BY id OFFSET 1 LIMIT 1",
    "SELECT id FROM things ORDER BY id FETCH FIRST 1 ROW ONLY",
    "SELECT x FROM UNNEST(sequence(1, 3)) AS t (x)",
    "SELECT nothing(1)",
    "SELECT id FROM nowhere",
    "SELECT nope FROM things",
    "SELECT id FROM things WHERE",
    (
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_name = "
        "'things' ORDER BY ordinal_position"
    ),
    "SELECT table_name, table_type FROM information_schema.tables WHERE table_name = 'things'",
    'SELECT id FROM "awsdatacatalog"."dynamodb_exports"."things" t WHERE t.id = \'a\'',
    "SELECT try(CAST('x' AS integer))",
    "SELECT id FROM things WHERE day > DATE '2026-02-01'",
    "SELECT concat_ws(',', 'a', NULL, 'b')",
    "SELECT flatten(ARRAY[ARRAY[1], ARRAY[2]])",
    "SELECT codepoint('a'), chr(97), ascii('a')",
    "SELECT sum(DISTINCT stars) FILTER (WHERE sold) FROM things",
    "SELECT price > 5, price = 9.9, price IN (9.9) FROM things WHERE id = 'a'",
    "SELECT CAST(price AS bigint), CAST(price AS double), CAST(9.95 AS decimal(5, 1)) FROM things WHERE id = 'a'",
    "SELECT cardinality(tags) FROM things ORDER BY id",
    "SELECT contains(tags, 'x'), array_join(tags, '+') FROM things WHERE id = 'a'",
    "SELECT filter(tags, t -> t > 'x'), transform(tags, t -> upper(t)) FROM things WHERE id = 'a'",
    "SELECT array_max(ARRAY[1, 2]), array_sort(ARRAY[2, 1])",
    "SELECT data = X'00FF' FROM things WHERE id = 'a'",
    "SELECT day, day_of_week(day), year(day), month(day) FROM things WHERE id = 'a'",
    (
        "SELECT date_diff('month', DATE '2026-01-31', day), date_diff('day', day, DATE '2026-11-25') FROM "
        "things WHERE id = 'a'"
    ),
    "SELECT date_format(day, '%Y/%m/%d') FROM things WHERE id = 'a'",
    "SELECT CAST(price AS varchar), CAST(sold AS varchar), CAST(stars AS varchar) FROM things WHERE id = 'b'",
    "SELECT round(2.5), floor(1.5), ceil(1.2), abs(-1), power(2, 3), sqrt(4), mod(7, 3)",
    "SELECT round(price), floor(price) FROM things WHERE id = 'a'",
    "SELECT 1e0, 1.50",
    "SELECT true, 1",
    "SELECT CAST(ROW(1, 'a') AS ROW(n bigint, t varchar))",
    "SELECT nope FROM",
    *(
        f"SELECT {', '.join(measuring.expressions_for(each, text_only))} FROM things AS t"
        for each, text_only in [
            (Wanted("stars", "stars", "bigint", "time"), False),
            (Wanted("id", "id", "string", "time"), True),
            (Wanted("price", "price", "decimal(38,1)", "scale"), False),
            (Wanted("id", "id", "string", "scale"), False),
            (Wanted("id", "id", "string", "text"), False),
            (Wanted("id", "id", "string", "text"), True),
            (Wanted("place", "place", "struct<city:string,zip:bigint>", "fields", ("city", "zip")), False),
        ]
    ),
]

DIFFERENT = {  # of each difference, queries with what DuckDB and what Trino answers
    "`avg` and `/` of decimals": [
        ("SELECT avg(price) FROM things", "double | 5.45", "decimal(38,1) | 5.5"),
        ("SELECT price / 3 FROM things WHERE id = 'a'", "double | 3.3000000000000003", "decimal(38,1) | 3.3"),
        ("SELECT 1.0 / 3", "double | 0.3333333333333333", "decimal(2,1) | 0.3"),
    ],
    "`typeof`": [
        (
            "SELECT typeof(stars), typeof(tags) FROM things WHERE id = 'a'",
            "varchar, varchar | BIGINT, VARCHAR[]",
            "varchar, varchar | bigint, array(varchar)",
        ),
    ],
    "`cardinality` of maps": [
        ("SELECT cardinality(counts) FROM things ORDER BY id", "SYNTAX_ERROR", "bigint | 2 | 0 | NULL"),
    ],
    "`UNNEST` of maps and of arrays of rows": [
        (
            "SELECT id, sku, count FROM things CROSS JOIN UNNEST(lines) AS t (sku, count) ORDER BY 1",
            "COLUMN_NOT_FOUND",
            "varchar, bigint, varchar | a, 2, s",
        ),
        (
            "SELECT id, k, v FROM things CROSS JOIN UNNEST(counts) AS t (k, v) ORDER BY 1, 2",
            "SYNTAX_ERROR",
            "varchar, varchar, bigint | a, k, 1 | a, l, NULL",
        ),
    ],
    "Missing functions": [
        ("SELECT map_filter(counts, (k, v) -> v > 0) FROM things WHERE id = 'a'", "FUNCTION_NOT_FOUND", "map | {k=1}"),
        (
            "SELECT at_timezone(TIMESTAMP '2026-11-23 02:00:00 UTC', 'Europe/Berlin')",
            "FUNCTION_NOT_FOUND",
            "timestamp with time zone | 2026-11-23 03:00:00.000 Europe/Berlin",
        ),
        (
            "SELECT parse_datetime('2026-11-23', 'yyyy-MM-dd')",
            "GENERIC_USER_ERROR",
            "timestamp with time zone | 2026-11-23 00:00:00.000 UTC",
        ),
        (
            "SELECT url_extract_host('https://example.com/a'), url_encode('a b')",
            "FUNCTION_NOT_FOUND",
            "varchar, varchar | example.com, a+b",
        ),
        ("SELECT word_stem('running')", "FUNCTION_NOT_FOUND", "varchar | run"),
        (
            "SELECT transform_values(counts, (k, v) -> k) FROM things WHERE id = 'a'",
            "FUNCTION_NOT_FOUND",
            "map | {k=k, l=l}",
        ),
        (
            "SELECT map_concat(counts, MAP(ARRAY['z'], ARRAY[9])) FROM things WHERE id = 'a'",
            "SYNTAX_ERROR",
            "map | {z=9, k=1, l=null}",
        ),
        ("SELECT zip(ARRAY[1], ARRAY['a'])", "FUNCTION_NOT_FOUND", "array | [{field0=1, field1=a}]"),
        ("SELECT any_match(tags, t -> t = 'x') FROM things WHERE id = 'a'", "FUNCTION_NOT_FOUND", "boolean | true"),
        ("SELECT format_datetime(day, 'yyyy') FROM things WHERE id = 'a'", "FUNCTION_NOT_FOUND", "varchar | 2026"),
        ("SELECT bit_count(9, 64)", "SYNTAX_ERROR", "bigint | 2"),
    ],
    '`"$path"`': [
        ("SELECT \"$path\" LIKE 's3://%' FROM things WHERE id = 'a'", "COLUMN_NOT_FOUND", "boolean | true"),
    ],
    "Statements": [
        ("VALUES 1, 2", "NOT_SUPPORTED", "integer | 1 | 2"),
        ("EXPLAIN (TYPE VALIDATE) SELECT 1", "NOT_SUPPORTED", "string | true"),
    ],
    "Subscripts out of range": [
        ("SELECT counts['nope'] FROM things WHERE id = 'a'", "bigint | NULL", "INVALID_FUNCTION_ARGUMENT"),
        ("SELECT tags[9] FROM things WHERE id = 'a'", "varchar | NULL", "INVALID_FUNCTION_ARGUMENT"),
        ("SELECT tags[0] FROM things WHERE id = 'a'", "varchar | NULL", "INVALID_FUNCTION_ARGUMENT"),
    ],
    "Comparisons and casts of different types": [
        ("SELECT CAST(tags AS varchar) FROM things WHERE id = 'a'", "varchar | [x, y]", "TYPE_MISMATCH"),
        ("SELECT id FROM things WHERE stars = '5'", "varchar | a", "TYPE_MISMATCH"),
        ("SELECT id FROM things WHERE id = 5", "GENERIC_USER_ERROR", "TYPE_MISMATCH"),
        ("SELECT id FROM things WHERE day > '2026-02-01'", "varchar | a", "TYPE_MISMATCH"),
    ],
    "Codes of errors": [
        ("SELECT stars / 0 FROM things WHERE id = 'a'", "GENERIC_USER_ERROR", "DIVISION_BY_ZERO"),
        ("SELECT CAST('x' AS bigint)", "GENERIC_USER_ERROR", "INVALID_CAST_ARGUMENT"),
        ("SELECT 9223372036854775807 + 1", "GENERIC_USER_ERROR", "NUMERIC_VALUE_OUT_OF_RANGE"),
        ("SELECT id, count(*) FROM things", "SYNTAX_ERROR", "EXPRESSION_NOT_AGGREGATE"),
    ],
    "Dates with intervals": [
        (
            "SELECT day + INTERVAL '1' DAY FROM things WHERE id = 'a'",
            "timestamp | 2026-11-24 00:00:00.000",
            "date | 2026-11-24",
        ),
        (
            "SELECT date_trunc('month', day) FROM things WHERE id = 'a'",
            "timestamp | 2026-11-01 00:00:00.000",
            "date | 2026-11-01",
        ),
        (
            "SELECT date_add('day', 1, day) FROM things WHERE id = 'a'",
            "timestamp | 2026-11-24 00:00:00.000",
            "date | 2026-11-24",
        ),
    ],
    "Time zones": [
        (
            "SELECT from_iso8601_timestamp('2026-11-23T02:00:00Z') AT TIME ZONE 'Europe/Berlin'",
            "timestamp | 2026-11-23 03:00:00.000",
            "timestamp with time zone | 2026-11-23 03:00:00.000 Europe/Berlin",
        ),
    ],
    "Types of some results": [
        (
            "SELECT grouping(sold) FROM things GROUP BY GROUPING SETS ((sold)) ORDER BY 1 LIMIT 1",
            "bigint | 0",
            "integer | 0",
        ),
        ("SELECT array_position(tags, 'y') FROM things WHERE id = 'a'", "integer | 2", "bigint | 2"),
        ("SELECT round(1.234, 2)", "decimal(4,2) | 1.23", "decimal(5,3) | 1.230"),
        ("SELECT truncate(price) FROM things WHERE id = 'a'", "decimal(38,0) | 9", "decimal(37,0) | 9"),
        ("SELECT 0.1 + 0.2", "decimal(3,1) | 0.3", "decimal(2,1) | 0.3"),
        ("SELECT NULL", "varchar | NULL", "unknown | NULL"),
        ("SELECT bitwise_and(6, 3)", "integer | 2", "bigint | 2"),
    ],
    "Texts of some values": [
        ("SELECT INTERVAL '2' DAY", "varchar | 2 days, 0:00:00", "interval day to second | 2 00:00:00.000"),
        ('SELECT json_parse(\'{"b": 1, "a": null}\')', 'json | {"b":1,"a":null}', 'json | {"a":null,"b":1}'),
        (
            "SELECT map_entries(counts) FROM things WHERE id = 'a'",
            "array | [{key=k, value=1}, {key=l, value=null}]",
            "array | [{field0=k, field1=1}, {field0=l, field1=null}]",
        ),
        ("SELECT CAST(ratio AS varchar) FROM things WHERE id = 'b'", "varchar | 10000000000.0", "varchar | 1.0E10"),
        ("SELECT CAST(1 AS real) / 3", "float | 0.3333333432674408", "float | 0.33333334"),
        ("SELECT ROW(1, 'a')", "row | {_0=1, _1=a}", "row | {field0=1, field1=a}"),
    ],
    "Malformed JSON": [
        ("SELECT json_extract_scalar('no json', '$.a')", "GENERIC_USER_ERROR", "varchar | NULL"),
    ],
    "`slice`, `format` and `approx_percentile`": [
        ("SELECT approx_percentile(stars, 0.5) FROM things", "bigint | 4", "bigint | 5"),
        ("SELECT format('%s-%d', 'a', 1)", "varchar | %s-%d", "varchar | a-1"),
        ("SELECT slice(ARRAY[1, 2, 3], 2, 2)", "array | [2]", "array | [2, 3]"),
    ],
}


class Engines:
    def __init__(self, lake):
        self._catalog = Catalog(lake.glue, lake.s3)
        self._engines = {"duckdb": DuckDbEngine(), "trino": TrinoEngine(lake.trino.url)}

    def answer(self, engine, sql):
        """The types and the rows, as text; or the code of the error."""
        try:
            self._engines[engine].check(sql)
            session = self._engines[engine].session(self._catalog, DATABASE, f"s3://{BUCKET}/made")
            result = session.run(sql)
        except Malformed:
            return "MALFORMED"
        except QueryFailed as error:
            return str(error).partition(":")[0]
        types = [name_of_type(column_info(column)) for column in result.columns]
        rows = [["NULL" if value is None else value for value in row] for row in result.rows]
        return " | ".join(", ".join(row) for row in [types, *rows])


def name_of_type(info):
    return f"decimal({info['Precision']},{info['Scale']})" if info["Type"] == "decimal" else info["Type"]


@pytest.fixture(scope="module")
def engines(lake):
    Catalog(lake.glue, lake.s3).save_table(DATABASE, "things", f"s3://{BUCKET}/things/", TABLE)
    return Engines(lake)


@pytest.mark.slow
@pytest.mark.parametrize("sql", SAME)
def test_both_engines_answer_the_same(engines, sql):
    assert engines.answer("duckdb", sql) == engines.answer("trino", sql)


@pytest.mark.slow
@pytest.mark.parametrize(("sql", "duckdb", "trino"), [case for cases in DIFFERENT.values() for case in cases])
def test_a_listed_difference_is_still_one(engines, sql, duckdb, trino):
    assert duckdb != trino
    assert engines.answer("duckdb", sql) == duckdb
    assert engines.answer("trino", sql) == trino


def test_the_documentation_lists_each_difference_and_no_others():
    section = (ROOT / "docs" / "sandbox.md").read_text().partition("### Where DuckDB differs from Trino")[2]
    rows = [line.split(" | ")[0] for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]

    assert rows[1:] == [f"| {difference}" for difference in DIFFERENT]
