"""An interrupted deployment leaves no change sets and no empty stacks. A later one deletes what a killed one left."""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from fake_cloudformation import ABSENT, STACK, FakeCloudFormation, in_error, stack

from infra.deploy import stacks as module
from infra.deploy.stacks import Interrupted, Plan, Stacks

PLANNED = {"Status": "CREATE_COMPLETE", "Changes": []}


def change_set(name="version-1-2", description="make deploy by ann", hours=2.0, execution="AVAILABLE"):
    return {
        "ChangeSetId": f"arn:{name}",
        "ChangeSetName": name,
        "Description": description,
        "ExecutionStatus": execution,
        "CreationTime": datetime.now(UTC) - timedelta(hours=hours),
    }


def deleted(cloudformation):
    return [operation for operation in cloudformation.done if operation.startswith("delete")]


def test_a_plan_that_was_not_executed_is_discarded_with_its_empty_stack():
    cloudformation = FakeCloudFormation(
        describe_stacks=[ABSENT, stack("REVIEW_IN_PROGRESS")], describe_change_set=PLANNED
    )
    stacks = Stacks(cloudformation)
    stacks.plan(STACK, "v1")

    assert stacks.discard_open() == []
    assert deleted(cloudformation) == ["delete_change_set", "delete_stack"]
    assert stacks.discard_open() == []
    assert deleted(cloudformation) == ["delete_change_set", "delete_stack"]


def test_a_plan_that_was_interrupted_while_cloudformation_made_it_is_discarded(monkeypatch):
    monkeypatch.setattr(module, "MAX_PAUSE", 0)
    cloudformation = FakeCloudFormation(
        describe_stacks=[ABSENT, stack("REVIEW_IN_PROGRESS")],
        describe_change_set={"Status": "CREATE_IN_PROGRESS"},
        delete_change_set=[in_error("InvalidChangeSetStatus"), {}],
    )
    stacks = Stacks(cloudformation)
    stacks.interrupted.set()
    with pytest.raises(Interrupted):
        stacks.plan(STACK, "v1")

    stacks.discard_open()

    assert deleted(cloudformation) == ["delete_change_set", "delete_change_set", "delete_stack"]


def test_an_adoption_that_was_interrupted_is_discarded():
    cloudformation = FakeCloudFormation(
        describe_stacks=stack("REVIEW_IN_PROGRESS"), describe_change_set={"Status": "CREATE_IN_PROGRESS"}
    )
    stacks = Stacks(cloudformation)
    stacks.interrupted.set()
    with pytest.raises(Interrupted):
        stacks.adopt(STACK.name, "{}", {}, [])

    stacks.discard_open()

    assert deleted(cloudformation) == ["delete_change_set", "delete_stack"]


def test_what_was_executed_or_refused_is_not_discarded_again():
    ended = {"StackEvents": []}
    cloudformation = FakeCloudFormation(
        describe_stacks=stack("UPDATE_COMPLETE"), describe_change_set=PLANNED, describe_stack_events=ended
    )
    stacks = Stacks(cloudformation)
    plan = stacks.plan(STACK, "v1")
    stacks._follow = lambda *arguments: None
    stacks.execute(plan)

    stacks.discard_open()

    assert deleted(cloudformation) == []


def test_an_interrupted_run_executes_no_more_plans():
    cloudformation = FakeCloudFormation(describe_stacks=stack("UPDATE_COMPLETE"), describe_stack_events={})
    stacks = Stacks(cloudformation)
    stacks.interrupted.set()

    with pytest.raises(Interrupted):
        stacks.execute(Plan(stack=STACK, creates=False, change_set="change-set"))

    assert cloudformation.done == []


def test_a_stack_whose_plan_cannot_be_discarded_is_named_and_the_others_are_discarded():
    cloudformation = FakeCloudFormation(
        describe_stacks=stack("UPDATE_COMPLETE"),
        describe_change_set=PLANNED,
        delete_change_set=ClientError({"Error": {"Code": "AccessDenied"}}, "DeleteChangeSet"),
    )
    stacks = Stacks(cloudformation)
    stacks.plan(STACK, "v1")

    assert stacks.discard_open() == [STACK.name]


@pytest.mark.parametrize(
    ("left", "goes"),
    [
        (change_set(), True),
        (change_set("adopt-3", "make deploy"), True),
        (change_set(hours=0.5), False),  # another deployment waits for its answer
        (change_set(execution="EXECUTE_IN_PROGRESS"), False),
        (change_set("awscli-cloudformation-package-deploy1", "Created by AWS CLI"), False),
        (change_set("version-2", "release of the shop"), False),
    ],
)
def test_what_a_killed_deployment_left_is_deleted_by_a_later_one(left, goes):
    planned = FakeCloudFormation(
        describe_stacks=stack("UPDATE_COMPLETE"), list_change_sets={"Summaries": [left]}, describe_change_set=PLANNED
    )
    Stacks(planned).plan(STACK, "v1")
    unlisted = FakeCloudFormation(describe_stacks=stack("REVIEW_IN_PROGRESS"), list_change_sets={"Summaries": [left]})
    Stacks(unlisted).discard_leftovers(set())

    assert deleted(planned) == (["delete_change_set"] if goes else [])
    assert deleted(unlisted) == (["delete_stack"] if goes else [])
    if goes:
        assert planned.requests["delete_change_set"] == {"ChangeSetName": left["ChangeSetId"]}


@pytest.mark.parametrize(
    ("status", "summaries", "known"),
    [
        ("REVIEW_IN_PROGRESS", [], set()),  # nothing says whose it is
        ("REVIEW_IN_PROGRESS", [change_set(), change_set("theirs")], set()),
        ("REVIEW_IN_PROGRESS", [change_set()], {STACK.name}),
        ("CREATE_COMPLETE", [change_set()], set()),
    ],
)
def test_only_an_empty_stack_that_nobody_else_plans_is_deleted(status, summaries, known):
    cloudformation = FakeCloudFormation(describe_stacks=stack(status), list_change_sets={"Summaries": summaries})

    Stacks(cloudformation).discard_leftovers(known)

    assert deleted(cloudformation) == []
