"""An export replaces no view and no table of someone else, and its failure reason names the remedy."""

import json
import uuid

import pytest

DATABASE = "dynamodb_exports"


def create_view(user, name):
    user.query(f"CREATE VIEW {DATABASE}.{name} AS SELECT 'theirs' AS whose")


def create_table(user, name):
    columns = [{"Name": "whose", "Type": "string"}]
    table = {"Name": name, "TableType": "EXTERNAL_TABLE", "StorageDescriptor": {"Columns": columns}}
    user.client("glue").create_table(DatabaseName=DATABASE, TableInput=table)


def resume(user, export):
    detail = {
        "pipeline": export["pipeline"],
        "resume_export_id": export["export_id"],
        "request_id": uuid.uuid4().hex,
    }
    entry = {"Source": "table-exports", "DetailType": "Export Requested", "Detail": json.dumps(detail)}
    answer = user.client("events").put_events(Entries=[entry | {"EventBusName": "table-exports"}])
    assert answer["FailedEntryCount"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "create", "suffix"), [("view", create_view, "v"), ("table", create_table, "t")])
def test_a_name_that_is_taken_is_found_before_the_job_runs_and_the_remedy_works(user, kind, create, suffix):
    user.make_table(f"Taken{suffix}", [{"id": "1"}], {"id": "S"})
    pipeline = user.deploy_pipeline(f"Taken{suffix}")
    glue, name = user.client("glue"), pipeline["View"]
    create(user, name)
    theirs = glue.get_table(DatabaseName=DATABASE, Name=name)["Table"]

    user.request(pipeline)
    [failed] = user.ended_exports(pipeline, 1)

    assert failed["stage"] == "FAILED"
    assert f"{kind} {DATABASE}.{name} is not a view of snapshots_{name}" in failed["reason"]
    assert f"Drop the {kind}" in failed["reason"]
    assert "then resume the export" in failed["reason"]
    assert glue.get_job_runs(JobName=pipeline["JobName"])["JobRuns"] == []
    assert glue.get_table(DatabaseName=DATABASE, Name=name)["Table"] == theirs

    user.query(f"DROP {kind.upper()} {DATABASE}.{name}")
    resume(user, failed)
    succeeded = user.wait_for(
        lambda: next((export for export in user.exports(pipeline) if export["stage"] == "SUCCEEDED"), None), "success"
    )

    assert succeeded["export_id"] == failed["export_id"]
    assert user.query(f"SELECT id FROM {DATABASE}.{name}") == [{"id": "1"}]
