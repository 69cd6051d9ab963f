"""The order of things: the common stack, then all table stacks, each by plans that a person agrees to."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy import CannotDeploy, adoption, artifacts
from infra.deploy.account import Account
from infra.deploy.parameters import parameters as template_parameters
from infra.deploy.screen import Screen
from infra.deploy.settings import Settings
from infra.deploy.stacks import NEVER_CREATED, TAG, Outcome, Plan, Stack, StackFailed, Stacks
from infra.deploy.tables_file import COMMON_STACK, Pipeline
from table_exports_cli.problems import in_words

AT_ONCE = 5  # stacks: more of them wait for one another's calls to IAM and Glue


class Declined(Exception):
    """By the person who was asked."""


@dataclass
class Deployment:
    account: Account
    screen: Screen
    stacks: Stacks
    settings: Settings
    build: Path
    only_plan: bool

    @property
    def version(self) -> str:
        return artifacts.version(self.build)

    def need_common_stack_of_this_version(self) -> None:
        stack = self.stacks.settled(COMMON_STACK)
        there = given(stack).get("ArtifactsPrefix") if stack else None
        if there != artifacts.prefix(self.version):
            has = f"has {there}" if there else "is not there"
            raise CannotDeploy(f"The common stack {has}, and build/ is version {self.version}: deploy without --only")

    def deploy_common_stack(self) -> bool:
        """Whether there is one, for the table stacks to build on. Raises CannotDeploy, Declined or StackFailed."""
        wanted = self._stack(
            COMMON_STACK,
            {
                **self.settings.parameters,
                "ArtifactsBucket": self.settings.artifacts_bucket,
                "ArtifactsPrefix": artifacts.prefix(self.version),
            },
        )
        self._clear_the_way(COMMON_STACK)
        self._take_over_what_is_left(wanted)
        plan = self.stacks.plan(wanted, self.version)
        self.screen.changes([plan])
        if plan.change_set is None:
            return True
        if self.only_plan:
            self.stacks.discard(plan)
            return not plan.creates
        if not self.screen.agree("Deploy the common stack?"):
            self.stacks.discard(plan)
            raise Declined
        self.stacks.carry_out(plan, self.screen.event)
        return True

    def deploy_table_stacks(self, pipelines: list[Pipeline]) -> list[Outcome]:
        """What became of each, in order. Raises Declined."""
        planned = self._each(self._plan_or_outcome, pipelines)
        changing = [plan for plan in planned if isinstance(plan, Plan) and plan.change_set]
        self.screen.changes(changing)
        if self.only_plan or not changing:
            done = self._each(self._put_off, changing)
        elif self.screen.agree(f"Deploy {len(changing)} table stack{'s' if len(changing) > 1 else ''}?"):
            done = self._each(self._carry_out, changing)
        else:
            self._each(self._put_off, changing)
            raise Declined
        became = {outcome.stack: outcome for outcome in done}
        return [
            each if isinstance(each, Outcome) else became.get(each.stack.name) or unchanged(each) for each in planned
        ]

    def tell_of_strangers(self, pipelines: list[Pipeline], file: Path) -> None:
        known = {COMMON_STACK, *(pipeline.stack for pipeline in pipelines)}
        if strangers := sorted(self.stacks.ours().keys() - known):
            self.screen.say(
                f"No longer in {file}: {', '.join(strangers)}. To delete one, and keep its data:\n"
                f"aws cloudformation delete-stack --region {self.account.region} --stack-name {strangers[0]}"
            )

    def _clear_the_way(self, name: str) -> None:
        """What never came to be can only be deleted, and has nothing to keep."""
        stack = self.stacks.settled(name)
        if stack is None or stack["StackStatus"] not in NEVER_CREATED:
            return
        if self.only_plan:
            raise CannotDeploy(f"{name} is {stack['StackStatus']}: a deployment deletes it first, then creates it")
        if not self.screen.agree(f"The creation of {name} failed ({stack['StackStatus']}). Delete what it left?"):
            raise Declined
        self.stacks.delete(name)

    def _take_over_what_is_left(self, wanted: Stack) -> None:
        stack = self.stacks.describe(COMMON_STACK)
        if stack and stack["StackStatus"] != "REVIEW_IN_PROGRESS":
            return
        remains = adoption.Remains(self.account, self.build / "common.yaml", wanted.parameters)
        found = remains.found()
        if not found:
            return
        self.screen.say(f"An earlier common stack left {', '.join(f'{kind} {name}' for kind, name in found.items())}")
        if self.only_plan:
            raise CannotDeploy("A deployment takes it over first. Until then there is nothing to plan")
        if not self.screen.agree("Take it over into the new stack, with its data?"):
            self.screen.say("Its names are taken as long as it is there. docs/deploy.md says how to remove it")
            raise Declined
        resources = remains.to_import(found)
        self.stacks.take_over(COMMON_STACK, remains.template(found), wanted.parameters, resources)

    def _plan_or_outcome(self, pipeline: Pipeline) -> Plan | Outcome:
        def plan() -> Plan | Outcome:
            stack = self.stacks.settled(pipeline.stack)
            if stack and stack["StackStatus"] in NEVER_CREATED:
                if self.only_plan:
                    return Outcome(stack=pipeline.stack, became="to be created", reason="Its last creation failed")
                self.stacks.delete(pipeline.stack)
            return self.stacks.plan(self._stack(pipeline.stack, pipeline.parameters), self.version)

        return or_failure(pipeline.stack, plan)

    def _carry_out(self, plan: Plan) -> Outcome:
        def carry_out() -> Outcome:
            self.stacks.carry_out(plan)
            return Outcome(stack=plan.stack.name, became="created" if plan.creates else "updated")

        self.screen.say(f"{plan.stack.name}: {'creating' if plan.creates else 'updating'}")
        outcome = or_failure(plan.stack.name, carry_out)
        self.screen.say(f"{plan.stack.name}: {outcome.became}", "red" if outcome.failed else "")
        return outcome

    def _put_off(self, plan: Plan) -> Outcome:
        self.stacks.discard(plan)
        return Outcome(stack=plan.stack.name, became="to be created" if plan.creates else "to be updated")

    def _each(self, step: Callable[[Any], Any], things: Iterable[Any]) -> list[Any]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                return list(pool.map(step, things))
            except BaseException:
                self.stacks.interrupted.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _stack(self, name: str, parameters: dict[str, str]) -> Stack:
        """Says all parameters, so that one which is not given has its default, whatever the stack had before."""
        kind = "common" if name == COMMON_STACK else "table"
        known = template_parameters(self.build / f"{kind}.yaml").values()
        defaults = {parameter.name: parameter.default for parameter in known if parameter.default is not None}
        key = f"{artifacts.prefix(self.version)}/{kind}.yaml"
        return Stack(
            name=name,
            template_url=artifacts.url(self.account, self.settings.artifacts_bucket, key),
            parameters=defaults | parameters,
            tags={**self.settings.tags, TAG: kind},
        )


def unchanged(plan: Plan) -> Outcome:
    return Outcome(stack=plan.stack.name, became="unchanged")


def or_failure(stack: str, step: Callable[[], Any]) -> Any:
    """One stack's failure is not another's."""
    try:
        return step()
    except (CannotDeploy, StackFailed) as error:
        reason = str(error)
    except (BotoCoreError, ClientError) as error:
        reason = in_words(error)
    return Outcome(stack=stack, became="failed", reason=reason)


def given(stack: dict[str, Any]) -> dict[str, str]:
    """The parameters that a stack was given."""
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])}
