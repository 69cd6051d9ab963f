"""`table-exports columns`: the block that it proposes from manifest, deployed contract and queries, on moto."""

import json
from dataclasses import asdict
from decimal import Decimal
from types import SimpleNamespace

import boto3
import pyarrow as pa
import pytest
import typer
import yaml
from botocore.exceptions import ClientError
from examples import NOW, a_manifest, a_pipeline, a_section, manifest_json

from sandbox.athena.duckdb_engine import DuckDbSession
from table_export_job import contract
from table_export_job import entities as job_entities
from table_exports_cli import proposing, queries, system

BUCKET, SNAPSHOT = "bucket", "2026-11-23T02-00-07Z"
CONTRACT = "table-exports/columns/c.json"
UUIDS = [f"5f0d1c9a-7be3-4f1c-2a6e-00000000000{n}" for n in range(3)]
SECRET = "only-a-value"
COLUMNS = {  # by attribute: column, type, what the job observed, and the values
    "created_at": ("created_at", "bigint", {"kinds": ["N"], "digits": 13}, pa.array([1551398400000, 1795564800000])),
    "on": ("on", "string", {"kinds": ["S"]}, pa.array(["2026-11-23", "2026-11-24"])),
    "email": ("email", "string", {"kinds": ["S"]}, pa.array([SECRET, SECRET])),
    "title": ("title", "string", {"kinds": ["S"]}, pa.array([SECRET, SECRET])),
    "by.user": (
        "by_user",
        "struct<a:string>",
        {"kinds": ["M"], "fields": {key: {"kinds": ["S"]} for key in UUIDS}},
        pa.array([{"a": SECRET}, None]),
    ),
}
PROPOSED = {
    "created_at": {"as": "timestamp", "from": "epoch_ms"},
    "on": {"as": "date", "from": "iso8601"},
    "by.user": {"map": True},
}
BLOCK = """\
Columns:
  created_at: {as: timestamp, from: epoch_ms}  # 2 values from 2019-03-01 to 2026-11-25
  "on": {as: date, from: iso8601}  # 2 values, each a day, from 2026-11-23 to 2026-11-24
  # email: {hash: sha256}  # the name looks personal. Choose hash (needs HashSecretArn) or omit, or delete these lines
  # email: {omit: true}
  "by.user": {map: true}  # 3 keys that look like ids, dates or numbers
"""


class Athena:
    """Runs queries at once, unless `state` says how they end."""

    exceptions = SimpleNamespace(InvalidRequestException=ClientError)

    def __init__(self, rows):
        self.rows, self.state, self.asked, self.stopped = rows, "SUCCEEDED", [], []

    def start_query_execution(self, QueryString, QueryExecutionContext, WorkGroup):
        assert (QueryExecutionContext, WorkGroup) == ({"Database": "exports"}, "table-exports")
        self.asked.append(QueryString)
        return {"QueryExecutionId": "q1"}

    def get_query_execution(self, QueryExecutionId):
        status = {"State": self.state, "AthenaError": {"ErrorMessage": "TABLE_NOT_FOUND: no snapshots_reviews"}}
        return {"QueryExecution": {"Status": status}}

    def get_query_results(self, QueryExecutionId):
        catalog = SimpleNamespace(find=lambda *_: SimpleNamespace(is_view=False), read=lambda *_: self.rows)
        result = DuckDbSession(catalog, "exports", "").run(self.asked[-1])
        [row] = result.rows
        data = [[column.name for column in result.columns], row]
        rows = [{"Data": [{} if value is None else {"VarCharValue": value} for value in each]} for each in data]
        return {"ResultSet": {"Rows": rows}}

    def stop_query_execution(self, QueryExecutionId):
        self.stopped.append(QueryExecutionId)


class Lambda:
    def get_function_configuration(self, FunctionName):
        return {"Environment": {"Variables": {"DATABASE": "exports", "ACCOUNT": "123456789012"}}}


