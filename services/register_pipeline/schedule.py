"""How often a schedule requests exports. Shapes: EventBridge Scheduler user guide, "Schedule types"."""

import re
from datetime import datetime, timedelta
from itertools import pairwise

from table_exports.domain.errors import InvalidRequest

UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
FIRINGS = 3_000  # that are examined: four months of an hourly schedule


def longest_interval(expression: str, now: datetime) -> timedelta:
    """Return the longest time between two firings. Zero if it fires at most once.

    >>> longest_interval("rate(6 hours)", datetime(2026, 11, 23))
    datetime.timedelta(seconds=21600)

    Raises InvalidRequest if the expression cannot be evaluated.
    """
    if rate := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        return int(rate[1]) * UNITS[rate[2]]
    if cron := re.fullmatch(r"cron\((.+)\)", expression):
        firings = next_firings(cron[1], expression, now)
        return max((later - sooner for sooner, later in pairwise(firings)), default=timedelta(0))
    return timedelta(0)


def next_firings(fields: str, expression: str, now: datetime) -> list[datetime]:
    from aws_croniter import AwsCroniter  # not needed for rate(...)

    try:
        found = AwsCroniter(fields).get_next(now, n=FIRINGS)
    except Exception as error:  # the library raises whatever it meets
        raise InvalidRequest(
            "ScheduleExpression",
            f"{expression} cannot be evaluated ({error}). Set StaleAfterHours, so that the stale alarm works",
        ) from error
    return [firing for firing in found if firing is not None]  # None: it does not fire again
