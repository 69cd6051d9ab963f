"""The block `Entities` that a sample of a single-table design suggests, with reasons and doubts. docs/cli.md.

Everything here is decided from the sample alone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

from table_exports.domain.reports.formatting import count
from table_exports_cli import key_patterns
from table_exports_cli.key_patterns import Presence, Template
from table_exports_cli.proposals import DATA_KEY

STAMPS = ("__edb_e__", "__typename", "_et", "_type", "__en")  # of libraries, which nothing else uses
USUAL_NAMES = ("entity", "entityType", "type")
MOST_TYPES, DEFAULT_TYPES = 200, 100  # of `max_entities`
LEAST_STAMPED = 0.5  # of the items, for the stamp of a library
LEAST_WITH_ATTRIBUTE = 0.8  # for another attribute
LEAST_SCORE = 0.3
MOST_SHARED = 0.7  # of the attributes of two types, on average: more have variants of one type
AS_GOOD = 0.02  # a difference of scores that does not decide
MOST_REST = 0.01  # of the items, for a way that is preferred because it is simpler
BETTER = 0.1
FEW_ITEMS = 5
EXAMPLES = 3
OTHERS_SHOWN = 3
REST = "other"


class Value(NamedTuple):
    kind: str
    text: str  # of a short text or a number. Empty otherwise


Item = dict[str, Value]
Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    keys: tuple[str, ...]  # the key attributes of the table
    items: Sequence[Item]

    def example(self, number: int) -> dict[str, str]:
        return {key: value.text or f"({value.kind})" for key in self.keys if (value := self.items[number].get(key))}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to tell types apart, and what it makes of the sample."""

    by: Any  # as in the block. None if the patterns of the keys tell the types
    types: dict[str, list[int]]
    rest: list[int]
    score: float
    pattern_keys: tuple[str, ...] = ()
    templates: dict[str, tuple[Template, ...]] = field(default_factory=dict)  # of these keys, by type

    def __str__(self) -> str:
        if self.by is None:
            return f"the patterns of {' and '.join(self.pattern_keys)}"
        return self.by if isinstance(self.by, str) else f"{self.by['key']} before {self.by['before']}"


@dataclass(frozen=True, slots=True)
class FoundType:
    value: str | None  # None: the rest
    name: str
    items: int
    columns: list[str]
    examples: list[dict[str, str]]
    unsure: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Proposal:
    block: Block
    by: str  # in words
    score: float
    types: list[FoundType]
    rest: FoundType | None
    others: list[tuple[str, float]]  # other ways to tell the types apart, with their scores
    unsure: list[str]


def propose(sample: Sample) -> Proposal | None:
    """Return the block with its reasons. None if the items seem to be of one type."""
    presences = [frozenset(item) - {*sample.keys} for item in sample.items]
    candidates = [each for each in _candidates(sample, presences) if _is_possible(each)]
    chosen = _chosen(sample, candidates, presences)
    if chosen is None:
        return None
    block = _block(sample, chosen, presences)
    return _described(sample, chosen, candidates, block)


# -------------------------------------------------------------------------------------------------------- candidates


def _candidates(sample: Sample, presences: Sequence[Presence]) -> Iterator[Candidate]:
    """Yield the ways to tell types apart, the simplest first."""
    present = Counter(name for presence in presences for name in presence)
    names = sorted(name for name, number in present.items() if number >= LEAST_STAMPED * len(presences))
    known = [name for name in (*STAMPS, *USUAL_NAMES) if name in names]
    for name in [*known, *(each for each in names if each not in known)]:
        yield _candidate(sample, presences, name)
    separators = _separators(sample)
    for key, separator in separators.items():
        yield _candidate(sample, presences, {"key": key, "before": separator})
    found = {
        key: key_patterns.templates(_texts(sample, key), presences, separator) for key, separator in separators.items()
    }
    for size in range(1, len(sample.keys) + 1):
        for keys in combinations(sample.keys, size):
            yield _of_patterns(sample, presences, keys, found)


