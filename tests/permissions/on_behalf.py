"""What AWS's services do in a role of ours, as their guides say. Which do, is read from the templates."""

import json
from collections.abc import Iterator
from typing import Any

from templates import STACKS, resources

from permissions import places, sources
from permissions.policies import resolved
from permissions.reference import ALL_RESOURCES
from permissions.requirement import Place, Requirement, at

# A scoped-down AWSGlueServiceRole, which allows glue:*. AWS names no smaller set. These read and write tables and
# partitions; a crawl creates no database, and deletes nothing, for its DeleteBehavior is LOG.
CRAWLER_ON_TABLES = [
    "glue:GetTable",
    "glue:GetTables",
    "glue:CreateTable",
    "glue:UpdateTable",
    "glue:GetPartition",
    "glue:GetPartitions",
    "glue:BatchGetPartition",
    "glue:CreatePartition",
    "glue:BatchCreatePartition",
    "glue:UpdatePartition",
    "glue:BatchUpdatePartition",
]
LOGS = ["logs:CreateLogStream", "logs:PutLogEvents"]


def of_athena(roles: list[str]) -> Iterator[Requirement]:
    """Athena reads and writes the catalog as the one who asks, and leaves its answer in S3.

    glue:CreateDatabase is for CREATE DATABASE, athena:GetDataCatalog for catalogs other than Glue's, and
    s3:CreateBucket for results in a bucket that is not there: none of them is required here.
    """
    table = at(places.CATALOG, places.DATABASE, places.SNAPSHOT_TABLE)
    view = at(places.CATALOG, places.DATABASE, places.VIEW)
    databases = at(places.CATALOG, places.DATABASE)
    rows = [
        (["glue:GetDatabase", "glue:GetDatabases"], databases, sources.ATHENA_CATALOG),
        (
            ["glue:GetDatabase", "glue:GetDatabases"],
            at(places.CATALOG, places.DEFAULT_DATABASE),
            sources.ATHENA_DEFAULT_DATABASE,
        ),
        (["glue:GetTable", "glue:GetTables", "glue:GetPartitions"], table, sources.ATHENA_VIEWS),
        (["glue:GetTable", "glue:GetTables", "glue:CreateTable", "glue:UpdateTable"], view, sources.ATHENA_VIEWS),
        (
            ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
            at(places.BUCKET),
            sources.ATHENA_RESULTS,
        ),
        (
            ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            at(places.QUERY_RESULT),
            sources.ATHENA_RESULTS,
        ),
    ]
    for role in roles:
        for actions, resources_of, source in rows:
            yield from _each(role, "Athena's CREATE OR REPLACE VIEW", actions, resources_of, source)


def of_table_exports(roles: list[str]) -> Iterator[Requirement]:
    """DynamoDB writes its exports with the rights of who asks for them."""
    actions = ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"]
    for role in roles:
        yield from _each(role, "DynamoDB's export to S3", actions, at(places.TABLE_EXPORT_FILE), sources.TABLE_EXPORTS)


def of_encrypted_tables(roles: list[str]) -> Iterator[Requirement]:
    """DynamoDB decrypts a table with the rights of who reads it, be it by a scan or by an export."""
    where = [Place(places.TABLE_KEY, places.VIA_DYNAMODB)]
    for role in roles:
        yield from _each(role, "An encrypted table", ["kms:Decrypt", "kms:DescribeKey"], where, sources.TABLE_KEYS)


