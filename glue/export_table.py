"""The Glue job: exports one DynamoDB table to one snapshot in S3.

Runs on AWS Glue 5.1 (Spark 3.5.6, Python 3.11), and unchanged on plain PySpark. The modules of `table_export_job` have
to be on the path of the driver and of the executors: on Glue by --extra-py-files.

Arguments, all of them required except the last three, whose default is -:

--table_name           the DynamoDB table
--read_percentage      0.1 to 1.0: the share of the table's read capacity (on-demand: of its warm throughput) to use
--read_capacity_cap    the most read capacity units per second to use, whatever the percentage; 0 for no cap
--read_mode            scan, or export: read the files of DynamoDB's own export to S3
--table_export         s3://bucket/key of that export's manifest-summary.json; - in read mode scan
--output_format        parquet, orc, avro, json or csv
--output_prefix        s3://bucket/folder/snapshots_{catalog name}; the snapshot goes to
                       {output_prefix}/snapshot_timestamp={snapshot_timestamp}/, and that of an entity to
                       folder/entities_{catalog name}/{name of the entity}/snapshot_timestamp={snapshot_timestamp}/
--snapshot_timestamp   UTC, to the second: 2026-11-23T02-00-07Z
--export_id            written to the manifest
--staging_prefix       s3://bucket/folder; staged files go to {staging_prefix}/{snapshot_timestamp}/, where a lifecycle
                       rule expires them
--manifest             s3://bucket/folder/key; written last, and only for a complete snapshot. The latest manifest of
                       the folder describes the columns of the snapshot table
--columns              s3://bucket/.../{SHA-256 of its content}.json with the column contract; - for none
--hash_secret          the ARN of the secret whose value is the key for hashes; - for none
--entities             s3://bucket/.../{SHA-256 of its content}.json with the block Entities; - for none

There are two steps. *Stage*: write the items to S3 as gzipped DynamoDB JSON lines, as DynamoDB's own export does.
*Convert*: write the staged items as rows. The columns depend on every value of every item (types.py) and on the columns
of earlier snapshots (columns.py). What a scan stages is observed while it is read. What DynamoDB's export staged is
observed while it is converted, and written again if it needs other columns than expected (one_pass.py). Spark
distributes the work. Arrow and orjson do it.

With *entities* (entities.py), each type of items has a snapshot, with columns that depend on these items only. The
items are separated by type when they are converted (routing.py, entity_files.py), and are observed then in both read
modes. The snapshots have one manifest, with a section for each.

Guarantees:
- Each item is read from DynamoDB once. Only a retried Spark task reads again what it had to read in its round.
- The number of items that DynamoDB counted is the number of items staged, and the number of items in the finished
  files. Otherwise the run fails. With entities, the files of all entities have that number together with the omitted
  items, and each item is in one entity. The table of all items, if there is one, has as many as the entities.
- No file of a snapshot is visible before all files are verified. Until then they are incomplete multipart uploads.
- A run for an export that is complete changes nothing. A run for another export with the same snapshot_timestamp
  replaces the snapshot. A failed run leaves no snapshot and no manifest. Before a run completes its uploads, it writes
  a marker. If the run is killed afterwards, the next run removes the snapshot, unless it has a manifest: then it is
  complete and stays. All of this includes the snapshots of all entities, also of those that only a failed run had.
- No value is lost: values that no exact column type can hold are written as text. Only csv cannot represent all values:
  it does not distinguish NULL from empty text, nor a line break from the two characters that replace it.
- The columns of a snapshot never contradict those of an earlier one. If they are unknown, or the format differs, the
  run fails before it starts Spark and reads the table.
- What has a table keeps it: a type whose items are gone, or are omitted now, has a section without files. If a table
  would no longer be written, or have another name, or there are too many entities, the run fails.
- The message of a failed run contains "Permanent error: " if another run would fail, too.
"""

import sys
from contextlib import suppress
from typing import Any

from pyspark.sql import SparkSession

