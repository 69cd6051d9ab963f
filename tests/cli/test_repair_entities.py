"""`table-exports repair` and `doctor` for a pipeline with entities: each has its table, its partitions and its view."""

import base64
from dataclasses import replace
from decimal import Decimal
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError
from examples import a_manifest_of, a_pipeline, a_section, manifest_json

from table_exports.domain import naming
from table_exports.domain.export import EntityItems
from table_exports.domain.stages import Stage
from table_exports_cli import queries, queryable, repairing, system
from tests.cli.test_repair import (
    BUCKET,
    DATABASE,
    FIRST,
    LATEST,
    NEWEST,
    SECOND,
    Athena,
    Lambda,
    manifest_key,
    remedies,
    tables,
)

NAMES = {FIRST: ["reviews_order"], SECOND: ["reviews_order", "reviews_user"], LATEST: ["reviews_order", "reviews_user"]}
REPAIR = {"table-exports repair reviews-parquet"}


class Queries(Athena):
    """Each query has an id of its own. Those in `running` do not end."""

    running = frozenset()

    def start_query_execution(self, **given):
        super().start_query_execution(**given)
        return {"QueryExecutionId": f"q{len(self.tokens)}"}

    def get_query_execution(self, QueryExecutionId):
        found = super().get_query_execution(QueryExecutionId)
        return {"QueryExecution": {"Status": {"State": "RUNNING"}}} if QueryExecutionId in self.running else found


@pytest.fixture
def wide(request):
    """Whether there is a table of all items, too."""
    return getattr(request, "param", True)


@pytest.fixture
def aws(monkeypatch, cli, records, wide):
    """The pipeline with three snapshots, and nothing in the catalog. In the latest one, an entity has no items."""
    s3, glue = boto3.client("s3"), boto3.client("glue")
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    for database in glue.get_databases()["DatabaseList"]:
        glue.delete_database(Name=database["Name"])
    athena, client = Queries(glue), system.System.client
    others = {"athena": athena, "lambda": Lambda()}
    monkeypatch.setattr(system.System, "client", lambda self, name: others.get(name) or client(self, name))
    monkeypatch.setattr(queries, "POLL_SECONDS", 0)
    assert records.register(a_pipeline())
    for day, (snapshot, names) in enumerate(NAMES.items()):
        export(records, snapshot, names, f"e{day}")
        write(s3, snapshot, names, f"e{day}", wide)
    yield s3, glue, athena
    for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])


def export(records, snapshot, names, export_id):
    moment, pipeline = naming.snapshot_moment(snapshot), records.pipeline("reviews-parquet")
    begun = pipeline.begin(export_id, Decimal("0.25"), moment)
    assert records.begin(begun)
    exporting = begun.run_job(f"jr_{export_id}", moment)
    new = tuple(name for name in names if name not in pipeline.entities)
    if new:
        assert records.claim_entities(begun, pipeline, new)
    entities = tuple(EntityItems(name, 1) for name in names)
    publishing = replace(exporting, appeared=new, entities=entities).advance(Stage.PUBLISHING, "q", moment)
    assert records.move(begun, exporting)
    assert records.ask_to_show(begun)
    assert records.move(exporting, publishing)
    records.release_entities(publishing)
    assert records.move(publishing, publishing.succeed(moment))


def write(s3, snapshot, names, export_id, wide):
    def located(section):
        return replace(section, location=section.location.replace(LATEST, snapshot))

    items = {name: 0 if (snapshot, name) == (LATEST, "reviews_user") else 1 for name in names}
    sections = [a_section(name, ("id", "string"), (f"of_{name}", "bigint"), items=items[name]) for name in names]
    if wide:
        sections.append(a_section("reviews", ("id", "string"), items=sum(items.values()), files=1))
    sections = [located(section) for section in sections]
    manifest = a_manifest_of(*sections, export_id=export_id, snapshot_timestamp=snapshot)
    s3.put_object(Bucket=BUCKET, Key=manifest_key(snapshot), Body=manifest_json(manifest))
    for section in sections:
        if section.files:
            s3.put_object(Bucket=BUCKET, Key=f"{key_of(section.location)}part-0.parquet", Body=b"PAR1")


