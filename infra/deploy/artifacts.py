"""Uploads the build to S3, into a folder per version. CloudFormation, Lambda and Glue load it from there."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import CannotDeploy
from infra.deploy.account import Account

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
    """Creates a private, encrypted bucket for TLS only. You can repeat it after an interruption."""
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
    """Returns False if this version was uploaded before."""
    s3, folder = account.client("s3"), prefix(version(build))
    owned = {"ExpectedBucketOwner": account.id}
    if s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/{VERSION_FILE}", **owned)["KeyCount"]:
        return False
    for file in sorted(build.iterdir(), key=lambda file: file.name == VERSION_FILE):
        s3.put_object(Bucket=bucket, Key=f"{folder}/{file.name}", Body=file.read_bytes(), **owned)
    return True


def url(account: Account, bucket: str, key: str) -> str:
    """Returns the URL in the form that CloudFormation accepts."""
    return f"{account.client('s3').meta.endpoint_url}/{bucket}/{key}"