@pytest.fixture
def athena(monkeypatch, cli, records):
    """A pipeline whose latest snapshot has these columns, and a job without a contract."""
    columns = {name: values for name, _, _, values in COLUMNS.values()}
    athena, client = Athena(pa.table(columns | {"snapshot_timestamp": [SNAPSHOT] * 2})), system.System.client
    others = {"athena": athena, "lambda": Lambda()}
    monkeypatch.setattr(system.System, "client", lambda self, name: others.get(name) or client(self, name))
    monkeypatch.setattr(queries, "POLL_SECONDS", 0)
    s3 = boto3.client("s3")
    if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    put_manifest()
    deploy("-")
    pipeline = a_pipeline()
    assert records.register(pipeline)
    export = pipeline.begin("e1", Decimal("0.25"), NOW.replace(minute=0, second=7))
    assert export.snapshot_timestamp == SNAPSHOT
    assert records.begin(export)
    running = export.run_job("jr_1", NOW)
    assert records.move(export, running)
    publishing = running.advance("PUBLISHING", "q", NOW)
    assert records.move(running, publishing)
    assert records.move(publishing, publishing.succeed(NOW))
    yield athena
    boto3.client("glue").delete_job(JobName=pipeline.glue_job_name)
    for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])


def put_manifest():
    columns = [(column, type, attribute) for attribute, (column, type, _, _) in COLUMNS.items()]
    attributes = {attribute: seen for attribute, (_, _, seen, _) in COLUMNS.items()}
    manifest = json.loads(manifest_json(a_manifest(*columns, snapshot_timestamp=SNAPSHOT, bytes=3 * 2**40)))
    content = {"version": 2, **manifest, "attributes": attributes, "fields": {}}
    boto3.client("s3").put_object(Bucket=BUCKET, Key=manifest_key(), Body=json.dumps(content))


def manifest_key():
    return f"exports/manifests_reviews/{SNAPSHOT}.json"


def deploy(columns, **more):
    glue, name = boto3.client("glue"), a_pipeline().glue_job_name
    glue.delete_job(JobName=name)
    glue.create_job(Name=name, Role="r", Command={"Name": "glueetl"}, DefaultArguments={"--columns": columns} | more)


def test_the_block_is_printed_as_it_can_be_pasted(cli, athena, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")

    said = cli("columns", "reviews-parquet", "--yes")

    assert (said.code, said.out) == (0, BLOCK)
    assert yaml.safe_load(said.out)["Columns"] == PROPOSED
    assert list(contract.problems(PROPOSED)) == []


def test_what_the_query_can_cost_is_said_before_it_starts(cli, athena, monkeypatch):
    asked = []
    monkeypatch.setattr(typer, "confirm", lambda *text, err: asked.append((text, err)))

    said = cli("columns", "reviews-parquet")

    assert (said.code, said.out, athena.asked) == (1, "", [])
    assert asked == [(("Continue?",), True)]
    assert "1 Athena query of snapshots_reviews" in said.err
    assert "3.0 TB" in said.err
    assert "At $5 per TB (us-east-1), the most that this can cost is $16.49" in said.err


def test_json_has_the_same_as_data_and_asks_nothing(cli, athena, monkeypatch):
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: pytest.fail("asked"))

    said = cli("columns", "reviews-parquet", "-o", "json")

    assert said.code == 0
    assert (said.data["pipeline"], said.data["snapshot_timestamp"]) == ("reviews-parquet", SNAPSHOT)
    assert said.data["columns"] == PROPOSED
    assert said.data["proposals"][2] == {
        "attribute": "email",
        "rules": [{"hash": "sha256"}, {"omit": True}],
        "needs_decision": True,
        "reason": "the name looks personal. Choose hash (needs HashSecretArn) or omit, or delete these lines",
    }
    assert len(athena.asked) == 1


def test_without_a_query_the_manifest_alone_is_used(cli, athena):
    said = cli("columns", "reviews-parquet", "--no-query")

    assert (said.code, said.err, athena.asked) == (0, "", [])
    assert said.out == "".join(BLOCK.splitlines(keepends=True)[place] for place in (0, 3, 4, 5))


def test_no_value_is_printed_and_personal_attributes_are_not_read(cli, athena):
    said = cli("columns", "reviews-parquet", "--yes")

    assert SECRET not in said.out + said.err
    assert '"title"' in athena.asked[0]
    assert "email" not in athena.asked[0]


def test_what_is_deployed_already_is_not_proposed_again(cli, athena):
    deployed = PROPOSED | {"email": {"omit": True}, "title": {"name": "titled"}}
    boto3.client("s3").put_object(Bucket=BUCKET, Key=CONTRACT, Body=contract.dump(deployed))
    deploy(f"s3://{BUCKET}/{CONTRACT}")

    said = cli("columns", "reviews-parquet")

    assert (said.code, said.out, said.err) == (0, "", "No rules to propose\n")
    assert athena.asked == []
    assert cli("columns", "reviews-parquet", "-o", "json").data["proposals"] == []


