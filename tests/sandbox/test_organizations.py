"""What an organization can require of a deployment: a path and a boundary of roles, and a VPC."""

import json

import pytest
from sandbox_user import WITHOUT_SPARK, User, sandbox

from sandbox.cloud import Cloud
from sandbox.deploy import deploy

pytestmark = pytest.mark.slow

BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
REQUIRED = {
    "PermissionsBoundaryArn": BOUNDARY,
    "RolePath": "/data/",
    "SubnetIds": "subnet-0a1b2c3d,subnet-4e5f6a7b",
    "SecurityGroupIds": "sg-0a1b2c3d",
}


@pytest.fixture(scope="module")
def user(tmp_path_factory, engine):
    with sandbox(tmp_path_factory.mktemp("organization"), *WITHOUT_SPARK, *engine, "--no-deploy") as endpoint:
        user = User(endpoint)
        user.client("iam").create_policy(PolicyName="boundary", PolicyDocument=json.dumps(ALL))
        deploy(Cloud(endpoint), parameters=REQUIRED)
        yield user


def test_roles_have_the_path_and_the_boundary_and_an_export_succeeds(user):
    user.make_table("Governed", [{"id": str(n)} for n in range(10)], {"id": "S"})
    user.client("dynamodb").update_continuous_backups(
        TableName="Governed", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    pipeline = user.deploy_pipeline("Governed", ReadMode="export", ExecutionClass="FLEX", GlueConnection="network")

    [export] = user.export(pipeline)

    assert export["items"] == 10
    found = user.client("iam").get_paginator("list_roles").paginate(PathPrefix="/data/")
    roles = [role["RoleName"] for page in found for role in page["Roles"]]
    assert len(roles) == 15
    for name in roles:
        role = user.client("iam").get_role(RoleName=name)["Role"]
        assert role["Path"] in ("/data/", "/data/table-exports/")
        assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
