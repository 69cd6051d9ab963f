"""Limits of AWS that the product stays within. tests/contracts/test_limits.py compares them with AWS's models."""

QUERY_BYTES = 262_144  # Athena, StartQueryExecution
VIEW_CHARACTERS = 409_600  # Glue, TableInput.ViewOriginalText: the view as Athena stores it
NAME_CHARACTERS = 255  # of a job, run, crawler or workgroup
ARN_CHARACTERS = 1024  # of a table export
WRITES_PER_TRANSACTION = 100  # DynamoDB, TransactWriteItems
PARTITIONS_PER_CALL = 100  # Glue, BatchCreatePartition and BatchUpdatePartition
OBJECTS_PER_CALL = 1_000  # S3, DeleteObjects