def key_of(uri):
    return uri.removeprefix(f"s3://{BUCKET}/")


def described(glue):
    """Of each snapshot table: its columns, its partitions, and the snapshot that its view shows."""
    found = {}
    for name, table in tables(glue).items():
        if name.startswith("snapshots_"):
            parts = glue.get_partitions(DatabaseName=DATABASE, TableName=name)["Partitions"]
            view = name.removeprefix("snapshots_")
            found[view] = (
                [column["Name"] for column in table["StorageDescriptor"]["Columns"]],
                sorted(part["Values"][0] for part in parts),
                repairing.Glue(glue, None, DATABASE).shown_snapshot(view),
            )
    return found


def whole(wide):
    entities = {
        "reviews_order": (["id", "of_reviews_order"], [FIRST, SECOND, LATEST], LATEST),
        "reviews_user": (["id", "of_reviews_user"], [SECOND, LATEST], LATEST),
    }
    return entities | ({"reviews": (["id"], [FIRST, SECOND, LATEST], LATEST)} if wide else {})


@pytest.mark.parametrize("wide", [False, True], indirect=True)
def test_each_table_and_view_is_rebuilt_after_the_database_was_deleted(cli, aws, wide):
    said = cli("repair", "reviews-parquet", "-o", "json")

    assert said.code == 0, said.err
    assert described(aws[1]) == whole(wide)
    assert said.data["partitions_added"] == [FIRST, SECOND, LATEST]
    assert f"Added {8 if wide else 5} partitions: {FIRST}, {SECOND}, {LATEST}" in said.err
    assert cli("status", "-o", "json").data["pipelines"][0]["lost_views"] == []


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(lambda glue: glue.delete_table(DatabaseName=DATABASE, Name="reviews_user"), id="a view"),
        pytest.param(
            lambda glue: glue.delete_table(DatabaseName=DATABASE, Name="snapshots_reviews_user"), id="a table"
        ),
        pytest.param(
            lambda glue: glue.delete_partition(
                DatabaseName=DATABASE, TableName="snapshots_reviews_user", PartitionValues=[SECOND]
            ),
            id="a partition",
        ),
        pytest.param(lambda glue: glue.delete_database(Name=DATABASE), id="the database"),
    ],
)
def test_whatever_an_entity_lost_is_reported_and_comes_back(cli, aws, wide, records, lost):
    s3, glue, _ = aws
    assert cli("repair", "reviews-parquet").code == 0
    objects = s3.list_objects_v2(Bucket=BUCKET)["Contents"]

    assert remedies(records) == set()
    lost(glue)
    assert remedies(records) == REPAIR
    assert cli("repair", "reviews-parquet").code == 0

    assert described(glue) == whole(wide)
    assert remedies(records) == set()
    assert s3.list_objects_v2(Bucket=BUCKET)["Contents"] == objects


def test_a_lost_view_of_an_entity_makes_the_pipeline_unqueryable(cli, aws):
    assert cli("repair", "reviews-parquet").code == 0
    aws[1].delete_table(DatabaseName=DATABASE, Name="reviews_user")

    said = cli("status")

    assert said.code == 1
    assert "reviews-parquet cannot be queried, because its view reviews_user is missing, old or not its own" in said.out


