"""What is known about the values of each attribute: as much as the type of its column depends on."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Context, Decimal
from itertools import chain
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute

KINDS = {"S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"}
MAP_KEYS = 100  # the keys of a map with more distinct keys than this are data
DIGITS = 38  # the most digits that a number of DynamoDB has, and a decimal of Athena
EXACT = Context(prec=2 * DIGITS)

Value = dict[str, Any]  # as DynamoDB writes it: {"N": "5"}
Item = dict[str, Value]


@dataclass
class Seen:
    """What was observed about the values of one attribute, over all items.

    The order in which values are added and parts are merged makes no difference.
    """

    kinds: set[str] = field(default_factory=set)  # of N S BOOL B NULL SS NS BS L M
    digits: int = 0  # of numbers: the most digits before the decimal point
    scale: int = 0  # of numbers: the most digits after it
    is_beyond_int64: bool = False
    element: "Seen | None" = None  # of lists, of sets, and of maps whose keys are data
    fields: "dict[str, Seen] | None" = field(default_factory=dict)  # of maps; None if their keys are data
    declared: str | None = None  # the type that the column contract declares. It is not observed, so not in JSON

    def add(self, values: list[Value]) -> None:
        for kind, found in by_kind(values).items():
            self.kinds.add(kind)
            if kind == "N":
                self._add_numbers(found)
            elif kind == "L":
                self._element().add(list(chain.from_iterable(found)))
            elif kind in ("SS", "NS", "BS"):
                self._element().add([{kind[0]: element} for element in chain.from_iterable(found)])
            elif kind == "M":
                self._add_maps(found)

    def add_array(self, values: pa.StructArray, kind: str) -> None:
        """Add values of one kind and NULL, as Arrow read them from staged lines."""
        found = values.flatten()[0]
        self.kinds.update(kinds_of(values))
        if kind == "N":
            self._add_numbers(found.unique().drop_null().to_pylist())
        elif kind == "L":
            self._element().add_array(found.flatten(), found.type.value_type[0].name)
        elif kind == "NS":
            self._element()._add_numbers(found.flatten().unique().to_pylist())
        elif kind == "M":
            for place, each in enumerate(found.flatten()):
                self.fields[found.type[place].name].add_array(each, found.type[place].type[0].name)

    def covers(self, other: "Seen") -> bool:
        """Whether merging `other` would add nothing."""
        if not (
            other.kinds <= self.kinds
            and other.digits <= self.digits
            and other.scale <= self.scale
            and other.is_beyond_int64 <= self.is_beyond_int64
        ):
            return False
        if other.element and not (self.element or Seen()).covers(other.element):
            return False
        if self.fields is None:
            return all((self.element or Seen()).covers(inner) for inner in (other.fields or {}).values())
        if other.fields is None:
            return False
        return all(key in self.fields and self.fields[key].covers(inner) for key, inner in other.fields.items())

    def covers_array(self, values: pa.StructArray, kind: str) -> bool:
        """Whether `add_array` would add nothing."""
        found = values.flatten()[0]
        if not self.kinds.issuperset(kinds_of(values)):
            return False
        if kind == "N":
            return self._covers_numbers(found)
        if kind in ("L", "NS"):
            elements = found.flatten()
            if not self.element:
                return not len(elements)
            if kind == "NS":
                return self.element._covers_numbers(elements)
            return self.element.covers_array(elements, elements.type[0].name)
        if kind == "M":
            return all(
                self.fields[field.name].covers_array(each, field.type[0].name)
                for field, each in zip(found.type, found.flatten(), strict=True)
            )
        return True

    def merge(self, other: "Seen") -> "Seen":
        self.kinds |= other.kinds
        self.digits = max(self.digits, other.digits)
        self.scale = max(self.scale, other.scale)
        self.is_beyond_int64 |= other.is_beyond_int64
        if other.element:
            self._element().merge(other.element)
        if other.fields is None:
            self.treat_keys_as_data()
        for key, inner in (other.fields or {}).items():
            self._field(key).merge(inner)
        return self

    def _add_numbers(self, texts: list[str]) -> None:
        for text in set(texts):
            if len(text) < 19 and text.isdigit():  # the usual case: an integer of at most 64 bits
                self.digits = max(self.digits, len(text))
                continue
            whole, _, fraction = text.removeprefix("-").partition(".")
            if len(whole) < 19 and whole.isdigit() and fraction.isdigit():
                self.digits = max(self.digits, len(whole.lstrip("0")))
                self.scale = max(self.scale, len(fraction.rstrip("0")))
                continue
            number = Decimal(text).normalize(EXACT)
            self.digits = max(self.digits, number.adjusted() + 1)
            self.scale = max(self.scale, -number.as_tuple().exponent)
            self.is_beyond_int64 |= not -(2**63) <= number < 2**63

    def _covers_numbers(self, texts: pa.Array) -> bool:
        """Arrow compares numbers much faster than their texts can be looked at. False if it cannot tell."""
        is_integer = not self.scale and not self.is_beyond_int64
        if not is_integer and self.digits + self.scale > DIGITS:
            return False
        try:
            found = texts.cast(pa.int64() if is_integer else pa.decimal128(DIGITS, self.scale))
        except pa.ArrowInvalid:  # a value that does not fit, or a notation that Arrow does not read
            return False
        least, most = (number.as_py() for number in pyarrow.compute.min_max(found).values())
        if least is None:
            return True
        if not self.is_beyond_int64 and not -(2**63) <= least <= most < 2**63:
            return False
        return self.digits > 0 and -(10**self.digits) < least and most < 10**self.digits

    def _add_maps(self, maps: list[Item]) -> None:
        for key, values in by_name(maps).items():
            self._field(key).add(values)

    def _element(self) -> "Seen":
        if not self.element:
            self.element = Seen()
        return self.element

    def _field(self, key: str) -> "Seen":
        if self.fields is not None and key not in self.fields:
            self.fields[key] = Seen()
            if len(self.fields) > MAP_KEYS:
                self.treat_keys_as_data()
        return self._element() if self.fields is None else self.fields[key]

    def treat_keys_as_data(self) -> None:
        for inner in (self.fields or {}).values():
            self._element().merge(inner)
        self.fields = None

    def sort(self, precedence: Callable[[str], Any]) -> None:
        """Put fields in the order of `precedence`, which does not depend on the order of items."""
        if self.fields:
            self.fields = {key: self.fields[key] for key in sorted(self.fields, key=precedence)}
        for inner in [self.element, *(self.fields or {}).values()]:
            if inner:
                inner.sort(precedence)

    def to_json(self) -> dict[str, Any]:
        """What differs from an attribute without values."""
        known = {
            "kinds": sorted(self.kinds),
            "digits": self.digits,
            "scale": self.scale,
            "is_beyond_int64": self.is_beyond_int64,
            "element": self.element.to_json() if self.element else None,
        }
        fields = None if self.fields is None else {key: inner.to_json() for key, inner in self.fields.items()}
        return {name: value for name, value in known.items() if value} | ({} if fields == {} else {"fields": fields})

    @classmethod
    def from_json(cls, known: dict[str, Any]) -> "Seen":
        """The opposite of `to_json`. Raises ValueError, TypeError or AttributeError for anything else."""
        seen = cls(**known)
        if not isinstance(seen.kinds, list | set) or not KINDS.issuperset(seen.kinds):
            raise ValueError(f"kinds {seen.kinds!r}")
        if not all(isinstance(number, int) for number in (seen.digits, seen.scale, seen.is_beyond_int64)):
            raise ValueError(f"digits {seen.digits!r}, scale {seen.scale!r}")
        seen.kinds = set(seen.kinds)
        seen.element = cls.from_json(seen.element) if seen.element else None
        seen.fields = None if seen.fields is None else {k: cls.from_json(inner) for k, inner in seen.fields.items()}
        return seen


Attributes = dict[str, Seen]


def observe(items: list[Item], attributes: Attributes) -> None:
    """Add the values of these items to `attributes`."""
    for name, values in by_name(items).items():
        if name not in attributes:
            attributes[name] = Seen()
        attributes[name].add(values)


def merge(one: Attributes, other: Attributes) -> Attributes:
    """Add everything that is known in `other` to `one`, and return `one`."""
    for name, seen in other.items():
        one[name] = one[name].merge(seen) if name in one else seen
    return one


def kinds_of(values: pa.StructArray) -> set[str]:
    """The kinds of values that Arrow read."""
    arrays = zip(values.type, values.flatten(), strict=True)
    return {kind.name for kind, found in arrays if found.null_count < len(found)}


def by_kind(values: list[Value]) -> dict[str, list[Any]]:
    kinds = set(chain.from_iterable(values))  # each value has one
    if len(kinds) == 1:
        return {kind: list(map(itemgetter(kind), values)) for kind in kinds}
    found = defaultdict(list)
    for value in values:
        for kind, content in value.items():
            found[kind].append(content)
    return found


def by_name(items: list[Item]) -> dict[str, list[Value]]:
    columns = defaultdict(list)
    for item in items:
        for name, value in item.items():
            columns[name].append(value)
    return columns
