"""A stack is one of table-exports by its tag and by what it has. Names and tags alone are chosen by users."""

import pytest
from samtranslator.yaml_helper import yaml_parse
from templates import INFRA

from infra.deploy import ownership
from infra.deploy.ownership import COMMON, TABLE

OURS = {kind: yaml_parse((INFRA / f"{kind}.yaml").read_text()) for kind in (COMMON, TABLE)}
FOREIGN = {"Resources": {"Orders": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "Orders"}}}}


def stack(kind=None, status="CREATE_COMPLETE"):
    tags = [{"Key": "team", "Value": "data"}, *([{"Key": "table-exports", "Value": kind}] if kind else [])]
    return {"StackName": "customer-orders", "StackStatus": status, "Tags": tags}


@pytest.mark.parametrize("kind", [COMMON, TABLE])
def test_a_stack_with_the_tag_and_the_resource_is_ours(kind):
    assert ownership.refusal(kind, stack(kind), OURS[kind]) is None


@pytest.mark.parametrize("kind", [COMMON, TABLE])
@pytest.mark.parametrize("template", [FOREIGN, {}, {"Resources": None}, {"Resources": {"Odd": None}}])
def test_a_tag_does_not_make_a_stack_ours(kind, template):
    problem = ownership.refusal(kind, stack(kind), template)

    assert f"stack customer-orders exists, and it is not a {kind} stack of table-exports" in problem


@pytest.mark.parametrize(("kind", "tagged"), [(COMMON, None), (TABLE, None), (COMMON, TABLE), (TABLE, COMMON)])
def test_a_resource_without_the_tag_is_not_enough_and_the_remedy_adds_it(kind, tagged):
    problem = ownership.refusal(kind, stack(tagged), OURS[kind])

    assert f"has no tag table-exports={kind}" in problem
    assert f"--tags Key=table-exports,Value={kind}" in problem


def test_the_remedy_keeps_the_parameters_and_tags_of_the_stack():
    """An update uses defaults for parameters that it does not name, and replaces all tags."""
    mine = stack(None) | {
        "Parameters": [{"ParameterKey": "TableName", "ParameterValue": "Reviews"}],
        "Tags": [{"Key": "team", "Value": "data"}],
    }

    problem = ownership.refusal(TABLE, mine, OURS[TABLE])

    assert "--parameters ParameterKey=TableName,UsePreviousValue=true --tags" in problem
    assert problem.endswith("--tags Key=table-exports,Value=table Key=team,Value=data")


@pytest.mark.parametrize(("kind", "other"), [(COMMON, TABLE), (TABLE, COMMON)])
def test_the_two_kinds_are_not_confused(kind, other):
    assert ownership.refusal(kind, stack(kind), OURS[other])


def test_an_adopted_stack_has_no_tag_yet_and_only_resources_that_the_common_stack_has():
    adopted = {"Resources": {"Bucket": OURS[COMMON]["Resources"]["Bucket"]}}

    assert ownership.is_adopted(stack(status="IMPORT_COMPLETE"), adopted, OURS[COMMON])
    assert ownership.is_adopted(stack(status="IMPORT_ROLLBACK_COMPLETE"), adopted, OURS[COMMON])
    assert not ownership.is_adopted(stack(status="IMPORT_COMPLETE"), FOREIGN, OURS[COMMON])
    assert not ownership.is_adopted(stack(status="UPDATE_COMPLETE"), adopted, OURS[COMMON])
