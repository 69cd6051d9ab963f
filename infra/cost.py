"""What pipelines cost per month apart from their exports, computed from the templates: `python -m infra.cost`.

docs/cost.md has the result for 5, 50 and 500 pipelines, and says what each line consists of.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

INFRA = Path(__file__).parent
HOURS = 730.0  # of a month
PRICES = {  # USD, the list prices of docs/cost.md
    "DPU-hour of Glue": 0.44,
    "DPU-hour of Glue with ExecutionClass FLEX": 0.29,
    "crawl (10 minutes of 2 DPU)": 0.15,
    "million read units": 0.125,
    "million write units": 0.625,
    "GB of a DynamoDB export": 0.10,
    "metric of an alarm per month": 0.10,
    "composite alarm per month": 0.50,
    "metric per month": 0.30,
    "dashboard per month": 3.00,
    "GB of logs": 0.50,
    "million traces": 5.00,
    "million events": 1.00,
    "million requests of Lambda": 0.20,
    "GB-second of Lambda": 0.0000133334,
    "million requests of SQS": 0.40,
}

# Of an export without a crawl. docs/cost.md names the assumptions.
EXPORTS = 30  # of a pipeline per month: one per day
INVOCATIONS, INVOCATION_SECONDS, INVOCATION_GB = 12, 1.0, 0.25
EVENTS, READS_AND_WRITES = 10, 40
LOG_BYTES = 40_000  # of the functions
OBJECTS = 300  # that S3 announces to EventBridge: staged files, files of the snapshot and their removal
SERVICE_METRICS = ("ExportStarted", "SnapshotWritten", "SnapshotCataloged", "ExportSucceeded")
PIPELINE_METRICS = ("ExportDuration", "Items", "Bytes")
STAGES_PASSED = 4  # StageDuration of each: an export without a crawl
PASS_SECONDS, PASS_LOG_BYTES, HEARTBEAT_REQUESTS = 2.0, 2_000, 3


@dataclass(frozen=True)
class Line:
    text: str
    usd: float


def resources(stack: str, kind: str) -> list[dict[str, Any]]:
    """Returns the properties of all resources of a type in a template."""
    found = yaml_parse((INFRA / f"{stack}.yaml").read_text())["Resources"].values()
    return [resource["Properties"] for resource in found if resource["Type"] == kind]


def metrics_watched(alarm: dict[str, Any]) -> int:
    """Returns how many metrics an alarm is charged for.

    A Metrics Insights query is charged for the metrics that it finds, and those of problems exist only while there
    are problems.
    """
    if "Metrics" not in alarm:
        return 1
    return sum("MetricStat" in query for query in alarm["Metrics"])


def costs(pipelines: int) -> Iterator[Line]:
    """Yields what all pipelines cost per month apart from reading, jobs, crawls and storage, by item."""
    exports = pipelines * EXPORTS
    common = resources("common", "AWS::CloudWatch::Alarm")
    alarms = sum(map(metrics_watched, common)) + pipelines * sum(
        map(metrics_watched, resources("table", "AWS::CloudWatch::Alarm"))
    )
    composites = resources("common", "AWS::CloudWatch::CompositeAlarm")
    yield Line(
        "alarms: each metric that they watch, and the composite alarm",
        alarms * PRICES["metric of an alarm per month"] + len(composites) * PRICES["composite alarm per month"],
    )
    yield Line(
        "metrics with the dimension `pipeline`, in the hours in which exports end",
        pipelines * len(PIPELINE_METRICS) * metric_hours(EXPORTS),
    )
    functions = len(resources("common", "AWS::Serverless::Function"))
    of_exports = len(SERVICE_METRICS) + STAGES_PASSED + functions  # a cold start of each function
    yield Line(
        "metrics of functions and stages, and of the reconciler",
        of_exports * metric_hours(exports) + PRICES["metric per month"],
    )
    dashboards = resources("common", "AWS::CloudWatch::Dashboard")
    yield Line("the dashboard", len(dashboards) * PRICES["dashboard per month"])
    passes = HOURS * 60 / reconcile_minutes()
    seconds = exports * INVOCATIONS * INVOCATION_SECONDS + passes * (1 + PASS_SECONDS * pipelines / 500)
    requests = exports * INVOCATIONS + passes
    yield Line(
        "functions: their requests and seconds",
        requests / 1e6 * PRICES["million requests of Lambda"] + seconds * INVOCATION_GB * PRICES["GB-second of Lambda"],
    )
    yield Line("traces: one for each invocation", requests / 1e6 * PRICES["million traces"])
    logged = exports * LOG_BYTES + passes * PASS_LOG_BYTES
    yield Line("the functions' log", logged / 1e9 * PRICES["GB of logs"])
    yield Line("events on the bus", exports * EVENTS / 1e6 * PRICES["million events"])
    yield Line("S3's events to EventBridge, for each object", exports * OBJECTS / 1e6 * PRICES["million events"])
    yield Line(
        "records: reads of the reconciler, reads and writes of exports",
        passes * pipelines / 2 / 1e6 * PRICES["million read units"]
        + exports * READS_AND_WRITES / 1e6 * PRICES["million write units"],
    )
    yield Line("the heartbeat", passes * HEARTBEAT_REQUESTS / 1e6 * PRICES["million requests of SQS"])


def metric_hours(times: float) -> float:
    """Returns what a metric costs that is sent so often in a month, at different hours."""
    return PRICES["metric per month"] * min(times, HOURS) / HOURS


def reconcile_minutes() -> float:
    template = yaml_parse((INFRA / "common.yaml").read_text())
    return float(template["Parameters"]["ReconcileMinutes"]["Default"])


def total(pipelines: int) -> float:
    return sum(line.usd for line in costs(pipelines))


def table(counts: tuple[int, ...] = (5, 50, 500)) -> str:
    """Returns the table of docs/cost.md."""
    columns = [list(costs(count)) for count in counts]
    rows = [["", *(f"{count} pipelines" for count in counts)], ["---"] * (len(counts) + 1)]
    for lines in zip(*columns, strict=True):
        rows.append([lines[0].text, *(f"${line.usd:.2f}" for line in lines)])
    rows.append(["**total**", *(f"**${total(count):.2f}**" for count in counts)])
    rows.append(["**for each pipeline**", *(f"**${total(count) / count:.2f}**" for count in counts)])
    return "\n".join("| " + " | ".join(row).strip() + " |" for row in rows) + "\n"


if __name__ == "__main__":
    print(table(), end="")
