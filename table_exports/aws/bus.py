"""Our event bus: public events, and events that should have come from AWS."""

import json
from collections.abc import Sequence
from typing import Any

from table_exports.domain.aws_events import RECONCILER_SOURCE, Completion
from table_exports.domain.public_events import SOURCE, PublicEvent
from table_exports.domain.request import ResumeRequest

PUT_EVENTS_LIMIT = 10  # entries in one call


class NotPublished(Exception):
    """The bus accepted only some of the events. All may be published again, because delivery is at least once."""


class Bus:
    def __init__(self, client: Any, bus: str) -> None:
        self._client = client
        self._bus = bus

    def publish(self, events: Sequence[PublicEvent]) -> None:
        """Publish our own events. Raises NotPublished unless the bus accepted all."""
        self._put([self._entry(SOURCE, event.detail_type, event.detail) for event in events])

    def republish_missing(self, completions: Sequence[Completion | ResumeRequest]) -> None:
        """Publish events that did not arrive, in the shape of AWS's. Only AWS may use its own source.

        Raises NotPublished unless the bus accepted all.
        """
        self._put([self._entry(RECONCILER_SOURCE, missing.detail_type, missing.detail) for missing in completions])

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
