"""The whole job: DynamoDB in, snapshot and manifest out."""

import gzip
import json
import random
import subprocess
import sys
from decimal import Decimal
from operator import itemgetter

import boto3
import pytest
from botocore.exceptions import ClientError

import export_table
from table_export_job import snapshot as snapshot_module
from table_export_job import staging
from table_export_job.arguments import OUTPUT_FORMATS, JobArguments
from table_export_job.clients import connect
from table_export_job.errors import ExportFailed, failure_reason
from table_export_job.reading import RateLimiter, pages
from table_export_job.s3 import bucket_and_key, get
from table_export_job.snapshot import file_count
from table_export_job.staging import SegmentWriter, items_of, read_staged
from tests.glue.job_places import BUCKET, SCRIPT, SNAPSHOT_TIMESTAMP, keys_below, read_rows

pytestmark = [  # Spark and boto3 leave the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TWO_REVIEWS = [
    {"id": {"S": "1"}, "stars": {"N": "5"}},
    {"id": {"S": "2"}, "stars": {"N": "4"}, "text": {"S": "Good"}},
]


def test_the_script_alone_exports_every_type(environment, make_table, arguments, snapshot, manifest):
    items = [
        {
            "id": {"S": "1"},
            "userId": {"S": "upper"},
            "stars": {"N": "5"},
            "price": {"N": "1.25"},
            "big": {"N": "12345678901234567890123456789012345678"},
            "wide": {"N": "0.1"},
            "ok": {"BOOL": True},
            "raw": {"B": b"\x00\xff"},
            "ss": {"SS": ["x", "y"]},
            "ns": {"NS": ["1", "2.5"]},
            "bs": {"BS": [b"\x01", b"\x02"]},
            "place": {"M": {"a b": {"N": "1"}, "deep": {"L": [{"M": {"x": {"S": "q"}}}, {"NULL": True}]}}},
            "by_day": {"M": {f"day {day}": {"N": str(day)} for day in range(101)}},
            "mixed": {"N": "7"},
            "nothing": {"NULL": True},
        },
        {
            "id": {"S": "2"},
            "userid": {"S": "lower"},
            "price": {"NULL": True},
            "wide": {"N": "1" + 37 * "0"},
            "mixed": {"M": {"k": {"L": [{"N": "1"}, {"SS": ["é"]}]}}},
            "snapshot_timestamp": {"S": "mine"},
        },
    ]
    make_table("Every.Type", items)

    run = subprocess.run(
        [sys.executable, SCRIPT, *arguments("Every.Type")[1:]], capture_output=True, text=True, timeout=120
    )

    assert run.returncode == 0, run.stderr
    proof = manifest("Every.Type")
    assert {column["name"]: column["type"] for column in proof["columns"]} == {
        "id": "string",
        "big": "decimal(38,0)",
        "bs": "array<binary>",
        "by_day": "map<string,bigint>",
        "mixed": "string",
        "nothing": "string",
        "ns": "array<decimal(38,1)>",
        "ok": "boolean",
        "place": "struct<a_b:bigint,deep:array<struct<x:string>>>",
        "price": "decimal(38,2)",
        "raw": "binary",
        "snapshot_timestamp_2": "string",
        "ss": "array<string>",
        "stars": "bigint",
        "userid": "string",
        "userid_2": "string",
        "wide": "string",
    }
    first, second = sorted(snapshot("Every.Type"), key=itemgetter("id"))
    assert list(first) == [column["name"] for column in proof["columns"]]
    assert first == {
        "id": "1",
        "big": Decimal("12345678901234567890123456789012345678"),
        "bs": [b"\x01", b"\x02"],
        "by_day": {f"day {day}": day for day in range(101)},
        "mixed": "7",
        "nothing": None,
        "ns": [Decimal("1"), Decimal("2.5")],
        "ok": True,
        "place": {"a_b": 1, "deep": [{"x": "q"}, None]},
        "price": Decimal("1.25"),
        "raw": b"\x00\xff",
        "snapshot_timestamp_2": None,
        "ss": ["x", "y"],
        "stars": 5,
        "userid": "upper",
        "userid_2": None,
        "wide": "0.1",
    }
    assert {name: value for name, value in second.items() if value is not None} == {
        "id": "2",
        "mixed": '{"k":[1,["é"]]}',
        "snapshot_timestamp_2": "mine",
        "userid_2": "lower",
        "wide": "1" + 37 * "0",
    }


