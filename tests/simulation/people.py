"""What people do with the command line: the product's own commands, on the simulated AWS and its virtual clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from simulation.aws.client import Client
from table_exports_cli import cancelling, queries
from table_exports_cli.problems import CommandError

if TYPE_CHECKING:
    from simulation.history import History


@contextmanager
def on_its_clock(history: "History") -> Iterator[None]:
    """The commands wait for as long as the virtual clock says."""
    clock = SimpleNamespace(sleep=history.functions.sleep, monotonic=lambda: history.world.seconds)
    with (
        patch.multiple(cancelling, time=clock, the_time=lambda: history.world.now),
        patch.object(queries, "time", clock),
    ):
        yield


class Commands:
    """What the commands know of the account: the part of `System` that they use."""

    history_days = 90

    def __init__(self, history: "History", database: str) -> None:
        self.database = database
        self._history = history
        self.records = history.cloud.records

    def client(self, service: str) -> Client:
        models: dict[str, Any] = {"dynamodb": self._history.state, "sts": self._history.sts}
        model = models.get(service) or getattr(self._history, service)
        return Client(service, model, self._history.functions.call)

    def cancel(self, key: tuple[str, str]) -> None:
        """`table-exports cancel`, with its refusals."""
        found = self.records.export(*key)
        if found is not None:
            try:
                cancelling.cancel(self, found)  # type: ignore[arg-type]
            except CommandError as refusal:
                self._history.world.note("people", str(refusal))