from table_export_job.arguments import JobArguments
from table_export_job.clients import connect
from table_export_job.columns import (
    SnapshotTable,
    arrow_schema,
    ensure_names_are_free,
    read_snapshot_table,
    snapshot_columns,
)
from table_export_job.contract import Contract
from table_export_job.entity_files import build_entities_manifest, files_of, verify_entities, write_entities
from table_export_job.entity_tables import WIDE, EarlierTables, read_earlier_tables
from table_export_job.errors import run_error
from table_export_job.one_pass import write_as_expected
from table_export_job.reading import delete_table_export, find_table_export, scan
from table_export_job.s3 import delete
from table_export_job.snapshot import (
    SnapshotFile,
    build_manifest,
    clear,
    clear_after_killed_runs,
    is_complete,
    publish,
    values_not_converted,
    verify_counts,
    write_manifest,
    write_snapshot,
)
from table_export_job.staging import StagedItems
from table_export_job.stored_contract import read_contract, read_router


def main(argv: list[str]) -> None:
    """Export the table that `argv` names. Raises ExportFailed, whose message Glue shows as the run's ErrorMessage."""
    arguments = JobArguments.from_argv(argv)
    try:
        print(export(arguments, connect("s3")))
    except Exception as error:
        raise run_error(error, arguments.table_name) from error


def export(arguments: JobArguments, s3: Any) -> str:
    """Write the snapshot, unless an earlier run for the same export has completed it. Returns what was done."""
    contract = read_contract(s3, arguments)
    if is_complete(s3, arguments):
        delete(s3, arguments.marker)  # that run may have been killed right after it wrote the manifest
        delete_hidden_values(s3, arguments, contract)
        return f"An earlier run for this export wrote {arguments.location}"
    try:
        manifest = write(arguments, contract, s3)
    except Exception:
        with suppress(Exception):  # the first error is the reason
            clear(s3, arguments)
        raise
    delete_hidden_values(s3, arguments, contract)
    return f"Wrote {manifest['items_written']} items in {manifest['files']} files to {arguments.location}"


def delete_hidden_values(s3: Any, arguments: JobArguments, contract: Contract) -> None:
    """Delete DynamoDB's own files of the table if the snapshot must not have all their values."""
    if arguments.read_mode == "export" and contract.hides_values:
        delete_table_export(s3, arguments)


def write(arguments: JobArguments, contract: Contract, s3: Any) -> dict[str, Any]:
    """Write snapshot and manifest. Spark starts when everything that can be checked without it has been checked."""
    clear(s3, arguments)
    clear_after_killed_runs(s3, arguments)
    router = read_router(s3, arguments, contract)
    if router:
        earlier = read_earlier_tables(s3, arguments, router)
    else:
        earlier = EarlierTables({}, {WIDE: read_snapshot_table(s3, arguments)})
    for each in earlier.tables.values():
        ensure_names_are_free(contract, each)
    table = connect("dynamodb").describe_table(TableName=arguments.table_name)["Table"]
    exported = find_table_export(s3, arguments, contract) if arguments.read_mode == "export" else None

    spark = SparkSession.builder.appName(f"export {arguments.table_name}").getOrCreate()
    staged = exported or scan(spark, arguments, table, contract)
    if router:
        written = write_entities(spark, s3, arguments, staged.files, table, earlier, contract, router)
        verify_entities(staged, written)
        contract.ensure_strict(values_not_converted(files_of(written.entities)))
        files, manifest = files_of(written.tables), build_entities_manifest(arguments, table, staged, written, contract)
    else:
        files, manifest = write_table(spark, s3, arguments, staged, table, earlier.of(WIDE), contract)
    publish(s3, arguments, files)
    write_manifest(s3, arguments, manifest)
    return manifest


def write_table(
    spark: SparkSession,
    s3: Any,
    arguments: JobArguments,
    staged: StagedItems,
    table: dict[str, Any],
    earlier: SnapshotTable,
    contract: Contract,
) -> tuple[list[SnapshotFile], dict[str, Any]]:
    """Write the files of all items, and verify them. Returns them and the manifest."""
    if arguments.read_mode == "export":
        files, columns, attributes = write_as_expected(spark, s3, arguments, staged.files, table, earlier, contract)
    else:
        rules = arguments.format.rules
        columns, attributes = snapshot_columns(staged.attributes, table, earlier, rules, contract)
        files = write_snapshot(spark, arguments, staged.files, columns, attributes, earlier, contract)
    verify_counts(staged, files)
    contract.ensure_strict(values_not_converted(files))
    serde_parameters = arguments.format.serde_parameters(arrow_schema(columns), earlier.serde_parameters)
    return files, build_manifest(arguments, table, staged, files, columns, serde_parameters, attributes, contract)


if __name__ == "__main__":
    main(sys.argv)
