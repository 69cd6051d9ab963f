"""The commands. Each asks the system, and prints what it said."""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Group
from rich.live import Live

from table_exports.domain.export import Export, Stage
from table_exports.domain.pipeline import Pipeline
from table_exports_cli import replays, shown
from table_exports_cli.doctor import examine
from table_exports_cli.problems import AWS_SAID_NO, NEEDS_A_PERSON, OK, USAGE, Problem, in_words
from table_exports_cli.system import System, the_time

POLL_SECONDS = 1.0
APPEARS_WITHIN_SECONDS = 240  # the record of an export that was asked for: Lambda tries three times in as many minutes

app = typer.Typer(
    no_args_is_help=True,
    help="DynamoDB tables in Athena: how the exports stand, and what to do about them. "
    "In the account and Region of your AWS settings.",
    pretty_exceptions_show_locals=False,
)


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


@app.callback()
def settings(
    profile: Annotated[str | None, typer.Option(help="Of your AWS settings.")] = None,
    region: Annotated[str | None, typer.Option(help="Where table-exports is deployed.")] = None,
) -> None:
    """Before the command: whose system it is about."""


def the_system(ctx: typer.Context) -> System:
    given = ctx.find_root().params
    return System(given.get("profile"), given.get("region"))


def pipeline_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """For the shell's completion, which must neither fail nor speak."""
    try:
        names = [pipeline.pipeline for pipeline in the_system(ctx).pipelines()]
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


InFormat = Annotated[Output, typer.Option("--output", "-o", help="JSON for scripts: it alone is on standard output.")]
PipelineName = Annotated[str, typer.Argument(help="As reviews-parquet.", autocompletion=pipeline_names)]
ExportName = Annotated[
    str, typer.Argument(help="An export's id; or a pipeline, for its latest export.", autocompletion=pipeline_names)
]
Wait = Annotated[bool, typer.Option("--wait", help="Until it has ended. Exit code 1 if it failed.")]


# --------------------------------------------------------------------------------------------------------------- to see


@app.command()
def status(ctx: typer.Context, output: InFormat = Output.TEXT) -> None:
    """All pipelines, those that need a person first. Exit code 1 if there are any."""
    found = the_system(ctx).overview(the_time())
    show(output, partial(shown.status_as_data, found), partial(shown.status, found))
    raise typer.Exit(NEEDS_A_PERSON if found.in_trouble else OK)


