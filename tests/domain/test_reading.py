"""How a table is read, and what that costs: at 1 GB, 131,072 read units, two DPUs and prices of August 2026."""

import re
from decimal import Decimal

import pytest
from examples import a_pipeline, a_table

from table_exports.domain.errors import PermanentError
from table_exports.domain.reading import GB, MB, Table, plan_read

QUARTER = Decimal("0.25")
PROVISIONED = {"on_demand": False, "read_units": 400}  # a quarter of it: 100 units per second


def plan(table=None, percentage=QUARTER, **configured):
    return plan_read(a_table(**table or {}), a_pipeline(**configured), percentage)


@pytest.mark.parametrize(
    ("table", "configured", "cost"),
    [
        # 131,072 units at $0.125 a million, and 43.7 s of two DPUs at $0.44 an hour.
        pytest.param({}, {}, "0.0271", id="on demand"),
        pytest.param({}, {"dpus": 20}, "0.1232", id="on demand, twenty DPUs"),
        pytest.param({}, {"read_capacity_cap": Decimal(300)}, "0.1232", id="on demand, capped"),
        # The capacity is paid for: what costs are 1,311 s of the two DPUs.
        pytest.param(PROVISIONED, {}, "0.3204", id="provisioned"),
        pytest.param({"bytes": 0}, {}, "0", id="empty, or loaded within six hours"),
    ],
)
def test_a_scan_costs_read_units_on_demand_and_the_workers_time(table, configured, cost):
    found = plan(table, read_mode="scan", **configured)

    assert (found.mode, found.cost_usd) == ("scan", Decimal(cost))


@pytest.mark.parametrize("table", [{}, PROVISIONED])
def test_a_table_export_costs_the_same_however_fast_the_table(table):
    assert plan(table, read_mode="export").cost_usd == Decimal("0.1000")


@pytest.mark.parametrize(
    ("table", "configured", "mode", "reason"),
    [
        pytest.param({}, {}, "scan", "would not save enough", id="the scan is cheaper"),
        pytest.param(PROVISIONED, {}, "export", "is cheaper", id="the table export is cheaper"),
        pytest.param(
            PROVISIONED | {"point_in_time_recovery": False}, {}, "scan", "recovery is off", id="cheaper, but impossible"
        ),
        pytest.param(
            PROVISIONED | {"bytes": 100 * MB}, {}, "scan", "would not save enough", id="cheaper by two cents only"
        ),
        pytest.param({"bytes": 0}, {}, "scan", "would not save enough", id="nothing to read"),
        pytest.param({"bytes": 500 * GB}, {}, "export", "too slow", id="a scan of six hours in a job of eight"),
        pytest.param(
            {"bytes": 300 * GB}, {}, "scan", "would not save enough", id="a scan of under four hours in a job of eight"
        ),
        pytest.param(
            {"bytes": 500 * GB, "point_in_time_recovery": False}, {}, "scan", "recovery is off", id="no choice"
        ),
        pytest.param({}, {"read_mode": "export"}, "export", "ReadMode is export", id="export as asked"),
        pytest.param(PROVISIONED, {"read_mode": "scan"}, "scan", "ReadMode is scan", id="scan as asked"),
        pytest.param(
            PROVISIONED | {"bytes": 100 * MB},
            {"max_read_cost": Decimal("0.02")},
            "export",
            "is cheaper",
            id="cheaper by two cents, and the budget wants them",
        ),
    ],
)
def test_the_way_to_read_follows_from_table_and_pipeline(table, configured, mode, reason):
    found = plan(table, **configured)

    assert found.mode == mode
    assert reason in found.why


def test_the_reason_is_one_sentence_with_both_prices():
    assert plan().why == (
        "By scan, because the table export would not save enough: a scan at 3000 read units per second would take "
        "44 s and "
        "cost about $0.03; a table export of 1.0 GB would cost about $0.10"
    )


def test_a_slow_scan_is_said_to_be_slow_also_where_there_is_no_choice():
    found = plan({"bytes": 500 * GB, "point_in_time_recovery": False})

    assert "would take 6.1 h, more than half of the job's timeout, and cost" in found.why


@pytest.mark.parametrize(
    ("table", "configured", "recovery"),
    [
        ({"point_in_time_recovery": False}, {}, "off"),
        ({"point_in_time_recovery": True}, {"read_mode": "scan"}, "on"),
    ],
)
def test_a_scan_that_cannot_end_within_the_jobs_timeout_is_refused_before_it_is_paid_for(table, configured, recovery):
    with pytest.raises(PermanentError) as refusal:
        plan(table | {"bytes": 700 * GB}, **configured)  # 8.5 hours

    assert str(refusal.value) == (
        "Table Reviews cannot be scanned within the job's timeout of 480 minutes: a scan at 3000 read units per second "
        "would take 8.5 h, more than half of the job's timeout, and cost about $18.94. Deploy the table stack with "
        "TimeoutMinutes above 510 or a ReadPercentage above 0.25, up to 1, or read by a table export (ReadMode auto, "
        f"point-in-time recovery on; it is {recovery}): a table export of 700.0 GB would cost about $70.00"
    )


def test_a_scan_that_needs_more_than_glues_longest_timeout_is_not_advised_to_have_it():
    with pytest.raises(PermanentError) as refusal:
        plan({"bytes": 20_000 * GB, "point_in_time_recovery": False})

    assert "Deploy the table stack with a ReadPercentage above 0.25, up to 1, and TimeoutMinutes above" in str(
        refusal.value
    )


