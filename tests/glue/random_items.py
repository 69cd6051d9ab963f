"""Strategies for random items, with values that are hard to keep."""

import base64
from decimal import Decimal

from hypothesis import strategies as st

ATTRIBUTES = ("a", "b", "Größe", "1st", "order")
FIELDS = ("city", "null", "x_1", "element", "日", "2nd")
MANY_KEYS = 101  # of maps whose keys are data
PUNCTUATION = " \t\r\n\v\f\0\x1c\x85\u2028\"'\\,;:{}[]|#nrNtu/-+.0eE"


def value(kind, contents):
    return contents.map(lambda content: {kind: content})


def in_sets(contents):
    return st.lists(contents, min_size=1, max_size=3, unique=True)


def plain(digits, exponent):
    """A number as DynamoDB writes it."""
    text = format(Decimal(digits).scaleb(exponent), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


texts = st.text(max_size=12) | st.text(PUNCTUATION, max_size=12)
integers = (st.integers(-9, 9) | st.integers(-(2**63), 2**63 - 1)).map(str)
decimals = st.builds(plain, st.integers(-(10**12), 10**12), st.integers(-14, 0))
numbers = decimals | st.builds(plain, st.integers(1 - 10**38, 10**38 - 1), st.integers(-130, 87))
blobs = st.binary(max_size=8).map(lambda content: base64.b64encode(content).decode())
scalars = [value("S", texts), *(value("N", each) for each in (integers, decimals, numbers)), value("B", blobs)]
scalars += [value("BOOL", st.booleans()), st.just({"NULL": True})]
sets = [value(f"{kind}S", in_sets(each)) for kind, each in (("S", texts), ("N", decimals), ("B", blobs))]


@st.composite
def values_of_one_type(draw, depth=2):
    """A strategy: values that mostly have one type, with fields and elements that mostly have one type."""
    kinds = ["scalar", "scalar", "set"] + (["list", "map", "keys", "mixed"] if depth else [])
    match draw(st.sampled_from(kinds)):
        case "scalar":
            return draw(st.sampled_from(scalars)) | st.just({"NULL": True})
        case "set":
            return draw(st.sampled_from(sets))
        case "list":
            return value("L", st.lists(draw(values_of_one_type(depth - 1)), max_size=3))
        case "map":
            fields = {name: draw(values_of_one_type(depth - 1)) for name in FIELDS[: draw(st.integers(0, 6))]}
            return value("M", st.fixed_dictionaries({}, optional=fields))
        case "keys":
            return st.builds(keyed_by_data, texts, draw(values_of_one_type(0)))
    return draw(values_of_one_type(depth - 1)) | draw(values_of_one_type(depth - 1))


def keyed_by_data(prefix, content):
    return {"M": {f"{prefix}{number}": content for number in range(MANY_KEYS)}}


@st.composite
def snapshots(draw, least=1, items=4):
    """The items of up to three snapshots, at most so many in each. Attributes can have other types in each."""
    found = []
    types = {}
    for _ in range(draw(st.integers(least, 3))):
        for name in draw(st.sets(st.sampled_from(ATTRIBUTES), min_size=1)):
            types[name] = draw(values_of_one_type())
        some = draw(st.lists(st.fixed_dictionaries({}, optional=types), max_size=items))
        found.append([{"id": {"S": f"{number}"}, **item} for number, item in enumerate(some)])
    return found
