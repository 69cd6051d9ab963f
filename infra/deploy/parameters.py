"""The parameters of a template and their rules, read from the template."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

WHOLE = "must be a whole number"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    name: str
    type: str
    default: str | None  # None: a value is required
    description: str
    allowed: tuple[str, ...]
    pattern: str | None
    minimum: float | None
    maximum: float | None
    constraint: str | None  # the template's message for a value that does not match the pattern

    @property
    def is_looked_up(self) -> bool:
        """Whether CloudFormation looks the value up in Parameter Store, so that users must not set it."""
        return self.type.startswith("AWS::SSM::")

    @property
    def is_whole(self) -> bool:
        """Whether a Number has no decimals. CloudFormation cannot check that, so the template's message says it."""
        return (self.constraint or "").startswith(WHOLE)

    def problem(self, value: str) -> str | None:
        """Returns what is wrong with a value and which values are valid, or None."""
        if self.allowed and value not in self.allowed:
            return f"{value} must be one of {', '.join(self.allowed)}"
        if self.type == "Number":
            return self._problem_of_number(value)
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return f"{value} {self.constraint or f'must match {self.pattern}'}"
        return None

    def _problem_of_number(self, value: str) -> str | None:
        if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
            return f"{value} must be a number"
        if re.match("-?0[0-9]", value):  # YAML calls 010 the number 8, and CloudFormation would read 10
            return f"{value} must be a number without zeros at its start"
        if self.is_whole and "." in value:
            return f"{value} must be a whole number"
        if self.minimum is not None and float(value) < self.minimum:
            return f"{value} must be at least {self.minimum:g}"
        if self.maximum is not None and float(value) > self.maximum:
            return f"{value} must be at most {self.maximum:g}"
        return None


@cache
def parameters(template: Path) -> dict[str, Parameter]:
    return {name: parameter(name, given) for name, given in yaml_parse(template.read_text())["Parameters"].items()}


def parameter(name: str, given: dict[str, Any]) -> Parameter:
    return Parameter(
        name=name,
        type=given["Type"],
        default=str(given["Default"]) if "Default" in given else None,
        description=given.get("Description", ""),
        allowed=tuple(map(str, given.get("AllowedValues", ()))),
        pattern=given.get("AllowedPattern"),
        minimum=given.get("MinValue"),
        maximum=given.get("MaxValue"),
        constraint=given.get("ConstraintDescription"),
    )
