"""Names in the templates do not collide: neither with another Region of the account, nor with another account."""

import json
import re
from pathlib import Path

import pytest
from templates import STACKS, expanded

ROOT = Path(__file__).parents[2]

# Types whose names are unique in the account, over all Regions. Sources: the IAM user guide, "IAM identifiers", and the
# CloudFormation reference of AWS::CloudWatch::Dashboard, which calls dashboards global. The names of buckets are unique
# over all accounts too.
OF_THE_ACCOUNT = {
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::S3::Bucket": "BucketName",
}
OF_THE_REGION = {
    "AWS::Athena::WorkGroup": "Name",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::Archive": "ArchiveName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::Glue::Crawler": "Name",
    "AWS::Glue::Job": "Name",
    "AWS::Glue::SecurityConfiguration": "Name",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Logs::QueryDefinition": "Name",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SSM::Parameter": "Name",
    "AWS::Scheduler::Schedule": "Name",
}
OF_THE_ROLE = {"AWS::IAM::Policy": "PolicyName"}
NAMED = [
    (stack, name, found["Type"], found["Properties"])
    for stack in STACKS
    for name, found in expanded(stack)["Resources"].items()
]


def names_of_the_account():
    """(logical name, type, name) of each resource whose name is unique over all Regions."""
    return [
        (name, kind, properties[OF_THE_ACCOUNT[kind]])
        for _, name, kind, properties in NAMED
        if OF_THE_ACCOUNT.get(kind) in properties
    ]


@pytest.mark.parametrize(("stack", "name", "kind", "properties"), NAMED, ids=lambda value: str(value)[:30])
def test_it_is_known_for_each_type_with_a_name_where_the_name_is_unique(stack, name, kind, properties):
    own_name = {"Name", f"{kind.rpartition('::')[2]}Name"} & set(properties)

    assert not own_name - {(OF_THE_ACCOUNT | OF_THE_REGION | OF_THE_ROLE).get(kind)}, f"{stack}: {name}, {kind}"


def test_a_name_that_is_unique_in_the_account_contains_the_region():
    found = names_of_the_account()

    assert {kind for _, kind, _ in found} >= {"AWS::S3::Bucket", "AWS::CloudWatch::Dashboard"}
    for name, _, value in found:
        assert "${AWS::Region}" in json.dumps(value), name


def test_a_bucket_name_contains_the_account_too():
    for name, kind, value in names_of_the_account():
        if kind == "AWS::S3::Bucket":
            assert "${AWS::AccountId}" in json.dumps(value), name


@pytest.mark.parametrize(
    "page", ["README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md")))]
)
def test_the_documentation_uses_the_name_of_the_dashboard(page):
    [deployed] = [value["Fn::Sub"] for _, kind, value in names_of_the_account() if kind == "AWS::CloudWatch::Dashboard"]

    for named in re.findall(r"[Dd]ashboard\s+`([^`]+)`", (ROOT / page).read_text()):
        assert named == deployed.replace("${AWS::Region}", "<Region>")
