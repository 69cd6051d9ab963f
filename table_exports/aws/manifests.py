"""The manifests that the Glue job leaves in S3."""

from typing import Any
from urllib.parse import urlsplit

from table_exports.aws.errors import aws_may_refuse
from table_exports.domain.export import Export
from table_exports.domain.manifest import Manifest


class Manifests:
    def __init__(self, client: Any) -> None:
        self._client = client

    def proof_of(self, export: Export) -> Manifest:
        """The proof that the export's snapshot is complete. Raises Refused if there is none, or it fails."""
        uri = urlsplit(export.manifest_uri)
        with aws_may_refuse(f"The job run left no manifest at {export.manifest_uri}", final={"NoSuchKey"}):
            body = self._client.get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))["Body"].read()
        manifest = Manifest.from_json(body)
        manifest.prove(export)
        return manifest