def test_the_manifest_tells_what_was_written(make_table, arguments, manifest, snapshot_files):
    make_table("Reviews", TWO_REVIEWS)

    export_table.main(arguments("Reviews"))

    [file] = snapshot_files("Reviews")
    assert file.endswith("/part-00000.zstd.parquet")
    assert manifest("Reviews") == {
        "version": 2,
        "export_id": "e1",
        "table_name": "Reviews",
        "snapshot_timestamp": SNAPSHOT_TIMESTAMP,
        "read_mode": "scan",
        "output_format": "parquet",
        "location": f"s3://{BUCKET}/exports/snapshots_reviews/snapshot_timestamp={SNAPSHOT_TIMESTAMP}/",
        "items_counted": 2,
        "items_written": 2,
        "items_expected": 2,
        "files": 1,
        "bytes": boto3.client("s3").head_object(Bucket=BUCKET, Key=file)["ContentLength"],
        "read_capacity_units": 2.0,  # two segments; moto says 1 of each
        "columns": [
            {"name": "id", "type": "string", "attribute": "id"},
            {"name": "stars", "type": "bigint", "attribute": "stars"},
            {"name": "text", "type": "string", "attribute": "text"},
        ],
        "serde_parameters": {},
        "attributes": {"id": {"kinds": ["S"]}, "stars": {"kinds": ["N"], "digits": 1}, "text": {"kinds": ["S"]}},
    }


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_an_empty_table_is_a_snapshot_with_its_keys_for_columns(
    make_table, arguments, snapshot, snapshot_files, manifest, output_format
):
    make_table("Empty", hash_key=("Year", "N"), range_key=("title", "S"))

    export_table.main(arguments("Empty", output_format=output_format))

    assert len(snapshot_files("Empty")) == 1
    assert [column["name"] for column in manifest("Empty")["columns"]] == ["year", "title"]
    assert (manifest("Empty")["items_counted"], snapshot("Empty")) == (0, [])


def test_many_pages_of_several_segments_are_each_read_and_written_once(
    make_table, arguments, snapshot, manifest, monkeypatch
):
    monkeypatch.setattr(snapshot_module, "file_count", lambda staged_bytes, cores: 2)
    numbers = range(1200)
    make_table("Pages", [{"id": {"S": str(number)}, "n": {"N": str(number)}} for number in numbers])

    export_table.main(arguments("Pages", read_capacity_cap="10"))

    assert sorted(row["n"] for row in snapshot("Pages")) == list(numbers)
    assert len(keys_below("staging/pages/")) == 2  # one per segment
    assert manifest("Pages")["read_capacity_units"] == 4  # of which moto says 1 for each page
    assert manifest("Pages")["files"] == 2


@pytest.mark.parametrize(
    ("staged_megabytes", "cores", "files"),
    [(0, 4, 1), (1, 4, 1), (100, 4, 1), (200, 4, 3), (1000, 4, 4), (10_000, 4, 40), (10_000, 400, 156)],
)
def test_a_tiny_table_is_one_file_and_files_of_a_large_one_are_large(staged_megabytes, cores, files):
    assert file_count(staged_megabytes * 1024 * 1024, cores) == files


def test_run_again_it_leaves_one_snapshot(make_table, arguments, snapshot, snapshot_files, manifest):
    make_table("Retried", TWO_REVIEWS)
    folder = f"exports/snapshots_retried/snapshot_timestamp={SNAPSHOT_TIMESTAMP}"
    stale = [f"{folder}/part-0.parquet", f"staging/retried/{SNAPSHOT_TIMESTAMP}/00099-00000.json.gz"]
    other = [f"{folder[:-1]}Y/part-0.parquet", "staging/retried/2026-11-22T02-00-07Z/00000-00000.json.gz"]
    for key in stale + other:
        boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"")

    for export_id in ("e1", "e2"):
        export_table.main(arguments("Retried", export_id=export_id))

    assert len(snapshot_files("Retried")) == 1
    assert len(snapshot("Retried")) == 2
    assert manifest("Retried")["export_id"] == "e2"
    assert not set(stale) & set(keys_below(""))
    assert set(other) <= set(keys_below(""))


