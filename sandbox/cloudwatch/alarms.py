"""Evaluates metric alarms. The emulator stores alarms and states, notifies SNS and evaluates composite alarms.

The emulator would evaluate metric alarms on every PutMetricData, without dimensions and periods. So it gets them
without their namespace, finds no data, and this module completes its responses.
A minute of an alarm can last less than a minute (`--alarm-minute`).
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sandbox.cloud import ROOT, Cloud
from sandbox.cloudwatch import alarm_rules, metrics_insights
from sandbox.cloudwatch.alarm_rules import Definition, Metric, Series, Unsupported
from sandbox.gateway.calls import AwsError, Call, Response
from sandbox.gateway.protocols import SERVICE, epoch
from sandbox.gateway.routes import Routes

logger = logging.getLogger(__name__)

MINUTE = 60  # seconds, in a definition
KEPT_MINUTES = 60  # of data, at least
LEAST_PAUSE = 0.5  # seconds
NOTE = "SandboxDefinition"  # a field that the emulator ignores
EMULATORS = {  # fields that the emulator's response has and a definition has not
    "AlarmArn",
    "ActionsEnabled",
    "StateValue",
    "StateReason",
    "StateReasonData",
    "StateUpdatedTimestamp",
    "StateTransitionedTimestamp",
    "AlarmConfigurationUpdatedTimestamp",
}

Point = tuple[float, list[float]]  # when, and which values


class Alarms:
    def __init__(self, cloud: Cloud, collect: Callable[[set[Metric]], None], minute: float) -> None:
        """`collect` puts the metrics of AWS services. It is called before each evaluation."""
        self._cloud, self._collect, self._minute = cloud, collect, minute
        self._definitions: dict[str, Definition] = {}
        self._states: dict[str, str] = {}
        self._in_alarm: dict[str, set[str]] = {}  # the contributors of an alarm that are in ALARM
        self._data: dict[Metric, deque[Point]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="alarms", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    # ------------------------------------------------------------------------------------------------ the API

    def routes(self) -> Routes:
        return Routes(
            requests={(SERVICE, "PutMetricAlarm"): self.without_namespace},
            handlers={
                (SERVICE, "PutMetricAlarm"): self.note,
                (SERVICE, "DescribeAlarms"): self.describe,
                (SERVICE, "DescribeAlarmsForMetric"): self.describe_for_metric,
                (SERVICE, "SetAlarmState"): self.note_state,
                (SERVICE, "DeleteAlarms"): self.forget,
                (SERVICE, "PutMetricData"): self.note_data,
            },
        )

    def without_namespace(self, call: Call) -> Call:
        """Returns PutMetricAlarm for the emulator. Raises AwsError if the sandbox cannot evaluate the alarm."""
        if call.access_key != ROOT.access_key:
            raise AwsError("AccessDenied", "The sandbox accepts alarms only from root")
        given = call.json
        definition = {name: value for name, value in given.items() if name != "Tags"}
        try:
            alarm_rules.check(definition)
        except Unsupported as error:
            raise AwsError("ValidationError", str(error)) from error
        kept = {name: value for name, value in given.items() if name not in ("Namespace", "Metrics")}
        return call.with_json(kept | {NOTE: definition})

    def note(self, call: Call, response: Response) -> Response:
        if response.ok:
            with self._lock:
                definition = call.json[NOTE]
                self._definitions[definition["AlarmName"]] = definition
                self._states.setdefault(definition["AlarmName"], alarm_rules.INSUFFICIENT_DATA)
        return response

    def note_state(self, call: Call, response: Response) -> Response:
        if response.ok and call.json["AlarmName"] in self._states:
            self._states[call.json["AlarmName"]] = call.json["StateValue"]
        return response

    def forget(self, call: Call, response: Response) -> Response:
        if response.ok:
            with self._lock:
                for name in call.json["AlarmNames"]:
                    self._definitions.pop(name, None)
                    self._states.pop(name, None)
                    self._in_alarm.pop(name, None)
        return response

    def describe(self, call: Call, response: Response) -> Response | dict[str, Any]:
        if not response.ok:
            return response
        return response.json | {"MetricAlarms": [self._completed(alarm) for alarm in response.json["MetricAlarms"]]}

    def describe_for_metric(self, call: Call, response: Response) -> Response | dict[str, Any]:
        """Returns the alarms of a metric, which the emulator does not find."""
        metric = alarm_rules.metric_of(call.json)
        names = [name for name, definition in self._definitions.items() if metric in metrics_of(definition)]
        if not (response.ok and names):
            return response
        found = self._cloud.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
        times = {"StateUpdatedTimestamp", "StateTransitionedTimestamp", "AlarmConfigurationUpdatedTimestamp"}
        return {
            "MetricAlarms": [
                {name: epoch(value) if name in times else value for name, value in alarm.items()} for alarm in found
            ]
        }

    def note_data(self, call: Call, response: Response) -> Response:
        if response.ok:
            with self._lock:
                for datum in call.json["MetricData"]:
                    metric = alarm_rules.metric_of(datum | {"Namespace": call.json["Namespace"]})
                    point = datum.get("Timestamp") or time.time(), values_of(datum)
                    self._data.setdefault(metric, deque()).append(point)
        return response

    def _completed(self, alarm: dict[str, Any]) -> dict[str, Any]:
        definition = self._definitions.get(alarm["AlarmName"])
        if definition is None:
            return alarm
        return definition | {name: value for name, value in alarm.items() if name in EMULATORS}

    # ---------------------------------------------------------------------------------------------- what comes of it

    def _run(self) -> None:
        pause = max(self._minute, LEAST_PAUSE)
        evaluated = int(time.time() // self._minute)  # minutes since the epoch
        while not self._stopped.wait(pause - time.time() % pause):
            definitions = dict(self._definitions)
            try:
                if definitions:
                    self._collect({metric for definition in definitions.values() for metric in metrics_of(definition)})
                over = int(time.time() // self._minute)
                for minute in range(evaluated + 1, over + 1):  # every minute, also on a slow machine
                    evaluated = minute
                    for definition in definitions.values():
                        self._evaluate(definition, minute * self._minute)
                self._forget_old_data(definitions)
            except Exception:  # the next minute is evaluated all the same
                if not self._stopped.is_set():
                    logger.exception("Alarms were not evaluated for this minute")

    def _evaluate(self, definition: Definition, ended: float) -> None:
        name = definition["AlarmName"]
        before = self._states.get(name)
        if before is None:
            return
        if query := metrics_insights.query_of(definition):
            self._evaluate_query(query, definition, before, ended)
            return
        found = {
            each: self._series(metric, statistic, definition, ended)
            for each, (metric, statistic) in alarm_rules.metrics(definition).items()
        }
        series = alarm_rules.watched(definition, found)
        became = alarm_rules.state(definition, series, before)
        if became != before:
            logger.info("Alarm %s changed to %s: %s", name, became, series)
            reason = alarm_rules.reason(definition, series, became)
            self._cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=became, StateReason=reason)

    def _evaluate_query(self, query: metrics_insights.Query, definition: Definition, before: str, ended: float) -> None:
        """Evaluates each contributor, and notifies of each that changed. One without data is OK and is forgotten."""
        name = definition["AlarmName"]
        selected = {
            contributor: series
            for metric in list(self._data)
            if (contributor := query.contributor(*metric)) is not None
            and set(series := self._series(metric, query.statistic, definition, ended)) != {None}
        }
        breaching = {
            contributor
            for contributor, series in selected.items()
            if alarm_rules.state(definition, series, alarm_rules.OK) == alarm_rules.ALARM
        }
        were, self._in_alarm[name] = self._in_alarm.get(name, set()), breaching
        became = alarm_rules.ALARM if breaching else alarm_rules.state(definition, [], before)
        if became != before:
            text = metrics_insights.reason(len(breaching), len(selected))
            self._cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=became, StateReason=text)
        for contributor in sorted(breaching - were)[: metrics_insights.MOST_IN_ALARM]:
            self._notify(query, name, contributor, alarm_rules.ALARM, alarm_rules.OK)
        for contributor in sorted(were - breaching):
            self._notify(query, name, contributor, alarm_rules.OK, alarm_rules.ALARM)

    def _notify(self, query: metrics_insights.Query, name: str, contributor: str, became: str, before: str) -> None:
        [alarm] = self._cloud.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        logger.info("Alarm %s: %s changed to %s", name, contributor, became)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        message = metrics_insights.notification(alarm, query, contributor, became, before, at)
        actions = "AlarmActions" if became == alarm_rules.ALARM else "OKActions"
        for topic in alarm.get(actions, []) if alarm.get("ActionsEnabled", True) else []:
            self._cloud.client("sns").publish(TopicArn=topic, Message=json.dumps(message))

    def _series(self, metric: Metric, statistic: str, definition: Definition, ended: float) -> Series:
        """Returns a value for each period, the newest last. Periods can begin at any minute."""
        length, count = self._lasts(alarm_rules.period(definition)), alarm_rules.periods_looked_at(definition)
        values: list[list[float]] = [[] for _ in range(count)]
        with self._lock:
            points = list(self._data.get(metric, ()))
        for moment, measured in points:
            age = (ended - moment) / length
            if 0 < age <= count:
                values[count - 1 - int(age - 1e-9)] += measured
        return [alarm_rules.STATISTICS[statistic](here) if here else None for here in values]

    def _lasts(self, seconds: float) -> float:
        """Returns how long this many seconds of an alarm definition last here."""
        return seconds / MINUTE * self._minute

    def _forget_old_data(self, definitions: dict[str, Definition]) -> None:
        longest = [alarm_rules.period(one) * alarm_rules.periods_looked_at(one) for one in definitions.values()]
        oldest = time.time() - self._lasts(max([*longest, KEPT_MINUTES * MINUTE])) - MINUTE
        with self._lock:
            for points in self._data.values():
                while points and points[0][0] < oldest:
                    points.popleft()


def metrics_of(definition: Definition) -> set[Metric]:
    return {metric for metric, _ in alarm_rules.metrics(definition).values()}


def values_of(datum: dict[str, Any]) -> list[float]:
    if "StatisticValues" in datum:
        summary = datum["StatisticValues"]
        count = int(summary["SampleCount"])
        return [summary["Minimum"], summary["Maximum"], *[summary["Sum"] / count] * (count - 2)][:count]
    if "Values" in datum:
        counts = datum.get("Counts") or [1] * len(datum["Values"])
        return [value for value, count in zip(datum["Values"], counts, strict=True) for _ in range(int(count))]
    return [datum["Value"]]
