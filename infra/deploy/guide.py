"""The first run: asks for the values that have no default or that are worth a choice."""

from pathlib import Path

from infra.deploy import CannotDeploy, artifacts
from infra.deploy.account import Account
from infra.deploy.parameters import Parameter
from infra.deploy.screen import Screen
from infra.deploy.settings import SET_BY_DEPLOYMENT, Settings

ASKED = ("AlarmEmail", "DatabaseName", "HistoryDays", "ArchiveDays", "LogDays")
TABLES_HEADER = """\
# Which tables are exported, and how. docs/deploy.md lists the parameters of an entry. Schedules are off until you
# enable them, here or for a table.
defaults:
  ScheduleState: DISABLED
tables:
"""


def settings(account: Account, screen: Screen, parameters: dict[str, Parameter], deployed: dict[str, str]) -> Settings:
    """Returns the settings that the user chooses. `deployed` has the parameters of an existing common stack."""
    screen.show(f"Account {account.id}, Region {account.region}, as {account.who}")
    screen.show("Your answers are saved in table-exports.toml. Press Enter to accept the value in brackets.")
    proposed = deployed.get("ArtifactsBucket", artifacts.default_bucket(account))
    bucket = screen.ask("Bucket for build artifacts", proposed, lambda name: None if name else "Enter a name")
    chosen = {name: value for name, value in deployed.items() if name in parameters and name not in SET_BY_DEPLOYMENT}
    for name in [name for name, value in chosen.items() if parameters[name].problem(value)]:
        screen.show(f"{name}: {parameters[name].problem(chosen.pop(name))}. It becomes {parameters[name].default}")
    for name in ASKED:
        if name in parameters:
            chosen[name] = ask_for(parameters[name], chosen.get(name), screen)
    kept = {name: value for name, value in chosen.items() if value != parameters[name].default}
    return Settings(account=account.id, region=account.region, artifacts_bucket=bucket, parameters=kept)


def ask_for(parameter: Parameter, current: str | None, screen: Screen) -> str:
    default = current if current is not None else parameter.default or ""
    return screen.ask(f"{parameter.description} ({parameter.name})", default, parameter.problem)


def tables_file(path: Path, account: Account, screen: Screen) -> None:
    """Writes the first tables.yaml, if the user names tables."""
    pages = account.client("dynamodb").get_paginator("list_tables").paginate()
    there = [name for page in pages for name in page["TableNames"] if name != "table-exports"]
    if not there:
        return
    listed = ", ".join(there[:50]) + (f" and {len(there) - 50} more" if len(there) > 50 else "")
    screen.show(f"DynamoDB tables: {listed}")

    def problem(answer: str) -> str | None:
        unlisted = [name for name in names(answer) if name not in there]
        return f"Table {unlisted[0]} does not exist" if unlisted else None

    answer = screen.ask("Tables to export, separated by commas. Enter none to choose later", "none", problem)
    if chosen := names(answer):
        path.write_text(TABLES_HEADER + "".join(f"  {name}:\n" for name in chosen))
        screen.show(f"Saved in {path}. The schedules are off until you enable them there")


def names(answer: str) -> list[str]:
    return [] if answer == "none" else [name.strip() for name in answer.split(",") if name.strip()]


def artifacts_bucket(settings: Settings, account: Account, screen: Screen) -> None:
    """Creates the bucket if it does not exist and the user confirms. Raises CannotDeploy."""
    bucket = settings.artifacts_bucket
    if artifacts.exists(account, bucket):
        if artifacts.is_ours(account, bucket):  # an earlier version created it without versioning
            artifacts.enable_versioning(account, bucket)
        return
    if not screen.confirm(f"The bucket {bucket} does not exist. Create it (private, encrypted, versioned, TLS only)?"):
        raise CannotDeploy("artifacts_bucket: the deployment needs a bucket. Set an existing one in the settings")
    artifacts.create(account, bucket)
