"""Every call to S3 that can name the owner of its bucket does so."""

import ast
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.session import Session
from moto import mock_aws

from infra.deploy.account import Account
from table_exports.aws.bucket_owner import expect_owner
from table_exports.aws.cloud import Cloud

ROOT = Path(__file__).parents[2]
ACCOUNT = "123456789012"
NAMED = {"ExpectedBucketOwner", "ExpectedSourceBucketOwner"}


def client():
    return Session().create_client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


@pytest.mark.parametrize("operation", client().meta.service_model.operation_names)
def test_each_operation_names_the_owner_where_it_can(operation):
    s3 = expect_owner(client(), ACCOUNT)
    model = s3.meta.service_model.operation_model(operation)
    params = {}

    s3.meta.events.emit(f"provide-client-params.s3.{operation}", params=params, model=model, context={})

    assert params == dict.fromkeys(NAMED & set(model.input_shape.members if model.input_shape else ()), ACCOUNT)


@mock_aws
def test_a_call_names_the_owner_and_a_pager_too():
    sent = []
    s3 = expect_owner(client(), ACCOUNT)
    s3.meta.events.register("before-call.s3", lambda params, **_: sent.append(params["headers"]))
    s3.create_bucket(Bucket="bucket")

    s3.put_object(Bucket="bucket", Key="key", Body=b"")
    list(s3.get_paginator("list_objects_v2").paginate(Bucket="bucket"))

    assert [headers.get("x-amz-expected-bucket-owner") for headers in sent] == [None, ACCOUNT, ACCOUNT]


def test_the_functions_name_their_account(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("ACCOUNT", ACCOUNT)
    monkeypatch.setenv("DATABASE", "exports")
    cloud = Cloud()
    sent = []

    def answer(params, **_):
        sent.append(params["headers"].get("x-amz-expected-bucket-owner"))
        raise ClientError({"Error": {"Code": "Stop"}}, "any")

    for s3 in (cloud.summaries._client, cloud.manifests._client, cloud.snapshots._s3):
        s3.meta.events.register("before-call.s3", answer)
        with pytest.raises(ClientError, match="Stop"):
            s3.get_object(Bucket="bucket", Key="key")

    assert set(sent) == {ACCOUNT}


@mock_aws
def test_the_deployment_names_its_account():
    sent = []
    s3 = Account(boto3.Session(region_name="us-east-1"), ACCOUNT, "us-east-1", "me").client("s3")
    s3.meta.events.register("before-call.s3", lambda params, **_: sent.append(params["headers"]))

    with pytest.raises(ClientError):
        s3.get_object(Bucket="bucket", Key="key")

    assert [headers["x-amz-expected-bucket-owner"] for headers in sent] == [ACCOUNT]


def test_every_client_of_s3_names_the_owner():
    """Not in the job: its role's policy names the account, and the job knows none."""
    made = {}
    for folder in ("services", "table_exports", "table_exports_cli", "infra"):
        for path in (ROOT / folder).rglob("*.py"):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            expecting = {
                id(argument) for call in calls if ast.unparse(call.func) == "expect_owner" for argument in call.args
            }
            for call in calls:
                if _is_of_s3(call) and id(call) not in expecting and not _names_its_owner(call):
                    made.setdefault(str(path.relative_to(ROOT)), set()).add(ast.unparse(call.func))

    assert made == {"table_exports/aws/cloud.py": {"_client_of_own"}, "infra/deploy/adoption.py": {"client"}}


def _names_its_owner(call):
    """Account.client does, for each client of S3."""
    return ast.unparse(call.func).removeprefix("self._") == "account.client"


def _is_of_s3(call):
    return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == "s3"
