"""Cancels an export: stops what it waits for, then ends it. Each write is conditional, so an event may come first."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

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
                settled, done = _stop(system, marked)
            except _TooLate:
                found = _after_its_event(system, marked)
                continue
            except Exception:
                system.records.move(marked, found)  # nobody has cancelled it
                raise
            notes += done
            ended = settled.cancel(caller, the_time())
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
    try:
        running, done = _stop(system, running)
        notes += done
    except (PermanentError, _TooLate) as error:
        notes.append(str(error) or "The view may show its snapshot")
    ended = running.cancel(caller, the_time(), because=f" Its record was invalid: {record.attribute} {record.problem}")
    if not _records(system).replace_invalid(record, ended):
        raise CommandError(f"The record of export {record.export_id} has changed: run the command again")
    return Cancelled(ended, tuple(notes))


def _stop(system: System, export: Export) -> tuple[Export, list[str]]:
    """Stop what the export waits for, and what an interrupted step may have started.

    Returns the export with what was found, and what was done.
    """
    glue = Glue(system.client("glue"), lambda: system.client("glue"), NAME)
    found = _STOP[export.stage](system, glue, export)
    settled, more = settle(export, glue, system.records, the_time())
    return settled, found + more


def _stop_job_run(system: System, glue: Glue, export: Export) -> list[str]:
    run_id = export.awaited_id
    if glue.job_run_end(export, run_id):
        return [f"Glue job run {run_id} had ended"]
    glue.stop_job_run(export, run_id)
    return [f"Stopped Glue job run {run_id}"]


def _stop_table_export(system: System, glue: Glue, export: Export) -> list[str]:
    return [
        f"DynamoDB cannot stop {export.awaited_id}: that export continues and is charged. Its files expire after "
        "StagingDays"
    ]


def _stop_crawl(system: System, glue: Glue, export: Export) -> list[str]:
    if not export.own_crawl:
        return [f"The crawl of {export.crawler_name} belongs to someone else: it continues"]
    if glue.crawl_end(export, the_time()):
        return [f"The crawl of {export.crawler_name} had ended"]
    glue.stop_crawler(export)
    return [f"Stopped the crawl of {export.crawler_name}"]


def _stop_query(system: System, glue: Glue, export: Export) -> list[str]:
    """Stop the query. Raises _TooLate if it has succeeded."""
    athena = Athena(system.client("athena"), NAME, NAME)
    end = athena.query_end(export.awaited_id)
    if end is None:
        athena.stop_query(export.awaited_id)
        end = wait_for_end(athena, export.awaited_id, QUERY_ENDS_WITHIN_SECONDS)
    if end is None:
        raise CommandError(
            f"Athena query {export.awaited_id} has not ended within {QUERY_ENDS_WITHIN_SECONDS} seconds after it was "
            "stopped: run the command again"
        )
    if end.state == "SUCCEEDED":
        raise _TooLate
    return [f"Stopped Athena query {export.awaited_id}"]


_STOP: dict[Stage, Callable[[System, Glue, Export], list[str]]] = {
    Stage.STARTING: lambda system, glue, export: [],
    Stage.STAGING: _stop_table_export,
    Stage.EXPORTING: _stop_job_run,
    Stage.CATALOGING: _stop_crawl,
    Stage.PUBLISHING: _stop_query,
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
