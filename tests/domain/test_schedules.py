from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from table_exports.domain import schedules
from table_exports.domain.errors import InvalidRequest
from table_exports.domain.parameters import default_of

NEVER = ()


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs_after(schedule, moment, count=1_000):
    """Return the next runs of a schedule, and fewer if there are no more."""
    found, run = [], moment
    while len(found) < count and (run := schedule.after(run, since=moment)):
        found.append(run)
    return found


# Each row: expression, time zone, from, the runs after that. Times are in UTC. 2026-11-26 is a Thursday.
RUNS = [
    # rate: counts from the beginning, whatever the time zone
    ("rate(1 minute)", "UTC", "2026-11-26T10:00", ("2026-11-26T10:01", "2026-11-26T10:02")),
    ("rate(5 minutes)", "UTC", "2026-11-26T10:02", ("2026-11-26T10:07", "2026-11-26T10:12")),
    ("rate(1 hour)", "UTC", "2026-11-26T10:30", ("2026-11-26T11:30", "2026-11-26T12:30")),
    ("rate(12 hours)", "UTC", "2026-11-26T10:30", ("2026-11-26T22:30", "2026-11-27T10:30")),
    ("rate(1 day)", "UTC", "2026-11-26T10:30", ("2026-11-27T10:30", "2026-11-28T10:30")),
    ("rate(7 days)", "UTC", "2026-11-26T10:30", ("2026-12-03T10:30", "2026-12-10T10:30")),
    # a day is 24 hours, also when a day of the time zone has 23
    ("rate(1 day)", "Europe/Berlin", "2027-03-27T10:00", ("2027-03-28T10:00", "2027-03-29T10:00")),
    # at: once
    ("at(2026-12-01T04:00:00)", "UTC", "2026-11-26T10:00", ("2026-12-01T04:00",)),
    ("at(2026-12-01T04:00:30)", "UTC", "2026-11-26T10:00", ("2026-12-01T04:00:30",)),
    ("at(2026-12-01T04:00:00)", "Europe/Berlin", "2026-11-26T10:00", ("2026-12-01T03:00",)),
    ("at(2026-12-01T04:00:00)", "Asia/Tokyo", "2026-11-26T10:00", ("2026-11-30T19:00",)),
    ("at(2026-11-26T10:00:00)", "UTC", "2026-11-26T10:00", NEVER),
    ("at(2020-01-01T00:00:00)", "UTC", "2026-11-26T10:00", NEVER),
    # at: a time that clocks skip, and one that they show twice
    ("at(2027-03-28T02:30:00)", "Europe/Berlin", "2026-11-26T10:00", NEVER),
    ("at(2026-10-25T02:30:00)", "Europe/Berlin", "2026-10-01T00:00", ("2026-10-25T00:30",)),
    # cron: minutes and hours
    ("cron(0 4 * * ? *)", "UTC", "2026-11-26T03:59:59", ("2026-11-26T04:00", "2026-11-27T04:00")),
    ("cron(0 4 * * ? *)", "UTC", "2026-11-26T04:00", ("2026-11-27T04:00", "2026-11-28T04:00")),
    ("cron(0 4 ? * * *)", "UTC", "2026-11-26T04:00", ("2026-11-27T04:00", "2026-11-28T04:00")),
    ("cron(* * * * ? *)", "UTC", "2026-11-26T10:59:30", ("2026-11-26T11:00", "2026-11-26T11:01")),
    ("cron(0 * * * ? *)", "UTC", "2026-11-26T23:00", ("2026-11-27T00:00", "2026-11-27T01:00")),
    ("cron(0/15 * * * ? *)", "UTC", "2026-11-26T10:31", ("2026-11-26T10:45", "2026-11-26T11:00")),
    ("cron(*/20 * * * ? *)", "UTC", "2026-11-26T10:31", ("2026-11-26T10:40", "2026-11-26T11:00")),
    ("cron(1/10 * * * ? *)", "UTC", "2026-11-26T10:00", ("2026-11-26T10:01", "2026-11-26T10:11", "2026-11-26T10:21")),
    ("cron(50/10 8 * * ? *)", "UTC", "2026-11-26T10:00", ("2026-11-27T08:50", "2026-11-28T08:50")),
    ("cron(5,35 14 * * ? *)", "UTC", "2026-11-26T14:05", ("2026-11-26T14:35", "2026-11-27T14:05")),
    ("cron(30 9-11 * * ? *)", "UTC", "2026-11-26T10:00", ("2026-11-26T10:30", "2026-11-26T11:30", "2026-11-27T09:30")),
    ("cron(0 8-17/4 * * ? *)", "UTC", "2026-11-26T10:00", ("2026-11-26T12:00", "2026-11-26T16:00", "2026-11-27T08:00")),
    (
        "cron(0-15/5 8-8 * * ? *)",
        "UTC",
        "2026-11-26T08:05",
        ("2026-11-26T08:10", "2026-11-26T08:15", "2026-11-27T08:00"),
    ),
    ("cron(0 22-1 * * ? *)", "UTC", "2026-11-26T22:30", ("2026-11-26T23:00", "2026-11-27T00:00", "2026-11-27T01:00")),
    ("cron(0,30 6,18-19 * * ? *)", "UTC", "2026-11-26T18:10", ("2026-11-26T18:30", "2026-11-26T19:00")),
    # cron: day of month
    ("cron(0 8 1 * ? *)", "UTC", "2026-11-26T10:00", ("2026-12-01T08:00", "2027-01-01T08:00")),
    ("cron(0 8 31 * ? *)", "UTC", "2026-11-26T10:00", ("2026-12-31T08:00", "2027-01-31T08:00", "2027-03-31T08:00")),
    ("cron(0 8 1,15 * ? *)", "UTC", "2026-11-26T10:00", ("2026-12-01T08:00", "2026-12-15T08:00")),
    ("cron(0 8 1/10 * ? *)", "UTC", "2026-11-26T10:00", ("2026-12-01T08:00", "2026-12-11T08:00", "2026-12-21T08:00")),
    ("cron(0 8 28-30 * ? *)", "UTC", "2027-02-01T00:00", ("2027-02-28T08:00", "2027-03-28T08:00")),
    ("cron(0 8 29 2 ? *)", "UTC", "2026-11-26T10:00", ("2028-02-29T08:00", "2032-02-29T08:00")),
    ("cron(0 8 30 2 ? *)", "UTC", "2026-11-26T10:00", NEVER),
    ("cron(0 8 L * ? *)", "UTC", "2026-11-26T10:00", ("2026-11-30T08:00", "2026-12-31T08:00", "2027-01-31T08:00")),
    ("cron(0 8 L 2 ? *)", "UTC", "2026-11-26T10:00", ("2027-02-28T08:00", "2028-02-29T08:00")),
    ("cron(0 8 L-3 * ? *)", "UTC", "2026-11-26T10:00", ("2026-11-27T08:00", "2026-12-28T08:00")),
    ("cron(0 8 15,L * ? *)", "UTC", "2026-11-26T10:00", ("2026-11-30T08:00", "2026-12-15T08:00", "2026-12-31T08:00")),
    # 3W: the 3rd of January 2027 is a Sunday
    ("cron(0 8 3W * ? *)", "UTC", "2026-11-26T10:00", ("2026-12-03T08:00", "2027-01-04T08:00")),
    # 1W never leaves its month: the 1st of August 2026 is a Saturday, the 1st of November a Sunday
    ("cron(0 8 1W * ? *)", "UTC", "2026-07-20T00:00", ("2026-08-03T08:00", "2026-09-01T08:00", "2026-10-01T08:00")),
    ("cron(0 8 1W 11 ? *)", "UTC", "2026-07-20T00:00", ("2026-11-02T08:00", "2027-11-01T08:00")),
    # 15W: the 15th of August 2026 is a Saturday
    ("cron(0 8 15W 8 ? *)", "UTC", "2026-07-20T00:00", ("2026-08-14T08:00", "2027-08-16T08:00")),
    # 31W: the 31st of January 2027 is a Sunday, the last day of its month
    ("cron(0 8 31W * ? *)", "UTC", "2026-12-31T10:00", ("2027-01-29T08:00", "2027-03-31T08:00")),
    # LW: the 28th of February 2027 is a Sunday, the 31st of July a Saturday
    ("cron(0 2 LW * ? *)", "UTC", "2027-01-01T00:00", ("2027-01-29T02:00", "2027-02-26T02:00", "2027-03-31T02:00")),
    ("cron(0 2 LW 7 ? *)", "UTC", "2027-01-01T00:00", ("2027-07-30T02:00", "2028-07-31T02:00")),
    # cron: month
    ("cron(0 4 1 JAN,JUL ? *)", "UTC", "2026-11-26T10:00", ("2027-01-01T04:00", "2027-07-01T04:00")),
    ("cron(0 4 1 1/3 ? *)", "UTC", "2026-11-26T10:00", ("2027-01-01T04:00", "2027-04-01T04:00", "2027-07-01T04:00")),
    ("cron(0 4 1 MAR-MAY ? *)", "UTC", "2027-04-15T00:00", ("2027-05-01T04:00", "2028-03-01T04:00")),
    (
        "cron(0 4 1 nov-feb ? *)",
        "UTC",
        "2026-11-26T10:00",
        ("2026-12-01T04:00", "2027-01-01T04:00", "2027-02-01T04:00"),
    ),
    # a season
    (
        "cron(0/15 * ? 11-12 * *)",
        "UTC",
        "2026-12-31T23:30",
        ("2026-12-31T23:45", "2027-11-01T00:00", "2027-11-01T00:15"),
    ),
    # cron: day of week
    ("cron(0 18 ? * MON-FRI *)", "UTC", "2026-11-27T10:00", ("2026-11-27T18:00", "2026-11-30T18:00")),
    ("cron(0 18 ? * 2-6 *)", "UTC", "2026-11-27T10:00", ("2026-11-27T18:00", "2026-11-30T18:00")),
    ("cron(0 18 ? * 1 *)", "UTC", "2026-11-26T10:00", ("2026-11-29T18:00", "2026-12-06T18:00")),
    ("cron(0 18 ? * sun *)", "UTC", "2026-11-26T10:00", ("2026-11-29T18:00", "2026-12-06T18:00")),
    ("cron(0 18 ? * TUE,SAT *)", "UTC", "2026-11-26T10:00", ("2026-11-28T18:00", "2026-12-01T18:00")),
    (
        "cron(0 18 ? * FRI-MON *)",
        "UTC",
        "2026-11-26T10:00",
        (
            "2026-11-27T18:00",
            "2026-11-28T18:00",
            "2026-11-29T18:00",
            "2026-11-30T18:00",
            "2026-12-04T18:00",
        ),
    ),
    # L alone is the last day of the week
    ("cron(0 2 ? * L *)", "UTC", "2026-11-26T10:00", ("2026-11-28T02:00", "2026-12-05T02:00")),
    # 6L is the last Friday of the month
    ("cron(15 10 ? * 6L *)", "UTC", "2026-11-26T10:00", ("2026-11-27T10:15", "2026-12-25T10:15", "2027-01-29T10:15")),
    ("cron(15 10 ? * FRIL 2026-2027)", "UTC", "2027-11-01T00:00", ("2027-11-26T10:15", "2027-12-31T10:15")),
    ("cron(0 10 ? * 3#2 *)", "UTC", "2026-11-26T10:00", ("2026-12-08T10:00", "2027-01-12T10:00")),
    ("cron(0 10 ? * FRI#3 *)", "UTC", "2026-11-26T10:00", ("2026-12-18T10:00", "2027-01-15T10:00")),
    # not every month has a fifth Thursday
    ("cron(0 10 ? * 5#5 *)", "UTC", "2026-11-26T10:00", ("2026-12-31T10:00", "2027-04-29T10:00")),
    # cron: year
    ("cron(0 3 1 1 ? 2099)", "UTC", "2026-11-26T10:00", ("2099-01-01T03:00",)),
    ("cron(0 3 1 1 ? 2020-2025)", "UTC", "2026-11-26T10:00", NEVER),
    ("cron(0 3 1 1 ? 2028/2)", "UTC", "2026-11-26T10:00", ("2028-01-01T03:00", "2030-01-01T03:00")),
    ("cron(0 3 1 1 ? 2027,2031)", "UTC", "2026-11-26T10:00", ("2027-01-01T03:00", "2031-01-01T03:00")),
    # time zones
    ("cron(0 4 * * ? *)", "Europe/Berlin", "2026-11-26T10:00", ("2026-11-27T03:00", "2026-11-28T03:00")),
    ("cron(0 4 * * ? *)", "America/New_York", "2026-11-26T10:00", ("2026-11-27T09:00", "2026-11-28T09:00")),
    ("cron(0 4 * * ? *)", "Asia/Kolkata", "2026-11-26T10:00", ("2026-11-26T22:30", "2026-11-27T22:30")),
    ("cron(0 4 * * ? *)", "Pacific/Kiritimati", "2026-11-26T10:00", ("2026-11-26T14:00", "2026-11-27T14:00")),
    # the weekday and the last day of the month are the time zone's
    ("cron(30 0 ? * MON *)", "Asia/Tokyo", "2026-11-26T10:00", ("2026-11-29T15:30", "2026-12-06T15:30")),
    ("cron(0 22 L * ? *)", "America/Los_Angeles", "2026-11-26T10:00", ("2026-12-01T06:00", "2027-01-01T06:00")),
    # clocks go forward: 02:00 to 03:00 does not exist on 2027-03-28
    (
        "cron(0 2 * * ? *)",
        "Europe/Zurich",
        "2027-03-26T12:00",
        ("2027-03-27T01:00", "2027-03-29T00:00", "2027-03-30T00:00"),
    ),
    (
        "cron(0 3 * * ? *)",
        "Europe/Zurich",
        "2027-03-26T12:00",
        ("2027-03-27T02:00", "2027-03-28T01:00", "2027-03-29T01:00"),
    ),
    (
        "cron(0/30 1-3 * * ? *)",
        "Europe/Zurich",
        "2027-03-28T00:00",
        ("2027-03-28T00:30", "2027-03-28T01:00", "2027-03-28T01:30"),
    ),
    # and half an hour on Lord Howe Island, on 2027-10-03
    ("cron(0,30 2 * * ? *)", "Australia/Lord_Howe", "2027-10-02T00:00", ("2027-10-02T15:30", "2027-10-03T15:00")),
    # and 01:00 to 03:00 at Troll, on 2027-03-28
    ("cron(30 1,2,3 * * ? *)", "Antarctica/Troll", "2027-03-27T12:00", ("2027-03-28T01:30", "2027-03-28T23:30")),
    # 02:00 on 2027-03-14 does not exist in New York, and the run was the week's only one
    ("cron(0 2 ? * SUN *)", "America/New_York", "2027-03-08T00:00", ("2027-03-21T06:00", "2027-03-28T06:00")),
    # clocks go back: 02:00 to 03:00 occurs twice on 2026-10-25, and counts once
    ("cron(30 2 * * ? *)", "Europe/Zurich", "2026-10-24T12:00", ("2026-10-25T00:30", "2026-10-26T01:30")),
    ("cron(30 2 * * ? *)", "Europe/Zurich", "2026-10-25T01:00", ("2026-10-26T01:30", "2026-10-27T01:30")),
    (
        "cron(0/30 1-3 * * ? *)",
        "Europe/Zurich",
        "2026-10-25T00:00",
        ("2026-10-25T00:30", "2026-10-25T02:00", "2026-10-25T02:30"),
    ),
]


