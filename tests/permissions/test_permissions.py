"""Every role may do what AWS documents for its calls, on the resources that they touch, and nothing else."""

import pytest
from botocore.loaders import Loader
from templates import STACKS, resources

from permissions import places, policies, reference
from permissions.page import COMMAND, PAGE, page
from permissions.policies import OWNER, Grant, as_list, grants, grants_of, resolved, roles
from permissions.reference import ALL_RESOURCES
from permissions.required import ACTIONS, BY_ITEM, TOUCHES, TOUCHES_IN_ROLE, callers, requirements
from permissions.requirement import Requirement

ROLES = [role for stack in STACKS for role in roles(stack)]

# An index is read with permission for the index alone:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
ENOUGH = {"dynamodb:Query": "index", "dynamodb:Scan": "index"}


def granted(required: Requirement) -> bool:
    action, place = required.action, required.place
    return any(g.role == required.role and g.covers(action, place.arn, place.context) for g in grants())


def needed(grant: Grant) -> bool:
    return any(r.role == grant.role and grant.covers(r.action, r.place.arn, r.place.context) for r in requirements())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_aws_documents_for_its_calls(role):
    missing = [str(required) for required in requirements() if required.role == role and not granted(required)]

    assert not missing, "not granted:\n" + "\n".join(missing)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_nothing_that_no_call_requires(role):
    superfluous = [str(grant) for grant in grants() if grant.role == role and not needed(grant)]

    assert not superfluous, "granted, and required by no call or guide:\n" + "\n".join(superfluous)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reaches_nothing_of_others(role):
    foreign = [
        f"{grant} reaches {arn}"
        for grant in grants()
        if grant.role == role and grant.resource != ALL_RESOURCES
        for arn in places.FOREIGN
        if grant.covers(grant.action, arn, {key: values[0] for _, key, values in grant.condition})
    ]

    assert not foreign


@pytest.mark.parametrize("grant", [grant for grant in grants() if grant.action.startswith("s3:")], ids=str)
def test_no_grant_reaches_a_bucket_of_another_account(grant):
    """Names of buckets are predictable, and someone else can own ours when it was deleted."""
    known = {key: values[0] for _, key, values in grant.condition}

    assert grant.covers(grant.action, grant.resource.replace("*", "x"), known)
    assert not grant.covers(grant.action, grant.resource.replace("*", "x"), known | {OWNER: "999999999999"})


def test_the_only_records_that_a_role_may_delete_are_claims():
    on_records = [grant for grant in grants() if grant.action == "dynamodb:DeleteItem"]

    assert {grant.role for grant in on_records} == {"OnGlueCompleteRole", "OnViewCompleteRole", "RegisterPipelineRole"}
    for grant in on_records:
        assert grant.covers(grant.action, places.STATE, places.A_CLAIM)
        assert not grant.covers(grant.action, places.STATE, places.A_PIPELINE)
        assert not grant.covers(grant.action, places.STATE, {})


def test_a_job_removes_files_of_entities_after_the_block_was_removed(monkeypatch):
    """A run that was killed while it published may have left some."""
    monkeypatch.delitem(policies.GIVEN, "Entities")

    on_s3 = [grant for grant in grants_of("table", "JobRole") if grant.action.startswith("s3:")]
    allowed = {grant.action for grant in on_s3 if grant.covers(grant.action, places.ENTITY_FILE, {})}

    assert allowed == {"s3:DeleteObject", "s3:AbortMultipartUpload"}


def test_every_role_is_looked_at_and_every_function_has_one():
    assert {grant.role for grant in grants()} == set(ROLES) == {required.role for required in requirements()}


def test_a_page_of_the_reference_is_that_of_the_service_and_not_of_another_with_its_prefix():
    services = {required.action.partition(":")[0] for required in requirements()}
    named = {}
    for service in services:
        model = Loader().load_service_model(service, "service-2")["metadata"]
        names = model["serviceFullName"], model.get("serviceAbbreviation", "")
        named[service] = {f"list_{name.lower().replace(' ', '')}.html" for name in names}
    pages = {service: reference.page(f"{service}:Any").rpartition("/")[2] for service in services}

    assert {service: page for service, page in pages.items() if page not in named[service]} == {}


