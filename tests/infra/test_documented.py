"""Parameters are documented, and what the security scanner skips has a reason."""

import re

import pytest
from templates import INFRA, STACKS, template

DOCUMENTED = (INFRA.parent / "docs/deploy.md").read_text()
PARAMETERS = [(stack, name) for stack in STACKS for name in template(stack)["Parameters"]]


@pytest.mark.parametrize(("stack", "name"), PARAMETERS)
def test_each_parameter_has_a_row(stack, name):
    assert re.search(rf"^\|[^|]*`{name}`", DOCUMENTED, re.MULTILINE)


@pytest.mark.parametrize("stack", STACKS)
def test_a_check_that_a_resource_skips_has_a_reason(stack):
    skipped = [
        (name, skip)
        for name, resource in template(stack)["Resources"].items()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]

    assert skipped
    assert [(name, skip["id"]) for name, skip in skipped if len(skip.get("comment", "").split()) < 4] == []


def test_a_check_that_all_resources_skip_has_a_reason():
    lines = (INFRA.parent / ".checkov.yaml").read_text().splitlines()
    skips = [number for number, line in enumerate(lines) if line.startswith("  - CKV_")]

    assert skips
    assert [lines[number] for number in skips if not lines[number - 1].startswith("  # ")] == []
