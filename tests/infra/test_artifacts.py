"""What is in the artifacts bucket is compared with the build, and never overwritten."""

import re
import shlex

import boto3
import pytest
from moto import mock_aws

from infra.deploy import CannotDeploy, artifacts, blocks
from infra.deploy.account import Account

BUCKET = "table-exports-artifacts-123456789012-us-east-1"
FOLDER = "table-exports/0a1b2c"


@pytest.fixture
def account(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield Account(boto3.Session(region_name="us-east-1"), "123456789012", "us-east-1", "me")


@pytest.fixture
def build(tmp_path):
    for name, content in {"layer.zip": b"layer", "common.yaml": b"template", "version.txt": b"0a1b2c"}.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture
def s3(account):
    """The bucket without its policy: moto would evaluate it without its condition."""
    artifacts.create(account, BUCKET)
    client = account.client("s3")
    client.delete_bucket_policy(Bucket=BUCKET)
    return client


def uploaded(account, build):
    return artifacts.upload(account, BUCKET, build)


def test_a_version_is_uploaded_once(account, s3, build):
    assert uploaded(account, build)
    assert not uploaded(account, build)

    versions = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    assert sorted(each["Key"] for each in versions) == [
        f"{FOLDER}/common.yaml",
        f"{FOLDER}/layer.zip",
        f"{FOLDER}/version.txt",
    ]


def test_an_interrupted_upload_is_completed(account, s3, build):
    uploaded(account, build)
    s3.delete_object(Bucket=BUCKET, Key=f"{FOLDER}/version.txt")
    s3.delete_object(Bucket=BUCKET, Key=f"{FOLDER}/common.yaml")

    assert uploaded(account, build)
    assert s3.get_object(Bucket=BUCKET, Key=f"{FOLDER}/common.yaml")["Body"].read() == b"template"


@pytest.mark.parametrize("with_checksum", [True, False])
def test_a_replaced_artifact_is_found_and_the_remedy_works(account, s3, build, with_checksum):
    uploaded(account, build)
    given = {"ChecksumAlgorithm": "SHA256"} if with_checksum else {}
    s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}/layer.zip", Body=b"malware", **given)

    with pytest.raises(CannotDeploy, match="Nothing was deployed") as found:
        uploaded(account, build)

    commands = re.findall(r"^aws s3api (.*)$", str(found.value), re.MULTILINE)
    assert commands == [f"delete-object --bucket {BUCKET} --key {FOLDER}/layer.zip"]
    _, _, bucket, _, key = shlex.split(commands[0])
    s3.delete_object(Bucket=bucket, Key=key)
    assert uploaded(account, build)
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"layer"


def test_a_folder_that_someone_prepared_is_not_trusted(account, s3, build):
    s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}/version.txt", Body=b"0a1b2c")
    s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}/layer.zip", Body=b"malware")

    with pytest.raises(CannotDeploy, match=f"--key {FOLDER}/layer.zip"):
        uploaded(account, build)


def test_an_upload_does_not_overwrite_what_another_deployment_uploads_meanwhile(account, s3, build):
    key = f"{FOLDER}/layer.zip"
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"other")

    artifacts.put(s3, BUCKET, key, b"layer")

    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"other"


def test_the_bucket_keeps_what_is_overwritten_also_if_an_earlier_version_created_it(account, s3):
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"

    s3.create_bucket(Bucket="of-an-earlier-version")
    artifacts.enable_versioning(account, "of-an-earlier-version")

    assert s3.get_bucket_versioning(Bucket="of-an-earlier-version")["Status"] == "Enabled"


def test_a_block_is_stored_once_under_its_checksum(account, s3):
    contents = {("Columns", b"one"), ("Columns", b"other"), ("Entities", b"one")}
    for _ in range(2):
        blocks.store(account, BUCKET, contents)

    versions = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    assert sorted(each["Key"] for each in versions) == sorted(blocks.key(*each) for each in contents)
    assert [each["Key"].rpartition("/")[0] for each in versions] == ["table-exports/columns"] * 2 + [
        "table-exports/entities"
    ]
    assert all(re.fullmatch(r".*/[0-9a-f]{64}[.]json", each["Key"]) for each in versions)


def test_a_block_that_was_replaced_is_not_deployed(account, s3):
    s3.put_object(Bucket=BUCKET, Key=blocks.key("Columns", b"one"), Body=b"other")

    with pytest.raises(CannotDeploy, match="was replaced: its content is not what its name says") as error:
        blocks.store(account, BUCKET, {("Columns", b"one")})

    command = shlex.split(str(error.value).splitlines()[-1])
    s3.delete_object(Bucket=command[4], Key=command[6])
    blocks.store(account, BUCKET, {("Columns", b"one")})