def _candidate(sample: Sample, presences: Sequence[Presence], by: Any) -> Candidate:
    types: dict[str, list[int]] = {}
    rest = []
    for number, item in enumerate(sample.items):
        value = discriminator(item, by)
        if value is None:
            rest.append(number)
        else:
            types.setdefault(value, []).append(number)
    score = 0.0 if len(types) > MOST_TYPES else _score(types, rest, presences, by if isinstance(by, str) else "")
    return Candidate(by, types, rest, score)


def _of_patterns(
    sample: Sample, presences: Sequence[Presence], keys: tuple[str, ...], found: dict[str, dict[int, Template]]
) -> Candidate:
    by_templates: dict[tuple[Template, ...], list[int]] = {}
    rest = []
    for number in range(len(sample.items)):
        templates = tuple(found[key].get(number, ()) for key in keys)
        if any(map(key_patterns.has_label, templates)):
            by_templates.setdefault(templates, []).append(number)
        else:
            rest.append(number)
    types: dict[str, list[int]] = {}
    templates_of: dict[str, tuple[Template, ...]] = {}
    for templates, numbers in by_templates.items():
        of_keys = [{found[key].get(number, ()) for number in numbers} for key in sample.keys]
        common = [each.pop() if len(each) == 1 else () for each in of_keys]
        every = "_".join(word for template in common for word in key_patterns.labels_of(template)) or "type"
        wanted = [
            key_patterns.type_name(common),
            every,
            *(f"{every}_{each}" for each in range(2, len(by_templates) + 2)),
        ]
        name = next(name for name in wanted if name and name not in types)
        types[name], templates_of[name] = numbers, templates
    score = 0.0 if len(types) > MOST_TYPES else _score(types, rest, presences)
    return Candidate(None, types, rest, score, keys, templates_of)


def _score(types: dict[str, list[int]], rest: list[int], presences: Sequence[Presence], without: str = "") -> float:
    """Return how well the type predicts which other attributes an item has: 1 exactly, 0 not at all."""
    attributes = {name for presence in presences for name in presence} - {without}
    groups = [[presences[number] for number in numbers] for numbers in [*types.values(), rest] if numbers]
    return max(0.0, key_patterns.gain(groups, attributes))


def _is_possible(candidate: Candidate) -> bool:
    return len(candidate.types) + bool(candidate.rest) > 1 and 0 < len(candidate.types) <= MOST_TYPES


def _chosen(sample: Sample, candidates: Sequence[Candidate], presences: Sequence[Presence]) -> Candidate | None:
    total = len(sample.items)
    for each in candidates:
        if each.by in STAMPS and len(each.types) > 1 and total - len(each.rest) >= LEAST_STAMPED * total:
            return each
    separating = [each for each in candidates if _separates(each, total, presences)]
    usual = [each for each in separating if each.by in USUAL_NAMES]
    if usual or not separating:
        return usual[0] if usual else None
    best = max(each.score for each in separating)
    as_good = [each for each in separating if each.score >= best - AS_GOOD]
    return min(as_good, key=lambda each: (each.by is None, len(each.rest) > MOST_REST * total, len(each.types)))


def _separates(candidate: Candidate, total: int, presences: Sequence[Presence]) -> bool:
    """Whether the types differ so much that they are not variants of one type."""
    if candidate.score < LEAST_SCORE:
        return False
    if isinstance(candidate.by, str) and total - len(candidate.rest) < LEAST_WITH_ATTRIBUTE * total:
        return False
    without = {candidate.by} if isinstance(candidate.by, str) else set()
    usual = [
        {name for name, number in _counts(presences, numbers).items() if 2 * number >= len(numbers)} - without
        for numbers in [*candidate.types.values(), candidate.rest]
        if numbers
    ]
    pairs = list(combinations(usual, 2))
    shared = sum(len(one & other) / (len(one | other) or 1) for one, other in pairs)
    if shared > MOST_SHARED * len(pairs):
        return False
    extended = sum(one <= other or other <= one for one, other in pairs)  # such as drafts and what is published
    return not isinstance(candidate.by, str) or 2 * extended <= len(pairs)


def _counts(presences: Sequence[Presence], numbers: Sequence[int]) -> Counter[str]:
    return Counter(name for number in numbers for name in presences[number])


