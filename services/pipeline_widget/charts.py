"""The charts of a pipeline, in SVG: its export's stage, how long it takes, and how the last exports ended."""

from collections.abc import Sequence

from pipeline_widget.look import Look
from pipeline_widget.markup import Html, el, join
from table_exports.domain.export import Export
from table_exports.domain.pipeline import End
from table_exports.domain.reports.formatting import duration
from table_exports.domain.reports.health import SLOW
from table_exports.domain.reports.overview import Row
from table_exports.domain.stages import CHARTED, STAGES, Stage

GAP, RADIUS = 38, 5  # of the points of a track
DONE, CURRENT, FAILED, SKIPPED, PENDING = "done", "current", "failed", "skipped", "pending"


def track(row: Row, look: Look) -> Html:
    """Return the stages in a line: those that are done, the current or failed one, and those that are pending."""
    stages, states, description = progress_of(row)
    width = GAP * (len(stages) - 1) + 2 * RADIUS + 6
    parts = []
    for n, (stage, state) in enumerate(zip(stages, states, strict=True)):
        x = RADIUS + 3 + n * GAP
        if n:
            color = look.good if state in (DONE, SKIPPED) else look.line
            color = look.accent if state == CURRENT else look.bad if state == FAILED else color
            parts.append(el("line", x1=x - GAP + RADIUS, x2=x - RADIUS, y1=10, y2=10, stroke=color, stroke_width=2))
        parts.append(el("g", el("title", f"{STAGES[stage].label}: {state}"), _point(x, state, look)))
    return el("svg", *parts, width=width, height=20, role="img", aria_label=description)


def progress_of(row: Row) -> tuple[Sequence[Stage], list[str], str]:
    """Return the stages of a pipeline's track, the state of each, and a description."""
    export, end = row.in_flight, row.last_end
    if export:
        staged = export.read_mode == "export"
    else:
        staged = row.pipeline.read_mode == "export" or (end is not None and end.failed_stage == Stage.STAGING)
    stages = [stage for stage in CHARTED if staged or stage != Stage.STAGING]
    if export:
        current = stages.index(export.stage) if export.stage in stages else 0
        return stages, _up_to(current, stages, CURRENT, export), f"{STAGES[stages[current]].label} now"
    if end is None:
        return stages, [PENDING] * len(stages), "no export yet"
    if end.stage == Stage.SUCCEEDED:
        return stages, [DONE] * len(stages), "the last export was published"
    failed = stages.index(end.failed_stage) if end.failed_stage in stages else 0
    return stages, _up_to(failed, stages, FAILED, None), f"the last export failed while {STAGES[stages[failed]].label}"


def _up_to(current: int, stages: Sequence[Stage], state: str, export: Export | None) -> list[str]:
    """Return the state of each stage. `state` is that of the current one."""
    passed = {step.stage for step in export.steps} if export and export.steps else set(stages)
    before = [DONE if stage in passed else SKIPPED for stage in stages[:current]]
    return [*before, state, *[PENDING] * (len(stages) - current - 1)]


def _point(x: int, state: str, look: Look) -> Html:
    match state:
        case "done":
            return el("circle", cx=x, cy=10, r=RADIUS, fill=look.good)
        case "current":
            ring = el("circle", cx=x, cy=10, r=RADIUS + 2, fill="none", stroke=look.accent, stroke_width=2)
            return join(ring, el("circle", cx=x, cy=10, r=RADIUS - 1, fill=look.accent))
        case "failed":
            cross = f"M{x - 4} 6L{x + 4} 14M{x + 4} 6L{x - 4} 14"
            return el("path", d=cross, stroke=look.bad, stroke_width=3, stroke_linecap="round")
        case "skipped":
            return el("circle", cx=x, cy=10, r=2, fill=look.good)
    return el("circle", cx=x, cy=10, r=RADIUS - 1, fill="none", stroke=look.line, stroke_width=2)


def progress(row: Row, look: Look) -> Html:
    """Return a bar of the time that the export in flight has taken, with a mark at the usual time."""
    assert row.seconds is not None
    taken = duration(row.seconds)
    if row.usual_seconds is None:
        return el("span", taken, class_="te-num")
    usual = max(1, row.usual_seconds)
    slow = SLOW in row.problems
    color = look.bad if slow else look.warn if row.seconds > usual else look.accent
    longest = max(usual, row.seconds)
    width, mark = 130, round(130 * usual / longest)
    bar = el(
        "svg",
        el("rect", x=0, y=4, width=width, height=6, rx=3, fill=look.line),
        el("rect", x=0, y=4, width=max(3, round(width * row.seconds / longest)), height=6, rx=3, fill=color),
        el("line", x1=mark - 1, x2=mark - 1, y1=0, y2=14, stroke=look.text, stroke_width=2),
        width=width,
        height=14,
        role="img",
        aria_label=f"{taken} (usually {duration(usual)})",
    )
    return join(el("span", f"{taken} (usually {duration(usual)})", class_="te-num"), bar)


def sparkline(ends: Sequence[End], look: Look) -> Html:
    """Return a bar per export, the oldest first: the higher, the longer. A failure is a hollow bar with a cross."""
    if not ends:
        return el("span", "none yet", class_="te-faint")
    longest = max(1, *(end.seconds for end in ends))
    bars = []
    for n, end in enumerate(ends):
        x, height = n * 9, max(3, round(20 * end.seconds / longest))
        outcome = "succeeded" if end.stage == Stage.SUCCEEDED else "failed"
        title = el("title", f"{outcome} in {duration(end.seconds)}{f': {end.reason}' if end.reason else ''}")
        if end.stage == Stage.SUCCEEDED:
            shape = el("rect", x=x, y=26 - height, width=6, height=height, rx=1, fill=look.accent)
        else:
            hollow = el(
                "rect", x=x + 0.75, y=26 - height, width=4.5, height=height - 0.75, fill="none", stroke=look.bad
            )
            cross = el("path", d=f"M{x} {0}l6 5m0 -5l-6 5", stroke=look.bad, stroke_width=1.75)
            shape = join(hollow, cross)
        bars.append(el("g", title, shape))
    failed = sum(end.stage == Stage.FAILED for end in ends)
    label = f"the last {len(ends)} exports, {failed} of them failed"
    return el("svg", *bars, width=9 * len(ends), height=27, role="img", aria_label=label)
