"""Waits for Athena queries."""

import time

from table_exports.aws.athena import Athena
from table_exports.domain.aws_events import QueryEnded

POLL_SECONDS = 0.5


def wait_for_end(athena: Athena, query_id: str, seconds: float) -> QueryEnded | None:
    """Return how the query ended. None if it has not ended within `seconds`."""
    deadline = time.monotonic() + seconds
    while (end := athena.query_end(query_id)) is None and time.monotonic() <= deadline:
        time.sleep(POLL_SECONDS)
    return end
