"""Tables to measure with, as DynamoDB JSON: the same items each time."""

import base64
import random
from collections.abc import Callable, Iterator
from typing import Any

Item = dict[str, dict[str, Any]]

WORDS = [
    "amber",
    "basin",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "harbor",
    "island",
    "juniper",
    "kelp",
    "lagoon",
    "meadow",
    "north",
    "ocean",
    "prairie",
    "quarry",
    "river",
    "summit",
    "tundra",
    "upland",
    "valley",
    "willow",
    "yonder",
    "zenith",
]


def small(n: int, some: random.Random) -> Item:
    """A review, flat: eight scalars, about 260 bytes as a line."""
    return {
        "id": {"S": f"review-{n:09d}"},
        "asin": {"S": f"B{some.randrange(10**9):09d}"},
        "stars": {"N": str(some.randint(1, 5))},
        "price": {"N": f"{some.randint(100, 99_999) / 100:.2f}"},
        "title": {"S": words(some, 6)},
        "verified": {"BOOL": n % 3 > 0},
        "votes": {"N": str(some.randrange(1000))},
        "written_at": {"N": str(1_700_000_000_000 + some.randrange(10**10))},
    }


def order(n: int, some: random.Random) -> Item:
    """An order, nested: lists of maps, maps, a set of texts, a decimal, and a note that few have. About 800 bytes."""
    item = {
        "id": {"S": f"order-{n:09d}"},
        "customer": {"S": f"customer-{some.randrange(100_000):06d}"},
        "total": {"N": f"{some.randint(100, 999_999) / 100:.2f}"},
        "placed_at": {"S": f"2026-{some.randint(1, 12):02d}-{some.randint(1, 28):02d}T10:{some.randrange(60):02d}:00Z"},
        "paid": {"BOOL": n % 4 > 0},
        "tags": {"SS": sorted(some.sample(WORDS, 3))},
        "address": {
            "M": {
                "street": {"S": words(some, 2)},
                "city": {"S": some.choice(WORDS)},
                "zip": {"N": str(some.randint(10_000, 99_999))},
            }
        },
        "lines": {
            "L": [
                {
                    "M": {
                        "sku": {"S": f"sku-{some.randrange(5000):04d}"},
                        "quantity": {"N": str(some.randint(1, 9))},
                        "price": {"N": f"{some.randint(100, 9999) / 100:.2f}"},
                    }
                }
                for _ in range(some.randint(1, 5))
            ]
        },
        "coupon": {"NULL": True} if n % 2 else {"S": some.choice(WORDS)},
    }
    if n % 10 == 0:
        item["note"] = {"S": words(some, 12)}
    return item


def sparse(n: int, some: random.Random) -> Item:
    """Twenty of three hundred attributes: texts, numbers, flags."""
    item = {"id": {"S": f"device-{n:09d}"}}
    for number in some.sample(range(300), 19):
        if number % 3 == 0:
            value = {"S": words(some, 2)}
        elif number % 3 == 1:
            value = {"N": str(some.randrange(10**6))}
        else:
            value = {"BOOL": some.random() < 0.5}
        item[f"attribute_{number:03d}"] = value
    return item


TABLES: dict[str, Callable[[int, random.Random], Item]] = {"small": small, "orders": order, "sparse": sparse}

# What readers get wrong: the values that take turns, of one attribute or of a few.
AWKWARD: dict[str, list[Item]] = {
    "38 digits": [{"a": {"N": "12345678901234567890123456789012345678"}}, {"a": {"N": "-1"}}],
    "cents beside large amounts": [{"a": {"N": "0.1"}}, {"a": {"N": "79228162514264337593543950.33"}}],
    "a set of numbers": [{"a": {"NS": ["1", "2.5"]}}],
    "binary": [{"a": {"B": base64.b64encode(bytes(range(256))).decode()}}],
    "a set of binary": [{"a": {"BS": ["AAE=", "/w=="]}}],
    "text that looks like a date": [{"a": {"S": "2026-11-23"}}],
    "lists with gaps": [{"a": {"L": [{"N": "1"}, {"NULL": True}]}}, {"a": {"L": []}}, {"a": {"NULL": True}}],
    "maps that lack fields": [{"a": {"M": {"b": {"S": "x"}}}}, {"a": {"M": {}}}, {}],
    "names that differ in case": [{"Name": {"S": "upper"}, "name": {"S": "lower"}}],
    "numbers and text": [{"a": {"N": "5"}}, {"a": {"S": "five"}}],
    "maps with data for keys": [{"a": {"M": {f"key-{n}": {"N": "1"}}}} for n in range(200)],
}


def items(make: Callable[[int, random.Random], Item], count: int) -> Iterator[Item]:
    some = random.Random(1)
    return (make(n, some) for n in range(count))


def stored_bytes(item: Item) -> int:
    """The size of an item as DynamoDB counts it, about."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: dict[str, Any]) -> int:
    [(kind, content)] = value.items()
    if kind in ("S", "B"):
        return len(content.encode())
    if kind == "N":
        return len(content) // 2 + 1
    if kind in ("SS", "NS", "BS"):
        return sum(value_bytes({kind[0]: element}) for element in content)
    if kind == "L":
        return 3 + sum(1 + value_bytes(element) for element in content)
    if kind == "M":
        return 3 + stored_bytes(content) + len(content)
    return 1


def words(some: random.Random, count: int) -> str:
    return " ".join(some.choices(WORDS, k=count))
