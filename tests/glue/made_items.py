"""Items, what is seen in them, and rules of formats, for the tests of types and columns."""

import json

from table_export_job.attributes import MAP_KEYS, observe
from table_export_job.formats import FORMATS
from table_export_job.types import TypeRules

ANY = TypeRules()  # of a format that can hold every type and name
AVRO, JSON, CSV = (FORMATS[name].rules for name in ("avro", "json", "csv"))
KEYED_BY_ID = {f"id-{number}": {"N": str(number)} for number in range(MAP_KEYS + 1)}
NULL = {"NULL": True}


ID_TABLE = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
}


def number(text):
    return {"N": text}


def seen_in(items):
    attributes = {}
    observe(items, attributes)
    return attributes


def lines_of(items):
    return "".join(f"{json.dumps({'Item': item}, ensure_ascii=False)}\n" for item in items).encode()
