"""The sandbox evaluates alarms as CloudWatch documents it."""

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


def an_alarm(**changes):
    alarm = {"Namespace": "N", "MetricName": "M", "Statistic": "Sum", "EvaluationPeriods": 1, "Threshold": 1}
    return alarm | {"ComparisonOperator": "GreaterThanOrEqualToThreshold"} | changes
