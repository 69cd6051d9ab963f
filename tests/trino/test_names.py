"""Attributes with awkward names are columns that Trino shows, each with its own value."""

import pytest
from hostile import NAMES

from tests.trino.promised import column_name

pytestmark = pytest.mark.slow

FORMATS = ["parquet", "orc", "avro", "json", "csv"]
AWKWARD = [
    *NAMES,
    *(
        "",
        " ",
        "_",
        "__",
        "_x",
        "1",
        "123abc",
        "9.99",
        "-",
        "--x",
        "$path",
        "$row_id",
        "@type",
        "#ref",
        "%",
        "&",
        "a=b",
    ),
    *(
        "order",
        "group",
        "table",
        "null",
        "true",
        "timestamp",
        "date",
        "values",
        "user",
        "partition",
        "row",
        "map",
        "array",
    ),
    *(
        "struct",
        "string",
        "interval",
        "key",
        "value",
        "element",
        "item",
        "entries",
        "bag",
        "snapshot_timestamp",
        "id_2",
        "_col0",
        "_col7",
    ),
    *(
        "userId",
        "USERID",
        "user_id",
        "user-id",
        "user.id",
        "user:id",
        "user/id",
        "user id",
        "x,y",
        "x;y",
        "x{y}",
        "x<y>",
    ),
    *(
        "größe",
        "Straße",
        "ÀÉÎ",
        "naïve",
        "日本語",
        "имя",
        "اسم",
        "ประเทศ",
        "한국어",
        "e\u0301",
        "\U0001f600",
        "\U00020000",
        "a\u200bb",
    ),
    *("İstanbul", "\u212b", "\u212a", "ﬁ", "½", "x²", "٣", "\u00a0", "a\u0000b", "y" * 300, "é" * 200),
]


@pytest.mark.parametrize("output_format", FORMATS)
def test_every_attribute_has_a_column(lake, output_format):
    name = f"names_{output_format}"
    written = {attribute: f"value {number}" for number, attribute in enumerate(dict.fromkeys(AWKWARD))}
    lake.make_table(name, id="S")
    lake.write(name, [{"id": {"S": "1"}} | {attribute: {"S": value} for attribute, value in written.items()}])

    lake.snapshot(name, name, output_format, 1)

    [row] = lake.query(f"SELECT * FROM {name}").as_dicts()
    assert sorted(row.values()) == sorted([*written.values(), "1", row["snapshot_timestamp"]])
    for attribute in ("order", "größe", "日本語", "123abc", "İstanbul"):
        if output_format != "avro":
            assert row[column_name(attribute, output_format).replace("\u0307", "_")] == written[attribute]


@pytest.mark.parametrize("output_format", ["parquet", "orc", "avro", "json"])
def test_every_nested_attribute_has_a_field(lake, output_format):
    name = f"nested_{output_format}"
    written = {
        attribute: f"value {number}"
        for number, attribute in enumerate(dict.fromkeys(AWKWARD))
        if attribute and len(attribute) < 100  # DynamoDB takes no empty name below the top
    }
    lake.make_table(name, id="S")
    inner = {attribute: {"S": value} for attribute, value in written.items()}
    lake.write(name, [{"id": {"S": "1"}, "inner": {"M": inner}}])

    lake.snapshot(name, name, output_format, 1)

    [row] = lake.query(f'SELECT "inner" FROM {name}').as_dicts()
    assert sorted(row["inner"].values()) == sorted(written.values())


ALIKE = [  # by Java's equalsIgnoreCase: dotless i, micro sign, final sigma, long s
    ("istanbul", "\u0131stanbul"),
    ("sinif", "s\u0131n\u0131f"),
    ("\u00b5", "\u03bc"),
    ("\u03c2", "\u03c3"),
    ("s", "\u017f"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
@pytest.mark.parametrize("output_format", ["parquet", "orc", "json"])
def test_names_that_the_engine_takes_for_the_same_have_columns_of_their_own(lake, one, other, output_format):
    name = f"alike_{output_format}_" + "_".join(f"{ord(character):x}" for character in one[:2] + other[:2])
    alike = {one: {"S": "one"}, other: {"S": "other"}}
    lake.make_table(name, id="S")
    lake.write(name, [{"id": {"S": "1"}, "inner": {"M": alike}, **alike}])

    lake.snapshot(name, name, output_format, 1)

    [row] = lake.query(f'SELECT "{one}", "{other}_2", "inner" FROM {name}').rows
    assert row[:2] == ["one", "other"]
    [row] = lake.query(f'SELECT "inner"."{one}", "inner"."{other}_2" FROM {name}').rows
    assert row == ["one", "other"]


@pytest.mark.parametrize("output_format", ["parquet", "orc", "avro", "json"])
def test_an_attribute_that_is_named_like_a_position_has_its_own_values(lake, output_format):
    name = f"positions_{output_format}"
    values = {"_col0": {"S": "zero"}, "_col1": {"S": "one"}, "a": {"S": "other"}}
    lake.make_table(name, id="S")
    lake.write(name, [{"id": {"S": "1"}, "inner": {"M": values}, **values}])

    lake.snapshot(name, name, output_format, 1)

    [row] = lake.query(
        f'SELECT "_col0_2", "_col1_2", a, "inner"."_col0_2", "inner"."_col1_2", "inner".a FROM {name}'
    ).rows
    assert row == ["zero", "one", "other"] * 2


def test_the_attribute_whose_name_needs_no_change_keeps_it(lake):
    lake.make_table("Unchanged", id="S")
    lake.write("Unchanged", [{"id": {"S": "1"}, "user_id": {"S": "a"}, "user-id": {"S": "b"}, "User_Id": {"S": "c"}}])

    lake.snapshot("Unchanged", "unchanged", "parquet", 1)

    assert lake.query("SELECT user_id FROM unchanged").rows == [["a"]]
