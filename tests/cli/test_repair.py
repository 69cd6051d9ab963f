"""`table-exports repair`: the catalog of a pipeline is rebuilt from the manifests of its snapshots, on moto."""

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from examples import NOW, a_manifest, a_pipeline, manifest_json
from remedies import carry_out
from templates import resource

from sandbox.athena.views import encode_view
from table_export_job import arguments
from table_exports.aws.records import Records
from table_exports.aws.snapshots import MARKER_SUFFIX
from table_exports.domain import naming
from table_exports.domain.stages import Stage
from table_exports_cli import queries, queryable, repairing, system
from table_exports_cli.deployed import Deployed

DATABASE = "exports"
BUCKET = "bucket"
FIRST, SECOND, UNPUBLISHED, LATEST = (f"2026-11-{day}T02-00-07Z" for day in (20, 21, 22, 23))
NEWEST = "2026-11-24T02-00-07Z"
OLD, NEW = (("asin", "string"),), (("asin", "string"), ("stars", "bigint"))


class Athena:
    """Creates the view at once, unless `message` says why it cannot."""

    exceptions = SimpleNamespace(InvalidRequestException=ClientError)

    def __init__(self, glue):
        self.glue, self.tokens, self.message, self.stopped = glue, [], None, []
        self.before_view = lambda: None

    def start_query_execution(self, QueryString, ClientRequestToken, QueryExecutionContext, WorkGroup):
        assert (QueryExecutionContext, WorkGroup) == ({"Database": DATABASE}, "table-exports")
        self.tokens.append(ClientRequestToken)
        self.before_view()
        _, _, name, query = re.fullmatch(r'(.*?) VIEW "(\w+)"."(\w+)" AS (.*)', QueryString).groups()
        if self.message is None:
            view = encode_view(name, query, DATABASE, [])
            exists = [table for table in tables(self.glue) if table == name]
            (self.glue.update_table if exists else self.glue.create_table)(DatabaseName=DATABASE, TableInput=view)
        return {"QueryExecutionId": "q1"}

    def stop_query_execution(self, QueryExecutionId):
        self.stopped.append(QueryExecutionId)

    def get_query_execution(self, QueryExecutionId):
        failed = {"State": "FAILED", "AthenaError": {"ErrorMessage": self.message}}
        return {"QueryExecution": {"Status": failed if self.message else {"State": "SUCCEEDED"}}}


class Lambda:
    def get_function_configuration(self, FunctionName):
        return {"Environment": {"Variables": {"HISTORY_DAYS": "30", "DATABASE": DATABASE, "ACCOUNT": "123456789012"}}}


@pytest.fixture
def aws(monkeypatch, cli, records, write_once):
    """The pipeline with two snapshots published, one failed in between, and nothing in the catalog."""
    s3, glue = boto3.client("s3"), boto3.client("glue")
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    for database in glue.get_databases()["DatabaseList"]:
        glue.delete_database(Name=database["Name"])
    athena, client = Athena(glue), system.System.client
    others = {"athena": athena, "lambda": Lambda()}
    monkeypatch.setattr(system.System, "client", lambda self, name: others.get(name) or client(self, name))
    monkeypatch.setattr(queries, "POLL_SECONDS", 0)
    snapshots = {FIRST: OLD, SECOND: OLD, UNPUBLISHED: NEW, LATEST: NEW}

    def export_all():
        assert records.register(a_pipeline())
        for day, snapshot in enumerate(snapshots):
            export(records, snapshot, Stage.FAILED if snapshot == UNPUBLISHED else Stage.SUCCEEDED, f"e{day}")

    write_once("four exports", export_all)
    for day, (snapshot, columns) in enumerate(snapshots.items()):
        write(s3, snapshot, columns, f"e{day}")
    yield s3, glue, athena
    for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])


