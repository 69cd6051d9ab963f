"""Writes docs/permissions.md: the list of what each role needs, for people."""

from collections import defaultdict
from pathlib import Path

from templates import STACKS

from permissions import reference
from permissions.policies import roles
from permissions.required import requirements

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"
COMMAND = "AWS_DEFAULT_REGION=us-east-1 PYTHONPATH=.:services:tests .venv/bin/python -m permissions.page"
HEAD = f"""\
# Permissions of each role

Use this page to review the roles of the two stacks, or to write a permissions boundary or a service control policy that
does not break them. It lists each permission, the types of resources that it is for, the calls that require it, and the
page of AWS that says so. The templates narrow each permission to the resources of this product. They grant permissions
of `kms` only if you set `KmsKeyArn` or `TableKmsKeyArn`.

The list is made from the code and the templates. A test compares it with the policies, and fails for a permission that
is missing or superfluous. To write this page again, run:

```
{COMMAND}
```
"""


def page() -> str:
    return "\n".join([HEAD, *(_section(role) for stack in STACKS for role in roles(stack))])


def _section(role: str) -> str:
    calls: dict[tuple[str, str], set[str]] = defaultdict(set)
    types: dict[tuple[str, str], set[str]] = defaultdict(set)
    for required in requirements():
        if required.role == role:
            row = required.action, required.source
            calls[row].add(required.call)
            types[row].add(reference.resource_type(required.action.partition(":")[0], required.place.arn) or "all")
    rows = [
        f"| `{action}` | {', '.join(sorted(types[action, source]))} | {', '.join(sorted(called))} | {_linked(source)} |"
        for (action, source), called in sorted(calls.items())
    ]
    return "\n".join([f"## {role}", "", "| Permission | On | Required by | Source |", "|---|---|---|---|", *rows, ""])


def _linked(source: str) -> str:
    address, _, where = source.partition(" ")
    title = address.partition("#")[0].rpartition("/")[2].removesuffix(".html")
    return f"[{title}]({address}) {where}".strip()


if __name__ == "__main__":
    PAGE.write_text(page())
