"""Calls to S3. All of them take a client, and a URI of the form s3://bucket/key."""

from collections.abc import Iterator
from typing import Any

from table_export_job.errors import ExportFailed


def bucket_and_key(uri: str) -> dict[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def bucket_and_prefix(uri: str) -> dict[str, str]:
    place = bucket_and_key(uri)
    return {"Bucket": place["Bucket"], "Prefix": place["Key"]}


def get(s3: Any, uri: str) -> bytes:
    return s3.get_object(**bucket_and_key(uri))["Body"].read()


def put(s3: Any, uri: str, content: bytes) -> None:
    s3.put_object(**bucket_and_key(uri), Body=content)


def delete(s3: Any, uri: str) -> None:
    s3.delete_object(**bucket_and_key(uri))


def list_objects(s3: Any, folder: str, **options: str) -> Iterator[dict[str, Any]]:
    """All objects below a folder, as ListObjectsV2 describes them."""
    for page in s3.get_paginator("list_objects_v2").paginate(**bucket_and_prefix(folder), **options):
        yield from page.get("Contents", [])


def names_in(s3: Any, folder: str) -> set[str]:
    """The names of the objects in a folder, without those in its subfolders."""
    prefix = bucket_and_prefix(folder)["Prefix"]
    names = {found["Key"].removeprefix(prefix) for found in list_objects(s3, folder)}
    return {name for name in names if name and "/" not in name}


def folders_in(s3: Any, folder: str) -> list[str]:
    """The names of the folders in a folder that have objects."""
    place = bucket_and_prefix(folder)
    pages = s3.get_paginator("list_objects_v2").paginate(**place, Delimiter="/")
    prefixes = [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]
    return [prefix.removeprefix(place["Prefix"]).removesuffix("/") for prefix in prefixes]


def delete_all(s3: Any, folder: str) -> None:
    bucket = bucket_and_key(folder)["Bucket"]
    for page in s3.get_paginator("list_objects_v2").paginate(**bucket_and_prefix(folder)):
        if keys := [{"Key": found["Key"]} for found in page.get("Contents", [])]:
            delete_objects(s3, bucket, folder, keys)


def delete_all_versions(s3: Any, folder: str) -> None:
    """Delete all objects below a folder for good. In a versioned bucket, `delete_all` keeps what they contain."""
    bucket = bucket_and_key(folder)["Bucket"]
    for page in s3.get_paginator("list_object_versions").paginate(**bucket_and_prefix(folder)):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if versions := [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]:
            delete_objects(s3, bucket, folder, versions)


def delete_objects(s3: Any, bucket: str, folder: str, objects: list[dict[str, str]]) -> None:
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    for refused in answer.get("Errors", []):
        raise ExportFailed(f"Could not delete {folder}: {refused['Code']} for {refused['Key']}.")


def abort_uploads(s3: Any, folder: str, part: str = "") -> None:
    """Abort the uploads below a folder that have this part in their keys."""
    bucket = bucket_and_key(folder)["Bucket"]
    for page in s3.get_paginator("list_multipart_uploads").paginate(**bucket_and_prefix(folder)):
        for upload in page.get("Uploads", []):
            if part in upload["Key"]:
                s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
