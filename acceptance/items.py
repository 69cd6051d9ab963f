"""The items of the suite's tables, in DynamoDB's JSON. The type zoo is in zoo.py."""

from collections.abc import Iterator

from acceptance.plan import FILM_COUNT
from acceptance.zoo import ZOO, Item, as_boto3

FOREIGN = {"価格": "円", "цена": "рубль", "τιμή": "δραχμή", "سعر": "درهم"}  # attributes in other scripts than Latin
GENRES = ("drama", "comedy", "thriller", "western", "musical", "noir", "horror")
PLOT = "A long way from home, someone finds out what everyone else has known for years. "


def zoo() -> Iterator[Item]:
    for case in ZOO:
        yield from map(as_boto3, case.keyed_items)


def films() -> Iterator[Item]:
    """Films with sparse attributes and attribute names in other scripts."""
    for number in range(FILM_COUNT):
        item: Item = {
            "id": {"S": f"tt{number:07d}"},
            "title": {"S": f"Film {number}"},
            "year": {"N": str(1920 + number % 100)},
            "rating": {"N": f"{number % 91 / 10 + 1:.1f}"},
            "genres": {"L": [{"S": GENRES[number % 7]}, {"S": GENRES[number % 5]}]},
            "plot": {"S": PLOT * 5},
        }
        if number % 3 == 0:
            item["box_office"] = {"N": str(number * 1000)}
        if number % 100 == 0:
            item |= {name: {"S": value} for name, value in FOREIGN.items()}
        yield item
