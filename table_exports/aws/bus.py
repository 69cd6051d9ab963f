"""Facts, put on our event bus."""

import json
from collections.abc import Sequence
from typing import Any

from table_exports.domain.facts import SOURCE, Fact

PUT_EVENTS_LIMIT = 10  # entries in one call


class NotPublished(Exception):
    """The bus took some facts and not others. All may be published again: at least once is the promise."""


class Bus:
    def __init__(self, client: Any, bus: str) -> None:
        self._client = client
        self._bus = bus

    def publish(self, facts: Sequence[Fact]) -> None:
        """Raises NotPublished unless the bus took them all."""
        for start in range(0, len(facts), PUT_EVENTS_LIMIT):
            entries = [self._entry(fact) for fact in facts[start : start + PUT_EVENTS_LIMIT]]
            answer = self._client.put_events(Entries=entries)
            if answer["FailedEntryCount"]:
                raise NotPublished([entry for entry in answer["Entries"] if "ErrorCode" in entry])

    def _entry(self, fact: Fact) -> dict[str, str]:
        return {
            "EventBusName": self._bus,
            "Source": SOURCE,
            "DetailType": fact.detail_type,
            "Detail": json.dumps(fact.detail),
        }
