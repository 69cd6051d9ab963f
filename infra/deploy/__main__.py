"""Deploys the common stack, then the table stacks of tables.yaml: shows what would change, asks, and carries it out."""

import argparse
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from infra.deploy import CannotDeploy, artifacts, guide, settings, tables_file
from infra.deploy.account import Account, sign_in
from infra.deploy.deployment import Declined, Deployment, given
from infra.deploy.parameters import parameters
from infra.deploy.screen import Screen
from infra.deploy.settings import Settings
from infra.deploy.stacks import Interrupted, StackFailed, Stacks
from infra.deploy.tables_file import COMMON_STACK, Pipeline
from table_exports_cli.problems import in_words


def main() -> int:
    options = read_options()
    screen = Screen(Console(), options.yes)
    try:
        return deploy(options, screen)
    except CannotDeploy as error:
        screen.say(str(error), "red")
    except StackFailed as error:
        screen.say(f"The stack failed, and was rolled back. The reasons, in order:\n{error}", "red")
    except (BotoCoreError, ClientError) as error:
        screen.say(f"{in_words(error)}\nTo go on, run the same again", "red")
    except Declined:
        screen.say("Nothing more was deployed")
    except (KeyboardInterrupt, EOFError, Interrupted):
        screen.say(
            "\nInterrupted. What CloudFormation has begun, it ends by itself. To go on, run the same again", "red"
        )
        return 130
    return 1


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description=__doc__)
    parser.add_argument("--plan", action="store_true", help="show what would change, and change no stack")
    parser.add_argument("--yes", action="store_true", help="ask nothing: agree to all changes")
    parser.add_argument("--only", type=names, help="tables, with commas: no other, and not the common stack")
    parser.add_argument("--tables", type=Path, default=Path("tables.yaml"), help="(default: %(default)s)")
    parser.add_argument("--settings", type=Path, default=Path("table-exports.toml"), help="(default: %(default)s)")
    parser.add_argument(
        "--build", type=Path, default=Path("build"), help="what make package made (default: %(default)s)"
    )
    parser.add_argument("--profile", help="of the AWS configuration")
    parser.add_argument("--region", help="of the first run; the settings keep it")
    return parser.parse_args()


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def deploy(options: argparse.Namespace, screen: Screen) -> int:
    version = artifacts.version(options.build)
    of_common = parameters(options.build / "common.yaml")
    kept = settings.read(options.settings, of_common) if options.settings.exists() else None
    pipelines = read_tables(options)  # what is wrong with it is said before anything is done
    account = sign_in(options.profile, options.region or (kept.region if kept else None))
    stacks = Stacks(account.client("cloudformation"))
    if kept is None:
        deployed = stacks.describe(COMMON_STACK)
        kept = guide.settings(account, screen, of_common, given(deployed) if deployed else {})
        settings.write(options.settings, kept)
        if not options.tables.exists():
            guide.tables_file(options.tables, account, screen)
            pipelines = read_tables(options)
    selected = selection(pipelines, options.only)
    check_place(account, kept, options.settings)
    screen.say(f"Version {version}, to account {account.id}, Region {account.region}, as {account.who}")
    guide.artifacts_bucket(kept, account, screen)
    if artifacts.upload(account, kept.artifacts_bucket, options.build):
        screen.say(f"Uploaded to s3://{kept.artifacts_bucket}/{artifacts.prefix(version)}/")

    deployment = Deployment(account, screen, stacks, kept, options.build, options.plan)
    if options.only:
        deployment.need_common_stack_of_this_version()
    elif not deployment.deploy_common_stack():
        screen.say("The table stacks can be planned when it is there")
        return 0
    outcomes = deployment.deploy_table_stacks(selected)
    if outcomes:
        screen.summary(outcomes)
    if options.tables.exists():
        deployment.tell_of_strangers(pipelines, options.tables)
    else:
        screen.say(f"There is no {options.tables}: no table stack was looked at")
    return int(any(outcome.failed for outcome in outcomes))


def read_tables(options: argparse.Namespace) -> list[Pipeline]:
    if not options.tables.exists():
        return []
    return tables_file.read(options.tables, parameters(options.build / "table.yaml"))


def selection(pipelines: list[Pipeline], only: list[str] | None) -> list[Pipeline]:
    if only is None:
        return pipelines
    for name in only:
        if not any(pipeline.answers_to(name) for pipeline in pipelines):
            known = ", ".join(dict.fromkeys(pipeline.table for pipeline in pipelines)) or "no table"
            raise CannotDeploy(f"--only {name}: not in the tables file, which has {known}")
    return [pipeline for pipeline in pipelines if any(pipeline.answers_to(name) for name in only)]


def check_place(account: Account, kept: Settings, file: Path) -> None:
    if account.id != kept.account:
        raise CannotDeploy(
            f"These credentials are of account {account.id}, and {file} is of {kept.account}: "
            "sign in there (--profile), or give this account a file of its own (--settings)"
        )
    if account.region != kept.region:
        raise CannotDeploy(f"--region {account.region}: {file} is of {kept.region}. Give the Region a file of its own")


if __name__ == "__main__":
    sys.exit(main())
