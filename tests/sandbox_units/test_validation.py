"""What the gateway rejects, as AWS does: calls that do not match the service's model."""

import pytest
from botocore.exceptions import ClientError

from sandbox.gateway.constraints import has_constraint
from sandbox.gateway.patterns import matcher
from sandbox.gateway.services import SERVICES

LONG_NAME = "n" * 256
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/b"
TOKEN = "t" * 32
TRUST = '{"Version": "2012-10-17", "Statement": []}'


def columns(*types):
    return {"Columns": [{"Name": f"c{n}", "Type": one} for n, one in enumerate(types)]}


def a_table(**fields):
    return {"DatabaseName": "d", "TableInput": {"Name": "t", **fields}}


def partitions(count):
    return [{"Values": [str(n)]} for n in range(count)]


def an_entry(**fields):
    return {"Source": "s", "DetailType": "d", "Detail": "{}", **fields}


def a_query(**fields):
    return {"QueryString": "SELECT 1", "ClientRequestToken": TOKEN, **fields}


def a_schedule(**fields):
    target = {"Arn": "arn:aws:sqs:us-east-1:123456789012:q", "RoleArn": "arn:aws:iam::123456789012:role/r"}
    always = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target}
    return {"Name": "s", **always, **fields}


def writes(count):
    return {"RequestItems": {"films": [{"PutRequest": {"Item": {"id": {"N": str(n)}}}} for n in range(count)]}}


def updates(count):
    item = {"TableName": "films", "Key": {"id": {"N": "1"}}}
    return {"TransactItems": [{"Delete": item} for _ in range(count)]}


