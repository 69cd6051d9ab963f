"""Snapshots in S3 and in the catalog, on moto."""

import boto3
import pytest
from botocore.exceptions import ClientError
from examples import a_pipeline
from moto import mock_aws

from table_exports.aws.snapshots import Snapshots

OLD, NEW = "2026-11-22T02-00-07Z", "2026-11-23T02-00-07Z"
PIPELINE = a_pipeline()


@pytest.fixture
def aws():
    with mock_aws():
        s3, glue = boto3.client("s3"), boto3.client("glue")
        s3.create_bucket(Bucket="bucket")
        glue.create_database(DatabaseInput={"Name": "exports"})
        yield s3, glue


@pytest.fixture
def snapshots(aws):
    return Snapshots(*aws, "exports")


def folder(snapshot, table="reviews"):
    return f"exports/snapshots_{table}/snapshot_timestamp={snapshot}/"


def write(s3, *keys):
    for key in keys:
        s3.put_object(Bucket="bucket", Key=key, Body=b"")


def catalog(glue, *snapshots, elsewhere=()):
    glue.create_table(
        DatabaseName="exports",
        TableInput={"Name": "snapshots_reviews", "PartitionKeys": [{"Name": "snapshot_timestamp", "Type": "string"}]},
    )
    places = {name: f"s3://bucket/{folder(name)}" for name in snapshots} | dict.fromkeys(elsewhere, "s3://theirs/x/")
    for name, location in places.items():
        made = {"Values": [name], "StorageDescriptor": {"Location": location}}
        glue.create_partition(DatabaseName="exports", TableName="snapshots_reviews", PartitionInput=made)


def keys(s3):
    return [found["Key"] for found in s3.list_objects_v2(Bucket="bucket").get("Contents", [])]


def partitions(glue):
    found = glue.get_partitions(DatabaseName="exports", TableName="snapshots_reviews")["Partitions"]
    return [partition["Values"] for partition in found]


def test_a_snapshot_is_known_by_anything_that_is_left_of_it(aws, snapshots):
    s3, glue = aws
    write(s3, f"{folder('2026-11-01T00-00-00Z')}a.parquet", "exports/manifests_reviews/2026-11-02T00-00-00Z.json")
    catalog(glue, "2026-11-03T00-00-00Z", elsewhere=["2026-11-04T00-00-00Z"])

    assert snapshots.of(PIPELINE) == {"2026-11-01T00-00-00Z", "2026-11-02T00-00-00Z", "2026-11-03T00-00-00Z"}


def test_partitions_are_read_a_page_at_a_time_without_their_columns(aws, snapshots):
    _, glue = aws
    timestamps = [f"2026-11-{day:02}T{hour:02}-00-00Z" for day in range(1, 6) for hour in range(24)]
    catalog(glue, *timestamps)
    requests = []
    glue.meta.events.register("provide-client-params.glue.GetPartitions", lambda params, **_: requests.append(params))

    assert list(snapshots.partitions(PIPELINE)) == timestamps

    assert {(request["MaxResults"], request["ExcludeColumnSchema"]) for request in requests} == {(100, True)}


def test_a_pipeline_that_was_never_cataloged_has_no_partitions(snapshots):
    assert snapshots.of(PIPELINE) == set()


def test_a_snapshot_is_removed_with_its_files_its_partition_and_its_manifest_and_no_other_is_touched(aws, snapshots):
    s3, glue = aws
    kept = [
        f"{folder(NEW)}a.parquet",
        f"{folder(OLD, 'reviews_old')}a.parquet",
        f"exports/manifests_reviews/{NEW}.json",
        f"exports/manifests_reviews_old/{OLD}.json",
    ]
    write(s3, *kept, f"{folder(OLD)}a.parquet", f"{folder(OLD)}deep/b.parquet", f"exports/manifests_reviews/{OLD}.json")
    catalog(glue, OLD, NEW)

    assert snapshots.remove(PIPELINE, OLD) == 2

    assert sorted(keys(s3)) == sorted(kept)
    assert partitions(glue) == [[NEW]]
    assert snapshots.remove(PIPELINE, OLD) == 0  # again, for it may have been broken off


