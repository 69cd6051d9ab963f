"""The read plan of an export: a scan by its job, or DynamoDB's export to S3, and an estimate of the cost.

Prices: AWS price list, us-east-1, August 2026. In other Regions and for other table classes they differ slightly.
"""

import math
from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal
from typing import Any, Self

from table_exports.domain.errors import PermanentError
from table_exports.domain.pipeline import Pipeline

SCAN, EXPORT, AUTO = "scan", "export", "auto"
READ_MODES = (AUTO, SCAN, EXPORT)

READ_UNIT_USD = 0.125 / 1_000_000  # one read unit of an on-demand table
TABLE_EXPORT_GB_USD = 0.10
DPU_HOUR_USD = 0.44

MB, GB = 2**20, 2**30
READ_UNIT_BYTES = 8192  # eventually consistent: two blocks of 4 KB
PARTITION_UNITS = 3000  # per second: no DynamoDB partition serves more, so a segment is read no faster
MOST_MINUTES = 10_080  # the longest timeout that Glue accepts
ON_DEMAND_READ_UNITS = 12_000  # per second: the warm throughput that AWS documents for a new on-demand table

TWO_DIGITS_UP = Context(prec=2, rounding=ROUND_UP)

WORTH_USD = 0.05  # the least that a table export must save, because even that of a small table takes minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """DynamoDB's description of a table. Its size is up to six hours old."""

    bytes: int
    on_demand: bool
    read_units: float  # per second
    point_in_time_recovery: bool

    @classmethod
    def described(cls, table: dict[str, Any], backups: dict[str, Any]) -> Self:
        """Parse the answers of DescribeTable and DescribeContinuousBackups."""
        on_demand = table.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST"
        if on_demand:
            capacity = table.get("WarmThroughput", {}).get("ReadUnitsPerSecond") or ON_DEMAND_READ_UNITS
            limit = table.get("OnDemandThroughput", {}).get("MaxReadRequestUnits", -1)  # -1: the table sets none
            capacity = min(capacity, limit) if limit > 0 else capacity
        else:
            capacity = table["ProvisionedThroughput"]["ReadCapacityUnits"]
        recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
        return cls(
            bytes=table["TableSizeBytes"],
            on_demand=on_demand,
            read_units=capacity,
            point_in_time_recovery=recovery == "ENABLED",
        )

    def read_rate(self, percentage: float, cap: float) -> float:
        """Return the read units per second that an export may consume. The job has the same rule, as `read_rate`."""
        return min(self.read_units * percentage, cap or math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    mode: str  # scan or export
    cost_usd: Decimal | None  # an estimate. None if the table could not be described
    why: str


UNKNOWN = ReadPlan(
    mode=SCAN, cost_usd=None, why="The table stack is of a version without read modes: update it to have them"
)


def plan_read(table: Table, pipeline: Pipeline, read_percentage: Decimal) -> ReadPlan:
    """Return the read plan.

    Raises PermanentError if the read mode is impossible, if a scan would take longer than the job may run, or if the
    cost is above the budget.
    """
    rate = table.read_rate(float(read_percentage), float(pipeline.read_capacity_cap))
    units = table.bytes / READ_UNIT_BYTES
    hot = float(pipeline.hot_share or 0)
    seconds = _scan_seconds(units, rate, hot)
    skewed = f" (one partition key had {hot:.0%} of the last scan, and is read by one task)" if hot else ""
    scan_usd = (units * READ_UNIT_USD if table.on_demand else 0) + seconds / 3600 * pipeline.dpus * DPU_HOUR_USD
    export_usd = table.bytes / GB * TABLE_EXPORT_GB_USD
    budget = float(pipeline.max_read_cost) or math.inf
    too_slow = seconds > pipeline.timeout_minutes * 60 / 2
    slow = ", more than half of the job's timeout," if too_slow else ""
    takes = f"{_duration(seconds)}{skewed}{slow}"
    scan = f"a scan at {rate:g} read units per second would take {takes} and cost {_usd(scan_usd)}"
    export = f"a table export of {_size(table.bytes)} would cost {_usd(export_usd)}"

    if pipeline.read_mode in (SCAN, EXPORT):
        mode, reason = pipeline.read_mode, f"ReadMode is {pipeline.read_mode}"
    elif not table.point_in_time_recovery:
        mode, reason = SCAN, "point-in-time recovery is off"
    elif too_slow:
        mode, reason = EXPORT, "the scan would be too slow"
    elif scan_usd - export_usd >= WORTH_USD or scan_usd > budget >= export_usd:
        mode, reason = EXPORT, "the table export is cheaper"
    else:
        mode, reason = SCAN, "the table export would not save enough"
    why = f"By {'scan' if mode == SCAN else 'table export'}, because {reason}: {scan}; {export}"

    if mode == EXPORT and not table.point_in_time_recovery:
        raise PermanentError(
            f"ReadMode is export, but point-in-time recovery of table {pipeline.table_name} is off: "
            "enable it, or deploy the table stack with ReadMode auto or scan"
        )
    if mode == SCAN and seconds > pipeline.timeout_minutes * 60:
        minutes = math.ceil(seconds / 60)
        fastest = math.ceil(_scan_seconds(units, table.read_rate(1.0, 0.0), hot) / 60)
        capped = f" without the ReadCapacityCap of {pipeline.read_capacity_cap:f}" if pipeline.read_capacity_cap else ""
        faster, changes = f"a ReadPercentage above {read_percentage:f}, up to 1{capped}", []
        if minutes < MOST_MINUTES:
            changes.append(f"TimeoutMinutes above {minutes}")
        if fastest <= pipeline.timeout_minutes:
            changes.append(faster)
        elif fastest < MOST_MINUTES <= minutes:
            changes.append(f"{faster}, and TimeoutMinutes above {fastest}")
        deploy = f"Deploy the table stack with {' or '.join(changes)}, or read" if changes else "Read"
        recovery = "on" if table.point_in_time_recovery else "off"
        raise PermanentError(
            f"Table {pipeline.table_name} cannot be scanned within the job's timeout of {pipeline.timeout_minutes} "
            f"minutes: {scan}. {deploy} by a table export (ReadMode auto, point-in-time recovery on; it is "
            f"{recovery}): {export}"
        )
    cost, other = (export_usd, scan_usd) if mode == EXPORT else (scan_usd, export_usd)
    if cost > budget:
        way = "scan (ReadMode scan)" if mode == EXPORT else "table export (ReadMode auto, point-in-time recovery on)"
        raise PermanentError(
            f"Reading table {pipeline.table_name} would cost {_usd(cost)}, above the budget of "
            f"${pipeline.max_read_cost:f}: deploy the table stack with MaxReadCost {_enough(cost)} or more"
            f"{f', or read by a {way}' if other <= budget else ''}. {why}"
        )
    return ReadPlan(mode=mode, cost_usd=round(Decimal(cost), 4), why=why)


def _scan_seconds(units: float, rate: float, hot: float) -> float:
    """Return how long a scan takes. One task reads the hot partition key, at the rate of one partition at most."""
    return max(units / rate, hot * units / min(rate, PARTITION_UNITS))


def _usd(amount: float) -> str:
    return f"about ${amount:.2f}" if amount >= 0.01 else "under $0.01"


def _enough(cost: float) -> str:
    """Return the amount for MaxReadCost, rounded up to two digits."""
    return f"{Decimal(str(cost)).normalize(TWO_DIGITS_UP):f}"


def _size(count: int) -> str:
    return f"{count / GB:.1f} GB" if count >= GB else f"{count / MB:.1f} MB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
