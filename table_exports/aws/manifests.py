"""The manifests that the Glue job writes to S3."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from table_exports.aws.errors import translate_errors
from table_exports.domain import naming
from table_exports.domain.errors import FinalError, PermanentError
from table_exports.domain.export import Export
from table_exports.domain.manifest import Manifest, OtherVersion
from table_exports.domain.pipeline import Pipeline


class Manifests:
    def __init__(self, client: Any) -> None:
        self._client = client

    def proof_of(self, export: Export) -> Manifest:
        """Return the manifest of the snapshot. Raises PermanentError unless it proves the snapshot complete.

        Nobody writes the manifest again, so a resumed export would find the same. Only another version can read it.
        """
        try:
            manifest = self._read(export.manifest_uri, "The job run left no manifest at")
            manifest.prove(export)
            return manifest
        except OtherVersion:
            raise
        except PermanentError as error:
            raise FinalError(f"{error}. Request a new export") from error

    def of_snapshot(self, pipeline: Pipeline, snapshot: str) -> tuple[Export, Manifest]:
        """Return the manifest of one of the pipeline's snapshots, and the export that wrote it.

        The export's record may have expired. Only what identifies the export and its files is as it was.
        Raises PermanentError unless the manifest proves the snapshot complete.
        """
        manifest = self._read(naming.manifest_uri(pipeline.output_prefix, snapshot), "There is no manifest at")
        return _export_of(pipeline, snapshot, manifest), manifest

    def versions(self, pipeline: Pipeline, snapshot: str) -> Iterator[tuple[Export, Manifest, bytes]]:
        """Yield the versions of a snapshot's manifest that prove it complete, with their content, the latest first."""
        bucket, key = _place(pipeline, snapshot)
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
        for found in (found for page in pages for found in page.get("Versions", []) if found["Key"] == key):
            content = self._client.get_object(Bucket=bucket, Key=key, VersionId=found["VersionId"])["Body"].read()
            try:
                manifest = Manifest.from_json(content)
                export = _export_of(pipeline, snapshot, manifest)
            except PermanentError:
                continue
            yield export, manifest, content

    def restore(self, pipeline: Pipeline, snapshot: str, content: bytes) -> None:
        """Write a version of a manifest again."""
        bucket, key = _place(pipeline, snapshot)
        self._client.put_object(Bucket=bucket, Key=key, Body=content)

    def _read(self, manifest_uri: str, none: str) -> Manifest:
        uri = urlsplit(manifest_uri)
        with translate_errors(f"{none} {manifest_uri}", permanent={"NoSuchKey"}):
            body = self._client.get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))["Body"].read()
        return Manifest.from_json(body)


def _export_of(pipeline: Pipeline, snapshot: str, manifest: Manifest) -> Export:
    """Return the export that wrote the manifest. Raises PermanentError unless the manifest proves it complete."""
    export = pipeline.begin(manifest.export_id, pipeline.read_percentage, naming.snapshot_moment(snapshot))
    manifest.prove(export)
    return export


def _place(pipeline: Pipeline, snapshot: str) -> tuple[str, str]:
    """Return bucket and key of a manifest."""
    uri = urlsplit(naming.manifest_uri(pipeline.output_prefix, snapshot))
    return uri.netloc, uri.path.lstrip("/")