def _separators(sample: Sample) -> dict[str, str]:
    return {key: key_patterns.separator_of(_texts(sample, key).values()) for key in sample.keys}


def _texts(sample: Sample, key: str) -> dict[int, str]:
    """Return the texts of an attribute, by the number of the item."""
    return {
        number: item[key].text
        for number, item in enumerate(sample.items)
        if key in item and item[key].kind == "S" and item[key].text
    }


# --------------------------------------------------------------------------------------------------------- the block


def _block(sample: Sample, chosen: Candidate, presences: Sequence[Presence]) -> Block:
    types: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    separators = _separators(sample)
    whens = {value: _when(sample, chosen, value, presences, separators) for value in chosen.types}
    for value in sorted(whens, key=lambda value: (-_literal_length(whens[value]), value)):
        if chosen.by is None and not whens[value]:
            continue
        names.add(name := _name(_wanted_name(sample, chosen, value, presences, separators), names))
        types[value] = {"name": name} | ({"when": whens[value]} if whens[value] else {})
    block: Block = {} if chosen.by is None else {"by": chosen.by}
    block |= {"types": types}
    if REST in names:
        block["rest"] = _name("rest", names)
    if len(types) >= DEFAULT_TYPES:
        block["max_entities"] = MOST_TYPES
    return block


def _wanted_name(
    sample: Sample, chosen: Candidate, value: str, presences: Sequence[Presence], separators: dict[str, str]
) -> str:
    """Return the value of the type, or what its keys say if the value is the text of a key."""
    if not isinstance(chosen.by, dict):
        return value
    numbers = chosen.types[value]
    common = [_only_template(sample, key, numbers, presences, separators[key]) for key in sample.keys]
    return key_patterns.type_name(common) or value


def _name(value: str, taken: set[str]) -> str:
    base = key_patterns.plain(value)[:60] or "type"
    base = base if base[0].isalpha() else f"type_{base}"
    return next(name for number in range(1, 1000) if (name := f"{base}_{number}" if number > 1 else base) not in taken)


def _when(
    sample: Sample, chosen: Candidate, value: str, presences: Sequence[Presence], separators: dict[str, str]
) -> dict[str, str]:
    """Return the patterns of a type's keys: those that tell the type, and others that have placeholders."""
    numbers = chosen.types[value]
    telling = dict(zip(chosen.pattern_keys, chosen.templates.get(value, ()), strict=False))
    found: dict[str, Template] = {}
    for key in sample.keys:
        template = telling.get(key) or _only_template(sample, key, numbers, presences, separators[key])
        if key_patterns.has_label(template) and (chosen.by or key in telling or any(part.is_data for part in template)):
            found[key] = template
    patterns = _named(found, separators)
    if chosen.by is None:
        return patterns
    # The type is known, so patterns only add columns. But they also decide about items that lack the attribute of the
    # type: so keys that are the same in all items of the type belong to the pattern.
    known = {_folded(name) for number in numbers for name in presences[number]}
    used = {key: key_patterns.placeholders(pattern) for key, pattern in patterns.items()}
    if not any(_folded(name) not in known for names in used.values() for name in names):
        return {}
    new = {
        key: found[key] for key, names in used.items() if not names or any(_folded(name) not in known for name in names)
    }
    return _named(new, separators)


def _named(templates: dict[str, Template], separators: dict[str, str]) -> dict[str, str]:
    taken = {"snapshot_timestamp"}
    return {key: key_patterns.pattern_of(template, separators[key], key, taken) for key, template in templates.items()}


def _folded(name: str) -> str:
    """Return the name without what distinguishes `order_id`, `orderId` and `order`."""
    return name.lower().replace("_", "").removesuffix("id")


def _only_template(
    sample: Sample, key: str, numbers: list[int], presences: Sequence[Presence], separator: str
) -> Template:
    """Return the template that all keys of a type have. Empty if they have several."""
    texts = _texts(sample, key)
    of_type = {number: texts[number] for number in numbers if number in texts}
    found = {*key_patterns.templates(of_type, presences, separator).values()}
    return found.pop() if len(found) == 1 and len(of_type) == len(numbers) else ()


