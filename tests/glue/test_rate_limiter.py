"""How fast the job may read. No Spark, no AWS, no real time."""

import pytest

from table_export_job.reading import RateLimiter, read_rate


class Clock:
    """Time passes only by sleeping, or when a test says so."""

    def __init__(self):
        self.now, self.slept = 100.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def pay(limiter, units, items):
    limiter.charge(units, items)
    limiter.wait()


def test_what_a_page_consumed_is_waited_for_at_the_rate(clock):
    limiter = RateLimiter(50, 1, clock, clock.sleep)

    pay(limiter, 100, items=10)
    pay(limiter, 25, items=10)

    assert clock.slept == [2.0, 0.5]


def test_the_time_that_reading_took_counts(clock):
    limiter = RateLimiter(50, 1, clock, clock.sleep)

    clock.now += 1.5
    pay(limiter, 100, items=10)

    assert clock.slept == [0.5]


def test_a_slow_reader_saves_nothing_up(clock):
    limiter = RateLimiter(50, 1, clock, clock.sleep)

    clock.now += 60
    pay(limiter, 100, items=10)
    pay(limiter, 100, items=10)

    assert clock.slept == [2.0]


def test_over_many_uneven_pages_the_rate_is_held(clock):
    limiter, pages = RateLimiter(7, 1, clock, clock.sleep), [128, 0.5, 3, 128, 64.5, 1] * 20

    for units in pages:
        clock.now += 0.01
        pay(limiter, units, items=10)

    assert sum(pages) / (clock.now - 100) == pytest.approx(7, rel=0.01)


def test_a_page_holds_the_items_that_five_seconds_pay_for(clock):
    limiter = RateLimiter(10, 0.5, clock, clock.sleep)
    assert limiter.items_per_page == 100

    pay(limiter, 50, items=10)
    assert limiter.items_per_page == 10

    pay(limiter, 1000, items=10)
    assert limiter.items_per_page == 1


def test_an_empty_page_says_nothing_of_what_items_cost(clock):
    limiter = RateLimiter(10, 0.5, clock, clock.sleep)

    pay(limiter, 0.5, items=0)

    assert limiter.items_per_page == 100


PROVISIONED = {"ProvisionedThroughput": {"ReadCapacityUnits": 400}}
ON_DEMAND = {
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "ProvisionedThroughput": {"ReadCapacityUnits": 0},
}


@pytest.mark.parametrize(
    ("table", "percentage", "cap", "rate"),
    [
        pytest.param(PROVISIONED, 0.25, 0, 100, id="provisioned"),
        pytest.param(PROVISIONED, 1.0, 60, 60, id="capped"),
        pytest.param(PROVISIONED, 0.1, 60, 40, id="below its cap"),
        pytest.param(ON_DEMAND | {"WarmThroughput": {"ReadUnitsPerSecond": 20_000}}, 0.5, 0, 10_000, id="on-demand"),
        pytest.param(ON_DEMAND, 0.25, 0, 3_000, id="on-demand, warm throughput unknown"),
        pytest.param(
            ON_DEMAND | {"WarmThroughput": {"ReadUnitsPerSecond": 0}}, 0.25, 0, 3_000, id="on-demand, none given"
        ),
        pytest.param(
            ON_DEMAND | {"OnDemandThroughput": {"MaxReadRequestUnits": 1_000}},
            0.5,
            0,
            500,
            id="on-demand with a maximum",
        ),
        pytest.param(
            ON_DEMAND | {"OnDemandThroughput": {"MaxReadRequestUnits": -1}}, 0.5, 0, 6_000, id="on-demand, no maximum"
        ),
    ],
)
def test_the_rate_is_a_share_of_the_tables_capacity(table, percentage, cap, rate):
    assert read_rate(table, percentage, cap) == rate
