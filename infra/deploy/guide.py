"""The first run: asks what has no default or is worth a choice."""

from pathlib import Path

from infra.deploy import CannotDeploy, artifacts
from infra.deploy.account import Account
from infra.deploy.parameters import Parameter
from infra.deploy.screen import Screen
from infra.deploy.settings import OF_THE_DEPLOYMENT, Settings

ASKED = ("AlarmEmail", "DatabaseName", "HistoryDays", "ArchiveDays", "LogDays")
TABLES_HEADER = """\
# Which tables are exported, and how: docs/deploy.md says what an entry may have. Schedules are off until they are
# enabled, here or for a table.
defaults:
  ScheduleState: DISABLED
tables:
"""


def settings(account: Account, screen: Screen, parameters: dict[str, Parameter], deployed: dict[str, str]) -> Settings:
    """`deployed` are the parameters of a common stack that is there already."""
    screen.say(f"Account {account.id}, Region {account.region}, as {account.who}")
    screen.say("What you answer is kept in table-exports.toml. Enter takes what is in brackets.")
    proposed = deployed.get("ArtifactsBucket", f"table-exports-artifacts-{account.id}-{account.region}")
    bucket = screen.ask("Bucket for what is deployed", proposed, lambda name: None if name else "It needs a name")
    chosen = {name: value for name, value in deployed.items() if name in parameters and name not in OF_THE_DEPLOYMENT}
    for name in ASKED:
        if name in parameters:
            chosen[name] = ask_for(parameters[name], chosen.get(name), screen)
    kept = {name: value for name, value in chosen.items() if value != parameters[name].default}
    return Settings(account=account.id, region=account.region, artifacts_bucket=bucket, parameters=kept)


def ask_for(parameter: Parameter, current: str | None, screen: Screen) -> str:
    default = current if current is not None else parameter.default or ""
    return screen.ask(f"{parameter.description} ({parameter.name})", default, parameter.problem)


def tables_file(path: Path, account: Account, screen: Screen) -> None:
    """Writes a first tables.yaml, if the person names tables."""
    pages = account.client("dynamodb").get_paginator("list_tables").paginate()
    there = [name for page in pages for name in page["TableNames"] if name != "table-exports"]
    if not there:
        return
    shown = ", ".join(there[:50]) + (f", and {len(there) - 50} more" if len(there) > 50 else "")
    screen.say(f"DynamoDB tables here: {shown}")

    def problem(answer: str) -> str | None:
        strangers = [name for name in names(answer) if name not in there]
        return f"There is no table {strangers[0]}" if strangers else None

    answer = screen.ask("Which shall be exported? Names, with commas between; none for none yet", "none", problem)
    if chosen := names(answer):
        path.write_text(TABLES_HEADER + "".join(f"  {name}:\n" for name in chosen))
        screen.say(f"{path} has them now. Their schedules are off until you enable them there")


def names(answer: str) -> list[str]:
    return [] if answer == "none" else [name.strip() for name in answer.split(",") if name.strip()]


def artifacts_bucket(settings: Settings, account: Account, screen: Screen) -> None:
    """Sees to it that there is one. Raises CannotDeploy."""
    bucket = settings.artifacts_bucket
    if artifacts.exists(account, bucket):
        return
    if not screen.agree(f"There is no bucket {bucket} yet. Create it: private, encrypted, TLS only?"):
        raise CannotDeploy("What is deployed has to be in a bucket: name one as artifacts_bucket in the settings")
    artifacts.create(account, bucket)
