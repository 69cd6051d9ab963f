"""Stacks of others are not touched. Failed stacks and data are deleted only after the user agreed."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from samtranslator.yaml_helper import yaml_parse
from templates import INFRA

from infra.deploy import CannotDeploy, blocks
from infra.deploy.changes import Change
from infra.deploy.deployment import Declined, Deployment
from infra.deploy.settings import Settings
from infra.deploy.stacks import Outcome, Overtaken, Plan, Stack
from infra.deploy.tables_file import TableStack

NAMES = ["table-exports-orders-parquet", "table-exports-films-parquet", "table-exports-notes-parquet"]
TABLES = [
    TableStack(stack=name, catalog_name=name, parameters={"TableName": name}, where=name, line=line)
    for line, name in enumerate(NAMES, 3)
]
SETTINGS = Settings(account="1", region="r", artifacts_bucket="b", parameters={"DatabaseName": "exports"})
OURS = {"Resources": {"Pipeline": {"Type": "Custom::TableExportsPipeline"}}}
COMMON = {"Resources": {"State": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "table-exports"}}}}
FOREIGN = {"Resources": {"Orders": {"Type": "AWS::DynamoDB::Table"}}}


class FakeStacks:
    """Has a status for each stack, and records in order what is done to them."""

    def __init__(self, done: list[str], **statuses: Any) -> None:
        self._done = done
        self.statuses: dict[str, Any] = statuses
        self.kinds: dict[str, str] = {}
        self.parameters: dict[str, dict[str, str]] = {}
        self.overtaken: set[str] = set()
        self.left_by_others = False
        self.templates: dict[str, dict[str, Any]] = {}
        self.losses: dict[str, tuple[Change, ...]] = {}
        self.protected: set[str] = set()

    def wait_until_idle(self, name: str) -> dict[str, Any] | None:
        status = self.statuses.get(name)
        if isinstance(status, Exception):
            raise status
        tags = [{"Key": "table-exports", "Value": self.kinds.get(name, "table")}]
        parameters = [
            {"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.get(name, {}).items()
        ]
        stack = {"StackName": name, "StackId": name, "StackStatus": status, "Tags": tags, "Parameters": parameters}
        return stack if status else None

    describe = wait_until_idle

    def ours(self) -> dict[str, dict[str, Any]]:
        found = {name: self.describe(name) for name, status in self.statuses.items() if isinstance(status, str)}
        return {name: stack | {"EnableTerminationProtection": name in self.protected} for name, stack in found.items()}

    def template(self, name: str) -> dict[str, Any]:
        return self.templates.get(name, OURS)

    def delete(self, name: str) -> None:
        self._done.append(f"delete {name}")
        del self.statuses[name]

    def plan(self, stack: Stack, version: str) -> Plan:
        self._done.append(f"plan {stack.name}")
        creates = stack.name not in self.statuses
        lost = self.losses.get(stack.name, ())
        changed = "change-set" if creates or lost else None
        return Plan(stack=stack, creates=creates, change_set=changed, changes=lost)

    def execute(self, plan: Plan) -> None:
        self._done.append(f"execute {plan.stack.name}")
        if plan.stack.name in self.overtaken:
            if not self.left_by_others:
                self.statuses[plan.stack.name] = "CREATE_COMPLETE"
            raise Overtaken

    def discard(self, plan: Plan) -> None:
        self._done.append(f"discard {plan.stack.name}")


class FakeScreen:
    """Answers questions in the given order, and records them."""

    def __init__(self, done: list[str], *answers: bool | CannotDeploy) -> None:
        self._done = done
        self._answers = list(answers)

    def confirm_data_loss(self, stack: str, lost: list[str]) -> bool:
        self._done.append(f"delete {', '.join(lost)} of {stack}")
        answer = self._answers.pop(0)
        if isinstance(answer, CannotDeploy):
            raise answer
        return answer

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

    def run(
        *answers: bool | CannotDeploy,
        only_plan: bool = False,
        templates: dict[str, Any] | None = None,
        losses: dict[str, Any] | None = None,
        overtaken: str = "",
        left_by_others: bool = False,
        **statuses: Any,
    ) -> tuple[list[Outcome] | None, list[str]]:
        done: list[str] = []
        stacks = FakeStacks(
            done, **{name: statuses[name.split("-")[2]] for name in NAMES if statuses.get(name.split("-")[2])}
        )
        stacks.templates, stacks.losses = templates or {}, losses or {}
        stacks.overtaken, stacks.left_by_others = {overtaken}, left_by_others
        deployment = Deployment(None, FakeScreen(done, *answers), stacks, SETTINGS, Path("build"), only_plan)
        try:
            return deployment.deploy_table_stacks(TABLES), done
        except Declined:
            return None, done

    return run


class FakeAccount:
    """Records which stacks get another protection."""

    region = "r"

    def __init__(self) -> None:
        self.changed: list[tuple[str, bool]] = []

    def client(self, service: str) -> Any:
        return self

    def update_termination_protection(self, StackName: str, EnableTerminationProtection: bool) -> None:
        self.changed.append((StackName, EnableTerminationProtection))


@pytest.fixture
def protect(monkeypatch):
    """Deploys three stacks, of which nothing changes, the first is protected and the last fails."""
    monkeypatch.setattr(
        Deployment, "_stack", lambda self, name, parameters: Stack(name=name, template_url="", parameters=parameters)
    )
    monkeypatch.setattr(Deployment, "version", "1")

    def run(wanted: bool | None, only_plan: bool = False) -> tuple[list[tuple[str, bool]], list[str]]:
        said: list[str] = []
        stacks, account, screen = FakeStacks([]), FakeAccount(), FakeScreen([])
        stacks.statuses = dict.fromkeys(NAMES[:2], "CREATE_COMPLETE") | {NAMES[2]: CannotDeploy("It is stuck")}
        stacks.protected = {NAMES[0]}
        screen.show = lambda text, style="": said.append(text)
        settings = replace(SETTINGS, termination_protection=wanted)
        Deployment(account, screen, stacks, settings, Path("build"), only_plan).deploy_table_stacks(TABLES)
        return account.changed, said

    return run


def test_termination_protection_is_enabled_where_it_is_not_yet(protect):
    changed, said = protect(True)

    assert changed == [(NAMES[1], True)]
    assert f"{NAMES[1]}: termination protection enabled" in said


def test_termination_protection_is_disabled_where_it_is_enabled(protect):
    assert protect(False)[0] == [(NAMES[0], False)]


def test_without_the_setting_termination_protection_stays_as_it_is(protect):
    assert protect(None)[0] == []


def test_a_plan_shows_termination_protection_and_does_not_change_it(protect):
    changed, said = protect(True, only_plan=True)

    assert changed == []
    assert f"{NAMES[1]}: termination protection to be enabled" in said


def test_a_stack_that_is_not_listed_any_more_has_the_commands_to_delete_it():
    said: list[str] = []
    stacks, screen = FakeStacks([]), FakeScreen([])
    stacks.statuses, stacks.protected = {NAMES[0]: "CREATE_COMPLETE"}, {NAMES[0]}
    screen.show = lambda text, style="": said.append(text)

    Deployment(FakeAccount(), screen, stacks, SETTINGS, INFRA, False).report_unlisted_stacks([], Path("tables.yaml"))

    stack = f"--region r --stack-name {NAMES[0]}"
    assert said[0].splitlines()[1:] == [
        f"aws cloudformation update-termination-protection --no-enable-termination-protection {stack}",
        f"aws cloudformation delete-stack {stack}",
    ]


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


@pytest.mark.parametrize(
    "status", ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "CREATE_FAILED"]
)
def test_a_stack_of_another_purpose_is_neither_changed_nor_deleted(deploy, status):
    outcomes, done = deploy(True, orders=status, films="CREATE_COMPLETE", templates={NAMES[0]: FOREIGN})

    assert [step for step in done if NAMES[0] in step] == []
    assert outcomes[0].failed
    assert "it is not a table stack of table-exports" in outcomes[0].reason


def test_stacks_of_another_purpose_are_refused_at_once_with_their_lines():
    stacks = FakeStacks([], **dict.fromkeys(NAMES, "CREATE_COMPLETE"), **{"table-exports": "CREATE_COMPLETE"})
    stacks.templates = {NAMES[0]: FOREIGN, NAMES[2]: FOREIGN, "table-exports": COMMON}
    deployment = Deployment(None, FakeScreen([]), stacks, SETTINGS, INFRA, False)
    stacks.kinds = {"table-exports": "common"}

    with pytest.raises(CannotDeploy) as error:
        deployment.check(TABLES, Path("tables.yaml"))

    first, second = str(error.value).splitlines()
    assert first.startswith(f"tables.yaml:3: {NAMES[0]}: stack {NAMES[0]} exists, and it is not a table stack")
    assert first.endswith("Set a StackName that no stack has, or remove it")
    assert second.startswith(f"tables.yaml:5: {NAMES[2]}: ")


def test_a_common_stack_of_another_purpose_is_refused():
    stacks = FakeStacks([], **{"table-exports": "CREATE_COMPLETE"})
    stacks.kinds = {"table-exports": "common"}
    stacks.templates = {"table-exports": FOREIGN}

    with pytest.raises(CannotDeploy, match="stack table-exports exists, and it is not a common stack of table-exports"):
        Deployment(None, FakeScreen([]), stacks, SETTINGS, INFRA, False).check([], Path("tables.yaml"))


LOSS = (Change(action="Remove", name="Orders", type="AWS::DynamoDB::Table", replacement="", physical_id="orders"),)


@pytest.mark.parametrize("answer", [False, CannotDeploy("--yes does not confirm that")])
def test_data_is_not_deleted_without_its_own_consent_and_other_stacks_continue(deploy, answer):
    outcomes, done = deploy(True, answer, orders="CREATE_COMPLETE", losses={NAMES[0]: LOSS})

    assert f"delete AWS::DynamoDB::Table orders of {NAMES[0]}" in done
    assert f"execute {NAMES[0]}" not in done
    assert f"discard {NAMES[0]}" in done
    assert [outcome.result for outcome in outcomes] == ["failed", "created", "created"]


def test_data_is_deleted_with_consent(deploy):
    outcomes, done = deploy(True, True, orders="CREATE_COMPLETE", losses={NAMES[0]: LOSS})

    assert f"execute {NAMES[0]}" in done
    assert outcomes[0].result == "updated"


def test_a_stack_that_another_deployment_has_updated_alike_is_fine(deploy):
    outcomes, _ = deploy(True, overtaken=NAMES[1])

    assert [outcome.result for outcome in outcomes] == ["created", "unchanged", "created"]
    assert outcomes[1].reason == "another deployment has updated it"


def test_a_stack_that_another_deployment_left_otherwise_is_told(deploy):
    outcomes, done = deploy(True, overtaken=NAMES[1], left_by_others=True)

    assert [outcome.result for outcome in outcomes] == ["created", "failed", "created"]
    assert "Another deployment changed it in another way. Run this command again" in outcomes[1].reason
    assert f"discard {NAMES[1]}" in done


def checked(parameters, table_stacks=(), status="CREATE_COMPLETE", statuses=None, **settings):
    """Checks the table stacks and the common stack, which exist with these parameters."""
    changed = replace(SETTINGS, parameters=SETTINGS.parameters | settings)
    stacks = FakeStacks([], **dict.fromkeys(parameters, status) | (statuses or {}))
    stacks.kinds, stacks.templates, stacks.parameters = (
        {"table-exports": "common"},
        {"table-exports": COMMON},
        parameters,
    )
    Deployment(None, FakeScreen([]), stacks, changed, INFRA, False).check(list(table_stacks), Path("tables.yaml"))


def test_a_stack_does_not_change_its_table():
    checked({NAMES[0]: {"TableName": TABLES[0].table}}, TABLES)
    with pytest.raises(CannotDeploy) as error:
        checked({NAMES[0]: {"TableName": "Orders"}}, TABLES)

    assert str(error.value).startswith(
        f"tables.yaml:3: {TABLES[0].table}: stack {NAMES[0]} exports table Orders, and a stack cannot change its table"
    )
    assert "Set another CatalogName" in str(error.value)


def test_the_database_of_a_common_stack_does_not_change():
    checked({"table-exports": {"DatabaseName": "exports"}})
    checked({"table-exports": {"DatabaseName": "old"}}, status="ROLLBACK_COMPLETE")  # it is deleted first
    with pytest.raises(CannotDeploy) as error:
        checked({"table-exports": {"DatabaseName": "old"}})

    assert str(error.value) == (
        "parameters.DatabaseName: it is old, and CloudFormation cannot change it. Set it to old again, "
        'or see docs/deploy.md, "Change the database"'
    )


def test_the_key_of_a_common_stack_does_not_change():
    key, other = (f"arn:aws:kms:eu-west-1:111122223333:key/{name}" for name in ("1", "2"))
    checked({"table-exports": {"KmsKeyArn": ""}}, KmsKeyArn=key)
    checked({"table-exports": {"KmsKeyArn": key}}, KmsKeyArn=key)
    for given in ({}, {"KmsKeyArn": other}):
        with pytest.raises(
            CannotDeploy, match=f"^parameters.KmsKeyArn: .* are encrypted with {key}, .* Set it to that"
        ):
            checked({"table-exports": {"KmsKeyArn": key}}, **given)


@pytest.mark.parametrize(
    ("before", "after", "table_stack", "refused"),
    [
        ("/", {"RolePath": "/data/"}, "UPDATE_COMPLETE", True),
        ("/data/", {}, "UPDATE_ROLLBACK_COMPLETE", True),
        ("/data/", {"RolePath": "/data/"}, "CREATE_COMPLETE", False),
        ("/", {"RolePath": "/data/"}, "ROLLBACK_COMPLETE", False),  # it has no resources
        ("/", {"RolePath": "/data/"}, None, False),
        (None, {}, "CREATE_COMPLETE", False),  # an earlier version, whose roles have no path
        (None, {"RolePath": "/data/"}, "CREATE_COMPLETE", True),
    ],
)
def test_the_path_of_roles_does_not_change_under_table_stacks(before, after, table_stack, refused):
    parameters = {"table-exports": {"RolePath": before} if before else {}} | ({NAMES[0]: {}} if table_stack else {})
    statuses = {NAMES[0]: table_stack} if table_stack else {}
    if not refused:
        return checked(parameters, statuses=statuses, **after)
    with pytest.raises(CannotDeploy) as error:
        checked(parameters, statuses=statuses, **after)

    path = before or "/"
    assert str(error.value) == (
        f"parameters.RolePath: it is {path}, and table stacks refer to roles of that path: {NAMES[0]}. "
        f'Set it to {path} again, or see docs/deploy.md, "Change the path of the roles"'
    )


def names_in(value):
    """The references of a part of a template: parameters, resources and conditions."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key in ("Ref", "Condition") and isinstance(part, str):
                yield part
            elif key == "Fn::If":
                yield part[0]
                yield from names_in(part[1:])
            elif key == "Fn::GetAtt":
                yield (part if isinstance(part, str) else part[0]).split(".")[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{([A-Za-z0-9]+)", part if isinstance(part, str) else part[0])
                yield from names_in(part)
            else:
                yield from names_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from names_in(part)


NAMED_BY = ["/properties/DatabaseInput"]  # which names a Glue database, and other resources do not have


def test_each_parameter_that_would_change_an_exported_value_is_checked_before_a_deployment():
    """CloudFormation refuses such a change in the middle of an update, while other stacks import the value."""
    found = yaml_parse((INFRA / "common.yaml").read_text())
    resources, conditions, changing = found["Resources"], found["Conditions"], set()
    exported = {
        name for output in found["Outputs"].values() if "Export" in output for name in names_in(output["Value"])
    }
    seen: set[str] = set()
    while open_names := exported - seen:
        for name in open_names:
            seen.add(name)
            if name in found["Parameters"]:
                changing.add(name)
            elif name in conditions:
                exported |= set(names_in(conditions[name]))
            elif (kind := resources.get(name, {}).get("Type", "")).startswith("AWS::") and "Serverless" not in kind:
                schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
                for path in [*schema.get("createOnlyProperties", []), *schema["primaryIdentifier"], *NAMED_BY]:
                    exported |= set(names_in(resources[name]["Properties"].get(path.split("/")[2])))

    assert {"Bucket", "Database", "StartExportRole", "ScheduleRole"} <= seen
    assert changing - {"AWS"} == {"DatabaseName", "RolePath"}


def test_a_deployment_beyond_a_quota_asks_and_changes_nothing(deploy, monkeypatch):
    planned: list[str] = []

    def exceeded(account: None, plans: list[Plan]) -> tuple[list[str], list[str]]:
        planned.extend(plan.stack.name for plan in plans)
        return ["IAM roles: too many"], ["a warning"]

    monkeypatch.setattr("infra.deploy.quotas.exceeded", exceeded)

    with pytest.raises(CannotDeploy, match="IAM roles: too many\nNothing was changed"):
        deploy()  # a question would have no answer

    assert planned == NAMES


def test_a_stack_refers_to_the_blocks_that_were_stored_for_it():
    stored = {"Columns": b"the same rules", "Entities": b"the same types"}
    deployment = Deployment(None, FakeScreen([]), FakeStacks([]), SETTINGS, Path("build"), False)
    without, with_both = TABLES[0], replace(TABLES[0], blocks=stored)

    assert deployment._parameters(without) == without.parameters
    assert deployment._parameters(with_both) == without.parameters | {
        name: f"b/{blocks.key(name, content)}" for name, content in stored.items()
    }
