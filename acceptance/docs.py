"""Writes docs/unproven.md from the registry of claims: `python -m acceptance.docs`."""

from pathlib import Path

from acceptance import checks
from acceptance.claims import CLAIMS, SUBJECTS, Claim
from acceptance.plan import HOURS, LIMIT, PREFIX, costs, total
from acceptance.report import table

PAGE = Path(__file__).parents[1] / "docs" / "unproven.md"
COMMAND = ".venv/bin/python -m acceptance.docs"
assert checks  # registers the claims

INTRODUCTION = f"""\
# What only AWS can prove

The sandbox runs the same templates, packages and job script with IAM policies enforced, and replaces the rest of AWS
with emulation. This page lists each claim that only AWS can prove. `make accept` checks them.

## Run the checks

In an AWS account, with the usual AWS configuration (`AWS_PROFILE`, `AWS_REGION`):

```sh
make accept
```

The command first states the account and Region, what it creates, for how long, and what that costs: about
${total(costs()):.2f} and up to {HOURS:g} hours. It asks for confirmation and refuses a cost above ${LIMIT:.2f}. Then it

1. deploys both stacks, creates two tables and exports them in every format and both read modes;
2. checks each claim below. A check that fails does not stop the others;
3. deletes everything that it created;
4. writes `acceptance-report.md` and `acceptance-report.json`, which you can attach to an issue. The account ID is
   masked.

You need the [permissions to deploy](deploy.md#permissions-to-deploy), and permissions to create and delete DynamoDB
tables, queues, rules, a schedule and a role. Use a test account.

The exit code is 0 if no check failed and nothing is left. Use an account and Region without table-exports: the command
refuses a Region that has a common stack, or resources that a deleted one retained.

| Command | What it does |
|---|---|
| `make accept SANDBOX=1` | starts a sandbox and checks there what the sandbox can show |
| `make accept CLEAN=1` | deletes what an interrupted run left, by tag and name |
| `make accept EXISTING=1` | uses the Region's common stack, without the checks that disturb it |
| `make accept LIMIT=5` | accepts a cost of up to $5 |
| `make accept ONLY=deploy,athena-csv` | runs only these checks |
| `make accept FROM=../earlier/build` | starts with an earlier version, and upgrades it |
| `.venv/bin/python -m acceptance --help` | lists all options |

If you interrupt the command, it deletes what it created. If its process is killed, run `make accept CLEAN=1`. Stacks
have the tag `{PREFIX}`, and names begin with `{PREFIX}-` or `acceptance_`.

A result is one of

- **passed** or **failed**.
- **not shown**: the check cannot show the claim here, for example in the sandbox. The report says why.
- **not checkable**: a program cannot check the claim. The report says how you can.

In the sandbox, a check that passed shows that the product and the suite agree with the emulation. It proves nothing of
AWS.

This page is generated from the checks in `acceptance/checks`. To write it again: `{COMMAND}`.
"""


def page() -> str:
    lines = [INTRODUCTION]
    for subject in SUBJECTS:
        claims = [claim for claim in CLAIMS.values() if claim.subject == subject]
        rows = [(f"`{claim.id}`", claim.text, claim.how, in_sandbox(claim)) for claim in claims]
        lines += [f"## {subject}", "", *table(["Check", "Claim", "How", "In the sandbox"], rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def in_sandbox(claim: Claim) -> str:
    """Returns what the sandbox shows of a claim, or why it does not."""
    if claim.not_by_program:
        return f"**Not checkable by a program.** {claim.not_by_program}"
    return claim.in_sandbox or f"**Not shown:** {claim.not_in_sandbox}"


if __name__ == "__main__":
    PAGE.write_text(page())