def entity_folder(snapshot, name):
    return f"exports/entities_reviews/{name}/snapshot_timestamp={snapshot}/"


def test_a_snapshot_is_removed_from_all_entities_also_from_those_of_an_export_that_failed(aws, snapshots):
    s3, glue = aws
    pipeline = a_pipeline(entities=("reviews_orders", "reviews_gone"))
    kept = [
        f"{entity_folder(NEW, 'reviews_orders')}a.parquet",
        f"exports/entities_reviews_old/reviews_old_orders/snapshot_timestamp={OLD}/a.parquet",
        f"exports/manifests_reviews/{NEW}.json",
    ]
    write(
        s3,
        *kept,
        f"{entity_folder(OLD, 'reviews_orders')}a.parquet",
        f"{entity_folder(OLD, 'reviews_unclaimed')}b.parquet",
        f"{folder(OLD)}c.parquet",
        f"exports/manifests_reviews/{OLD}.json",
    )
    for name in ("snapshots_reviews_orders", "snapshots_reviews_unclaimed"):
        keys_of = {"PartitionKeys": [{"Name": "snapshot_timestamp", "Type": "string"}]}
        glue.create_table(DatabaseName="exports", TableInput={"Name": name} | keys_of)
        for snapshot in (OLD, NEW):
            glue.create_partition(DatabaseName="exports", TableName=name, PartitionInput={"Values": [snapshot]})

    assert snapshots.of(pipeline) == {OLD, NEW}
    assert snapshots.remove(pipeline, OLD) == 3

    assert sorted(keys(s3)) == sorted(kept)
    left = {
        name: [found["Values"] for found in glue.get_partitions(DatabaseName="exports", TableName=name)["Partitions"]]
        for name in ("snapshots_reviews_orders", "snapshots_reviews_unclaimed")
    }
    assert left == {"snapshots_reviews_orders": [[NEW]], "snapshots_reviews_unclaimed": [[OLD], [NEW]]}  # not ours


def test_files_that_a_failed_export_left_of_an_entity_are_found_without_a_manifest(aws, snapshots):
    s3, _ = aws
    write(s3, f"{entity_folder(OLD, 'reviews_orders')}a.parquet")

    assert snapshots.of(a_pipeline(entities=("reviews_orders",))) == {OLD}
    assert snapshots.without_manifest(a_pipeline(entities=("reviews_orders",))) == [OLD]


def test_without_entities_nothing_else_is_listed(aws, snapshots):
    s3, _ = aws
    listed = []
    s3.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: listed.append(params["Prefix"])
    )

    snapshots.of(PIPELINE)
    snapshots.remove(PIPELINE, OLD)

    assert not [prefix for prefix in listed if "entities" in prefix]
    assert len(listed) == 4


@pytest.mark.slow
def test_more_files_than_a_call_takes_are_removed_all(aws, snapshots):
    s3, _ = aws
    write(s3, *(f"{folder(OLD)}{n:04}.parquet" for n in range(1001)))

    assert snapshots.remove(PIPELINE, OLD) == 1001
    assert keys(s3) == []


def test_a_file_that_stays_keeps_the_manifest(aws, snapshots, monkeypatch):
    s3, _ = aws
    manifest = f"exports/manifests_reviews/{OLD}.json"
    write(s3, f"{folder(OLD)}a.parquet", manifest)
    refusal = {"Errors": [{"Key": "a.parquet", "Code": "AccessDenied", "Message": "no"}]}
    monkeypatch.setattr(s3, "delete_objects", lambda **request: refusal)

    with pytest.raises(ClientError, match="AccessDenied"):
        snapshots.remove(PIPELINE, OLD)
    assert manifest in keys(s3)
