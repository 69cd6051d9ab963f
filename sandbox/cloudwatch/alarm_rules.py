"""Decides the state of an alarm from its data, as the CloudWatch user guide documents it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sandbox.cloudwatch import metrics_insights

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
EXTRA_PERIODS = 2  # that are looked at where data is missing, as in the user guide's examples

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "SampleCount": len,
    "Sum": sum,
    "Average": lambda values: sum(values) / len(values),
    "Minimum": min,
    "Maximum": max,
}

Definition = dict[str, Any]  # what PutMetricAlarm was given
Series = list[float | None]  # a value for each period, the newest last; None where there is no data


class Metric(NamedTuple):
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


class Unsupported(ValueError):
    """The sandbox does not support this alarm. The message names the field."""


# ------------------------------------------------------------------------------------------------------ the definition


def check(definition: Definition) -> None:
    """Raises Unsupported if the sandbox cannot evaluate the alarm."""
    for name in ("ExtendedStatistic", "EvaluateLowSampleCountPercentile", "ThresholdMetricId", "EvaluationCriteria"):
        if name in definition:
            raise Unsupported(f"{name}: the sandbox does not evaluate it")
    if definition["ComparisonOperator"] not in COMPARISONS:
        raise Unsupported(f"ComparisonOperator: the sandbox does not evaluate {definition['ComparisonOperator']}")
    for _, statistic in metrics(definition).values():
        if statistic not in STATISTICS:
            raise Unsupported(f"Statistic: the sandbox does not evaluate {statistic!r}")
    if len({period(definition), *periods(definition)}) > 1:
        raise Unsupported("Metrics: the sandbox supports only metrics with the same period")
    try:
        if metrics_insights.query_of(definition):
            return
    except ValueError as error:
        raise Unsupported(str(error)) from error
    watched(definition, {name: [None] for name in metrics(definition)})


def metrics(definition: Definition) -> dict[str, tuple[Metric, str]]:
    """Returns the metrics of the alarm with their statistics, by id."""
    if "Metrics" not in definition:
        return {"": (metric_of(definition), definition.get("Statistic", ""))}
    stats = {query["Id"]: query["MetricStat"] for query in definition["Metrics"] if "MetricStat" in query}
    return {name: (metric_of(stat["Metric"]), stat["Stat"]) for name, stat in stats.items()}


def metric_of(described: dict[str, Any]) -> Metric:
    dimensions = frozenset((given["Name"], given["Value"]) for given in described.get("Dimensions", []))
    return Metric(described.get("Namespace", ""), described.get("MetricName", ""), dimensions)


def periods(definition: Definition) -> list[int]:
    given = [query.get("MetricStat", query) for query in definition.get("Metrics", [])]
    return [one["Period"] for one in given if "Period" in one]


def period(definition: Definition) -> int:
    """Returns the period in seconds."""
    return periods(definition)[0] if periods(definition) else definition.get("Period", 60)


def periods_looked_at(definition: Definition) -> int:
    return definition["EvaluationPeriods"] + EXTRA_PERIODS


# ------------------------------------------------------------------------------------------------------ what it watches


def watched(definition: Definition, found: dict[str, Series]) -> Series:
    """Returns the series that the alarm watches, calculated from those of its metrics. Raises Unsupported."""
    if "Metrics" not in definition:
        return found[""]
    [query] = [query for query in definition["Metrics"] if query.get("ReturnData", True)]
    return [*found[query["Id"]]] if "MetricStat" in query else calculated(query["Expression"], found)


def calculated(expression: str, found: dict[str, Series]) -> Series:
    """Calculates SUM(METRICS()), FILL(SUM(METRICS()), 0) or FILL(m1, 0)."""
    text = expression.replace(" ", "")
    if filled := re.fullmatch(r"FILL\((.+),(-?[\d.]+)\)", text):
        return fill(calculated(filled[1], found), float(filled[2]))
    if summed := re.fullmatch(r"SUM\((?:FILL\(METRICS\(\),(-?[\d.]+)\)|METRICS\(\))\)", text):
        rows = found.values() if summed[1] is None else [fill(row, float(summed[1])) for row in found.values()]
        return [total(here) for here in zip(*rows, strict=True)]
    if text in found:
        return found[text]
    raise Unsupported(f"Expression: the sandbox supports only SUM(METRICS()) and FILL, not {expression}")


def fill(series: Series, value: float) -> Series:
    return [value if here is None else here for here in series]


def total(values: Iterable[float | None]) -> float | None:
    real = [value for value in values if value is not None]
    return sum(real) if real else None


# ------------------------------------------------------------------------------------------------- what it comes to


def state(definition: Definition, series: Series, before: str) -> str:
    """Returns the new state of the alarm. `before` is its current state."""
    beats = COMPARISONS[definition["ComparisonOperator"]]
    breaching = [None if value is None else beats(value, definition["Threshold"]) for value in series]
    wanted = definition["EvaluationPeriods"]
    to_alarm = definition.get("DatapointsToAlarm", wanted)
    real = [here for here in breaching if here is not None]
    missing = wanted - len(real)
    if missing <= 0:
        return ALARM if sum(real[-wanted:]) >= to_alarm else OK
    match definition.get("TreatMissingData", "missing"):
        case "breaching":
            return ALARM if sum(real) + missing >= to_alarm else OK
        case "notBreaching":
            return ALARM if sum(real) >= to_alarm else OK
        case treated:
            return with_little_data(breaching, real, to_alarm, before, ignores=treated == "ignore")


def with_little_data(breaching: list[bool | None], real: list[bool], to_alarm: int, before: str, ignores: bool) -> str:
    if sum(real) >= to_alarm:
        return ALARM
    if not all(real):
        return OK
    if ignores:
        return before
    if not real:
        return INSUFFICIENT_DATA
    age_of_oldest = len(breaching) - breaching.index(True)
    return ALARM if age_of_oldest >= to_alarm else before


def reason(definition: Definition, series: Series, became: str) -> str:
    if became == INSUFFICIENT_DATA:
        return f"Insufficient Data: {definition['EvaluationPeriods']} datapoints were unknown."
    real = [value for value in series if value is not None][-definition["EvaluationPeriods"] :]
    compared = definition["ComparisonOperator"]
    if not real:
        return f"Threshold Crossed: no datapoints were received for {len(series)} periods"
    return f"Threshold Crossed: the last datapoints {real}: {compared} {definition['Threshold']} makes {became}"
