"""Turns values of unknown origin into short text that is safe in a message, a record or an event."""

import json
import re
from typing import Any

LONGEST_PREVIEW = 80  # characters
LONGEST_MESSAGE = 2000  # characters. An event that contains such a message fits through the bus
# Characters that act on a terminal: C0, C1, separators of lines, and those that change the writing direction.
ACTING = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"


def in_one_line(text: object) -> str:
    """Return text in one line that a terminal can show: without control characters."""
    return re.sub(f"[{ACTING}]+", " ", str(text))


def in_lines(text: object) -> str:
    """Return text that a terminal can show: without control characters, apart from line feeds."""
    return "\n".join(map(in_one_line, str(text).split("\n")))


def as_json(content: Any) -> str:
    """Return indented JSON that a terminal can show: with escapes for control characters."""
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str)  # escapes C0
    return re.sub(f"(?!\n)[{ACTING}]", lambda found: f"\\u{ord(found[0]):04x}", text)


def preview(value: Any) -> str:
    """Return the start of any value as JSON."""
    try:
        text = json.dumps(value, default=str)
    except (RecursionError, ValueError):
        return f"a {type(value).__name__} too deep or too long to show"
    return text if len(text) <= LONGEST_PREVIEW else f"{text[: LONGEST_PREVIEW - 3]}..."


def text_or_default(value: Any, default: str) -> str:
    """Return a message of someone else's, or `default` if there is none. Shortens it if it is too long."""
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        return preview(value)
    text = value.encode("utf-8", "replace").decode()  # a lone surrogate cannot be stored in a record
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 3]}..."
