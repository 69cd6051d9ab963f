"""S3: manifests, summaries and the files of snapshots."""

import io
from collections.abc import Callable
from typing import Any

from simulation.aws.client import AwsError


class S3:
    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.removing: Callable[[str], None] = lambda key: None

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if (Bucket, Key) not in self.objects:
            raise AwsError("NoSuchKey", "The specified key does not exist.")
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}

    def list_objects_v2(self, Bucket: str, Prefix: str, Delimiter: str | None = None) -> dict[str, Any]:
        """In one page: a history has few objects."""
        keys = self.keys(Bucket, Prefix)
        if Delimiter is None:
            return {"Contents": [{"Key": key} for key in keys], "IsTruncated": False}
        assert Prefix.endswith(Delimiter), "only whole folders are modelled"
        folders = sorted({key[len(Prefix) :].partition(Delimiter)[0] for key in keys})
        return {"CommonPrefixes": [{"Prefix": f"{Prefix}{name}{Delimiter}"} for name in folders], "IsTruncated": False}

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        for found in Delete["Objects"]:
            if self.objects.pop((Bucket, found["Key"]), None) is not None:
                self.removing(found["Key"])
        return {}

    def forget(self, bucket: str, prefix: str) -> None:
        """Someone deletes the objects on purpose, so no promise is broken."""
        for key in self.keys(bucket, prefix):
            del self.objects[bucket, key]

    def keys(self, bucket: str, prefix: str) -> list[str]:
        return sorted(key for place, key in self.objects if place == bucket and key.startswith(prefix))
