"""A stack whose creation failed is deleted only after the user agreed."""

from pathlib import Path
from typing import Any

import pytest

from infra.deploy import CannotDeploy
from infra.deploy.deployment import Declined, Deployment
from infra.deploy.stacks import Outcome, Plan, Stack
from infra.deploy.tables_file import TableStack

NAMES = ["table-exports-orders-parquet", "table-exports-films-parquet", "table-exports-notes-parquet"]
TABLES = [TableStack(stack=name, catalog_name=name, parameters={"TableName": name}) for name in NAMES]


class FakeStacks:
    """Has a status for each stack, and records in order what is done to them."""

    def __init__(self, done: list[str], **statuses: Any) -> None:
        self._done = done
        self.statuses: dict[str, Any] = statuses

    def wait_until_idle(self, name: str) -> dict[str, Any] | None:
        status = self.statuses.get(name)
        if isinstance(status, Exception):
            raise status
        return {"StackStatus": status} if status else None

    def delete(self, name: str) -> None:
        self._done.append(f"delete {name}")
        del self.statuses[name]

    def plan(self, stack: Stack, version: str) -> Plan:
        self._done.append(f"plan {stack.name}")
        creates = stack.name not in self.statuses
        return Plan(stack=stack, creates=creates, change_set="change-set" if creates else None)

    def execute(self, plan: Plan) -> None:
        self._done.append(f"execute {plan.stack.name}")

    def discard(self, plan: Plan) -> None:
        self._done.append(f"discard {plan.stack.name}")


class FakeScreen:
    """Answers questions in the given order, and records them."""

    def __init__(self, done: list[str], *answers: bool) -> None:
        self._done = done
        self._answers = list(answers)

    def confirm(self, question: str) -> bool:
        self._done.append(question)
        return self._answers.pop(0)

    def changes(self, plans: list[Plan]) -> None: ...
    def show(self, text: str, style: str = "") -> None: ...


@pytest.fixture
def deploy(monkeypatch):
    """Deploys the table stacks. Returns the outcomes, and what was asked and done, in order."""
    monkeypatch.setattr(
        Deployment, "_stack", lambda self, name, parameters: Stack(name=name, template_url="", parameters=parameters)
    )
    monkeypatch.setattr(Deployment, "version", "1")
    monkeypatch.setattr("infra.deploy.deployment.PARALLEL_STACKS", 1)

    def run(*answers: bool, only_plan: bool = False, **statuses: Any) -> tuple[list[Outcome] | None, list[str]]:
        done: list[str] = []
        stacks = FakeStacks(
            done, **{name: statuses[name.split("-")[2]] for name in NAMES if statuses.get(name.split("-")[2])}
        )
        deployment = Deployment(None, FakeScreen(done, *answers), stacks, None, Path("build"), only_plan)
        try:
            return deployment.deploy_table_stacks(TABLES), done
        except Declined:
            return None, done

    return run


QUESTION = (
    "An earlier creation failed: table-exports-orders-parquet (ROLLBACK_COMPLETE), table-exports-films-parquet "
    "(CREATE_FAILED). Delete the failed stacks?"
)
FAILED = {"orders": "ROLLBACK_COMPLETE", "films": "CREATE_FAILED", "notes": "CREATE_COMPLETE"}


def test_failed_stacks_are_deleted_and_created_again_after_one_question(deploy):
    outcomes, done = deploy(True, True, **FAILED)

    assert done == [
        QUESTION,
        "delete table-exports-orders-parquet",
        "plan table-exports-orders-parquet",
        "delete table-exports-films-parquet",
        "plan table-exports-films-parquet",
        "plan table-exports-notes-parquet",
        "Deploy 2 table stacks?",
        "execute table-exports-orders-parquet",
        "execute table-exports-films-parquet",
    ]
    assert [outcome.result for outcome in outcomes] == ["created", "created", "unchanged"]


def test_without_consent_nothing_is_deleted_or_planned(deploy):
    assert deploy(False, **FAILED) == (None, [QUESTION])


def test_one_failed_stack_is_named_alone(deploy):
    _, [asked] = deploy(False, orders="ROLLBACK_FAILED")

    assert asked == (
        "An earlier creation failed: table-exports-orders-parquet (ROLLBACK_FAILED). Delete the failed stack?"
    )


def test_a_plan_asks_nothing_and_deletes_nothing(deploy):
    outcomes, done = deploy(only_plan=True, **FAILED)

    assert done == ["plan table-exports-notes-parquet"]
    assert [(outcome.result, outcome.reason) for outcome in outcomes] == [
        ("to be created", "its last creation failed"),
        ("to be created", "its last creation failed"),
        ("unchanged", ""),
    ]


def test_a_stack_that_cannot_be_deployed_stops_no_other(deploy):
    outcomes, done = deploy(True, True, orders="ROLLBACK_COMPLETE", films=CannotDeploy("its rollback failed"))

    assert "delete table-exports-orders-parquet" in done
    assert [(outcome.result, outcome.reason) for outcome in outcomes] == [
        ("created", ""),
        ("failed", "its rollback failed"),
        ("created", ""),
    ]
