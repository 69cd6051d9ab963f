"""Claims about the deployment of both stacks."""

import shutil
import time
from pathlib import Path

from acceptance import plan
from acceptance.claims import Evidence, by_hand, check, expect
from acceptance.cleanup import Cleanup
from acceptance.plan import PlannedPipeline
from acceptance.world import World
from infra.deploy import artifacts
from infra.deploy.stacks import given
from infra.deploy.tables_file import COMMON_STACK
from table_exports_cli import doctor
from table_exports_cli.deployed import Deployed

SUBJECT = "Deployment"
EMULATOR = "the emulator's CloudFormation"
LATER_VERSION = "-next"
QUEUE_NAME_SECONDS = 65  # SQS refuses the name of a deleted queue for one minute
LONG_EXPRESSION = (
    f"cron(0 2 {','.join(str(1 + day % 28) for day in range(120))} * ? *)"  # Scheduler allows 256 characters
)


@check(
    "deploy",
    SUBJECT,
    "The stacks deploy, and a second deployment finds no changes",
    "deploys all stacks as `make deploy` does, then deploys them again",
    in_sandbox=f"{EMULATOR}, cfn-lint and checkov",
)
def deploys(world: World) -> Evidence:
    stacks = {name: stack["StackStatus"] for name, stack in world.stacks.ours().items()}
    ours = [pipeline.stack for pipeline in plan.PIPELINES] + [COMMON_STACK]
    expect(
        all(stacks.get(name, "").endswith("_COMPLETE") for name in ours),
        f"stacks: { ({name: stacks.get(name) for name in ours}) }",
    )
    results = world.deploy_tables()
    expect(set(results.values()) == {"unchanged"}, f"a second deployment changed {results}")
    if world.own_system:
        world.deployment(only_plan=True).deploy_common_stack()
        [planned] = world.screen.taken()
        expect(planned.change_set is None, f"a second deployment would change the common stack: {planned.changes}")
    return Evidence(f"{len(ours)} stacks are deployed, and nothing changes again", {"stacks": len(ours)})


@check(
    "doctor",
    SUBJECT,
    "`table-exports doctor` finds no problem in a correct deployment",
    "runs its checks directly after the deployment",
    in_sandbox="the emulator's answers to the same calls. Each check is tested with its problem caused and corrected",
)
def is_healthy(world: World) -> Evidence:
    deployed = Deployed(world.system)
    problems = [
        f"{problem.subject} {problem.description}"
        for look in doctor.CHECKS
        if look is not doctor.quiet  # alarms have claims of their own
        for problem in look(deployed)
    ]
    expect(not problems, "; ".join(problems))
    return Evidence(f"{len(doctor.CHECKS) - 1} checks found no problem", {"checks": len(doctor.CHECKS) - 1})


@check(
    "change-set",
    SUBJECT,
    "A change set shows what would be replaced",
    "plans another `CatalogName` for a stack, which needs another Glue job and crawler, and discards the plan",
    in_sandbox="the emulator's change sets",
)
def shows_replacements(world: World) -> Evidence:
    [changed] = world.table_stacks([world.planned("films")], {"films": {"CatalogName": f"{plan.CATALOG_PREFIX}other"}})
    [outcome] = world.deployment(only_plan=True).deploy_table_stacks([changed])
    expect(not outcome.failed, f"the change was refused: {outcome.reason}")
    [planned] = world.screen.taken()
    replaced = {change.name: change.replacement for change in planned.changes}
    expect(
        replaced.get("Job") in ("True", "Conditional") and replaced.get("Crawler") in ("True", "Conditional"),
        f"the plan does not say that job and crawler would be replaced: {replaced}",
    )
    named = ", ".join(f"{name}: {value}" for name, value in sorted(replaced.items()))
    return Evidence(f"replacement of {named}", {"changes": len(replaced)})


