"""Compares what is to be deployed with what exists, before anything changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from infra.deploy import CannotDeploy, ownership
from infra.deploy.account import Account
from infra.deploy.continuity import Continuity, Problem
from infra.deploy.ownership import COMMON, TABLE
from infra.deploy.stacks import NEVER_CREATED, Stacks, given
from infra.deploy.tables_file import COMMON_STACK, TableStack


class Checks:
    """Refuses stacks that are not of table-exports, and changes that CloudFormation or the pipelines cannot survive."""

    def __init__(
        self, stacks: Stacks, common_template: Path, account: Account, say: Callable[[str, str], None]
    ) -> None:
        """`say` shows what could not be checked, in a style."""
        self._stacks = stacks
        self._account, self._say = account, say
        self._continuity: Continuity | None = None  # None: there is no bucket that could have snapshots
        self._common_template = common_template
        self._ours: set[str] = set()  # ids of stacks that were checked

    def common_stack(self, parameters: dict[str, str]) -> None:
        """Raises CannotDeploy if the name belongs to another stack, or the parameters cannot change to these."""
        stack = self._stacks.describe(COMMON_STACK)
        if stack is None:
            return
        if problem := self.foreign(COMMON, stack):
            raise CannotDeploy(
                f"{problem}. The common stack must have this name. Deploy to another Region or account, or delete that "
                "stack if nobody needs it"
            )

        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
        if "BucketName" in outputs:
            self._continuity = Continuity(self._account.client("s3"), outputs["BucketName"], self._say)
        self._refuse_another_database(stack, parameters)
        self._refuse_another_key(stack, parameters)
        self._refuse_another_role_path(stack, parameters)

    def _refuse_another_key(self, stack: dict[str, Any], parameters: dict[str, str]) -> None:
        """S3 does not encrypt existing objects anew, and the roles may use one key."""
        before = given(stack).get("KmsKeyArn", "")
        if stack["StackStatus"] in NEVER_CREATED or before in ("", parameters.get("KmsKeyArn", "")):
            return
        raise CannotDeploy(
            f"parameters.KmsKeyArn: snapshots, manifests and messages are encrypted with {before}, and nothing could "
            'read them any more. Set it to that key again: docs/deploy.md, "Encryption"'
        )

    def _refuse_another_role_path(self, stack: dict[str, Any], parameters: dict[str, str]) -> None:
        """CloudFormation would replace the roles. While stacks import their ARNs, it refuses that halfway."""
        default = self._default("RolePath")  # a stack of an earlier version has no such parameter
        before, after = given(stack).get("RolePath", default), parameters.get("RolePath", default)
        if stack["StackStatus"] in NEVER_CREATED or before == after:
            return
        importing = [
            name
            for name, each in self._stacks.ours().items()
            if ownership.is_tagged(TABLE, each) and each["StackStatus"] not in (*NEVER_CREATED, "REVIEW_IN_PROGRESS")
        ]
        if importing:
            raise CannotDeploy(
                f"parameters.RolePath: it is {before}, and table stacks refer to roles of that path: "
                f"{', '.join(sorted(importing))}. Set it to {before} again, or see "
                'docs/deploy.md, "Change the path of the roles"'
            )

    def _default(self, name: str) -> str:
        return yaml_parse(self._common_template.read_text())["Parameters"][name]["Default"]

    def _refuse_another_database(self, stack: dict[str, Any], parameters: dict[str, str]) -> None:
        """CloudFormation refuses it too, but only after it has begun to update the stack.

        Table stacks import the name. And CloudFormation updates the database in place, by its new name: Glue knows no
        database of that name.
        """
        before = given(stack).get("DatabaseName")
        after = parameters.get("DatabaseName", self._default("DatabaseName"))
        if stack["StackStatus"] in NEVER_CREATED or before in (None, after):
            return
        raise CannotDeploy(
            f"parameters.DatabaseName: it is {before}, and CloudFormation cannot change it. Set it to {before} again, "
            'or see docs/deploy.md, "Change the database"'
        )

    def table_stack(self, entry: TableStack) -> list[Problem]:
        """Returns why the entry cannot be deployed, with the remedy. `common_stack` was called before."""
        stack = self._stacks.describe(entry.stack)
        if problem := self._refusal(entry, stack):
            return [(entry.line, f"{entry.where}: {problem}")]
        return self._continuity.problems(entry, stack) if self._continuity else []

    def _refusal(self, entry: TableStack, stack: dict[str, Any] | None) -> str | None:
        if stack and (problem := self.foreign(TABLE, stack)):
            return f"{problem}. Set a StackName that no stack has, or remove it"
        table = given(stack).get("TableName") if stack and stack["StackStatus"] not in NEVER_CREATED else None
        if table not in (None, entry.table):
            return (
                f"stack {entry.stack} exports table {table}, and a stack cannot change its table: the snapshots of two "
                f"tables would be mixed. Set another CatalogName, and no StackName that exists. The stack of {table} "
                "stays until you delete it"
            )
        return None

    def foreign(self, kind: str, stack: dict[str, Any]) -> str | None:
        """Returns why the existing stack is not one of this kind, or None."""
        if stack["StackId"] in self._ours:
            return None
        problem = self._foreign(kind, stack)
        if problem is None:
            self._ours.add(stack["StackId"])
        return problem

    def _foreign(self, kind: str, stack: dict[str, Any]) -> str | None:
        if stack["StackStatus"] == "REVIEW_IN_PROGRESS":  # it has no template yet
            others = self._stacks.planned_by_others(stack["StackName"])
            return f"someone else plans stack {stack['StackName']} (change set {', '.join(others)})" if others else None
        template = self._stacks.template(stack["StackId"])
        if kind == COMMON and ownership.is_adopted(stack, template, yaml_parse(self._common_template.read_text())):
            return None
        return ownership.refusal(kind, stack, template)


def refuse(problems: list[Problem], file: Path) -> None:
    """Raises CannotDeploy with all problems, each with its line in the file."""
    if problems:
        raise CannotDeploy("\n".join(f"{file}:{line}: {problem}" for line, problem in problems))