@pytest.fixture
def entities(athena):
    """The same as the table of an entity, next to another entity and the attributes that tell them apart."""
    s3 = boto3.client("s3")
    content = json.loads(s3.get_object(Bucket=BUCKET, Key=manifest_key())["Body"].read())
    section = asdict(a_section("reviews_order", items=content["items_written"])) | {
        name: content[name] for name in ("columns", "attributes", "fields", "comments", "files", "bytes")
    }
    other = asdict(a_section("reviews_other", items=0)) | {"attributes": {}, "fields": {}}
    section["attributes"] |= {"{email}": {"kinds": ["S"]}, "phone": {"kinds": ["S"]}}
    sections = {"entities": [section, other], "items_omitted": 0, "columns": [], "comments": {}, "attributes": {}}
    s3.put_object(Bucket=BUCKET, Key=manifest_key(), Body=json.dumps(content | sections))
    block = {"by": "kind", "types": {"order": {"when": {"phone": "USER#{email}"}}}}
    uri = f"s3://{BUCKET}/table-exports/entities/e.json"
    s3.put_object(Bucket=BUCKET, Key="table-exports/entities/e.json", Body=job_entities.dump(block))
    deploy("-", **{"--entities": uri})
    return athena


@pytest.mark.parametrize("name", ["order", "reviews_order"])
def test_rules_are_proposed_for_the_table_of_one_entity(cli, entities, name):
    said = cli("columns", "reviews-parquet", "--yes", "--entity", name)

    assert (said.code, said.out) == (0, BLOCK), said.err
    assert "snapshots_reviews_order" in entities.asked[0]


@pytest.mark.parametrize(
    ("options", "reason"),
    [([], "has entities: choose one with --entity"), (["--entity", "nope"], "has no entity nope")],
)
def test_a_pipeline_with_entities_needs_one_of_them(cli, entities, options, reason):
    said = cli("columns", "reviews-parquet", *options)

    assert (said.code, said.out) == (1, "")
    assert said.err == f"reviews-parquet {reason}. Entities: reviews_order, reviews_other\n"


def test_a_pipeline_without_entities_has_none_to_choose(cli, athena):
    said = cli("columns", "reviews-parquet", "--entity", "order")

    assert (said.code, said.err) == (1, "reviews-parquet has no entities: omit --entity\n")


def test_without_a_snapshot_the_remedy_is_an_export(cli, records, athena):
    assert records.register(a_pipeline(pipeline="orders-parquet", catalog_name="orders"))

    said = cli("columns", "orders-parquet")

    assert (said.code, said.out) == (1, "")
    assert said.err == "orders-parquet has not published a snapshot yet: table-exports run orders-parquet --wait\n"


def test_without_its_manifest_the_remedy_is_a_repair(cli, athena):
    boto3.client("s3").delete_object(Bucket=BUCKET, Key=manifest_key())

    said = cli("columns", "reviews-parquet")

    assert (said.code, said.out) == (1, "")
    assert "There is no manifest at" in said.err
    assert "To restore the manifest: table-exports repair reviews-parquet" in said.err


def test_a_failed_query_has_a_remedy(cli, athena):
    athena.state = "FAILED"

    said = cli("columns", "reviews-parquet", "--yes")

    assert (said.code, said.out, athena.stopped) == (1, "", [])
    assert "Athena query q1 ended FAILED: TABLE_NOT_FOUND: no snapshots_reviews" in said.err
    assert "table-exports repair reviews-parquet" in said.err
    assert "add --no-query" in said.err


def test_a_query_that_does_not_end_is_stopped(cli, athena, monkeypatch):
    monkeypatch.setattr(proposing, "QUERY_ENDS_WITHIN_SECONDS", 0)
    athena.state = "QUEUED"

    said = cli("columns", "reviews-parquet", "--yes")

    assert (said.code, said.out, athena.stopped) == (1, "", ["q1"])
    assert "has not ended after 0 seconds and was stopped" in said.err


def test_columns_of_a_pipeline_that_is_none_are_answered_with_those_that_are(cli, athena):
    said = cli("columns", "films-parquet")

    assert (said.code, said.err) == (3, "There is no pipeline films-parquet. Pipelines: reviews-parquet\n")