@app.command("list")
def list_exports(
    ctx: typer.Context,
    pipeline: Annotated[str | None, typer.Argument(help="As reviews-parquet.", autocompletion=pipeline_names)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many exports, the newest.")] = 20,
    output: InFormat = Output.TEXT,
) -> None:
    """A pipeline's exports, the newest first; or all pipelines' names."""
    system, now = the_system(ctx), the_time()
    if pipeline is None:
        names = [found.pipeline for found in system.pipelines()]
        return show(output, lambda: names, lambda: Group(*map(shown.plain, names)))
    found = system.records.exports(system.pipeline(pipeline).pipeline, limit)
    show(
        output,
        lambda: [shown.export_as_data(export, now) for export in found],
        lambda: shown.exports(found, now) if found else shown.plain("No exports yet, or their records have expired"),
    )


@app.command("show")
def show_export(ctx: typer.Context, export: ExportName, output: InFormat = Output.TEXT) -> None:
    """An export's story: each wait, how long it was, and what came of it."""
    system = the_system(ctx)
    show_story(system, system.export(export), output)


@app.command()
def watch(
    ctx: typer.Context,
    pipeline: Annotated[str | None, typer.Argument(help="One alone.", autocompletion=pipeline_names)] = None,
    until_done: Annotated[bool, typer.Option("--until-done", help="End when nothing is in flight.")] = False,
) -> None:
    """All pipelines, or the latest export of one, again and again. Ends with ctrl-C."""
    system = the_system(ctx)

    def now_seen() -> tuple[Any, bool]:
        now = the_time()
        if pipeline is None:
            found = system.overview(now)
            return shown.status(found), found.in_flight > 0
        export = system.export(pipeline)
        return shown.story(system.story(export, now), now, system.region), not export.ended

    on_screen = Live(console=shown.out, auto_refresh=False) if shown.out.is_terminal else nullcontext()
    with on_screen as live:
        while True:
            seen, going_on = now_seen()
            if live:
                live.update(seen, refresh=True)
            else:
                shown.out.print(seen)
            if until_done and not going_on:
                return
            time.sleep(POLL_SECONDS)


@app.command()
def doctor(ctx: typer.Context, output: InFormat = Output.TEXT) -> None:
    """Is everything deployed, permitted, enabled, subscribed? Exit code 1 if not, 4 if AWS does not say."""
    found = examine(the_system(ctx))
    show(output, partial(shown.findings_as_data, found), partial(shown.findings, found))
    states = {finding.state for finding in found}
    raise typer.Exit(NEEDS_A_PERSON if "trouble" in states else AWS_SAID_NO if "unknown" in states else OK)


# ---------------------------------------------------------------------------------------------------------------- to do


@app.command()
def run(
    ctx: typer.Context,
    pipeline: PipelineName,
    read_percentage: Annotated[
        float | None, typer.Option(min=0.1, max=1.0, help="Of the table's read capacity; as deployed if you say none.")
    ] = None,
    wait: Wait = False,
    output: InFormat = Output.TEXT,
) -> None:
    """Export a table now."""
    system = the_system(ctx)
    found = system.pipeline(pipeline)
    if found.export_in_flight:
        at = found.export_in_flight.rpartition("#")[2]
        raise Problem(
            f"{pipeline} is at export {at}: a pipeline has one export at a time. table-exports watch {pipeline}"
        )
    percentage = None if read_percentage is None else Decimal(str(read_percentage))
    export_id = system.ask_for(found, percentage)
    shown.err.print(shown.plain(f"Asked for export {export_id} of {pipeline}"))
    if wait:
        return follow(system, lambda: the_new_export(system, found, export_id), output)
    show(output, lambda: {"pipeline": pipeline, "export_id": export_id}, lambda: shown.plain(export_id))


@app.command()
def resume(ctx: typer.Context, export: ExportName, wait: Wait = False, output: InFormat = Output.TEXT) -> None:
    """Have a failed export go on from where it failed."""
    system = the_system(ctx)
    found = system.export(export)
    told = system.story(found, the_time())
    if not told.may_resume:
        why = told.why_not_resume or f"it is {found.stage}, and only what failed can go on"
        raise Problem(f"Export {found.export_id} cannot be resumed: {why}")
    system.ask_to_resume(found)
    shown.err.print(shown.plain(f"Asked export {found.export_id} of {found.pipeline} to go on"))
    if wait:
        return follow(system, lambda: the_resumed_export(system, found), output)
    show(
        output, lambda: {"pipeline": found.pipeline, "export_id": found.export_id}, lambda: shown.plain(found.export_id)
    )


@app.command()
def replay(
    ctx: typer.Context,
    begin: Annotated[datetime, typer.Option("--from", formats=replays.TIMES, help="UTC, as 2026-11-23T02:00Z.")],
    end: Annotated[datetime, typer.Option("--to", formats=replays.TIMES, help="UTC.")],
    pipeline: Annotated[str | None, typer.Option(help="Its requests alone.", autocompletion=pipeline_names)] = None,
    aws_events: Annotated[
        bool, typer.Option("--aws-events", help="What AWS said of job runs, crawls and queries, instead of requests.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: InFormat = Output.TEXT,
) -> None:
    """Tell the archived events of a time window again: each request is a new export of its table as it is now."""
    system = the_system(ctx)
    if aws_events and pipeline:
        raise Problem("--aws-events are told again for all pipelines: leave out --pipeline", USAGE)
    planned = replays.plan(system, begin, end, system.pipeline(pipeline) if pipeline else None, aws_events, the_time())
    if output == Output.TEXT or not (dry_run or yes):
        for line in planned.in_words():
            shown.err.print(shown.plain(line))
    if dry_run:
        return show(output, planned.as_data, lambda: shown.plain(""))
    if not yes and not typer.confirm("Go on?", err=True):
        raise typer.Exit(NEEDS_A_PERSON)
    name = replays.carry_out(system, planned)
    show(output, lambda: planned.as_data() | {"replay": name}, lambda: shown.plain(f"Replay {name} is complete"))


# ---------------------------------------------------------------------------------------------------------------- parts


def show(output: Output, as_data: Callable[[], Any], for_people: Callable[[], Any]) -> None:
    if output == Output.JSON:
        shown.print_json(as_data())
    else:
        shown.out.print(for_people())


def show_story(system: System, export: Export, output: Output) -> None:
    now = the_time()
    told = system.story(export, now)
    show(output, lambda: shown.story_as_data(told, now), lambda: shown.story(told, now, system.region))


def follow(system: System, look: Callable[[], Export | None], output: Output) -> None:
    """Until the export that `look` finds has ended."""
    began, export, told = time.monotonic(), look(), None
    while export is None or not export.ended:
        if export is None and time.monotonic() - began > APPEARS_WITHIN_SECONDS:
            raise Problem(
                "Nothing has come of the request yet. It was refused or skipped: then Logs Insights, "
                "table-exports/failures and refusals, says why. Or nobody takes any: then table-exports doctor does"
            )
        if export and export.stage != told:
            told = export.stage
            shown.err.print(
                shown.plain(f"{export.stage} since {shown.local(export.stage_since or export.began_at)}", "dim")
            )
        time.sleep(POLL_SECONDS)
        export = look()
    show_story(system, export, output)
    raise typer.Exit(OK if export.stage == Stage.SUCCEEDED else NEEDS_A_PERSON)


def the_new_export(system: System, pipeline: Pipeline, export_id: str) -> Export | None:
    newest = system.records.exports(pipeline.pipeline, 5)
    return next((export for export in newest if export.export_id == export_id), None)


def the_resumed_export(system: System, before: Export) -> Export | None:
    """None as long as it has not gone on."""
    export = system.records.export(before.pipeline, before.record_key)
    return export if export and export.attempt > before.attempt else None


def main() -> None:
    try:
        app()
    except Problem as problem:
        fail(str(problem), problem.code)
    except (BotoCoreError, ClientError) as error:
        fail(in_words(error), AWS_SAID_NO)


def fail(message: str, code: int) -> NoReturn:
    shown.err.print(shown.plain(message, "red"), soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
