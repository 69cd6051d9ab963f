"""What a deleted common stack left is found by name and imported: the sandbox's CloudFormation imports none of it."""

import json
import re
from types import SimpleNamespace

import boto3
import pytest
from cfnlint.api import lint_all
from moto import mock_aws
from samtranslator.yaml_helper import yaml_parse
from templates import INFRA

from infra.deploy import CannotDeploy
from infra.deploy.account import Account
from infra.deploy.adoption import RETAIN, RetainedResources

BUCKET = "table-exports-123456789012-us-east-1"
GIVEN = {"ArtifactsBucket": "artifacts", "ArtifactsPrefix": "v1", "DatabaseName": "exports"}


@pytest.fixture
def account():
    with mock_aws():
        yield Account(boto3.Session(), "123456789012", "us-east-1", "someone")


@pytest.fixture
def retained(account):
    return RetainedResources(account, INFRA / "common.yaml", GIVEN)


@pytest.fixture
def leave(account):
    """Leaves what a deleted stack does."""
    key = [{"AttributeName": "pipeline", "KeyType": "HASH"}]
    attributes = [{"AttributeName": "pipeline", "AttributeType": "S"}]
    account.client("dynamodb").create_table(
        TableName="table-exports", BillingMode="PAY_PER_REQUEST", KeySchema=key, AttributeDefinitions=attributes
    )
    account.client("s3").create_bucket(Bucket=BUCKET)
    account.client("glue").create_database(DatabaseInput={"Name": "exports"})


def test_where_nothing_was_deployed_nothing_is_left(retained):
    assert retained.found() == {}


@pytest.mark.usefixtures("leave")
def test_what_is_left_is_found_by_the_names_that_the_template_gives(retained):
    assert retained.found() == {"StateTable": "table-exports", "Bucket": BUCKET, "Database": "exports"}


@pytest.mark.usefixtures("leave")
def test_the_template_of_an_import_has_what_is_imported_and_no_more(retained):
    template = json.loads(retained.template(retained.found()))

    assert template.keys() == {"AWSTemplateFormatVersion", "Parameters", "Conditions", "Resources"}
    assert set(re.findall(r'"Fn::If": \["(\w+)"', json.dumps(template["Resources"]))) <= template["Conditions"].keys()
    assert template["Resources"].keys() == {"StateTable", "Bucket", "Database"}
    assert all(resource["DeletionPolicy"] in RETAIN for resource in template["Resources"].values())


def importing(account, summaries):
    """The account with a CloudFormation that knows how to identify these."""
    cloudformation = SimpleNamespace(get_template_summary=lambda **_: {"ResourceIdentifierSummaries": summaries})
    return SimpleNamespace(
        id=account.id, region=account.region, client=lambda name: {"cloudformation": cloudformation}[name]
    )


def all_retained():
    found = yaml_parse((INFRA / "common.yaml").read_text())["Resources"]
    return [name for name, resource in found.items() if resource.get("DeletionPolicy") in RETAIN]


@pytest.mark.parametrize("names", [all_retained(), ["StateTable"], ["BucketPolicy"]], ids=" ".join)
def test_the_template_of_an_import_is_valid_whatever_is_left(retained, names):
    """A bucket's policy refers to its bucket, which exists if the policy does."""
    found = dict.fromkeys([*names, *(["Bucket"] if "BucketPolicy" in names else [])], "name")

    matches = lint_all(retained.template(found))

    assert [f"{match.rule.id} {match.message}" for match in matches if match.rule.severity == "error"] == []


def test_cloudformation_says_how_each_is_identified(account):
    summaries = [
        {"ResourceType": "AWS::S3::Bucket", "LogicalResourceIds": ["Bucket"], "ResourceIdentifiers": ["BucketName"]},
        {
            "ResourceType": "AWS::Glue::Database",
            "LogicalResourceIds": ["Database"],
            "ResourceIdentifiers": ["CatalogId", "DatabaseName"],
        },
    ]
    retained = RetainedResources(importing(account, summaries), INFRA / "common.yaml", GIVEN)

    assert retained.resources_to_import({"Bucket": BUCKET, "Database": "exports"}) == [
        {
            "LogicalResourceId": "Bucket",
            "ResourceType": "AWS::S3::Bucket",
            "ResourceIdentifier": {"BucketName": BUCKET},
        },
        {
            "LogicalResourceId": "Database",
            "ResourceType": "AWS::Glue::Database",
            "ResourceIdentifier": {"CatalogId": "123456789012", "DatabaseName": "exports"},
        },
    ]


def test_what_cannot_be_imported_is_named_before_anything_is(account):
    retained = RetainedResources(importing(account, []), INFRA / "common.yaml", GIVEN)

    with pytest.raises(CannotDeploy, match="CloudFormation cannot import Database exports"):
        retained.resources_to_import({"Database": "exports"})
