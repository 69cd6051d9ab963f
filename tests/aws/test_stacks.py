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


def an_event(status, physical_id="reviews-parquet", logical_id="Pipeline", **more):
    return {
        "StackId": STACK,
        "EventId": "1",
        "StackName": "my-table",
        "Timestamp": "2026-11-23T02:00:00Z",
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": physical_id,
        "ResourceType": "Custom::TableExportsPipeline",
        "ResourceStatus": status,
    } | more


def operation_in(client, *pages, physical_id=""):
    """The operation, where CloudFormation has these pages of events."""
    stack = {
        "StackName": "my-table",
        "CreationTime": "2026-11-23T02:00:00Z",
        "StackStatus": "UPDATE_IN_PROGRESS",
        "Parameters": [{"ParameterKey": "KeepSnapshots", "ParameterValue": "3"}],
    }
    with Stubber(client) as stub:
        stub.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": STACK})
        for number, page in enumerate(pages):
            token = {"NextToken": str(number)} if number else {}
            more = {"NextToken": str(number + 1)} if number + 1 < len(pages) else {}
            stub.add_response("describe_stack_events", {"StackEvents": page} | more, {"StackName": STACK} | token)
        return Stacks(client).operation(STACK, "Pipeline", physical_id)


def test_the_latest_event_of_the_resource_counts(client):
    other = an_event("CREATE_COMPLETE", logical_id="Job")
    latest = an_event("UPDATE_IN_PROGRESS", ResourceProperties='{"KeepSnapshots": "3"}')

    found = operation_in(client, [other, latest, an_event("CREATE_COMPLETE")])

    assert (found.resource_status, found.stack_status) == ("UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
    assert found.parameters == found.properties == {"KeepSnapshots": "3"}


def test_a_deletion_counts_for_the_resource_that_is_deleted(client):
    deleted = an_event("DELETE_IN_PROGRESS", "reviews-csv")

    found = operation_in(client, [an_event("UPDATE_COMPLETE")], [deleted], physical_id="reviews-csv")

    assert found.resource_status == "DELETE_IN_PROGRESS"


@pytest.mark.parametrize("text", ["", '{"KeepSnapshots": "3', "[]"])
def test_properties_that_are_no_object_are_none(client, text):
    assert operation_in(client, [an_event("UPDATE_IN_PROGRESS", ResourceProperties=text)]).properties == {}


def test_a_stack_without_the_resource_has_no_status(client):
    assert operation_in(client, [an_event("CREATE_COMPLETE", logical_id="Job")]).resource_status == ""


def test_a_stack_that_is_gone_does_nothing(client):
    with Stubber(client) as stub:
        stub.add_client_error("describe_stacks", "ValidationError", f"Stack with id {STACK} does not exist")

        assert Stacks(client).operation(STACK, "Pipeline") is None


def of_stack(status):
    return an_event(status, STACK, "my-table", ResourceType="AWS::CloudFormation::Stack")


def kept(status, keep):
    return an_event(status, ResourceProperties=f'{{"KeepSnapshots": "{keep}"}}')


def rolled_back(client, *events, status="UPDATE_ROLLBACK_IN_PROGRESS"):
    stack = {"StackName": "my-table", "CreationTime": "2026-11-23T02:00:00Z", "StackStatus": status}
    with Stubber(client) as stub:
        stub.add_response("describe_stacks", {"Stacks": [stack]})
        stub.add_response("describe_stack_events", {"StackEvents": list(events)})
        return Stacks(client).operation(STACK, "Pipeline")


@pytest.mark.parametrize(
    "failed",
    [
        [kept("UPDATE_COMPLETE", 2), kept("UPDATE_IN_PROGRESS", 2)],  # another resource failed
        [kept("UPDATE_FAILED", 2), kept("UPDATE_IN_PROGRESS", 2)],
        [  # a rollback that is continued
            kept("UPDATE_FAILED", 3),
            kept("UPDATE_IN_PROGRESS", 3),
            of_stack("UPDATE_ROLLBACK_IN_PROGRESS"),
            kept("UPDATE_COMPLETE", 2),
            kept("UPDATE_IN_PROGRESS", 2),
        ],
    ],
)
def test_what_a_rollback_restores_is_what_the_resource_had_before_the_update(client, failed):
    rollback = [kept("UPDATE_IN_PROGRESS", 3), of_stack("UPDATE_ROLLBACK_IN_PROGRESS")]
    before = [of_stack("UPDATE_COMPLETE"), kept("UPDATE_COMPLETE", 3), kept("UPDATE_IN_PROGRESS", 3)]
    oldest = [of_stack("UPDATE_IN_PROGRESS"), of_stack("CREATE_COMPLETE"), kept("CREATE_COMPLETE", 1)]

    found = rolled_back(client, *rollback, *failed, of_stack("UPDATE_IN_PROGRESS"), *before, *oldest)

    assert (found.resource_status, found.earlier) == ("UPDATE_IN_PROGRESS", {"KeepSnapshots": "3"})


def test_without_the_events_of_before_nothing_is_known_of_it(client):
    found = rolled_back(client, kept("UPDATE_IN_PROGRESS", 3), of_stack("UPDATE_IN_PROGRESS"))

    assert found.earlier == {}


def test_an_update_restores_nothing(client):
    events = [kept("UPDATE_IN_PROGRESS", 2), of_stack("UPDATE_IN_PROGRESS"), kept("UPDATE_COMPLETE", 3)]

    assert rolled_back(client, *events, status="UPDATE_IN_PROGRESS").earlier == {}