def of_functions() -> Iterator[Requirement]:
    """Lambda logs, traces, keeps what failed, and polls queues and streams in the function's role."""
    functions = resources("common", "AWS::Lambda::Function")
    roles = {name: found["Properties"]["Role"]["Fn::GetAtt"][0] for name, found in functions.items()}
    for name, found in functions.items():
        properties = found["Properties"]
        group = f"log-group:{resolved('common', properties['LoggingConfig']['LogGroup'])}"
        stream = f"arn:aws:logs:{places.REGION}:{places.ACCOUNT}:{group}:log-stream:2026/11/23/{name}"
        yield from _each(roles[name], "Lambda's log", LOGS, at(stream), sources.LAMBDA_LOGS)
        if properties["TracingConfig"]["Mode"] == "Active":
            traces = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
            yield from _each(roles[name], "Lambda's tracing", traces, at(ALL_RESOURCES), sources.LAMBDA_TRACING)
        yield from _of_network(roles[name], "Lambda in a VPC", sources.LAMBDA_VPC)
        addresses = ["ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
        yield from _each(roles[name], "Lambda in a VPC", addresses, at(places.INTERFACE), sources.LAMBDA_VPC)
    for found in resources("common", "AWS::Lambda::EventInvokeConfig").values():
        role = roles[found["Properties"]["FunctionName"]["Ref"]]
        yield from _keeping_failures(role, found["Properties"], sources.LAMBDA_ON_FAILURE)
    for found in resources("common", "AWS::Lambda::EventSourceMapping").values():
        role = roles[found["Properties"]["FunctionName"]["Ref"]]
        yield from _keeping_failures(role, found["Properties"], sources.LAMBDA_STREAMS_ON_FAILURE)
        yield from _polling(role, resolved("common", found["Properties"]["EventSourceArn"]))


def _of_network(role: str, call: str, source: str) -> Iterator[Requirement]:
    """Who runs in a VPC creates and deletes its network interfaces."""
    created = at(places.INTERFACE, places.SUBNET, places.SECURITY_GROUP)
    yield from _each(role, call, ["ec2:CreateNetworkInterface"], created, source)
    yield from _each(role, call, ["ec2:DeleteNetworkInterface"], at(places.INTERFACE), source)
    yield from _each(role, call, ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"], at(ALL_RESOURCES), source)


def _keeping_failures(role: str, properties: dict[str, Any], source: str) -> Iterator[Requirement]:
    if failed := properties.get("DestinationConfig", {}).get("OnFailure"):
        queue = resolved("common", failed["Destination"])
        yield from _each(role, "Lambda's OnFailure", ["sqs:SendMessage"], at(queue), source)


def _polling(role: str, event_source: str) -> Iterator[Requirement]:
    if event_source.startswith("arn:aws:sqs:"):
        actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        yield from _each(role, "Lambda's polling of a queue", actions, at(event_source), sources.LAMBDA_QUEUES)
    else:
        polling = "Lambda's polling of a stream"
        actions = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
        yield from _each(role, polling, actions, at(event_source), sources.LAMBDA_STREAMS)
        yield from _each(role, polling, ["dynamodb:ListStreams"], at(ALL_RESOURCES), sources.LAMBDA_STREAMS)


def of_schedules() -> Iterator[Requirement]:
    """Scheduler calls its target, and keeps what it could not deliver, in the role that the target names."""
    calls = {"lambda": "lambda:InvokeFunction", "events": "events:PutEvents"}
    for stack in STACKS:
        for found in resources(stack, "AWS::Scheduler::Schedule").values():
            target = resolved(stack, found["Properties"]["Target"])
            role, service = target["RoleArn"].rpartition("/")[2], target["Arn"].split(":")[2]
            event = target.get("EventBridgeParameters", {})
            keys = {"Source": "events:source", "DetailType": "events:detail-type"}
            place = Place(target["Arn"], {keys[name]: value for name, value in event.items()})
            yield from _each(role, "A schedule's target", [calls[service]], [place], sources.SCHEDULER_TARGET)
            if queue := target.get("DeadLetterConfig"):
                yield from _each(
                    role, "A schedule's dead letters", ["sqs:SendMessage"], at(queue["Arn"]), sources.SCHEDULER_DLQ
                )


FETCHED_BY_GLUE = ("--extra-py-files", "--additional-python-modules")


def of_jobs() -> Iterator[Requirement]:
    """Glue fetches the script and what it imports, logs and measures in the job's role."""
    for found in resources("table", "AWS::Glue::Job").values():
        role, job = found["Properties"]["Role"]["Fn::GetAtt"][0], resolved("table", found["Properties"])
        given = job["DefaultArguments"]
        files = [
            job["Command"]["ScriptLocation"],
            *(given[name] for name in FETCHED_BY_GLUE if name in given),
        ]
        objects = [file.replace("s3://", "arn:aws:s3:::", 1) for listed in files for file in listed.split(",")]
        yield from _each(role, "Glue's fetching of the script", ["s3:GetObject"], at(*objects), sources.GLUE_ARGUMENTS)
        versions = at(places.TABLE_EXPORT_FILE)  # DeleteObjects with versions
        yield from _each(role, "A deletion for good", ["s3:DeleteObjectVersion"], versions, sources.S3_OPERATIONS)
        yield from _logging(role, "/aws-glue/jobs/error", "/aws-glue/jobs/output")
        if "Connections" in job:
            yield from _of_connection(role)


def _of_connection(role: str) -> Iterator[Requirement]:
    """A job with a connection runs in its VPC."""
    call, source = "A Glue connection", sources.GLUE_SERVICE_ROLE
    yield from _each(role, call, ["glue:GetConnection"], at(places.CATALOG, places.CONNECTION), source)
    yield from _of_network(role, call, source)
    found = ["ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcEndpoints"]
    yield from _each(role, call, found, at(ALL_RESOURCES), source)
    tagged = [Place(places.INTERFACE, {"aws:TagKeys": "aws-glue-service-resource"})]
    yield from _each(role, call, ["ec2:CreateTags", "ec2:DeleteTags"], tagged, source)


def of_crawlers() -> Iterator[Requirement]:
    """A crawl reads the files and writes the catalog in the crawler's role."""
    for found in resources("table", "AWS::Glue::Crawler").values():
        role = found["Properties"]["Role"]["Fn::GetAtt"][0]
        table = at(places.CATALOG, places.DATABASE, places.SNAPSHOT_TABLE)
        yield from _each(role, "A crawl", ["s3:GetObject"], at(places.SNAPSHOT_FILE), sources.CRAWLER)
        buckets = ["s3:ListBucket", "s3:GetBucketLocation"]
        yield from _each(role, "A crawl", buckets, at(places.BUCKET), sources.GLUE_SERVICE_ROLE)
        yield from _each(
            role, "A crawl", ["glue:GetDatabase"], at(places.CATALOG, places.DATABASE), sources.CRAWLER_CATALOG
        )
        yield from _each(role, "A crawl", CRAWLER_ON_TABLES, table, sources.CRAWLER_CATALOG)
        if json.loads(found["Properties"]["Configuration"]).get("CreatePartitionIndex", True):
            indexes = ["glue:CreatePartitionIndex", "glue:GetPartitionIndexes"]
            yield from _each(role, "A crawl's partition index", indexes, table, sources.CRAWLER_INDEXES)
        yield from _logging(role, "/aws-glue/crawlers")


def _logging(role: str, *groups: str) -> Iterator[Requirement]:
    """Glue creates its log groups when it first needs them."""
    for group in groups:
        arn = f"arn:aws:logs:{places.REGION}:{places.ACCOUNT}:log-group:{group}"
        yield from _each(role, "Glue's log", ["logs:CreateLogGroup"], at(arn), sources.GLUE_LOGS)
        yield from _each(role, "Glue's log", LOGS, at(f"{arn}:log-stream:jr_1"), sources.GLUE_LOGS)


def _each(role: str, call: str, actions: list[str], where: list[Place], source: str) -> Iterator[Requirement]:
    for action in actions:
        for place in where:
            yield Requirement(role, call, action, place, source)


def of_encrypted_data(touched: list[Requirement]) -> Iterator[Requirement]:
    """DynamoDB, S3 and SQS use KmsKeyArn with the rights of who reads or writes what is encrypted with it."""
    reading, writing = ["kms:Decrypt"], ["kms:Decrypt", "kms:GenerateDataKey"]
    for one in touched:
        service, _, name = one.action.partition(":")
        match service:
            case "dynamodb" if one.place.arn.startswith(places.STATE):
                yield from _each(one.role, "The encrypted state table", reading, at(places.KEY), sources.TABLE_KEYS)
            case "s3" if one.place.arn.startswith(f"{places.BUCKET}/") and name in ("GetObject", "PutObject"):
                actions = reading if name == "GetObject" else writing
                yield from _each(one.role, "The encrypted bucket", actions, at(places.KEY), sources.S3_KEYS)
            case "sqs" if name in ("ReceiveMessage", "SendMessage"):
                actions = reading if name == "ReceiveMessage" else writing
                yield from _each(one.role, "The encrypted queues", actions, at(places.KEY), sources.SQS_KEYS)