@pytest.mark.parametrize(("expression", "zone", "moment", "expected"), RUNS)
def test_a_schedule_runs_at_these_times(expression, zone, moment, expected):
    found = runs_after(schedules.parse(expression, zone), at(moment), max(1, len(expected)))

    assert found == [at(each) for each in expected]


def test_a_rate_counts_from_its_beginning_whenever_it_is_asked():
    rate, since = schedules.parse("rate(6 hours)"), at("2026-11-26T10:00")

    assert rate.after(since - timedelta(seconds=1), since) == since
    assert rate.after(at("2026-11-27T11:12"), since) == at("2026-11-27T16:00")


# Each row: expression, what the message says about it.
INVALID = [
    ("daily", "daily is not a schedule: write cron(...), rate(...) or at(...)"),
    ("cron 0 4 * * ? *", "is not a schedule"),
    ("rate()", "rate() is not a rate: write a whole number from 1 and a unit, such as rate(12 hours)"),
    ("rate(0 hours)", "is not a rate"),
    ("rate(-1 hours)", "is not a rate"),
    ("rate(1.5 hours)", "is not a rate"),
    ("rate(2 weeks)", "is not a rate"),
    ("at(tomorrow)", "at(tomorrow) is not a date and time: write it in the form at(2026-12-31T04:00:00)"),
    ("at(2026-12-01)", "is not a date and time"),
    ("at(2026-02-30T04:00:00)", "is not a date and time"),
    ("at(2026-12-01T24:00:00)", "is not a date and time"),
    ("at(2026-12-01T04:00:00Z)", "is not a date and time"),
    ("cron()", "cron() has 0 fields instead of 6"),
    (
        "cron(0 4 * * *)",
        "has 5 fields instead of 6: write cron(minutes hours day-of-month month day-of-week year)",
    ),
    ("cron(0 0 4 * * ? *)", "has 7 fields instead of 6"),
    ("cron(60 4 * * ? *)", "has an invalid minutes field, 60: use 0-59"),
    ("cron(0 25 * * ? *)", "has an invalid hours field, 25: use 0-23"),
    ("cron(0 4 0 * ? *)", "has an invalid day-of-month field, 0: use 1-31"),
    ("cron(0 4 32 * ? *)", "has an invalid day-of-month field, 32: use 1-31"),
    ("cron(0 4 40W * ? *)", "has an invalid day-of-month field, 40: use 1-31"),
    ("cron(0 4 W * ? *)", "has an invalid day-of-month field, W: use 1-31"),
    ("cron(0 4 * 13 ? *)", "has an invalid month field, 13: use 1-12 or JAN-DEC"),
    ("cron(0 4 * JANUARY ? *)", "has an invalid month field, JANUARY"),
    ("cron(0 4 ? * 0 *)", "has an invalid day-of-week field, 0: use 1-7 or SUN-SAT"),
    ("cron(0 4 ? * 8 *)", "has an invalid day-of-week field, 8"),
    ("cron(0 4 ? * MONDAY *)", "has an invalid day-of-week field, MONDAY"),
    ("cron(0 4 ? * 6#6 *)", "has an invalid day-of-week field, 6#6: use 1 to 5 after #"),
    ("cron(0 4 ? * #2 *)", "has an invalid day-of-week field, which is empty"),
    ("cron(0 4 ? * 3#1,6#3 *)", "has a list with # in its day-of-week field, 3#1,6#3: # allows one value only"),
    ("cron(0 4 ? * MON/2 *)", "has an increment in its day-of-week field, MON/2: list the values"),
    ("cron(0 4 * * ? 1969)", "has an invalid year field, 1969: use 1970-2199"),
    ("cron(0 4 * * ? 2030-2026)", "has an invalid year field, 2030-2026: the range ends before it begins"),
    ("cron(0 4 * * * *)", "must have ? in either its day-of-month or its day-of-week field"),
    ("cron(0 4 1 * MON *)", "must have ? in either its day-of-month or its day-of-week field"),
    ("cron(0 4 ? * ? *)", "must have ? in either its day-of-month or its day-of-week field"),
    ("cron(? 4 * * ? *)", "has an invalid minutes field, ?: use 0-59"),
    ("cron(0/0 4 * * ? *)", "has an invalid increment in its minutes field, 0/0: use 1 or more"),
    ("cron(0/ 4 * * ? *)", "has an invalid increment in its minutes field, 0/"),
    ("cron(1,,2 4 * * ? *)", "has an invalid minutes field, which is empty"),
    ("cron(1- 4 * * ? *)", "has an invalid minutes field, which is empty"),
    ("cron(0 4L * * ? *)", "has an invalid hours field, 4L"),
    ("cron(0 \uff14 * * ? *)", "has an invalid hours field, \uff14"),
]


