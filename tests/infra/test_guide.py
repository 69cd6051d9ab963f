"""The first run, as a user sees it in a terminal."""

import io

import boto3
import pytest
from moto import mock_aws
from rich.console import Console
from templates import INFRA

from infra.deploy import CannotDeploy, guide
from infra.deploy.account import Account
from infra.deploy.parameters import parameters
from infra.deploy.screen import Screen

COMMON_STACK = parameters(INFRA / "common.yaml")
BUCKET = "table-exports-artifacts-123456789012-us-east-1"


@pytest.fixture
def account():
    with mock_aws():
        yield Account(boto3.Session(), "123456789012", "us-east-1", "arn:aws:iam::123456789012:user/me")


@pytest.fixture
def person(monkeypatch):
    """Answers the questions in turn, then presses Enter. Returns the screen and what it showed."""

    def answering(*answers):
        left = list(answers)
        monkeypatch.setattr("builtins.input", lambda _="": left.pop(0) if left else "")
        seen = io.StringIO()
        return Screen(Console(file=seen, force_terminal=True, width=200, color_system=None)), seen

    return answering


def test_enter_accepts_the_proposed_values(account, person):
    screen, seen = person()

    settings = guide.settings(account, screen, COMMON_STACK, {})

    assert (settings.account, settings.region, settings.artifacts_bucket) == ("123456789012", "us-east-1", BUCKET)
    assert settings.parameters == {}
    assert "Account 123456789012, Region us-east-1, as arn:aws:iam::123456789012:user/me" in seen.getvalue()


def test_an_invalid_answer_is_asked_for_again(account, person):
    screen, seen = person("our-artifacts", "nonsense", "me@example.com")

    settings = guide.settings(account, screen, COMMON_STACK, {})

    assert settings.artifacts_bucket == "our-artifacts"
    assert settings.parameters == {"AlarmEmail": "me@example.com"}
    assert "nonsense must be an email address" in seen.getvalue()


def test_values_of_an_earlier_deployment_are_proposed_and_kept(account, person):
    deployed = {
        "ArtifactsBucket": "our-artifacts",
        "ArtifactsPrefix": "v1",
        "LogDays": "30",
        "StagingDays": "14",
        "Old": "x",
    }

    settings = guide.settings(account, person()[0], COMMON_STACK, deployed)

    assert settings.artifacts_bucket == "our-artifacts"
    assert settings.parameters == {"LogDays": "30", "StagingDays": "14"}


def test_a_value_of_an_earlier_version_that_is_no_longer_accepted_becomes_the_default(account, person):
    screen, seen = person()

    settings = guide.settings(account, screen, COMMON_STACK, {"LogDays": "30", "StagingDays": "3"})

    assert settings.parameters == {"LogDays": "30"}
    assert "StagingDays: 3 must be at least 10. It becomes 10" in seen.getvalue()


def test_the_named_tables_make_the_first_file(account, person, tmp_path):
    for name in ("Orders", "Films"):
        key = {"AttributeName": "id", "KeyType": "HASH"}
        attribute = {"AttributeName": "id", "AttributeType": "S"}
        account.client("dynamodb").create_table(
            TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[key], AttributeDefinitions=[attribute]
        )
    screen, seen = person("Orders, Ordres", "Orders, Films")

    guide.tables_file(tmp_path / "tables.yaml", account, screen)

    assert "Table Ordres does not exist" in seen.getvalue()
    assert (tmp_path / "tables.yaml").read_text().endswith("tables:\n  Orders:\n  Films:\n")


def test_the_bucket_is_created_after_confirmation(account, person):
    settings = guide.settings(account, person()[0], COMMON_STACK, {})
    with pytest.raises(CannotDeploy, match="artifacts_bucket: the deployment needs a bucket"):
        guide.artifacts_bucket(settings, account, person("n")[0])
    guide.artifacts_bucket(settings, account, person("y")[0])
    guide.artifacts_bucket(settings, account, person()[0])  # asks no more

    s3 = account.client("s3")
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    rules = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=BUCKET)["Policy"]
