"""What is printed: tables for people, JSON for scripts. Names and reasons are someone else's: shown as plain text."""

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from table_exports.domain import console as aws_console
from table_exports.domain.export import Export, Stage
from table_exports.domain.health import FAILING
from table_exports.domain.overview import Overview, Row
from table_exports.domain.story import Story
from table_exports.domain.wording import age, count, duration, size
from table_exports_cli.doctor import Finding, Trouble

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")  # and what turns the direction

WIDE = 160  # columns, where there is no terminal to ask

out = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE)
err = Console(stderr=True, highlight=False)


def plain(text: object, style: str = "") -> Text:
    """Of someone else's: no escapes, no markup, one line."""
    return Text(CONTROLS.sub(" ", str(text)), style=style)


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False, default=str))


def local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def utc(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


# ------------------------------------------------------------------------------------------------------- all pipelines


def status(found: Overview) -> Group:
    table = _table("Pipeline", "Stands at", "Latest snapshot", "Last export", "")
    for row in found.rows:
        flags = plain(" ".join(row.troubles), "bold red" if FAILING in row.troubles else "bold yellow")
        table.add_row(plain(row.name, "bold"), _stands(row), _latest(row), _last(row), flags)
    odd = [plain(f"Cannot be read, for a newer version wrote it: {name}", "red") for name in found.unreadable]
    return Group(table, *odd, plain(_totals(found), "bold red" if found.in_trouble else "green"))


def _totals(found: Overview) -> str:
    pipelines = f"{count(len(found.rows))} pipeline{'' if len(found.rows) == 1 else 's'}, {found.in_flight} in flight, "
    if found.in_trouble:
        return f"{pipelines}{found.in_trouble} need{'s' if found.in_trouble == 1 else ''} a person"
    return f"{pipelines}all is well" if found.rows else "No pipelines yet: deploy a table stack for each table"


def _stands(row: Row) -> Text:
    if row.in_flight is None or row.seconds is None:
        return plain("", "dim")
    usual = f" of usually {duration(row.usual_seconds)}" if row.usual_seconds else ""
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
    return plain(f"failed: {end.reason}", "red")


def status_as_data(found: Overview) -> dict[str, Any]:
    return {
        "pipelines": [_row_as_data(row) for row in found.rows],
        "in_flight": found.in_flight,
        "in_trouble": found.in_trouble,
        "unreadable": list(found.unreadable),
    }


def _row_as_data(row: Row) -> dict[str, Any]:
    export, end = row.in_flight, row.last_end
    return {
        "pipeline": row.name,
        "table_name": row.pipeline.table_name,
        "output_format": row.pipeline.output_format,
        "view": row.pipeline.catalog_name,
        "scheduled": row.pipeline.scheduled,
        "schedule_expression": row.pipeline.schedule_expression,
        "troubles": list(row.troubles),
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


def exports(found: Sequence[Export], now: datetime) -> Table:
    table = _table("Export", "Requested", "Stage", "Took", "Rows", "Reason")
    for export in found:
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
    }


def story(told: Story, now: datetime, region: str) -> Group:
    export = told.export
    head = Text.assemble(plain(export.pipeline, "bold"), "  ", plain(export.stage, f"bold {_style(export)}"))
    head.append(f"  {'after' if export.ended else 'for'} {duration(told.seconds)}")
    parts: list[Any] = [head]
    if export.reason:
        parts.append(Padding(plain(export.reason, "red"), (1, 0)))
    if export.held_up_by:
        parts.append(Text.assemble("AWS said: ", plain(export.held_up_by, "yellow")))
    if export.warning:
        parts.append(plain(export.warning, "yellow"))
    table = _table("Stage", "Attempt", "From", "Took", "Waited for")
    for chapter in told.chapters:
        took = duration(chapter.seconds) + ("" if chapter.until else " so far")
        table.add_row(
            plain(chapter.stage),
            plain(chapter.attempt),
            plain(local(chapter.since)),
            plain(took),
            plain(chapter.waiting_on),
        )
    parts.append(table)
    for name, value in _about(export):
        parts.append(Text.assemble((f"{name:<10}", "dim"), plain(value)))
    for chapter in told.chapters[-1:]:
        for text, address in aws_console.of_chapter(chapter, export, region):
            parts.append(Text.assemble((f"{text:<10}", "dim"), plain(address), no_wrap=True, overflow="ignore"))
    if next_step := _next(told):
        parts.append(plain(next_step, "bold"))
    return Group(*parts)


def _about(export: Export) -> list[tuple[str, str]]:
    known = [
        ("export", export.export_id),
        ("snapshot", export.snapshot_timestamp),
        ("rows", count(export.items) if export.items is not None else None),
        ("size", size(export.bytes) if export.bytes is not None else None),
        ("read", export.read_plan),
    ]
    return [(name, value) for name, value in known if value]


def _next(told: Story) -> str:
    if told.may_resume:
        return f"Next: table-exports resume {told.export.export_id}"
    if told.why_not_resume:
        return f"It cannot be resumed: {told.why_not_resume}"
    return ""


def story_as_data(told: Story, now: datetime) -> dict[str, Any]:
    chapters = [
        {
            "stage": chapter.stage,
            "attempt": int(chapter.attempt),
            "since": utc(chapter.since),
            "until": utc(chapter.until),
            "seconds": chapter.seconds,
            "waiting_on": chapter.waiting_on,
        }
        for chapter in told.chapters
    ]
    more = {"may_resume": told.may_resume, "why_not_resume": told.why_not_resume, "held_up_by": told.export.held_up_by}
    return export_as_data(told.export, now) | {"read_plan": told.export.read_plan, "steps": chapters} | more


# ------------------------------------------------------------------------------------------------------- what is found


def findings(found: Sequence[Finding]) -> Group:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for finding in found:
        table.add_row(plain(finding.state, LOOKS[finding.state]), plain(finding.check, "bold"), _said(finding))
    troubles = sum(len(finding.troubles) for finding in found)
    unknown = sum(finding.state == "unknown" for finding in found)
    if troubles:
        end = plain(f"{troubles} {'thing is' if troubles == 1 else 'things are'} not as it should be", LOOKS["trouble"])
    elif unknown:
        end = plain(f"No trouble was found, and {unknown} checks could not be made", LOOKS["unknown"])
    else:
        end = plain("All is as it should be", LOOKS["fine"])
    return Group(table, end)


LOOKS = {"fine": "green", "trouble": "bold red", "unknown": "yellow"}


def _said(finding: Finding) -> Text | Group:
    if finding.unknown:
        return plain(f"could not be examined: {finding.unknown}")
    if not finding.troubles:
        return plain(finding.fine, "dim")
    return Group(*(Text.assemble(*_told(trouble)) for trouble in finding.troubles))


def _told(trouble: Trouble) -> tuple[Text, ...]:
    return plain(trouble.of, "bold"), plain(f": {trouble.what}"), Text("\n"), plain(f"Remedy: {trouble.remedy}", "dim")


def findings_as_data(found: Sequence[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "check": finding.check,
            "state": finding.state,
            "troubles": [asdict(trouble) for trouble in finding.troubles],
            "unknown": finding.unknown,
        }
        for finding in found
    ]


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")  # what is cut off cannot be copied
    return table
