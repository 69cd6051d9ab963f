"""The sandbox evaluates alarms as CloudWatch documents it."""

import json
import threading
import time
from types import SimpleNamespace

import pytest

from sandbox.cloudwatch.alarm_rules import ALARM, INSUFFICIENT_DATA, OK, Unsupported, calculated, check, state
from sandbox.cloudwatch.alarms import NOTE, Alarms

RETAINED = "RETAINED"
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


@pytest.mark.parametrize("before", [OK, ALARM, INSUFFICIENT_DATA])
@pytest.mark.parametrize(
    ("to_alarm", "data", "expected"),
    [  # the tables of "Configuring how CloudWatch alarms treat missing data": 0 is fine, X is breaching, - is missing
        (3, "0-X-X", (OK, OK, OK, OK)),
        (3, "0----", (OK, OK, OK, OK)),
        (3, "-----", (INSUFFICIENT_DATA, RETAINED, ALARM, OK)),
        (3, "0XX-X", (ALARM, ALARM, ALARM, ALARM)),
        (3, "--X--", (ALARM, RETAINED, ALARM, OK)),
        (3, "----X", (RETAINED, RETAINED, ALARM, OK)),
        (3, "---X-", (RETAINED, RETAINED, ALARM, OK)),
        (2, "0-X-X", (ALARM, ALARM, ALARM, ALARM)),
        (2, "00X0X", (ALARM, ALARM, ALARM, ALARM)),
        (2, "0-X--", (OK, OK, ALARM, OK)),
        (2, "----0", (OK, OK, ALARM, OK)),
        (2, "---X-", (ALARM, RETAINED, ALARM, OK)),
    ],
)
def test_missing_data_is_treated_as_cloudwatch_documents_it(to_alarm, data, expected, before):
    series = [{"0": 0, "X": 1, "-": None}[each] for each in data]
    found = [
        state(an_alarm(EvaluationPeriods=3, DatapointsToAlarm=to_alarm, TreatMissingData=treatment), series, before)
        for treatment in TREATMENTS
    ]

    assert found == [before if each == RETAINED else each for each in expected]


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        ("GreaterThanOrEqualToThreshold", [OK, ALARM, ALARM]),
        ("GreaterThanThreshold", [OK, OK, ALARM]),
        ("LessThanThreshold", [ALARM, OK, OK]),
        ("LessThanOrEqualToThreshold", [ALARM, ALARM, OK]),
    ],
)
def test_a_datapoint_is_compared_with_the_threshold(comparison, expected):
    alarm = an_alarm(EvaluationPeriods=1, ComparisonOperator=comparison)

    assert [state(alarm, [value], OK) for value in (0, 1, 2)] == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("SUM(METRICS())", [1, 3, None]),
        ("FILL(SUM(METRICS()), 0)", [1, 3, 0]),
        ("SUM(FILL(METRICS(), 5))", [6, 3, 10]),
        ("m1", [1, 1, None]),
    ],
)
def test_metrics_are_added_up_where_there_are_any(expression, expected):
    assert calculated(expression, {"m1": [1, 1, None], "m2": [None, 2, None]}) == expected


@pytest.mark.parametrize(
    "unknown",
    [
        {"ExtendedStatistic": "p99"},
        {"Statistic": "IQM"},
        {"ComparisonOperator": "GreaterThanUpperThreshold"},
        {"Metrics": [{"Id": "e", "Expression": "ANOMALY_DETECTION_BAND(m1)"}]},
        {"Metrics": [{"Id": "e", "Period": 60, "Expression": 'SELECT MAX(M) FROM SCHEMA("N", p) GROUP BY p'}]},
    ],
)
def test_an_alarm_that_the_sandbox_cannot_evaluate_is_refused(unknown):
    check(an_alarm())

    with pytest.raises(Unsupported):
        check(an_alarm() | unknown)


def test_no_minute_is_left_out_however_slow_the_machine_is():
    """CloudWatch evaluates each, and what was breaching in one that nobody had time for is told all the same."""
    fired, rule = threading.Event(), an_alarm(AlarmName="one", Period=60, TreatMissingData="notBreaching")
    client = SimpleNamespace(set_alarm_state=lambda StateValue, **_: StateValue == ALARM and fired.set())
    slow = Alarms(SimpleNamespace(client=lambda _: client), lambda _: time.sleep(1), minute=0.2)
    fine = SimpleNamespace(ok=True)
    slow.note(SimpleNamespace(json={NOTE: rule}), fine)

    slow.note_data(SimpleNamespace(json={"Namespace": "N", "MetricData": [{"MetricName": "M", "Value": 1.0}]}), fine)

    assert fired.wait(30)
    slow.stop()


