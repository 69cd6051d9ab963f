"""What Trino shows of columns with declared types, in every format."""

import pytest

pytestmark = pytest.mark.slow

COLUMNS = {
    "secret": {"omit": True},
    "at": {"as": "timestamp", "from": "epoch_ms"},
    "day": {"as": "date", "from": "iso8601"},
    "price": {"as": "decimal(18,2)", "name": "net_price"},
    "ratio": {"as": "double"},
    "count": {"as": "bigint"},
    "ok": {"as": "boolean"},
    "raw": {"as": "json"},
}
ITEMS = [
    {
        "id": {"S": "1"},
        "secret": {"S": "x"},
        "at": {"N": "1700000000123"},
        "day": {"S": "2023-11-14"},
        "price": {"N": "12.5"},
        "ratio": {"N": "0.25"},
        "count": {"S": "9007199254740993"},
        "ok": {"S": "TRUE"},
        "raw": {"M": {"a": {"N": "1"}}},
    },
    {
        "id": {"S": "2"},
        "at": {"N": "-1"},
        "day": {"S": "1899-12-31"},
        "price": {"S": "-0.01"},
        "ratio": {"N": "1E+100"},
        "ok": {"N": "0"},
        "raw": {"S": "b"},
    },
    {"id": {"S": "3"}, "at": {"S": "soon"}, "day": {"NULL": True}, "price": {"N": "0.001"}},
    {"id": {"S": "4"}, "at": {"N": "-62135596800000"}, "day": {"S": "0001-01-01"}},
    {"id": {"S": "5"}, "at": {"N": "253402300799999"}, "day": {"S": "9999-12-31"}},
]
SHOWN = {
    "at": [
        "2023-11-14 22:13:20.123",
        "1969-12-31 23:59:59.999",
        None,
        "0001-01-01 00:00:00.000",
        "9999-12-31 23:59:59.999",
    ],
    "day": ["2023-11-14", "1899-12-31", None, "0001-01-01", "9999-12-31"],
    "net_price": ["12.50", "-0.01", None, None, None],
    "ratio": ["2.5E-1", "1.0E100", None, None, None],
    "count": ["9007199254740993", None, None, None, None],
    "ok": ["true", "false", None, None, None],
    "raw": ['{"a":1}', '"b"', None, None, None],
    "at_not_converted": [None, None, "soon", None, None],
    "net_price_not_converted": [None, None, "0.001", None, None],
}
IN_ORC = {  # no fractions of seconds before 1970
    "at": [SHOWN["at"][0], None, *SHOWN["at"][2:]],
    "at_not_converted": [None, "-1", "soon", None, None],
}
TYPES = {
    "at": "timestamp(3)",
    "day": "date",
    "net_price": "decimal(18,2)",
    "ratio": "double",
    "count": "bigint",
    "ok": "boolean",
    "raw": "varchar",
    "at_not_converted": "varchar",
    "net_price_not_converted": "decimal(38,3)",
}


@pytest.mark.parametrize("output_format", ["parquet", "orc", "avro", "json", "csv"])
def test_trino_shows_the_declared_types_and_every_value(lake, output_format):
    table, view = f"Declared-{output_format}", f"declared_{output_format}"
    lake.make_table(table, id="S")
    lake.write(table, ITEMS)
    manifest = lake.snapshot(table, view, output_format, 1, columns=COLUMNS)

    text = output_format == "csv"
    expected = SHOWN | IN_ORC if output_format == "orc" else SHOWN
    assert manifest.not_converted == {"at": 2 if output_format == "orc" else 1, "price": 1}
    values = {name: f"nullif({name}, '')" if text else name for name in TYPES}
    listed = ", ".join(f"CAST(CAST({values[name]} AS {type}) AS varchar)" for name, type in TYPES.items())
    found = lake.query(f"SELECT {listed} FROM {view} ORDER BY id").rows
    assert dict(zip(TYPES, map(list, zip(*found, strict=True)), strict=True)) == expected

    [types] = lake.query(f"SELECT {', '.join(f'typeof({name})' for name in TYPES)} FROM {view} LIMIT 1").rows
    assert dict(zip(TYPES, types, strict=True)) == (dict.fromkeys(TYPES, "varchar") if text else TYPES)


def test_the_view_shows_a_changed_type_and_a_changed_name_under_the_name_of_the_contract(lake):
    lake.make_table("Redeclared", id="S")
    lake.write("Redeclared", [{"id": {"S": "1"}, "createdAt": {"N": "1700000000123"}}])
    lake.snapshot("Redeclared", "redeclared", "parquet", 1)
    lake.snapshot(
        "Redeclared", "redeclared", "parquet", 2, columns={"createdAt": {"as": "timestamp", "from": "epoch_ms"}}
    )
    rules = {"createdAt": {"as": "timestamp", "from": "epoch_ms", "name": "created_at"}}
    lake.snapshot("Redeclared", "redeclared", "parquet", 3, columns=rules)

    assert lake.query("SELECT CAST(created_at AS varchar) FROM redeclared").rows == [["2023-11-14 22:13:20.123"]]
    assert lake.query(
        "SELECT createdat, CAST(createdat_2 AS varchar) FROM snapshots_redeclared ORDER BY snapshot_timestamp"
    ).rows == [[1700000000123, None], [None, "2023-11-14 22:13:20.123"], [None, "2023-11-14 22:13:20.123"]]