def test_a_second_run_for_an_export_that_is_done_touches_nothing(make_table, arguments, manifest):
    """The view may show it; and of a start whose answer was lost, Glue may have made two runs."""
    make_table("Done", TWO_REVIEWS)
    export_table.main(arguments("Done"))
    before = all_objects()
    boto3.client("dynamodb").delete_item(TableName="Done", Key={"id": {"S": "1"}})

    export_table.main(arguments("Done"))

    assert all_objects() == before


def all_objects():
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {found["Key"]: found["LastModified"] for page in pages for found in page.get("Contents", [])}


def test_the_next_snapshot_has_the_columns_of_the_one_before(make_table, arguments, snapshot, manifest):
    make_table("Growing", [{"id": {"S": "1"}, "price": {"N": "9.99"}, "old": {"BOOL": True}}])
    export_table.main(arguments("Growing"))
    first = [(column["name"], column["type"]) for column in manifest("Growing")["columns"]]
    boto3.client("dynamodb").put_item(
        TableName="Growing", Item={"id": {"S": "1"}, "price": {"N": "9.999"}, "new": {"N": "1"}}
    )
    later = f"s3://{BUCKET}/exports/manifests_growing/2026-11-24T02-00-07Z.json"

    export_table.main(arguments("Growing", snapshot_timestamp="2026-11-24T02-00-07Z", manifest=later))

    content = json.loads(get(boto3.client("s3"), later))
    added = [("new", "bigint"), ("price_2", "decimal(38,3)")]
    assert [(column["name"], column["type"]) for column in content["columns"]] == first + added
    [file] = keys_below("exports/snapshots_growing/snapshot_timestamp=2026-11-24T02-00-07Z/")
    assert read_rows(file) == [{"id": "1", "old": None, "price": None, "new": 1, "price_2": Decimal("9.999")}]


class Killed(BaseException):
    """As a run that is killed from outside: no handler of the job's own runs."""


@pytest.mark.parametrize("step", ["write_snapshot", "verify_counts", "publish"])
def test_a_run_that_is_killed_leaves_nothing_that_can_be_seen(make_table, arguments, snapshot_files, monkeypatch, step):
    make_table("Killed", TWO_REVIEWS)

    def kill(*arguments):
        raise Killed

    monkeypatch.setattr(export_table, step, kill)
    with pytest.raises(Killed):
        export_table.main(arguments("Killed"))

    assert snapshot_files("Killed") == []
    assert keys_below("exports/manifests_killed/") == []


def test_what_a_run_left_that_was_killed_while_it_published_is_removed_by_the_next(
    make_table, arguments, snapshot, snapshot_files, monkeypatch
):
    make_table("Half", TWO_REVIEWS)
    objects = snapshot_module.list_objects

    def killed_after_uploads_were_completed(s3, folder, **only):
        if folder.endswith(f"={SNAPSHOT_TIMESTAMP}/") and snapshot_files("Half"):
            raise Killed
        return objects(s3, folder, **only)

    monkeypatch.setattr(snapshot_module, "list_objects", killed_after_uploads_were_completed)
    with pytest.raises(Killed):
        export_table.main(arguments("Half"))
    monkeypatch.setattr(snapshot_module, "list_objects", objects)
    assert len(snapshot_files("Half")) == 1

    export_table.main(arguments("Half", **the_day_after("Half")))

    assert snapshot_files("Half") == []
    assert keys_below("exports/manifests_half/") == ["exports/manifests_half/2026-11-24T02-00-07Z.json"]
    assert len(keys_below("exports/snapshots_half/")) == 1


