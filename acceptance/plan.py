"""What a run creates, how long it takes and what it costs. Nothing here calls AWS.

Everything has a fixed name that begins with PREFIX. So a later run finds what an interrupted run left.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.cost import PRICES

PREFIX = "table-exports-acceptance"
TAG = PREFIX  # on the stacks of a run, and on their resources
DATABASE = "table_exports_acceptance"
CATALOG_PREFIX = "acceptance_"
ZOO, FILMS = f"{PREFIX}-zoo", f"{PREFIX}-films"  # DynamoDB tables: on demand, and provisioned
TABLES = (ZOO, FILMS)
FILMS_READ_UNITS, FILMS_WRITE_UNITS = 20, 25
FILM_COUNT = 3_000
MANY_STACKS, MANY_STACKS_IN_SANDBOX = 50, 4
FORMATS = ("parquet", "orc", "avro", "json", "csv")


@dataclass(frozen=True)
class PlannedPipeline:
    name: str  # in the suite
    table: str
    output_format: str
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def catalog_name(self) -> str:
        return f"{CATALOG_PREFIX}{self.name.replace('-', '_')}"

    @property
    def pipeline(self) -> str:
        return f"{self.catalog_name}-{self.output_format}"

    @property
    def stack(self) -> str:
        return f"{PREFIX}-{self.name}"

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry in tables.yaml."""
        return {
            "OutputFormat": self.output_format,
            "CatalogName": self.catalog_name,
            "StackName": self.stack,
            **self.parameters,
        }


SCAN = {"ReadMode": "scan", "ReadPercentage": "1.0"}
PIPELINES = (
    PlannedPipeline("zoo-parquet", ZOO, "parquet", {"ReadMode": "export", "KeepSnapshots": "1"}),
    PlannedPipeline("zoo-orc", ZOO, "orc", SCAN),
    PlannedPipeline("zoo-avro", ZOO, "avro", SCAN),
    PlannedPipeline("zoo-json", ZOO, "json", SCAN | {"CatalogUpdate": "always"}),
    PlannedPipeline("zoo-csv", ZOO, "csv", SCAN | {"CatalogUpdate": "always"}),
    PlannedPipeline("films", FILMS, "parquet", SCAN),
)
# The kinds of items of the zoo as entities. Its check deploys it: its exports never run a crawl.
ENTITIES = PlannedPipeline("entities", ZOO, "parquet", SCAN | {"Entities": {"by": {"key": "id", "before": "-"}}})
ALL_PIPELINES = (*PIPELINES, ENTITIES)


def tables_file(pipelines: Sequence[PlannedPipeline], changes: dict[str, dict[str, str]] | None = None) -> str:
    """Returns the content of tables.yaml. `changes` has parameters by the name of the pipeline."""
    lines = ["tables:"]
    for table in dict.fromkeys(pipeline.table for pipeline in pipelines):
        lines.append(f"  {table}:")
        for pipeline in (each for each in pipelines if each.table == table):
            entry = pipeline.entry | (changes or {}).get(pipeline.name, {})
            lines += [
                f"    {'-' if number == 0 else ' '} {name}: {json.dumps(value)}"
                for number, (name, value) in enumerate(entry.items())
            ]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------------------- the cost
HOURS = 4.0  # that a run takes on AWS, at most
MONTH = 730.0  # hours
OTHER_PRICES = {  # USD, list prices of us-east-1 that docs/cost.md does not need
    "provisioned read unit per hour": 0.00013,
    "provisioned write unit per hour": 0.00065,
}
JOB_RUNS = 23  # a run of these small tables takes two minutes with two workers
JOB_MINUTES, JOB_DPU = 2, 2
CRAWLS = len(PIPELINES) + 1  # the first export of each pipeline, and one new column
ALARMS = 13  # of the common stack
METRICS = 80
LEAST_EXPORT_GB = 0.01
LIMIT = 2.00


@dataclass(frozen=True)
class Item:
    text: str
    usd: float


def costs(own_system: bool = True) -> list[Item]:
    """Returns what a run costs, by item."""
    found = [
        Item(
            f"{JOB_RUNS} job runs of {JOB_MINUTES} minutes with {JOB_DPU} DPU",
            JOB_RUNS * JOB_MINUTES / 60 * JOB_DPU * PRICES["DPU-hour of Glue"],
        ),
        Item(f"{CRAWLS} crawls", CRAWLS * PRICES["crawl (10 minutes of 2 DPU)"]),
        Item(
            f"capacity of a table: {FILMS_READ_UNITS} read and {FILMS_WRITE_UNITS} write units",
            HOURS
            * (
                FILMS_READ_UNITS * OTHER_PRICES["provisioned read unit per hour"]
                + FILMS_WRITE_UNITS * OTHER_PRICES["provisioned write unit per hour"]
            ),
        ),
        Item("two DynamoDB exports", 2 * LEAST_EXPORT_GB * PRICES["GB of a DynamoDB export"]),
        Item(f"{METRICS} metrics for {HOURS:g} hours", METRICS * PRICES["metric per month"] * HOURS / MONTH),
    ]
    if own_system:
        found.append(Item("a dashboard", PRICES["dashboard per month"] * HOURS / MONTH))
        found.append(
            Item(
                f"{ALARMS} alarms for {HOURS:g} hours", ALARMS * PRICES["metric of an alarm per month"] * HOURS / MONTH
            )
        )
    return found


def total(items: Sequence[Item]) -> float:
    return sum(item.usd for item in items)


class TooExpensive(Exception):
    """The run would cost more than the limit."""


def require_within(limit: float, items: Sequence[Item]) -> None:
    if total(items) > limit:
        raise TooExpensive(
            f"The run would cost ${total(items):.2f}, more than the limit of ${limit:.2f}. To accept it, pass "
            f"--limit {total(items) + 0.01:.2f} (make accept LIMIT={total(items) + 0.01:.2f})"
        )


def description(account: str, region: str, who: str, endpoint: str | None, items: Sequence[Item], own: bool) -> str:
    """Returns what the user is asked to confirm."""
    common = (
        "the common stack with its bucket, database, state table and log group"
        if own
        else "nothing of the common stack, which exists already and is used as it is"
    )
    lines = [
        f"Account {account}, Region {region}, as {who}" + (f", endpoint {endpoint}" if endpoint else ""),
        f"Creates: {common}; {len(ALL_PIPELINES) + MANY_STACKS} table stacks; the DynamoDB tables {', '.join(TABLES)};",
        f"  an artifacts bucket, queues, rules and a schedule. All names begin with {PREFIX} or {CATALOG_PREFIX},",
        "  except the fixed names of the common stack." if own else "",
        f"Takes up to {HOURS:g} hours, then deletes everything that it created.",
        f"Costs about ${total(items):.2f} by list prices:",
        *(f"  ${item.usd:5.2f}  {item.text}" for item in items),
        "AWS keeps a backup of a deleted state table for 35 days, and logs of Glue in /aws-glue, at no or little cost.",
    ]
    return "\n".join(line for line in lines if line)
