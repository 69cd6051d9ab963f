"""Checks of values against the shapes of a service model: lengths, ranges, patterns, allowed and required values.

The checks of a shape are compiled once. Shapes without constraints have none, so that their values are not visited.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any

from botocore.model import Shape

from sandbox.gateway.patterns import matcher

Path = tuple[str | int, ...]
Check = Callable[[Any, Path, list[str]], None]  # appends the violations of the value at this path
Length = Callable[[str], int]
NUMBERS = {"integer", "long", "float", "double", "short", "byte", "bigdecimal"}


class WrongType(Exception):
    """A value does not have the type of its shape."""

    def __init__(self, value: Any, path: Path) -> None:
        super().__init__(f"{'.'.join(map(str, path)) or 'The request'} has the wrong type: {type(value).__name__}")


def utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class Checks:
    """The checks of one service. `serialized` says whether values have the names of the JSON protocol."""

    def __init__(self, length: Length, serialized: bool) -> None:
        self._length, self._serialized = length, serialized
        self._known: dict[str, Check | None] = {}

    def of(self, shape: Shape) -> Check | None:
        """Returns the check of a shape, or None if every value passes."""
        if shape.name not in self._known:
            self._known[shape.name] = None
            if any(has_constraint(one) for one in reachable(shape)):
                # the shape may contain itself, before its check is complete
                self._known[shape.name] = lambda value, path, found: self._known[shape.name](value, path, found)
                self._known[shape.name] = self._compiled(shape)
        return self._known[shape.name]

    def _compiled(self, shape: Shape) -> Check:
        match shape.type_name:
            case "structure":
                return self._of_structure(shape)
            case "list":
                return self._of_list(shape)
            case "map":
                return self._of_map(shape)
            case "blob":
                return of_blob(rules(shape, self._length))
        return of_scalar(rules(shape, self._length), (int, float) if shape.type_name in NUMBERS else str)

    def _of_structure(self, shape: Any) -> Check:
        required = set(shape.required_members)
        members = []
        for name, inner in shape.members.items():
            check = self.of(inner)
            if check or name in required:
                key = inner.serialization.get("name", name) if self._serialized else name
                members.append((key, name[:1].lower() + name[1:], check, name in required))

        def check_structure(value: Any, path: Path, found: list[str]) -> None:
            if not isinstance(value, dict):
                raise WrongType(value, path)
            for key, label, check, is_required in members:
                inner = value.get(key)
                if inner is not None:
                    if check:
                        check(inner, (*path, label), found)
                elif is_required:
                    found.append(violation("null", (*path, label), "Member must not be null"))

        return check_structure

    def _of_list(self, shape: Any) -> Check:
        of_length, inner = rules(shape, len), self.of(shape.member)

        def check_list(value: Any, path: Path, found: list[str]) -> None:
            if not isinstance(value, list):
                raise WrongType(value, path)
            find_broken(of_length, value, path, found)
            if inner:
                for number, item in enumerate(value, 1):
                    inner(item, (*path, number, "member"), found)

        return check_list

    def _of_map(self, shape: Any) -> Check:
        of_length, of_keys = rules(shape, len), rules(shape.key, self._length)
        scalar = shape.value.type_name == "string"
        of_values = rules(shape.value, self._length) if scalar else []
        inner = None if scalar else self.of(shape.value)

        def check_map(value: Any, path: Path, found: list[str]) -> None:
            if not isinstance(value, dict):
                raise WrongType(value, path)
            find_broken(of_length, value, path, found)
            for one, held, kind in ((of_keys, value.keys(), "Map keys"), (of_values, value.values(), "Map value")):
                if any(not holds(item) for item in held for holds, _ in one):
                    all_of_them = ", ".join(text for _, text in one)
                    found.append(violation(shown(value), path, f"{kind} must satisfy constraint: [{all_of_them}]"))
            if inner:
                for key, item in value.items():
                    inner(item, (*path, key, "member"), found)

        return check_map


def has_constraint(shape: Shape) -> bool:
    return any(shape.metadata.get(name) not in (None, [], "") for name in ("min", "max", "pattern", "enum", "required"))


def reachable(shape: Shape) -> Iterator[Shape]:
    """Yields the shape and every shape in it, each once."""
    waiting, seen = [shape], {shape.name}
    while waiting:
        one: Any = waiting.pop()
        yield one
        match one.type_name:
            case "structure":
                inner = list(one.members.values())
            case "list":
                inner = [one.member]
            case "map":
                inner = [one.key, one.value]
            case _:
                inner = []
        for next_one in inner:
            if next_one.name not in seen:
                seen.add(next_one.name)
                waiting.append(next_one)


Rule = tuple[Callable[[Any], bool], str]


def rules(shape: Shape, length: Callable[[Any], int]) -> list[Rule]:
    """Returns the constraints of the shape itself: whether a value satisfies it, and AWS's words for it."""
    found: list[Rule] = []
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name in NUMBERS:
        if most is not None:
            found.append((lambda value: value <= most, f"Member must have value less than or equal to {most}"))
        if least is not None:
            found.append((lambda value: value >= least, f"Member must have value greater than or equal to {least}"))
        return found
    if most is not None:
        found.append((lambda value: length(value) <= most, f"Member must have length less than or equal to {most}"))
    if least:
        text = f"Member must have length greater than or equal to {least}"
        found.append((lambda value: length(value) >= least, text))
    if pattern := shape.metadata.get("pattern"):
        found.append((matcher(pattern), f"Member must satisfy regular expression pattern: {pattern}"))
    if allowed := shape.metadata.get("enum"):
        known = frozenset(allowed)
        found.append((known.__contains__, f"Member must satisfy enum value set: [{', '.join(allowed)}]"))
    return found


def of_scalar(constraints: list[Rule], kind: Any) -> Check:
    def check(value: Any, path: Path, found: list[str]) -> None:
        if not isinstance(value, kind):
            raise WrongType(value, path)
        find_broken(constraints, value, path, found)

    return check


def of_blob(constraints: list[Rule]) -> Check:
    def check(value: Any, path: Path, found: list[str]) -> None:
        find_broken(constraints, base64.b64decode(value) if isinstance(value, str) else value, path, found)

    return check


def find_broken(constraints: list[Rule], value: Any, path: Path, found: list[str]) -> None:
    for holds, text in constraints:
        if not holds(value):
            found.append(violation(shown(value), path, text))


def violation(value: str, path: Path, constraint: str) -> str:
    return f"Value {value} at '{'.'.join(map(str, path))}' failed to satisfy constraint: {constraint}"


def shown(value: Any) -> str:
    return f"'{java(value)}'"


def java(value: Any) -> str:
    """Returns the value as AWS prints it, in Java's form."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key}={java(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(java, value)) + "]"
        case bool():
            return str(value).lower()
    return str(value)