@pytest.mark.parametrize("calls", range(1, 9))
def test_wherever_a_second_run_for_a_snapshot_is_killed_the_next_leaves_it_whole_or_not_at_all(
    make_table, arguments, snapshot, snapshot_files, monkeypatch, calls
):
    table, folder = f"Twice{calls}", f"twice{calls}"
    make_table(table, TWO_REVIEWS)
    export_table.main(arguments(table, export_id="first"))
    connect, left = export_table.connect, iter(range(calls))

    def dying(service, region=None):
        client = connect(service, region)
        client.meta.events.register("before-call.s3", kill)
        return client

    def kill(**_):
        if next(left, None) is None:
            raise Killed

    monkeypatch.setattr(export_table, "connect", dying)
    with pytest.raises(Killed):
        export_table.main(arguments(table))
    monkeypatch.setattr(export_table, "connect", connect)

    export_table.main(arguments(table, export_id="later", **the_day_after(table)))

    manifests = keys_below(f"exports/manifests_{folder}/")
    assert bool(snapshot_files(table)) == (f"exports/manifests_{folder}/{SNAPSHOT_TIMESTAMP}.json" in manifests)
    assert not [key for key in manifests if not key.endswith(".json")]
    assert len(snapshot(table)) in (0, 2)


def test_a_run_that_is_killed_right_behind_its_manifest_is_done_by_the_next_run_for_its_export(
    make_table, arguments, snapshot, monkeypatch
):
    make_table("Told", TWO_REVIEWS)
    put = snapshot_module.put

    def killed_behind_the_manifest(s3, uri, content):
        put(s3, uri, content)
        if uri.endswith(".json"):
            raise Killed

    monkeypatch.setattr(snapshot_module, "put", killed_behind_the_manifest)
    with pytest.raises(Killed):
        export_table.main(arguments("Told"))
    monkeypatch.setattr(snapshot_module, "put", put)
    manifest = f"exports/manifests_told/{SNAPSHOT_TIMESTAMP}.json"
    assert keys_below("exports/manifests_told/") == [manifest, f"{manifest}.publishing"]
    boto3.client("dynamodb").delete_item(TableName="Told", Key={"id": {"S": "1"}})

    export_table.main(arguments("Told"))

    assert keys_below("exports/manifests_told/") == [manifest]
    assert len(snapshot("Told")) == 2


def the_day_after(table):
    """The arguments of a later snapshot."""
    timestamp = "2026-11-24T02-00-07Z"
    manifest = f"s3://{BUCKET}/exports/manifests_{table.lower()}/{timestamp}.json"
    return {"snapshot_timestamp": timestamp, "manifest": manifest}


def a_manifest(**changes):
    """What a run for a table of one key leaves, as far as later runs ask for it."""
    known = {
        "version": 2,
        "output_format": "parquet",
        "columns": [{"name": "id", "type": "string", "attribute": "id"}],
        "attributes": {"id": {"kinds": ["S"]}},
    }
    return json.dumps(known | changes).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"version": 1, "schema": []}',
        b"[]",
        b"\xff\xfe",
        a_manifest(columns=[]),
        a_manifest(columns=None),
        a_manifest(columns=[{"name": "id", "type": "a string", "attribute": "id"}]),
        a_manifest(columns=[{"name": 1, "type": "string", "attribute": "id"}]),
        a_manifest(columns=[{"name": "id", "type": "string"}]),
        a_manifest(attributes={"id": {"kinds": ["S"], "digits": "x"}}),
        a_manifest(attributes={"id": {"kinds": "S"}}),
        a_manifest(attributes={"id": {"kinds": ["X"]}}),
        a_manifest(attributes={"id": {"colour": "red"}}),
        a_manifest(attributes={"id": {"element": 7}}),
        a_manifest(attributes={"id": {"fields": [7]}}),
        a_manifest(attributes={"id": "S"}),
        a_manifest(attributes=[]),
    ],
)
def test_a_manifest_that_does_not_tell_the_columns_fails_the_run_and_says_what_to_do(make_table, arguments, content):
    make_table("Unknown", TWO_REVIEWS)
    key = "exports/manifests_unknown/2026-11-22T02-00-07Z.json"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)

    with pytest.raises(ExportFailed) as failed:
        export_table.main(arguments("Unknown"))

    said = str(failed.value)
    assert f"{key} is not a manifest of version 2" in said
    assert "Restore that file, or delete it if no export wrote it" in said
    assert "start over: docs/schema.md" in said


