"""Random tables, exported again and again as their items change, show in Trino what was written to them."""

import base64
import random
from decimal import Decimal

import pytest

from tests.trino.history import History, keep

pytestmark = pytest.mark.slow

FORMATS = ["parquet", "orc", "avro", "json", "csv"]
SEEDS = range(3)  # for each format
SNAPSHOTS, ITEMS, ATTRIBUTES = 4, 12, 10
FIELDS = ("city", "zip", "null", "order", "x1")


class Generator:
    def __init__(self, seed):
        self._random = random.Random(seed)
        self._kinds = {f"attribute_{n}": self._random.choice(list(self._made())) for n in range(ATTRIBUTES)}

    def history(self, output_format):
        return History(output_format, [self._items() for _ in range(SNAPSHOTS)])

    def _items(self):
        for attribute in self._random.sample(list(self._kinds), 2):  # drift
            self._kinds[attribute] = self._random.choice(list(self._made()))
        numbers = self._random.sample(range(1000), self._random.randint(1, ITEMS))
        return [{"id": {"S": f"item {n}"}} | self._attributes() for n in numbers]

    def _attributes(self):
        kept = [name for name in self._kinds if self._random.random() < 0.8]
        return {name: self._value(self._kinds[name], depth=0) for name in kept}

    def _made(self):
        return {
            "text": self._text,
            "integer": lambda depth: {"N": str(self._random.randint(-(2**63), 2**63 - 1))},
            "small": lambda depth: {"N": str(self._random.randint(-9, 9))},
            "decimal": lambda depth: {"N": self._decimal()},
            "flag": lambda depth: {"BOOL": self._random.random() < 0.5},
            "bytes": lambda depth: {"B": self._bytes()},
            "null": lambda depth: {"NULL": True},
            "texts": lambda depth: {"SS": sorted({self._text(0)["S"] + "." for _ in range(3)})},
            "numbers": lambda depth: {"NS": sorted({self._decimal() for _ in range(3)})},
            "list": self._list,
            "record": self._record,
            "mixed": lambda depth: self._value(self._random.choice(["text", "decimal", "flag", "record"]), depth + 1),
        }

    def _value(self, kind, depth):
        if self._random.random() < 0.1:
            return {"NULL": True}
        return self._made()[kind](depth)

    def _text(self, depth):
        letters = "abz ÄßÉ日本\U0001f600\"'\\,;:{}[]<>\t\n\r|01.-"
        return {"S": "".join(self._random.choice(letters) for _ in range(self._random.randint(0, 12)))}

    def _decimal(self):
        digits = self._random.randint(1, 10**12)
        number = Decimal(digits).scaleb(-self._random.randint(0, 14)) * self._random.choice([1, -1])
        return format(number.normalize(), "f")

    def _bytes(self):
        return base64.b64encode(self._random.randbytes(self._random.randint(0, 9))).decode()

    def _list(self, depth):
        kind = self._random.choice(["text", "small", "decimal", "record", "list"] if depth < 2 else ["text", "small"])
        return {"L": [self._value(kind, depth + 1) for _ in range(self._random.randint(0, 3))]}

    def _record(self, depth):
        kinds = ["text", "integer", "decimal", "flag", "bytes", "list", "record"] if depth < 2 else ["text", "integer"]
        names = self._random.sample(FIELDS, self._random.randint(0, len(FIELDS)))
        return {"M": {name: self._value(self._random.choice(kinds), depth + 1) for name in names}}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("output_format", FORMATS)
def test_whatever_was_written_is_shown(lake, output_format, seed):
    history = Generator(seed * 100 + FORMATS.index(output_format)).history(output_format)
    name = f"random_{output_format}_{seed}"

    keep(lake, name, history)

    history.check(lake, name)
