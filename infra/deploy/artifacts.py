"""What was built, in S3, where CloudFormation, Lambda and Glue take it from: a folder per version."""

import json
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import CannotDeploy
from infra.deploy.account import Account

LAST = "version.txt"  # uploaded when all else is there


def version(build: Path) -> str:
    if not (build / LAST).exists():
        raise CannotDeploy(f"{build}/ is missing: run make package")
    return (build / LAST).read_text()


def prefix(version: str) -> str:
    return f"table-exports/{version}"


def exists(account: Account, bucket: str) -> bool:
    """Raises CannotDeploy if the bucket is someone else's, or in another Region: Lambda takes code from its own."""
    try:
        found = account.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=account.id)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            return False
        if code in ("301", "PermanentRedirect"):
            raise CannotDeploy(
                f"The bucket {bucket} is in another Region than {account.region}: name another"
            ) from error
        if code == "403":
            raise CannotDeploy(
                f"The bucket {bucket} is another account's, or you lack s3:ListBucket on it: name one of {account.id}"
            ) from error
        raise
    region = found.get("BucketRegion", account.region)
    if region != account.region:
        raise CannotDeploy(f"The bucket {bucket} is in {region}, not in {account.region}: name another")
    return True


def create(account: Account, bucket: str) -> None:
    """Private, encrypted, TLS only. May be run again if it was interrupted."""
    s3 = account.client("s3")
    here = {} if account.region == "us-east-1" else {"LocationConstraint": account.region}
    s3.create_bucket(
        Bucket=bucket, ObjectOwnership="BucketOwnerEnforced", **({"CreateBucketConfiguration": here} if here else {})
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
    """False if this version is there already."""
    s3, folder = account.client("s3"), prefix(version(build))
    owned = {"ExpectedBucketOwner": account.id}
    if s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/{LAST}", **owned)["KeyCount"]:
        return False
    for file in sorted(build.iterdir(), key=lambda file: file.name == LAST):
        s3.put_object(Bucket=bucket, Key=f"{folder}/{file.name}", Body=file.read_bytes(), **owned)
    return True


def url(account: Account, bucket: str, key: str) -> str:
    """As CloudFormation takes it."""
    return f"{account.client('s3').meta.endpoint_url}/{bucket}/{key}"
