"""Formats times and amounts for people."""

from datetime import timedelta

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def duration(seconds: float) -> str:
    """Format a duration with two figures at most.

    >>> duration(7500)
    '2 h 5 min'
    """
    whole = max(0, round(seconds))
    if whole < 2 * MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    larger, smaller, names = (DAY, HOUR, ("d", "h")) if whole >= 2 * DAY else (HOUR, MINUTE, ("h", "min"))
    first, second = whole // larger, whole % larger // smaller
    return f"{first} {names[0]}" + (f" {second} {names[1]}" if second else "")


def age(passed: timedelta) -> str:
    return f"{duration(passed.total_seconds())} ago"


def count(number: int) -> str:
    return f"{number:,}"


def size(count_of_bytes: int) -> str:
    amount = float(count_of_bytes)
    for unit in ("bytes", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"
