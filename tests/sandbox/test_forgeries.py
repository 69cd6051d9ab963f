"""Whoever may request exports tries to publish other events, with IAM enforced."""

import json

import pytest
from botocore.exceptions import ClientError
from sandbox_user import ARN, BUS

ROLE = "requester"
BUCKET = "table-exports-123456789012-us-east-1"
OURS, RECONCILERS = "table-exports", "table-exports.reconciler"
ENDS = [
    "Glue Job State Change",
    "Glue Crawler State Change",
    "Athena Query State Change",
    "Object Created",
    "Table Export State Change",
]
CHANGES = ["Export Started", "Snapshot Written", "Snapshot Cataloged", "Export Succeeded"]
REQUEST = (OURS, "Export Requested")
FORGERIES = [
    *[(RECONCILERS, end) for end in (*ENDS, "Export Requested")],
    *[(OURS, change) for change in (*CHANGES, "Export Failed", "Export Skipped")],
]
PUBLISHED = {  # the events that each role may publish
    "start_export": [(RECONCILERS, ENDS[0]), *FORGERIES[-2:]],
    "reconcile_exports": FORGERIES[:6],
    "on_export_changed": FORGERIES[6:11],
    "redeliver_events": [REQUEST],
    "pipeline_widget": [REQUEST],
}


@pytest.fixture(scope="module")
def requester(user):
    """Makes a client in a role with a grant of PutEvents on the bus, with or without the documented conditions."""
    iam = user.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=policy(trust))

    def with_grant(**more):
        grant = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*", **more}
        iam.put_role_policy(RoleName=ROLE, PolicyName="its", PolicyDocument=policy(grant))
        return user.client_of_role("events", f"arn:aws:iam::123456789012:role/{ROLE}")

    yield with_grant
    iam.delete_role_policy(RoleName=ROLE, PolicyName="its")
    iam.delete_role(RoleName=ROLE)


def policy(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def published(events, source, detail_type, **more):
    """Whether the event was accepted. Its detail fits no pipeline."""
    entry = {"EventBusName": BUS, "Source": source, "DetailType": detail_type, "Detail": json.dumps({"forged": True})}
    try:
        return events.put_events(Entries=[*more.get("before", []), entry])["FailedEntryCount"] == 0
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDeniedException":
            return False
        raise


def test_whoever_may_request_exports_may_publish_nothing_else(requester):
    asked = {"events:source": OURS, "events:detail-type": "Export Requested"}
    events = requester(Condition={"StringEquals": asked})
    request = {"EventBusName": BUS, "Source": OURS, "DetailType": "Export Requested", "Detail": "{}"}

    assert published(events, *REQUEST)
    assert [forged for forged in FORGERIES if published(events, *forged)] == []
    assert [forged for forged in FORGERIES if published(events, *forged, before=[request])] == []
    assert not published(events, "aws.glue", ENDS[0])


def test_the_bus_reserves_events_even_from_who_may_publish_everything(requester):
    events = requester()

    assert [forged for forged in FORGERIES if published(events, *forged)] == []
    assert published(events, *REQUEST)
    assert published(events, "shop.orders", "Order Placed")


@pytest.mark.parametrize("function", PUBLISHED)
def test_a_function_publishes_only_its_own_events(user, function):
    events = user.client_of_role("events", user.function_role(function))

    assert [event for event in (REQUEST, *FORGERIES) if published(events, *event)] == [
        event for event in (REQUEST, *FORGERIES) if event in PUBLISHED[function]
    ]


def test_a_schedule_publishes_only_requests(user):
    role = user.client("cloudformation").describe_stack_resource(
        StackName="table-exports", LogicalResourceId="ScheduleRole"
    )["StackResourceDetail"]["PhysicalResourceId"]
    events = user.client_of_role("events", ARN.format("iam", f"role/{role}").replace("us-east-1", ""))

    assert published(events, *REQUEST)
    assert [forged for forged in FORGERIES if published(events, *forged)] == []


@pytest.mark.parametrize(("owner", "allowed"), [("123456789012", True), ("999999999999", False)])
def test_a_role_reaches_only_buckets_of_the_account_in_its_condition(user, requester, owner, allowed):
    requester(Condition={"StringEquals": {"aws:ResourceAccount": owner}}, Action="s3:ListBucket")
    s3 = user.client_of_role("s3", f"arn:aws:iam::123456789012:role/{ROLE}")

    if allowed:
        assert s3.list_objects_v2(Bucket=BUCKET)["Name"] == BUCKET
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.list_objects_v2(Bucket=BUCKET)


@pytest.mark.parametrize("function", ["on_glue_complete", "on_view_complete", "register_pipeline"])
def test_the_only_records_that_a_function_deletes_are_claims(user, function):
    dynamodb = user.client_of_role("dynamodb", user.function_role(function))

    def record(key):
        return {"TableName": "table-exports", "Key": {"pipeline": {"S": key}, "record": {"S": "claim"}}}

    def denied(delete, *writes):
        try:
            delete(TransactItems=writes) if writes else delete()
        except ClientError as error:
            return "not authorized to perform: dynamodb:DeleteItem" in str(error)
        return False

    claim, other, pipeline = (record(key) for key in ("catalog-name/a", "catalog-name/b", "b-parquet"))

    assert not denied(lambda: dynamodb.delete_item(**claim))
    assert denied(lambda: dynamodb.delete_item(**pipeline))
    assert not denied(dynamodb.transact_write_items, {"Delete": claim}, {"Delete": other})
    assert denied(dynamodb.transact_write_items, {"Delete": claim}, {"Delete": pipeline})
