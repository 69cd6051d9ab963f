"""Alarms on a Metrics Insights query: each time series of the query is a contributor with a state of its own.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Create_Metrics_Insights_Alarm.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Acting_Alarm_Changes.html
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

STATISTICS = {"AVG": "Average", "COUNT": "SampleCount", "MAX": "Maximum", "MIN": "Minimum", "SUM": "Sum"}
MOST_IN_ALARM = 100  # CloudWatch user guide, "Limits": contributors in ALARM
SYNTAX = re.compile(
    r'SELECT (?P<function>\w+)\((?P<metric>\w+)\) FROM SCHEMA\("(?P<namespace>[^"]+)", (?P<dimension>\w+)\)'
    r" GROUP BY (?P=dimension) ORDER BY (?P=function)\(\) (?:ASC|DESC)"
)


class Query(NamedTuple):
    statistic: str
    namespace: str
    metric: str
    dimension: str

    def contributor(self, namespace: str, metric: str, dimensions: Iterable[tuple[str, str]]) -> str | None:
        """Returns the value by which the query groups a metric. None if it does not select the metric.

        SCHEMA selects metrics that have exactly its dimensions.
        """
        given = dict(dimensions)
        if (namespace, metric, [*given]) != (self.namespace, self.metric, [self.dimension]):
            return None
        return given[self.dimension]


def query_of(definition: dict[str, Any]) -> Query | None:
    """Returns the query of an alarm. None if it watches metrics. Raises ValueError if it is not as SYNTAX."""
    expressions = [query.get("Expression", "") for query in definition.get("Metrics", [])]
    if not any(expression.startswith("SELECT ") for expression in expressions):
        return None
    found = SYNTAX.fullmatch(expressions[0])
    if len(expressions) > 1 or found is None or found["function"] not in STATISTICS:
        raise ValueError("Expression: the sandbox supports only one query of one dimension, as in infra/common.yaml")
    return Query(STATISTICS[found["function"]], found["namespace"], found["metric"], found["dimension"])


def reason(in_alarm: int, contributors: int) -> str:
    if in_alarm > MOST_IN_ALARM:
        return f"{MOST_IN_ALARM}+ time series evaluated to ALARM"
    return f"{in_alarm} out of {contributors} time series evaluated to ALARM"


def notification(alarm: dict[str, Any], query: Query, contributor: str, became: str, before: str, at: str) -> dict:
    """Returns the message to the alarm's topics about one contributor."""
    _, _, _, region, account, *_ = alarm["AlarmArn"].split(":")
    return {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription"),
        "AWSAccountId": account,
        "NewStateValue": became,
        "NewStateReason": f"Threshold Crossed: {query.metric} of {contributor} makes {became}",
        "StateChangeTime": at,
        "Region": region,
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": before,
        "AlarmContributorAttributes": {query.dimension: contributor},
    }
