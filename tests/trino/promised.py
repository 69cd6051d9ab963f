"""What docs/schema.md promises of values that were written to DynamoDB: the type of their column, and what it shows.

Written from that page alone, without any of the product's code, and in the engine's terms: a type is Trino's.
"""

import base64
import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

Value = dict[str, Any]  # as DynamoDB writes it; binary values are base64
Type = Any  # a name, or ("array", element), ("map", value) or ("row", ((field, type), ...))

SMALLEST, LARGEST = -(2**63), 2**63 - 1
MOST_DIGITS = 38
MOST_FIELDS = 100
ELEMENT_OF_SET = {"SS": "S", "NS": "N", "BS": "B"}


def promised_type(values: Iterable[Value], output_format: str) -> Type:
    """Of all values that the attribute has had since the first snapshot."""
    if output_format == "csv":
        return "varchar"
    known = [value for value in values if "NULL" not in value]
    kinds = {kind for value in known for kind in value}
    if len(kinds) != 1:
        return "varchar"
    [kind] = kinds
    contents = [value[kind] for value in known]
    match kind:
        case "N":
            return number_type(contents)
        case "BOOL":
            return "boolean"
        case "B":
            return "varchar" if output_format == "json" else "varbinary"
        case "SS" | "NS" | "BS":
            element = ELEMENT_OF_SET[kind]
            return "array", promised_type([{element: each} for content in contents for each in content], output_format)
        case "L":
            return "array", promised_type([each for content in contents for each in content], output_format)
        case "M":
            return map_type(contents, output_format)
    return "varchar"


def number_type(numbers: list[str]) -> Type:
    exact = [plain(text) for text in numbers]
    if all(number == int(number) and SMALLEST <= number <= LARGEST for number in exact):
        return "bigint"
    scale = max(digits_after_the_point(number) for number in exact)
    before = max(len(str(abs(int(number)))) if int(number) else 0 for number in exact)
    return f"decimal(38,{scale})" if before + scale <= MOST_DIGITS else "varchar"


def plain(text: str) -> Decimal:
    return Decimal(text)


def digits_after_the_point(number: Decimal) -> int:
    _, digits, exponent = number.as_tuple()
    for digit in reversed(digits):
        if digit or exponent >= 0:
            break
        exponent += 1
    return max(0, -exponent) if number else 0


def map_type(maps: list[dict[str, Value]], output_format: str) -> Type:
    fields: dict[str, list[Value]] = {}
    for content in maps:
        for name, value in content.items():
            fields.setdefault(name, []).append(value)
    if not fields:
        return "map", "varchar"
    if len(fields) > MOST_FIELDS:
        return "map", promised_type([value for values in fields.values() for value in values], output_format)
    named = {column_name(attribute, output_format): values for attribute, values in fields.items()}
    return "row", tuple((name, promised_type(named[name], output_format)) for name in sorted(named))


def extended_type(known: Type, values: list[Value], output_format: str) -> Type | None:
    """The known type with additional fields for these values. None if they need another type."""
    needed = promised_type(values, output_format)
    contents = [content for value in values for kind, content in value.items() if kind in ("L", "M")]
    match known, needed:
        case ("array", inner), ("array", _) if contents:
            found = extended_type(inner, [each for content in contents for each in content], output_format)
            return found and ("array", found)
        case ("map", inner), ("map", _):
            found = extended_type(inner, [each for content in contents for each in content.values()], output_format)
            return found and ("map", found)
        case ("row", fields), ("row", _):
            return extended_row(dict(fields), contents, output_format)
    return known if known == needed else None


def extended_row(fields: dict[str, Type], maps: list[dict[str, Value]], output_format: str) -> Type:
    """A field keeps its place. An attribute that does not fit its last field gets another, as `zip_2` after `zip`."""
    found: dict[str, list[Value]] = {}
    for content in maps:
        for attribute, value in content.items():
            found.setdefault(column_name(attribute, output_format), []).append(value)
    last, added = {base_of(name): name for name in fields}, {}
    for name, values in found.items():
        extended = extended_type(fields[last[name]], values, output_format) if name in last else None
        if extended:
            fields[last[name]] = extended
        else:
            added[next_name(last[name]) if name in last else name] = promised_type(values, output_format)
    return "row", (*fields.items(), *sorted(added.items()))


