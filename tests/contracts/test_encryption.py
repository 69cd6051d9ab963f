"""Everything that can be encrypted with a customer managed key is, if KmsKeyArn is set."""

import json
import re
from functools import cache

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from permissions.policies import resolved
from templates import INFRA, STACKS, expanded, resources, template

REGION = "us-east-1"
KEY_PROPERTY = re.compile("kms|encryptionkey|securityconfiguration", re.IGNORECASE)

# Types that could have a key, and why ours have none.
WITHOUT = {
    "AWS::Lambda::Function": "environment variables and code have no secrets, and Lambda encrypts them",
    "AWS::Lambda::EventSourceMapping": "the filter criteria are in the template",
    "AWS::Scheduler::Schedule": "the request in it is in the template",
}


@cache
def key_properties(kind):
    """The names of properties of a resource type, at any depth, that name a key or a security configuration."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    return set(filter(KEY_PROPERTY.search, names(schema)))


def names(schema):
    if isinstance(schema, dict):
        for name, inner in schema.items():
            if name == "properties" and isinstance(inner, dict):
                yield from inner
            yield from names(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from names(inner)


def encryptable():
    for stack in STACKS:
        for name, found in expanded(stack)["Resources"].items():
            kind = found["Type"]
            if kind.startswith("AWS::") and kind not in WITHOUT and key_properties(kind):
                yield stack, name, kind


@pytest.mark.parametrize(("stack", "name", "kind"), list(encryptable()))
def test_a_resource_has_the_key_if_there_is_one(stack, name, kind):
    properties = expanded(stack)["Resources"][name]["Properties"]
    condition = {"common": "HasKey", "table": "IsEncrypted"}[stack]

    if expanded(stack)["Resources"][name].get("Condition") == condition:
        return
    assert f'"Fn::If": ["{condition}"' in json.dumps(properties), f"of {key_properties(kind)}, {name} has none"


def test_the_rule_looks_at_all_kinds_of_data():
    kinds = {kind for _, _, kind in encryptable()}

    assert kinds >= {
        "AWS::Athena::WorkGroup",
        "AWS::DynamoDB::Table",
        "AWS::Events::Archive",
        "AWS::Events::EventBus",
        "AWS::Glue::Crawler",
        "AWS::Glue::Job",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
    }
    assert {kind for kind in WITHOUT if not any(resources(stack, kind) for stack in STACKS)} == set()


def test_jobs_and_crawlers_name_the_security_configuration_of_the_common_stack():
    [configuration] = resources("common", "AWS::Glue::SecurityConfiguration").values()
    name = resolved("common", configuration["Properties"]["Name"])
    [job], [crawler] = (resources("table", f"AWS::Glue::{kind}").values() for kind in ("Job", "Crawler"))

    assert resolved("table", job["Properties"]["SecurityConfiguration"]) == name
    assert resolved("table", crawler["Properties"]["CrawlerSecurityConfiguration"]) == name


@pytest.mark.parametrize(("stack", "parameter"), [("common", "KmsKeyArn"), ("table", "TableKmsKeyArn")])
@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("", True),
        ("arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", True),
        ("arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab", True),
        ("arn:aws:kms:eu-central-1:111122223333:alias/data", False),  # IAM policies do not know aliases
        ("alias/data", False),
        ("1234abcd-12ab-34cd-56ef-1234567890ab", False),
    ],
)
def test_a_key_is_named_by_its_arn(stack, parameter, value, accepted):
    assert bool(re.fullmatch(template(stack)["Parameters"][parameter]["AllowedPattern"], value)) == accepted


# What AWS documents for the key policy: EventBridge user guide, "Encrypting event buses" and "Encrypting archives";
# CloudWatch user guide, "SNS and KMS"; CloudWatch Logs user guide, "Encrypt log data".
NEEDED_BY_SERVICE = {
    "events.amazonaws.com": {"kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:ReEncrypt*"},
    "cloudwatch.amazonaws.com": {"kms:Decrypt", "kms:GenerateDataKey*"},
    "logs.eu-west-1.amazonaws.com": {
        "kms:Encrypt",
        "kms:Decrypt",
        "kms:ReEncrypt*",
        "kms:GenerateDataKey*",
        "kms:Describe*",
    },
}


def test_the_documented_key_policy_lets_each_service_use_the_key():
    page = (INFRA.parent / "docs" / "deploy.md").read_text()
    documents = [json.loads(block) for block in re.findall(r"```json\n(\[.*?\])\n```", page, re.DOTALL)]
    [policy] = [document for document in documents if any("Sid" in statement for statement in document)]

    allowed = {
        statement["Principal"]["Service"]: set(statement["Action"])
        for statement in policy
        if "Service" in statement["Principal"]
    }
    assert allowed == NEEDED_BY_SERVICE