def show(glue, view, snapshot):
    """Have the view show another snapshot, as a query that Athena carried out does."""
    table = tables(glue)[view]
    stored = table["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    text = base64.b64decode(stored).decode().replace(LATEST, snapshot).encode()
    given = {name: table[name] for name in ("Name", "TableType", "Parameters", "StorageDescriptor")}
    given["ViewOriginalText"] = f"/* Presto View: {base64.b64encode(text).decode()} */"
    glue.update_table(DatabaseName=DATABASE, TableInput=given)
    assert repairing.Glue(glue, None, DATABASE).shown_snapshot(view) == snapshot


def begin_to_publish(records):
    moment = naming.snapshot_moment(NEWEST)
    begun = records.pipeline("reviews-parquet").begin("e5", Decimal("0.25"), moment)
    exporting = begun.run_job("jr_e5", moment)
    publishing = replace(exporting, queries=("q1",)).advance(Stage.PUBLISHING, "q1", moment)
    assert records.begin(begun)
    assert records.move(begun, exporting)
    assert records.ask_to_show(begun)
    assert records.move(exporting, publishing)
    return publishing


@pytest.mark.parametrize("wide", [False, True], indirect=True)
def test_views_of_two_snapshots_are_a_problem_once_their_export_has_ended(cli, aws, records, wide):
    glue = aws[1]
    assert cli("repair", "reviews-parquet").code == 0
    publishing = begin_to_publish(records)
    show(glue, "reviews_user", NEWEST)
    assert remedies(records) == set()  # the other views follow
    assert cli("status", "-o", "json").data["pipelines"][0]["lost_views"] == []

    assert records.move(publishing, publishing.fail("no luck", naming.snapshot_moment(NEWEST)))

    others = ["reviews", "reviews_order"] if wide else ["reviews_order"]
    assert remedies(records) == {"table-exports resume e5"}
    [row] = cli("status", "-o", "json").data["pipelines"]
    assert (row["lost_views"], row["problems"]) == (others, ["unqueryable", "failing"])
    for view in others:
        show(glue, view, NEWEST)
    assert remedies(records) == set()


def test_a_later_export_shows_its_snapshot_in_all_views(cli, aws, records):
    assert cli("repair", "reviews-parquet").code == 0
    publishing = begin_to_publish(records)
    show(aws[1], "reviews_user", NEWEST)
    assert records.move(publishing, publishing.fail("no luck", naming.snapshot_moment(NEWEST)))
    later = naming.snapshot_moment("2026-11-25T02-00-07Z")
    begun = records.pipeline("reviews-parquet").begin("e6", Decimal("0.25"), later)

    assert records.begin(begun)
    assert remedies(records) == {"table-exports watch reviews-parquet --until-done"}
    assert records.move(begun, begun.fail("no luck", later))
    assert remedies(records) == {"table-exports run reviews-parquet"}


@pytest.mark.parametrize("kept", [True, False])
def test_an_export_that_cannot_be_resumed_is_followed_by_another(cli, aws, records, kept):
    """It could only fail again, or its record has expired."""
    assert cli("repair", "reviews-parquet").code == 0
    publishing = begin_to_publish(records)
    show(aws[1], "reviews_user", NEWEST)
    assert records.move(publishing, publishing.fail("no luck", naming.snapshot_moment(NEWEST), final=kept))
    if not kept:
        key = {"pipeline": {"S": publishing.pipeline}, "record": {"S": publishing.record_key}}
        boto3.client("dynamodb").delete_item(TableName="table-exports", Key=key)

    assert cli("resume", "e5").code != 0
    assert remedies(records) == {"table-exports run reviews-parquet"}


def test_a_lost_view_is_repaired_after_the_running_export(cli, aws, records):
    assert cli("repair", "reviews-parquet").code == 0
    begin_to_publish(records)
    aws[1].delete_table(DatabaseName=DATABASE, Name="reviews_user")

    wait = "table-exports watch reviews-parquet --until-done"
    assert remedies(records) == {f"{wait}, then table-exports repair reviews-parquet"}
    for found in aws[0].list_objects_v2(Bucket=BUCKET)["Contents"]:
        aws[0].delete_object(Bucket=BUCKET, Key=found["Key"])
    assert remedies(records) == {wait}


def test_a_lost_view_is_reported_although_s3_refuses_to_be_read(cli, aws, records, monkeypatch):
    assert cli("repair", "reviews-parquet").code == 0
    aws[1].delete_table(DatabaseName=DATABASE, Name="reviews_user")
    denied = ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")
    monkeypatch.setattr(queryable.Manifests, "of_snapshot", Mock(side_effect=denied))

    assert remedies(records, queryable.views) == REPAIR


def test_repair_makes_views_of_two_snapshots_equal(cli, aws, records):
    s3, glue, _ = aws
    assert cli("repair", "reviews-parquet").code == 0
    publishing = begin_to_publish(records)
    write(s3, NEWEST, NAMES[LATEST], "e5", True)
    show(glue, "reviews_user", NEWEST)
    assert records.move(publishing, publishing.fail("no luck", naming.snapshot_moment(NEWEST)))

    assert cli("repair", "reviews-parquet").code == 0

    assert {shown for _, _, shown in described(glue).values()} == {NEWEST}
    assert remedies(records) == set()


def test_a_name_that_could_not_be_released_is_released_by_the_next_export(cli, aws, records, monkeypatch):
    """The latest snapshot does not have the entity, so its view cannot be repaired."""
    s3 = aws[0]
    assert cli("repair", "reviews-parquet").code == 0
    monkeypatch.setattr(records, "release_entities", lambda export: None)
    export(records, NEWEST, ["reviews_order"], "e9")
    write(s3, NEWEST, ["reviews_order"], "e9", True)
    assert cli("repair", "reviews-parquet").code == 0

    assert remedies(records) == {"table-exports run reviews-parquet"}


def test_lost_files_of_an_entity_are_exported_again(cli, aws, records):
    s3, _, _ = aws
    assert cli("repair", "reviews-parquet").code == 0
    lost = f"{key_of(a_section('reviews_order').location)}part-0.parquet"
    s3.delete_object(Bucket=BUCKET, Key=lost)

    assert remedies(records) == {"table-exports run reviews-parquet"}
    said = cli("repair", "reviews-parquet")
    assert said.code == 1
    assert "has 0 files, and its manifest lists 1" in said.err


def test_nothing_of_someone_else_is_replaced(cli, aws):
    glue = aws[1]
    glue.create_database(DatabaseInput={"Name": DATABASE})
    glue.create_table(DatabaseName=DATABASE, TableInput={"Name": "reviews_user", "TableType": "EXTERNAL_TABLE"})

    said = cli("repair", "reviews-parquet")

    assert said.code != 0
    assert {*tables(glue)} == {"reviews_user"}


@pytest.mark.parametrize("lost", ["view", "table"])
def test_names_that_the_pipeline_does_not_hold_are_claimed_by_an_export_first(cli, aws, records, lost):
    """The stack was deleted and deployed again."""
    pipeline = a_pipeline()
    assert cli("repair", "reviews-parquet").code == 0
    aws[1].delete_table(DatabaseName=DATABASE, Name={"view": "reviews", "table": "snapshots_reviews"}[lost])
    records.unregister(pipeline.pipeline, pipeline.stack_id)
    assert records.register(pipeline)

    assert remedies(records) == {"table-exports run reviews-parquet"}
    said = cli("repair", "reviews-parquet")

    assert said.code == 1
    assert "does not hold the names reviews_order, reviews_user at present" in said.err
    assert "table-exports run reviews-parquet" in said.err


def test_queries_that_do_not_end_are_stopped(cli, aws, monkeypatch):
    athena = aws[2]
    athena.running = {"q2"}
    monkeypatch.setattr(repairing, "QUERY_ENDS_WITHIN_SECONDS", 0)

    said = cli("repair", "reviews-parquet")

    assert (said.code, athena.stopped) == (1, ["q2"])
    assert "Athena query q2 has not ended after 0 seconds and was stopped" in said.err


def test_at_most_ten_queries_run_at_a_time(cli, aws, monkeypatch):
    monkeypatch.setattr(repairing, "VIEWS_AT_ONCE", 1)

    assert cli("repair", "reviews-parquet").code == 0
    assert described(aws[1])["reviews_user"][2] == LATEST


def test_nothing_is_missing_after_someone_started_over_with_fewer_entities(cli, aws, records):
    """As docs/schema.md describes it. Then an export that does not find items of one type succeeds."""
    s3, glue, _ = aws
    assert cli("repair", "reviews-parquet").code == 0
    for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])
    for name in tables(glue):
        glue.delete_table(DatabaseName=DATABASE, Name=name)
    assert remedies(records) == {"table-exports run reviews-parquet"}
    again = "2026-11-30T02-00-07Z"
    export(records, again, ["reviews_order"], "e9")
    write(s3, again, ["reviews_order"], "e9", True)

    assert cli("repair", "reviews-parquet").code == 0

    assert described(glue).keys() == {"reviews", "reviews_order"}
    assert remedies(records) == set()
    assert cli("status", "-o", "json").data["pipelines"][0]["lost_views"] == []
    assert records.holder("reviews_user") is None
