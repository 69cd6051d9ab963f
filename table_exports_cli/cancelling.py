"""Cancels an export: stops what it waits for, then ends it. Each write is conditional, so an event may come first."""

import time
from dataclasses import dataclass, replace

from table_exports.aws import operations
from table_exports.aws.athena import Athena
from table_exports.aws.glue import Glue
from table_exports.aws.interrupted import settle
from table_exports.aws.record_items import in_flight_again
from table_exports.aws.records import Records
from table_exports.domain.errors import InvalidRecord, PermanentError
from table_exports.domain.export import Export
from table_exports.domain.stages import Stage
from table_exports_cli.problems import CommandError
from table_exports_cli.queries import wait_for_end
from table_exports_cli.system import NAME, System, the_time

POLL_SECONDS = 1.0
TRIES = 10  # an export has five stages. Each may end while its operation is being stopped
QUERY_ENDS_WITHIN_SECONDS = 60
EVENT_ARRIVES_WITHIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Cancelled:
    export: Export  # how it ended
    notes: tuple[str, ...]  # what was stopped, and what continues


class _TooLate(Exception):
    """The view shows the snapshot already."""


def cancel(system: System, found: Export | InvalidRecord) -> Cancelled:
    """End the export. Does nothing if it has failed already.

    Raises CommandError if it has succeeded, or cannot be ended.
    """
    caller = system.client("sts").get_caller_identity()["Arn"]
    notes: list[str] = []
    for _ in range(TRIES):
        if isinstance(found, InvalidRecord):
            if found.has_ended:
                raise CommandError(f"Export {found.export_id} has ended. {found}: {found.remedy}")
            return _end_invalid(system, found, caller, notes)
        if found.stage == Stage.SUCCEEDED:
            raise CommandError(f"Export {found.export_id} has succeeded: there is nothing to cancel")
        if found.ended:
            return Cancelled(found, tuple(notes or ["It had ended already"]))
        found = _unclaimed(system, found)
        marked = replace(found, blocked_reason=f"cancelled by {caller}")  # its end may be seen before the last write
        if not found.ended and system.records.move(found, marked):
            try:
                settled, done, interrupted = _stop(system, marked)
            except _TooLate:
                found = _after_its_event(system, marked)
                continue
            except Exception:
                system.records.move(marked, found)  # nobody has cancelled it
                raise
            notes += done + interrupted
            ended = settled.cancel(caller, the_time(), interrupted)
            if _records(system).move(marked, ended):
                return Cancelled(ended, tuple(notes))
        found = _again(system, found)
    raise CommandError(f"Export {found.export_id} changes all the time: run the command again")


def _end_invalid(system: System, record: InvalidRecord, caller: str, notes: list[str]) -> Cancelled:
    """End the export of an invalid record. What cannot be parsed is replaced by the values of its pipeline."""
    pipeline = system.records.pipeline(record.pipeline)
    if pipeline is None:
        raise CommandError(f"{record}. Its table stack was deleted, so nothing waits for it: delete the record")
    running = in_flight_again(record, pipeline, the_time())
    reasons = [f"Its record was invalid: {record.attribute} {record.problem}"]
    try:
        running, done, interrupted = _stop(system, running)
        notes += done + interrupted
        reasons += interrupted
    except (PermanentError, _TooLate) as error:
        notes.append(str(error) or "The view may show its snapshot")
    ended = running.cancel(caller, the_time(), reasons)
    if not _records(system).replace_invalid(record, ended):
        raise CommandError(f"The record of export {record.export_id} has changed: run the command again")
    return Cancelled(ended, tuple(notes))


def _stop(system: System, export: Export) -> tuple[Export, list[str], list[str]]:
    """Stop what the export waits for, and what an interrupted step may have started.

    Returns the export with what was found, what was done, and what an interrupted step may have started.
    """
    services = _Services(system)
    done = _stop_operation(services, export)
    settled, interrupted = settle(export, services.glue, system.records, the_time())
    return settled, done, interrupted


class _Services:
    def __init__(self, system: System) -> None:
        self.glue = Glue(system.client("glue"), lambda: system.client("glue"), system.database)
        self.athena = Athena(system.client("athena"), NAME, NAME)


def _stop_operation(services: _Services, export: Export) -> list[str]:
    """Stop the operation, and return what was done. Raises _TooLate if it has shown the snapshot already."""
    if export.stage == Stage.STARTING:
        return []
    if export.stage == Stage.STAGING:
        return [
            f"DynamoDB cannot stop {export.awaited_id}: that export continues and is charged. Its files expire after "
            "StagingDays"
        ]
    if export.stage == Stage.PUBLISHING:
        return _stop_queries(services, export)
    if export.stage == Stage.CATALOGING and not export.own_crawl:
        return [f"The crawl of {export.crawler_name} belongs to someone else: it continues"]
    operation = OPERATIONS[export.stage].format(export)
    if operations.end_of(export, services, the_time()):
        return [f"{operation[0].upper()}{operation[1:]} had ended"]
    operations.stop(export, services)
    return [f"Stopped {operation}"]


def _stop_queries(services: _Services, export: Export) -> list[str]:
    """Stop the queries that run, which may succeed before they are stopped. Raises _TooLate if all views are shown."""
    together = export.queries_together
    running = {query_id for query_id in together if services.athena.query_end(query_id) is None}
    if running:
        operations.stop(export, services)
    done, succeeded = [], 0
    for query_id in together:
        end = wait_for_end(services.athena, query_id, QUERY_ENDS_WITHIN_SECONDS)
        if end is None:
            raise CommandError(
                f"Athena query {query_id} has not ended within {QUERY_ENDS_WITHIN_SECONDS} seconds after it was "
                "stopped: run the command again"
            )
        succeeded += end.state == "SUCCEEDED"
        done.append(f"Stopped Athena query {query_id}" if query_id in running else f"Athena query {query_id} had ended")
    if succeeded == len(together) and not export.views_left:
        raise _TooLate
    if switched := max(0, len(export.queries) - len(together)) + succeeded:
        done.append(f"Views that show its snapshot already, until the next export succeeds: {switched}")
    return done


OPERATIONS = {
    Stage.EXPORTING: "Glue job run {0.awaited_id}",
    Stage.CATALOGING: "the crawl of {0.crawler_name}",
}


def _unclaimed(system: System, export: Export) -> Export:
    """Return the export when no function works on it."""
    while not export.ended and export.is_claimed(the_time()):
        time.sleep(POLL_SECONDS)
        export = _again(system, export)
    return export


def _after_its_event(system: System, export: Export) -> Export:
    """Return the export when the event about its query was handled, which makes it succeed."""
    deadline = time.monotonic() + EVENT_ARRIVES_WITHIN_SECONDS
    while (found := _again(system, export)).stage == Stage.PUBLISHING:
        if time.monotonic() > deadline:
            raise CommandError(
                f"The view shows the snapshot of export {export.export_id} already. The export succeeds within twenty "
                "minutes, when the reconciler finds that"
            )
        time.sleep(POLL_SECONDS)
    return found


def _again(system: System, export: Export) -> Export:
    found = system.records.export(export.pipeline, export.record_key)
    if found is None:
        raise CommandError(f"The record of export {export.export_id} is gone")
    return found


def _records(system: System) -> Records:
    """Return the records as a function writes them, which knows how long they are kept."""
    return Records(system.client("dynamodb"), NAME, system.history_days)
