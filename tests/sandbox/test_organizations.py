"""What an organization can require of a deployment: a path and a boundary of roles, and a VPC."""

import json

import pytest
from sandbox_user import ROOT, WITHOUT_SPARK, User, sandbox

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


def test_what_the_documentation_says_of_the_network_is_true(user):
    """docs/sandbox.md lists what this sandbox drops or does not use."""
    page = (ROOT / "docs/sandbox.md").read_text()
    assert "`VpcConfig` of functions and `ExecutionClass` of jobs are dropped" in page
    assert "Jobs keep `Connections`, but do not use them" in page

    function = user.client("lambda").get_function_configuration(FunctionName="table-exports-start_export")
    assert not function.get("VpcConfig", {}).get("SubnetIds")
    job = user.client("glue").get_job(JobName="table-exports-governed-parquet")["Job"]
    assert job["Connections"] == {"Connections": ["network"]}
    assert "ExecutionClass" not in job
    with pytest.raises(user.client("glue").exceptions.EntityNotFoundException):
        user.client("glue").get_connection(Name="network")
