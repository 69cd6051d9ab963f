"""Finds changes of the block Entities with which each later export would fail. The latest manifest decides."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy import blocks
from infra.deploy.stacks import given
from infra.deploy.tables_file import TableStack
from table_exports.domain import naming
from table_exports_cli.problems import in_words

Problem = tuple[int, str]  # the line in the file, and what is wrong there, with the remedy


@dataclass(frozen=True)
class Continuity:
    """Compares blocks with what the pipelines have published to a bucket."""

    s3: Any
    bucket: str
    say: Callable[[str, str], None]

    def problems(self, entry: TableStack, stack: dict[str, Any] | None) -> list[Problem]:
        """Returns what the block of the entry would no longer publish. A stack with the same block is not looked at."""
        content = entry.blocks.get(blocks.ENTITIES)
        before = given(stack or {}).get(blocks.ENTITIES, "")
        if stack and blocks.is_stored_as(before, blocks.ENTITIES, content):
            return []
        try:
            manifest = self._latest_manifest(entry.catalog_name)
        except (BotoCoreError, ClientError) as error:
            unknown = "Whether its next export can go on with the block Entities is unknown"
            self.say(f"{entry.where}: {unknown}: {in_words(error)}", "yellow")
            return []
        if manifest is None:
            return []
        found = blocks.problems_of_published_entities(content, manifest, entry.catalog_name)
        return [
            (entry.line_of(place), f"{'.'.join([entry.where, blocks.ENTITIES, *place])}: {problem}")
            for place, problem in found
        ]

    def _latest_manifest(self, catalog_name: str) -> bytes | None:
        """Returns the manifest of the latest snapshot. None if there is none: the pipeline is new, or started over."""
        folder = naming.manifests_prefix(naming.output_prefix(self.bucket, catalog_name)).removeprefix(
            f"s3://{self.bucket}/"
        )
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=folder)
        keys = (found["Key"] for page in pages for found in page.get("Contents", []))
        latest = max((key for key in keys if key.endswith(".json")), default=None)
        return self.s3.get_object(Bucket=self.bucket, Key=latest)["Body"].read() if latest else None
