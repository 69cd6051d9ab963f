"""The table of state records. Conditions are evaluated by moto's DynamoDB; the indexes lag behind."""

import re
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from moto.dynamodb.comparisons import AttributeValue, get_filter_expression
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict

from simulation.aws.client import AwsError
from simulation.world import World

Image = dict[str, dict[str, Any]]
Key = tuple[str, str]
SCANNED_PER_PAGE = 1  # so that who reads the first page alone is found out


class StateTable:
    """The items are as the client writes them, with DynamoDB's type tags; nobody changes one in place."""

    def __init__(self, world: World, described: dict[str, Any], lag: float) -> None:
        """`described` is the template's: its key schema and indexes."""
        self._world = world
        self._lag = lag
        self.items: dict[Key, Image] = {}
        self._replica: dict[Key, Image] = {}  # what eventually consistent readers and the indexes see
        self._on_the_way: deque[tuple[float, Key, Image | None]] = deque()
        self.changed: Callable[[Key, Image | None, Image | None], None] = lambda key, old, new: None
        self._name = described["TableName"]
        self._keys = [key["AttributeName"] for key in described["KeySchema"]]
        self._indexes = {index["IndexName"]: index for index in described["GlobalSecondaryIndexes"]}

    # ------------------------------------------------------------------------------------------------ operations
    def get_item(self, TableName: str, Key: Image, ConsistentRead: bool = False) -> dict[str, Any]:
        self._must_be_this(TableName)
        found = (self.items if ConsistentRead else self._as_seen()).get(self._key(Key))
        return {"Item": found} if found else {}

    def query(
        self,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeNames: dict[str, str],
        ExpressionAttributeValues: Image,
        IndexName: str | None = None,
        ScanIndexForward: bool = True,
        Limit: int | None = None,
    ) -> dict[str, Any]:
        self._must_be_this(TableName)
        asked = re.fullmatch(r"(#?\w+) = (:\w+)(?: AND (#?\w+) BETWEEN (:\w+) AND (:\w+))?", KeyConditionExpression)
        assert asked, f"The simulation knows no such query: {KeyConditionExpression}"
        name, wanted = ExpressionAttributeNames.get(asked[1], asked[1]), ExpressionAttributeValues[asked[2]]
        if IndexName is not None:
            assert [name] == _hash(self._indexes[IndexName])
            found = [item for item in self._as_seen().values() if item.get(name) == wanted]
            return {"Items": [self._projected(item, IndexName) for item in found], "Count": len(found)}
        assert [name, ExpressionAttributeNames[asked[3]]] == self._keys
        first, last = (ExpressionAttributeValues[asked[n]]["S"] for n in (4, 5))
        seen = sorted(self._as_seen().items(), reverse=not ScanIndexForward)
        found = [item for key, item in seen if key[0] == wanted["S"] and first <= key[1] <= last][:Limit]
        return {"Items": found, "Count": len(found)}

    def scan(self, TableName: str, IndexName: str, ExclusiveStartKey: Image | None = None) -> dict[str, Any]:
        """Of an index; nobody has a reason to scan the table."""
        self._must_be_this(TableName)
        (name,) = _hash(self._indexes[IndexName])
        found = sorted((key, item) for key, item in self._as_seen().items() if name in item)
        if ExclusiveStartKey:
            found = [(key, item) for key, item in found if key > self._key(ExclusiveStartKey)]
        page = found[:SCANNED_PER_PAGE]
        answer = {"Items": [self._projected(item, IndexName) for _, item in page], "Count": len(page)}
        if len(found) > len(page):
            last = page[-1][1]
            answer["LastEvaluatedKey"] = {part: last[part] for part in [*self._keys, name]}
        return answer

    def put_item(self, **write: Any) -> dict[str, Any]:
        return self._write_one("Put", write)

    def update_item(self, **write: Any) -> dict[str, Any]:
        return self._write_one("Update", write)

    def delete_item(self, **write: Any) -> dict[str, Any]:
        return self._write_one("Delete", write)

    def transact_write_items(
        self, TransactItems: list[dict[str, dict[str, Any]]], ClientRequestToken: str | None = None
    ) -> dict[str, Any]:
        writes = [(kind, write) for item in TransactItems for kind, write in item.items()]
        keys = [self._key(write.get("Key") or write["Item"]) for _, write in writes]
        assert len(set(keys)) == len(keys), "A transaction may write an item only once"
        held = [self._holds(write, key) for key, (_, write) in zip(keys, writes, strict=True)]
        if not all(held):
            reasons = [{"Code": "None"} if holds else {"Code": "ConditionalCheckFailed"} for holds in held]
            raise AwsError("TransactionCanceledException", "Transaction cancelled", CancellationReasons=reasons)
        for key, (kind, write) in zip(keys, writes, strict=True):
            self._apply(kind, write, key)
        return {}

    # ------------------------------------------------------------------------------------------------ how it works
    def _write_one(self, kind: str, write: dict[str, Any]) -> dict[str, Any]:
        key = self._key(write.get("Key") or write["Item"])
        if not self._holds(write, key):
            raise AwsError("ConditionalCheckFailedException", "The conditional request failed")
        self._apply(kind, write, key)
        return {}

    def _holds(self, write: dict[str, Any], key: Key) -> bool:
        self._must_be_this(write["TableName"])
        if "ConditionExpression" not in write:
            return True
        names, values = write.get("ExpressionAttributeNames", {}), write.get("ExpressionAttributeValues", {})
        types = tuple(
            (name, next(iter(value))) for name, value in values.items() if name in write["ConditionExpression"]
        )
        condition, operands, words = _parsed(write["ConditionExpression"], tuple(names.items()), types)
        for operand, name in operands:
            operand.value = values[name][operand.type]
        found = self.items.get(key)
        return bool(condition.expr(_to_moto(found, self._keys, words) if found else _no_item()))

    def _apply(self, kind: str, write: dict[str, Any], key: Key) -> None:
        old = self.items.get(key)
        match kind:
            case "Put":
                new = dict(write["Item"])
            case "Update":
                new = self._updated(old or write["Key"], write)
            case "Delete":
                new = None
        if new is None:
            self.items.pop(key, None)
        else:
            self.items[key] = new
        if old != new:
            self._on_the_way.append((self._world.seconds + self._lag, key, new))
            self.changed(key, old, new)

    def _updated(self, old: Image, write: dict[str, Any]) -> Image:
        """By an expression of SET and REMOVE alone: moto's own way takes most of a simulation's time."""
        asked = re.fullmatch(r"(?:SET (?P<set>.+?))? ?(?:REMOVE (?P<remove>.+))?", write["UpdateExpression"])
        assert asked, write["UpdateExpression"]
        names, values = write.get("ExpressionAttributeNames", {}), write.get("ExpressionAttributeValues", {})
        new = dict(old)
        for clause in asked["set"].split(", ") if asked["set"] else []:
            name, value = clause.split(" = ")
            new[names.get(name, name)] = values[value]
        for name in asked["remove"].split(", ") if asked["remove"] else []:
            new.pop(names.get(name, name), None)
        return new

    def _as_seen(self) -> dict[Key, Image]:
        while self._on_the_way and self._on_the_way[0][0] <= self._world.seconds:
            _, key, image = self._on_the_way.popleft()
            if image is None:
                self._replica.pop(key, None)
            else:
                self._replica[key] = image
        return self._replica

    def _projected(self, item: Image, index: str) -> Image:
        if self._indexes[index]["Projection"]["ProjectionType"] == "ALL":
            return item
        return {name: item[name] for name in [*self._keys, *_hash(self._indexes[index])]}

    def _key(self, item: Image) -> Key:
        return tuple(item[name]["S"] for name in self._keys)

    def _must_be_this(self, name: str) -> None:
        assert name == self._name, f"There is no table {name}"