def test_only_files_in_the_manifests_folder_itself_are_manifests(make_table, arguments, manifest):
    make_table("Nested", TWO_REVIEWS)
    for key in ("sub/9999.json", "sub/2026-11-22T02-00-07Z.json.publishing", "notes.txt"):
        boto3.client("s3").put_object(Bucket=BUCKET, Key=f"exports/manifests_nested/{key}", Body=b"?")

    export_table.main(arguments("Nested"))

    assert manifest("Nested")["items_written"] == 2
    assert len(keys_below("exports/manifests_nested/sub/")) == 2


def test_a_snapshot_in_another_format_than_the_ones_before_is_refused_before_anything_is_read_or_written(
    make_table, arguments, snapshot, monkeypatch
):
    make_table("Reformed", TWO_REVIEWS)
    export_table.main(arguments("Reformed"))
    before = all_objects()
    monkeypatch.setattr(export_table, "scan", lambda *_: pytest.fail("the table was read"))

    with pytest.raises(ExportFailed) as failed:
        export_table.main(arguments("Reformed", output_format="csv", export_id="e2", **the_day_after("Reformed")))

    assert "its snapshots are parquet, but --output_format is csv" in str(failed.value)
    assert "Deploy another table stack with its own CatalogName" in str(failed.value)
    assert all_objects() == before


@pytest.mark.parametrize("output_format", ["orc", "parquet"])
@pytest.mark.parametrize("lost", ["all", "the latest"])
def test_without_the_latest_snapshots_manifest_there_is_no_export(make_table, arguments, output_format, lost):
    """Its columns would start over: old values would show under other names, or not at all."""
    table = f"Lost-{output_format}-{lost.replace(' ', '-')}"
    make_table(table, TWO_REVIEWS)
    of_third_day = {
        "snapshot_timestamp": "2026-11-25T02-00-07Z",
        "manifest": f"s3://{BUCKET}/exports/manifests_{table.lower()}/2026-11-25T02-00-07Z.json",
    }
    export_table.main(arguments(table, output_format=output_format))
    export_table.main(arguments(table, output_format=output_format, export_id="e2", **the_day_after(table)))
    *_, latest = manifests = keys_below(f"exports/manifests_{table.lower()}/")
    for key in manifests if lost == "all" else [latest]:
        boto3.client("s3").delete_object(Bucket=BUCKET, Key=key)
    before = all_objects()

    with pytest.raises(ExportFailed) as failed:
        export_table.main(arguments(table, output_format=output_format, export_id="e3", **of_third_day))

    assert "has no manifest in " in str(failed.value)
    assert 'Restore the manifests from a copy, or start over: docs/schema.md, "Start over"' in str(failed.value)
    assert all_objects() == before


def test_what_lies_in_the_snapshots_folder_and_is_no_snapshot_is_none_without_a_manifest(
    make_table, arguments, manifest
):
    make_table("Strewn", TWO_REVIEWS)
    folder = "exports/snapshots_strewn"
    for key in ("readme.txt", "snapshot_timestamp=9999/x.parquet", "snapshot_timestamp=2026-11-22T02-00-07Z/", ""):
        boto3.client("s3").put_object(Bucket=BUCKET, Key=f"{folder}/{key}", Body=b"")

    export_table.main(arguments("Strewn"))

    assert manifest("Strewn")["items_written"] == 2


def test_a_snapshot_of_before_the_latest_one_is_not_written_any_more(make_table, arguments):
    """A failed export that is resumed: the columns that it adds would be in no later snapshot's."""
    make_table("Belated", TWO_REVIEWS)
    export_table.main(arguments("Belated", export_id="e2", **the_day_after("Belated")))
    before = all_objects()

    with pytest.raises(
        ExportFailed, match=r"/2026-11-24T02-00-07Z\.json belongs to a later snapshot .* Request a new export"
    ):
        export_table.main(arguments("Belated"))

    assert all_objects() == before


