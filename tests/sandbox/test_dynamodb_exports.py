"""DynamoDB's export to S3 in the sandbox: the API, and who may write the files."""

import gzip
import json
import re
import time
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from dynamodb_json import AS_TEXT, EVERY_TYPE

pytestmark = pytest.mark.slow  # a change to the sandbox needs it, and no other

ACCOUNT = "123456789012"
BUCKET = "table-exports-to-s3"


@pytest.fixture(scope="module")
def bucket(user):
    user.client("s3").create_bucket(Bucket=BUCKET)
    user.client("s3").put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return BUCKET


@pytest.fixture(scope="module")
def films(user, bucket):
    """The ARN of a table that can be exported."""
    user.make_table("Exportable-Films", [{"id": f"{n}", "year": Decimal(1900 + n)} for n in range(50)], {"id": "S"})
    return recoverable(user, "Exportable-Films")


def recoverable(user, table):
    dynamodb = user.client("dynamodb")
    dynamodb.update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    return dynamodb.describe_table(TableName=table)["Table"]["TableArn"]


def export(user, table, client=None, **options):
    dynamodb = client or user.client("dynamodb")
    asked = {"TableArn": table, "S3Bucket": BUCKET, "S3Prefix": f"staging/{uuid.uuid4()}"} | options
    return dynamodb.export_table_to_point_in_time(**asked)["ExportDescription"]


def ended(user, begun):
    def look():
        described = user.client("dynamodb").describe_export(ExportArn=begun["ExportArn"])["ExportDescription"]
        return None if described["ExportStatus"] == "IN_PROGRESS" else described

    return user.wait_for(look, "ended export")


def refusal(call, *arguments, **options):
    with pytest.raises(ClientError) as refused:
        call(*arguments, **options)
    return refused.value.response["Error"]


def messages(user, queue, count):
    received = []

    def look():
        answer = user.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        received.extend(json.loads(message["Body"]) for message in answer.get("Messages", []))
        return received if len(received) >= count else None

    return user.wait_for(look, f"{count} messages")


def test_a_table_is_exported_while_its_export_is_described(user, films):
    begun = export(user, films, S3Prefix="staging/films/now", ClientToken="films-now")
    assert re.fullmatch(rf"{films}/export/\d{{14}}-[0-9a-f]{{8}}", begun["ExportArn"])
    assert begun["ExportStatus"] == "IN_PROGRESS"
    assert "ExportManifest" not in begun

    done = ended(user, begun)
    assert done["ExportStatus"] == "COMPLETED"
    assert done["ItemCount"] == 50
    assert begun.items() <= (done | {"ExportStatus": "IN_PROGRESS"}).items()
    root = f"staging/films/now/AWSDynamoDB/{begun['ExportArn'].rpartition('/')[2]}"
    assert done["ExportManifest"] == f"{root}/manifest-summary.json"

    s3 = user.client("s3")
    summary = json.loads(s3.get_object(Bucket=BUCKET, Key=done["ExportManifest"])["Body"].read())
    assert (summary["exportArn"], summary["itemCount"]) == (begun["ExportArn"], 50)
    assert summary["tableId"] == user.client("dynamodb").describe_table(TableName=films)["Table"]["TableId"]
    assert summary["billedSizeBytes"] == done["BilledSizeBytes"]
    listed = lines(s3.get_object(Bucket=BUCKET, Key=summary["manifestFilesS3Key"])["Body"].read())
    assert len(listed) >= 2
    exported = {}
    for entry in listed:
        answer = s3.get_object(Bucket=BUCKET, Key=entry["dataFileS3Key"])
        assert answer["ETag"].strip('"') == entry["etag"]
        exported |= {row["Item"]["id"]["S"]: row["Item"] for row in lines(gzip.decompress(answer["Body"].read()))}
    assert exported == {f"{n}": {"id": {"S": f"{n}"}, "year": {"N": f"{1900 + n}"}} for n in range(50)}
    assert "Contents" in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{root}/_started")


def test_values_of_every_type_come_out_as_they_went_in(user, bucket):
    user.make_table("Exportable-Types", [], {"id": "S"})
    user.client("dynamodb").put_item(TableName="Exportable-Types", Item=EVERY_TYPE)
    done = ended(user, export(user, recoverable(user, "Exportable-Types"), S3Prefix="types"))
    s3 = user.client("s3")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET, Prefix="types/")["Contents"]]
    content = b"".join(
        gzip.decompress(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in keys if key.endswith(".gz")
    )
    [row] = lines(content)
    assert row == {"Item": AS_TEXT}
    assert done["ItemCount"] == 1


def test_s3_announces_the_summary_when_all_other_files_are_there(user, films):
    queue = user.client("sqs").create_queue(QueueName="table-exports-done")["QueueUrl"]
    [arn] = user.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"].values()
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": [BUCKET]},
            "object": {"key": [{"wildcard": "staging/*/AWSDynamoDB/*/manifest-summary.json"}]},
        },
    }
    user.client("events").put_rule(Name="table-exports-done", EventPattern=json.dumps(pattern))
    user.client("events").put_targets(Rule="table-exports-done", Targets=[{"Id": "queue", "Arn": arn}])
    done = ended(user, export(user, films, S3Prefix="staging/films/announced"))
    ended(user, export(user, films, S3Prefix="elsewhere"))
    [event] = messages(user, queue, 1)
    assert event["detail"]["bucket"] == {"name": BUCKET}
    assert event["detail"]["object"]["key"] == done["ExportManifest"]


