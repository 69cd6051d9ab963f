"""The service that plans a read and the job that reads share no code, but must agree on how fast they may."""

import pytest

from table_export_job.reading import READ_UNIT_BYTES, read_rate
from table_export_job.rounds import PARTITION_UNITS
from table_exports.domain import reading
from table_exports.domain.reading import Table

PROVISIONED = {"ProvisionedThroughput": {"ReadCapacityUnits": 400}}
ON_DEMAND = {
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "ProvisionedThroughput": {"ReadCapacityUnits": 0},
}
WARM = {"WarmThroughput": {"ReadUnitsPerSecond": 20_000}}

CASES = [
    pytest.param(PROVISIONED, 0.25, 0, 100, id="provisioned"),
    pytest.param(PROVISIONED | WARM, 0.25, 0, 100, id="provisioned, and warm for more"),
    pytest.param(PROVISIONED, 1.0, 60, 60, id="capped"),
    pytest.param(PROVISIONED, 0.1, 60, 40, id="below its cap"),
    pytest.param(ON_DEMAND | WARM, 0.5, 0, 10_000, id="on demand"),
    pytest.param(ON_DEMAND | WARM, 0.5, 0.5, 0.5, id="on demand, capped"),
    pytest.param(ON_DEMAND, 0.25, 0, 3_000, id="on demand, warm throughput unknown"),
    pytest.param(ON_DEMAND | {"WarmThroughput": {"ReadUnitsPerSecond": 0}}, 0.25, 0, 3_000, id="on demand, none given"),
    pytest.param(
        ON_DEMAND | {"OnDemandThroughput": {"MaxReadRequestUnits": 1_000}}, 0.5, 0, 500, id="on demand with a maximum"
    ),
    pytest.param(
        ON_DEMAND | {"OnDemandThroughput": {"MaxReadRequestUnits": -1}}, 0.5, 0, 6_000, id="on demand, no maximum"
    ),
]


@pytest.mark.parametrize(("table", "percentage", "cap", "rate"), CASES)
def test_the_planned_rate_is_the_rate_of_the_job(table, percentage, cap, rate):
    assert read_rate(table, percentage, cap) == rate
    assert Table.described({"TableSizeBytes": 0} | table, {}).read_rate(percentage, cap) == rate


def test_both_count_the_same_bytes_for_a_read_unit():
    assert READ_UNIT_BYTES == reading.READ_UNIT_BYTES


def test_both_know_the_same_maximum_of_a_partition():
    assert PARTITION_UNITS == reading.PARTITION_UNITS
