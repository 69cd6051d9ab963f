"""The block `Columns` of tables.yaml, as text that can be pasted under the entry of a table."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from table_exports_cli.proposals import Proposal, Rule

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NOT_TEXT = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # without quotation marks, in any case


def block(proposals: Sequence[Proposal]) -> str:
    return "\n".join(["Columns:", *(f"  {line}" for each in proposals for line in _lines(each))])


def _lines(proposal: Proposal) -> Iterator[str]:
    """Yield the rule, or comments with all rules among which a person has to choose."""
    for number, rule in enumerate(proposal.rules):
        line = f"{'# ' if proposal.needs_decision else ''}{scalar(proposal.path)}: {_flow(rule)}"
        yield line if number else f"{line}  # {proposal.reason}"


def _flow(rule: Rule) -> str:
    return "{" + ", ".join(f"{name}: {_value(value)}" for name, value in rule.items()) + "}"


def _value(value: Any) -> str:
    return scalar(value) if isinstance(value, str) else json.dumps(value)


def scalar(text: str) -> str:
    """Return text as YAML in one line, in quotation marks unless it is a word."""
    if PLAIN.fullmatch(text) and text.lower() not in NOT_TEXT:
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def as_data(proposals: Sequence[Proposal]) -> dict[str, Any]:
    """Return the block, and each proposal with its reason."""
    return {
        "columns": {each.path: each.rules[0] for each in proposals if not each.needs_decision},
        "proposals": [
            {
                "attribute": each.path,
                "rules": list(each.rules),
                "needs_decision": each.needs_decision,
                "reason": each.reason,
            }
            for each in proposals
        ],
    }
