"""The stages of an export: the state machine, as one row per stage.

Orders, limits, labels and events derive from the rows. CONTRIBUTING.md lists what else a new stage needs, for example
the call that asks for the end of its operation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple


class Stage(StrEnum):
    STARTING = "STARTING"
    STAGING = "STAGING"  # only in read mode export
    EXPORTING = "EXPORTING"
    CATALOGING = "CATALOGING"
    PUBLISHING = "PUBLISHING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class Operation(StrEnum):
    """A kind of operation that an export waits for. Its value is the prefix of `waiting_on`."""

    REQUEST = "export-request"
    TABLE_EXPORT = "table-export"
    JOB_RUN = "glue-job-run"
    CRAWL = "glue-crawler"
    QUERY = "athena-query"

    def waiting_on(self, awaited_id: str) -> str:
        """`athena-query/0123`: the operation and its ARN, id or name."""
        return f"{self.value}/{awaited_id}"


class Awaited(NamedTuple):
    """A parsed `waiting_on`."""

    operation: str  # an Operation, or one that only a newer version knows
    awaited_id: str


def parse_waiting_on(waiting_on: str) -> Awaited:
    operation, _, awaited_id = waiting_on.partition("/")
    return Awaited(operation, awaited_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    stage: Stage
    label: str  # in the dashboard
    operation: Operation | None = None  # that an export in this stage waits for
    next_stages: tuple[Stage, ...] = ()  # FAILED may follow every stage that waits for an operation
    max_duration: timedelta = timedelta(0)  # of one wait. EXPORTING adds the timeout of the Glue job
    can_be_stopped: bool = False  # whether AWS can stop the operation
    needs_table_stack: bool = False  # whether the operation uses the role of the table stack
    max_attempts: int | None = None  # the most attempts, whatever MaxAttempts says. None: no limit of its own
    event: str | None = None  # the detail type of the public event when an export leaves the stage for a later one


# In the order in which an export passes through them.
STAGES = {
    row.stage: row
    for row in (
        StageRow(
            stage=Stage.STARTING,
            label="starting",
            operation=Operation.REQUEST,
            next_stages=(Stage.STAGING, Stage.EXPORTING),
            max_duration=timedelta(hours=1),  # AWS may be busy for a while
            needs_table_stack=True,
            event="Export Started",
        ),
        StageRow(
            stage=Stage.STAGING,
            label="staging",
            operation=Operation.TABLE_EXPORT,
            next_stages=(Stage.EXPORTING,),
            max_duration=timedelta(hours=24),  # DynamoDB guarantees no time. Terabytes take hours
            needs_table_stack=True,
            max_attempts=1,
        ),
        StageRow(
            stage=Stage.EXPORTING,
            label="exporting",
            operation=Operation.JOB_RUN,
            # PUBLISHING if the catalog has the snapshot's schema already.
            next_stages=(Stage.EXPORTING, Stage.CATALOGING, Stage.PUBLISHING),
            max_duration=timedelta(hours=1),  # in Glue's queue
            can_be_stopped=True,
            event="Snapshot Written",
        ),
        StageRow(
            stage=Stage.CATALOGING,
            label="cataloging",
            operation=Operation.CRAWL,
            next_stages=(Stage.CATALOGING, Stage.PUBLISHING),
            max_duration=timedelta(hours=2),
            can_be_stopped=True,
            event="Snapshot Cataloged",
        ),
        StageRow(
            stage=Stage.PUBLISHING,
            label="publishing",
            operation=Operation.QUERY,
            next_stages=(Stage.PUBLISHING, Stage.SUCCEEDED),
            max_duration=timedelta(hours=2),
            can_be_stopped=True,
            event="Export Succeeded",
        ),
        StageRow(stage=Stage.SUCCEEDED, label="published"),
        StageRow(stage=Stage.FAILED, label="failed"),
    )
}

IN_FLIGHT = tuple(row.stage for row in STAGES.values() if row.operation)
TERMINAL = frozenset(STAGES) - frozenset(IN_FLIGHT)
CHARTED = (*IN_FLIGHT, Stage.SUCCEEDED)  # the stages of an export that succeeds, from left to right


def events_between(before: Stage, after: Stage) -> Sequence[str]:
    """The detail types of the public events of a change of stage.

    An export that skips a stage publishes that stage's event, too.

    >>> events_between(Stage.EXPORTING, Stage.PUBLISHING)
    ['Snapshot Written', 'Snapshot Cataloged']
    """
    if after == Stage.FAILED:
        return ["Export Failed"] if before != Stage.FAILED else []
    order = list(STAGES)
    passed = order[order.index(before) : order.index(after)]
    return [event for stage in passed if (event := STAGES[stage].event)]
