from datetime import timedelta

import pytest
from examples import NOW, a_pipeline, an_export, ends

from table_exports.domain.pipeline import LONGEST_REASON, End
from table_exports.domain.reports import health
from table_exports.domain.stages import Stage

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def scheduled(interval=DAY, since=NOW - 30 * DAY, **more):
    return a_pipeline(scheduled=True, scheduled_since=since, interval_seconds=int(interval.total_seconds()), **more)


@pytest.mark.parametrize(
    ("recent", "failing"),
    [((), False), (ends(1), False), (ends(1, 2, last=Stage.FAILED), True), (ends(1, last=Stage.FAILED), True)],
)
def test_a_pipeline_is_failing_from_a_failure_to_the_next_success(recent, failing):
    assert health.is_failing(a_pipeline(recent=recent)) is failing


@pytest.mark.parametrize(
    ("interval", "not_yet", "stale"),
    [
        (timedelta(minutes=15), timedelta(minutes=74), timedelta(minutes=76)),  # at least an hour of slack
        (HOUR, 119 * HOUR / 60, 121 * HOUR / 60),
        (DAY, 35 * HOUR, 37 * HOUR),
        (7 * DAY, 8 * DAY - HOUR, 8 * DAY + HOUR),  # at most a day
    ],
)
def test_a_scheduled_pipeline_is_stale_when_it_has_not_succeeded_within_its_interval_and_some(interval, not_yet, stale):
    assert not health.is_stale(scheduled(interval, last_succeeded_at=NOW - not_yet), NOW)
    assert health.is_stale(scheduled(interval, last_succeeded_at=NOW - stale), NOW)


def test_a_pipeline_that_never_succeeded_is_stale_some_time_after_its_schedule_began():
    assert not health.is_stale(scheduled(since=NOW - DAY), NOW)
    assert health.is_stale(scheduled(since=NOW - 2 * DAY), NOW)


def test_a_schedule_that_was_enabled_a_moment_ago_makes_no_old_pipeline_stale():
    assert not health.is_stale(scheduled(since=NOW - HOUR, last_succeeded_at=NOW - 90 * DAY), NOW)


def test_a_pipeline_without_a_schedule_is_never_stale():
    assert not health.is_stale(a_pipeline(last_succeeded_at=NOW - 900 * DAY), NOW)
    assert not health.is_stale(scheduled(timedelta(0), last_succeeded_at=NOW - 900 * DAY), NOW)  # of one firing


def test_an_operator_may_say_when_a_pipeline_is_stale():
    patient = scheduled(last_succeeded_at=NOW - 47 * HOUR, stale_after_seconds=48 * 3600)

    assert not health.is_stale(patient, NOW)
    assert health.is_stale(patient, NOW + 2 * HOUR)


@pytest.mark.parametrize(("recent", "usual"), [((), None), (ends(100, 100), None), (ends(90, 4000, 110), 110)])
def test_the_usual_time_is_the_median_of_the_last_successes(recent, usual):
    assert health.usual_seconds(a_pipeline(recent=recent)) == usual


def test_failures_say_nothing_about_the_usual_time():
    assert health.usual_seconds(a_pipeline(recent=ends(1, 2, 3, last=Stage.FAILED))) is None


@pytest.mark.parametrize(
    ("usual", "minutes", "slow"),
    [
        (60, 30, False),  # a minute, and half an hour of grace
        (60, 32, True),
        (3600, 179, False),  # an hour: three times as long is slow
        (3600, 181, True),
    ],
)
def test_an_export_is_slow_when_it_takes_far_longer_than_its_predecessors(usual, minutes, slow):
    export = an_export(requested_at=NOW - timedelta(minutes=minutes))

    assert health.is_slow(a_pipeline(recent=ends(usual, usual, usual)), export, NOW) is slow


def test_without_predecessors_no_export_is_slow():
    assert not health.is_slow(a_pipeline(), an_export(requested_at=NOW - 9 * DAY), NOW)


def test_a_resumed_export_is_as_slow_as_it_was_since():
    failed = an_export(requested_at=NOW - 9 * DAY).fail("no luck", NOW - 8 * DAY)
    resumed = failed.resume("by-me", 2, NOW - timedelta(minutes=5))

    assert resumed.seconds(NOW) == 300
    assert not health.is_slow(a_pipeline(recent=ends(60, 60, 60)), resumed, NOW)


def test_a_head_remembers_the_beginning_of_a_long_reason():
    end = End.of(an_export().fail("x" * 1000, NOW))

    assert len(end.reason) == LONGEST_REASON
    assert end.reason.endswith("x…")
