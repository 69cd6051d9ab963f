"""Where the tests of the job find and keep things."""

import csv
import gzip
import io
import json
from decimal import Decimal
from pathlib import Path

import boto3

SCRIPT = Path(__file__).parents[2] / "glue" / "export_table.py"
MB = 1024 * 1024
BUCKET = "exports-of-tests"
SNAPSHOT_TIMESTAMP = "2026-11-23T02-00-07Z"
TWO_REVIEWS = [
    {"id": {"S": "1"}, "stars": {"N": "5"}},
    {"id": {"S": "2"}, "stars": {"N": "4"}, "text": {"S": "Good"}},
]


def keys_below(prefix):
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def read_rows(key):
    """The rows of a file, by the libraries of its format."""
    import fastavro
    import pyarrow.orc
    import pyarrow.parquet

    file = io.BytesIO(boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())
    match key.removesuffix(".gz").rpartition(".")[2]:
        case "parquet":
            return pyarrow.parquet.read_table(file).to_pylist(maps_as_pydicts="strict")
        case "orc":
            return pyarrow.orc.read_table(file).to_pylist(maps_as_pydicts="strict")
        case "avro":
            return list(fastavro.reader(file))
        case "json":
            lines = gzip.decompress(file.read()).decode().splitlines()
            return [json.loads(line, parse_float=Decimal) for line in lines]
        case "csv":
            csv.field_size_limit(MB)
            return list(csv.DictReader(io.StringIO(gzip.decompress(file.read()).decode()), escapechar="\\"))


def all_objects():
    """Each key in the bucket, with when it was written."""
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {found["Key"]: found["LastModified"] for page in pages for found in page.get("Contents", [])}


def the_day_after(table):
    """The arguments of a later snapshot."""
    timestamp = "2026-11-24T02-00-07Z"
    manifest = f"s3://{BUCKET}/exports/manifests_{table.lower()}/{timestamp}.json"
    return {"snapshot_timestamp": timestamp, "manifest": manifest}
