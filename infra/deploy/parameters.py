"""What a template takes for its parameters, read from the template itself."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse


@dataclass(frozen=True, kw_only=True)
class Parameter:
    name: str
    type: str
    default: str | None  # None: a value has to be given
    description: str
    allowed: tuple[str, ...]
    pattern: str | None
    least: float | None
    most: float | None
    constraint: str | None  # the template's own words for what the pattern wants

    @property
    def is_looked_up(self) -> bool:
        """Its value is the name of another, which CloudFormation looks up: nobody is to set it."""
        return self.type.startswith("AWS::SSM::")

    def problem(self, value: str) -> str | None:
        """What is wrong with a value, and what would be right."""
        if self.allowed and value not in self.allowed:
            return f"{value} is none of {', '.join(self.allowed)}"
        if self.type == "Number":
            return self._problem_of_number(value)
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return f"{value} {self.constraint or f'does not match {self.pattern}'}"
        return None

    def _problem_of_number(self, value: str) -> str | None:
        if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
            return f"{value} is no number"
        if self.least is not None and float(value) < self.least:
            return f"{value} is less than {self.least:g}, the least"
        if self.most is not None and float(value) > self.most:
            return f"{value} is more than {self.most:g}, the most"
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
        least=given.get("MinValue"),
        most=given.get("MaxValue"),
        constraint=given.get("ConstraintDescription"),
    )
