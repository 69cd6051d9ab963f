"""Glue: job runs, crawlers and the catalog."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from table_exports.aws.errors import translate_errors
from table_exports.domain import catalog, naming, view_sql
from table_exports.domain.aws_events import NO_MESSAGE, ROUNDING, CrawlEnded, JobRunEnded
from table_exports.domain.errors import PermanentError
from table_exports.domain.export import Export
from table_exports.domain.foreign import text_or_default
from table_exports.domain.manifest import Manifest

RUNNING = {"STARTING", "RUNNING", "STOPPING", "WAITING"}  # states of a job run that has not ended
DELETED = "DELETED"  # our own state for a job run that Glue no longer knows


class Glue:
    def __init__(self, client: Any, connect_without_retries: Callable[[], Any], database: str) -> None:
        self._client = client
        self._connect_without_retries = connect_without_retries
        self._database = database

    def start_job_run(self, export: Export) -> str:
        """Start a job run for this attempt of the export, and return its id.

        StartJobRun has no idempotency token, so the client does not repeat a call whose answer was lost. If an earlier
        delivery may have called it, call `find_job_run` first.
        Raises PermanentError if there is no such job or it does not accept the arguments, RetryableError if its runs
        are at their limit.
        """
        once = self._connect_without_retries()
        with translate_errors(f"Glue job {export.glue_job_name} cannot be started"):
            run = once.start_job_run(JobName=export.glue_job_name, Arguments=_arguments(export))
        return run["JobRunId"]

    def find_job_run(self, export: Export) -> str | None:
        """Return the id of the run that was started for this attempt. None if there is none.

        Raises PermanentError if there is no such job.
        """
        pages = self._client.get_paginator("get_job_runs").paginate(JobName=export.glue_job_name)
        with translate_errors(f"The runs of Glue job {export.glue_job_name} could not be listed"):
            for run in (run for page in pages for run in page["JobRuns"]):  # newest first
                if _is_of(export, run.get("Arguments", {})):
                    return run["Id"]
                if "StartedOn" in run and run["StartedOn"].timestamp() < int(export.requested_at.timestamp()):
                    break
        return None

    def job_run_end(self, export: Export, run_id: str) -> JobRunEnded | None:
        """Return how the run ended. None if it has not."""
        with translate_errors(f"Glue job run {run_id} could not be read"):
            try:
                run = self._client.get_job_run(JobName=export.glue_job_name, RunId=run_id)["JobRun"]
            except self._client.exceptions.EntityNotFoundException as error:
                run = {"JobRunState": DELETED, "ErrorMessage": error.response["Error"]["Message"]}
        if run["JobRunState"] in RUNNING:
            return None
        return JobRunEnded(
            job_name=export.glue_job_name,
            run_id=run_id,
            state=run["JobRunState"],
            message=text_or_default(run.get("ErrorMessage") or run.get("StateDetail"), NO_MESSAGE),
        )

    def job_is_gone(self, export: Export) -> bool:
        with translate_errors(f"The runs of Glue job {export.glue_job_name} could not be listed"):
            try:
                self._client.get_job_runs(JobName=export.glue_job_name, MaxResults=1)
            except self._client.exceptions.EntityNotFoundException:
                return True
        return False

    def is_stopping(self, export: Export, run_id: str) -> bool:
        """Return whether someone has stopped the run, and it has not ended yet."""
        return bool(self._job_run(export, run_id)["JobRunState"] == "STOPPING")

    def why_queued(self, export: Export, run_id: str) -> str | None:
        """Return why the run waits in Glue's queue. None if it does not wait there."""
        run = self._job_run(export, run_id)
        return text_or_default(run.get("StateDetail"), NO_MESSAGE) if run["JobRunState"] == "WAITING" else None

    def stop_job_run(self, export: Export, run_id: str) -> None:
        answer = self._client.batch_stop_job_run(JobName=export.glue_job_name, JobRunIds=[run_id])
        _raise_first(answer.get("Errors", []), "BatchStopJobRun")

    def crawl_end(self, export: Export, now: datetime) -> CrawlEnded | None:
        """Return how the crawl ended that the export waits for. None if it has not."""
        try:
            crawler = self._client.get_crawler(Name=export.crawler_name)["Crawler"]
        except self._client.exceptions.EntityNotFoundException as error:
            gone = {"Status": "CANCELLED", "ErrorMessage": error.response["Error"]["Message"], "StartTime": now}
            crawler = {"State": "READY", "LastCrawl": gone}
        if crawler["State"] != "READY":
            return None
        last, since = crawler.get("LastCrawl", {}), export.waiting_since
        assert since is not None
        began = last.get("StartTime")
        if export.own_crawl and (began is None or began < since - ROUNDING):
            last, began = {"Status": "CANCELLED", "ErrorMessage": "The crawler knows of no such crawl"}, None
        return CrawlEnded(
            crawler=export.crawler_name,
            state=last.get("Status", "CANCELLED").capitalize(),
            began=began,
            ended=now,
            message=text_or_default(last.get("ErrorMessage"), NO_MESSAGE),
        )

    def stop_crawler(self, export: Export) -> None:
        """Stop the export's own crawl. A crawl that someone else started is left alone."""
        if export.own_crawl:
            over = self._client.exceptions
            with suppress(over.CrawlerNotRunningException, over.CrawlerStoppingException):
                self._client.stop_crawler(Name=export.crawler_name)

    def is_crawling(self, export: Export) -> bool:
        """Return whether the crawler is at work, for whomever."""
        try:
            crawler = self._client.get_crawler(Name=export.crawler_name)["Crawler"]
        except self._client.exceptions.EntityNotFoundException:
            return False
        return bool(crawler["State"] != "READY")

    def start_crawler(self, export: Export) -> bool:
        """Start the export's crawl. False if the crawler is running: that crawl may not see the complete snapshot."""
        with translate_errors(f"Crawler {export.crawler_name} cannot be started"):
            try:
                self._client.start_crawler(Name=export.crawler_name)
            except self._client.exceptions.CrawlerRunningException:
                return False
        return True

    def has_schema(self, export: Export, manifest: Manifest) -> bool:
        """Return whether the catalog has the snapshot table with the manifest's schema.

        If only fields of structs are missing at their end, they are added first: this needs no crawl.
        Raises PermanentError if a table of another dataset has its name.
        """
        table = self._snapshot_table(export)
        return table is not None and self._gets_schema(export, manifest, table)

    def ensure_cataloged(self, export: Export, manifest: Manifest, published: str | None) -> None:
        """Create the snapshot table, or update it and its partitions, from the manifest alone: without a crawl.

        The table stays marked until its partitions are correct, so that an interrupted update is completed.
        """
        table = self._snapshot_table(export)
        if table is None:
            self._create_table(export, manifest)
        elif not self._gets_schema(export, manifest, table):
            self._update_table(export, manifest, table, crawl_due=True)
            self.correct_partitions(export, manifest, published)
            self.ensure_table(export, manifest)

    def prepare_crawl(self, export: Export, manifest: Manifest) -> bool:
        """Add the snapshot's columns to the table, so that the crawler infers no type for them. False: there is none.

        The view stays queryable. If the crawler added a column with a wrong type, the type would have to be corrected
        in the table and its partitions, and queries would fail until both agree. The table is marked, so that a crawl
        is made even if this one fails.
        """
        table = self._snapshot_table(export)
        if table and not catalog.same_schema(export, manifest, table):
            self._update_table(export, manifest, table, crawl_due=True)
        return table is not None

    def ensure_table(self, export: Export, manifest: Manifest) -> None:
        """Create or update the snapshot table, so that it is as the manifest says.

        Raises PermanentError if a table of another dataset has its name. A lost race raises AWS's error, for a retry.
        """
        table = self._snapshot_table(export)
        if table is None:
            self._create_table(export, manifest)
        elif not (catalog.same_schema(export, manifest, table) and catalog.same_comments(export, manifest, table)):
            self._update_table(export, manifest, table, crawl_due=False)

    def restore_table(self, export: Export, manifest: Manifest) -> None:
        """Create or update the snapshot table unless the snapshot can be read with it.

        The table may have more columns, which a later export added. These stay.
        """
        table = self._snapshot_table(export)
        wanted = catalog.partition_input(export, manifest, export.snapshot_timestamp, None)
        if table is None or not catalog.fits_the_table(wanted, table):
            self.ensure_table(export, manifest)

    def ensure_permitted(self) -> None:
        """Raise PermanentError if Lake Formation denies the database, so that no job is paid for in vain.

        Every other error is left to the step that needs the database.
        """
        try:
            self._client.get_database(Name=self._database)
        except ClientError as error:
            message = error.response["Error"].get("Message", "")
            if "Lake Formation" in message:
                raise PermanentError(
                    f"Database {self._database} cannot be used: {text_or_default(message, 'no message')}. "
                    'A data lake administrator must grant it: docs/runbook.md, "Lake Formation"'
                ) from error

    def ensure_database(self) -> bool:
        """Create the database if it does not exist. Returns whether it was created."""
        try:
            self._client.get_database(Name=self._database)
        except self._client.exceptions.EntityNotFoundException:
            self._client.create_database(DatabaseInput=catalog.database_input(self._database))
            return True
        return False

    def ensure_own_names(self, export: Export) -> None:
        """Raise PermanentError if the snapshot table or the view would replace something of someone else."""
        self._snapshot_table(export)
        self.ensure_own_view(export)

    def ensure_own_names_of_entities(self, export: Export, entities: Sequence[Export]) -> None:
        """Call `ensure_own_names` for those of the entities of which the database has a table or a view.

        The names are listed, because most of up to 200 entities that an export has for the first time have none.
        """
        pattern = f"(snapshots_)?{export.catalog_name}_.*"
        pages = self._client.get_paginator("get_tables").paginate(
            DatabaseName=self._database, Expression=pattern, AttributesToGet=["NAME"]
        )
        with translate_errors("The tables of entities cannot be looked up"):
            existing = {table["Name"] for page in pages for table in page["TableList"]}
        for entity in entities:
            if not existing.isdisjoint({entity.catalog_name, entity.snapshot_table}):
                self.ensure_own_names(entity)

    def ensure_own_view(self, export: Export) -> None:
        """Raise PermanentError if a table has the view's name, or a view that is not the pipeline's."""
        with translate_errors(f"View {export.catalog_name} cannot be looked up"):
            found = self._find(export.catalog_name)
        if found is not None:
            catalog.ensure_own_view(export, self._database, found)

    def shown_snapshot(self, catalog_name: str) -> str | None:
        """Return the snapshot that the view shows. None if there is no view of ours."""
        view = self._find(catalog_name) or {}
        text = view.get("ViewOriginalText", "")
        return view_sql.shown_snapshot(text, self._database, naming.snapshot_table(catalog_name))

    def ensure_partition(self, export: Export, manifest: Manifest) -> None:
        """Create or update the partition of the export's snapshot, with all columns of the manifest."""
        table = self._named(export)
        with translate_errors(f"Snapshot {export.snapshot_timestamp} cannot be put into the catalog"):
            wanted = catalog.partition_input(export, manifest, export.snapshot_timestamp, None)
            answer = self._client.batch_create_partition(**table, PartitionInputList=[wanted])
            errors = answer.get("Errors", [])
            if [error["ErrorDetail"]["ErrorCode"] for error in errors] != ["AlreadyExistsException"]:
                return _raise_first(errors, "BatchCreatePartition")
            found = self._client.get_partition(**table, PartitionValues=wanted["Values"])["Partition"]
            if not catalog.same_partition(found, wanted):
                wanted = catalog.partition_input(export, manifest, export.snapshot_timestamp, found)
                self._client.update_partition(**table, PartitionValueList=wanted["Values"], PartitionInput=wanted)

    def correct_partitions(self, export: Export, manifest: Manifest, published: str | None) -> None:
        """Update the partitions that a crawl left with other columns or another SerDe than the manifest has.

        Partitions in Avro receive the schema of the table, because older engines read that of the partition. So do
        partitions of snapshots after the latest `published` one, because their exports may have failed before this.

        The function has little memory, and a table can have years of hourly snapshots. So a page of partitions is
        corrected before the next one is requested. A later attempt finds the corrected ones correct.
        """
        table = self._named(export)
        wanted = catalog.table_input(export, manifest, None)
        with translate_errors(f"The partitions of {export.snapshot_table} cannot be corrected"):
            size = {"PageSize": catalog.partitions_per_page(wanted)}
            for page in self._client.get_paginator("get_partitions").paginate(**table, PaginationConfig=size):
                entries = [
                    {
                        "PartitionValueList": partition["Values"],
                        "PartitionInput": catalog.partition_input(export, manifest, partition["Values"][0], partition),
                    }
                    for partition in page["Partitions"]
                    if not catalog.follows_the_table(partition, wanted, published or "")
                ]
                if entries:
                    answer = self._client.batch_update_partition(**table, Entries=entries)
                    _raise_first(answer.get("Errors", []), "BatchUpdatePartition")

    def _job_run(self, export: Export, run_id: str) -> dict[str, Any]:
        with translate_errors(f"Glue job run {run_id} could not be read"):
            run: dict[str, Any] = self._client.get_job_run(JobName=export.glue_job_name, RunId=run_id)["JobRun"]
        return run

    def _snapshot_table(self, export: Export) -> catalog.Described | None:
        with translate_errors(f"Table {export.snapshot_table} cannot be looked up"):
            table = self._find(export.snapshot_table)
        if table is not None:
            catalog.ensure_own_table(export, table)
        return table

    def _find(self, name: str) -> catalog.Described | None:
        """Return the table or view of that name. None if there is none."""
        try:
            table: catalog.Described = self._client.get_table(DatabaseName=self._database, Name=name)["Table"]
        except self._client.exceptions.EntityNotFoundException:
            return None
        return table

    def _gets_schema(self, export: Export, manifest: Manifest, table: catalog.Described) -> bool:
        """Return whether the table has the manifest's schema. If it lacks only fields of structs, they are added."""
        if catalog.same_schema(export, manifest, table):
            return True
        if catalog.lacks_only_fields(export, manifest, table):
            self._update_table(export, manifest, table, crawl_due=False)
            return True
        return False

    def _create_table(self, export: Export, manifest: Manifest) -> None:
        with translate_errors(f"Table {export.snapshot_table} cannot be created"):
            self._client.create_table(
                DatabaseName=self._database, TableInput=catalog.table_input(export, manifest, None)
            )

    def _update_table(self, export: Export, manifest: Manifest, table: catalog.Described, *, crawl_due: bool) -> None:
        """Update the table, unless a crawl has changed it since it was read."""
        version = {"VersionId": table["VersionId"]} if "VersionId" in table else {}
        wanted = catalog.table_input(export, manifest, table, crawl_due=crawl_due)
        with translate_errors(f"Table {export.snapshot_table} cannot be updated"):
            self._client.update_table(DatabaseName=self._database, TableInput=wanted, **version)

    def _named(self, export: Export) -> dict[str, str]:
        return {"DatabaseName": self._database, "TableName": export.snapshot_table}


