"""Deploys the common stack, then the table stacks of tables.yaml. Shows the changes, and asks before it makes them."""

import argparse
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from infra.deploy import CannotDeploy, artifacts, blocks, guide, settings, tables_file
from infra.deploy.account import Account, sign_in
from infra.deploy.deployment import Declined, Deployment
from infra.deploy.parameters import parameters
from infra.deploy.screen import Screen
from infra.deploy.settings import Settings
from infra.deploy.stacks import Interrupted, StackFailed, Stacks, given
from infra.deploy.tables_file import COMMON_STACK, TableStack
from table_exports_cli.interruption import interrupt_on_termination
from table_exports_cli.problems import in_words


def main() -> int:
    options = read_options()
    interrupt_on_termination()
    screen = Screen(Console(), options.yes, options.delete_data_of)
    try:
        return deploy(options, screen)
    except CannotDeploy as error:
        screen.show(str(error), "red")
    except StackFailed as error:
        screen.show(f"The stack failed and was rolled back. The reasons, in order:\n{error}", "red")
    except (BotoCoreError, ClientError) as error:
        screen.show(f"{in_words(error)}\nTo continue, run the command again", "red")
    except Declined:
        screen.show("You declined. Nothing else was deployed")
    except (KeyboardInterrupt, EOFError, Interrupted):
        screen.show(
            "\nInterrupted. CloudFormation completes what it has started. The rest was discarded. To continue, run the "
            "command again",
            "red",
        )
        return 130
    return 1


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description=__doc__)
    parser.add_argument("--plan", action="store_true", help="show the changes and change no stack")
    parser.add_argument(
        "--yes", action="store_true", help="confirm all changes without asking, except those that delete data"
    )
    parser.add_argument(
        "--delete-data-of",
        type=names,
        default=[],
        metavar="STACK",
        help="confirm that changes of these stacks (comma-separated) delete resources with data",
    )
    parser.add_argument(
        "--repair", action="store_true", help="also restore what was changed or deleted outside CloudFormation"
    )
    parser.add_argument(
        "--only", type=names, help="deploy only these tables (comma-separated), and not the common stack"
    )
    parser.add_argument(
        "--tables", type=Path, default=Path("tables.yaml"), help="which tables to export (default: %(default)s)"
    )
    parser.add_argument(
        "--settings",
        type=Path,
        default=Path("table-exports.toml"),
        help="account, Region, parameters (default: %(default)s)",
    )
    parser.add_argument(
        "--build", type=Path, default=Path("build"), help="the output of make package (default: %(default)s)"
    )
    parser.add_argument("--profile", help="the profile of the AWS configuration")
    parser.add_argument("--region", help="the AWS Region, on the first run. The settings file keeps it")
    return parser.parse_args()


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def deploy(options: argparse.Namespace, screen: Screen) -> int:
    version = artifacts.version(options.build)
    common_parameters = parameters(options.build / "common.yaml")
    kept = settings.read(options.settings, common_parameters) if options.settings.exists() else None
    table_stacks = read_tables(options)  # report its problems before anything else happens
    account = sign_in(options.profile, options.region or (kept.region if kept else None))
    stacks = Stacks(account.client("cloudformation"), account.who, screen.show)
    if kept is None:
        deployed = stacks.describe(COMMON_STACK)
        kept = guide.settings(account, screen, common_parameters, given(deployed) if deployed else {})
        settings.write(options.settings, kept)
        if not options.tables.exists():
            guide.tables_file(options.tables, account, screen)
            table_stacks = read_tables(options)
    selected = selection(table_stacks, options.only, options.tables)
    check_account_and_region(account, kept, options.settings)
    screen.show(f"Deploying version {version} to account {account.id}, Region {account.region}, as {account.who}")
    deployment = Deployment(account, screen, stacks, kept, options.build, options.plan, options.repair)
    try:
        return carry_out(deployment, options, table_stacks, selected)
    finally:
        if kept_plans := stacks.discard_open():  # all that was not executed: declined, refused or interrupted
            screen.show(f"Change sets of this run remain at {', '.join(kept_plans)}. A later deployment deletes them")


def carry_out(
    deployment: Deployment, options: argparse.Namespace, table_stacks: list[TableStack], selected: list[TableStack]
) -> int:
    account, screen, kept = deployment.account, deployment.screen, deployment.settings
    deployment.check(selected, options.tables)
    guide.artifacts_bucket(kept, account, screen)
    if artifacts.upload(account, kept.artifacts_bucket, options.build):
        screen.show(f"Uploaded to s3://{kept.artifacts_bucket}/{artifacts.prefix(deployment.version)}/")
    blocks.store(account, kept.artifacts_bucket, {block for each in selected for block in each.blocks.items()})

    if options.only:
        deployment.require_common_stack_of_this_version()
    elif not deployment.deploy_common_stack():
        screen.show("The table stacks can be planned when the common stack exists")
        return 0
    as_built = bool(options.only) or deployment.functions_run_the_build()
    outcomes = deployment.deploy_table_stacks(selected)
    if outcomes:
        screen.summary(outcomes)
    if options.tables.exists():
        if not options.plan:
            deployment.stacks.discard_leftovers({table_stack.stack for table_stack in table_stacks})
        deployment.report_unlisted_stacks(table_stacks, options.tables)
    else:
        screen.show(f"{options.tables} does not exist, so no table stack was deployed")
    return int(not as_built or any(outcome.failed for outcome in outcomes))


def read_tables(options: argparse.Namespace) -> list[TableStack]:
    if not options.tables.exists():
        return []
    return tables_file.read(options.tables, parameters(options.build / "table.yaml"))


def selection(table_stacks: list[TableStack], only: list[str] | None, file: Path) -> list[TableStack]:
    if only is None:
        return table_stacks
    for name in only:
        if not any(table_stack.is_named(name) for table_stack in table_stacks):
            known = ", ".join(dict.fromkeys(table_stack.table for table_stack in table_stacks)) or "no table"
            raise CannotDeploy(f"--only {name}: not in {file}, which has {known}")
    return [table_stack for table_stack in table_stacks if any(table_stack.is_named(name) for name in only)]


def check_account_and_region(account: Account, kept: Settings, file: Path) -> None:
    if account.id != kept.account:
        raise CannotDeploy(
            f"account: the credentials belong to {account.id}, but {file} is for {kept.account}. "
            "Use another profile (--profile) or another settings file (--settings)"
        )
    if account.region != kept.region:
        raise CannotDeploy(
            f"--region {account.region}: {file} is for {kept.region}. Use another settings file (--settings)"
        )


if __name__ == "__main__":
    sys.exit(main())