def export(records: Records, snapshot, stage, export_id):
    moment = naming.snapshot_moment(snapshot)
    begun = a_pipeline().begin(export_id, Decimal("0.25"), moment)
    assert records.begin(begun)
    if stage == Stage.STARTING:
        return begun
    exporting = begun.run_job(f"jr_{export_id}", moment)
    publishing = exporting.advance(Stage.PUBLISHING, "q", moment)
    assert records.move(begun, exporting)
    assert records.ask_to_show(begun)
    assert records.move(exporting, publishing)
    return publishing if stage == Stage.PUBLISHING else end(records, publishing, stage)


def end(records, publishing, stage):
    moment = naming.snapshot_moment(publishing.snapshot_timestamp)
    ended = publishing.succeed(moment) if stage == Stage.SUCCEEDED else publishing.fail("no luck", moment)
    assert records.move(publishing, ended)
    return ended


def write(s3, snapshot, columns, export_id):
    manifest = a_manifest(*columns, export_id=export_id, snapshot_timestamp=snapshot)
    s3.put_object(Bucket=BUCKET, Key=manifest_key(snapshot), Body=manifest_json(manifest))
    s3.put_object(Bucket=BUCKET, Key=data_key(snapshot), Body=b"PAR1")


def manifest_key(snapshot):
    return f"exports/manifests_reviews/{snapshot}.json"


def data_key(snapshot):
    return f"exports/snapshots_reviews/snapshot_timestamp={snapshot}/part-0.parquet"


def tables(glue):
    return {table["Name"]: table for table in glue.get_tables(DatabaseName=DATABASE)["TableList"]}


def partitions(glue):
    found = glue.get_partitions(DatabaseName=DATABASE, TableName="snapshots_reviews")["Partitions"]
    return {part["Values"][0]: [c["Name"] for c in part["StorageDescriptor"]["Columns"]] for part in found}


ALL = {FIRST: ["asin"], SECOND: ["asin"], LATEST: ["asin", "stars"]}


def described(glue):
    """All of the catalog that matters to a query."""
    found = tables(glue)
    columns = [column["Name"] for column in found["snapshots_reviews"]["StorageDescriptor"]["Columns"]]
    return columns, partitions(glue), repairing.Glue(glue, None, DATABASE).shown_snapshot("reviews")


WHOLE = (["asin", "stars"], ALL, LATEST)


def test_everything_is_rebuilt_after_the_database_was_deleted(cli, aws):
    _, glue, _ = aws

    said = cli("repair", "reviews-parquet", "--output", "json")

    assert said.code == 0, said.err
    assert described(glue) == WHOLE
    assert said.data["snapshot_timestamp"] == LATEST
    assert said.data["partitions_added"] == [FIRST, SECOND, LATEST]
    assert said.data["database_created"] is True
    assert f"Created the database {DATABASE}" in said.err


def test_the_database_is_created_as_the_template_defines_it(cli, aws):
    cli("repair", "reviews-parquet")

    declared = resource("common", "Database")["Properties"]["DatabaseInput"]
    found = aws[1].get_database(Name=DATABASE)["Database"]
    assert declared.keys() == {"Name", "Description", "CreateTableDefaultPermissions"}
    assert {name: found[name] for name in declared} == declared | {"Name": DATABASE}


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(lambda glue: drop_partitions(glue, SECOND), id="a partition"),
        pytest.param(lambda glue: drop_partitions(glue, *ALL), id="all partitions"),
        pytest.param(lambda glue: glue.delete_table(DatabaseName=DATABASE, Name="reviews"), id="the view"),
        pytest.param(lambda glue: glue.delete_table(DatabaseName=DATABASE, Name="snapshots_reviews"), id="the table"),
        pytest.param(lambda glue: glue.delete_database(Name=DATABASE), id="the database"),
        pytest.param(lambda glue: forget_columns(glue), id="a column of the table"),
        pytest.param(lambda glue: move_partition(glue, LATEST), id="the location of a partition"),
    ],
)
def test_whatever_is_lost_is_reported_and_comes_back_and_no_data_is_touched(cli, aws, records, lost):
    s3, glue, _ = aws
    assert cli("repair", "reviews-parquet").code == 0
    objects = s3.list_objects_v2(Bucket=BUCKET)["Contents"]

    assert remedies(records) == set()
    lost(glue)
    assert remedies(records) == {"table-exports repair reviews-parquet"}
    said = cli("repair", "reviews-parquet")

    assert (said.code, described(glue)) == (0, WHOLE), said.err
    assert remedies(records) == set()
    assert s3.list_objects_v2(Bucket=BUCKET)["Contents"] == objects