def test_uploads_that_were_never_completed_are_aborted(make_table, arguments, monkeypatch):
    make_table("Aborted", TWO_REVIEWS)
    monkeypatch.setattr(export_table, "publish", lambda s3, export, files: 1 / 0)

    with pytest.raises(ExportFailed, match="ZeroDivisionError"):
        export_table.main(arguments("Aborted"))

    uploads = boto3.client("s3").list_multipart_uploads(Bucket=BUCKET, Prefix="exports/snapshots_aborted/")
    assert uploads.get("Uploads", []) == []


def lose_a_staged_file(staged):
    boto3.client("s3").delete_object(**bucket_and_key(staged.files[0].uri))
    return staged


def truncate_a_staged_file(staged):
    change_a_staged_file(staged, lambda content: content[:-12])
    return staged


def drop_a_line(staged):
    change_a_staged_file(staged, lambda content: gzip.compress(gzip.decompress(content).split(b"\n", 1)[1]))
    return staged


def change_a_staged_file(staged, change):
    place = bucket_and_key(staged.files[0].uri)
    content = boto3.client("s3").get_object(**place)["Body"].read()
    boto3.client("s3").put_object(**place, Body=change(content))


def lose_a_page(staged):
    return staged._replace(items_counted=staged.items_counted + 10)


def stage_a_file_twice(staged):
    return staged._replace(files=staged.files * 2)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose_a_staged_file, r"GetObject failed with NoSuchKey: .* Run the export again"),
        (truncate_a_staged_file, r"The staged file s3://.* is damaged .* Run the export again"),
        (drop_a_line, r"s3://.* was staged with \d+ items?, but holds \d+"),
        (lose_a_page, "DynamoDB counted 12 items, 2 were staged, 2 written"),
        (stage_a_file_twice, "DynamoDB counted 2 items, 4 were staged, 4 written"),
    ],
)
def test_without_proof_of_completeness_there_is_no_snapshot(
    spark, make_table, arguments, snapshot_files, monkeypatch, damage, message
):
    make_table("Damaged", TWO_REVIEWS)
    scan = export_table.scan
    monkeypatch.setattr(export_table, "scan", lambda *arguments: damage(scan(*arguments)))

    with pytest.raises(ExportFailed, match=message):
        export_table.main(arguments("Damaged"))

    assert snapshot_files("Damaged") == []
    assert keys_below("exports/manifests_damaged/") == []


def write_a_file_twice(files):
    return files * 2


def lose_a_file(files):
    return files[:0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (write_a_file_twice, "DynamoDB counted 2 items, 2 were staged, 4 written"),
        (lose_a_file, "DynamoDB counted 2 items, 2 were staged, 0 written"),
    ],
)
def test_a_file_that_is_lost_or_there_twice_is_noticed(
    make_table, arguments, snapshot_files, monkeypatch, damage, message
):
    make_table("Uncounted", TWO_REVIEWS)
    write = export_table.write_snapshot
    monkeypatch.setattr(export_table, "write_snapshot", lambda *given: damage(write(*given)))

    with pytest.raises(ExportFailed, match=message):
        export_table.main(arguments("Uncounted"))

    assert snapshot_files("Uncounted") == []


def test_a_stranger_in_the_snapshots_folder_is_noticed(make_table, arguments, snapshot_files, monkeypatch):
    make_table("Shared", TWO_REVIEWS)
    verify = export_table.verify_counts

    def meanwhile(*given):
        verify(*given)
        key = f"exports/snapshots_shared/snapshot_timestamp={SNAPSHOT_TIMESTAMP}/theirs.parquet"
        boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")

    monkeypatch.setattr(export_table, "verify_counts", meanwhile)

    with pytest.raises(ExportFailed, match=r"0 are missing \[\], 1 are others \['.*/theirs\.parquet'\]"):
        export_table.main(arguments("Shared"))

    assert snapshot_files("Shared") == []


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


