"""What a template takes is documented where one deploys."""

import re

import pytest
from templates import INFRA, STACKS, template

DOCUMENTED = (INFRA.parent / "docs/deploy.md").read_text()
PARAMETERS = [(stack, name) for stack in STACKS for name in template(stack)["Parameters"]]


@pytest.mark.parametrize(("stack", "name"), PARAMETERS)
def test_each_parameter_has_a_row(stack, name):
    assert re.search(rf"^\|[^|]*`{name}`", DOCUMENTED, re.MULTILINE)


@pytest.mark.parametrize("stack", STACKS)
def test_what_the_security_scanner_skips_has_its_reason_in_place(stack):
    skipped = [
        (name, skip)
        for name, resource in template(stack)["Resources"].items()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]

    assert skipped
    assert [(name, skip["id"]) for name, skip in skipped if len(skip.get("comment", "").split()) < 4] == []