TAKEN = [
    pytest.param(encode_view("reviews", "SELECT 1", DATABASE, []), "view", id="a view of someone else"),
    pytest.param({"Name": "reviews", "TableType": "EXTERNAL_TABLE"}, "table", id="a table of that name"),
]


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize(("taken", "kind"), TAKEN)
def test_what_has_the_name_of_the_view_is_reported_and_never_replaced(cli, aws, records, taken, kind, published):
    _, glue, _ = aws
    assert cli("repair", "reviews-parquet").code == 0
    if not published:
        records.unregister("reviews-parquet", a_pipeline().stack_id)
        assert records.register(replace(a_pipeline(), pipeline="reviews-csv"))
    glue.update_table(DatabaseName=DATABASE, TableInput=taken)

    [remedy] = remedies(records)
    assert remedy.startswith(f"drop the {kind}, or create it again with another name")
    if published:
        assert remedy.endswith(", then table-exports repair reviews-parquet")
        said = cli("repair", "reviews-parquet")
        assert said.code != 0
        assert f"{kind} exports.reviews is not a view of snapshots_reviews" in said.err.replace(DATABASE, "exports")
        assert tables(glue)["reviews"].get("ViewOriginalText") == taken.get("ViewOriginalText")

    glue.delete_table(DatabaseName=DATABASE, Name="reviews")
    if published:
        assert cli("repair", "reviews-parquet").code == 0
        assert described(glue) == WHOLE
    assert remedies(records) == set()


def remedies(records, *checks):
    """Of the problems that doctor finds in what queries need."""
    found = Deployed(SimpleNamespace(client=boto3.client, records=records))
    found.common = {
        "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/table-exports/1",
        "Outputs": [{"OutputKey": "DatabaseName", "OutputValue": DATABASE}],
    }
    checks = checks or (queryable.database, queryable.views, queryable.snapshots)
    return {problem.remedy for check in checks for problem in check(found)}


def drop_partitions(glue, *snapshots):
    for snapshot in snapshots:
        glue.delete_partition(DatabaseName=DATABASE, TableName="snapshots_reviews", PartitionValues=[snapshot])


def forget_columns(glue):
    table = tables(glue)["snapshots_reviews"]
    given = {name: table[name] for name in ("Name", "TableType", "PartitionKeys", "Parameters", "StorageDescriptor")}
    given["StorageDescriptor"]["Columns"] = given["StorageDescriptor"]["Columns"][:1]
    glue.update_table(DatabaseName=DATABASE, TableInput=given)


def move_partition(glue, snapshot):
    named = {"DatabaseName": DATABASE, "TableName": "snapshots_reviews"}
    found = glue.get_partition(**named, PartitionValues=[snapshot])["Partition"]
    descriptor = found["StorageDescriptor"] | {"Location": "s3://bucket/elsewhere/"}
    given = {"Values": [snapshot], "StorageDescriptor": descriptor, "Parameters": found["Parameters"]}
    glue.update_partition(**named, PartitionValueList=[snapshot], PartitionInput=given)


def test_athena_is_asked_again_each_time_because_it_repeats_no_query_of_the_same_token(cli, aws, monkeypatch):
    for minute in range(2):
        monkeypatch.setattr(repairing, "the_time", lambda minute=minute: NOW + timedelta(minutes=minute))
        assert cli("repair", "reviews-parquet").code == 0

    assert len(set(aws[2].tokens)) == 2


