"""Regular expressions of AWS's service models, which are written for Java and ECMAScript."""

from collections.abc import Callable
from functools import cache

import regex

WORD, DIGIT, SPACE = "a-zA-Z0-9_", "0-9", r" \t\n\r\f\v"
CLASSES = {"w": WORD, "d": DIGIT, "s": SPACE}  # ASCII only, as in Java; Python's would match all of Unicode
SURROGATE_PAIRS = r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"  # UTF-16 has two code units for these
PRINTABLE = r"\p{Print}", r"[\x20-\x7E]"  # ASCII only, as in Java


@cache
def matcher(pattern: str) -> Callable[[str], bool]:
    """Returns a function that tells whether a text matches. Raises regex.error if Python cannot express the pattern.

    A pattern without anchors must match the whole text: `[a-z]+` rejects `a/b`.
    """
    translated = regex.compile(translate(pattern))
    anchored = pattern.startswith("^") or (pattern.endswith("$") and not pattern.endswith(r"\$"))
    find = translated.search if anchored else translated.fullmatch
    return lambda text: find(text) is not None


def translate(pattern: str) -> str:
    """Returns the pattern in the syntax of the `regex` module."""
    pattern = pattern.replace(*SURROGATE_PAIRS).replace(*PRINTABLE)
    parts, in_class, position = [], False, 0
    while position < len(pattern):
        part = pattern[position : position + 2] if pattern[position] == "\\" else pattern[position]
        position += len(part)
        if part == "[" and in_class:
            part = r"\["
        elif part in ("[", "]"):
            in_class = part == "["
        elif part == "$":
            part = r"\Z" if not in_class else part  # Python's `$` also matches before a newline at the end
        elif part[0] == "\\" and part[1:] in CLASSES:
            part = CLASSES[part[1]] if in_class else f"[{CLASSES[part[1]]}]"
            if in_class and pattern[position : position + 1] == "-":
                part += r"\-"  # in `[\w-_]` the hyphen is not a range
                position += 1
        parts.append(part)
    return "".join(parts)