def test_an_export_is_asked_for_once_however_often_its_token_comes(user, films):
    asked = {"S3Prefix": "staging/films/once", "ClientToken": "films-once"}
    begun = export(user, films, **asked)
    assert export(user, films, **asked)["ExportArn"] == begun["ExportArn"]
    ended(user, begun)
    assert export(user, films, **asked)["ExportStatus"] == "COMPLETED"
    found = user.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="staging/films/once/AWSDynamoDB/", Delimiter="/")
    assert len(found["CommonPrefixes"]) == 1
    other = refusal(export, user, films, **asked | {"S3Prefix": "staging/films/twice"})
    assert other["Code"] == "ExportConflictException"


def test_a_table_without_point_in_time_recovery_is_not_exported(user, bucket):
    user.make_table("Unrecoverable", [], {"id": "S"})
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/Unrecoverable"
    refused = refusal(export, user, table)
    assert refused["Code"] == "PointInTimeRecoveryUnavailableException"
    assert refused["Message"] == "Point in time recovery is not enabled for table 'Unrecoverable'"


def test_a_table_that_does_not_exist_is_not_exported(user, bucket):
    refused = refusal(export, user, f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/Nowhere")
    assert refused["Code"] == "TableNotFoundException"


@pytest.mark.parametrize(
    "options",
    [
        {"ExportFormat": "ION"},
        {"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": {"ExportViewType": "NEW_IMAGE"}},
        {"S3SseAlgorithm": "KMS", "S3SseKmsKeyId": "alias/key"},
    ],
)
def test_what_the_sandbox_does_not_export_is_refused(user, films, options):
    refused = refusal(export, user, films, **options)
    assert refused["Code"] == "ValidationException"
    assert refused["Message"].startswith("The sandbox")


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_table_is_exported_as_it_is_now_and_at_no_other_time(user, films, hours):
    refused = refusal(export, user, films, ExportTime=datetime.now(UTC) + timedelta(hours=hours))
    assert refused["Code"] == "InvalidExportTimeException"


def test_an_export_to_a_bucket_that_does_not_exist_fails(user, films):
    done = ended(user, export(user, films, S3Bucket="no-such-bucket-anywhere"))
    assert (done["ExportStatus"], done["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    assert "ExportManifest" not in done


def test_an_export_writes_what_its_caller_may_write(user, films):
    """Who may ask for an export, but not write to the bucket, gets an export that fails."""
    asking = {"Effect": "Allow", "Action": "dynamodb:*Export*", "Resource": f"{films}*"}
    writing = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/mine/*"}
    as_writer = assumed(user, "writes-exports", asking, writing)
    mine = ended(user, export(user, films, as_writer, S3Prefix="mine"))
    assert mine["ExportStatus"] == "COMPLETED"
    others = ended(user, export(user, films, as_writer, S3Prefix="others"))
    assert (others["ExportStatus"], others["FailureCode"]) == ("FAILED", "S3AccessDenied")
    assert "Status Code: 403; Error Code: AccessDenied" in others["FailureMessage"]
    assert "Contents" not in user.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="others/")


def test_a_function_writes_in_its_role(user, films):
    client = user.client("dynamodb", config=Config(user_agent_appid="on_export_changed"))
    done = ended(user, export(user, films, client))
    assert (done["ExportStatus"], done["FailureCode"]) == ("FAILED", "S3AccessDenied")


def test_who_may_not_ask_for_an_export_gets_none(user, films):
    stranger = assumed(user, "asks-nothing", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    assert refusal(export, user, films, stranger)["Code"] == "AccessDeniedException"
    arn = f"{films}/export/01763863207000-0123abcd"
    assert refusal(stranger.describe_export, ExportArn=arn)["Code"] == "AccessDeniedException"


def test_who_may_export_one_table_may_not_export_another(user, films):
    asking = {"Effect": "Allow", "Action": "dynamodb:ExportTableToPointInTime", "Resource": films}
    client = assumed(user, "exports-films", asking)
    assert refusal(export, user, films.replace("Films", "Books"), client)["Code"] == "AccessDeniedException"
    assert export(user, films, client)["ExportStatus"] == "IN_PROGRESS"


def assumed(user, role, *statements):
    """DynamoDB's client of a role with these rights."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    iam = user.client("iam")
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=role, PolicyName="its", PolicyDocument=policy(*statements))
    return user.client_of_role("dynamodb", arn)


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def test_exports_are_listed_by_table_the_latest_first(user, bucket):
    user.make_table("Listed", [], {"id": "S"})
    table = recoverable(user, "Listed")
    begun = []
    for _ in range(3):
        begun.append(export(user, table)["ExportArn"])
        time.sleep(0.002)  # an export is named by the millisecond
    dynamodb = user.client("dynamodb")
    first = dynamodb.list_exports(TableArn=table, MaxResults=2)
    last = dynamodb.list_exports(TableArn=table, MaxResults=2, NextToken=first["NextToken"])
    assert [listed["ExportArn"] for listed in first["ExportSummaries"] + last["ExportSummaries"]] == begun[::-1]
    assert "NextToken" not in last
    assert {listed["ExportType"] for listed in first["ExportSummaries"]} == {"FULL_EXPORT"}


def test_an_export_that_nobody_asked_for_is_not_found(user, films):
    arn = f"{films}/export/01763863207000-0123abcd"
    assert refusal(user.client("dynamodb").describe_export, ExportArn=arn)["Code"] == "ExportNotFoundException"


def lines(content):
    return [json.loads(text) for text in content.splitlines()]