def test_a_running_export_is_not_disturbed(cli, aws, records):
    export(records, "2026-11-24T02-00-07Z", Stage.STARTING, "e9")

    said = cli("repair", "reviews-parquet")

    assert said.code == 1
    assert "Export e9 of reviews-parquet is running" in said.err
    assert aws[1].get_databases()["DatabaseList"] == []


def test_an_export_that_publishes_meanwhile_wins(cli, aws, records):
    """Its view may have been replaced by that of the older snapshot."""
    s3, glue, athena = aws
    newest = "2026-11-24T02-00-07Z"

    def publish_another():
        athena.before_view = lambda: None
        export(records, newest, Stage.SUCCEEDED, "e9")
        write(s3, newest, NEW, "e9")

    athena.before_view = publish_another

    said = cli("repair", "reviews-parquet", "--output", "json")

    assert (said.code, said.data["snapshot_timestamp"]) == (0, newest), said.err
    assert described(glue) == (["asin", "stars"], ALL | {newest: ["asin", "stars"]}, newest)


@pytest.mark.parametrize(
    ("ends", "shows"), [(Stage.SUCCEEDED, NEWEST), (Stage.FAILED, LATEST)], ids=["succeeds", "fails"]
)
def test_an_export_that_is_still_publishing_is_waited_for(cli, aws, records, monkeypatch, ends, shows):
    """The query of the repair has moved the view back, and the export still holds the lock."""
    s3, glue, athena = aws
    publishing = []

    def begin_to_publish():
        athena.before_view = lambda: None
        publishing.append(export(records, NEWEST, Stage.PUBLISHING, "e9"))
        write(s3, NEWEST, NEW, "e9")

    def end_it(seconds):
        end(records, publishing.pop(), ends)

    athena.before_view = begin_to_publish
    monkeypatch.setattr(repairing.time, "sleep", end_it)

    said = cli("repair", "reviews-parquet", "--output", "json")

    assert (said.code, said.data["snapshot_timestamp"]) == (0, shows), said.err
    assert described(glue)[2] == shows


def test_the_repair_is_repeated_although_yet_another_export_runs_by_then(cli, aws, records):
    s3, glue, athena = aws

    def publish_one_and_begin_another():
        athena.before_view = lambda: None
        export(records, NEWEST, Stage.SUCCEEDED, "e9")
        write(s3, NEWEST, NEW, "e9")
        export(records, "2026-11-25T02-00-07Z", Stage.STARTING, "ea")

    athena.before_view = publish_one_and_begin_another

    said = cli("repair", "reviews-parquet", "--output", "json")

    assert (said.code, said.data["snapshot_timestamp"]) == (0, NEWEST), said.err
    assert described(glue)[2] == NEWEST


def test_an_export_that_does_not_end_is_reported_with_the_remedy(cli, aws, records, monkeypatch):
    athena = aws[2]
    monkeypatch.setattr(repairing, "EXPORT_ENDS_WITHIN_SECONDS", 0)
    athena.before_view = lambda: export(records, NEWEST, Stage.PUBLISHING, "e9")

    said = cli("repair", "reviews-parquet")

    assert said.code == 1
    assert f"Export e9 of reviews-parquet began to publish {NEWEST} meanwhile" in said.err
    assert "table-exports watch reviews-parquet --until-done" in said.err
    assert "then repeat the command" in said.err


def test_a_query_that_does_not_end_is_stopped(cli, aws, monkeypatch):
    """Athena would carry it out later, when the view shows a newer snapshot."""
    athena = aws[2]
    athena.get_query_execution = lambda QueryExecutionId: {"QueryExecution": {"Status": {"State": "QUEUED"}}}
    monkeypatch.setattr(repairing, "QUERY_ENDS_WITHIN_SECONDS", 0)

    said = cli("repair", "reviews-parquet")

    assert said.code == 1
    assert athena.stopped == ["q1"]
    assert "Athena query q1 has not ended after 0 seconds and was stopped: repeat the command" in said.err


