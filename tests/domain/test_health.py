from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from examples import NOW, a_pipeline, an_export, ends

from table_exports.domain import schedules
from table_exports.domain.pipeline import LONGEST_REASON, End
from table_exports.domain.reports import health
from table_exports.domain.stages import Stage

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def scheduled(expression="cron(0 4 * * ? *)", zone="UTC", since=NOW - 90 * DAY, **more):
    schedule = {"schedule_expression": expression, "schedule_time_zone": zone, "scheduled_since": since}
    return a_pipeline(scheduled=True, **schedule, **more)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("recent", "failing"),
    [((), False), (ends(1), False), (ends(1, 2, last=Stage.FAILED), True), (ends(1, last=Stage.FAILED), True)],
)
def test_a_pipeline_is_failing_from_a_failure_to_the_next_success(recent, failing):
    assert health.is_failing(a_pipeline(recent=recent)) is failing


# Each row: expression, time zone, the last success, how long exports take, when the pipeline becomes stale.
STALE_FROM = [
    # half the time until the next run, at least an hour and at most a day
    ("cron(0/15 * * * ? *)", "UTC", "2026-11-23T02:03", 0, "2026-11-23T03:15"),
    ("cron(0 * * * ? *)", "UTC", "2026-11-23T02:03", 0, "2026-11-23T04:00"),
    ("cron(0 0/6 * * ? *)", "UTC", "2026-11-23T00:03", 0, "2026-11-23T09:00"),
    ("cron(0 4 * * ? *)", "UTC", "2026-11-23T04:03", 0, "2026-11-24T16:00"),
    ("cron(0 4 ? * MON *)", "UTC", "2026-11-23T04:03", 0, "2026-12-01T04:00"),
    # a run on Friday is followed by one on Monday
    ("cron(0 4 ? * MON-FRI *)", "UTC", "2026-11-26T04:03", 0, "2026-11-28T04:00"),
    ("cron(0 4 ? * MON-FRI *)", "UTC", "2026-11-27T04:03", 0, "2026-11-30T16:00"),
    # an export that usually takes 14 hours is not late after 12
    ("cron(0 4 * * ? *)", "UTC", "2026-11-23T18:00", 14, "2026-11-25T06:00"),
    # a rate counts from the last success at the latest
    ("rate(15 minutes)", "UTC", "2026-11-23T02:03", 0, "2026-11-23T03:18"),
    ("rate(7 days)", "UTC", "2026-11-23T02:03", 0, "2026-12-01T02:03"),
    # the time zone's
    ("cron(0 4 * * ? *)", "America/New_York", "2026-11-23T09:03", 0, "2026-11-24T21:00"),
    # clocks go forward, and the run of 2027-03-28 is skipped
    ("cron(0 2 * * ? *)", "Europe/Zurich", "2027-03-27T01:03", 0, "2027-03-29T12:00"),
    # clocks go back
    ("cron(30 2 * * ? *)", "Europe/Zurich", "2026-10-25T00:33", 0, "2026-10-26T13:30"),
    # a season, its last run and the first one of the next year
    ("cron(0/15 * ? 11-12 * *)", "UTC", "2026-12-31T23:20", 0, "2027-01-01T00:30"),
    ("cron(0/15 * ? 11-12 * *)", "UTC", "2026-12-31T23:50", 0, "2027-11-01T01:00"),
    # the last day of the week, and the last weekday of the month
    ("cron(0 2 ? * L *)", "UTC", "2026-11-28T02:03", 0, "2026-12-06T02:00"),
    ("cron(0 2 LW * ? *)", "UTC", "2026-11-30T02:03", 0, "2027-01-01T02:00"),
    # a run that no other follows
    ("at(2026-12-01T04:00:00)", "UTC", "2026-11-23T02:03", 0, "2026-12-02T04:00"),
    ("at(2026-11-01T04:00:00)", "UTC", "2026-11-23T02:03", 0, None),
    ("cron(0 3 1 1 ? 2020-2025)", "UTC", "2026-11-23T02:03", 0, None),
]


@pytest.mark.parametrize(("expression", "zone", "succeeded", "hours", "stale"), STALE_FROM)
def test_a_pipeline_is_stale_when_a_scheduled_run_is_late(expression, zone, succeeded, hours, stale):
    pipeline = scheduled(expression, zone, last_succeeded_at=at(succeeded), recent=ends(*[hours * 3600] * 3))

    assert health.stale_from(pipeline) == (stale and at(stale))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("minutes", [3, 600])
