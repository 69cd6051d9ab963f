"""Deploys the common stack and then all table stacks. The user reviews and confirms the changes of each step."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy import CannotDeploy, adoption, artifacts, blocks, checks, quotas, retention
from infra.deploy.account import Account
from infra.deploy.functions import Functions
from infra.deploy.ownership import COMMON, TABLE, TAG
from infra.deploy.parameters import parameters as template_parameters
from infra.deploy.screen import Screen
from infra.deploy.settings import Settings
from infra.deploy.stacks import NEVER_CREATED, Outcome, Overtaken, Plan, Stack, StackFailed, Stacks, given
from infra.deploy.tables_file import COMMON_STACK, TableStack
from table_exports_cli.problems import in_words

PARALLEL_STACKS = 5  # more stacks would only wait for each other's calls to IAM and Glue


class Declined(Exception):
    """The user did not confirm a change."""


@dataclass
class Deployment:
    account: Account
    screen: Screen
    stacks: Stacks
    settings: Settings
    build: Path
    only_plan: bool
    repair: bool = False

    @property
    def version(self) -> str:
        return artifacts.version(self.build)

    @cached_property
    def checks(self) -> checks.Checks:
        return checks.Checks(self.stacks, self.build / "common.yaml", self.account, self.screen.show)

    def check(self, table_stacks: list[TableStack], file: Path) -> None:
        """Raises CannotDeploy if a stack is of another purpose, or cannot be changed to what the files say."""
        self.checks.common_stack(self.settings.parameters)
        problems = self._each(self.checks.table_stack, table_stacks)
        checks.refuse([problem for of_entry in problems for problem in of_entry], file)

    def require_common_stack_of_this_version(self) -> None:
        stack = self._idle(COMMON, COMMON_STACK)
        there = given(stack).get("ArtifactsPrefix") if stack else None
        if there != artifacts.prefix(self.version):
            has = f"has version {there}" if there else "does not exist"
            raise CannotDeploy(f"The common stack {has}, but build/ has version {self.version}. Deploy without --only")

    def deploy_common_stack(self) -> bool:
        """Returns whether the common stack exists now. Raises CannotDeploy, Declined or StackFailed."""
        stack = self._stack(
            COMMON_STACK,
            {
                **self.settings.parameters,
                "ArtifactsBucket": self.settings.artifacts_bucket,
                "ArtifactsPrefix": artifacts.prefix(self.version),
            },
        )
        while True:
            self._delete_if_never_created(COMMON_STACK)
            self._adopt_retained(stack)
            try:
                exists = self._deploy_common_stack(self.stacks.plan(stack, self.version))
                self._protect([COMMON_STACK])
                return exists
            except Overtaken:
                self.screen.show(f"{COMMON_STACK}: another deployment changed it meanwhile. Planning again")

    def _deploy_common_stack(self, plan: Plan) -> bool:
        self.screen.changes([plan])
        if plan.change_set is None:
            return True
        self._compare_with_quotas([plan])
        if self.only_plan:
            self.stacks.discard(plan)
            return not plan.creates
        if not self.screen.confirm("Deploy the common stack?") or not self._data_loss_confirmed(plan):
            raise Declined
        self.stacks.execute(plan, self.screen.event)
        return True

    def functions_run_the_build(self) -> bool:
        """Returns whether the functions run the code of the build. A repair restores it, after a question."""
        stack = self.stacks.describe(COMMON_STACK)
        if given(stack or {}).get("ArtifactsPrefix") != artifacts.prefix(self.version):
            return True  # only planned: another version gives all functions other code
        functions = Functions(self.account, self.build)
        try:
            missing = functions.with_other_code()
        except ClientError as error:
            self.screen.show(f"Whether the functions run the code of build/ is unknown: {in_words(error)}", "yellow")
            return True
        for function, found in missing.items():
            self.screen.show(f"{function} runs other code than build/{' and build/'.join(found)}", "bold red")
        if not missing or not self.repair or self.only_plan:
            if missing:
                self.screen.show("Find out who changed it. To restore the code, run make deploy REPAIR=1", "red")
            return not missing
        if not self.screen.confirm(f"Restore the code of {len(missing)} function{'s' if len(missing) > 1 else ''}?"):
            raise Declined
        functions.restore(missing, self.settings.artifacts_bucket)
        if functions.with_other_code():
            raise CannotDeploy(
                f"The layer of stack {COMMON_STACK} is not build/layer.zip: someone replaced it in the artifacts "
                "bucket during a deployment. No table stack was changed. Deploy another version: it has another folder"
            )
        self.screen.show("Restored")
        return True

    def deploy_table_stacks(self, table_stacks: list[TableStack]) -> list[Outcome]:
        """Returns the outcome of each stack, in order. Raises Declined."""
        deletable = self._confirmed_deletions(table_stacks)
        planned = self._each(lambda table_stack: self._plan_or_outcome(table_stack, deletable), table_stacks)
        changing = [plan for plan in planned if isinstance(plan, Plan) and plan.change_set]
        self.screen.changes(changing)
        self._warn_of_retention(changing)
        self._compare_with_quotas(changing)
        if self.only_plan or not changing:
            done = self._each(self._discard, changing)
        elif self.screen.confirm(f"Deploy {len(changing)} table stack{'s' if len(changing) > 1 else ''}?"):
            self._require_that_nobody_deployed_another_version()
            kept = [outcome for plan in changing if (outcome := self._refuse_data_loss(plan))]
            refused = {outcome.stack for outcome in kept}
            done = kept + self._each(self._execute, [plan for plan in changing if plan.stack.name not in refused])
        else:
            raise Declined
        result = {outcome.stack: outcome for outcome in done}
        outcomes = [
            each if isinstance(each, Outcome) else result.get(each.stack.name) or unchanged(each) for each in planned
        ]
        self._protect([outcome.stack for outcome in outcomes if not outcome.failed])
        return outcomes

    def _warn_of_retention(self, plans: list[Plan]) -> None:
        """Shows what a lower KeepSnapshots deletes. CloudFormation sees only a property of a resource that changes."""
        found = self.stacks.ours()
        for plan in plans:
            stack = None if plan.creates else found.get(plan.stack.name)
            before, after = given(stack or {}).get(retention.NAME), plan.stack.parameters.get(retention.NAME)
            if stack and before and after and retention.is_lowered(before, after):
                database = self.settings.parameters.get("DatabaseName") or self._default("DatabaseName")
                self.screen.show(retention.warning(self.account, stack, before, after, database), "bold red")

    def _default(self, parameter: str) -> str:
        return template_parameters(self.build / "common.yaml")[parameter].default or ""

    def _compare_with_quotas(self, plans: list[Plan]) -> None:
        """Raises CannotDeploy if the account cannot have the resources that the plans add."""
        certain, possible = quotas.exceeded(self.account, plans)
        for text in possible:
            self.screen.show(text, "yellow")
        if certain:
            raise CannotDeploy("\n".join([*certain, "Nothing was changed"]))

    def _protect(self, names: list[str]) -> None:
        """Sets the termination protection of existing stacks, if the settings have it."""
        wanted = self.settings.termination_protection
        if wanted is None:
            return
        found, becomes = self.stacks.ours(), "enabled" if wanted else "disabled"
        for name in names:
            if name not in found or found[name].get("EnableTerminationProtection", False) == wanted:
                continue
            if self.only_plan:
                self.screen.show(f"{name}: termination protection to be {becomes}")
                continue
            cloudformation = self.account.client("cloudformation")
            cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=wanted)
            self.screen.show(f"{name}: termination protection {becomes}")

    def report_unlisted_stacks(self, table_stacks: list[TableStack], file: Path) -> None:
        known = {COMMON_STACK, *(table_stack.stack for table_stack in table_stacks)}
        others = {name: stack for name, stack in self.stacks.ours().items() if name not in known}
        if unlisted := sorted(name for name, stack in others.items() if not self.checks.foreign(TABLE, stack)):
            options = f"--region {self.account.region} --stack-name {unlisted[0]}"
            unprotect = (
                f"aws cloudformation update-termination-protection --no-enable-termination-protection {options}\n"
            )
            self.screen.show(
                f"Not in {file} any more: {', '.join(unlisted)}. To delete such a stack and keep its data:\n"
                f"{unprotect if others[unlisted[0]].get('EnableTerminationProtection') else ''}"
                f"aws cloudformation delete-stack {options}"
            )

    def _idle(self, kind: str, name: str) -> dict[str, Any] | None:
        """Returns the stack when no operation is in progress. Raises CannotDeploy if it is not one of this kind."""
        stack = self.stacks.wait_until_idle(name)
        if stack and (problem := self.checks.foreign(kind, stack)):
            raise CannotDeploy(f"{problem}. Nothing was changed")
        return stack

    def _delete_if_never_created(self, name: str) -> None:
        """Deletes a stack whose creation failed. Nothing else can be done with it, and it has no data."""
        stack = self._idle(COMMON, name)
        if stack is None or stack["StackStatus"] not in NEVER_CREATED:
            return
        if self.only_plan:
            raise CannotDeploy(
                f"{name} is {stack['StackStatus']}. A deployment deletes it and creates it again. It cannot be planned"
            )
        self._confirm_deletion({name: stack["StackStatus"]})
        self.stacks.delete(name)

    def _confirmed_deletions(self, table_stacks: list[TableStack]) -> set[str]:
        """Returns the names of the stacks whose creation failed, after the user agreed to delete them."""
        if self.only_plan:
            return set()
        names = [table_stack.stack for table_stack in table_stacks]
        found = self._each(lambda name: outcome_of(name, lambda: self._idle(TABLE, name)), names)
        failed = {
            name: stack["StackStatus"]
            for name, stack in zip(names, found, strict=True)
            if isinstance(stack, dict) and stack["StackStatus"] in NEVER_CREATED
        }
        if failed:
            self._confirm_deletion(failed)
        return set(failed)

    def _confirm_deletion(self, failed: dict[str, str]) -> None:
        """Asks whether to delete the stacks, given with their status. Raises Declined."""
        listed = ", ".join(f"{name} ({status})" for name, status in failed.items())
        stacks = "stacks" if len(failed) > 1 else "stack"
        if not self.screen.confirm(f"An earlier creation failed: {listed}. Delete the failed {stacks}?"):
            raise Declined

    def _adopt_retained(self, target: Stack) -> None:
        stack = self.stacks.describe(COMMON_STACK)
        if stack and stack["StackStatus"] != "REVIEW_IN_PROGRESS":
            return
        retained = adoption.RetainedResources(self.account, self.build / "common.yaml", target.parameters)
        found = retained.found()
        if not found:
            return
        self.screen.show(
            f"A deleted common stack retained {', '.join(f'{kind} {name}' for kind, name in found.items())}"
        )
        if self.only_plan:
            raise CannotDeploy("A deployment adopts these resources first. Until then, nothing can be planned")
        if not self.screen.confirm("Adopt these resources, with their data, into the new stack?"):
            self.screen.show('The new stack needs their names. docs/deploy.md, "Remove", says how to delete them')
            raise Declined
        resources = retained.resources_to_import(found)
        self.stacks.adopt(COMMON_STACK, retained.template(found), target.parameters, resources)

    def _plan_or_outcome(self, table_stack: TableStack, deletable: set[str]) -> Plan | Outcome:
        def plan() -> Plan | Outcome:
            stack = self._idle(TABLE, table_stack.stack)
            if stack and stack["StackStatus"] in NEVER_CREATED:
                if self.only_plan:
                    return Outcome(stack=table_stack.stack, result="to be created", reason="its last creation failed")
                if table_stack.stack not in deletable:
                    raise CannotDeploy("Its creation failed a moment ago. Run this command again")
                self.stacks.delete(table_stack.stack)
            return self.stacks.plan(self._stack(table_stack.stack, self._parameters(table_stack)), self.version)

        return outcome_of(table_stack.stack, plan)

    def _parameters(self, table_stack: TableStack) -> dict[str, str]:
        return table_stack.parameters | blocks.parameters(self.settings.artifacts_bucket, table_stack.blocks)

    def _execute(self, plan: Plan) -> Outcome:
        def execute() -> Outcome:
            try:
                self.stacks.execute(plan)
            except Overtaken:
                return self._outcome_of_another_deployment(plan)
            return Outcome(stack=plan.stack.name, result="created" if plan.creates else "updated")

        self.screen.show(f"{plan.stack.name}: {'creating' if plan.creates else 'updating'}")
        outcome = outcome_of(plan.stack.name, execute)
        self.screen.show(f"{plan.stack.name}: {outcome.result}", "red" if outcome.failed else "")
        return outcome

    def _require_that_nobody_deployed_another_version(self) -> None:
        stack = self.stacks.describe(COMMON_STACK)
        there = given(stack).get("ArtifactsPrefix") if stack else None
        if there and there != artifacts.prefix(self.version):
            raise CannotDeploy(
                f"Another deployment has changed the common stack to {there} meanwhile. No table stack was changed. "
                "Run this command again, from the version that you want"
            )

    def _outcome_of_another_deployment(self, plan: Plan) -> Outcome:
        """Waits for the other deployment, and returns whether the stack is now as it should be."""
        again = self.stacks.plan(plan.stack, self.version)
        if again.change_set is None:
            return Outcome(stack=plan.stack.name, result="unchanged", reason="another deployment has updated it")
        self.stacks.discard(again)
        raise CannotDeploy("Another deployment changed it in another way. Run this command again")

    def _data_loss_confirmed(self, plan: Plan) -> bool:
        """Returns whether nothing is lost or the user agreed to it. Raises CannotDeploy if nobody can be asked."""
        lost = [change.resource for change in plan.changes if change.destroys_data]
        return not lost or self.screen.confirm_data_loss(plan.stack.name, lost)

    def _refuse_data_loss(self, plan: Plan) -> Outcome | None:
        """Returns a failed outcome if the plan destroys data and the user did not agree to that."""
        name = plan.stack.name
        confirmed = outcome_of(name, lambda: self._data_loss_confirmed(plan))
        if confirmed is True:
            return None
        self.stacks.discard(plan)
        if isinstance(confirmed, Outcome):
            return confirmed
        return Outcome(stack=name, result="failed", reason="You did not confirm the deletion of its data")

    def _discard(self, plan: Plan) -> Outcome:
        self.stacks.discard(plan)
        return Outcome(stack=plan.stack.name, result="to be created" if plan.creates else "to be updated")

    def _each(self, step: Callable[[Any], Any], things: Iterable[Any]) -> list[Any]:
        with ThreadPoolExecutor(PARALLEL_STACKS) as pool:
            try:
                return list(pool.map(step, things))
            except BaseException:
                self.stacks.interrupted.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _stack(self, name: str, parameters: dict[str, str]) -> Stack:
        """Returns the stack with all parameters: one without a value gets its default, not its previous value."""
        kind = COMMON if name == COMMON_STACK else TABLE
        known = template_parameters(self.build / f"{kind}.yaml").values()
        defaults = {parameter.name: parameter.default for parameter in known if parameter.default is not None}
        key = f"{artifacts.prefix(self.version)}/{kind}.yaml"
        return Stack(
            name=name,
            template_url=artifacts.url(self.account, self.settings.artifacts_bucket, key),
            parameters=defaults | parameters,
            tags={**self.settings.tags, TAG: kind},
            repair=self.repair,
        )


def unchanged(plan: Plan) -> Outcome:
    return Outcome(stack=plan.stack.name, result="unchanged")


def outcome_of(stack: str, step: Callable[[], Any]) -> Any:
    """Returns the result of the step, or a failed outcome, so that other stacks continue."""
    try:
        return step()
    except (CannotDeploy, StackFailed) as error:
        reason = str(error)
    except (BotoCoreError, ClientError) as error:
        reason = in_words(error)
    return Outcome(stack=stack, result="failed", reason=reason)
