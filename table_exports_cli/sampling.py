"""Reads a bounded sample of a DynamoDB table, after it has told what that costs."""

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from table_exports.domain.reading import READ_UNIT_USD, Table
from table_exports.domain.reports.formatting import count, duration
from table_exports_cli.entity_proposals import Item, Sample, Value
from table_exports_cli.problems import NOT_FOUND, CommandError
from table_exports_cli.system import System

SEGMENTS = 100  # items of one partition key are in one segment, so many segments show many partition keys
ITEM_UNITS = 50  # of the largest item: 400 KB, eventually consistent
PAGE_UNITS = 129  # of the largest page: 1 MB
READ_PERCENTAGE = 0.25  # of the read capacity, as the default of exports
MOST_CHARACTERS = 1024  # of a text that can tell the type. Sort keys have no more


@dataclass(frozen=True, slots=True)
class Plan:
    table: str
    keys: tuple[str, ...]
    most_items: int
    most_units: int
    described: Table
    items: int  # of the table. Up to six hours old

    def description(self) -> list[str]:
        units = f"{count(self.most_units)} read capacity units"
        lines = [
            f"Scan of table {self.table} for at most {count(self.most_items)} of about {count(self.items)} items, "
            f"eventually consistent, spread over {SEGMENTS} segments. It consumes at most {units}"
        ]
        if self.described.on_demand:
            cost = self.most_units * READ_UNIT_USD
            cents = f"${cost:.2f}" if cost >= 0.01 else "less than $0.01"
            price = f"${READ_UNIT_USD * 1_000_000:g} per million (us-east-1)"
            lines.append(f"At {price}, the most that this can cost is {cents}")
        else:
            lines.append(
                f"They are part of the provisioned capacity, which is charged anyway. At "
                f"{READ_PERCENTAGE:.0%} of it, {self.rate:g} per second, the scan takes up to "
                f"{duration(self.most_units / self.rate)}"
            )
        return lines

    @property
    def rate(self) -> float:
        return self.described.read_rate(READ_PERCENTAGE, 0)


def plan(system: System, table: str, most_items: int, most_units: int) -> Plan:
    """Describe the table. Raises CommandError if it does not exist."""
    client = system.client("dynamodb")
    try:
        found = client.describe_table(TableName=table)["Table"]
    except client.exceptions.ResourceNotFoundException as error:
        raise CommandError(f"There is no DynamoDB table {table} in {system.region}", NOT_FOUND) from error
    keys = tuple(each["AttributeName"] for each in sorted(found["KeySchema"], key=lambda each: each["KeyType"]))
    return Plan(table, keys, most_items, most_units, Table.described(found, {}), found["ItemCount"])


def read(system: System, planned: Plan) -> tuple[Sample, float]:
    """Return the sample and the read capacity units that it consumed.

    Each segment gives one page in turn, so that a small sample has items of all segments.
    """
    client = system.client("dynamodb")
    waiting: deque[tuple[int, dict[str, Any]]] = deque((segment, {}) for segment in range(SEGMENTS))
    items: list[Item] = []
    units = 0.0
    while waiting and (limit := _limit(planned, len(items), units, len(waiting))):
        segment, position = waiting.popleft()
        answer = client.scan(
            TableName=planned.table,
            Segment=segment,
            TotalSegments=SEGMENTS,
            Limit=limit,
            ReturnConsumedCapacity="TOTAL",
            **position,
        )
        items += map(reduced, answer["Items"])
        consumed = answer.get("ConsumedCapacity", {}).get("CapacityUnits", min(PAGE_UNITS, limit * ITEM_UNITS))
        units += consumed
        if last := answer.get("LastEvaluatedKey"):
            waiting.append((segment, {"ExclusiveStartKey": last}))
        time.sleep(consumed / planned.rate)
    return Sample(planned.keys, items), units


def _limit(planned: Plan, items: int, units: float, segments: int) -> int:
    """Return how many items the next page may have, so that neither bound is exceeded. 0 if it may have none."""
    wanted = -(-(planned.most_items - items) // segments)
    left = planned.most_units - units
    return wanted if left >= PAGE_UNITS else min(wanted, int(left // ITEM_UNITS))


def reduced(item: dict[str, dict[str, Any]]) -> Item:
    """Return what proposals need of an item: the kind of each value, and short texts and numbers."""
    found: Item = {}
    for name, value in item.items():
        [(kind, content)] = value.items()
        found[name] = Value(kind, content if kind in ("S", "N") and len(content) <= MOST_CHARACTERS else "")
    return found
