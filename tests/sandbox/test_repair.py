"""`table-exports repair` with Athena's own reading: what was deleted from the catalog can be queried again."""

import pytest
from typer.testing import CliRunner

from table_exports_cli import app

DATABASE = "dynamodb_exports"
BUCKET = "table-exports-123456789012-us-east-1"


@pytest.mark.slow
def test_a_pipeline_is_queryable_again_after_partitions_view_table_or_database_were_deleted(user, monkeypatch):
    """The database is deleted last, with the tables of all other tests: they are rebuilt by their next exports."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", user.endpoint)
    user.make_table("Lost-Views", [{"id": "1"}], {"id": "S"})
    pipeline = user.deploy_pipeline("Lost-Views")
    first = user.export(pipeline)[0]["snapshot_timestamp"]
    user.put_items("Lost-Views", [{"id": "2", "note": "new column"}])
    second = user.export(pipeline)[0]["snapshot_timestamp"]
    glue, view, table = user.client("glue"), pipeline["View"], pipeline["SnapshotTable"]
    rows = f"SELECT id, note FROM {view} ORDER BY id"
    snapshots = f"SELECT snapshot_timestamp, count(*) AS n FROM {table} GROUP BY 1 ORDER BY 1"
    before = user.query(rows), user.query(snapshots)
    assert before[1] == [{"snapshot_timestamp": first, "n": "1"}, {"snapshot_timestamp": second, "n": "2"}]

    def repair():
        done = CliRunner().invoke(app.app, ["--region", "us-east-1", "repair", pipeline["Pipeline"]])
        assert done.exit_code == 0, (done.output, done.exception)
        assert (user.query(rows), user.query(snapshots)) == before

    for lost in ([first], [first, second]):
        for snapshot in lost:
            glue.delete_partition(DatabaseName=DATABASE, TableName=table, PartitionValues=[snapshot])
        repair()
    glue.delete_table(DatabaseName=DATABASE, Name=view)
    repair()
    glue.delete_table(DatabaseName=DATABASE, Name=table)
    repair()
    glue.delete_database(Name=DATABASE)
    repair()
    repair()

    again = user.export(pipeline)[0]
    assert again.get("crawled") is not True, "the catalog was not as the next export expects it"


@pytest.mark.slow
def test_a_deleted_manifest_is_restored_and_the_next_export_adds_columns(user, monkeypatch):
    """Its versions exist because the template enables them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", user.endpoint)
    user.make_table("Lost-Manifests", [{"id": "1", "note": "kept"}], {"id": "S"})
    pipeline = user.deploy_pipeline("Lost-Manifests")
    snapshot = user.export(pipeline)[0]["snapshot_timestamp"]
    s3, key = user.client("s3"), f"exports/manifests_lost_manifests/{snapshot}.json"
    before = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    s3.delete_object(Bucket=BUCKET, Key=key)
    user.request(pipeline)
    assert "Restore it with table-exports repair" in user.ended_exports(pipeline, 2)[0]["reason"]

    done = CliRunner().invoke(app.app, ["--region", "us-east-1", "repair", pipeline["Pipeline"]])

    assert done.exit_code == 0, (done.output, done.exception)
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == before
    user.put_items("Lost-Manifests", [{"id": "2", "added": 7}])
    user.export(pipeline)
    assert user.query(f"SELECT id, note, added FROM {pipeline['View']} ORDER BY id") == [
        {"id": "1", "note": "kept", "added": None},
        {"id": "2", "note": None, "added": "7"},
    ]