@pytest.mark.parametrize("cap", [0, 500])
@pytest.mark.parametrize("share", [None, "0.3", "0.9"])
@pytest.mark.parametrize("gigabytes", [100, 200, 700, 5_000, 20_000])
def test_what_a_refused_scan_is_advised_to_change_lets_it_go_ahead(gigabytes, share, cap):
    table = {"bytes": gigabytes * GB, "point_in_time_recovery": False}
    configured = {"hot_share": share and Decimal(share), "read_capacity_cap": cap, "timeout_minutes": 60}
    with pytest.raises(PermanentError) as refusal:
        plan(table, **configured)

    advice = str(refusal.value).partition("Deploy the table stack with ")[2].partition(", or read by")[0]
    for change in filter(None, advice.split(" or ")):
        minutes = re.search(r"TimeoutMinutes above (\d+)", change)
        changed = {"timeout_minutes": int(minutes[1]) + 1} if minutes else {}
        if "ReadPercentage" in change:
            changed["percentage"] = Decimal(1)
        if "without the ReadCapacityCap" in change:
            changed["read_capacity_cap"] = 0
        assert plan(table, **configured | changed).mode == "scan", change


@pytest.mark.parametrize("minutes", [511, 10_080])
def test_a_scan_that_ends_within_the_timeout_goes_ahead(minutes):
    assert plan({"bytes": 700 * GB}, read_mode="scan", timeout_minutes=minutes).mode == "scan"


def test_a_table_that_is_too_large_to_scan_is_exported_where_that_is_possible():
    assert plan({"bytes": 700 * GB}).mode == "export"


def test_an_export_without_point_in_time_recovery_is_refused_with_the_remedy():
    with pytest.raises(
        PermanentError, match=r"recovery of table Reviews is off: enable it, or deploy .* ReadMode auto or"
    ):
        plan({"point_in_time_recovery": False}, read_mode="export")


def test_a_read_within_its_budget_goes_ahead():
    assert plan(max_read_cost=Decimal("0.03")).mode == "scan"
    assert plan(max_read_cost=Decimal(0)).mode == "scan"


@pytest.mark.parametrize(
    ("table", "configured", "words"),
    [
        (
            {},
            {"max_read_cost": Decimal("0.01")},
            "Reading table Reviews would cost about $0.03, above the budget of $0.01: deploy the table stack with "
            "MaxReadCost 0.028 or more. By scan",
        ),
        (
            PROVISIONED | {"point_in_time_recovery": False},
            {"max_read_cost": Decimal("0.2")},
            "about $0.32, above the budget of $0.2: deploy the table stack with MaxReadCost 0.33 or more, or read by a "
            "table export (ReadMode auto, point-in-time recovery on). By scan",
        ),
        (
            {},
            {"read_mode": "export", "max_read_cost": Decimal("0.05")},
            "about $0.10, above the budget of $0.05: deploy the table stack with MaxReadCost 0.1 or more, or read by a "
            "scan (ReadMode scan). By table export",
        ),
    ],
)
def test_a_read_above_its_budget_is_refused_with_price_and_remedy(table, configured, words):
    with pytest.raises(PermanentError) as refusal:
        plan(table, **configured)

    assert words in str(refusal.value)


@pytest.mark.parametrize("size", [1, 77, 100 * 1024, 3 * MB, GB, 37 * GB, 5_000 * GB])
def test_the_budget_that_a_refusal_names_is_one_that_the_stack_takes_and_suffices(size):
    with pytest.raises(PermanentError) as refusal:
        plan({"bytes": size}, read_mode="scan", max_read_cost=Decimal("1E-15"), timeout_minutes=10_080)

    named = re.search(
        r"above the budget of \$0\.000000000000001: deploy .* MaxReadCost (\S+) or more", str(refusal.value)
    )
    assert re.fullmatch(r"\d+(\.\d+)?", named[1])
    enough = {"max_read_cost": Decimal(named[1]), "timeout_minutes": 10_080}
    assert plan({"bytes": size}, read_mode="scan", **enough).mode == "scan"


def test_what_dynamodb_says_of_its_backups_tells_whether_an_export_is_possible():
    table = {"TableSizeBytes": 5, "ProvisionedThroughput": {"ReadCapacityUnits": 7}}
    on = {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"},
    }
    off = on | {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"}}

    assert Table.described(table, on) == Table(bytes=5, on_demand=False, read_units=7, point_in_time_recovery=True)
    assert not Table.described(table, off).point_in_time_recovery
    assert not Table.described(table, {"ContinuousBackupsStatus": "DISABLED"}).point_in_time_recovery


LARGE = {
    "bytes": 500 * GB,
    "read_units": 40_000,
    "point_in_time_recovery": False,
}  # 10,000 units per second


@pytest.mark.parametrize(
    ("share", "took"),
    [(None, "1.8 h and"), ("0", "1.8 h and"), ("0.25", "1.8 h (one partition key had 25%"), ("0.5", "3.0 h (one part")],
)
def test_a_scan_takes_as_long_as_one_task_reads_the_hot_key(share, took):
    """One segment is read at 3,000 units per second at most, because it is in one partition at a time."""
    found = plan(LARGE, hot_share=share and Decimal(share))

    assert f"at 10000 read units per second would take {took}" in found.why


def test_the_hot_key_of_the_last_scan_counts_for_the_jobs_timeout():
    assert plan(LARGE, timeout_minutes=120).mode == "scan"
    with pytest.raises(PermanentError, match=r"one partition key had 50% of the last scan.*read by a table export"):
        plan(LARGE, timeout_minutes=120, hot_share=Decimal("0.5"))


def test_where_the_rate_is_low_a_hot_key_takes_no_longer():
    slow = {"bytes": GB, "on_demand": False, "read_units": 400}

    assert plan(slow, hot_share=Decimal("0.9")).cost_usd == plan(slow).cost_usd