@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 2 * * ? *)",
        "cron(30 1-3 * * ? *)",
        "cron(0 0/6 ? * MON-FRI *)",
        "cron(0 2 ? * L *)",
        "cron(0 2 LW * ? *)",
        "cron(0 2 ? 3,11 SUN *)",
        "cron(0 2/3 1W 11-2 ? *)",
    ],
)
def test_a_pipeline_whose_runs_succeed_is_never_stale_and_a_missed_run_always_makes_it_stale(expression, minutes, zone):
    schedule, run = schedules.parse(expression, zone), at("2026-01-01T00:00")
    pipeline = scheduled(expression, zone, since=run, recent=ends(*[minutes * 60] * 3))
    duration = timedelta(minutes=minutes)
    for _ in range(400):
        succeeded = run + duration
        # A run that is requested while an export is running is skipped.
        following = schedule.after(succeeded, succeeded)
        stale = health.stale_from(replace(pipeline, last_succeeded_at=succeeded))

        assert following + duration + HOUR <= stale <= following + duration + DAY
        run = following


def test_a_pipeline_is_stale_from_that_moment_until_it_succeeds():
    succeeded = at("2026-11-23T04:03")
    pipeline = scheduled("cron(0 4 * * ? *)", last_succeeded_at=succeeded)

    assert not health.is_stale(pipeline, at("2026-11-24T16:00"))
    assert health.is_stale(pipeline, at("2026-11-24T16:01"))
    assert not health.is_stale(replace(pipeline, last_succeeded_at=at("2026-11-24T16:02")), at("2026-11-24T16:03"))


@pytest.mark.parametrize("expression", ["cron(0 4 1 6 ? *)", "cron(0/15 * ? 6-7 * *)", "at(2027-06-01T04:00:00)"])
def test_a_first_run_that_is_months_away_is_waited_for(expression):
    first = at("2027-06-01T00:00")
    pipeline = scheduled(expression, since=at("2026-11-23T00:00"))

    assert not health.is_stale(pipeline, first)
    assert health.is_stale(pipeline, first + timedelta(days=2))


def test_a_pipeline_that_never_succeeded_is_stale_some_time_after_its_first_run_was_due():
    pipeline = scheduled("cron(0 4 * * ? *)", since=at("2026-11-23T03:00"))

    assert health.stale_from(pipeline) == at("2026-11-23T16:00")


def test_one_success_says_how_long_an_export_takes():
    pipeline = scheduled("cron(0 4 * * ? *)", since=at("2026-11-23T03:00"), recent=ends(7200))

    assert health.stale_from(pipeline) == at("2026-11-23T18:00")


def test_a_schedule_that_was_enabled_a_moment_ago_makes_no_old_pipeline_stale():
    assert not health.is_stale(scheduled(since=NOW - HOUR, last_succeeded_at=NOW - 90 * DAY), NOW)


def test_a_pipeline_without_a_schedule_is_never_stale():
    assert not health.is_stale(a_pipeline(last_succeeded_at=NOW - 900 * DAY), NOW)
    disabled = a_pipeline(scheduled=False, schedule_expression="rate(1 hour)", last_succeeded_at=NOW - 900 * DAY)
    assert not health.is_stale(disabled, NOW)


@pytest.mark.parametrize(
    ("expression", "succeeded", "hours", "stale"),
    [
        ("cron(0 4 * * ? *)", "2026-11-23T04:03", 48, "2026-11-25T04:03"),
        ("cron(0 4 * * ? *)", "2026-11-23T04:03", 26, "2026-11-24T06:03"),
        # only if a run is due, and an hour late: on Monday, not on Sunday
        ("cron(0 4 ? * MON-FRI *)", "2026-11-27T04:03", 48, "2026-11-30T05:00"),
        ("cron(0 4 1 6 ? *)", "2026-11-23T04:03", 48, "2027-06-01T05:00"),
        ("at(2026-11-01T04:00:00)", "2026-11-23T04:03", 48, None),
    ],
)
def test_an_operator_may_say_after_how_many_hours_a_pipeline_is_stale(expression, succeeded, hours, stale):
    pipeline = scheduled(expression, last_succeeded_at=at(succeeded), stale_after_seconds=hours * 3600)

    assert health.stale_from(pipeline) == (stale and at(stale))


@pytest.mark.parametrize("zone", ["Europe/Zurich", "Pacific/Kiritimati", "Etc/GMT+12", "America/New_York", "UTC"])
def test_the_record_of_an_earlier_version_lacks_the_time_zone_and_raises_no_false_alarm(zone):
    expression = "cron(0 4 * * ? *)"
    run = schedules.parse(expression, zone).after(NOW, NOW)
    of_earlier_version = scheduled(expression, "", last_succeeded_at=run + timedelta(minutes=3))

    assert not health.is_stale(of_earlier_version, run + DAY)
    assert health.is_stale(of_earlier_version, run + 4 * DAY)
    assert health.stale_from(scheduled("rate(1 hour)", "", last_succeeded_at=NOW)) == NOW + 2 * HOUR


def test_a_schedule_that_an_earlier_version_could_not_evaluate_needs_a_time_after_which_the_pipeline_is_stale():
    unknown = scheduled("cron(0 4 ? * MON/2 *)", last_succeeded_at=NOW)

    assert health.stale_from(unknown) is None
    assert health.stale_from(replace(unknown, stale_after_seconds=3600)) == NOW + HOUR


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
