"""Patterns of keys in a single-table design: which parts of a key are labels, and which are data. docs/cli.md.

A pattern is literal text and placeholders: `ORDER#{order_id}#LINE#{line_id}`.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

PUNCTUATION = "#|:/~^$"  # that separates parts of a key, the most usual first
LABEL = re.compile(
    r"[$_]?[A-Za-z][A-Za-z_ .&+-]{0,39}"  # without digits: ids and dates have some
    r"|\$[A-Za-z]\w{0,39}_\d{1,3}"  # of ElectroDB: an entity and its version
)
PREFIX = re.compile(r"\$?[A-Za-z]+[_.=-]")  # of `emp_17`
PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
MOST_LABELS = 40  # in one place of a key
LEAST_SHARE = 0.02  # of the keys with this place, for a label without a capital letter
LEAST_ALIKE = 3  # data with the same literal text before it
LEAST_GAIN = 0.2  # of the bits, for labels that nothing else suggests
NEARLY_ALL = 0.95
SAYS_NOTHING = frozenset({"metadata", "meta", "data", "info", "details", "detail", "root", "self", "main"})  # of a type

Presence = frozenset[str]  # the attributes that an item has


class Part(NamedTuple):
    literal: str
    is_data: bool  # whether a placeholder follows the literal text


Template = tuple[Part, ...]
Keys = list[tuple[list[str], int]]  # the parts of a key, and the number of the item that has it


def separator_of(texts: Collection[str]) -> str:
    """Return the punctuation that most keys have. `#` if they have none."""
    found = Counter({character: sum(character in text[1:] for text in texts) for character in PUNCTUATION})
    return max(PUNCTUATION, key=lambda character: (found[character], -PUNCTUATION.index(character)))


def bits(groups: Sequence[Sequence[Presence]], attributes: Collection[str]) -> float:
    """Return how many bits it takes to say which attributes each item has, if its group is known.

    The other items of the group predict each item, so a group of one item predicts nothing.
    """
    total = 0.0
    for group in groups:
        size = len(group)
        present = Counter(name for presence in group for name in presence)
        for name in attributes:
            for number in (present[name], size - present[name]):
                total -= number * math.log2((number - 0.5) / size) if number else 0.0
    return total


def gain(groups: Sequence[Sequence[Presence]], attributes: Collection[str]) -> float:
    """Return the share of these bits that the groups save: 1 if they predict everything, 0 or less if nothing."""
    together = bits([[presence for group in groups for presence in group]], attributes)
    return 1 - bits(groups, attributes) / together if together else 0.0


def templates(texts: Mapping[int, str], presences: Sequence[Presence], separator: str) -> dict[int, Template]:
    """Return the template of each key, by the number of its item."""
    by_length: dict[int, Keys] = {}
    for number, text in texts.items():
        parts = text.split(separator)
        by_length.setdefault(len(parts), []).append((parts, number))
    found: dict[int, Template] = {}
    for keys in by_length.values():
        for template, numbers in _templates(keys, (), presences):
            found |= dict.fromkeys(numbers, template)
    return found


def _templates(keys: Keys, known: Template, presences: Sequence[Presence]) -> Iterator[tuple[Template, list[int]]]:
    """Yield the templates of keys with the same number of parts, whose first parts are known."""
    place = len(known)
    if place == len(keys[0][0]):
        yield known, [number for _, number in keys]
        return
    by_text: dict[str, Keys] = {}
    for key in keys:
        by_text.setdefault(key[0][place], []).append(key)
    is_last = place + 1 == len(keys[0][0])
    labels = _labels(by_text, presences, is_last, bool(known) and not known[-1].is_data)
    for label in labels:
        yield from _templates(by_text[label], (*known, Part(label, False)), presences)
    data = [key for text, found in by_text.items() if text not in labels for key in found]
    for prefix, found in _by_prefix(data, place, presences).items():
        yield from _templates(found, (*known, Part(prefix, True)), presences)


def _labels(by_text: Mapping[str, Keys], presences: Sequence[Presence], is_last: bool, after_label: bool) -> set[str]:
    """Return which texts in one place of the keys are labels, and not data."""
    empty = {""} & by_text.keys()  # a placeholder does not match it
    words = {text for text in by_text if LABEL.fullmatch(text)}
    names = {word for word in words if word[0].isupper() or word[0] in "$_"}
    if len(by_text) == 1 and words and (not after_label or (names and next(iter(words)).isupper())):
        return words
    total = sum(map(len, by_text.values()))
    frequent = {word for word in words if len(by_text[word]) >= max(2, LEAST_SHARE * total)}
    if 0 < len(frequent) <= MOST_LABELS:
        labels = frequent | (names if len(names) <= MOST_LABELS and not is_last and not after_label else set())
        groups = [_presences(by_text[label], presences) for label in sorted(labels)]
        others = [key for text, found in by_text.items() if text not in labels for key in found]
        if gain([*groups, *([_presences(others, presences)] if others else [])], _all(groups, others, presences)) >= (
            LEAST_GAIN
        ):
            return labels | empty
    if not is_last and not after_label and len(names) <= MOST_LABELS:
        return names | empty
    return empty


def _by_prefix(keys: Keys, place: int, presences: Sequence[Presence]) -> dict[str, Keys]:
    """Return data by the literal text before it: `emp_17`, if all have the same, or it says what an item has."""
    if not keys:
        return {}
    found: dict[str, Keys] = {}
    for key in keys:
        prefix = PREFIX.match(key[0][place])
        named = prefix[0] if prefix and prefix[0] != key[0][place] else ""
        found.setdefault(named, []).append(key)
    if len(found) == 1 and len({key[0][place] for key in keys}) >= LEAST_ALIKE:
        return found
    without = len(found.get("", ()))
    if 1 < len(found) <= MOST_LABELS and without <= (1 - NEARLY_ALL) * len(keys):
        groups = [_presences(each, presences) for each in found.values()]
        if gain(groups, _all(groups, [], presences)) >= LEAST_GAIN:
            return found
    return {"": keys}


def _presences(keys: Keys, presences: Sequence[Presence]) -> list[Presence]:
    return [presences[number] for _, number in keys]


def _all(groups: Sequence[Sequence[Presence]], others: Keys, presences: Sequence[Presence]) -> set[str]:
    return {name for group in [*groups, _presences(others, presences)] for presence in group for name in presence}


# ------------------------------------------------------------------------------------------------------- as patterns


def has_label(template: Template) -> bool:
    return any(part.literal for part in template)


def labels_of(template: Template) -> list[str]:
    """Return its labels as parts of a name."""
    return [word for part in template if (word := plain(part.literal))]


def type_name(templates: Sequence[Template]) -> str:
    """Return the name of a type whose keys have these templates, that of the sort key last. Empty if no label says it.

    It is made of the labels of the sort key. If the sort key has no data, or its labels say nothing about the type,
    those of the partition key come first: `user_profile` for `USER#{user_id}` and `PROFILE`.
    """
    *others, last = [[word for word in labels_of(each) if word not in SAYS_NOTHING] for each in templates]
    has_data = any(part.is_data for part in templates[-1])
    labels = last if last and has_data else [word for each in [*others, last] for word in each]
    return "_".join(dict.fromkeys(word for label in labels for word in label.split("_")))


def pattern_of(template: Template, separator: str, attribute: str, taken: set[str]) -> str:
    """Return the template with a name for each placeholder, and add these names to those that are taken.

    A name comes from the label before the placeholder, or from the attribute and the place in its value.
    """
    texts, label = [], ""
    for place, part in enumerate(template, start=1):
        label = plain(part.literal) or label
        name = ""
        if part.is_data:
            named = label if label.endswith("id") else f"{label}_id"
            wanted = named if label else f"{plain(attribute) or 'key'}_{place}"
            name, label = _free(wanted if wanted[0].isalpha() else f"_{wanted}", taken), ""
            taken.add(name)
        texts.append(part.literal + (f"{{{name}}}" if name else ""))
    return separator.join(texts)


def _free(name: str, taken: set[str]) -> str:
    return next(each for number in range(1, 1000) if (each := f"{name}_{number}" if number > 1 else name) not in taken)


def plain(text: str) -> str:
    """Return text as part of a name: lowercase, with `_` between words."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()).strip("_")


def placeholders(pattern: str) -> list[str]:
    return PLACEHOLDER.findall(pattern)


def compiled(pattern: str) -> re.Pattern[str]:
    """Return the expression that a whole key must match."""
    parts = PLACEHOLDER.split(pattern)
    literal = "".join(parts[::2])
    excluded = "".join(character for character in PUNCTUATION if character in literal) or "#"
    placeholder = f"[^{re.escape(excluded)}]+"
    return re.compile(
        "".join(placeholder if number % 2 else re.escape(part) for number, part in enumerate(parts)), re.DOTALL
    )
