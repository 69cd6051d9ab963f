"""What each role needs: for the calls that the code makes, and for what AWS does in the role on our behalf."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from templates import resources

from permissions import places, reference, sources
from permissions.calls import Calls, Operation, calls_of_handler, calls_of_job
from permissions.on_behalf import (
    of_athena,
    of_crawlers,
    of_encrypted_data,
    of_encrypted_tables,
    of_functions,
    of_jobs,
    of_schedules,
    of_table_exports,
)
from permissions.requirement import Place, Requirement, at

PREFIXES = {"dynamodbstreams": "dynamodb"}  # of actions, where botocore names the service otherwise

# Operations whose permission has another name, and those that are checked against more than one.
ACTIONS: dict[Operation, tuple[str, str]] = {
    ("s3", "ListObjectsV2"): ("s3:ListBucket", sources.S3_OPERATIONS),
    ("s3", "ListObjectVersions"): ("s3:ListBucketVersions", sources.S3_OPERATIONS),
    ("s3", "ListMultipartUploads"): ("s3:ListBucketMultipartUploads", sources.S3_OPERATIONS),
    ("s3", "CreateMultipartUpload"): ("s3:PutObject", sources.S3_OPERATIONS),
    ("s3", "UploadPart"): ("s3:PutObject", sources.S3_OPERATIONS),
    ("s3", "CompleteMultipartUpload"): ("s3:PutObject", sources.S3_OPERATIONS),
    ("s3", "DeleteObjects"): ("s3:DeleteObject", sources.S3_OPERATIONS),
    ("s3", "GetObject of what may be gone"): ("s3:ListBucket", sources.S3_MISSING_OBJECTS),
    ("dynamodb", "TransactWriteItems.Put"): ("dynamodb:PutItem", sources.DYNAMODB_OPERATIONS),
    ("dynamodb", "TransactWriteItems.Update"): ("dynamodb:UpdateItem", sources.DYNAMODB_OPERATIONS),
    ("dynamodb", "TransactWriteItems.Delete"): ("dynamodb:DeleteItem", sources.DYNAMODB_OPERATIONS),
    ("dynamodb", "TransactWriteItems.ConditionCheck"): ("dynamodb:ConditionCheckItem", sources.DYNAMODB_OPERATIONS),
    ("lambda", "Invoke"): ("lambda:InvokeFunction", sources.LAMBDA_INVOKE),
}
BY_ITEM = ("dynamodb", "TransactWriteItems")  # has no permission of its own: its items have

# What an operation touches, whoever calls it.
TOUCHES: dict[Operation, list[Place]] = {
    **dict.fromkeys(
        [
            ("dynamodb", "GetItem"),
            ("dynamodb", "UpdateItem"),
            ("dynamodb", "TransactWriteItems.Put"),
            ("dynamodb", "TransactWriteItems.Update"),
        ],
        at(places.STATE),
    ),
    ("dynamodb", "DeleteItem"): [Place(places.STATE, places.A_CLAIM)],
    ("dynamodb", "TransactWriteItems.Delete"): [Place(places.STATE, places.A_CLAIM)],
    **dict.fromkeys(
        [
            ("dynamodb", "DescribeTable"),
            ("dynamodb", "DescribeContinuousBackups"),
            ("dynamodb", "ExportTableToPointInTime"),
        ],
        at(places.TABLE),
    ),
    ("dynamodb", "DescribeExport"): at(places.TABLE_EXPORT),
    **dict.fromkeys([("dynamodbstreams", "GetRecords"), ("dynamodbstreams", "GetShardIterator")], at(places.STREAM)),
    ("sts", "AssumeRole"): at(places.TABLE_ROLE),
    ("cloudformation", "DescribeStacks"): at(places.STACK),
    ("cloudformation", "DescribeStackEvents"): at(places.STACK),
    **dict.fromkeys(
        [("glue", "StartJobRun"), ("glue", "GetJobRun"), ("glue", "GetJobRuns"), ("glue", "BatchStopJobRun")],
        at(places.JOB),
    ),
    **dict.fromkeys([("glue", "StartCrawler"), ("glue", "GetCrawler"), ("glue", "StopCrawler")], at(places.CRAWLER)),
    **dict.fromkeys(
        [
            ("glue", "CreateTable"),
            ("glue", "UpdateTable"),
            ("glue", "GetPartition"),
            ("glue", "GetPartitions"),
            ("glue", "BatchCreatePartition"),
            ("glue", "UpdatePartition"),
            ("glue", "BatchUpdatePartition"),
            ("glue", "DeletePartition"),
        ],
        at(places.CATALOG, places.DATABASE, places.SNAPSHOT_TABLE),
    ),
    **dict.fromkeys(
        [("glue", "GetTable"), ("glue", "GetTables")],
        at(places.CATALOG, places.DATABASE, places.SNAPSHOT_TABLE, places.VIEW),
    ),
    **dict.fromkeys(
        [("athena", "StartQueryExecution"), ("athena", "GetQueryExecution"), ("athena", "StopQueryExecution")],
        at(places.WORKGROUP),
    ),
    **dict.fromkeys(
        [("sqs", "ReceiveMessage"), ("sqs", "SendMessage"), ("sqs", "DeleteMessage")], at(places.HEARTBEAT)
    ),
    ("glue", "GetDatabase"): at(places.CATALOG, places.DATABASE),
    ("lambda", "Invoke"): at(*places.REDELIVERABLE),
    ("s3", "GetObject"): at(places.MANIFEST),
    ("s3", "GetObject of what may be gone"): at(places.BUCKET),
}

JOB_FOLDERS = {
    "exports/snapshots_reviews/": places.SNAPSHOT_FILE,
    "exports/entities_reviews/reviews_orders/": places.ENTITY_FILE,
    "exports/manifests_reviews/": places.MANIFEST,
    "staging/reviews/": places.STAGED_FILE,
}

TABLE_EXPORT_FOLDER = f"{places.TABLE_EXPORT_FILE.removeprefix(f'{places.BUCKET}/').rpartition('/')[0]}/"

ENDS = (
    "Object Created",
    "Table Export State Change",
    "Glue Job State Change",
    "Glue Crawler State Change",
    "Athena Query State Change",
)
# Source and detail types of the events that each role publishes.
PUBLISHED = {
    "StartExportRole": {
        "table-exports": ("Export Failed", "Export Skipped"),
        "table-exports.reconciler": ("Glue Job State Change",),
    },
    "OnViewCompleteRole": {"table-exports.reconciler": ("Athena Query State Change",)},
    "ReconcileExportsRole": {"table-exports.reconciler": ("Export Requested", *ENDS)},
    "OnExportChangedRole": {
        "table-exports": (
            "Export Started",
            "Snapshot Written",
            "Snapshot Cataloged",
            "Export Succeeded",
            "Entity Appeared",
            "Export Failed",
        )
    },
    "RedeliverEventsRole": {"table-exports": ("Export Requested",)},
    "PipelineWidgetRole": {"table-exports": ("Export Requested",)},
}

# And where it depends on who calls.
TOUCHES_IN_ROLE: dict[tuple[str, Operation], list[Place]] = {
    ("StartExportRole", ("dynamodb", "Query")): at(places.EXPORT_ID),
    ("OnTableExportedRole", ("dynamodb", "Query")): at(places.WAITING_ON),
    ("OnGlueCompleteRole", ("dynamodb", "Query")): at(places.WAITING_ON),
    ("OnCrawlerCompleteRole", ("dynamodb", "Query")): at(places.WAITING_ON),
    ("OnViewCompleteRole", ("dynamodb", "Query")): at(places.WAITING_ON),
    ("PipelineWidgetRole", ("dynamodb", "Query")): at(places.EXPORT_ID, places.STATE),
    ("PipelineWidgetRole", ("dynamodb", "Scan")): at(places.STACK_ID, places.WAITING_ON),
    **{
        (role, ("events", "PutEvents")): [
            Place(places.BUS, {"events:source": source, "events:detail-type": detail_type})
            for source, detail_types in published.items()
            for detail_type in detail_types
        ]
        for role, published in PUBLISHED.items()
    },
    ("ReconcileExportsRole", ("dynamodb", "Scan")): at(places.STACK_ID, places.WAITING_ON),
    ("OnTableExportedRole", ("s3", "GetObject")): at(places.SUMMARY),
    ("OnExportSucceededRole", ("dynamodb", "Query")): at(places.STATE),
    ("OnExportSucceededRole", ("s3", "ListObjectsV2")): [
        Place(places.BUCKET, {"s3:prefix": prefix})
        for prefix in (
            "exports/snapshots_reviews/snapshot_timestamp=",
            "exports/entities_reviews/",
            "exports/manifests_reviews/",
        )
    ],
    ("OnExportSucceededRole", ("s3", "DeleteObjects")): at(places.SNAPSHOT_FILE, places.ENTITY_FILE, places.MANIFEST),
    ("JobRole", ("dynamodb", "Scan")): at(places.TABLE),
    ("JobRole", ("secretsmanager", "GetSecretValue")): at(places.SECRET),
    ("JobRole", ("s3", "GetObject")): at(
        places.MANIFEST, places.STAGED_FILE, places.TABLE_EXPORT_FILE, places.CONTRACT, places.ENTITIES
    ),
    ("JobRole", ("s3", "PutObject")): at(places.MANIFEST, places.STAGED_FILE),
    ("JobRole", ("s3", "DeleteObject")): at(places.MANIFEST, places.STAGED_FILE),
    ("JobRole", ("s3", "DeleteObjects")): at(places.SNAPSHOT_FILE, places.ENTITY_FILE, places.STAGED_FILE),
    ("JobRole", ("s3", "ListObjectsV2")): [Place(places.BUCKET, {"s3:prefix": prefix}) for prefix in JOB_FOLDERS],
    ("JobRole", ("s3", "ListObjectVersions")): [Place(places.BUCKET, {"s3:prefix": TABLE_EXPORT_FOLDER})],
    ("JobRole", ("s3", "ListMultipartUploads")): at(places.BUCKET),
    **dict.fromkeys(
        [
            ("JobRole", ("s3", name))
            for name in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload")
        ],
        at(places.SNAPSHOT_FILE, places.ENTITY_FILE),
    ),
}


@dataclass(frozen=True)
class Caller:
    role: str
    operations: frozenset[Operation]


@cache
def callers() -> list[Caller]:
    """Every role whose credentials our code has, with the operations that it calls in it."""
    found: list[Caller] = []
    assumed: set[Operation] = set()
    for function in resources("common", "AWS::Lambda::Function").values():
        calls: Calls = calls_of_handler(function["Properties"]["Handler"])
        role = function["Properties"]["Role"]["Fn::GetAtt"][0]
        found.append(Caller(role, frozenset(calls.own - {BY_ITEM})))
        assumed |= calls.assumed
    return [*found, Caller("TableRole", frozenset(assumed)), Caller("JobRole", frozenset(calls_of_job()))]


def touched(role: str, operation: Operation) -> list[Place]:
    places_of = TOUCHES_IN_ROLE.get((role, operation)) or TOUCHES.get(operation)
    if places_of is None:
        name = ":".join(operation)
        raise LookupError(f"{role} calls {name}: say in TOUCHES or TOUCHES_IN_ROLE which resources it touches")
    return places_of


def of_calls() -> Iterator[Requirement]:
    for caller in callers():
        for operation in sorted(caller.operations):
            service, name = operation
            action, source = ACTIONS.get(operation, (f"{PREFIXES.get(service, service)}:{name}", ""))
            for place in touched(caller.role, operation):
                if reference.exists(action) and not source:
                    source = reference.page(action)
                yield Requirement(caller.role, f"{service}:{name}", action, place, source)


@cache
def requirements() -> list[Requirement]:
    touched = [
        *of_calls(),
        *of_athena([found.role for found in callers() if ("athena", "StartQueryExecution") in found.operations]),
        *of_table_exports([found.role for found in callers() if _exports_tables(found)]),
        *of_encrypted_tables([found.role for found in callers() if _reads_tables(found)]),
        *of_functions(),
        *of_schedules(),
        *of_jobs(),
        *of_crawlers(),
    ]
    return [*touched, *of_encrypted_data(touched)]


def _exports_tables(caller: Caller) -> bool:
    return ("dynamodb", "ExportTableToPointInTime") in caller.operations


def _reads_tables(caller: Caller) -> bool:
    """Whether the role reads items of the exported table: by a scan of it, or by DynamoDB's export."""
    scans = ("dynamodb", "Scan") in caller.operations and places.TABLE in {
        place.arn for place in touched(caller.role, ("dynamodb", "Scan"))
    }
    return scans or _exports_tables(caller)
