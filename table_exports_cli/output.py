"""What the commands print: tables for people, JSON for scripts. Text of unknown origin is printed without control
characters and markup.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from table_exports.domain.errors import InvalidRecord
from table_exports.domain.export import Export
from table_exports.domain.foreign import as_json, in_lines, in_one_line
from table_exports.domain.reports import console_links
from table_exports.domain.reports.formatting import age, count, duration, size
from table_exports.domain.reports.health import FAILING, UNQUERYABLE
from table_exports.domain.reports.overview import Overview, Row
from table_exports.domain.reports.timeline import Timeline
from table_exports.domain.stages import Stage
from table_exports_cli.findings import Finding, Problem

WIDE = 160  # columns, if there is no terminal
VIEWS_NAMED = 3

out = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE)
err = Console(stderr=True, highlight=False)


def plain(text: object, style: str = "") -> Text:
    """Return text in one line, without escapes and markup."""
    return Text(in_one_line(text), style=style)


def print_json(content: Any) -> None:
    print(as_json(content))


def print_lines(text: str) -> None:
    """Print text as it is, apart from control characters: wider than the terminal, too."""
    print(in_lines(text))


def local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def utc(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


# ------------------------------------------------------------------------------------------------------- all pipelines


def status(found: Overview) -> Group:
    table = _table("Pipeline", "Stage", "Latest snapshot", "Last export", "")
    for row in found.rows:
        flags = plain(" ".join(row.problems), "bold red" if {UNQUERYABLE, FAILING} & {*row.problems} else "bold yellow")
        table.add_row(plain(row.name, "bold"), _stage(row), _latest(row), _last(row), flags)
    return Group(
        table,
        *(
            plain(f"{row.name} cannot be queried, because its {_lost(row)}", "red")
            for row in found.rows
            if row.lost_views
        ),
        *(
            plain(f"{row.name} failed: {row.last_end.reason}", "red")
            for row in found.rows
            if row.last_end and row.last_end.reason
        ),
        *map(invalid_record, found.invalid),
        plain(_totals(found), "bold red" if found.needing_attention else "green"),
    )


def _lost(row: Row) -> str:
    """Return which views are lost, and what names the remedy."""
    views, more = row.lost_views, len(row.lost_views) - VIEWS_NAMED
    names = ", ".join(views[:VIEWS_NAMED]) + (f" and {more} more" if more > 0 else "")
    state = f"view {names} is" if len(views) == 1 else f"views {names} are"
    return f"{state} missing, old or not its own. For the remedy, run table-exports doctor"


def invalid_record(record: InvalidRecord) -> Text:
    return Text.assemble(plain(record, "red"), "\n", plain(f"Remedy: {record.remedy}", "dim"))


def invalid_as_data(record: InvalidRecord) -> dict[str, Any]:
    return {
        "pipeline": record.pipeline,
        "export_id": record.export_id,
        "attribute": record.attribute,
        "problem": str(record),
        "remedy": record.remedy,
    }


def _totals(found: Overview) -> str:
    pipelines = f"{count(len(found.rows))} pipeline{'' if len(found.rows) == 1 else 's'}, {found.in_flight} in flight, "
    if found.needing_attention:
        return f"{pipelines}{found.needing_attention} need{'s' if found.needing_attention == 1 else ''} attention"
    return f"{pipelines}no problems" if found.rows else "No pipelines yet: deploy a table stack for each table"


def _stage(row: Row) -> Text:
    if row.in_flight is None or row.seconds is None:
        return plain("", "dim")
    usual = f" (usually {duration(row.usual_seconds)})" if row.usual_seconds else ""
    return plain(f"{row.in_flight.stage}, {duration(row.seconds)}{usual}", "cyan")


def _latest(row: Row) -> Text:
    if row.snapshot_age is None:
        return plain("none", "dim")
    return plain(age(row.snapshot_age) + (f", {count(row.items)} rows" if row.items is not None else ""))


def _last(row: Row) -> Text:
    end = row.last_end
    if end is None:
        return plain("", "dim")
    if end.stage == Stage.SUCCEEDED:
        return plain(f"succeeded in {duration(end.seconds)}", "green")
    return plain(f"failed after {duration(end.seconds)}", "red")


def status_as_data(found: Overview) -> dict[str, Any]:
    return {
        "pipelines": [_row_as_data(row) for row in found.rows],
        "in_flight": found.in_flight,
        "needing_attention": found.needing_attention,
        "unreadable": sorted({record.pipeline for record in found.invalid}),
        "invalid_records": [invalid_as_data(record) for record in found.invalid],
    }


def _row_as_data(row: Row) -> dict[str, Any]:
    export, end = row.in_flight, row.last_end
    return {
        "pipeline": row.name,
        "table_name": row.pipeline.table_name,
        "output_format": row.pipeline.output_format,
        "view": row.pipeline.catalog_name,
        "entities": list(row.pipeline.entities),
        "lost_views": list(row.lost_views),
        "scheduled": row.pipeline.scheduled,
        "schedule_expression": row.pipeline.schedule_expression,
        "schedule_time_zone": row.pipeline.schedule_time_zone or None,
        "problems": list(row.problems),
        "in_flight": None
        if export is None
        else {"export_id": export.export_id, "stage": export.stage, "seconds": row.seconds},
        "usual_seconds": row.usual_seconds,
        "latest_snapshot": row.pipeline.published_snapshot,
        "snapshot_age_seconds": None if row.snapshot_age is None else round(row.snapshot_age.total_seconds()),
        "items": None if row.items is None else int(row.items),
        "last_export": None
        if end is None
        else {
            "export_id": end.export_id,
            "stage": end.stage,
            "ended_at": utc(end.ended_at),
            "seconds": end.seconds,
            "reason": end.reason,
        },
    }


# ------------------------------------------------------------------------------------------------------------- exports


def exports(found: Sequence[Export | InvalidRecord], now: datetime) -> Table:
    table = _table("Export", "Requested", "Stage", "Took", "Rows", "Reason")
    for export in found:
        if isinstance(export, InvalidRecord):
            why = f"{export.attribute} {export.problem}. Remedy: {export.remedy}"
            table.add_row(plain(export.export_id, "bold"), "", plain("invalid record", "red"), "", "", plain(why))
            continue
        rows = count(export.items) if export.items is not None else ""
        table.add_row(
            plain(export.export_id, "bold"),
            plain(local(export.requested_at)),
            plain(export.stage, _style(export)),
            plain(duration(export.seconds(now))),
            plain(rows),
            plain(export.reason or ""),
        )
    return table


def _style(export: Export) -> str:
    return {Stage.SUCCEEDED: "green", Stage.FAILED: "red"}.get(export.stage, "cyan")


def export_as_data(export: Export, now: datetime) -> dict[str, Any]:
    return {
        "export_id": export.export_id,
        "pipeline": export.pipeline,
        "table_name": export.table_name,
        "snapshot_timestamp": export.snapshot_timestamp,
        "stage": export.stage,
        "requested_at": utc(export.requested_at),
        "ended_at": utc(export.ended_at),
        "seconds": export.seconds(now),
        "items": export.items,
        "bytes": export.bytes,
        "failed_stage": export.failed_stage,
        "reason": export.reason,
        "warning": export.warning,
        "not_converted": {each.attribute: each.values for each in export.not_converted},
        "entities": [{"name": each.name, "items": each.items} for each in export.entities],
    }


def timeline(found: Timeline, now: datetime, region: str) -> Group:
    export = found.export
    head = Text.assemble(plain(export.pipeline, "bold"), "  ", plain(export.stage, f"bold {_style(export)}"))
    head.append(f"  {'after' if export.ended else 'for'} {duration(found.seconds)}")
    parts: list[Any] = [head]
    if export.reason:
        parts.append(Padding(plain(export.reason, "red"), (1, 0)))
    if export.blocked_reason:
        parts.append(Text.assemble("Waiting: ", plain(export.blocked_reason, "yellow")))
    if export.warning:
        parts.append(plain(export.warning, "yellow"))
    for each in export.not_converted:
        parts.append(plain(f"{each.attribute}: {each.values} values do not fit the type in Columns", "yellow"))
    table = _table("Stage", "Attempt", "From", "Took", "Waited for")
    for wait in found.waits:
        took = duration(wait.seconds) + ("" if wait.until else " so far")
        table.add_row(
            plain(wait.stage),
            plain(wait.attempt),
            plain(local(wait.since)),
            plain(took),
            plain(wait.waiting_on),
        )
    parts.append(table)
    for name, value in _about(export):
        parts.append(Text.assemble((f"{name:<10}", "dim"), plain(value)))
    if export.entities:
        parts.append(_entities(export))
    for wait in found.waits[-1:]:
        for text, address in console_links.of_wait(wait, export, region):
            parts.append(Text.assemble((f"{text:<10}", "dim"), plain(address), no_wrap=True, overflow="ignore"))
    if next_step := _next(found):
        parts.append(plain(next_step, "bold"))
    return Group(*parts)


def _entities(export: Export) -> Table:
    table = _table("Entity", "Rows")
    for each in export.entities:
        table.add_row(plain(each.name), plain(count(each.items)))
    return table


def _about(export: Export) -> list[tuple[str, str]]:
    known = [
        ("export", export.export_id),
        ("snapshot", export.snapshot_timestamp),
        ("rows", count(export.items) if export.items is not None else None),
        ("size", size(export.bytes) if export.bytes is not None else None),
        ("read", export.read_plan),
    ]
    return [(name, value) for name, value in known if value]


def _next(found: Timeline) -> str:
    if found.may_resume:
        return f"Next: table-exports resume {found.export.export_id}"
    if found.why_not_resume:
        return f"It cannot be resumed: {found.why_not_resume}"
    return ""


def timeline_as_data(found: Timeline, now: datetime) -> dict[str, Any]:
    waits = [
        {
            "stage": wait.stage,
            "attempt": int(wait.attempt),
            "since": utc(wait.since),
            "until": utc(wait.until),
            "seconds": wait.seconds,
            "waiting_on": wait.waiting_on,
        }
        for wait in found.waits
    ]
    more = {
        "may_resume": found.may_resume,
        "why_not_resume": found.why_not_resume,
        "blocked_reason": found.export.blocked_reason,
    }
    return export_as_data(found.export, now) | {"read_plan": found.export.read_plan, "waits": waits} | more


# ----------------------------------------------------------------------------------------------------- the doctor


def findings(found: Sequence[Finding]) -> Group:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for finding in found:
        table.add_row(plain(finding.state, STYLES[finding.state]), plain(finding.check, "bold"), _result(finding))
    problems = sum(len(finding.problems) for finding in found)
    unknown = sum(finding.state == "unknown" for finding in found)
    if problems:
        end = plain(f"{problems} problem{'' if problems == 1 else 's'} found", STYLES["problem"])
    elif unknown:
        end = plain(
            f"No problems found, but {unknown} check{'' if unknown == 1 else 's'} could not be made", STYLES["unknown"]
        )
    else:
        end = plain("No problems found", STYLES["ok"])
    return Group(table, end)


STYLES = {"ok": "green", "problem": "bold red", "unknown": "yellow"}


def _result(finding: Finding) -> Text | Group:
    if finding.unknown:
        return plain(f"could not be checked: {finding.unknown}")
    if not finding.problems:
        return plain(finding.ok, "dim")
    return Group(*(Text.assemble(*_described(problem)) for problem in finding.problems))


def _described(problem: Problem) -> tuple[Text, ...]:
    remedy = plain(f"Remedy: {problem.remedy}", "dim")
    return plain(problem.subject, "bold"), plain(f": {problem.description}"), Text("\n"), remedy


def findings_as_data(found: Sequence[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "check": finding.check,
            "state": finding.state,
            "problems": [asdict(problem) for problem in finding.problems],
            "unknown": finding.unknown,
        }
        for finding in found
    ]


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")  # text that is cut off cannot be copied
    return table