def _hash(index: dict[str, Any]) -> list[str]:
    return [key["AttributeName"] for key in index["KeySchema"]]


@cache
def _parsed(
    expression: str, names: tuple, types: tuple
) -> tuple[Any, list[tuple[AttributeValue, str]], frozenset[str]]:
    """A condition, its values' places in it, and its words, among which are the attributes that it reads.

    To parse it anew each time takes most of a simulation's time.
    """
    condition = get_filter_expression(expression, dict(names), {name: {kind: name} for name, kind in types})
    operands, left = [], [condition]
    while left:
        node = left.pop()
        if isinstance(node, AttributeValue):
            operands.append((node, node.value))
        elif isinstance(node, tuple | list):
            left += node
        elif hasattr(node, "__dict__"):
            left += {id(part): part for part in vars(node).values()}.values()
    words = frozenset(dict(names).get(word, word) for word in re.findall(r"#?\w+", expression))
    return condition, operands, words


@cache
def _no_item() -> Item:
    return Item(DynamoType({"S": ""}), None, {})


def _to_moto(image: Image, keys: Iterable[str], wanted: frozenset[str]) -> Item:
    """With the wanted attributes, and without moto's check of the size at each of them: to save time.

    And without its `__new__`, which keeps every instance for moto's reset: gigabytes after 20,000 histories.
    """
    item = object.__new__(Item)
    item.hash_key, item.range_key = (DynamoType(image[key]) for key in keys)
    item.attrs = LimitedSizeDict.__new__(LimitedSizeDict)
    for name in wanted & image.keys():
        dict.__setitem__(item.attrs, name, DynamoType(image[name]))
    return item
