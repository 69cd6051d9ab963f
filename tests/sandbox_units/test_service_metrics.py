"""Metrics that the sandbox reads from the logs of functions."""

import json

from sandbox.cloudwatch.service_metrics import embedded, errors


def test_embedded_metrics_have_each_of_their_dimension_sets():
    line = {
        "_aws": {
            "Timestamp": 1795497921719,
            "CloudWatchMetrics": [
                {"Namespace": "N", "Dimensions": [["a"], ["a", "b"]], "Metrics": [{"Name": "M", "Unit": "Count"}]}
            ],
        },
        "a": "1",
        "b": 2,
        "M": [3.0, 4.0],
    }

    found = [datum for _, datum in embedded([{"message": json.dumps(line)}, {"message": "START"}])]

    assert [[(d["Name"], d["Value"]) for d in datum["Dimensions"]] for datum in found] == [
        [("a", "1")],
        [("a", "1"), ("b", "2")],
    ]
    assert [(datum["Values"], datum["Timestamp"]) for datum in found] == [([3.0, 4.0], 1795497921.719)] * 2


def test_a_traceback_in_the_log_is_an_error_of_the_function_that_it_shows():
    lines = [
        "START",
        "Traceback (most recent call last):",
        '  File "/tmp/ministack-lambda-table-exports-start_export-rijnj87x/_worker.py", line 128, in run',
        "Traceback (most recent call last):",
        '  File "/tmp/ministack-lambda-table-exports-start_export-rijnj87x/_worker.py", line 130, in run',
    ]

    found = list(errors([{"logStreamName": "s", "message": line} for line in lines]))

    assert [(namespace, datum["Dimensions"], datum["Values"]) for namespace, datum in found] == [
        ("AWS/Lambda", [{"Name": "FunctionName", "Value": "table-exports-start_export"}], [1.0])
    ]
