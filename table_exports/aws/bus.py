"""Our event bus: facts, and what AWS should have told."""

import json
from collections.abc import Sequence
from typing import Any

from table_exports.domain.aws_events import TOLD_AGAIN, Happening
from table_exports.domain.facts import SOURCE, Fact
from table_exports.domain.request import Resumption

PUT_EVENTS_LIMIT = 10  # entries in one call


class NotPublished(Exception):
    """The bus took some facts and not others. All may be published again: at least once is the promise."""


class Bus:
    def __init__(self, client: Any, bus: str) -> None:
        self._client = client
        self._bus = bus

    def publish(self, facts: Sequence[Fact]) -> None:
        """Raises NotPublished unless the bus took them all."""
        self._put([self._entry(SOURCE, fact.detail_type, fact.detail) for fact in facts])

    def tell(self, happenings: Sequence[Happening | Resumption]) -> None:
        """Say again what AWS should have told: as its event would, but for the source, which AWS alone may use.

        Raises NotPublished unless the bus took them all.
        """
        self._put([self._entry(TOLD_AGAIN, happening.detail_type, happening.detail) for happening in happenings])

    def _put(self, entries: list[dict[str, str]]) -> None:
        for start in range(0, len(entries), PUT_EVENTS_LIMIT):
            answer = self._client.put_events(Entries=entries[start : start + PUT_EVENTS_LIMIT])
            if answer["FailedEntryCount"]:
                raise NotPublished([entry for entry in answer["Entries"] if "ErrorCode" in entry])

    def _entry(self, source: str, detail_type: str, detail: dict[str, Any]) -> dict[str, str]:
        return {
            "EventBusName": self._bus,
            "Source": source,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
        }
