"""What others sent us, as it may stand in a message, a record or a fact of ours: short, and text throughout."""

import json
from typing import Any

LONGEST_SHOWN = 80  # characters
LONGEST_MESSAGE = 2000  # characters: a fact that holds it fits through the bus


def shown(value: Any) -> str:
    """Any value as JSON, and not too much of it."""
    try:
        text = json.dumps(value, default=str)
    except (RecursionError, ValueError):
        return f"a {type(value).__name__} too deep or too long to show"
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def words(value: Any, default: str) -> str:
    """Someone's words, or `default` if there are none. What is no text is shown, what is too long is cut."""
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        return shown(value)
    text = value.encode("utf-8", "replace").decode()  # half a surrogate pair has no place in a record
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 3]}..."
