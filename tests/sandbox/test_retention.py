"""Old snapshots go, with the function's IAM policy enforced."""

import pytest

BUCKET = "table-exports-123456789012-us-east-1"


@pytest.fixture(scope="module")
def keeper(user):
    user.make_table("Visits", [{"id": "1"}], {"id": "S"})
    return user.deploy_pipeline("Visits", KeepSnapshots="1")


def left(user, prefix):
    found = user.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [object_["Key"].removeprefix(prefix) for object_ in found]


def test_the_newest_snapshots_stay_and_older_ones_leave_s3_and_the_catalog(user, keeper):
    user.request(keeper)
    user.ended_exports(keeper, 1)
    user.request(keeper)
    latest, _ = [export["snapshot_timestamp"] for export in user.ended_exports(keeper, 2)]

    def manifests():
        found = left(user, "exports/manifests_visits/")
        return found if len(found) == 1 else None

    assert user.wait_for(manifests, "removal of the first snapshot") == [f"{latest}.json"]
    assert {key.split("/")[0] for key in left(user, "exports/snapshots_visits/")} == {f"snapshot_timestamp={latest}"}
    partitions = user.client("glue").get_partitions(DatabaseName="dynamodb_exports", TableName="snapshots_visits")
    assert [partition["Values"] for partition in partitions["Partitions"]] == [[latest]]
    assert user.query("SELECT DISTINCT snapshot_timestamp FROM snapshots_visits") == [{"snapshot_timestamp": latest}]
    assert len(user.query("SELECT * FROM visits")) == 1
