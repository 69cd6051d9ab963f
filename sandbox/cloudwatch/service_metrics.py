"""Puts the metrics that AWS services put into CloudWatch and the emulator does not.

- Metrics that functions log in the embedded metric format.
- AWS/Lambda Errors: each invocation whose log has a traceback. The emulator counts only synchronous invocations.
- AWS/SQS: the number of messages in the queues that alarms watch, and the age of the oldest.
- AWS/Events FailedInvocations: for events that the sandbox delivers, and replayed events.
"""

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from sandbox.cloud import Cloud
from sandbox.cloudwatch.alarm_rules import Metric
from sandbox.events.delivery import AwsEvents

OVERLAP_SECONDS = 2  # lines can arrive this late
AT_ONCE = 500  # of data, in one call; CloudWatch takes a thousand
TRACEBACK = "Traceback (most recent call last):"
OF_FUNCTION = re.compile(r"/ministack-lambda-(.+?)-[a-z0-9_]{8}/")  # in a traceback: the folder of the function

Data = dict[str, list[dict[str, Any]]]  # by namespace, as PutMetricData takes it
Line = dict[str, Any]  # as FilterLogEvents shows it


class ServiceMetrics:
    def __init__(self, cloud: Cloud, emulator: Cloud, events: AwsEvents) -> None:
        """`emulator` calls the emulator directly, so that these calls are not in the call log."""
        self._cloud, self._emulator, self._events = cloud, emulator, events
        self._read_at = time.time()
        self._seen: Counter[tuple[str, ...]] = Counter()  # lines of the last seconds

    def collect(self, watched: set[Metric]) -> None:
        found: Data = defaultdict(list)
        lines = list(self._new_lines())
        for namespace, datum in [*embedded(lines), *errors(lines), *self._queues(watched), *self._failed_deliveries()]:
            found[namespace].append(datum)
        for namespace, data in found.items():
            for start in range(0, len(data), AT_ONCE):
                self._cloud.client("cloudwatch").put_metric_data(
                    Namespace=namespace, MetricData=data[start : start + AT_ONCE]
                )

    def _new_lines(self) -> Iterator[Line]:
        logs, now = self._emulator.client("logs"), time.time()
        since = int((self._read_at - OVERLAP_SECONDS) * 1000)
        counted: Counter[tuple[str, ...]] = Counter()
        for group in logs.describe_log_groups()["logGroups"]:
            name = group["logGroupName"]
            for line in logs.filter_log_events(logGroupName=name, startTime=since)["events"]:
                key = name, line["logStreamName"], str(line["timestamp"]), line["message"]
                counted[key] += 1
                if counted[key] > self._seen[key]:
                    yield line
        self._read_at, self._seen = now, counted

    def _queues(self, watched: set[Metric]) -> Iterator[tuple[str, dict[str, Any]]]:
        for metric in watched:
            queue = dict(metric.dimensions).get("QueueName")
            if metric.namespace == "AWS/SQS" and queue and (value := self._measured(queue, metric.name)) is not None:
                yield metric.namespace, datum(metric.name, {"QueueName": queue}, value)

    def _measured(self, queue: str, name: str) -> float | None:
        sqs = self._emulator.client("sqs")
        try:
            url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            if name == "ApproximateNumberOfMessagesVisible":
                found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
                return float(found["Attributes"]["ApproximateNumberOfMessages"])
            if name == "ApproximateAgeOfOldestMessage":  # only a message has it; it stays visible
                received = sqs.receive_message(
                    QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageSystemAttributeNames=["All"]
                )
                sent = [int(one["Attributes"]["SentTimestamp"]) / 1000 for one in received.get("Messages", [])]
                return time.time() - min(sent) if sent else None
        except ClientError:
            pass  # no queue, no data
        return None

    def _failed_deliveries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        while self._events.failed:
            rule, bus = self._events.failed.popleft()
            dimensions = {"RuleName": rule} if bus == "default" else {"EventBusName": bus, "RuleName": rule}
            yield "AWS/Events", datum("FailedInvocations", dimensions, 1.0)


def embedded(lines: list[Line]) -> Iterator[tuple[str, dict[str, Any]]]:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    for line in lines:
        if '"CloudWatchMetrics"' not in line["message"]:
            continue
        root = json.loads(line["message"])
        for directive in root["_aws"]["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = {name: str(root[name]) for name in names}
                for metric in directive["Metrics"]:
                    value = root[metric["Name"]]
                    found = datum(metric["Name"], dimensions, *(value if isinstance(value, list) else [value]))
                    found["Timestamp"] = root["_aws"]["Timestamp"] / 1000
                    yield directive["Namespace"], found | {"Unit": metric.get("Unit", "None")}


def errors(lines: list[Line]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields one error for each log stream: the emulator has one stream for each invocation."""
    failed: dict[str, str | None] = {}
    for line in lines:
        stream = line["logStreamName"]
        if line["message"] == TRACEBACK:
            failed.setdefault(stream, None)
        elif stream in failed and failed[stream] is None and (found := OF_FUNCTION.search(line["message"])):
            failed[stream] = found[1]
    for function in filter(None, failed.values()):
        yield "AWS/Lambda", datum("Errors", {"FunctionName": function}, 1.0)


def datum(name: str, dimensions: dict[str, str], *values: float) -> dict[str, Any]:
    described = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    return {"MetricName": name, "Dimensions": described, "Values": [float(value) for value in values]}
