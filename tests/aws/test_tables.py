"""What is asked of the exported table, in its stack's role, and what DynamoDB's answers become."""

import io
import json
from dataclasses import replace

import pytest
from botocore.response import StreamingBody
from botocore.session import Session
from botocore.stub import Stubber
from examples import an_export

from table_exports.aws.tables import Summaries, Tables
from table_exports.domain.aws_events import SummaryWritten, TableExportFailed
from table_exports.domain.errors import PermanentError, RetryableError
from table_exports.domain.reading import Table

ROLE = "arn:aws:iam::123456789012:role/table-exports/reviews-TableRole"
TABLE_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews"
EXPORT_ARN = f"{TABLE_ARN}/export/01795399210000-06e2188f"
ISSUED = {"AccessKeyId": "ASIATHESTACKSROLE", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2026-11-23"}
DESCRIBED = {
    "Table": {"TableArn": TABLE_ARN, "TableSizeBytes": 4096, "ProvisionedThroughput": {"ReadCapacityUnits": 5}}
}
EXPORT = an_export(export_id="5f0d1c9a7be34f1c2a6e")


class Aws:
    """Stubbed STS and DynamoDB; `tables` uses them."""

    def __init__(self):
        self.sts, self.dynamodb = (Session().create_client(service) for service in ("sts", "dynamodb"))
        self.sts_answers, self.answers = Stubber(self.sts), Stubber(self.dynamodb)
        self.sts_answers.activate()
        self.answers.activate()
        self.credentials = []
        self.tables = Tables(self.sts, self.connect)

    def connect(self, **credentials):
        self.credentials.append(credentials)
        return self.dynamodb

    def in_role(self):
        asked = {"RoleArn": ROLE, "RoleSessionName": EXPORT.export_id}
        self.sts_answers.add_response("assume_role", {"Credentials": ISSUED}, asked)


@pytest.fixture
def aws():
    aws = Aws()
    yield aws
    aws.sts_answers.assert_no_pending_responses()
    aws.answers.assert_no_pending_responses()


def test_a_table_is_described_in_its_stacks_role(aws):
    aws.in_role()
    aws.answers.add_response("describe_table", DESCRIBED, {"TableName": "Reviews"})
    backups = {"ContinuousBackupsStatus": "ENABLED"}
    backups |= {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}
    aws.answers.add_response(
        "describe_continuous_backups", {"ContinuousBackupsDescription": backups}, {"TableName": "Reviews"}
    )

    table = aws.tables.describe(EXPORT, ROLE)

    assert table == Table(bytes=4096, on_demand=False, read_units=5, point_in_time_recovery=True)
    assert aws.credentials == [
        {"aws_access_key_id": "ASIATHESTACKSROLE", "aws_secret_access_key": "s", "aws_session_token": "t"}
    ]


def test_a_table_that_is_not_there_is_refused_with_the_remedy(aws):
    aws.in_role()
    aws.answers.add_client_error("describe_table", "ResourceNotFoundException", "Requested resource not found")

    with pytest.raises(
        PermanentError, match=r"^There is no table Reviews in this account and Region: create it, or delete"
    ):
        aws.tables.describe(EXPORT, ROLE)


def test_a_role_that_cannot_be_assumed_is_refused(aws):
    aws.sts_answers.add_client_error("assume_role", "AccessDenied", "Not you")

    with pytest.raises(
        PermanentError, match=f"^The table stack's role {ROLE} cannot be assumed: AccessDenied: Not you$"
    ):
        aws.tables.describe(EXPORT, ROLE)


@pytest.mark.parametrize("operation", ["describe_table", "describe_continuous_backups"])
def test_throttling_is_a_wait(aws, operation):
    aws.in_role()
    if operation == "describe_continuous_backups":
        aws.answers.add_response("describe_table", DESCRIBED)
    aws.answers.add_client_error(operation, "ThrottlingException", "Later")

    with pytest.raises(RetryableError, match="ThrottlingException: Later"):
        aws.tables.describe(EXPORT, ROLE)


def test_a_table_export_is_asked_for_once_however_often_the_request_is_delivered(aws):
    aws.in_role()
    aws.answers.add_response("describe_table", DESCRIBED, {"TableName": "Reviews"})
    asked = {
        "TableArn": TABLE_ARN,
        "ClientToken": EXPORT.export_id,
        "ExportFormat": "DYNAMODB_JSON",
        "S3Bucket": "bucket",
        "S3BucketOwner": "123456789012",
        "S3Prefix": "staging/reviews/2026-11-23T02-00-07Z",
    }
    answer = {"ExportDescription": {"ExportArn": EXPORT_ARN, "ExportStatus": "IN_PROGRESS"}}
    aws.answers.add_response("export_table_to_point_in_time", answer, asked)

    assert aws.tables.start_export(EXPORT, ROLE) == EXPORT_ARN


@pytest.mark.parametrize(
    "code", ["PointInTimeRecoveryUnavailableException", "ExportConflictException", "AccessDeniedException"]
)
def test_a_table_export_that_dynamodb_refuses_for_good_is_refused(aws, code):
    aws.in_role()
    aws.answers.add_response("describe_table", DESCRIBED)
    aws.answers.add_client_error("export_table_to_point_in_time", code, "No")

    with pytest.raises(PermanentError, match=f"^Table Reviews cannot be exported: {code}: No$"):
        aws.tables.start_export(EXPORT, ROLE)


def test_too_many_table_exports_at_once_are_a_wait(aws):
    aws.in_role()
    aws.answers.add_response("describe_table", DESCRIBED)
    aws.answers.add_client_error("export_table_to_point_in_time", "LimitExceededException", "Later")

    with pytest.raises(RetryableError, match="LimitExceededException: Later"):
        aws.tables.start_export(EXPORT, ROLE)


def test_a_later_attempt_is_another_table_export(aws):
    """DynamoDB answers a token that it knows with the export of before, failed or not."""
    aws.in_role()
    aws.answers.add_response("describe_table", DESCRIBED)
    asked = {
        "TableArn": TABLE_ARN,
        "ClientToken": f"{EXPORT.export_id}-2",
        "ExportFormat": "DYNAMODB_JSON",
        "S3Bucket": "bucket",
        "S3BucketOwner": "123456789012",
        "S3Prefix": "staging/reviews/2026-11-23T02-00-07Z",
    }
    aws.answers.add_response("export_table_to_point_in_time", {"ExportDescription": {"ExportArn": EXPORT_ARN}}, asked)

    assert aws.tables.start_export(replace(EXPORT, attempt=2), ROLE) == EXPORT_ARN


@pytest.mark.parametrize(
    ("described", "end"),
    [
        ({"ExportStatus": "IN_PROGRESS"}, None),
        (
            {"ExportStatus": "COMPLETED"},
            SummaryWritten(
                bucket="bucket",
                key="staging/reviews/2026-11-23T02-00-07Z/AWSDynamoDB/01795399210000-06e2188f/manifest-summary.json",
                arn=EXPORT_ARN,
            ),
        ),
        (
            {"ExportStatus": "FAILED", "FailureCode": "S3NoSuchBucket", "FailureMessage": "Gone"},
            TableExportFailed(arn=EXPORT_ARN, message="S3NoSuchBucket: Gone"),
        ),
    ],
)
def test_how_a_table_export_ended_is_asked_in_the_stacks_role(aws, described, end):
    aws.in_role()
    aws.answers.add_response("describe_export", {"ExportDescription": described}, {"ExportArn": EXPORT_ARN})

    assert aws.tables.export_end(EXPORT, EXPORT_ARN, ROLE) == end


def test_a_table_export_that_dynamodb_knows_no_more_has_failed(aws):
    aws.in_role()
    aws.answers.add_client_error("describe_export", "ExportNotFoundException", "No such export")

    assert aws.tables.export_end(EXPORT, EXPORT_ARN, ROLE) == TableExportFailed(
        arn=EXPORT_ARN, message="No such export"
    )


SUMMARY = "s3://bucket/staging/reviews/2026-11-23T02-00-07Z/AWSDynamoDB/01795399210000-06e2188f/manifest-summary.json"


@pytest.mark.parametrize(
    ("content", "arn"),
    [
        (json.dumps({"version": "2020-06-30", "exportArn": EXPORT_ARN, "itemCount": 8}), EXPORT_ARN),
        ("{}", None),
        ('{"exportArn": 7}', None),
        ("[]", None),
        ("half a summ", None),
        ("\xff", None),
        (None, None),
    ],
)
def test_a_summary_says_of_which_table_export_it_is_or_nothing(content, arn):
    s3 = Session().create_client("s3")
    answers = Stubber(s3)
    if content is None:
        answers.add_client_error("get_object", "NoSuchKey")
    else:
        body = content.encode("latin-1")
        where = {"Bucket": "bucket", "Key": SUMMARY.removeprefix("s3://bucket/")}
        answers.add_response("get_object", {"Body": StreamingBody(io.BytesIO(body), len(body))}, where)

    with answers:
        assert Summaries(s3).arn_in(SUMMARY) == arn


def test_a_summary_that_may_not_be_read_is_no_silence():
    s3 = Session().create_client("s3")
    with Stubber(s3) as answers:
        answers.add_client_error("get_object", "AccessDenied")

        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            Summaries(s3).arn_in(SUMMARY)
