"""The pages: all pipelines, one pipeline, the timeline of an export, and the answer to a button."""

from collections.abc import Sequence
from datetime import datetime

from pipeline_widget.charts import progress, sparkline, track
from pipeline_widget.links import Actions, outside
from pipeline_widget.look import Look, rules
from pipeline_widget.markup import Html, el, foreign, join, style
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.export import Export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.reports import console_links
from table_exports.domain.reports.formatting import age, count, duration, size
from table_exports.domain.reports.health import FAILING, SLOW, STALE
from table_exports.domain.reports.overview import Overview, Row
from table_exports.domain.reports.timeline import Timeline, Wait
from table_exports.domain.stages import STAGES, Stage

ROWS_PER_PAGE = 50  # of about 2 KB
LONGEST_FILTER = 120  # characters
FLAG_CLASSES = {FAILING: "te-bad", STALE: "te-warn", SLOW: "te-warn"}


def page(body: Html, look: Look) -> Html:
    return join(style(rules(look)), el("div", body, class_="te"))


# ------------------------------------------------------------------------------------------------------- all pipelines


def overview_page(found: Overview, wanted: str, number: int, actions: Actions, look: Look) -> Html:
    """Return a page of the pipelines whose own or table's name contains `wanted`. `number` counts pages from 0."""
    if not found.rows and not found.invalid:
        return page(join(el("div", "No pipelines yet", class_="te-big"), el("p", NO_PIPELINES)), look)
    lowered = wanted.lower()
    rows = [row for row in found.rows if lowered in row.name.lower() or lowered in row.pipeline.table_name.lower()]
    last = max(0, (len(rows) - 1) // ROWS_PER_PAGE)
    number = min(number, last)
    shown = rows[number * ROWS_PER_PAGE : (number + 1) * ROWS_PER_PAGE]
    filters = len(found.rows) > ROWS_PER_PAGE or wanted
    body = join(
        totals(found),
        *map(invalid_record, found.invalid),
        filter_form(wanted, actions) if filters else None,
        table(HEADINGS, [overview_row(row, actions, look) for row in shown]) if shown else el("p", "No such pipeline."),
        turn_pages(wanted, number, last, len(rows), actions) if last else None,
    )
    return page(body, look)


NO_PIPELINES = "Deploy a table stack for each table: add the table to tables.yaml, then run make deploy."
HEADINGS = ("Pipeline", "Stage", "Time", "Latest snapshot", "Last exports", "Last failure")


def totals(found: Overview) -> Html:
    def total(number: int, what: str, class_: str | None = None) -> Html:
        return el("span", el("span", count(number), class_=f"te-big {class_ if class_ and number else ''}"), f" {what}")

    return el(
        "div",
        total(len(found.rows), "pipeline" if len(found.rows) == 1 else "pipelines"),
        total(found.in_flight, "in flight"),
        total(found.with_problem(FAILING), "failing", "te-bad"),
        total(found.with_problem(STALE), "stale", "te-warn"),
        total(found.with_problem(SLOW), "slow", "te-warn"),
        el("span", "no problems", class_="te-good") if not found.needing_attention else None,
        class_="te-top",
    )


def invalid_record(record: InvalidRecord) -> Html:
    return el("div", foreign(f"{record}. Remedy: {record.remedy}"), class_="te-card te-bad")


def filter_form(wanted: str, actions: Actions) -> Html:
    field = el("input", name="wanted", value=wanted, placeholder="part of a name", class_="te-field")
    everything = actions.link("all", view="overview", wanted="") if wanted else None
    return el("form", field, actions.button("Find", view="overview"), everything, class_="te-row")


def turn_pages(wanted: str, number: int, last: int, rows: int, actions: Actions) -> Html:
    first = number * ROWS_PER_PAGE + 1
    where = f"{count(first)} to {count(min(rows, first + ROWS_PER_PAGE - 1))} of {count(rows)}"
    before = actions.button("Back", view="overview", wanted=wanted, page=number - 1) if number else None
    after = actions.button("Next", view="overview", wanted=wanted, page=number + 1) if number < last else None
    return el("div", before, after, el("span", where, class_="te-faint te-num"), class_="te-row")


def overview_row(row: Row, actions: Actions, look: Look) -> tuple[Html | None, ...]:
    pipeline = row.pipeline
    flags = join(*(el("span", problem, class_=f"te-flag {FLAG_CLASSES[problem]}") for problem in row.problems))
    name = el("div", actions.link(foreign(row.name), view="pipeline", pipeline=row.name), class_="te-name")
    about = el("div", foreign(pipeline.table_name), f", {schedule(pipeline)}", class_="te-faint te-name")
    export = row.in_flight
    stands = join(track(row, look), el("div", STAGES[export.stage].label, class_="te-faint") if export else None)
    return (
        join(name, about, el("div", flags) if row.problems else None),
        stands,
        progress(row, look) if export else el("span", usually(row), class_="te-faint te-num"),
        latest(row),
        sparkline(pipeline.recent, look),
        last_failure(row, actions),
    )


def schedule(pipeline: Pipeline) -> str:
    if pipeline.scheduled:
        zone = pipeline.schedule_time_zone
        return f"{pipeline.schedule_expression} {zone}" if zone else pipeline.schedule_expression
    return "on request" if pipeline.recent or pipeline.published_snapshot else "schedule disabled"


def usually(row: Row) -> str:
    return f"usually {duration(row.usual_seconds)}" if row.usual_seconds is not None else ""


def latest(row: Row) -> Html:
    if row.snapshot_age is None:
        return el("span", "never exported", class_="te-faint")
    rows = el("div", f"{count(row.items)} rows", class_="te-faint") if row.items is not None else None
    return el("div", age(row.snapshot_age), rows, class_="te-num")


def last_failure(row: Row, actions: Actions) -> Html | None:
    """Return the reason of the last failure, unless an export has succeeded since. The timeline has all of it."""
    end = row.last_end
    if end is None or end.stage != Stage.FAILED:
        return None
    reason = foreign(end.reason or "no reason was recorded")
    why = el("div", reason, class_="te-why", title=reason)
    return join(why, actions.link("timeline", view="timeline", export_id=end.export_id))


# -------------------------------------------------------------------------------------------------------- one pipeline


def pipeline_page(row: Row, exports: Sequence[Export], now: datetime, actions: Actions, look: Look) -> Html:
    pipeline = row.pipeline
    run = actions.button("Run now", f"Export {pipeline.table_name} now?", view="run", pipeline=row.name)
    flags = [el("span", problem, class_=f"te-flag {FLAG_CLASSES[problem]}") for problem in row.problems]
    body = join(
        el("div", actions.link("All pipelines", view="overview"), class_="te-row"),
        el("div", el("span", foreign(row.name), class_="te-big"), *flags, class_="te-top"),
        pairs(
            ("table", foreign(pipeline.table_name)),
            ("schedule", schedule(pipeline)),
            ("view", foreign(pipeline.catalog_name) if not pipeline.entities else None),
            ("snapshots in", foreign(pipeline.output_prefix)),
            ("latest snapshot", latest(row)),
            ("kept", "all snapshots" if not pipeline.keep_snapshots else f"{pipeline.keep_snapshots} snapshots"),
        ),
        el("div", el("span", "In flight", class_="te-faint") if row.in_flight else run, class_="te-row"),
        table(EXPORT_HEADINGS, [export_row(export, now, actions) for export in exports])
        if exports
        else el("p", "No exports yet, or their records have expired."),
        entities_of(exports),
    )
    return page(body, look)


def entities_of(exports: Sequence[Export]) -> Html | None:
    """Return the entities of the newest export that succeeded, each with its view and number of rows."""
    latest = next((export for export in exports if export.stage == Stage.SUCCEEDED), None)
    if latest is None or not latest.entities:
        return None
    rows = [(foreign(each.name), el("span", count(each.items), class_="te-num")) for each in latest.entities]
    return table(("Entity", "Rows"), rows)


EXPORT_HEADINGS = ("Snapshot", "Outcome", "Took", "Rows", "Size", "")


def export_row(export: Export, now: datetime, actions: Actions) -> tuple[Html, ...]:
    written = export.stage == Stage.SUCCEEDED
    return (
        actions.link(foreign(export.snapshot_timestamp), view="timeline", export_id=export.export_id),
        outcome(export),
        el("span", duration(export.seconds(now)), class_="te-num"),
        el("span", count(export.items) if written and export.items is not None else "", class_="te-num"),
        el("span", size(export.bytes) if written and export.bytes is not None else "", class_="te-num"),
        el("div", foreign(export.reason), class_="te-why") if export.reason else Html(),
    )


def outcome(export: Export) -> Html:
    match export.stage:
        case Stage.SUCCEEDED:
            return el("span", "succeeded", class_="te-good")
        case Stage.FAILED:
            at = f" while {STAGES[export.failed_stage].label}" if export.failed_stage else ""
            return el("span", f"failed{at}", class_="te-bad")
    return el("span", f"{STAGES[export.stage].label} now")


# ------------------------------------------------------------------------------------------------- an export's timeline


def timeline_page(found: Timeline, region: str, actions: Actions, look: Look) -> Html:
    export = found.export
    links = [outside(text, address) for text, address in console_links.of_export(export, region)]
    body = join(
        el(
            "div",
            actions.link("All pipelines", view="overview"),
            actions.link(foreign(export.pipeline), view="pipeline", pipeline=export.pipeline),
            class_="te-row",
        ),
        el("div", el("span", outcome(export), class_="te-big"), f"after {duration(found.seconds)}", class_="te-top"),
        el("div", foreign(export.reason), class_="te-card te-reason") if export.reason else None,
        el("div", "Waiting: ", foreign(export.blocked_reason), class_="te-card") if export.blocked_reason else None,
        el("div", foreign(export.warning), class_="te-card te-warn") if export.warning else None,
        buttons(found, actions),
        table(WAIT_HEADINGS, [wait_row(wait, export, region) for wait in found.waits]) if found.waits else None,
        pairs(
            ("export", foreign(export.export_id)),
            ("snapshot", foreign(export.snapshot_timestamp)),
            ("rows", count(export.items) if export.items is not None else None),
            ("files", count(export.files) if export.files is not None else None),
            ("size", size(export.bytes) if export.bytes is not None else None),
            ("read", foreign(export.read_plan) if export.read_plan else None),
        ),
        el("div", *links, class_="te-row"),
    )
    return page(body, look)


WAIT_HEADINGS = ("Stage", "Attempt", "From (UTC)", "Took", "Waited for")


def wait_row(wait: Wait, export: Export, region: str) -> tuple[Html, ...]:
    links = [outside(text, address) for text, address in console_links.of_wait(wait, export, region)]
    took = duration(wait.seconds) + ("" if wait.until else " so far")
    awaited = el("div", foreign(wait.awaited_id), class_="te-faint te-name")
    return (
        el("span", STAGES[wait.stage].label),
        el("span", wait.attempt, class_="te-num"),
        el("span", f"{wait.since:%Y-%m-%d %H:%M:%S}", class_="te-num"),
        el("span", took, class_="te-num"),
        join(awaited, el("div", *separated(links))) if links else Html(el("span", wait.operation.replace("-", " "))),
    )


def separated(links: Sequence[Html]) -> list[Html | str]:
    return [part for n, link in enumerate(links) for part in ([", ", link] if n else [link])]


def buttons(found: Timeline, actions: Actions) -> Html | None:
    export = found.export
    offered: list[Html] = []
    if found.may_resume:
        question = "Resume this export from the stage that failed?"
        offered.append(actions.button("Resume", question, view="resume", export_id=export.export_id))
    if found.may_run:
        question = f"Start a new export of {export.table_name}?"
        offered.append(actions.button("Run again", question, view="run", pipeline=export.pipeline))
    why_not = f"It cannot be resumed: {found.why_not_resume}" if found.why_not_resume else None
    if not offered and not why_not:
        return None
    return el("div", *offered, el("span", why_not, class_="te-faint") if why_not else None, class_="te-row")


# ------------------------------------------------------------------------------------------------------------ answers


def requested_page(what: str, pipeline: str, actions: Actions, look: Look) -> Html:
    then = "The export appears here in a moment."
    pipeline_link = actions.link(foreign(pipeline), view="pipeline", pipeline=pipeline)
    return page(join(el("div", what, class_="te-big"), el("p", then), el("div", pipeline_link, class_="te-row")), look)


def problem_page(problem: str, actions: Actions, look: Look) -> Html:
    back = el("div", actions.link("All pipelines", view="overview"), class_="te-row")
    return page(join(el("div", foreign(problem), class_="te-card te-bad"), back), look)


# --------------------------------------------------------------------------------------------------------------- parts


def table(headings: Sequence[str], rows: Sequence[Sequence[Html | None]]) -> Html:
    head = el("tr", *(el("th", heading) for heading in headings))
    return el("table", el("thead", head), el("tbody", *(el("tr", *(el("td", cell) for cell in row)) for row in rows)))


def pairs(*known: tuple[str, Html | str | None]) -> Html:
    given = [(el("dt", name), el("dd", value)) for name, value in known if value is not None]
    return el("dl", *(part for pair in given for part in pair), class_="te-card te-pairs")