def test_an_interrupted_repair_stops_its_query(cli, aws, monkeypatch):
    athena = aws[2]

    def interrupt(QueryExecutionId):
        raise KeyboardInterrupt

    athena.get_query_execution = interrupt

    assert cli("repair", "reviews-parquet").code == 130
    assert athena.stopped == ["q1"]


def test_columns_that_a_later_export_added_stay(cli, aws):
    _, glue, _ = aws
    assert cli("repair", "reviews-parquet").code == 0
    table = tables(glue)["snapshots_reviews"]
    given = {name: table[name] for name in ("Name", "TableType", "PartitionKeys", "Parameters", "StorageDescriptor")}
    given["StorageDescriptor"]["Columns"].append({"Name": "later", "Type": "string"})
    glue.update_table(DatabaseName=DATABASE, TableInput=given)

    assert cli("repair", "reviews-parquet").code == 0

    assert described(glue) == (["asin", "stars", "later"], ALL, LATEST)


def test_a_view_does_not_move_back_from_a_snapshot_whose_query_seemed_to_fail(cli, aws, records):
    s3, glue, _ = aws
    newest = "2026-11-24T02-00-07Z"
    export(records, newest, Stage.FAILED, "e9")
    write(s3, newest, NEW, "e9")
    assert cli("repair", "reviews-parquet").code == 0
    assert described(glue)[2] == LATEST  # nothing says that the view shows it
    query = f"SELECT snapshot_timestamp FROM snapshots_reviews WHERE snapshot_timestamp = '{newest}'"
    view = encode_view("reviews", query, "", [])
    glue.update_table(DatabaseName=DATABASE, TableInput=view)

    assert cli("repair", "reviews-parquet").code == 0

    assert described(glue) == (["asin", "stars"], ALL | {newest: ["asin", "stars"]}, newest)


def test_a_view_does_not_move_back_when_an_earlier_state_of_the_records_was_restored(cli, aws, dynamodb):
    _, glue, _ = aws
    assert cli("repair", "reviews-parquet").code == 0
    key = {"pipeline": {"S": "reviews-parquet"}, "record": {"S": "pipeline"}}
    dynamodb.update_item(
        TableName="table-exports",
        Key=key,
        UpdateExpression="SET published_snapshot = :s, asked_to_show = :s",
        ExpressionAttributeValues={":s": {"S": SECOND}},
    )

    said = cli("repair", "reviews-parquet")

    assert said.code == 0, said.err
    assert described(glue)[2] == LATEST


def test_an_older_snapshot_without_all_its_files_is_left_out_and_named(cli, aws):
    s3, glue, _ = aws
    s3.delete_object(Bucket=BUCKET, Key=data_key(FIRST))
    s3.delete_object(Bucket=BUCKET, Key=manifest_key(SECOND))

    said = cli("repair", "reviews-parquet")

    assert said.code == 0
    assert (
        f"Left out snapshot {FIRST}: s3://bucket/exports/snapshots_reviews/snapshot_timestamp={FIRST}/ has 0"
        in said.err
    )
    assert f"Left out snapshot {SECOND}: There is no manifest at" in said.err
    assert described(glue) == (["asin", "stars"], {LATEST: ["asin", "stars"]}, LATEST)


@pytest.mark.parametrize(
    ("key", "remedy", "error"),
    [
        (manifest_key(LATEST), "table-exports repair reviews-parquet", 'start over: docs/schema.md, "Start over"'),
        (data_key(LATEST), "table-exports run reviews-parquet", "table-exports run reviews-parquet"),
    ],
)
def test_the_latest_snapshot_must_be_complete(cli, aws, records, key, remedy, error):
    s3, glue, _ = aws
    s3.delete_object(Bucket=BUCKET, Key=key)

    said = cli("repair", "reviews-parquet")

    assert said.code == 1
    assert remedy in remedies(records)
    assert f"Snapshot {LATEST} cannot be shown" in said.err
    assert error in said.err
    assert glue.get_databases()["DatabaseList"] == []


