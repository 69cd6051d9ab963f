"""Text of unknown origin, before a terminal shows it."""

import json

import pytest

from table_exports.domain.foreign import as_json, in_lines, in_one_line

ACTING = [
    chr(code) for code in (*range(32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
]
HARMLESS = "Résumé 表 ‎שלום 😀 ~"


@pytest.mark.parametrize("character", ACTING, ids=lambda character: f"U+{ord(character):04X}")
def test_no_control_character_reaches_the_terminal(character):
    assert in_one_line(f"a{character}b") == "a b"
    assert in_lines(f"a{character}b") == ("a\nb" if character == "\n" else "a b")
    written = as_json({f"a{character}": [character]})
    assert character == "\n" or character not in written
    assert json.loads(written) == {f"a{character}": [character]}


def test_other_text_stays_as_it_is():
    assert in_one_line(HARMLESS) == in_lines(HARMLESS) == HARMLESS
    assert HARMLESS in as_json([HARMLESS])
