"""Whether a stack is gone, as CloudFormation answers. Its error and states: API reference, DescribeStacks."""

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session
from botocore.stub import Stubber

from table_exports.aws.stacks import Stacks

STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/my-table/1"


@pytest.fixture
def client():
    return Session().create_client("cloudformation", region_name="us-east-1")


@pytest.mark.parametrize(
    ("status", "gone"),
    [
        ("DELETE_COMPLETE", True),
        ("DELETE_IN_PROGRESS", False),
        ("DELETE_FAILED", False),
        ("UPDATE_ROLLBACK_COMPLETE", False),
    ],
)
def test_only_a_deleted_stack_is_gone(client, status, gone):
    answer = {"StackName": "my-table", "CreationTime": "2026-11-23T02:00:00Z", "StackStatus": status}
    with Stubber(client) as stub:
        stub.add_response("describe_stacks", {"Stacks": [answer]}, {"StackName": STACK})

        assert Stacks(client).is_gone(STACK) is gone


def test_a_stack_that_cloudformation_does_not_know_is_gone(client):
    with Stubber(client) as stub:
        stub.add_client_error("describe_stacks", "ValidationError", f"Stack with id {STACK} does not exist")

        assert Stacks(client).is_gone(STACK)


@pytest.mark.parametrize("code", ["AccessDenied", "Throttling"])
def test_a_refused_question_is_no_answer(client, code):
    with Stubber(client) as stub:
        stub.add_client_error("describe_stacks", code, "no")

        with pytest.raises(ClientError, match=code):
            Stacks(client).is_gone(STACK)
