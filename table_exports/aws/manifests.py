"""The manifests that the Glue job writes to S3."""

from typing import Any
from urllib.parse import urlsplit

from table_exports.aws.errors import translate_errors
from table_exports.domain.errors import FinalError, PermanentError
from table_exports.domain.export import Export
from table_exports.domain.manifest import Manifest, OtherVersion


class Manifests:
    def __init__(self, client: Any) -> None:
        self._client = client

    def proof_of(self, export: Export) -> Manifest:
        """Return the manifest of the snapshot. Raises PermanentError unless it proves the snapshot complete.

        Nobody writes the manifest again, so a resumed export would find the same. Only another version can read it.
        """
        try:
            return self._proof_of(export)
        except OtherVersion:
            raise
        except PermanentError as error:
            raise FinalError(f"{error}. Request a new export") from error

    def _proof_of(self, export: Export) -> Manifest:
        uri = urlsplit(export.manifest_uri)
        with translate_errors(f"The job run left no manifest at {export.manifest_uri}", permanent={"NoSuchKey"}):
            body = self._client.get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))["Body"].read()
        manifest = Manifest.from_json(body)
        manifest.prove(export)
        return manifest
