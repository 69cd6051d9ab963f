"""The names of columns and of nested fields: docs/schema.md, "Names"."""

import re
from collections.abc import Iterable, Mapping

NAME_BYTES = 255  # the longest column name that the Glue Data Catalog accepts

# Names that mean a position to Hive's JSON SerDe and to readers of ORC files, whatever the column is called.
POSITION = re.compile(r"_col\d+")

# Letters and digits that are newer than Unicode 6.2. Hive's parser of types refuses them on Java 8.
NEWER_THAN_JAVA_8 = re.compile(
    "[\u037f\u0528-\u052f\u0560\u0588\u05ef\u0860-\u086a\u0870-\u0887\u0889-\u088e\u08a1\u08ad-\u08c9\u0978\u0980"
    "\u09fc\u0af9\u0c34\u0c5a\u0c5d\u0c80\u0cdd\u0d04\u0d54-\u0d56\u0d5f\u0de6-\u0def\u0e86\u0e89\u0e8c\u0e8e-\u0e93"
    "\u0e98\u0ea0\u0ea8\u0ea9\u0eac\u13f5\u13f8-\u13fd\u16f1-\u16f8\u170d\u171f\u1878\u191d\u191e\u19b0-\u19c0\u19c8"
    "\u19c9\u1b4c\u1c80-\u1c88\u1c90-\u1cba\u1cbd-\u1cbf\u1cf2\u1cf3\u1cfa\u2c2f\u2c5f\u312e\u312f\u31bb-\u31bf"
    "\u4db6-\u4dbf\u9fcd-\u9fff\ua698-\ua69d\ua78f\ua794-\ua79f\ua7ab-\ua7ca\ua7d0-\ua7d9\ua7f2-\ua7f7\ua8fd\ua8fe"
    "\ua9e0-\ua9fe\uaa7e\uaa7f\uab30-\uab69\uab70-\uabbf]"
)


def column_names(
    attributes: Iterable[str], taken: Iterable[str], *, ascii_only: bool, wanted: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The column name of each attribute: lower case, only letters, digits and `_`, and unique.

    If several attributes get the same name, the first one keeps it, and `_2`, `_3`, ... is added to the others.
    An attribute in `wanted` is named after that instead.
    """
    used, names = {folded(name) for name in taken}, {}
    for attribute in dict.fromkeys(attributes):
        name = candidate = plain_name((wanted or {}).get(attribute, attribute), ascii_only=ascii_only)
        number = 1
        while folded(candidate) in used or POSITION.fullmatch(candidate):
            number += 1
            candidate = shortened(name, NAME_BYTES - len(f"_{number}")) + f"_{number}"
        used.add(folded(candidate))
        names[attribute] = candidate
    return names


def precedence(attribute: str, *, ascii_only: bool) -> tuple[bool, str]:
    """A sort key: attributes whose names need no change come first, so that they keep their names."""
    return plain_name(attribute, ascii_only=ascii_only) != attribute, attribute


def plain_name(attribute: str, *, ascii_only: bool) -> str:
    """The column name if no other attribute has it. Hive types, Arrow and SQL each refuse some other characters."""
    if ascii_only:
        name = re.sub(r"[^a-z0-9_]", "_", attribute.lower())
        name = name if re.match(r"[a-z_]", name) else f"_{name}"
    else:
        name = "".join(c if is_letter_or_digit(c) else "_" for c in attribute.lower()) or "_"
    return shortened(name, NAME_BYTES)


def is_letter_or_digit(character: str) -> bool:
    """Whether Hive and Trino take it for one in a type: to them, a letter beyond U+FFFF is two other characters."""
    known = character <= "\uffff" and not NEWER_THAN_JAVA_8.match(character)
    return known and (character.isalpha() or character.isdecimal())


def folded(name: str) -> str:
    """The same for all names that the engine takes for the same, as Java's String.equalsIgnoreCase does.

    Java compares upper cases, then lower cases of them, of each character. Those that have no upper case of one
    character keep their lower case.
    """
    uppers = (c.upper() for c in name)
    return "".join(upper.lower() if len(upper) == 1 else c for c, upper in zip(name, uppers, strict=True))


def shortened(name: str, size: int) -> str:
    """As much of the name as fits in `size` bytes."""
    return name.encode()[:size].decode(errors="ignore")