def test_snapshots_of_before_the_head_knew_them_are_published_unless_their_records_say_otherwise(cli, aws, records):
    s3, glue, _ = aws
    forgotten, failed = "2026-10-01T02-00-07Z", "2026-10-02T02-00-07Z"
    write(s3, forgotten, OLD, "e8")
    write(s3, failed, OLD, "e9")
    begun = a_pipeline().begin("e9", Decimal("0.25"), naming.snapshot_moment(failed))
    ended = replace(begun, stage=Stage.FAILED, waiting_on=None, waiting_since=None, ended_at=NOW, reason="no luck")
    records._client.put_item(
        TableName=records._table,
        Item=system_item(records, ended),
    )

    assert cli("repair", "reviews-parquet").code == 0

    assert partitions(glue) == ALL | {forgotten: ["asin"]}


def system_item(records, export):
    from table_exports.aws.record_items import attributes_of, typed

    return typed({"pipeline": export.pipeline, "record": export.record_key} | attributes_of(export))


def test_a_query_that_fails_is_reported_with_its_reason(cli, aws):
    aws[2].message = "line 1:1: Table 'x' does not exist"

    said = cli("repair", "reviews-parquet")

    assert said.code == 1
    assert "Athena query q1 ended FAILED: line 1:1: Table 'x' does not exist" in said.err


def test_a_pipeline_without_a_snapshot_has_nothing_to_repair(cli, aws, records):
    assert records.register(a_pipeline(pipeline="orders-parquet", table_name="orders", catalog_name="orders"))

    said = cli("repair", "orders-parquet")

    assert said.code == 1
    assert "has not published a snapshot yet: table-exports run orders-parquet" in said.err


def test_another_dataset_with_the_name_of_the_table_is_left_alone(cli, aws):
    _, glue, _ = aws
    glue.create_database(DatabaseInput={"Name": DATABASE})
    foreign = {"Name": "snapshots_reviews", "StorageDescriptor": {"Location": "s3://theirs/", "Columns": []}}
    glue.create_table(DatabaseName=DATABASE, TableInput=foreign)

    said = cli("repair", "reviews-parquet")

    assert said.code == 4
    assert "another dataset has its folder or its name" in said.err
    assert tables(glue).keys() == {"snapshots_reviews"}


def test_the_remedy_for_a_table_whose_location_someone_changed_works(cli, aws, records):
    _, glue, _ = aws
    assert cli("repair", "reviews-parquet").code == 0
    table = tables(glue)["snapshots_reviews"]
    table["StorageDescriptor"]["Location"] = "s3://bucket/elsewhere/"
    kept = {name: table[name] for name in ("Name", "StorageDescriptor", "PartitionKeys", "Parameters")}
    glue.update_table(DatabaseName=DATABASE, TableInput=kept)

    [remedy] = remedies(records)
    delete = f"aws glue delete-table --database-name {DATABASE} --name snapshots_reviews"
    assert remedy == f"{delete}, which deletes no data, then table-exports repair reviews-parquet"
    said = cli("repair", "reviews-parquet")

    assert said.code == 4
    assert "delete it in the Glue catalog, which deletes no data, then run table-exports repair reviews" in said.err
    carry_out(delete, boto3.client)
    assert cli("repair", "reviews-parquet").code == 0
    assert partitions(glue) == ALL
    assert remedies(records) == set()


def test_a_pipeline_without_its_view_is_not_healthy(cli, aws):
    assert cli("repair", "reviews-parquet").code == 0
    healthy = cli("status", "--output", "json")
    aws[1].delete_table(DatabaseName=DATABASE, Name="reviews")

    said, shown = cli("status", "--output", "json"), cli("status")

    assert (healthy.code, [row["problems"] for row in healthy.data["pipelines"]]) == (0, [[]])
    assert (said.code, [row["problems"] for row in said.data["pipelines"]]) == (1, [["unqueryable"]])
    lost = "reviews-parquet cannot be queried, because its view reviews is missing, old or not its own"
    assert f"{lost}. For the remedy, run table-exports doctor" in shown.out
    aws[1].delete_database(Name=DATABASE)
    assert cli("status").code == 1


