"""Turns values of unknown origin into short text that is safe in a message, a record or an event."""

import json
from typing import Any

LONGEST_PREVIEW = 80  # characters
LONGEST_MESSAGE = 2000  # characters. An event that contains such a message fits through the bus


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
