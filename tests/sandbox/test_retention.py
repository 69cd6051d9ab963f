"""Snapshots that are no longer kept are removed, with the function's IAM policy enforced."""

import pytest

BUCKET = "table-exports-123456789012-us-east-1"


@pytest.fixture(scope="module")
def keeper(user):
    user.make_table("Visits", [{"id": "1"}], {"id": "S"})
    return user.deploy_pipeline("Visits", KeepSnapshots="2")


def left(user, prefix):
    found = user.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [object_["Key"].removeprefix(prefix) for object_ in found]


@pytest.mark.slow
def test_published_snapshots_are_kept_and_an_unpublished_one_is_removed_when_it_is_superseded(user, keeper):
    first, second = user.export(keeper)[0], user.export(keeper)[0]
    with user.denied(user.function_role("on_glue_complete"), "athena:StartQueryExecution"):
        user.request(keeper)
        unpublished = user.ended_exports(keeper, 3)[0]
    assert unpublished["stage"] == "FAILED"
    assert f"{unpublished['snapshot_timestamp']}.json" in left(user, "exports/manifests_visits/")

    latest = user.export(keeper)[0]

    def manifests():
        found = left(user, "exports/manifests_visits/")
        return found if len(found) == 2 else None

    kept = [second["snapshot_timestamp"], latest["snapshot_timestamp"]]
    assert first["snapshot_timestamp"] not in kept
    assert user.wait_for(manifests, "removal of two snapshots") == [f"{snapshot}.json" for snapshot in kept]
    folders = {key.split("/")[0] for key in left(user, "exports/snapshots_visits/")}
    assert folders == {f"snapshot_timestamp={snapshot}" for snapshot in kept}
    partitions = user.client("glue").get_partitions(DatabaseName="dynamodb_exports", TableName="snapshots_visits")
    assert sorted(partition["Values"] for partition in partitions["Partitions"]) == [[snapshot] for snapshot in kept]
    found = user.query("SELECT DISTINCT snapshot_timestamp FROM snapshots_visits ORDER BY 1")
    assert [row["snapshot_timestamp"] for row in found] == kept
    assert len(user.query("SELECT * FROM visits")) == 1
