"""What CloudFormation rejects of a resource's properties: AWS's schemas of resource types, and quotas."""

import json

import pytest

from sandbox.cloudformation.properties import problem

TRUST = {"Version": "2012-10-17", "Statement": []}
FUNCTION = {"Code": {"ZipFile": "x"}, "Role": "arn:aws:iam::123456789012:role/r"}
ALARM = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "MetricName": "m"}


@pytest.mark.parametrize(
    ("resource_type", "properties"),
    [
        ("AWS::IAM::Role", {"RoleName": "r" * 64, "AssumeRolePolicyDocument": TRUST}),
        ("AWS::Lambda::Function", {**FUNCTION, "Timeout": "900", "MemorySize": 128, "Runtime": "python3.13"}),
        ("AWS::Lambda::Function", {**FUNCTION, "Environment": {"Variables": {"NUMBER": 1, "FLAG": True}}}),
        ("AWS::SQS::Queue", {"DelaySeconds": "30", "FifoQueue": "true"}),
        ("AWS::CloudWatch::Dashboard", {"DashboardBody": json.dumps({"widgets": [{}] * 500})}),
        ("Custom::Alarm", {**ALARM, "ServiceToken": "arn"}),
        ("Custom::OfAUser", {"Anything": 1, "ServiceToken": "arn"}),
        ("AWS::OfTheFuture::Thing", {"Anything": 1}),
    ],
)
def test_properties_that_aws_accepts_have_no_problem(resource_type, properties):
    assert problem(resource_type, "Thing", properties) is None


@pytest.mark.parametrize(
    ("resource_type", "properties", "message"),
    [
        ("AWS::IAM::Role", {"RoleName": "r" * 65, "AssumeRolePolicyDocument": TRUST},
         "#/RoleName: expected maxLength: 64, actual: 65"),
        ("AWS::IAM::Role", {"RoleName": "r"}, "#: required key [AssumeRolePolicyDocument] not found"),
        ("AWS::SQS::Queue", {"Nope": 1}, "#: extraneous key [Nope] is not permitted"),
        ("AWS::SQS::Queue", {"MessageRetentionPeriod": 1209601}, "#/MessageRetentionPeriod: 1209601 is not less or "
         "equal to 1209600"),
        ("AWS::Lambda::Function", {**FUNCTION, "MemorySize": 127}, "#/MemorySize: 127 is not greater or equal to 128"),
        ("AWS::Lambda::Function", {**FUNCTION, "Timeout": "soon"}, "#/Timeout: 'soon' is not of type 'integer'"),
        ("AWS::Lambda::Function", {**FUNCTION, "Architectures": ["x86"]}, "#/Architectures/0: x86 is not a valid enum"),
        ("AWS::Lambda::Function", {**FUNCTION, "Layers": "l"}, "#/Layers: 'l' is not of type 'array'"),
        ("AWS::Lambda::Function", {**FUNCTION, "Environment": {"Variables": {"a-b": "v"}}},
         "#/Environment/Variables: extraneous key [a-b] is not permitted"),
        ("Custom::Alarm", {**ALARM, "AlarmDescription": "d" * 1025, "ServiceToken": "arn"},
         "#/AlarmDescription: expected maxLength: 1024, actual: 1025"),
    ],
)  # fmt: skip
def test_properties_that_aws_rejects_name_the_property_and_the_constraint(resource_type, properties, message):
    found = problem(resource_type, "Thing", properties)

    assert found.startswith("Properties validation failed for resource Thing with message: [#")
    assert message in found


@pytest.mark.parametrize(
    ("resource_type", "properties", "message"),
    [
        ("AWS::IAM::Role", {"AssumeRolePolicyDocument": {**TRUST, "Id": "x" * 2048}}, "ACLSizePerRole: 2048"),
        ("AWS::IAM::Role", {"AssumeRolePolicyDocument": TRUST, "Policies": [
            {"PolicyName": name, "PolicyDocument": {**TRUST, "Id": "x" * 5120}} for name in "ab"
        ]}, "Maximum policy size of 10240 bytes exceeded for the role (Error Code: LimitExceeded)"),
        ("AWS::CloudWatch::Dashboard", {"DashboardBody": json.dumps({"widgets": [{}] * 501})}, "501 widgets"),
        ("AWS::Lambda::Function", {**FUNCTION, "Environment": {"Variables": {"NAME": "v" * 4096}}}, "4KB limit"),
    ],
)  # fmt: skip
def test_resources_over_a_quota_are_rejected(resource_type, properties, message):
    assert message in problem(resource_type, "Thing", properties)
