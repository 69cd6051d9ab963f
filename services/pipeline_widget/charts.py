"""The pictures of a row, in SVG: where an export stands, how long it takes, how the last ones went."""

from collections.abc import Sequence

from pipeline_widget.look import Look
from pipeline_widget.markup import Html, el, join
from table_exports.domain.export import Export, Stage
from table_exports.domain.health import SLOW
from table_exports.domain.overview import Row
from table_exports.domain.pipeline import End
from table_exports.domain.wording import duration

TRACK = (Stage.STARTING, Stage.STAGING, Stage.EXPORTING, Stage.CATALOGING, Stage.PUBLISHING, Stage.SUCCEEDED)
WORDS = {
    Stage.STARTING: "requested",
    Stage.STAGING: "staging",
    Stage.EXPORTING: "exporting",
    Stage.CATALOGING: "cataloging",
    Stage.PUBLISHING: "publishing",
    Stage.SUCCEEDED: "published",
}
GAP, RADIUS = 38, 5  # of the track's points
DONE, HERE, BROKEN, LEFT_OUT, TO_COME = "done", "here", "broken", "left out", "to come"


def track(row: Row, look: Look) -> Html:
    """The stages in a line: those that are done, the one where it stands or broke, those to come."""
    stages, states, said = standing(row)
    width = GAP * (len(stages) - 1) + 2 * RADIUS + 6
    parts = []
    for n, (stage, state) in enumerate(zip(stages, states, strict=True)):
        x = RADIUS + 3 + n * GAP
        if n:
            color = look.good if state in (DONE, LEFT_OUT) else look.line
            color = look.accent if state == HERE else look.bad if state == BROKEN else color
            parts.append(el("line", x1=x - GAP + RADIUS, x2=x - RADIUS, y1=10, y2=10, stroke=color, stroke_width=2))
        parts.append(el("g", el("title", f"{WORDS[stage]}: {state}"), _point(x, state, look)))
    return el("svg", *parts, width=width, height=20, role="img", aria_label=said)


def standing(row: Row) -> tuple[Sequence[Stage], list[str], str]:
    """The stages of its track, the state of each, and the same in words."""
    export, end = row.in_flight, row.last_end
    if export:
        staged = export.read_mode == "export"
    else:
        staged = row.pipeline.read_mode == "export" or (end is not None and end.failed_stage == Stage.STAGING)
    stages = [stage for stage in TRACK if staged or stage != Stage.STAGING]
    if export:
        here = stages.index(export.stage) if export.stage in stages else 0
        return stages, _up_to(here, stages, HERE, export), f"{WORDS[stages[here]]} now"
    if end is None:
        return stages, [TO_COME] * len(stages), "no export yet"
    if end.stage == Stage.SUCCEEDED:
        return stages, [DONE] * len(stages), "the last export was published"
    broke = stages.index(end.failed_stage) if end.failed_stage in stages else 0
    return stages, _up_to(broke, stages, BROKEN, None), f"the last export failed while {WORDS[stages[broke]]}"


def _up_to(here: int, stages: Sequence[Stage], state: str, export: Export | None) -> list[str]:
    been = {step.stage for step in export.steps} if export and export.steps else set(stages)
    before = [DONE if stage in been else LEFT_OUT for stage in stages[:here]]
    return [*before, state, *[TO_COME] * (len(stages) - here - 1)]


def _point(x: int, state: str, look: Look) -> Html:
    match state:
        case "done":
            return el("circle", cx=x, cy=10, r=RADIUS, fill=look.good)
        case "here":
            ring = el("circle", cx=x, cy=10, r=RADIUS + 2, fill="none", stroke=look.accent, stroke_width=2)
            return join(ring, el("circle", cx=x, cy=10, r=RADIUS - 1, fill=look.accent))
        case "broken":
            cross = f"M{x - 4} 6L{x + 4} 14M{x + 4} 6L{x - 4} 14"
            return el("path", d=cross, stroke=look.bad, stroke_width=3, stroke_linecap="round")
        case "left out":
            return el("circle", cx=x, cy=10, r=2, fill=look.good)
    return el("circle", cx=x, cy=10, r=RADIUS - 1, fill="none", stroke=look.line, stroke_width=2)


def progress(row: Row, look: Look) -> Html:
    """How long the export in flight has taken, in a bar up to the usual time; past it, the bar goes on."""
    assert row.seconds is not None
    taken = duration(row.seconds)
    if row.usual_seconds is None:
        return el("span", taken, class_="te-num")
    usual = max(1, row.usual_seconds)
    slow = SLOW in row.troubles
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
        aria_label=f"{taken} of usually {duration(usual)}",
    )
    return join(el("span", f"{taken} of usually {duration(usual)}", class_="te-num"), bar)


def sparkline(ends: Sequence[End], look: Look) -> Html:
    """The last exports, oldest first: the higher, the longer. A failure is a cross on a hollow bar."""
    if not ends:
        return el("span", "none yet", class_="te-faint")
    longest = max(1, *(end.seconds for end in ends))
    bars = []
    for n, end in enumerate(ends):
        x, height = n * 9, max(3, round(20 * end.seconds / longest))
        outcome = "succeeded" if end.stage == Stage.SUCCEEDED else "failed"
        said = el("title", f"{outcome} in {duration(end.seconds)}{f': {end.reason}' if end.reason else ''}")
        if end.stage == Stage.SUCCEEDED:
            shape = el("rect", x=x, y=26 - height, width=6, height=height, rx=1, fill=look.accent)
        else:
            hollow = el(
                "rect", x=x + 0.75, y=26 - height, width=4.5, height=height - 0.75, fill="none", stroke=look.bad
            )
            cross = el("path", d=f"M{x} {0}l6 5m0 -5l-6 5", stroke=look.bad, stroke_width=1.75)
            shape = join(hollow, cross)
        bars.append(el("g", said, shape))
    failed = sum(end.stage == Stage.FAILED for end in ends)
    said = f"the last {len(ends)} exports, {failed} of them failed"
    return el("svg", *bars, width=9 * len(ends), height=27, role="img", aria_label=said)
