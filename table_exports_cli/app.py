"""The commands of `table-exports`."""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Group
from rich.live import Live

from table_exports.domain.errors import InvalidRecord, PermanentError
from table_exports.domain.export import Export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.reports.formatting import count
from table_exports.domain.stages import Stage
from table_exports_cli import (
    cancelling,
    entity_proposals,
    proposed_entities,
    proposed_yaml,
    proposing,
    repairing,
    replays,
    sampling,
)
from table_exports_cli import output as printed
from table_exports_cli.doctor import examine
from table_exports_cli.interruption import interrupt_on_termination
from table_exports_cli.problems import AWS_ERROR, NEEDS_ATTENTION, OK, USAGE, CommandError, in_words
from table_exports_cli.system import System, the_time

POLL_SECONDS = 1.0
APPEARS_WITHIN_SECONDS = 240  # the record of a requested export: Lambda tries three times within three minutes

app = typer.Typer(
    no_args_is_help=True,
    help="Shows and controls exports of DynamoDB tables to Athena, in the account and Region of your AWS settings.",
    pretty_exceptions_show_locals=False,
)


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


@app.callback()
def settings(
    profile: Annotated[str | None, typer.Option(help="The profile of your AWS settings.")] = None,
    region: Annotated[str | None, typer.Option(help="The Region in which table-exports is deployed.")] = None,
) -> None:
    """Options before the command: which system it is about."""


def the_system(ctx: typer.Context) -> System:
    given = ctx.find_root().params
    return System(given.get("profile"), given.get("region"))


def pipeline_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names for the shell's completion, which must neither fail nor print."""
    try:
        names = the_system(ctx).pipeline_names()
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


