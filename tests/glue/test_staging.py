"""Staged files: what is written to them, and what is noticed when they are read."""

import gzip
import random

import boto3
import pytest

from table_export_job import staging
from table_export_job.clients import connect
from table_export_job.errors import ExportFailed
from table_export_job.reading import RateLimiter, pages
from table_export_job.s3 import bucket_and_key
from table_export_job.staging import SegmentWriter, items_of, read_staged
from tests.glue.job_places import BUCKET

pytestmark = [  # boto3 leaves the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_a_segment_is_staged_as_files_of_bounded_size(environment, monkeypatch):
    monkeypatch.setattr(staging, "STAGED_FILE_BYTES", 100_000)
    stage = SegmentWriter(boto3.client("s3"), f"s3://{BUCKET}/staging/bounded/00007")
    large = {"S": random.Random(1).randbytes(150_000).hex()}  # gzip makes half of it

    for page in [{"a": large, "b": large}, {}, {"c": {"S": "small"}}, {"d": large}, {"e": {"S": "small"}}]:
        items = [{"id": {"S": name}, "text": text} for name, text in page.items()]
        stage.add({"Items": items, "Count": len(items), "ConsumedCapacity": {"CapacityUnits": 0.5}})
    staged = stage.close()

    assert (staged.items_counted, staged.read_capacity_units) == (5, 2.5)
    assert [(file.uri, file.items) for file in staged.files] == [
        (f"s3://{BUCKET}/staging/bounded/00007-00000.json.gz", 2),
        (f"s3://{BUCKET}/staging/bounded/00007-00001.json.gz", 2),
        (f"s3://{BUCKET}/staging/bounded/00007-00002.json.gz", 1),
    ]
    read = read_staged(boto3.client("s3"), staged.files, items_of)
    assert [item["id"]["S"] for items in read for item in items] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(("observes", "attributes"), [(True, {"id"}), (False, set())])
def test_attributes_are_observed_unless_they_are_observed_later(environment, observes, attributes):
    writer = SegmentWriter(boto3.client("s3"), f"s3://{BUCKET}/staging/observed/00000", observes=observes)
    writer.add({"Items": [{"id": {"S": "1"}}], "Count": 1, "ConsumedCapacity": {"CapacityUnits": 0.5}})

    staged = writer.close()

    assert (staged.attributes.keys(), staged.items_counted) == (attributes, 1)


def test_staged_lines_are_those_of_dynamodbs_own_export(environment, make_table):
    make_table("Lines", [{"id": {"S": "é"}, "raw": {"B": b"\x00\xff"}, "n": {"N": "10"}}])
    stage = SegmentWriter(boto3.client("s3"), f"s3://{BUCKET}/staging/lines/00000")

    request = {"TableName": "Lines", "Segment": 0, "TotalSegments": 1}
    for page in pages(connect("dynamodb"), request, RateLimiter(100, 1)):
        stage.add(page)
    [file] = stage.close().files

    content = boto3.client("s3").get_object(**bucket_and_key(file.uri))["Body"].read()
    assert len(content) == file.bytes
    assert gzip.decompress(content).decode() == '{"Item":{"id":{"S":"é"},"raw":{"B":"AP8="},"n":{"N":"10"}}}\n'


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-10], r"The staged file s3://.* is damaged .* Run the export again"),
        (lambda content: content + b"\0" * 7, "is damaged .its checksum differs"),
        (lambda content: b"", "was staged with 5 items, but holds 0"),
        (lambda content: gzip.compress(gzip.decompress(content).split(b"\n", 1)[1]), "5 items, but holds 4"),
        (lambda content: gzip.compress(b"{}\n" * 5), "is damaged .'Item'"),
        (lambda content: gzip.compress(b"no JSON\n" * 5), "is damaged"),
    ],
)
def test_a_staged_file_that_was_changed_is_not_read(environment, damage, message):
    s3 = boto3.client("s3")
    writer = SegmentWriter(s3, f"s3://{BUCKET}/staging/changed/00000")
    items = [{"id": {"S": str(number)}} for number in range(5)]
    writer.add({"Items": items, "Count": 5, "ConsumedCapacity": {"CapacityUnits": 0.5}})
    [file] = writer.close().files
    place = bucket_and_key(file.uri)
    s3.put_object(**place, Body=damage(s3.get_object(**place)["Body"].read()))

    with pytest.raises(ExportFailed, match=message):
        list(read_staged(s3, [file], items_of))