def test_the_reference_has_every_action():
    named = {grant.action for grant in grants()} | {required.action for required in requirements()}

    assert [action for action in sorted(named) if not reference.exists(action)] == []


def test_a_resource_is_of_a_type_that_the_action_can_be_narrowed_to():
    wrong = []
    for required in requirements():
        types = reference.resource_types(required.action)
        found = reference.resource_type(required.action.partition(":")[0], required.place.arn)
        if (found not in types) if types else (required.place.arn != ALL_RESOURCES):
            wrong.append(f"{required}: is of type {found}, and the reference has {types or 'none'}")

    assert not wrong


def test_only_what_no_resource_narrows_is_granted_on_all():
    on_all = {grant.action for grant in grants() if grant.resource == ALL_RESOURCES}

    assert {action for action in on_all if reference.resource_types(action)} == set()
    assert on_all == {grant.action for grant in grants() if not reference.resource_types(grant.action)}


def test_every_type_of_resource_that_the_reference_requires_is_named():
    named: dict[tuple[str, str, str], set[str]] = {}
    for required in requirements():
        service = required.action.partition(":")[0]
        kinds = named.setdefault((required.role, required.call, required.action), set())
        kinds.add(reference.resource_type(service, required.place.arn) or ALL_RESOURCES)
    lacking = {
        key: reference.required_types(key[2]) - kinds
        for key, kinds in named.items()
        if reference.required_types(key[2]) - kinds and ENOUGH.get(key[2]) not in kinds
    }

    assert lacking == {}


def test_a_condition_asks_for_what_aws_knows_of_the_action():
    unknown = [
        f"{grant}: {key}"
        for grant in grants()
        for _, key, _ in grant.condition
        if not key.startswith("aws:") and key not in reference.condition_keys(grant.action)
    ]

    assert not unknown


# Needed only by a call without StackName, and our code names a stack. Source:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
WITHOUT_A_NAME = {("cloudformation:DescribeStacks", "cloudformation:ListStacks")}
# Needed only to create an interface with tags, which Lambda does not.
WITHOUT_TAGS = {("ec2:CreateNetworkInterface", "ec2:CreateTags")}


def test_what_an_action_depends_on_is_required_as_well():
    required = {(found.role, found.action) for found in requirements()}
    lacking = [
        f"{role}: {action} depends on {other}"
        for role, action in sorted(required)
        for other in reference.dependent_actions(action)
        if (role, other) not in required and (action, other) not in WITHOUT_A_NAME | WITHOUT_TAGS
    ]

    assert not lacking


def test_the_tables_have_no_row_that_no_call_needs():
    called = {operation for caller in callers() for operation in caller.operations}
    in_role = {(caller.role, operation) for caller in callers() for operation in caller.operations}
    plain = {operation for role, operation in in_role if (role, operation) not in TOUCHES_IN_ROLE}

    assert set(TOUCHES_IN_ROLE) - in_role == set()
    assert set(TOUCHES) - plain == set()
    unused = {("dynamodb", "TransactWriteItems.ConditionCheck")}
    assert set(ACTIONS) - called - unused == set()
    assert BY_ITEM not in called


def test_a_policy_of_a_queue_or_topic_names_actions_of_the_reference():
    documents = [
        resolved(stack, found["Properties"]["PolicyDocument"])
        for stack in STACKS
        for kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
        for found in resources(stack, kind).values()
    ]
    statements = [statement for document in documents for statement in as_list(document["Statement"])]

    assert len(statements) == 2
    for statement in statements:
        for action in as_list(statement["Action"]):
            service = action.partition(":")[0]
            kinds = {reference.resource_type(service, arn) for arn in as_list(statement["Resource"])}
            assert kinds <= reference.resource_types(action)


def test_the_page_lists_what_is_required():
    assert PAGE.read_text() == page(), f"docs/permissions.md is of another state of the code: run {COMMAND}"
