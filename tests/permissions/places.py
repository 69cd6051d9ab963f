"""One deployment, with names written out: what the calls of this package touch, and what is none of its business."""

PARTITION, REGION, ACCOUNT = "aws", "eu-central-1", "111122223333"

TABLE_NAME, PIPELINE, CATALOG_NAME = "Reviews", "reviews-avro", "reviews"
DATABASE_NAME = "dynamodb_exports"

STATE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/table-exports"
WAITING_ON, EXPORT_ID, STACK_ID = (f"{STATE}/index/{name}" for name in ("waiting_on", "export_id", "stack_id"))
A_CLAIM, A_PIPELINE = ({"dynamodb:LeadingKeys": key} for key in ("catalog-name/reviews", "reviews-avro"))  # of records
STREAM = f"{STATE}/stream/2026-11-23T01:00:00.000"

TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Reviews"
TABLE_EXPORT = f"{TABLE}/export/01695353076000-a1b2c3d4"
TABLE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/table-exports/TableRole"

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/5678efab-12ab-34cd-56ef-1234567890ab"
TABLE_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
VIA_DYNAMODB = {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}

BUCKET = f"arn:aws:s3:::table-exports-{ACCOUNT}-{REGION}"
SNAPSHOT_FILE = f"{BUCKET}/exports/snapshots_reviews/snapshot_timestamp=2026-11-23T02-00-07Z/part-00000.avro"
ENTITY_FILE = f"{BUCKET}/exports/entities_reviews/reviews_orders/snapshot_timestamp=2026-11-23T02-00-07Z/0.avro"
MANIFEST = f"{BUCKET}/exports/manifests_reviews/2026-11-23T02-00-07Z.json"
STAGED_FILE = f"{BUCKET}/staging/reviews/2026-11-23T02-00-07Z/segment-0.jsonl.gz"
TABLE_EXPORT_FILE = f"{BUCKET}/staging/reviews/2026-11-23T02-00-07Z/AWSDynamoDB/01695353076000-a1b2c3d4/data/a.json.gz"
SUMMARY = f"{BUCKET}/staging/reviews/2026-11-23T02-00-07Z/AWSDynamoDB/01695353076000-a1b2c3d4/manifest-summary.json"
QUERY_RESULT = f"{BUCKET}/query-results/7d0a4f2c.txt"
ARTIFACTS = "arn:aws:s3:::artifacts"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:table-exports-hashes-a1b2c3"
CONTRACT = f"{ARTIFACTS}/table-exports/columns/{'0' * 64}.json"
ENTITIES = f"{ARTIFACTS}/table-exports/entities/{'0' * 64}.json"

GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"
JOB, CRAWLER = f"{GLUE}:job/table-exports-reviews-avro", f"{GLUE}:crawler/table-exports-reviews-avro"
CATALOG, DATABASE, DEFAULT_DATABASE = f"{GLUE}:catalog", f"{GLUE}:database/{DATABASE_NAME}", f"{GLUE}:database/default"
SNAPSHOT_TABLE, VIEW = f"{GLUE}:table/{DATABASE_NAME}/snapshots_reviews", f"{GLUE}:table/{DATABASE_NAME}/reviews"

CONNECTION = f"{GLUE}:connection/network"
EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
INTERFACE, SUBNET, SECURITY_GROUP = (
    f"{EC2}:network-interface/eni-1",
    f"{EC2}:subnet/subnet-1",
    f"{EC2}:security-group/sg-1",
)
WORKGROUP = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/table-exports"
STACK = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/table-exports-reviews-avro/0a1b2c3d"
BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/table-exports"
HEARTBEAT = f"arn:aws:sqs:{REGION}:{ACCOUNT}:table-exports-heartbeat"
REDELIVERABLE = [  # the functions whose events can end up in a dead-letter queue
    f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:table-exports-{name}" for name in ("start_export", "on_glue_complete")
]

# What no role of ours may touch, whatever the action.
FOREIGN = [
    f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:payroll-a1b2c3",
    f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Payroll",
    f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Payroll/index/waiting_on",
    f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Payroll/stream/2026-11-23T01:00:00.000",
    f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Payroll/export/01695353076000-a1b2c3d4",
    f"arn:aws:iam::{ACCOUNT}:role/Admin",
    "arn:aws:s3:::payroll",
    "arn:aws:s3:::payroll/exports/snapshots_reviews/part-00000.avro",
    f"{BUCKET}/payroll.csv",
    f"{GLUE}:job/payroll",
    f"{GLUE}:crawler/payroll",
    f"{GLUE}:connection/payroll",
    f"{GLUE}:database/payroll",
    f"{GLUE}:table/payroll/snapshots_reviews",
    f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/primary",
    f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
    f"arn:aws:sqs:{REGION}:{ACCOUNT}:payroll",
    f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:payroll",
    f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0987dcba-09fe-87dc-65ba-ab0987654321",
    f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:payroll",
    f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:payroll:log-stream:1",
]