@check(
    "early-validation",
    SUBJECT,
    "CloudFormation's early validation says why it refuses a change set, and `make deploy` shows it",
    "plans a schedule expression of more than the 256 characters that Scheduler allows",
    not_in_sandbox="the emulator validates no properties early",
)
def validates_early(world: World) -> Evidence:
    [changed] = world.table_stacks([world.planned("films")], {"films": {"ScheduleExpression": LONG_EXPRESSION}})
    [outcome] = world.deployment(only_plan=True).deploy_table_stacks([changed])
    expect(outcome.failed, "the change set was accepted")
    expect("Schedule" in outcome.reason, f"the refusal does not name the schedule: {outcome.reason}")
    return Evidence(outcome.reason)


@check(
    "many-stacks",
    SUBJECT,
    "Dozens of stacks deploy five at a time without a failure by throttling",
    f"deploys {plan.MANY_STACKS} table stacks at once, of tables that do not exist",
    not_in_sandbox="the emulator throttles no call",
    rehearsed=True,
    stage=5,
)
def deploys_many(world: World) -> Evidence:
    count = plan.MANY_STACKS_IN_SANDBOX if world.sandbox else plan.MANY_STACKS
    many = [
        PlannedPipeline(f"none-{number:02d}", f"{plan.PREFIX}-none-{number:02d}", "parquet") for number in range(count)
    ]
    results = world.deploy_tables(many)
    expect(set(results.values()) == {"created"}, f"results: {results}")
    return Evidence(f"{count} stacks were created", {"stacks": count})


@check(
    "upgrade",
    SUBJECT,
    "An upgrade of the common stack works with existing table stacks",
    "deploys another version, then exports a table. By default this is the same build in another folder. "
    "`--upgrade-from BUILD` starts with an earlier version",
    in_sandbox=f"{EMULATOR}, and a test that no export of the common stack changes between versions",
    disturbs=True,
    stage=6,
)
def upgrades(world: World) -> Evidence:
    before = artifacts.version(world.build)
    build = world.next_build or next_version(world)
    artifacts.upload(world.account, world.artifacts_bucket, build)
    world.deployment(build).deploy_common_stack()
    world.screen.taken()
    results = world.deploy_tables(build=build)
    expect(set(results.values()) == {"updated"}, f"table stacks: {results}")
    after = world.export("films")
    job = world.client("glue").get_job(JobName=after.glue_job_name)["Job"]
    version = artifacts.version(build)
    expect(f"/{version}/" in job["Command"]["ScriptLocation"], f"the job has {job['Command']['ScriptLocation']}")
    world.build = build
    return Evidence(f"from {before} to {version}; export {after.export_id} succeeded")


def next_version(world: World) -> Path:
    """Returns the same build under another version."""
    build = world.folder / "next-build"
    shutil.copytree(world.build, build)
    (build / artifacts.VERSION_FILE).write_text(artifacts.version(world.build).strip() + LATER_VERSION)
    return build


@check(
    "adopt-retained",
    SUBJECT,
    "CloudFormation imports the resources that a deleted common stack retained, the Glue database included",
    "deletes all stacks and deploys the common stack again",
    not_in_sandbox="the emulator imports none of these types. Tests have prepared answers",
    disturbs=True,
    stage=9,
)
def adopts(world: World) -> Evidence:
    Cleanup(world.account, lambda line: None).delete_table_stacks()
    table = world.client("dynamodb").describe_table(TableName=COMMON_STACK)["Table"]["TableId"]
    world.stacks.delete(COMMON_STACK)
    time.sleep(QUEUE_NAME_SECONDS)
    world.deployment().deploy_common_stack()
    after = world.client("dynamodb").describe_table(TableName=COMMON_STACK)["Table"]["TableId"]
    expect(after == table, f"the state table is another one: {table} became {after}")
    stack = world.stacks.describe(COMMON_STACK)
    return Evidence(f"the stack is {stack['StackStatus'] if stack else 'gone'} with parameters {given(stack or {})}")


by_hand(
    "same-bytes",
    SUBJECT,
    "The same sources give the same bytes on an ARM Mac",
    "`make package && cat build/version.txt` on both machines. The report has the version and the machine",
    "It needs two machines. Two builds on Linux with different settings are compared by tests",
)
