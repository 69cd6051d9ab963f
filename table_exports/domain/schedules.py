"""When a schedule runs: EventBridge Scheduler's rate(...), cron(...) and at(...), in the schedule's time zone.

Rules: EventBridge Scheduler User Guide, "Schedule types". A time that does not exist, because clocks go forward, is
skipped. A time that occurs twice, because clocks go back, counts once. The guide does not say what Scheduler does with
31W in a shorter month: here it has no run.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Protocol

from table_exports.domain.errors import InvalidRequest

MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
SUNDAY, SATURDAY = 1, 7
Days = Callable[[int, int, int], Iterable[int]]  # the days of a year's month, which has so many
UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


class Schedule(Protocol):
    def after(self, moment: datetime, since: datetime) -> datetime | None:
        """Return the first run after `moment`. None if there is none. A rate counts from `since`."""


@lru_cache(maxsize=1_000)  # the reconciler asks for each pipeline in each run
def parse(expression: str, time_zone: str = "UTC") -> Schedule:
    """Return the schedule.

    >>> moment = datetime(2026, 11, 26, tzinfo=UTC)
    >>> parse("cron(0 4 ? * MON *)", "Europe/Berlin").after(moment, since=moment)
    datetime.datetime(2026, 11, 30, 3, 0, tzinfo=datetime.timezone.utc)

    Raises InvalidRequest if the expression or the time zone is invalid.
    """
    zone = _time_zone(time_zone)
    kind = re.fullmatch(r"(rate|cron|at)\((.*)\)", expression.strip())
    if kind is None:
        raise _invalid(f"{expression} is not a schedule: write cron(...), rate(...) or at(...)")
    match kind[1]:
        case "rate":
            return Rate(_interval(kind[2], expression))
        case "at":
            return Once(_moment(kind[2], expression), zone)
        case _:
            return _cron(kind[2], expression, zone)


@dataclass(frozen=True, slots=True)
class Rate:
    interval: timedelta

    def after(self, moment: datetime, since: datetime) -> datetime | None:
        """Return the first run after `moment`. The run at `since` itself counts as one."""
        passed = (moment - since) // self.interval
        return since + max(0, passed + 1) * self.interval


@dataclass(frozen=True, slots=True)
class Once:
    local: datetime
    zone: tzinfo

    def after(self, moment: datetime, since: datetime) -> datetime | None:
        run = _in_utc(self.local, self.zone)
        return run if run and run > moment else None


@dataclass(frozen=True, slots=True)
class Cron:
    minutes: list[int]
    hours: list[int]
    days: "tuple[Days, ...]"
    months: list[int]
    years: list[int]
    zone: tzinfo

    def after(self, moment: datetime, since: datetime) -> datetime | None:
        local = moment.astimezone(self.zone).replace(tzinfo=None)
        runs = (_in_utc(time, self.zone) for time in self._local_times(local.replace(second=0, microsecond=0)))
        return next((run for run in runs if run and run > moment), None)

    def _local_times(self, start: datetime) -> Iterator[datetime]:
        """Yield the times of the expression from `start`, whether or not they exist in the time zone."""
        for day in self._dates(start.date()):
            for hour in self.hours:
                for minute in self.minutes:
                    time = datetime(day.year, day.month, day.day, hour, minute)
                    if time >= start:
                        yield time

    def _dates(self, start: date) -> Iterator[date]:
        for year in self.years[bisect_left(self.years, start.year) :]:
            for month in self.months:
                if (year, month) >= (start.year, start.month):
                    last = _days_in(year, month)
                    days = {day for rule in self.days for day in rule(year, month, last)}
                    yield from (found for day in sorted(days) if (found := date(year, month, day)) >= start)


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()  # of the values from the first
    circular: bool = True  # whether a range such as FRI-MON or 22-2 continues at the beginning
    steps: bool = True

    def numbers(self, text: str, expression: str) -> list[int]:
        """Return the values of a list of values, ranges and increments."""
        found: set[int] = set()
        for part in text.split(","):
            found.update(self._numbers(part, expression))
        return sorted(found)

    def number(self, text: str, expression: str) -> int:
        if text.upper() in self.names:
            return self.first + self.names.index(text.upper())
        if re.fullmatch(r"[0-9]{1,4}", text) and self.first <= int(text) <= self.last:
            return int(text)
        allowed = f"{self.first}-{self.last}" + (f" or {self.names[0]}-{self.names[-1]}" if self.names else "")
        raise _invalid(f"{expression} has an invalid {self.name} field, {text or 'which is empty'}: use {allowed}")

    def _numbers(self, part: str, expression: str) -> list[int]:
        span, slash, step = part.partition("/")
        if slash and not self.steps:
            raise _invalid(f"{expression} has an increment in its {self.name} field, {part}: list the values")
        if slash and not (re.fullmatch(r"[0-9]{1,4}", step) and int(step) > 0):
            raise _invalid(f"{expression} has an invalid increment in its {self.name} field, {part}: use 1 or more")
        values = self._span(span, bool(slash), expression)
        return values[:: int(step)] if slash else values

    def _span(self, span: str, to_the_end: bool, expression: str) -> list[int]:
        if span == "*":
            return [*range(self.first, self.last + 1)]
        start, dash, end = span.partition("-")
        first = self.number(start, expression)
        if not dash:
            return [*range(first, self.last + 1)] if to_the_end else [first]
        last = self.number(end, expression)
        if first <= last:
            return [*range(first, last + 1)]
        if not self.circular:
            raise _invalid(f"{expression} has an invalid {self.name} field, {span}: the range ends before it begins")
        return [*range(first, self.last + 1), *range(self.first, last + 1)]


MINUTES = Field("minutes", 0, 59)
HOURS = Field("hours", 0, 23)
DAY_OF_MONTH = Field("day-of-month", 1, 31)
MONTH = Field("month", 1, 12, MONTH_NAMES)
DAY_OF_WEEK = Field("day-of-week", 1, 7, WEEKDAY_NAMES, steps=False)
YEAR = Field("year", 1970, 2199, circular=False)
FIELDS = (MINUTES, HOURS, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, YEAR)


def _cron(text: str, expression: str, zone: tzinfo) -> Cron:
    fields = text.split()
    if len(fields) != len(FIELDS):
        names = " ".join(field.name for field in FIELDS)
        raise _invalid(f"{expression} has {len(fields)} fields instead of {len(FIELDS)}: write cron({names})")
    minutes, hours, day_of_month, month, day_of_week, year = fields
    if (day_of_month == "?") == (day_of_week == "?"):
        raise _invalid(f"{expression} must have ? in either its day-of-month or its day-of-week field")
    return Cron(
        MINUTES.numbers(minutes, expression),
        HOURS.numbers(hours, expression),
        _days_of_week(day_of_week, expression) if day_of_month == "?" else _days_of_month(day_of_month, expression),
        MONTH.numbers(month, expression),
        YEAR.numbers(year, expression),
        zone,
    )


def _days_of_month(text: str, expression: str) -> tuple[Days, ...]:
    return tuple(_day_of_month(part, expression) for part in text.split(","))


def _day_of_month(part: str, expression: str) -> Days:
    if last := re.fullmatch(r"L(?:-([0-9]{1,2}))?", part, re.IGNORECASE):
        before = int(last[1] or 0)  # L-3 is the third day before the last
        return lambda year, month, last_day: [last_day - before] if before < last_day else []
    if part.upper() == "LW":
        return lambda year, month, last_day: [_nearest_weekday(year, month, last_day, last_day)]
    if nearest := re.fullmatch(r"(.*)W", part, re.IGNORECASE):
        target = DAY_OF_MONTH.number(nearest[1] or part, expression)
        return lambda year, month, last_day: (
            [_nearest_weekday(year, month, target, last_day)] if target <= last_day else []
        )
    days = DAY_OF_MONTH.numbers(part, expression)
    return lambda year, month, last_day: [day for day in days if day <= last_day]


def _days_of_week(text: str, expression: str) -> tuple[Days, ...]:
    parts = text.split(",")
    if "#" in text and len(parts) > 1:
        raise _invalid(f"{expression} has a list with # in its day-of-week field, {text}: # allows one value only")
    return tuple(_day_of_week(part, expression) for part in parts)


def _day_of_week(part: str, expression: str) -> Days:
    weekday, hash_sign, nth = part.partition("#")
    if hash_sign:  # 6#3 is the third Friday of the month
        number = DAY_OF_WEEK.number(weekday, expression)
        if nth not in ("1", "2", "3", "4", "5"):
            raise _invalid(f"{expression} has an invalid day-of-week field, {part}: use 1 to 5 after #")
        return lambda year, month, last_day: _on_weekdays([number], year, month, last_day)[int(nth) - 1 : int(nth)]
    if part.upper() == "L":  # the last day of the week
        return lambda year, month, last_day: _on_weekdays([SATURDAY], year, month, last_day)
    if last := re.fullmatch(r"(.+)L", part, re.IGNORECASE):  # 6L is the last Friday of the month
        number = DAY_OF_WEEK.number(last[1], expression)
        return lambda year, month, last_day: _on_weekdays([number], year, month, last_day)[-1:]
    weekdays = DAY_OF_WEEK.numbers(part, expression)
    return lambda year, month, last_day: _on_weekdays(weekdays, year, month, last_day)


def _on_weekdays(weekdays: list[int], year: int, month: int, last_day: int) -> list[int]:
    first = _weekday(year, month, 1)
    return [day for day in range(1, last_day + 1) if (first + day - 2) % 7 + 1 in weekdays]


def _nearest_weekday(year: int, month: int, day: int, last_day: int) -> int:
    """Return the day from Monday to Friday that is closest to a day, in the same month."""
    weekday = _weekday(year, month, day)
    if weekday == SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == SUNDAY:
        return day + 1 if day < last_day else day - 2
    return day


def _interval(text: str, expression: str) -> timedelta:
    rate = re.fullmatch(r"([0-9]{1,6}) +(minute|hour|day)s?", text.strip())
    if rate is None or int(rate[1]) == 0:
        raise _invalid(f"{expression} is not a rate: write a whole number from 1 and a unit, such as rate(12 hours)")
    return int(rate[1]) * UNITS[rate[2]]


def _moment(text: str, expression: str) -> datetime:
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}", text.strip()):
            return datetime.fromisoformat(text.strip())
    except ValueError:  # the 31st of February
        pass
    raise _invalid(f"{expression} is not a date and time: write it in the form at(2026-12-31T04:00:00)")


def _time_zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # not needed for UTC, and it would slow down a cold start

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # what ZoneInfo raises for a name that is no path, a folder, or unknown
        problem = f"{name} is not a time zone: use a name such as UTC or Europe/Berlin"
        raise InvalidRequest("ScheduleTimezone", problem) from None


def _in_utc(local: datetime, zone: tzinfo) -> datetime | None:
    """Return the first moment at which clocks show the time. None if they skip it."""
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    return moment if moment.astimezone(zone).replace(tzinfo=None) == local else None


def _days_in(year: int, month: int) -> int:
    return (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days


def _weekday(year: int, month: int, day: int) -> int:
    """Return 1 for Sunday to 7 for Saturday."""
    return date(year, month, day).isoweekday() % 7 + 1


def _invalid(problem: str) -> InvalidRequest:
    return InvalidRequest("ScheduleExpression", problem)
