"""S3: manifests and summaries."""

import io
from typing import Any

from simulation.aws.client import AwsError


class S3:
    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if (Bucket, Key) not in self.objects:
            raise AwsError("NoSuchKey", "The specified key does not exist.")
        return {"Body": io.BytesIO(self.objects[Bucket, Key])}
