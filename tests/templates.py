"""The templates as data, so that tests read what is deployed and retype none of it."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

INFRA = Path(__file__).parent.parent / "infra"
STACKS = ("common", "table")


@cache
def template(stack: str) -> dict[str, Any]:
    """`common` or `table`, as written."""
    return yaml_parse((INFRA / f"{stack}.yaml").read_text())


@cache
def expanded(stack: str) -> dict[str, Any]:
    """As CloudFormation sees it, after SAM: with the roles, rules and permissions that SAM adds."""
    written = yaml_parse((INFRA / f"{stack}.yaml").read_text())
    return transform(written, {}, SimpleNamespace(load=dict)) if "Transform" in written else written


def resource(stack: str, name: str) -> dict[str, Any]:
    return template(stack)["Resources"][name]


def resources(stack: str, kind: str) -> dict[str, Any]:
    """All of one type after SAM: `resources("common", "AWS::Events::Rule")`."""
    return {name: found for name, found in expanded(stack)["Resources"].items() if found["Type"] == kind}
