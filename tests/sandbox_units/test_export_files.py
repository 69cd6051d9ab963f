"""The files of a DynamoDB export to S3, as AWS documents them."""

import base64
import gzip
import hashlib
import json
import re
from datetime import UTC, datetime

import pytest
from dynamodb_json import AS_TEXT, EVERY_TYPE

from sandbox.dynamodb.table_exports import export_files

ACCOUNT = "123456789012"


def files_of(items, **options):
    named = {
        "bucket": "lake",
        "prefix": "staging/reviews/now",
        "table_arn": f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/Reviews",
        "export_id": "01763863207000-0123abcd",
        "at": datetime(2026, 11, 23, 2, 0, 7, 123456, UTC),
    }
    return export_files(items, **named | options)


def lines(content):
    return [json.loads(text) for text in content.splitlines()]


def test_an_export_is_the_documented_files_with_the_summary_last():
    root = "staging/reviews/now/AWSDynamoDB/01763863207000-0123abcd"
    files = files_of([{"id": {"S": str(number)}} for number in range(5)])
    first, *data, listed, listed_checksum, summary_checksum, summary = files
    assert (first, files[first]) == (f"{root}/_started", b"")
    assert all(re.fullmatch(rf"{root}/data/[a-z2-7]{{26}}\.json\.gz", key) for key in data)
    assert [listed, listed_checksum, summary_checksum, summary] == [
        f"{root}/manifest-{name}" for name in ("files.json", "files.checksum", "summary.checksum", "summary.json")
    ]
    assert json.loads(files[summary]) == {
        "version": "2020-06-30",
        "exportArn": f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/Reviews/export/01763863207000-0123abcd",
        "startTime": "2026-11-23T02:00:07.123Z",
        "endTime": "2026-11-23T02:00:07.123Z",
        "tableArn": f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/Reviews",
        "tableId": "12345a12-abcd-123a-ab12-1234abc12345",
        "exportTime": "2026-11-23T02:00:07.123Z",
        "s3Bucket": "lake",
        "s3Prefix": "staging/reviews/now",
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{root}/manifest-files.json",
        "billedSizeBytes": 5 * len('{"Item":{"id":{"S":"0"}}}\n'),
        "itemCount": 5,
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
    }


def test_the_manifest_counts_and_checks_each_file():
    files = files_of([{"id": {"S": str(number)}} for number in range(5)], files=3)
    listed = lines(next(content for key, content in files.items() if key.endswith("manifest-files.json")))
    assert [entry["itemCount"] for entry in listed] == [2, 2, 1]
    for entry in listed:
        content = files[entry["dataFileS3Key"]]
        digest = hashlib.md5(content).digest()
        assert base64.b64decode(entry["md5Checksum"]) == digest
        assert entry["etag"] == f"{hashlib.md5(digest).hexdigest()}-1"
        assert len(lines(gzip.decompress(content))) == entry["itemCount"]


@pytest.mark.parametrize("name", ["files", "summary"])
def test_each_manifest_has_its_checksum(name):
    files = {key.rpartition("/")[2]: content for key, content in files_of([]).items()}
    digest = hashlib.md5(files[f"manifest-{name}.json"]).digest()
    assert base64.b64decode(files[f"manifest-{name}.checksum"]) == digest


def test_an_empty_partition_gives_an_empty_file():
    files = files_of([{"id": {"S": "1"}}])
    data = [gzip.decompress(content) for key, content in files.items() if key.endswith(".gz")]
    assert data == [b'{"Item":{"id":{"S":"1"}}}\n', b""]


def test_values_of_every_type_are_written_as_dynamodb_json():
    [content, _] = [content for key, content in files_of([EVERY_TYPE]).items() if key.endswith(".gz")]
    assert lines(gzip.decompress(content)) == [{"Item": AS_TEXT}]


def test_the_same_items_give_the_same_files():
    assert files_of([EVERY_TYPE]) == files_of([AS_TEXT])


def test_an_export_without_a_prefix_begins_at_the_buckets_root():
    assert all(key.startswith("AWSDynamoDB/01763863207000-0123abcd/") for key in files_of([], prefix=None))