OF_ALL = 'SELECT MAX(M) FROM SCHEMA("N", pipeline) GROUP BY pipeline ORDER BY MAX() DESC'


class Aws:
    """Notes states of alarms and messages of topics."""

    def __init__(self, enabled=True):
        self.enabled, self.states, self.messages = enabled, [], []

    def client(self, _):
        return self

    def set_alarm_state(self, AlarmName, StateValue, StateReason):
        self.states.append((StateValue, StateReason))

    def describe_alarms(self, AlarmNames):
        arn = f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{AlarmNames[0]}"
        actions = {"AlarmActions": ["topic"], "OKActions": ["topic"], "ActionsEnabled": self.enabled}
        return {"MetricAlarms": [{"AlarmName": AlarmNames[0], "AlarmArn": arn, **actions}]}

    def publish(self, TopicArn, Message):
        message = json.loads(Message)
        self.messages.append(
            (message["AlarmContributorAttributes"], message["OldStateValue"], message["NewStateValue"])
        )


@pytest.fixture
def of_all():
    """An alarm of all pipelines whose minutes pass when a test says so."""

    def make(aws):
        alarms = Alarms(aws, lambda _: None, minute=1000)
        alarms.stop()
        fine, rule = SimpleNamespace(ok=True), an_alarm(AlarmName="all", TreatMissingData="notBreaching")
        del rule["Namespace"], rule["MetricName"], rule["Statistic"]
        rule["Metrics"] = [{"Id": "q", "Period": 60, "Expression": OF_ALL}]
        check(rule)
        alarms.note(SimpleNamespace(json={NOTE: rule}), fine)
        alarms.note_state(SimpleNamespace(json={"AlarmName": "all", "StateValue": OK}), fine)

        def evaluate(at, failing, **others):
            data = [datum("M", at * 1000 - 1, pipeline=name) for name in failing]
            data += [datum(name, at * 1000 - 1, **dimensions) for name, dimensions in others.items()]
            alarms.note_data(SimpleNamespace(json={"Namespace": "N", "MetricData": data}), fine)
            alarms._evaluate(rule, at * 1000)
            if aws.states:
                alarms.note_state(SimpleNamespace(json={"AlarmName": "all", "StateValue": aws.states[-1][0]}), fine)

        return evaluate

    return make


def datum(name, at, **dimensions):
    described = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    return {"MetricName": name, "Value": 1.0, "Timestamp": at, "Dimensions": described}


def test_an_alarm_of_all_pipelines_notifies_of_each(of_all):
    aws = Aws()
    evaluate = of_all(aws)

    evaluate(10, ["a"])
    evaluate(11, ["a", "b"])
    evaluate(12, ["a", "b"])
    evaluate(13, ["b"])
    evaluate(17, [])

    assert aws.messages == [
        ({"pipeline": "a"}, OK, ALARM),
        ({"pipeline": "b"}, OK, ALARM),
        ({"pipeline": "a"}, ALARM, OK),
        ({"pipeline": "b"}, ALARM, OK),
    ]
    assert [became for became, _ in aws.states] == [ALARM, OK]
    assert aws.states[0][1] == "1 out of 1 time series evaluated to ALARM"


def test_a_query_selects_only_metrics_with_exactly_its_dimensions(of_all):
    aws = Aws()

    of_all(aws)(10, [], M={"pipeline": "a", "stage": "X"}, Other={"pipeline": "a"})

    assert (aws.messages, aws.states) == ([], [])


def test_a_muted_alarm_of_all_pipelines_notifies_of_none(of_all):
    aws = Aws(enabled=False)

    of_all(aws)(10, ["a"])

    assert (aws.messages, [became for became, _ in aws.states]) == ([], [ALARM])


def an_alarm(**changes):
    alarm = {"Namespace": "N", "MetricName": "M", "Statistic": "Sum", "EvaluationPeriods": 1, "Threshold": 1}
    return alarm | {"ComparisonOperator": "GreaterThanOrEqualToThreshold"} | changes