def test_a_table_that_is_not_there_is_named(spark, arguments):
    with pytest.raises(ExportFailed, match=r"There is no table Nowhere .*: check --table_name"):
        export_table.main(arguments("Nowhere"))


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("read_percentage", "1.5", "a number from 0.1 to 1.0"),
        ("read_percentage", "0.05", "a number from 0.1 to 1.0"),
        ("read_percentage", "half", "a number from 0.1 to 1.0"),
        ("read_capacity_cap", "-1", "read capacity units per second, or 0 for no cap"),
        ("read_mode", "auto", "one of: scan, export"),
        ("table_export", "s3://bucket/folder/", "s3://bucket/.../manifest-summary.json, or -"),
        ("output_format", "xml", "one of: parquet, orc, avro, json, csv"),
        ("output_prefix", "exports/snapshots_x", "s3://bucket/folder, with no slash at its end"),
        ("staging_prefix", "s3://bucket/folder/", "s3://bucket/folder, with no slash at its end"),
        ("snapshot_timestamp", "2026-11-23T02:00:07Z", "UTC to the second, such as 2026-11-23T02-00-07Z"),
        ("manifest", "s3://bucket/", "s3://bucket/key"),
        ("table_name", "a table", "the name of a DynamoDB table"),
    ],
)
def test_a_bad_argument_is_named_with_what_it_takes(arguments, argument, value, message):
    with pytest.raises(ExportFailed) as failed:
        JobArguments.from_argv(arguments("Reviews", **{argument: value}))

    assert str(failed.value) == f"--{argument} is {value!r}, but must be {message}."


@pytest.mark.parametrize(
    ("read_mode", "table_export"), [("export", "-"), ("scan", "s3://bucket/AWSDynamoDB/0-a/manifest-summary.json")]
)
def test_a_table_export_goes_with_its_read_mode(arguments, read_mode, table_export):
    with pytest.raises(ExportFailed, match="--table_export must be the summary of a table export in --read_mode"):
        JobArguments.from_argv(arguments("Reviews", read_mode=read_mode, table_export=table_export))


@pytest.mark.parametrize("percentage", ["0.1", "0.25", ".5", "0.99", "1", "1.0"])
def test_percentages_from_a_tenth_to_one_are_taken(arguments, percentage):
    assert JobArguments.from_argv(arguments("Reviews", read_percentage=percentage)).read_percentage == float(percentage)


def test_a_missing_argument_is_named(arguments):
    given = [part for part in arguments("Reviews") if part not in ("--export_id", "e1")]

    with pytest.raises(ExportFailed, match="the following arguments are required: --export_id"):
        JobArguments.from_argv(given)


@pytest.mark.parametrize(
    "wrap", [str, "Job aborted: Traceback (most recent call last):\n  File x\nbotocore.X: {}\n\n\tat org.apache".format]
)
def test_a_refusal_by_aws_says_what_to_do_wherever_it_happened(arguments, wrap):
    answer = {
        "Error": {"Code": "AccessDeniedException", "Message": "User x is not authorized to perform: dynamodb:Scan"}
    }
    error = RuntimeError(wrap(ClientError(answer, "Scan")))

    assert failure_reason(error, "Reviews") == (
        "Scan failed with AccessDeniedException: User x is not authorized to perform: dynamodb:Scan. "
        "Allow this action in the job's role."
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(KeyError("Table"), "KeyError: 'Table'", id="in the driver"),
        pytest.param(
            RuntimeError(
                "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted.\n\tat X\n"
                "Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call last):\n"
                '  File "export_table.py", line 1\nMemoryError: no more\n\n\tat Y\n'
            ),
            "MemoryError: no more",
            id="in an executor's Python",
        ),
        pytest.param(
            RuntimeError(
                "An error occurred while calling o1.save.\n: org.apache.spark.SparkException: Job aborted.\n\tat X\n"
                "Caused by: java.nio.file.AccessDeniedException: s3://bucket/x: Access Denied\n\tat Z\n"
            ),
            "java.nio.file.AccessDeniedException: s3://bucket/x: Access Denied",
            id="in the JVM",
        ),
    ],
)
def test_any_other_error_is_told_by_its_root_cause(arguments, error, message):
    assert failure_reason(error, "Reviews") == message
