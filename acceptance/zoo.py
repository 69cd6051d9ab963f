"""Items made for the rules of docs/schema.md, one case a rule, with what Athena is to show of them.

All cases fit in one table: their attributes have names of their own. Binary values are base64, as DynamoDB sends them.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Item = dict[str, dict[str, Any]]
NULL = {"NULL": True}
LARGE = "x" * 390_000


@dataclass(frozen=True)
class Case:
    name: str
    items: list[Item]
    columns: dict[str, str]  # and their types; of csv all are string
    shown: dict[str, list[str | None]]  # by Athena for an expression, item by item
    columns_in: dict[str, dict[str, str]] = field(default_factory=dict)  # by format, where they are others
    shown_in: dict[str, dict[str, list[str | None]]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def keyed_items(self) -> Iterator[Item]:
        for number, item in enumerate(self.items):
            yield {"id": {"S": f"{self.name}-{number:04d}"}} | item


def number(text: str) -> dict[str, str]:
    return {"N": text}


def text(value: str) -> dict[str, str]:
    return {"S": value}


def binary(value: bytes) -> dict[str, str]:
    return {"B": base64.b64encode(value).decode()}


ZOO = [
    Case(
        "sparse",
        [{"often": text("a")}, {"often": text("b"), "once": number("1")}, {}],
        {"often": "string", "once": "bigint"},
        {"often": ["a", "b", None], "once": [None, "1", None]},
        shown_in={"csv": {"often": ["a", "b", ""], "once": ["", "1", ""]}},
    ),
    Case(
        "number-and-string",
        [{"mixed": number("7.25")}, {"mixed": text("seven")}, {"mixed": NULL}, {"mixed": {"BOOL": True}}],
        {"mixed": "string"},
        {"mixed": ["7.25", "seven", None, "true"]},
        shown_in={"csv": {"mixed": ["7.25", "seven", "", "true"]}},
    ),
    Case(
        "string-and-map",
        [
            {"either": text("plain")},
            {"either": {"M": {"n": number("12345678901234567890.5"), "l": {"L": [text('é"'), NULL, {"BOOL": False}]}}}},
            {"either": {"SS": ["one"]}},
        ],
        {"either": "string"},
        {"either": ["plain", '{"l":["é\\"",null,false],"n":12345678901234567890.5}', '["one"]']},
    ),
    Case(
        "null",
        [
            {"null_number": NULL, "null_list": NULL, "nothing": NULL},
            {"null_number": number("1"), "null_list": {"L": []}},
        ],
        {"null_number": "bigint", "null_list": "array<string>", "nothing": "string"},
        {"null_number": [None, "1"], "null_list": [None, "[]"], "nothing": [None, None]},
        shown_in={"csv": {"null_number": ["", "1"], "null_list": ["", "[]"], "nothing": ["", ""]}},
    ),
    Case(
        "numbers",
        [
            {
                "small": number("-9223372036854775808"),
                "beyond": number("9223372036854775808"),
                "digits38": number("99999999999999999999999999999999999999"),
                "price": number("0.07"),
                "tiny": number("0.00000000000000000000000000000000000001"),
                "wide": number("100000000000000000000"),
            },
            {
                "small": number("9223372036854775807"),
                "beyond": number("-1"),
                "digits38": number("-1"),
                "price": number("-19.9"),
                "tiny": number("-0.1"),
                "wide": number("0.00000000000000000001"),
            },
        ],
        {
            "small": "bigint",
            "beyond": "decimal(38,0)",
            "digits38": "decimal(38,0)",
            "price": "decimal(38,2)",
            "tiny": "decimal(38,38)",
            "wide": "string",
        },
        {
            "small": ["-9223372036854775808", "9223372036854775807"],
            "beyond": ["9223372036854775808", "-1"],
            "digits38": ["99999999999999999999999999999999999999", "-1"],
            "price": ["0.07", "-19.90"],
            "tiny": ["0.00000000000000000000000000000000000001", "-0.10000000000000000000000000000000000000"],
            "wide": ["100000000000000000000", "0.00000000000000000001"],
        },
        shown_in={
            "csv": {
                "small": ["-9223372036854775808", "9223372036854775807"],
                "price": ["0.07", "-19.9"],
                "tiny": ["0.00000000000000000000000000000000000001", "-0.1"],
            }
        },
    ),
    Case(
        "sets",
        [{"tags": {"SS": ["b"]}, "sizes": {"NS": ["1.5"]}, "keys": {"BS": ["AP8="]}}, {"sizes": {"NS": ["2"]}}],
        {"tags": "array<string>", "sizes": "array<decimal(38,1)>", "keys": "array<binary>"},
        {
            "element_at(tags, 1)": ["b", None],
            "element_at(sizes, 1)": ["1.5", "2.0"],
            "to_base64(element_at(keys, 1))": ["AP8=", None],
        },
        columns_in={"json": {"tags": "array<string>", "sizes": "array<decimal(38,1)>", "keys": "array<string>"}},
        shown_in={
            "csv": {"tags": ['["b"]', ""], "sizes": ["[1.5]", "[2]"], "keys": ['["AP8="]', ""]},
            "json": {"element_at(sizes, 1)": ["1.5", "2.0"], "element_at(keys, 1)": ["AP8=", None]},
        },
    ),
    Case(
        "binary",
        [{"photo": binary(b"\x00\xff\n")}, {"photo": binary(b"")}],
        {"photo": "binary"},
        {"to_base64(photo)": ["AP8K", ""]},
        columns_in={"json": {"photo": "string"}},
        shown_in={"csv": {"photo": ["AP8K", ""]}, "json": {"photo": ["AP8K", ""]}},
    ),
    Case(
        "deep",
        [
            {
                "order": {
                    "M": {
                        "Lines": {
                            "L": [
                                {"M": {"sku": text("x"), "qty": number("2")}},
                                {"M": {"sku": text("y"), "gift": {"BOOL": True}}},
                            ]
                        },
                        "Ship-To": {"M": {"city": text("Köln"), "zip": {"M": {"code": number("1.5")}}}},
                        "Notes": {"L": [text("a"), number("1"), {"L": [number("2")]}]},
                    }
                }
            },
            {"order": {"M": {}}},
        ],
        {
            "order": "struct<lines:array<struct<gift:boolean,qty:bigint,sku:string>>,notes:array<string>,"
            "ship_to:struct<city:string,zip:struct<code:decimal(38,1)>>>"
        },
        {
            '"order".lines[1].qty': ["2", None],
            '"order".lines[2].gift': ["true", None],
            '"order".ship_to.city': ["Köln", None],
            '"order".ship_to.zip.code': ["1.5", None],
            '"order".notes[3]': ["[2]", None],
        },
        shown_in={
            "csv": {
                '"order"': [
                    '{"Lines":[{"qty":2,"sku":"x"},{"gift":true,"sku":"y"}],"Notes":["a",1,[2]],'
                    '"Ship-To":{"city":"Köln","zip":{"code":1.5}}}',
                    "{}",
                ]
            }
        },
    ),
    Case(
        "nested-names",
        [
            {
                "a": {"M": {"b": {"M": {"c": text("inner")}}}},
                "a__b": {
                    "M": {"c": text("outer")},
                },
                "a__element": {"L": [{"M": {"d": number("1")}}]},
            }
        ],
        {"a": "struct<b:struct<c:string>>", "a__b": "struct<c:string>", "a__element": "array<struct<d:bigint>>"},
        {"a.b.c": ["inner"], "a__b.c": ["outer"], "a__element[1].d": ["1"]},
        shown_in={"csv": {"a": ['{"b":{"c":"inner"}}']}},
    ),
    Case(
        "empty",
        [{"empty_text": text(""), "empty_map": {"M": {}}, "empty_list": {"L": []}}],
        {"empty_text": "string", "empty_map": "map<string,string>", "empty_list": "array<string>"},
        {"empty_text": [""], "cardinality(map_keys(empty_map))": ["0"], "cardinality(empty_list)": ["0"]},
        shown_in={"csv": {"empty_text": [""], "empty_map": ["{}"], "empty_list": ["[]"]}},
    ),
    Case(
        "text",
        [
            {"note": text('comma, "quote", \\ back\\slash, tab\t')},
            {"note": text("two\nlines\r\n")},
            {"note": text("日本 \U0001f600")},
        ],
        {"note": "string"},
        {"note": ['comma, "quote", \\ back\\slash, tab\t', "two\nlines\r\n", "日本 \U0001f600"]},
        shown_in={"csv": {"note": ['comma, "quote", \\ back\\slash, tab\t', "two\\nlines\\r\\n", "日本 \U0001f600"]}},
    ),
    Case(
        "names",
        [
            {
                "userId": text("upper"),
                "userid": text("lower"),
                "a-b": text("hyphen"),
                "a.b": text("dot"),
                "a b": text("space"),
                "1st": text("digit"),
                "Größe": text("umlaut"),
                "select": text("word"),
                "snapshot_timestamp": text("mine"),
            }
        ],
        {
            "userid": "string",
            "userid_2": "string",
            "a_b": "string",
            "a_b_2": "string",
            "a_b_3": "string",
            "1st": "string",
            "größe": "string",
            "select": "string",
            "snapshot_timestamp_2": "string",
        },
        {
            "userid": ["lower"],
            "userid_2": ["upper"],
            "a_b": ["space"],
            "a_b_2": ["hyphen"],
            "a_b_3": ["dot"],
            '"1st"': ["digit"],
            '"größe"': ["umlaut"],
            '"select"': ["word"],
            "snapshot_timestamp_2": ["mine"],
        },
        columns_in={
            "avro": {
                "userid": "string",
                "userid_2": "string",
                "a_b": "string",
                "a_b_2": "string",
                "a_b_3": "string",
                "_1st": "string",
                "gr__e": "string",
                "select": "string",
                "snapshot_timestamp_2": "string",
            }
        },
        shown_in={"avro": {"_1st": ["digit"], "gr__e": ["umlaut"], "a_b_3": ["dot"]}},
    ),
    Case(
        "data-for-keys",
        [{"by_day": {"M": {f"2026-{item}-{day:03d}": number(str(day)) for day in range(500)}}} for item in range(6)],
        {"by_day": "map<string,bigint>"},
        {
            "cardinality(map_keys(by_day))": ["500"] * 6,
            "element_at(by_day, '2026-3-042')": [None, None, None, "42", None, None],
        },
        shown_in={"csv": {"substr(by_day, 1, 16)": [f'{{"2026-{item}-000":0,' for item in range(6)]}},
    ),
    Case(
        "wide",
        [{f"field_{number:03d}": text(str(number)) for number in range(500)}],
        {f"field_{number:03d}": "string" for number in range(500)},
        {"field_000": ["0"], "field_499": ["499"]},
    ),
    Case(
        "large",
        [{"document": text(LARGE)}],
        {"document": "string"},
        {"length(document)": [str(len(LARGE))]},
    ),
]


def columns_of(case: Case, output_format: str) -> dict[str, str]:
    if output_format == "csv":
        return dict.fromkeys(case.columns, "string")
    return case.columns_in.get(output_format, case.columns)


def shown_of(case: Case, output_format: str) -> dict[str, list[str | None]]:
    """What Athena shows for an expression, item by item, in the order of their ids."""
    return case.shown_in.get(output_format, case.shown)


def as_boto3(item: Item) -> dict[str, Any]:
    """The item as boto3 takes it: binary values are bytes, not base64."""
    return {name: value_as_boto3(value) for name, value in item.items()}


def value_as_boto3(value: dict[str, Any]) -> dict[str, Any]:
    [(kind, content)] = value.items()
    match kind:
        case "B":
            return {"B": base64.b64decode(content)}
        case "BS":
            return {"BS": [base64.b64decode(element) for element in content]}
        case "L":
            return {"L": list(map(value_as_boto3, content))}
        case "M":
            return {"M": as_boto3(content)}
    return value