def base_of(field: str) -> str:
    """Of a field `zip_3`: `zip`. No attribute of the tests has such a name."""
    return re.sub(r"_[2-9]$", "", field)


def next_name(field: str) -> str:
    base = base_of(field)
    return f"{base}_{int(field.removeprefix(base)[1:] or 1) + 1}"


def column_name(attribute: str, output_format: str) -> str:
    """Of an attribute, or of a nested one, whose name collides with no other."""
    if output_format == "avro":
        name = re.sub("[^a-z0-9_]", "_", attribute.lower())
        return f"_{name}" if name[:1].isdigit() else name
    return re.sub(r"\W|[^\0-\uffff]", "_", attribute.lower())


def type_of(signature: dict[str, Any]) -> Type:
    """The same of a type as Trino's REST API describes it."""
    arguments = [argument["value"] for argument in signature["arguments"]]
    match signature["rawType"]:
        case "array":
            return "array", type_of(arguments[0])
        case "map":
            assert type_of(arguments[0]) == "varchar"
            return "map", type_of(arguments[1])
        case "row":
            return "row", tuple((field["fieldName"]["name"], type_of(field["typeSignature"])) for field in arguments)
        case "decimal":
            return f"decimal({arguments[0]},{arguments[1]})"
        case name:
            return name


def shows(found: Any, value: Value | None, kind: Type, output_format: str) -> bool:
    """Whether a column shows `found` for a value that was written; None if the item did not have it.

    The type is that of the column when its snapshot was written. It may have more fields now.
    """
    if value is None or "NULL" in value:
        return found == ("" if output_format == "csv" else None)
    if found is None:
        return False
    [(written, content)] = value.items()
    match kind:
        case "varchar":
            return shows_text(found, written, content, output_format)
        case "boolean":
            return found is content
        case "varbinary":
            return found == base64.b64decode(content)
        case "bigint":
            return isinstance(found, int) and found == int(plain(content))
        case ("array", element):
            if written in ELEMENT_OF_SET:  # which has no order
                inner = [{ELEMENT_OF_SET[written]: each} for each in content]
                shown = [any(shows(one, each, element, output_format) for one in found) for each in inner]
                return len(found) == len(inner) and all(shown)
            return len(found) == len(content) and all(
                shows(one, each, element, output_format) for one, each in zip(found, content, strict=True)
            )
        case ("map", element):
            return found.keys() == content.keys() and all(
                shows(found[name], content[name], element, output_format) for name in content
            )
        case ("row", fields):
            last = {base_of(name): name for name, _ in fields}
            fields_of = {last[column_name(attribute, output_format)]: inner for attribute, inner in content.items()}
            kinds = dict(fields)
            return found.keys() >= kinds.keys() and all(
                shows(found[name], fields_of.get(name), kinds[name], output_format) if name in kinds else inner is None
                for name, inner in found.items()
            )
    assert kind.startswith("decimal(38,")
    return isinstance(found, Decimal) and found == plain(content) and -found.as_tuple().exponent == scale_of(kind)


def scale_of(kind: str) -> int:
    return int(kind.removesuffix(")").partition(",")[2])


def shows_text(found: str, written: str, content: Any, output_format: str) -> bool:
    match written:
        case "S":
            in_csv = content.replace("\n", "\\n").replace("\r", "\\r")
            return found == (in_csv if output_format == "csv" else content)
        case "N" | "B":
            return found == content
        case "BOOL":
            return found == str(content).lower()
    return json.loads(found, parse_int=Decimal, parse_float=Decimal) == as_json({written: content})


def as_json(value: Value) -> Any:
    [(kind, content)] = value.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return plain(content)
        case "NS":
            return [plain(each) for each in content]
        case "L":
            return [as_json(each) for each in content]
        case "M":
            return {name: as_json(each) for name, each in content.items()}
    return content