def _literal_length(when: dict[str, str]) -> int:
    return sum(len(key_patterns.PLACEHOLDER.sub("", pattern)) for pattern in when.values())


# ----------------------------------------------------------------------------------------------- what the block does


def discriminator(item: Item, by: Any) -> str | None:
    value = item.get(by if isinstance(by, str) else by["key"])
    if value is None or value.kind not in ("S", "N"):
        return None
    if isinstance(by, str):
        return value.text or None
    return value.text.partition(by["before"])[0] or None if value.kind == "S" else None


class Types:
    """The type of each item by a block, as the job decides it."""

    def __init__(self, block: Block) -> None:
        self._by = block.get("by")
        self._patterns = [
            (value, {key: key_patterns.compiled(pattern) for key, pattern in rule["when"].items()})
            for value, rule in block["types"].items()
            if "when" in rule
        ]

    def of(self, item: Item) -> str | None:
        if self._by is not None and (value := discriminator(item, self._by)) is not None:
            return value
        for value, patterns in self._patterns:
            if all(_matches(item.get(key), pattern) for key, pattern in patterns.items()):
                return value
        return None


def _matches(value: Value | None, pattern: Any) -> bool:
    return value is not None and value.kind == "S" and pattern.fullmatch(value.text) is not None


def _described(sample: Sample, chosen: Candidate, candidates: Sequence[Candidate], block: Block) -> Proposal:
    types = Types(block)
    by_type: dict[str | None, list[int]] = {value: [] for value in block["types"]}
    for number, item in enumerate(sample.items):
        by_type.setdefault(types.of(item), []).append(number)
    same = Counter(str(value).lower() for value in block["types"])
    found = []
    for value, rule in block["types"].items():
        numbers = by_type[value]
        unsure = []
        if len(numbers) < FEW_ITEMS:
            unsure.append(f"only {_items(len(numbers))} in the sample")
        if same[value.lower()] > 1:
            unsure.append("another type differs only in case, and has a table of its own")
        if chosen.by is not None and (DATA_KEY.fullmatch(value) or not any(map(str.isalpha, value))):
            unsure.append("the value looks like data, not like the name of a type")
        made = [name for pattern in rule.get("when", {}).values() for name in key_patterns.placeholders(pattern)]
        found.append(_found_type(sample, value, rule["name"], numbers, made, unsure))
    rest = by_type.get(None, [])
    others = sorted((each for each in candidates if each is not chosen), key=lambda each: -each.score)
    return Proposal(
        block=block,
        by=str(chosen),
        score=round(chosen.score, 2),
        types=found,
        rest=_found_type(sample, None, block.get("rest", REST), rest, [], []) if rest else None,
        others=[(str(each), round(each.score, 2)) for each in others[:OTHERS_SHOWN]],
        unsure=list(_doubts(chosen, others, len(found), len(rest))),
    )


def _found_type(
    sample: Sample, value: str | None, name: str, numbers: list[int], made: list[str], unsure: list[str]
) -> FoundType:
    counts = Counter(attribute for number in numbers for attribute in sample.items[number])
    columns = [attribute for attribute, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0]))]
    examples = [sample.example(number) for number in numbers[:: max(1, len(numbers) // EXAMPLES)][:EXAMPLES]]
    return FoundType(value, name, len(numbers), columns + made, examples, unsure)


def _doubts(chosen: Candidate, others: Sequence[Candidate], types: int, rest: int) -> Iterator[str]:
    if types > DEFAULT_TYPES:
        yield f"{count(types)} types are many: check that their values are not data"
    if rest:
        why = "have no value of it" if chosen.by is not None else "match no pattern"
        yield f"{_items(rest)} {why}, and no pattern of a type. They form the table of the rest"
    if others and others[0].score >= chosen.score + BETTER:
        yield f"{others[0]} predicts better which attributes an item has: {others[0].score:.2f}"
    if chosen.by is None:
        yield "items with a new pattern will be in the table of the rest, until you add a type for them"


def _items(number: int) -> str:
    return f"{count(number)} item{'' if number == 1 else 's'}"
