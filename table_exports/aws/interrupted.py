"""Finds what an interrupted step of an export may have started. Whatever ends an export looks for that first.

A function can die, or lose AWS's answer, after it started an operation and before it recorded that.
"""

from dataclasses import replace
from datetime import datetime

from table_exports.aws.errors import translate_errors
from table_exports.aws.glue import Glue
from table_exports.aws.records import Records
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import Export
from table_exports.domain.stages import Operation, Stage


def settle(export: Export, glue: Glue, records: Records, now: datetime) -> tuple[Export, list[str]]:
    """Stop the job run that an interrupted step may have started. Returns the export, and what to report.

    The returned export knows the run, so that a resumed export goes on from there. It also knows whether its views show
    its snapshot, so that the head is correct. Other operations cannot be told from those of someone else, or
    cannot be stopped: they are reported only.
    Errors of AWS are raised, because the export must not end before this look has succeeded.
    """
    notes: list[str] = []
    for operation in export.may_have_started(now):
        match operation:
            case Operation.JOB_RUN:
                export, note = _stop_job_run(export, glue)
            case Operation.TABLE_EXPORT:
                note = f"may have started an export of table {export.table_name} to S3, which DynamoDB cannot stop"
            case Operation.CRAWL:
                running = glue.is_crawling(export)
                note = f"may have started the crawl of {export.crawler_name} that is running" if running else ""
            case _:
                export, note = _look_at_views(export, glue, records)
        notes += [f"An interrupted step {note}"] if note else []
    return export, notes


def _look_at_views(export: Export, glue: Glue, records: Records) -> tuple[Export, str]:
    views = records.asked_views(export)
    if not views:
        return export, ""
    named = f"view {views[0]}" if len(views) == 1 else f"views of {export.catalog_name}"
    try:
        with translate_errors("The views could not be looked up"):
            published = all(glue.shown_snapshot(view) == export.snapshot_timestamp for view in views)
            if published and export.catalog_name not in views:  # there may be a view of all items, too
                published = glue.shown_snapshot(export.catalog_name) in (None, export.snapshot_timestamp)
    except PermanentError:  # the export must be able to end
        published = False
    if published:
        return replace(export, published=True), f"made {named} show this snapshot"
    return export, f"may have made {named} show this snapshot"


def _stop_job_run(export: Export, glue: Glue) -> tuple[Export, str]:
    begun = export.retry() if export.stage == Stage.EXPORTING else export
    try:
        run_id = glue.find_job_run(begun)
        if run_id is None:
            return export, ""
        known = replace(begun, glue_job_run_id=run_id)
        if glue.job_run_end(known, run_id):
            return known, f"started Glue job run {run_id}, which has ended"
        if not glue.is_stopping(known, run_id):
            glue.stop_job_run(known, run_id)
        return known, f"started Glue job run {run_id}, which was stopped"
    except PermanentError as error:
        return export, f"may have started a run of Glue job {export.glue_job_name}. {error}"