@pytest.mark.parametrize(("expression", "problem"), INVALID)
def test_an_invalid_expression_is_refused_with_what_is_wrong(expression, problem):
    with pytest.raises(InvalidRequest) as refused:
        schedules.parse(expression)

    assert refused.value.field == "ScheduleExpression"
    assert expression in refused.value.problem
    assert problem in refused.value.problem


@pytest.mark.parametrize("name", ["Europe/Zurick", "Nowhere", "", "/etc/localtime", "../UTC", "Europe", "UTC\0"])
def test_an_unknown_time_zone_is_refused(name):
    with pytest.raises(InvalidRequest, match=r"^ScheduleTimezone: .* is not a time zone: use a name such as UTC"):
        schedules.parse("cron(0 4 * * ? *)", name)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("expression", ["cron(7/20 1-3 * * ? *)", "cron(0 2 ? * L *)", "cron(0 0/5 LW * ? *)"])
def test_each_run_is_the_next_minute_that_the_clock_shows_for_the_first_time(expression, zone):
    """Compares with a search of every minute."""
    schedule, begin = schedules.parse(expression, zone), at("2026-10-01T00:00")
    end = begin + timedelta(days=35)
    runs = [run for run in runs_after(schedule, begin) if run <= end]

    assert runs == [minute for minute in minutes(begin, end, zone) if matches(expression, minute)]