# service, operation, what AWS accepts at the limit, what it rejects above it, the error, and where and why
LIMITS = [
    ("glue", "CreateTable", a_table(ViewOriginalText="v" * 409600), a_table(ViewOriginalText="v" * 409601),
     "ValidationException", "at 'tableInput.viewOriginalText'", "length less than or equal to 409600"),
    ("glue", "CreateTable", a_table(ViewExpandedText="é" * 204800), a_table(ViewExpandedText="é" * 204801),
     "ValidationException", "at 'tableInput.viewExpandedText'", "length less than or equal to 409600"),
    ("glue", "UpdateTable", a_table(Parameters={"p": "v" * 512000}), a_table(Parameters={"p": "v" * 512001}),
     "ValidationException", "at 'tableInput.parameters'", "Map value must satisfy constraint: [Member must have "
     "length less than or equal to 512000]"),
    ("glue", "CreateTable", a_table(Parameters={"p" * 255: "v"}), a_table(Parameters={"p" * 256: "v"}),
     "ValidationException", "at 'tableInput.parameters'", "Map keys must satisfy constraint: [Member must have "
     "length less than or equal to 255, "),
    ("glue", "CreateTable", a_table(StorageDescriptor=columns("int", "t" * 131072)),
     a_table(StorageDescriptor=columns("int", "t" * 131073)), "ValidationException",
     "at 'tableInput.storageDescriptor.columns.2.member.type'", "length less than or equal to 131072"),
    ("glue", "CreateTable", a_table(PartitionKeys=[{"Name": "n" * 255}]), a_table(PartitionKeys=[{"Name": LONG_NAME}]),
     "ValidationException", "at 'tableInput.partitionKeys.1.member.name'", "length less than or equal to 255"),
    ("glue", "CreateTable", a_table(StorageDescriptor={"Columns": [{"Name": "film\U0001f3ac\t"}]}),
     a_table(StorageDescriptor={"Columns": [{"Name": "film\n"}]}), "ValidationException",
     "at 'tableInput.storageDescriptor.columns.1.member.name'", "regular expression pattern: [\\u0020-\\uD7FF"),
    ("glue", "BatchCreatePartition", {"DatabaseName": "d", "TableName": "t", "PartitionInputList": partitions(100)},
     {"DatabaseName": "d", "TableName": "t", "PartitionInputList": partitions(101)}, "ValidationException",
     "at 'partitionInputList'", "length less than or equal to 100"),
    ("glue", "BatchDeletePartition", {"DatabaseName": "d", "TableName": "t", "PartitionsToDelete": partitions(25)},
     {"DatabaseName": "d", "TableName": "t", "PartitionsToDelete": partitions(26)}, "ValidationException",
     "at 'partitionsToDelete'", "length less than or equal to 25"),
    ("glue", "BatchDeleteTable", {"DatabaseName": "d", "TablesToDelete": ["t"] * 100},
     {"DatabaseName": "d", "TablesToDelete": ["t"] * 101}, "ValidationException", "at 'tablesToDelete'",
     "length less than or equal to 100"),
    ("glue", "GetTables", {"DatabaseName": "d", "MaxResults": 100}, {"DatabaseName": "d", "MaxResults": 101},
     "ValidationException", "at 'maxResults'", "value less than or equal to 100"),
    ("glue", "StartJobRun", {"JobName": "j", "WorkerType": "G.1X"}, {"JobName": "j", "WorkerType": "n" * 256},
     "ValidationException", "at 'workerType'", "enum value set: ["),
    ("glue", "GetTable", {"DatabaseName": "d", "Name": "t"}, {"DatabaseName": "d"}, "ValidationException", "at 'name'",
     "Member must not be null"),
    ("athena", "StartQueryExecution", a_query(), a_query(ClientRequestToken="t" * 31), "InvalidRequestException",
     "at 'clientRequestToken'", "length greater than or equal to 32"),
    ("athena", "StartQueryExecution", a_query(QueryString="é" * 131072), a_query(QueryString="é" * 131073),
     "InvalidRequestException", "at 'queryString'", "length less than or equal to 262144"),
    ("athena", "StartQueryExecution", a_query(WorkGroup="primary"), a_query(WorkGroup="a group"),
     "InvalidRequestException", "at 'workGroup'", "regular expression pattern: [a-zA-Z0-9._-]{1,128}"),
    ("events", "PutEvents", {"Entries": [an_entry()] * 10}, {"Entries": [an_entry()] * 11}, "ValidationException",
     "at 'entries'", "length less than or equal to 10"),
    ("events", "PutEvents", {"Entries": [an_entry(EventBusName="b")]}, {"Entries": [an_entry(EventBusName="a bus")]},
     "ValidationException", "at 'entries.1.member.eventBusName'", "regular expression pattern"),
    ("events", "CreateArchive", {"ArchiveName": "n" * 48, "EventSourceArn": BUS},
     {"ArchiveName": "n" * 49, "EventSourceArn": BUS}, "ValidationException", "at 'archiveName'",
     "length less than or equal to 48"),
    ("dynamodb", "BatchWriteItem", writes(25), writes(26), "ValidationException", "at 'requestItems.films.member'",
     "length less than or equal to 25"),
    ("dynamodb", "TransactWriteItems", updates(100), updates(101), "ValidationException", "at 'transactItems'",
     "length less than or equal to 100"),
    ("dynamodb", "Scan", {"TableName": "t", "TotalSegments": 1000000}, {"TableName": "t", "TotalSegments": 1000001},
     "ValidationException", "at 'totalSegments'", "value less than or equal to 1000000"),
    ("dynamodbstreams", "GetRecords", {"ShardIterator": "i", "Limit": 1}, {"ShardIterator": "i", "Limit": 0},
     "ValidationException", "at 'limit'", "value greater than or equal to 1"),
    ("lambda", "Invoke", {"FunctionName": "f", "Payload": b"{}"}, {"FunctionName": "f " * 3, "Payload": b"{}"},
     "ValidationException", "at 'functionName'", "regular expression pattern"),
    ("lambda", "ListFunctions", {"MaxItems": 10000}, {"MaxItems": 10001}, "ValidationException", "at 'maxItems'",
     "value less than or equal to 10000"),
    ("lambda", "UpdateFunctionConfiguration", {"FunctionName": "f", "MemorySize": 128},
     {"FunctionName": "f", "MemorySize": 127}, "ValidationException", "at 'memorySize'",
     "value greater than or equal to 128"),
    ("iam", "CreateRole", {"RoleName": "r" * 64, "AssumeRolePolicyDocument": TRUST},
     {"RoleName": "r" * 65, "AssumeRolePolicyDocument": TRUST}, "ValidationError", "at 'roleName'",
     "length less than or equal to 64"),
    ("iam", "CreateRole", {"RoleName": "r", "AssumeRolePolicyDocument": TRUST, "Tags": [{"Key": "k", "Value": "v"}]},
     {"RoleName": "r", "AssumeRolePolicyDocument": TRUST, "Tags": [{"Key": "k", "Value": "v" * 257}]},
     "ValidationError", "at 'tags.1.member.value'", "length less than or equal to 256"),
    ("sts", "AssumeRole", {"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "session"},
     {"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "a name"}, "ValidationError",
     "at 'roleSessionName'", "regular expression pattern: [\\w+=,.@-]*"),
    ("cloudformation", "CreateStack", {"StackName": "s", "RoleARN": "arn:aws:iam::1:role/r"},
     {"StackName": "s", "RoleARN": "short"}, "ValidationError", "at 'roleARN'",
     "length greater than or equal to 20"),
    ("logs", "CreateLogGroup", {"logGroupName": "g" * 512}, {"logGroupName": "g" * 513}, "InvalidParameterException",
     "at 'logGroupName'", "length less than or equal to 512"),
    ("cloudwatch", "PutMetricData", {"Namespace": "n" * 255, "MetricData": [{"MetricName": "m"}]},
     {"Namespace": "n" * 256, "MetricData": [{"MetricName": "m"}]}, "ValidationError", "at 'namespace'",
     "length less than or equal to 255"),
    ("scheduler", "CreateSchedule", a_schedule(Name="n" * 64), a_schedule(Name="n" * 65), "ValidationException",
     "at 'name'", "length less than or equal to 64"),
    ("scheduler", "CreateSchedule", a_schedule(), a_schedule(FlexibleTimeWindow={"Mode": "SOMETIMES"}),
     "ValidationException", "at 'flexibleTimeWindow.mode'", "enum value set: [OFF, FLEXIBLE]"),
    ("sns", "CreateTopic", {"Name": "t", "Tags": [{"Key": "k", "Value": "v"}]},
     {"Name": "t", "Tags": [{"Key": "k" * 129, "Value": "v"}]}, "InvalidParameter", "at 'tags.1.member.key'",
     "length less than or equal to 128"),
    ("xray", "BatchGetTraces", {"TraceIds": ["1-0-0"]}, {"TraceIds": ["t" * 36]}, "InvalidRequestException",
     "at 'traceIds.1.member'", "length less than or equal to 35"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "operation", "accepted", "rejected", "error", "where", "why"),
    LIMITS,
    ids=[f"{service}-{operation}-{n}" for n, (service, operation, *_) in enumerate(LIMITS)],
)
def test_a_call_over_a_limit_is_rejected_with_the_error_of_the_service(
    endpoint, service, operation, accepted, rejected, error, where, why
):
    code, message = endpoint.rejection(service, operation, accepted, rejected)

    assert code == error
    assert message.startswith("1 validation error detected: Value ")
    assert where in message
    assert why in message


def test_a_value_is_shown_as_aws_shows_it(endpoint):
    with pytest.raises(ClientError) as caught:
        endpoint.client("glue").get_table(DatabaseName="", Name=LONG_NAME)

    assert caught.value.response["Error"]["Message"] == (
        "2 validation errors detected: "
        "Value '' at 'databaseName' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1; "
        f"Value '{LONG_NAME}' at 'name' failed to satisfy constraint: Member must have length less than or equal to 255"
    )


def test_a_value_of_another_type_cannot_be_read(endpoint):
    with pytest.raises(ClientError) as caught:
        endpoint.client("athena")._make_api_call("GetWorkGroup", {"WorkGroup": ["primary"]})

    assert caught.value.response["Error"]["Code"] == "SerializationException"


def test_calls_that_no_model_describes_pass(endpoint):
    endpoint.forwarded.clear()

    endpoint.client("servicecatalog").list_portfolios(PageSize=1000)

    assert len(endpoint.forwarded) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_every_pattern_and_every_operation_of_a_service_can_be_checked(name):
    service = SERVICES[name]
    described = service.model._service_description["shapes"]
    patterns = [shape["pattern"] for shape in described.values() if "pattern" in shape]

    for pattern in patterns:
        assert matcher(pattern)("\0") in (True, False)
    for operation in service.model.operation_names:
        shape = service.model.operation_model(operation).input_shape
        if shape is not None and has_constraint(shape):
            assert service.checks(serialized=True).of(shape), operation


@pytest.mark.parametrize(
    ("pattern", "matching", "different"),
    [
        ("[a-z]+", "abc", "ab/c"),
        ("^arn:aws:iam::[0-9]{12}:role/.+", "arn:aws:iam::123456789012:role/a\nb", "arn"),
        ("^[a-z]+$", "abc", "abc\n"),
        ("[\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF\\t]*", "a\t\U0001f3ac", "a\r"),
        ("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*", "é ٣", "a!"),
        ("\\w+", "a_1", "é"),
        ("\\d{2}", "12", "٣٣"),
        ("[\\w-_]*", "a-b_c", "a.b"),
        ("[a\\s]+", "a \t", "a\u00a0"),
        ("\\p{Print}+", "a b", "é"),
    ],
)
def test_patterns_mean_what_they_mean_in_java(pattern, matching, different):
    assert matcher(pattern)(matching)
    assert not matcher(pattern)(different)
