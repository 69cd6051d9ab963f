"""Glue: job runs, crawlers and the catalog."""

from typing import Any

from table_exports.aws.errors import final_errors_refuse
from table_exports.domain import naming
from table_exports.domain.errors import Refused
from table_exports.domain.export import Export


class Glue:
    def __init__(self, client: Any, database: str) -> None:
        self._client = client
        self._database = database

    def start_job_run(self, export: Export) -> str:
        """Start the export's job run. Returns its id.

        Glue has no idempotency token: `find_job_run` first if an earlier attempt may have come this far.
        Raises Refused if the job is not there or takes no such arguments.
        """
        with final_errors_refuse(f"Glue job {export.glue_job_name} cannot be started"):
            run = self._client.start_job_run(JobName=export.glue_job_name, Arguments=_arguments(export))
        return run["JobRunId"]

    def find_job_run(self, export: Export) -> str | None:
        """The id of the run that was started for this export, if one was. Raises Refused if the job is not there."""
        pages = self._client.get_paginator("get_job_runs").paginate(JobName=export.glue_job_name)
        with final_errors_refuse(f"Glue job {export.glue_job_name} cannot be asked for its runs"):
            for run in (run for page in pages for run in page["JobRuns"]):  # newest first
                if run.get("Arguments", {}).get("--export_id") == export.export_id:
                    return run["Id"]
                if run["StartedOn"].timestamp() < int(export.requested_at.timestamp()):
                    break
        return None

    def start_crawler(self, export: Export) -> bool:
        """False if it runs already, for someone else: what it finds may be of before the snapshot was complete."""
        with final_errors_refuse(f"Crawler {export.crawler_name} cannot be started"):
            try:
                self._client.start_crawler(Name=export.crawler_name)
            except self._client.exceptions.CrawlerRunningException:
                return False
        return True

    def snapshot_columns(self, export: Export) -> dict[str, str]:
        """The columns of the snapshot table and their Hive types, without its partition key.

        Raises Refused unless the catalog has the table, and the export's snapshot as a partition of it.
        """
        table = {"DatabaseName": self._database}
        with final_errors_refuse(f"The crawl left no table {export.snapshot_table} with the snapshot in the catalog"):
            found = self._client.get_table(**table, Name=export.snapshot_table)["Table"]
            keys = [key["Name"] for key in found.get("PartitionKeys", [])]
            if keys != [naming.PARTITION_KEY]:
                raise Refused(
                    f"Table {export.snapshot_table} is partitioned by {keys}, not by {naming.PARTITION_KEY} alone: "
                    "another dataset lies in its folder, or has its name"
                )
            self._client.get_partition(
                **table, TableName=export.snapshot_table, PartitionValues=[export.snapshot_timestamp]
            )
        return {column["Name"]: column["Type"] for column in found["StorageDescriptor"]["Columns"]}


def _arguments(export: Export) -> dict[str, str]:
    """What differs from export to export. The rest are the job's default arguments, in infra/table.yaml."""
    return {
        "--export_id": export.export_id,
        "--snapshot_timestamp": export.snapshot_timestamp,
        "--table_name": export.table_name,
        "--read_percentage": str(export.read_percentage),
        "--read_mode": export.read_mode,
        "--output_format": export.output_format,
        "--output_prefix": export.output_prefix,
        "--staging_prefix": naming.staging_prefix(export.output_prefix),
        "--manifest": export.manifest_uri,
    }