def minutes(begin, end, zone):
    """Yield each minute of a time zone once, as its clocks show it. Each is in UTC, with the local time as `local`."""
    shown, moment = datetime.min, begin
    while (moment := moment + timedelta(minutes=1)) <= end:
        local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if local > shown:
            shown = local
            yield Minute(moment, local)


class Minute:
    def __init__(self, moment, local):
        self.moment, self.local = moment, local

    def __eq__(self, other):
        return self.moment == other


def matches(expression, minute):
    local, next_days = minute.local, [minute.local + timedelta(days=days) for days in (1, 2, 3)]
    match expression:
        case "cron(7/20 1-3 * * ? *)":
            return local.minute in (7, 27, 47) and local.hour in (1, 2, 3)
        case "cron(0 2 ? * L *)":
            return (local.hour, local.minute) == (2, 0) and local.strftime("%a") == "Sat"
        case "cron(0 0/5 LW * ? *)":
            later = [day for day in next_days if day.month == local.month and day.weekday() < 5]
            is_last_weekday = local.weekday() < 5 and not later
            return is_last_weekday and local.minute == 0 and local.hour % 5 == 0


def test_the_default_time_exists_in_every_time_zone():
    noons = [at("2026-11-26T12:00") + timedelta(days=days) for days in range(400)]
    for zone in available_timezones():
        schedule = schedules.parse(default_of("ScheduleExpression"), zone)
        offsets = [noon.astimezone(ZoneInfo(zone)).utcoffset() for noon in noons]
        for noon, before, after in zip(noons, offsets, offsets[1:], strict=False):
            if before != after:
                assert schedule.after(noon, since=noon) <= noon + timedelta(hours=25), (zone, noon)
