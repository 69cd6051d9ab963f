"""The whole job, on a stand-in for Spark: DynamoDB in, snapshot and manifest out."""

import gzip
import json
import re
from decimal import Decimal

import boto3
import pytest

import export_table
from table_export_job import snapshot as snapshot_module
from table_export_job.arguments import OUTPUT_FORMATS
from table_export_job.errors import ExportFailed, PermanentError
from table_export_job.s3 import bucket_and_key, get, put
from table_export_job.snapshot import file_count
from tests.glue.job_places import (
    BUCKET,
    SNAPSHOT_TIMESTAMP,
    TWO_REVIEWS,
    all_objects,
    keys_below,
    read_rows,
    the_day_after,
)

pytestmark = [  # boto3 leaves the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


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
        "hot_share": 0.0,
        "columns": [
            {"name": "id", "type": "string", "attribute": "id"},
            {"name": "stars", "type": "bigint", "attribute": "stars"},
            {"name": "text", "type": "string", "attribute": "text"},
        ],
        "comments": {},
        "view_names": {},
        "not_converted": {},
        "contract": "-",
        "hashed": [],
        "fields": {},
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


def test_an_avro_schema_that_the_catalog_cannot_hold_fails_before_files_are_written(make_table, arguments):
    """Attributes with names of 250 characters: 1,300 of them in each of two items, which DynamoDB accepts."""
    wide = [{"id": {"S": str(n)}} | {f"{n}_{m}".rjust(250, "a"): {"S": "x"} for m in range(900)} for n in range(2)]
    make_table("Wide", wide)

    with pytest.raises(PermanentError) as failed:
        export_table.main(arguments("Wide", output_format="avro"))

    assert re.search(
        r"The Avro schema of 1801 columns has 5\d\d,\d{3} characters, .* accepts 512,000", str(failed.value)
    )
    assert "OutputFormat parquet" in str(failed.value)
    assert keys_below("exports/snapshots_wide/") == keys_below("exports/manifests_wide/") == []

    export_table.main(arguments("Wide", output_format="parquet"))


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
    assert manifest("Pages")["hot_share"] == 0


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


def test_the_structs_of_a_table_of_0_1_0_grow_in_place(make_table, arguments, snapshot, manifest):
    """Its manifests have no attributes of fields: they follow from the attributes."""
    place = {"M": {"Zip": {"N": "1"}, "zip": {"S": "x"}, "size": {"N": "2"}}}
    make_table("Upgraded", [{"id": {"S": "1"}, "place": place}])
    export_table.main(arguments("Upgraded"))
    earlier = manifest("Upgraded")
    assert earlier.pop("fields") == {"place": {"zip_2": "Zip"}}
    s3, place = boto3.client("s3"), {"M": {**place["M"], "Zip": {"S": "D-1"}, "area": {"N": "3"}}}
    put(s3, f"s3://{BUCKET}/exports/manifests_upgraded/{SNAPSHOT_TIMESTAMP}.json", json.dumps(earlier).encode())
    boto3.client("dynamodb").put_item(TableName="Upgraded", Item={"id": {"S": "1"}, "place": place})
    later = f"s3://{BUCKET}/exports/manifests_upgraded/2026-11-24T02-00-07Z.json"

    export_table.main(arguments("Upgraded", snapshot_timestamp="2026-11-24T02-00-07Z", manifest=later))

    content = json.loads(get(s3, later))
    kind = "struct<size:bigint,zip:string,zip_2:bigint,area:bigint,zip_3:string>"
    assert [(column["name"], column["type"]) for column in content["columns"]] == [("id", "string"), ("place", kind)]
    assert content["fields"] == {"place": {"zip_2": "Zip", "zip_3": "Zip"}}
    assert content["comments"] == {"place": 'DynamoDB attribute "place", its fields: zip_2 "Zip", zip_3 "Zip"'}
    [file] = keys_below("exports/snapshots_upgraded/snapshot_timestamp=2026-11-24T02-00-07Z/")
    assert read_rows(file) == [{"id": "1", "place": {"size": 2, "zip": "x", "zip_2": None, "area": 3, "zip_3": "D-1"}}]


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


def test_what_a_run_killed_while_it_published_left_is_removed_by_the_next(
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


@pytest.mark.parametrize("calls", [1, 3, 8, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4, 5, 6, 7))])
def test_wherever_a_second_run_is_killed_the_next_leaves_a_whole_snapshot_or_none(
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


def test_a_run_killed_right_after_its_manifest_is_finished_by_the_next(make_table, arguments, snapshot, monkeypatch):
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
    make_table, arguments, snapshot_files, monkeypatch, damage, message
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

    with pytest.raises(ExportFailed, match=r"Missing: 0, unexpected: 1 \(.*/theirs\.parquet\)\. Run"):
        export_table.main(arguments("Shared"))

    assert snapshot_files("Shared") == []
