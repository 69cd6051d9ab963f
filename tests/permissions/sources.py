"""The pages of AWS that say what a call requires, beside the service authorization reference."""

DOCS = "https://docs.aws.amazon.com"

S3_OPERATIONS = f"{DOCS}/service-authorization/latest/reference/list_s3.html (API operations)"
DYNAMODB_OPERATIONS = f"{DOCS}/service-authorization/latest/reference/list_dynamodb.html (API operations)"
LAMBDA_INVOKE = f"{DOCS}/lambda/latest/api/API_Invoke.html"
S3_MISSING_OBJECTS = f"{DOCS}/AmazonS3/latest/API/API_GetObject.html (Permissions: 404 takes s3:ListBucket, else 403)"
TABLE_KEYS = f"{DOCS}/amazondynamodb/latest/developerguide/encryption.usagenotes.html (customer managed keys)"
TABLE_EXPORTS = f"{DOCS}/amazondynamodb/latest/developerguide/S3DataExport_Requesting.html"

S3_KEYS = f"{DOCS}/AmazonS3/latest/userguide/UsingKMSEncryption.html (uploads, downloads, and uploads in parts)"
SQS_KEYS = f"{DOCS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html (producers and consumers)"

ATHENA_WORKGROUP = f"{DOCS}/athena/latest/APIReference/API_StartQueryExecution.html"
ATHENA_CATALOG = f"{DOCS}/athena/latest/ug/fine-grained-access-to-glue-resources.html"
ATHENA_DEFAULT_DATABASE = f"{ATHENA_CATALOG}#full-access-to-default-db-per-region"
ATHENA_VIEWS = f"{ATHENA_CATALOG} (CREATE TABLE; REPLACE is glue:UpdateTable)"
ATHENA_RESULTS = f"{DOCS}/aws-managed-policy/latest/reference/AmazonAthenaFullAccess.html (BaseQueryResultsPermissions)"

CRAWLER = f"{DOCS}/glue/latest/dg/crawler-prereqs.html (an S3 data store)"
CRAWLER_CATALOG = f"{DOCS}/glue/latest/dg/crawler-prereqs.html (AWSGlueServiceRole, scoped down)"
CRAWLER_INDEXES = f"{DOCS}/glue/latest/dg/crawler-configure-partition-indexes.html"
GLUE_SERVICE_ROLE = f"{DOCS}/aws-managed-policy/latest/reference/AWSGlueServiceRole.html"
GLUE_LOGS = f"{DOCS}/glue/latest/dg/monitor-continuous-logging.html (as in AWSGlueServiceRole)"
GLUE_ARGUMENTS = f"{DOCS}/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html"

LAMBDA_LOGS = f"{DOCS}/lambda/latest/dg/lambda-intro-execution-role.html (AWSLambdaBasicExecutionRole)"
LAMBDA_TRACING = f"{DOCS}/lambda/latest/dg/services-xray.html"
LAMBDA_VPC = f"{DOCS}/lambda/latest/dg/configuration-vpc.html (required IAM permissions)"
LAMBDA_ON_FAILURE = f"{DOCS}/lambda/latest/dg/invocation-async-retain-records.html"
LAMBDA_QUEUES = f"{DOCS}/lambda/latest/dg/services-sqs-configure.html"
LAMBDA_STREAMS = f"{DOCS}/amazondynamodb/latest/developerguide/iam-policy-example-lamda-process-dynamodb-streams.html"
LAMBDA_STREAMS_ON_FAILURE = f"{DOCS}/lambda/latest/dg/services-dynamodb-errors.html"

SCHEDULER_TARGET = f"{DOCS}/scheduler/latest/UserGuide/setting-up.html (execution role)"
SCHEDULER_DLQ = f"{DOCS}/scheduler/latest/UserGuide/configuring-schedule-dlq.html"
