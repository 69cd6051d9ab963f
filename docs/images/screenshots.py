"""Pictures of the page, by a real browser: an empty system, a busy one, failures, an export's timeline, 500 pipelines.

Each in light and in dark, to .screenshots. The README's is `failures-light.png`. Needs Chromium:

    apt-get install chromium
    PYTHONPATH=services .venv/bin/python docs/images/screenshots.py
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from pipeline_widget import pages  # noqa: E402
from pipeline_widget.links import Actions  # noqa: E402
from pipeline_widget.look import DARK, LIGHT, Look  # noqa: E402
from sandbox.pipelines_page import document  # noqa: E402
from table_exports.domain.export import Export  # noqa: E402
from table_exports.domain.naming import snapshot_timestamp  # noqa: E402
from table_exports.domain.pipeline import End, Pipeline  # noqa: E402
from table_exports.domain.reports.overview import overview  # noqa: E402
from table_exports.domain.reports.timeline import timeline  # noqa: E402
from table_exports.domain.stages import Stage  # noqa: E402

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
DAY, QUARTER = timedelta(days=1), Decimal("0.25")
ACTIONS = Actions("arn:aws:lambda:us-east-1:123456789012:function:table-exports-pipeline_widget")
OUT_OF_MEMORY = (
    "Glue job run jr_01ab ended FAILED: Job aborted due to stage failure: Task 3 in stage 2.0 failed 4 times, "
    "ExecutorLostFailure, out of memory. Use more or larger workers, then resume the export"
)


def pipeline(
    table: str, *took: int, items: int = 12_345, failed: str = "", ago: timedelta = timedelta(hours=3)
) -> Pipeline:
    """One that was exported daily, and took so many seconds; `failed` is why the last one did."""
    moments = [NOW - ago - DAY * n for n in reversed(range(len(took)))]
    ends = tuple(an_end(moment, seconds, items) for moment, seconds in zip(moments, took, strict=True))
    if failed:
        broken = {"stage": Stage.FAILED, "items": None, "failed_stage": Stage.EXPORTING, "reason": failed}
        ends = (*ends[:-1], replace(ends[-1], **broken))
    succeeded = [end for end in ends if end.stage == Stage.SUCCEEDED]
    name = table.lower()
    return Pipeline(
        pipeline=f"{name}-parquet",
        stack_id="s",
        table_name=table,
        catalog_name=name,
        output_format="parquet",
        output_prefix=f"s3://table-exports-123456789012-us-east-1/exports/snapshots_{name}",
        glue_job_name=f"table-exports-{name}-parquet",
        crawler_name=f"table-exports-{name}-parquet",
        timeout_minutes=480,
        scheduled=True,
        schedule_expression="cron(0 4 * * ? *)",
        schedule_time_zone="UTC",
        scheduled_since=NOW - 30 * DAY if took else NOW,
        published_snapshot=succeeded[-1].snapshot_timestamp if succeeded else None,
        last_succeeded_at=succeeded[-1].ended_at if succeeded else None,
        recent=ends,
    )


def an_end(moment: datetime, seconds: int, items: int) -> End:
    return End(
        export_id="5f0d1c9a7be34f1c2a6e",
        snapshot_timestamp=snapshot_timestamp(moment - timedelta(seconds=seconds)),
        stage=Stage.SUCCEEDED,
        ended_at=moment,
        seconds=seconds,
        items=items,
    )


def in_flight(of: Pipeline, stage: Stage, ago: timedelta) -> Export:
    export = of.begin("5f0d1c9a7be34f1c2a6e", QUARTER, NOW - ago).run_job("jr_0123456789abcdef", NOW - ago * 0.95)
    if stage != Stage.EXPORTING:
        export = export.advance(Stage.CATALOGING, of.crawler_name, NOW - ago * 0.3)
    if stage == Stage.PUBLISHING:
        export = export.advance(Stage.PUBLISHING, "0f3a", NOW - ago * 0.1)
    return export


def pictures(look: Look) -> dict[str, tuple[str, int]]:
    """The HTML of each picture, and its height."""
    reviews, orders = (
        pipeline("Reviews", 210, 230, 190, 240, 260),
        pipeline("Orders", 1800, 1900, 2100, items=81_234_567),
    )
    events, films = pipeline("Events", 4000, 4100, 4200, items=912_345_678), pipeline("Films", 60, 62, 61, 60)
    busy = [reviews, orders, events, films, pipeline("New")]
    flying = [
        in_flight(reviews, Stage.EXPORTING, timedelta(minutes=2)),
        in_flight(orders, Stage.CATALOGING, timedelta(minutes=55)),
        in_flight(events, Stage.EXPORTING, timedelta(hours=5)),
        in_flight(films, Stage.PUBLISHING, timedelta(seconds=40)),
    ]
    denied = "AccessDenied: table-exports-customers-JobRole may not dynamodb:Scan"
    failing = [
        pipeline("Reviews", 210, 230, 190, 240, 200, failed=OUT_OF_MEMORY),
        pipeline("Customers", 95, 90, 99, failed=denied),
        pipeline("Sessions", 300, 310, 290, ago=5 * DAY),
        orders,
        films,
    ]
    failed = replace(in_flight(failing[0], Stage.EXPORTING, timedelta(minutes=9)), read_plan="By scan: a share of 25 %")
    failed = failed.fail(OUT_OF_MEMORY, NOW)
    many = [pipeline(f"Table{n:03}", *range(100, 115)) for n in range(500)]
    return {
        "empty": (all_of([], [], look), 180),
        "busy": (all_of(busy, flying, look), 460),
        "failures": (all_of(failing, flying[1:2], look), 460),
        "timeline": (pages.timeline_page(timeline(failed, failing[0], NOW), "us-east-1", ACTIONS, look), 540),
        "many": (all_of(many, [], look), 900),
    }


def main() -> None:
    for theme, look in (("light", LIGHT), ("dark", DARK)):
        for name, (html, height) in pictures(look).items():
            take(f"{name}-{theme}", document(html, theme, refreshed=False), height)


def all_of(pipelines: Sequence[Pipeline], flying: Sequence[Export], look: Look) -> str:
    return pages.overview_page(overview(pipelines, flying, NOW), "", 0, ACTIONS, look)


def take(name: str, page: str, height: int) -> None:
    folder = ROOT / ".screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "page.html")
        file.write_text(page)
        command: Sequence[str] = [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={scratch}/profile",
            "--hide-scrollbars", f"--window-size=1300,{height}", f"--screenshot={folder / name}.png", file.as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    print(folder / f"{name}.png")


if __name__ == "__main__":
    main()
