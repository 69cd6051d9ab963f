"""The job's arguments: their allowed values, and the places in S3 that follow from them."""

import os
import re
from dataclasses import MISSING, dataclass, fields

from awsglue.utils import GlueArgumentError, getResolvedOptions

from table_export_job.errors import PermanentError
from table_export_job.formats import FORMATS, Format

READ_MODES = ["scan", "export"]
OUTPUT_FORMATS = list(FORMATS)
PARTITION_COLUMN = "snapshot_timestamp"
TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ"
MARKER_SUFFIX = ".publishing"  # of the marker's name, after the name of the manifest

S3_FOLDER = r"s3://[^/]+/.*[^/]", "s3://bucket/folder, with no slash at its end"
STORED_BLOCK = r"-|s3://[^/]+/(.+/)?[0-9a-f]{64}\.json", "s3://bucket/.../SHA-256 of the content.json, or -"
ALLOWED = {  # by argument: a pattern, and what the error message says about it
    "table_name": (r"[a-zA-Z0-9_.-]{3,255}", "the name of a DynamoDB table"),
    "read_percentage": (r"0?\.[1-9]\d*|1(\.0*)?", "a number from 0.1 to 1.0"),
    "read_capacity_cap": (r"\d+(\.\d+)?", "read capacity units per second, or 0 for no cap"),
    "read_mode": ("|".join(READ_MODES), f"one of: {', '.join(READ_MODES)}"),
    "table_export": (r"-|s3://[^/]+/.+/manifest-summary\.json", "s3://bucket/.../manifest-summary.json, or -"),
    "output_format": ("|".join(OUTPUT_FORMATS), f"one of: {', '.join(OUTPUT_FORMATS)}"),
    "output_prefix": S3_FOLDER,
    "snapshot_timestamp": (TIMESTAMP, "UTC to the second, such as 2026-11-23T02-00-07Z"),
    "staging_prefix": S3_FOLDER,
    "manifest": (r"s3://[^/]+/.*[^/]", "s3://bucket/key"),
    "columns": STORED_BLOCK,
    "entities": STORED_BLOCK,
    "hash_secret": (r"-|arn:.+:secret:.+", "the ARN of a secret, or -"),
}


@dataclass(frozen=True)
class JobArguments:
    """The arguments of a run. export_table.py explains each.

    Arguments added after 0.1.0 have defaults, because a table stack can run this script with an older template.
    """

    table_name: str
    read_percentage: float
    read_capacity_cap: float
    read_mode: str
    table_export: str
    output_format: str
    output_prefix: str
    snapshot_timestamp: str
    export_id: str
    staging_prefix: str
    manifest: str
    columns: str = "-"
    hash_secret: str = "-"
    entities: str = "-"

    @classmethod
    def from_argv(cls, argv: list[str]) -> "JobArguments":
        """The arguments of a command line. Raises PermanentError, which names the argument and its allowed values."""
        optional = [argument for argument in fields(cls) if argument.default is not MISSING]
        defaults = [text for argument in optional for text in (f"--{argument.name}", argument.default)]
        try:
            given = getResolvedOptions([*argv[:1], *defaults, *argv[1:]], [argument.name for argument in fields(cls)])
        except GlueArgumentError as error:
            raise PermanentError(f"Invalid job arguments: {error}") from error
        for name, (pattern, allowed) in ALLOWED.items():
            if not re.fullmatch(pattern, given[name]):
                raise PermanentError(f"--{name} is {given[name]!r}, but must be {allowed}.")
        if (given["read_mode"] == "export") != (given["table_export"] != "-"):
            raise PermanentError(
                "--table_export must be the summary of a table export in --read_mode export, and - otherwise."
            )
        return cls(**{argument.name: argument.type(given[argument.name]) for argument in fields(cls)})

    @property
    def format(self) -> Format:
        return FORMATS[self.output_format]

    @property
    def location(self) -> str:
        """The folder of the snapshot."""
        return self.location_of(self.snapshot_timestamp)

    def location_of(self, snapshot_timestamp: str) -> str:
        return f"{self.output_prefix}/{PARTITION_COLUMN}={snapshot_timestamp}/"

    @property
    def staging(self) -> str:
        """The folder of the staged files."""
        return f"{self.staging_prefix}/{self.snapshot_timestamp}/"

    @property
    def manifests(self) -> str:
        """The folder of the manifests of all snapshots."""
        return f"{os.path.dirname(self.manifest)}/"

    @property
    def marker(self) -> str:
        """An empty object that is there while the snapshot may be incomplete."""
        return f"{self.manifest}{MARKER_SUFFIX}"