def test_status_works_without_the_permission_to_look_for_views(cli, aws, monkeypatch):
    def denied(self):
        raise ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": "perform: glue:GetTables"}}, "GetTables"
        )

    monkeypatch.setattr(system.System, "cataloged", denied)

    said = cli("status")

    assert said.code == 0
    assert "Views were not checked: Access denied: you need glue:GetTables" in said.err


# ------------------------------------------------------------------------------------------------------ lost manifests


@pytest.fixture
def versioned(aws):
    s3, glue, _ = aws
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    write(s3, SECOND, OLD, "e1")
    write(s3, LATEST, NEW, "e3")
    yield s3, glue
    for found in s3.list_object_versions(Bucket=BUCKET).get("Versions", []):
        s3.delete_object(Bucket=BUCKET, Key=found["Key"], VersionId=found["VersionId"])
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})


def content_of(s3, snapshot):
    return s3.get_object(Bucket=BUCKET, Key=manifest_key(snapshot))["Body"].read()


@pytest.mark.parametrize("snapshot", [SECOND, LATEST])
def test_a_deleted_manifest_is_restored_byte_for_byte(versioned, cli, snapshot):
    s3, glue = versioned
    before = content_of(s3, snapshot)
    s3.delete_object(Bucket=BUCKET, Key=manifest_key(snapshot))

    said = cli("repair", "reviews-parquet", "--output", "json")

    assert (said.code, said.data["manifests_restored"]) == (0, [snapshot])
    assert content_of(s3, snapshot) == before
    assert described(glue) == WHOLE


@pytest.mark.parametrize("body", [b"oops", b"{}"])
def test_an_overwritten_manifest_of_the_latest_snapshot_is_restored(versioned, cli, body):
    s3, _ = versioned
    before = content_of(s3, LATEST)
    s3.put_object(Bucket=BUCKET, Key=manifest_key(LATEST), Body=body)

    said = cli("repair", "reviews-parquet")

    assert said.code == 0
    assert f"Restored the manifest of {LATEST} from an earlier version" in said.out + said.err
    assert content_of(s3, LATEST) == before


def test_a_manifest_is_not_restored_for_a_snapshot_that_lost_files_too(versioned, cli):
    """Retention and the job delete files and manifest."""
    s3, _ = versioned
    s3.delete_object(Bucket=BUCKET, Key=manifest_key(SECOND))
    s3.delete_object(Bucket=BUCKET, Key=data_key(SECOND))

    said = cli("repair", "reviews-parquet", "--output", "json")

    assert (said.code, said.data["manifests_restored"]) == (0, [])


def test_a_manifest_is_not_restored_while_the_job_has_marked_the_snapshot(versioned, cli):
    s3, _ = versioned
    s3.delete_object(Bucket=BUCKET, Key=manifest_key(SECOND))
    s3.put_object(Bucket=BUCKET, Key=f"{manifest_key(SECOND)}{MARKER_SUFFIX}", Body=b"")

    said = cli("repair", "reviews-parquet", "--output", "json")

    assert (said.code, said.data["manifests_restored"]) == (0, [])


def test_a_manifest_of_a_later_version_of_the_job_is_not_replaced(versioned, cli):
    s3, _ = versioned
    s3.put_object(Bucket=BUCKET, Key=manifest_key(LATEST), Body=b'{"version": 3}')

    assert cli("repair", "reviews-parquet").code == 1
    assert content_of(s3, LATEST) == b'{"version": 3}'


def test_the_job_and_the_repair_name_the_marker_alike():
    assert MARKER_SUFFIX == arguments.MARKER_SUFFIX
