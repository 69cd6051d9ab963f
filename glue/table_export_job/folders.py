"""The folders of a snapshot: that of the table of all items, and those of the entities.

Each is a pair of arguments and their location: `of_entity` gives the arguments that write the snapshot of an entity.
"""

import os
from dataclasses import replace
from typing import Any

from table_export_job.arguments import PARTITION_COLUMN, JobArguments
from table_export_job.s3 import abort_uploads, folders_in

SNAPSHOTS = "snapshots_"  # and the catalog name: the folder of the snapshots of all items


def catalog_name(arguments: JobArguments) -> str:
    """The name of the pipeline in the catalog, with which the names of its entities begin."""
    return os.path.basename(arguments.output_prefix).removeprefix(SNAPSHOTS)


def entities_folder(arguments: JobArguments) -> str:
    """The folder that has a folder for each entity."""
    return f"{os.path.dirname(arguments.output_prefix)}/entities_{catalog_name(arguments)}/"


def of_entity(arguments: JobArguments, name: str) -> JobArguments:
    """The same arguments for the snapshots of an entity."""
    return replace(arguments, output_prefix=f"{entities_folder(arguments)}{name}")


def of_all_tables(s3: Any, arguments: JobArguments) -> list[JobArguments]:
    """The arguments for the snapshots of all items, and of each entity that has files of any snapshot."""
    return [arguments, *(of_entity(arguments, name) for name in folders_in(s3, entities_folder(arguments)))]


def abort_uploads_of_snapshot(s3: Any, arguments: JobArguments) -> None:
    """Abort what was not completed in any folder of the snapshot. An entity's folder may have nothing else yet."""
    abort_uploads(s3, arguments.location)
    abort_uploads(s3, entities_folder(arguments), f"/{PARTITION_COLUMN}={arguments.snapshot_timestamp}/")