def _is_of(export: Export, arguments: dict[str, str]) -> bool:
    """Return whether a run with these arguments is of this attempt. An earlier version made one, without a number."""
    attempt = arguments.get("--attempt", "1")
    return (arguments.get("--export_id"), attempt) == (export.export_id, str(export.attempt))


def _raise_first(errors: Sequence[dict[str, Any]], operation: str) -> None:
    """Raise the first error in the answer of a batch call, which succeeds even if no entry does."""
    for error in errors:
        detail = error["ErrorDetail"]
        raise ClientError({"Error": {"Code": detail["ErrorCode"], "Message": detail["ErrorMessage"]}}, operation)


def _arguments(export: Export) -> dict[str, str]:
    """Return the job arguments of one export. infra/table.yaml has those that are the same for all its exports."""
    return {
        "--export_id": export.export_id,
        "--attempt": str(export.attempt),  # for find_job_run only: the job ignores it
        "--snapshot_timestamp": export.snapshot_timestamp,
        "--table_name": export.table_name,
        "--read_percentage": str(export.read_percentage),
        "--read_mode": export.read_mode,
        "--table_export": export.table_export or "-",
        "--output_format": export.output_format,
        "--output_prefix": export.output_prefix,
        "--staging_prefix": naming.staging_prefix(export.output_prefix),
        "--manifest": export.manifest_uri,
    }