InFormat = Annotated[Output, typer.Option("--output", "-o", help="json prints one JSON document to standard output.")]
PipelineName = Annotated[
    str, typer.Argument(help="A pipeline, for example reviews-parquet.", autocompletion=pipeline_names)
]
ExportName = Annotated[
    str, typer.Argument(help="The id of an export, or a pipeline for its latest export.", autocompletion=pipeline_names)
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the export has ended. Exit code 1 if it failed.")]


# --------------------------------------------------------------------------------------------------- commands that show


@app.command()
def status(ctx: typer.Context, output: InFormat = Output.TEXT) -> None:
    """Show all pipelines, those that need attention first. Exit code 1 if there are any."""
    system = the_system(ctx)
    found = system.overview(the_time())
    if any(row.pipeline.published_snapshot for row in found.rows):
        try:
            found = found.with_views(system.cataloged())
        except ClientError as error:
            printed.err.print(printed.plain(f"Views were not checked: {in_words(error)}", "dim"), soft_wrap=True)
    show(output, partial(printed.status_as_data, found), partial(printed.status, found))
    raise typer.Exit(NEEDS_ATTENTION if found.needing_attention else OK)


@app.command("list")
def list_exports(
    ctx: typer.Context,
    pipeline: Annotated[
        str | None, typer.Argument(help="A pipeline, for example reviews-parquet.", autocompletion=pipeline_names)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest exports.")] = 20,
    output: InFormat = Output.TEXT,
) -> None:
    """List the exports of a pipeline, the newest first. Without a pipeline, list all pipelines."""
    system, now = the_system(ctx), the_time()
    if pipeline is None:
        names = system.pipeline_names()
        return show(output, lambda: names, lambda: Group(*map(printed.plain, names)))
    found = system.records.exports(system.pipeline(pipeline).pipeline, limit)
    show(
        output,
        lambda: [
            printed.invalid_as_data(each) if isinstance(each, InvalidRecord) else printed.export_as_data(each, now)
            for each in found
        ],
        lambda: (
            printed.exports(found, now) if found else printed.plain("No exports yet, or their records have expired")
        ),
    )


@app.command("show")
def show_export(ctx: typer.Context, export: ExportName, output: InFormat = Output.TEXT) -> None:
    """Show the timeline of an export: each wait, how long it took, and how the export ended."""
    system = the_system(ctx)
    show_timeline(system, system.export(export), output)


@app.command()
def watch(
    ctx: typer.Context,
    pipeline: Annotated[str | None, typer.Argument(help="Only this pipeline.", autocompletion=pipeline_names)] = None,
    until_done: Annotated[bool, typer.Option("--until-done", help="End when no export is in flight.")] = False,
) -> None:
    """Show all pipelines, or the latest export of one, and keep the display up to date. Ends with ctrl-C."""
    system = the_system(ctx)

    def now_seen() -> tuple[Any, bool]:
        now = the_time()
        if pipeline is None:
            found = system.overview(now)
            return printed.status(found), found.in_flight > 0
        export = system.export(pipeline)
        return printed.timeline(system.timeline(export, now), now, system.region), not export.ended

    on_screen = Live(console=printed.out, auto_refresh=False) if printed.out.is_terminal else nullcontext()
    with on_screen as live:
        while True:
            seen, going_on = now_seen()
            if live:
                live.update(seen, refresh=True)
            else:
                printed.out.print(seen)
            if until_done and not going_on:
                return
            time.sleep(POLL_SECONDS)


@app.command()
def doctor(ctx: typer.Context, output: InFormat = Output.TEXT) -> None:
    """Check what is deployed, permitted, enabled and subscribed. Exit code 1 for a problem, 4 if a check fails."""
    found = examine(the_system(ctx))
    show(output, partial(printed.findings_as_data, found), partial(printed.findings, found))
    states = {finding.state for finding in found}
    raise typer.Exit(NEEDS_ATTENTION if "problem" in states else AWS_ERROR if "unknown" in states else OK)


@app.command()
def columns(
    ctx: typer.Context,
    pipeline: PipelineName,
    entity: Annotated[str | None, typer.Option(help="Of a pipeline with entities: the one to look at.")] = None,
    no_query: Annotated[
        bool, typer.Option("--no-query", help="Use the manifest only. Finds neither times nor decimals.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation of the queries.")] = False,
    output: InFormat = Output.TEXT,
) -> None:
    """Propose rules for the block Columns of tables.yaml, from the latest snapshot. Deploys nothing."""
    system = the_system(ctx)
    planned = proposing.plan(system, pipeline, entity)
    queries = [] if no_query else planned.queries
    if queries:
        for line in planned.description():
            printed.err.print(printed.plain(line), soft_wrap=True)
        if output == Output.TEXT and not yes and not typer.confirm("Continue?", err=True):
            raise typer.Exit(NEEDS_ATTENTION)
    found = proposing.propose(system, planned, queries)
    known = {"pipeline": pipeline, "snapshot_timestamp": planned.export.snapshot_timestamp}
    if output == Output.JSON:
        printed.print_json(known | proposed_yaml.as_data(found))
    elif found:
        printed.print_lines(proposed_yaml.block(found))
    else:
        printed.err.print(printed.plain("No rules to propose"))


@app.command()
def entities(
    ctx: typer.Context,
    table: Annotated[str, typer.Argument(help="A DynamoDB table, also one without a pipeline.")],
    sample: Annotated[int, typer.Option(min=100, max=100_000, help="The most items to read.")] = 5000,
    read_units: Annotated[
        int, typer.Option(min=50, max=1_000_000, help="The most read capacity units to consume.")
    ] = 2500,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation of the scan.")] = False,
    output: InFormat = Output.TEXT,
) -> None:
    """Propose the block Entities of tables.yaml for a single-table design, from a sample of it. Deploys nothing."""
    system = the_system(ctx)
    planned = sampling.plan(system, table, sample, read_units)
    for line in planned.description():
        printed.err.print(printed.plain(line), soft_wrap=True)
    if output == Output.TEXT and not yes and not typer.confirm("Continue?", err=True):
        raise typer.Exit(NEEDS_ATTENTION)
    read, units = sampling.read(system, planned)
    found = entity_proposals.propose(read)
    known = {"table": table, "items_sampled": len(read.items), "read_capacity_units": units}
    if output == Output.JSON:
        return printed.print_json(known | proposed_entities.as_data(found))
    consumed = f"Read {count(len(read.items))} items with {units:g} read capacity units"
    printed.err.print(printed.plain(consumed), soft_wrap=True)
    if found:
        printed.print_lines(proposed_entities.block(found))
    else:
        printed.err.print(printed.plain("The items seem to be of one type: nothing to propose"))


# ------------------------------------------------------------------------------------------------- commands that change


@app.command()
def run(
    ctx: typer.Context,
    pipeline: PipelineName,
    read_percentage: Annotated[
        float | None,
        typer.Option(min=0.1, max=1.0, help="The share of the table's read capacity, if less than deployed."),
    ] = None,
    wait: Wait = False,
    output: InFormat = Output.TEXT,
) -> None:
    """Start a new export of a table."""
    system = the_system(ctx)
    found = system.pipeline(pipeline)
    if running := system.running(found):
        raise CommandError(
            f"Export {running.export_id} of {pipeline} is already running, and a pipeline has one export at a "
            f"time. To follow it: table-exports watch {pipeline}"
        )
    percentage = None if read_percentage is None else Decimal(str(read_percentage))
    if percentage is not None and (reason := found.why_not_read_at(percentage)):
        raise CommandError(f"--read-percentage {reason}")
    export_id = system.request_export(found, percentage)
    printed.err.print(printed.plain(f"Requested export {export_id} ({pipeline})"))
    if wait:
        return follow(system, lambda: the_new_export(system, found, export_id), output)
    show(output, lambda: {"pipeline": pipeline, "export_id": export_id}, lambda: printed.plain(export_id))


@app.command()
def resume(ctx: typer.Context, export: ExportName, wait: Wait = False, output: InFormat = Output.TEXT) -> None:
    """Resume a failed export from the stage that failed."""
    system = the_system(ctx)
    found = system.export(export)
    known = system.timeline(found, the_time())
    if not known.may_resume:
        why = known.why_not_resume or f"it is {found.stage}, and only a failed export can be resumed"
        raise CommandError(f"Export {found.export_id} cannot be resumed: {why}")
    system.request_resume(found)
    printed.err.print(printed.plain(f"Resume requested for export {found.export_id} ({found.pipeline})"))
    if wait:
        return follow(system, lambda: the_resumed_export(system, found), output)
    show(
        output,
        lambda: {"pipeline": found.pipeline, "export_id": found.export_id},
        lambda: printed.plain(found.export_id),
    )


@app.command()
def cancel(ctx: typer.Context, export: ExportName, output: InFormat = Output.TEXT) -> None:
    """Stop what an export waits for, and end it. It can be resumed like any failed export."""
    system = the_system(ctx)
    try:
        found: Export | InvalidRecord = system.export(export)
    except InvalidRecord as record:
        if record.export_id is None:
            raise
        found = record
    ended = cancelling.cancel(system, found)
    for note in ended.notes:
        printed.err.print(printed.plain(note), soft_wrap=True)
    known = {"pipeline": ended.export.pipeline, "export_id": ended.export.export_id, "stage": ended.export.stage}
    show(
        output,
        lambda: known | {"reason": ended.export.reason, "notes": list(ended.notes)},
        lambda: printed.plain(f"Export {ended.export.export_id} is {ended.export.stage}: {ended.export.reason}"),
    )


@app.command()
def repair(ctx: typer.Context, pipeline: PipelineName, output: InFormat = Output.TEXT) -> None:
    """Rebuild the snapshot table, its partitions and the view from the published snapshots in S3."""
    repaired = repairing.repair(the_system(ctx), pipeline)
    for note in repaired.notes:
        printed.err.print(printed.plain(note), soft_wrap=True)
    show(
        output,
        lambda: {"pipeline": pipeline} | asdict(repaired),
        lambda: printed.plain(f"The view of {pipeline} shows snapshot {repaired.snapshot_timestamp}"),
    )


@app.command()
def replay(
    ctx: typer.Context,
    begin: Annotated[
        datetime,
        typer.Option(
            "--from", formats=replays.TIMES, help="The start of the window in UTC, for example 2026-11-23T02:00Z."
        ),
    ],
    end: Annotated[datetime, typer.Option("--to", formats=replays.TIMES, help="The end of the window in UTC.")],
    pipeline: Annotated[str | None, typer.Option(help="Only this pipeline.", autocompletion=pipeline_names)] = None,
    aws_events: Annotated[
        bool,
        typer.Option(
            "--aws-events", help="Replay AWS's events about job runs, crawls and queries instead of requests."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what the command would do.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    output: InFormat = Output.TEXT,
) -> None:
    """Replay the archived events of a time window. Each request starts a new export of its table as it is now."""
    system = the_system(ctx)
    if aws_events and pipeline:
        raise CommandError("--aws-events replays the events of all pipelines: omit --pipeline", USAGE)
    planned = replays.plan(system, begin, end, system.pipeline(pipeline) if pipeline else None, aws_events, the_time())
    if output == Output.TEXT or not (dry_run or yes):
        for line in planned.description():
            printed.err.print(printed.plain(line))
    if dry_run:
        return show(output, planned.as_data, lambda: printed.plain(""))
    if not yes and not typer.confirm("Continue?", err=True):
        raise typer.Exit(NEEDS_ATTENTION)
    name = replays.carry_out(system, planned)
    show(output, lambda: planned.as_data() | {"replay": name}, lambda: printed.plain(f"Replay {name} is complete"))


# ---------------------------------------------------------------------------------------------------------------- parts


def show(output: Output, as_data: Callable[[], Any], for_people: Callable[[], Any]) -> None:
    if output == Output.JSON:
        printed.print_json(as_data())
    else:
        printed.out.print(for_people())


def show_timeline(system: System, export: Export, output: Output) -> None:
    now = the_time()
    found = system.timeline(export, now)
    show(output, lambda: printed.timeline_as_data(found, now), lambda: printed.timeline(found, now, system.region))


def follow(system: System, look: Callable[[], Export | None], output: Output) -> None:
    """Wait until the export that `look` finds has ended, and report each stage."""
    began, export, reported = time.monotonic(), look(), None
    while export is None or not export.ended:
        if export is None and time.monotonic() - began > APPEARS_WITHIN_SECONDS:
            raise CommandError(
                "The request has had no effect yet. If it was refused or skipped, the query "
                "table-exports/failures and refusals in Logs Insights shows why. Otherwise run table-exports doctor"
            )
        if export and export.stage != reported:
            reported = export.stage
            printed.err.print(
                printed.plain(f"{export.stage} since {printed.local(export.stage_since or export.began_at)}", "dim")
            )
        time.sleep(POLL_SECONDS)
        export = look()
    show_timeline(system, export, output)
    raise typer.Exit(OK if export.stage == Stage.SUCCEEDED else NEEDS_ATTENTION)


def the_new_export(system: System, pipeline: Pipeline, export_id: str) -> Export | None:
    newest = system.records.exports(pipeline.pipeline, 5)
    return next((each for each in newest if isinstance(each, Export) and each.export_id == export_id), None)


def the_resumed_export(system: System, before: Export) -> Export | None:
    """Return the export once it is resumed. None before."""
    export = system.records.export(before.pipeline, before.record_key)
    return export if export and export.attempt > before.attempt else None


def main() -> None:
    interrupt_on_termination()
    try:
        app()
    except CommandError as problem:
        fail(str(problem), problem.code)
    except PermanentError as error:
        fail(str(error), AWS_ERROR)
    except InvalidRecord as record:
        fail(f"{record}. Remedy: {record.remedy}", NEEDS_ATTENTION)
    except (BotoCoreError, ClientError) as error:
        fail(in_words(error), AWS_ERROR)


def fail(message: str, code: int) -> NoReturn:
    printed.err.print(printed.plain(message, "red"), soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
