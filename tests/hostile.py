"""What nobody should send, and somebody will: names and values for the tests of what we read and of what we quote."""

from typing import Any

from hypothesis import strategies as st

NAMES = [
    'quo"te',
    "semi;colon",
    "a' OR '1'='1",
    "--",
    "/* comment",
    '"',
    '""',
    "'",
    "''",
    "`tick`",
    "back\\slash",
    "dot.dot",
    "sp ace",
    "ünïcode",
    "\u202eright to left",
    "select",
    "1st",
    "?",
    ":parameter",
    "{{ template }}",
    "tab\tnew\nline",
    "x" * 255,
]


def nested(depth: int) -> Any:
    """An object in an object in an object..."""
    value: Any = "bottom"
    for _ in range(depth):
        value = {"in": value}
    return value


# Half of a surrogate pair is text to JSON and to Python, and to nothing that encodes.
texts = st.text(st.characters(exclude_categories=[]), max_size=40)
unicode_texts = st.text(max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
ids = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)

# What JSON reads into: each is wrong where a name is wanted.
NO_NAMES = {
    "null": None,
    "empty": "",
    "a number": 7,
    "a truth": True,
    "NaN": float("nan"),
    "a list": ["x"],
    "an object": {"x": "y"},
    "too long": "x" * 1025,
    "a line break": "a\nb",
    "a NUL": "a\x00b",
    "half a surrogate pair": "a\ud800",
    "right to left": "a\u202eb",
    "another script": "\uff4a\uff52_\uff11",
    "very long": "x" * 256 * 1024,
    "a number of 5000 digits": 10**5000,
    "nested deep": nested(5000),
}
