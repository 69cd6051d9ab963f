"""What the sandbox's CloudFormation does not do: refuse a change set for its content, fail half way, get stuck."""

from dataclasses import replace
from typing import Any

import pytest
from fake_cloudformation import ABSENT, ARN, STACK, FakeCloudFormation, in_error, stack

from infra.deploy import CannotDeploy
from infra.deploy.stacks import Interrupted, Overtaken, Plan, StackFailed, Stacks


def events(*listed: tuple[str, str, str]) -> dict[str, Any]:
    """Takes (resource, status, reason), oldest first. The stack itself is the resource `stack`."""
    return {
        "StackEvents": [
            {
                "EventId": str(number),
                "StackId": ARN,
                "LogicalResourceId": resource,
                "PhysicalResourceId": ARN if resource == "stack" else f"its-{resource}",
                "ResourceType": "AWS::Glue::Job",
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
            for number, (resource, status, reason) in reversed(list(enumerate(listed)))
        ]
    }


def test_a_refused_change_set_is_explained_and_removed():
    cloudformation = FakeCloudFormation(
        describe_stacks=[ABSENT, stack("REVIEW_IN_PROGRESS")],
        list_change_sets={"Summaries": []},
        describe_change_set={"Status": "FAILED", "StatusReason": "Validation failed for 1 resource"},
        describe_events={
            "OperationEvents": [
                {
                    "LogicalResourceId": "Job",
                    "ValidationPath": "/Timeout",
                    "ValidationStatusReason": "must be a number",
                },
                {"LogicalResourceId": "Crawler"},
            ]
        },
    )

    with pytest.raises(CannotDeploy) as error:
        Stacks(cloudformation).plan(STACK, "v1")

    assert str(error.value).splitlines() == [
        "CloudFormation refused stack table-exports-orders-parquet: Validation failed for 1 resource",
        "  Job /Timeout: must be a number",
    ]
    assert cloudformation.done[-1] == "delete_stack"


def test_discarding_a_plan_keeps_a_stack_that_someone_else_created():
    cloudformation = FakeCloudFormation(describe_stacks=stack("CREATE_COMPLETE"))

    Stacks(cloudformation).discard(Plan(stack=STACK, creates=True, change_set="change-set"))

    assert "delete_change_set" in cloudformation.done
    assert "delete_stack" not in cloudformation.done


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_no_changes_are_not_a_failure(reason):
    cloudformation = FakeCloudFormation(
        describe_stacks=stack("UPDATE_COMPLETE"), describe_change_set={"Status": "FAILED", "StatusReason": reason}
    )

    plan = Stacks(cloudformation).plan(STACK, "v1")

    assert plan == Plan(stack=STACK, creates=False, change_set=None)
    assert cloudformation.done[-1] == "delete_change_set"


@pytest.mark.parametrize(
    ("found", "repair", "mode"),
    [
        (stack("UPDATE_COMPLETE"), True, "REVERT_DRIFT"),
        (stack("UPDATE_COMPLETE"), False, None),
        (ABSENT, True, None),  # a new stack has not drifted
        (stack("IMPORT_COMPLETE"), False, "REVERT_DRIFT"),  # what was imported has the settings of before
    ],
)
def test_a_repair_reverts_the_drift_of_an_existing_stack(found, repair, mode):
    cloudformation = FakeCloudFormation(
        describe_stacks=found, describe_change_set={"Status": "CREATE_COMPLETE", "Changes": []}
    )

    Stacks(cloudformation).plan(replace(STACK, repair=repair), "v1")

    assert cloudformation.requests["create_change_set"].get("DeploymentMode") == mode


def test_the_reasons_of_a_failure_are_those_of_its_causes_in_order():
    before = ("stack", "CREATE_COMPLETE", "")
    cloudformation = FakeCloudFormation(
        describe_stacks=stack("UPDATE_COMPLETE"),
        describe_stack_events=[
            events(before),
            events(
                before,
                ("stack", "UPDATE_IN_PROGRESS", "User Initiated"),
                ("Job", "UPDATE_FAILED", "Access denied"),
                ("Crawler", "UPDATE_FAILED", "Resource update cancelled"),
                ("Schedule", "CREATE_FAILED", "Invalid expression"),
                ("stack", "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed"),
                ("stack", "UPDATE_ROLLBACK_COMPLETE", ""),
            ),
        ],
    )

    with pytest.raises(StackFailed) as failure:
        Stacks(cloudformation).execute(Plan(stack=STACK, creates=False, change_set="change-set"))

    assert str(failure.value).splitlines() == [
        "Job (AWS::Glue::Job): Access denied",
        "Schedule (AWS::Glue::Job): Invalid expression",
    ]


def test_a_stack_is_followed_to_its_end_and_each_event_reported_once():
    one, two, three = (
        ("stack", "UPDATE_IN_PROGRESS", ""),
        ("Job", "UPDATE_COMPLETE", ""),
        ("stack", "UPDATE_COMPLETE", ""),
    )
    cloudformation = FakeCloudFormation(
        describe_stacks=stack("UPDATE_COMPLETE"),
        describe_stack_events=[events(one), events(one, two), events(one, two, three)],
    )
    seen = []

    Stacks(cloudformation).execute(Plan(stack=STACK, creates=False, change_set="change-set"), seen.append)

    assert [(event.resource, event.status) for event in seen] == [
        ("Job", "UPDATE_COMPLETE"),
        ("stack", "UPDATE_COMPLETE"),
    ]


def test_an_operation_in_progress_is_waited_for():
    cloudformation = FakeCloudFormation(describe_stacks=[stack("UPDATE_IN_PROGRESS"), stack("UPDATE_COMPLETE")])

    assert Stacks(cloudformation).wait_until_idle(STACK.name)["StackStatus"] == "UPDATE_COMPLETE"


def test_waiting_ends_when_it_is_interrupted():
    stacks = Stacks(FakeCloudFormation(describe_stacks=stack("UPDATE_IN_PROGRESS")))
    stacks.interrupted.set()

    with pytest.raises(Interrupted):
        stacks.wait_until_idle(STACK.name)


def test_who_waits_is_told_who_deploys():
    said: list[str] = []
    mine = {"ChangeSetName": "version-1", "ExecutionStatus": "AVAILABLE", "Description": "make deploy by me"}
    theirs = {
        "ChangeSetName": "version-2",
        "ExecutionStatus": "EXECUTE_IN_PROGRESS",
        "Description": "make deploy by Ann",
    }
    cloudformation = FakeCloudFormation(
        describe_stacks=[stack("UPDATE_IN_PROGRESS"), stack("UPDATE_IN_PROGRESS"), stack("UPDATE_COMPLETE")],
        list_change_sets={"Summaries": [mine, theirs]},
    )

    Stacks(cloudformation, "me", said.append).wait_until_idle(STACK.name)

    assert said == [f"Stack {STACK.name} is UPDATE_IN_PROGRESS (make deploy by Ann). Waiting until it ends"]


def test_others_see_who_deploys():
    cloudformation = FakeCloudFormation(
        describe_stacks=stack("UPDATE_COMPLETE"), describe_change_set={"Status": "CREATE_COMPLETE", "Changes": []}
    )

    Stacks(cloudformation, "arn:aws:iam::123456789012:user/ann").plan(STACK, "v1")

    described = cloudformation.requests["create_change_set"]["Description"]
    assert described == "make deploy by arn:aws:iam::123456789012:user/ann"


@pytest.mark.parametrize(
    "answers",
    [
        {"describe_stacks": stack("UPDATE_COMPLETE"), "execute_change_set": in_error("ChangeSetNotFound")},
        {"describe_stacks": stack("UPDATE_COMPLETE"), "execute_change_set": in_error("InvalidChangeSetStatus")},
        {"describe_stacks": stack("UPDATE_IN_PROGRESS")},
        {"describe_stacks": ABSENT},
    ],
)
def test_a_change_set_that_another_deployment_has_overtaken_is_told_from_a_failure(answers):
    cloudformation = FakeCloudFormation(describe_stack_events={"StackEvents": []}, **answers)

    with pytest.raises(Overtaken):
        Stacks(cloudformation).execute(Plan(stack=STACK, creates=False, change_set="change-set"))


@pytest.mark.parametrize(
    "message",
    [
        "Stack:arn is in UPDATE_IN_PROGRESS state and can not be updated.",
        "Stack [table-exports-orders-parquet] already exists and cannot be created again with the changeSet [x].",
    ],
)
def test_a_stack_that_another_deployment_changes_at_that_moment_is_waited_for(message):
    cloudformation = FakeCloudFormation(
        describe_stacks=[ABSENT, stack("CREATE_IN_PROGRESS"), stack("CREATE_COMPLETE")],
        create_change_set=[in_error("ValidationError", message), {"Id": "change-set"}],
        list_change_sets={"Summaries": []},
        describe_change_set={"Status": "CREATE_COMPLETE", "Changes": []},
    )

    plan = Stacks(cloudformation).plan(STACK, "v1")

    assert not plan.creates
    assert cloudformation.done.count("create_change_set") == 2


def test_a_change_set_that_disappears_while_it_is_planned_is_planned_again():
    cloudformation = FakeCloudFormation(
        describe_stacks=stack("UPDATE_COMPLETE"),
        describe_change_set=[in_error("ChangeSetNotFound"), {"Status": "CREATE_COMPLETE", "Changes": []}],
        delete_change_set=in_error("ChangeSetNotFound"),
    )
    stacks = Stacks(cloudformation)

    stacks.discard(stacks.plan(STACK, "v1"))

    assert cloudformation.done.count("create_change_set") == 2


def test_an_empty_stack_that_someone_else_plans_too_is_kept():
    cloudformation = FakeCloudFormation(
        describe_stacks=stack("REVIEW_IN_PROGRESS"), list_change_sets={"Summaries": [{"ChangeSetName": "version-2"}]}
    )

    Stacks(cloudformation).discard(Plan(stack=STACK, creates=True, change_set="change-set"))

    assert "delete_stack" not in cloudformation.done


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (
            "UPDATE_ROLLBACK_FAILED",
            "aws cloudformation continue-update-rollback --stack-name table-exports-orders-parquet",
        ),
        ("DELETE_FAILED", "Delete it, and then run this command again"),
    ],
)
def test_a_stuck_stack_is_reported_with_the_remedy(status, remedy):
    stacks = Stacks(FakeCloudFormation(describe_stacks=stack(status, StackStatusReason="Job is in use")))

    with pytest.raises(CannotDeploy, match=remedy):
        stacks.wait_until_idle(STACK.name)


@pytest.mark.parametrize(
    ("body", "resources"),
    [
        ("Resources: {Job: {Type: AWS::Glue::Job, Properties: {Name: !Ref Name}}}", {"Job"}),
        ({"Resources": {"Job": {}}}, {"Job"}),  # boto3 parses JSON
        ("", set()),
        (None, set()),
    ],
)
def test_a_template_is_read_whatever_its_form(body, resources):
    stacks = Stacks(FakeCloudFormation(get_template={"TemplateBody": body}))

    assert stacks.template(STACK.name).get("Resources", {}).keys() == resources


def test_change_sets_of_others_are_told_from_those_of_a_deployment():
    summaries = [{"ChangeSetName": name} for name in ("version-1-2", "adopt-3", "awscli-cloudformation-package-deploy")]
    stacks = Stacks(FakeCloudFormation(list_change_sets={"Summaries": summaries}))

    assert stacks.planned_by_others(STACK.name) == ["awscli-cloudformation-package-deploy"]
