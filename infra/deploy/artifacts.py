"""Uploads the build to S3, into a folder per version. CloudFormation, Lambda and Glue load it from there.

Whoever can write to the bucket could replace what they load. So each deployment compares the objects with the build.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import CannotDeploy
from infra.deploy.account import Account
from table_exports_cli.deployed_code import checksum, stored_checksum

VERSION_FILE = "version.txt"  # uploaded last, so that it marks a complete upload


def version(build: Path) -> str:
    if not (build / VERSION_FILE).exists():
        raise CannotDeploy(f"{build}/ does not exist. Run make package")
    return (build / VERSION_FILE).read_text()


def prefix(version: str) -> str:
    return f"table-exports/{version}"


def exists(account: Account, bucket: str) -> bool:
    """Raises CannotDeploy if the bucket is in another account or Region. Lambda loads code from its own Region only."""
    try:
        found = account.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=account.id)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            return False
        if code in ("301", "PermanentRedirect"):
            raise CannotDeploy(
                f"artifacts_bucket: {bucket} is not in {account.region}. Use a bucket in that Region"
            ) from error
        if code == "403":
            raise CannotDeploy(
                f"artifacts_bucket: {bucket} is in another account, or you lack s3:ListBucket on it. "
                f"Use a bucket of account {account.id}"
            ) from error
        raise
    region = found.get("BucketRegion", account.region)
    if region != account.region:
        raise CannotDeploy(
            f"artifacts_bucket: {bucket} is in {region}, not in {account.region}. Use a bucket in that Region"
        )
    return True


def create(account: Account, bucket: str) -> None:
    """Creates a private, encrypted, versioned bucket for TLS only. You can repeat it after an interruption."""
    s3 = account.client("s3")
    here = {} if account.region == "us-east-1" else {"LocationConstraint": account.region}
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):  # another deployment has created it a moment ago
        s3.create_bucket(
            Bucket=bucket,
            ObjectOwnership="BucketOwnerEnforced",
            **({"CreateBucketConfiguration": here} if here else {}),
        )
    everything = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(everything, True))
    encrypted = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=encrypted)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(tls_only(account, bucket)))
    enable_versioning(account, bucket)


def enable_versioning(account: Account, bucket: str) -> None:
    """Keeps what someone overwrites or deletes. Deployments overwrite nothing, so it costs nothing."""
    s3 = account.client("s3")
    if s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def is_ours(account: Account, bucket: str) -> bool:
    """Returns whether the bucket has the name that the first run proposes, and so contains nothing else."""
    return bucket == default_bucket(account)


def default_bucket(account: Account) -> str:
    return f"table-exports-artifacts-{account.id}-{account.region}"


def tls_only(account: Account, bucket: str) -> dict[str, Any]:
    arn = f"arn:{account.session.get_partition_for_region(account.region)}:s3:::{bucket}"
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def upload(account: Account, bucket: str, build: Path) -> bool:
    """Uploads what is missing. Returns False if this version was uploaded before.

    Raises CannotDeploy if an object differs from the build. Nothing that exists is overwritten.
    """
    s3, folder = account.client("s3"), prefix(version(build))
    files = sorted(build.iterdir(), key=lambda file: file.name == VERSION_FILE)
    existing = stored(s3, bucket, f"{folder}/")
    missing = [file for file in files if f"{folder}/{file.name}" not in existing]
    for file in missing:
        put(s3, bucket, f"{folder}/{file.name}", file.read_bytes())
    verify(s3, bucket, folder, files)
    return bool(missing)


def stored(s3: Any, bucket: str, folder: str) -> set[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
    return {found["Key"] for page in pages for found in page.get("Contents", [])}


def put(s3: Any, bucket: str, key: str, content: bytes) -> None:
    """Uploads an object unless it exists: another deployment may upload the same version at the same time."""
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=content, ChecksumSHA256=checksum(content), IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
            raise


def verify(s3: Any, bucket: str, folder: str, files: list[Path]) -> None:
    """Raises CannotDeploy if an object is not the file of the build."""
    different = [
        f"{folder}/{file.name}"
        for file in files
        if stored_checksum(s3, bucket, f"{folder}/{file.name}") != checksum(file.read_bytes())
    ]
    if different:
        commands = "\n".join(f"aws s3api delete-object --bucket {bucket} --key {key}" for key in different)
        raise CannotDeploy(
            f"Objects of this version in s3://{bucket}/ differ from build/, so someone replaced them. Nothing was "
            "deployed. Find out who wrote them: a versioned bucket keeps them. Then delete them and run make deploy "
            f"again, which uploads them from build/:\n{commands}"
        )


def url(account: Account, bucket: str, key: str) -> str:
    """Returns the URL in the form that CloudFormation accepts."""
    return f"{account.client('s3').meta.endpoint_url}/{bucket}/{key}"
