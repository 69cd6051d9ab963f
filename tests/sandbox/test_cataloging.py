"""The catalog follows the manifest, with a crawl when the schema has changed and without one when it has not."""

import threading
import time
from decimal import Decimal

import pytest
from botocore.exceptions import ClientError
from sandbox_user import ROOT

DATABASE = "dynamodb_exports"
FORMATS = ["parquet", pytest.param("json", marks=pytest.mark.slow)]  # files with types, and types that a crawl guesses


def export(user, pipeline):
    """Export once more. Returns the export's record, and how often a crawl was started."""
    began = time.time()
    [newest] = user.export(pipeline)
    return newest, sum(call["action"] == "StartCrawler" for call in user.calls(began))


def put(user, table, **item):
    user.table(table).put_item(Item=item)


def described(user, pipeline):
    """The snapshot table's column types, and those of each of its partitions, oldest first."""
    here = {"DatabaseName": DATABASE}
    glue = user.client("glue")
    table = glue.get_table(**here, Name=pipeline["SnapshotTable"])["Table"]
    found = glue.get_partitions(**here, TableName=pipeline["SnapshotTable"])["Partitions"]
    return [
        {column["Name"]: column["Type"] for column in part["StorageDescriptor"]["Columns"]}
        for part in [table, *sorted(found, key=lambda part: part["Values"])]
    ]


@pytest.mark.parametrize("output_format", FORMATS)
def test_only_a_new_schema_is_crawled_and_the_catalog_has_the_manifests_types(user, output_format):
    table, exact = f"Known.{output_format}", Decimal("12345678901234567890.12")
    user.make_table(table, [{"id": "1", "exact": exact, "nothing": None, "small": 7}], {"id": "S"})
    pipeline = user.deploy_pipeline(table, OutputFormat=output_format)

    _, first = export(user, pipeline)
    put(user, table, id="2", exact=Decimal("8.25"))
    _, same_schema = export(user, pipeline)
    put(user, table, id="3", stars=5)
    _, new_attribute = export(user, pipeline)

    assert [first, same_schema, new_attribute] == [1, 0, 1]
    types = {"id": "string", "exact": "decimal(38,2)", "nothing": "string", "small": "bigint", "stars": "bigint"}
    columns = dict.fromkeys(types, "string") if output_format == "csv" else types
    in_table, *in_partitions = described(user, pipeline)
    assert in_table == columns
    assert [part for part in in_partitions if part.items() <= columns.items()] == in_partitions
    assert (len(in_partitions), in_partitions[-1]) == (3, columns)
    rows = user.query(f"SELECT id, CAST(exact AS varchar) AS exact FROM {pipeline['View']} WHERE id < '3' ORDER BY id")
    assert rows == [{"id": "1", "exact": str(exact)}, {"id": "2", "exact": "8.25"}]
    assert user.query(f"SELECT CAST(stars AS varchar) AS stars FROM {pipeline['View']} WHERE id = '3'") == [
        {"stars": "5"}
    ]
    counted = user.query(
        f"SELECT snapshot_timestamp, count(*) AS items FROM {pipeline['SnapshotTable']} GROUP BY 1 ORDER BY 1"
    )
    assert [row["items"] for row in counted] == ["1", "2", "3"]


@pytest.mark.slow
def test_a_pipeline_that_always_crawls_does_so_each_time(user):
    user.make_table("Always", [{"id": "1", "price": Decimal("9.99")}], {"id": "S"})
    pipeline = user.deploy_pipeline("Always", OutputFormat="json", CatalogUpdate="always")

    assert [export(user, pipeline)[1] for _ in range(2)] == [1, 1]
    assert described(user, pipeline) == [{"id": "string", "price": "decimal(38,2)"}] * 3
    assert user.query("SELECT price FROM snapshots_always") == [{"price": "9.99"}] * 2


@pytest.mark.slow
def test_a_csv_of_one_column_of_text_is_cataloged_with_its_name(user):
    user.make_table("Names", [{"name": "Ada"}, {"name": 'Grace "Amazing" Hopper, Rear Admiral'}], {"name": "S"})
    pipeline = user.deploy_pipeline("Names", OutputFormat="csv")

    _, crawls = export(user, pipeline)

    assert crawls == 1
    assert described(user, pipeline) == [{"name": "string"}, {"name": "string"}]
    assert user.query("SELECT name FROM names ORDER BY name") == [
        {"name": "Ada"},
        {"name": 'Grace "Amazing" Hopper, Rear Admiral'},
    ]


@pytest.mark.slow
def test_an_attribute_whose_type_changes_keeps_its_name_in_the_view(user):
    user.make_table("Changing", [{"id": "1", "price": 9, "note": "old"}], {"id": "S"})
    pipeline = user.deploy_pipeline("Changing")
    export(user, pipeline)
    put(user, "Changing", id="1", price=Decimal("9.99"))

    _, crawls = export(user, pipeline)
    _, again = export(user, pipeline)

    assert (crawls, again) == (1, 0)
    assert user.query("SELECT * FROM changing") == [
        {
            "id": "1",
            "note": None,
            "price": "9.99",
            "snapshot_timestamp": user.exports(pipeline)[0]["snapshot_timestamp"],
        }
    ]
    assert user.query("SELECT price, price_2, note FROM snapshots_changing ORDER BY snapshot_timestamp") == [
        {"price": "9", "price_2": None, "note": "old"},
        {"price": None, "price_2": "9.99", "note": None},
        {"price": None, "price_2": "9.99", "note": None},
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output_format", "crawls_for_a_field"), [("parquet", 0), ("orc", 0), ("json", 0), ("avro", 1)]
)
def test_a_struct_grows_in_place_and_partitions_keep_the_type_they_were_written_with(
    user, output_format, crawls_for_a_field
):
    """In Avro they get the table's schema, by a crawl: older engines read the schema from the partition."""
    table = f"Growing.{output_format}"
    user.make_table(table, [{"id": "1", "place": {"zip": 89073, "parts": [{"m": 1}]}}], {"id": "S"})
    pipeline = user.deploy_pipeline(table, OutputFormat=output_format)
    export(user, pipeline)
    put(user, table, id="1", place={"city": "Ulm", "zip": "D-89073", "parts": [{"m": 2, "k": True}]})
    _, for_a_field = export(user, pipeline)
    put(user, table, id="1", place={"city": "Ulm", "area": 3}, stars=5)
    _, for_a_column = export(user, pipeline)

    assert (for_a_field, for_a_column) == (int(output_format == "avro"), 1)
    first = "struct<parts:array<struct<m:bigint>>,zip:bigint>"
    second = "struct<parts:array<struct<m:bigint,k:boolean>>,zip:bigint,city:string,zip_2:string>"
    last = f"{second[:-1]},area:bigint>"
    in_table, *in_partitions = [part["place"] for part in described(user, pipeline)]
    assert in_table == last
    assert in_partitions[-1] == last
    assert output_format == "avro" or all(kind in (first, second, last) for kind in in_partitions)
    assert output_format != "avro" or in_partitions == [last] * 3
    shown = "place.zip, place.zip_2, place.city, place.area, place.parts[1].m AS m, place.parts[1].k AS k"
    rows = user.query(f"SELECT {shown} FROM {pipeline['SnapshotTable']} ORDER BY snapshot_timestamp")
    assert [list(row.values()) for row in rows] == [
        ["89073", None, None, None, "1", None],
        [None, "D-89073", "Ulm", None, "2", "true"],
        [None, None, "Ulm", "3", None, None],
    ]
    assert user.query(f"SELECT place.zip_2, place.area, stars FROM {pipeline['View']}") == [
        {"zip_2": None, "area": "3", "stars": "5"}
    ]


@pytest.mark.slow
def test_the_view_stays_queryable_while_an_export_adds_columns(user):
    """In JSON, whose decimals a crawl takes for doubles."""
    user.make_table("Queried", [{"id": "1", "stars": 5}], {"id": "S"})
    pipeline = user.deploy_pipeline("Queried", OutputFormat="json")
    export(user, pipeline)
    put(user, "Queried", id="1", stars=5, price=Decimal("12345678901234567890.12"))
    answers, over = [], threading.Event()

    def ask():
        while not over.is_set():
            answers.append(user.query(f"SELECT id, stars FROM {pipeline['View']}"))
            answers.append(user.query(f"SELECT DISTINCT id, stars FROM {pipeline['SnapshotTable']}"))

    asking = threading.Thread(target=failing(ask, answers))
    asking.start()
    try:
        _, crawls = export(user, pipeline)
    finally:
        over.set()
        asking.join()

    assert crawls == 1
    assert len(answers) > 2
    assert [answer for answer in answers if answer != [{"id": "1", "stars": "5"}]] == []


def failing(work, answers):
    """What a thread raises would be lost: it is an answer."""

    def run():
        try:
            work()
        except AssertionError as error:
            answers.append(error)

    return run


@pytest.mark.slow
def test_what_others_did_to_the_catalog_is_mended_by_the_next_export(user):
    user.make_table("Mended", [{"id": "1", "stars": 5}], {"id": "S"})
    pipeline = user.deploy_pipeline("Mended")
    export(user, pipeline)
    glue, here = user.client("glue"), {"DatabaseName": DATABASE}
    glue.delete_table(**here, Name=pipeline["SnapshotTable"])

    _, after_deletion = export(user, pipeline)

    assert after_deletion == 1
    assert user.query("SELECT stars FROM snapshots_mended") == [{"stars": "5"}] * 2

    table = glue.get_table(**here, Name=pipeline["SnapshotTable"])["Table"]
    storage = table["StorageDescriptor"]
    storage["Columns"][1]["Type"] = "double"
    kept = ("Name", "TableType", "PartitionKeys", "Parameters")
    changed = {name: table[name] for name in kept} | {"StorageDescriptor": storage}
    glue.update_table(**here, TableInput=changed)

    _, after_change = export(user, pipeline)

    assert after_change == 1
    assert user.query("SELECT stars FROM snapshots_mended") == [{"stars": "5"}] * 3


def test_a_table_of_another_dataset_is_left_alone(user):
    glue, here = user.client("glue"), {"DatabaseName": DATABASE}
    theirs = {
        "Name": "snapshots_taken",
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": {"Columns": [{"Name": "x", "Type": "string"}], "Location": "s3://theirs/"},
    }
    glue.create_table(**here, TableInput=theirs)
    user.make_table("Taken", [{"id": "1"}], {"id": "S"})
    pipeline = user.deploy_pipeline("Taken")

    user.request(pipeline)
    [refused] = user.ended_exports(pipeline, 1)

    assert refused["stage"] == "FAILED"
    assert "Table snapshots_taken is partitioned by [], not by snapshot_timestamp alone" in refused["reason"]
    table = glue.get_table(**here, Name="snapshots_taken")["Table"]
    assert table["StorageDescriptor"]["Columns"] == [{"Name": "x", "Type": "string"}]


def test_publishing_may_write_the_catalog_and_remove_nothing_from_it(user):
    glue = user.client_of_role("glue", user.function_role("on_glue_complete"))
    here = {"DatabaseName": DATABASE}

    with pytest.raises(ClientError, match="AccessDenied"):
        glue.delete_table(**here, Name="snapshots_mended")
    with pytest.raises(ClientError, match="AccessDenied"):
        glue.create_table(DatabaseName="theirs", TableInput={"Name": "snapshots_mended"})


@pytest.mark.slow
def test_a_json_table_that_was_empty_at_first_is_cataloged_when_it_has_items(user):
    """A crawl finds nothing in it, so the table is ours, and has no owner."""
    user.make_table("Late", [], {"id": "S"})
    pipeline = user.deploy_pipeline("Late", OutputFormat="json")
    export(user, pipeline)
    put(user, "Late", id="1", stars=5)

    export(user, pipeline)

    assert user.query("SELECT id, stars FROM late") == [{"id": "1", "stars": "5"}]


@pytest.mark.slow
def test_the_format_of_a_pipeline_cannot_change(user):
    user.make_table("Formed", [{"id": "1", "stars": 5}], {"id": "S"})
    pipeline = user.deploy_pipeline("Formed")
    export(user, pipeline)
    cloudformation, stack = user.client("cloudformation"), stack_of(user, pipeline)

    reasons = update(user, stack, TableName="Formed", OutputFormat="csv")
    _, crawls = export(user, pipeline)

    wanted = "OutputFormat: the snapshots of formed are parquet. For csv, deploy another table stack"
    assert wanted in " ".join(reasons)
    assert crawls == 0

    cloudformation.delete_stack(StackName=stack)
    user.wait_for(lambda: True if is_gone(user, stack) else None, f"end of stack {stack}")
    anew = user.deploy_pipeline("Formed", OutputFormat="csv")
    user.request(anew)
    [refused] = user.ended_exports(anew, 1)

    assert refused["stage"] == "FAILED"
    wanted = "Table snapshots_formed is of snapshots in parquet, and the export is csv: deploy another table stack"
    assert refused["reason"].startswith(wanted)  # before the job is paid for
    assert user.query("SELECT id, stars FROM formed") == [{"id": "1", "stars": "5"}]
    assert user.query("SELECT stars FROM snapshots_formed") == [{"stars": "5"}] * 2


def stack_of(user, pipeline):
    [name] = [
        stack["StackName"]
        for stack in user.client("cloudformation").describe_stacks()["Stacks"]
        if pipeline["Pipeline"] in [output["OutputValue"] for output in stack.get("Outputs", [])]
    ]
    return name


def update(user, stack, **parameters):
    """The reasons that CloudFormation gives for what became of the stack."""
    cloudformation = user.client("cloudformation")
    cloudformation.update_stack(
        StackName=stack,
        TemplateBody=(ROOT / "build/table.yaml").read_text(),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )

    def settled():
        [found] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        return None if found["StackStatus"].endswith("IN_PROGRESS") else found

    user.wait_for(settled, f"stack {stack}")
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    return [event.get("ResourceStatusReason", "") for event in events]


def is_gone(user, stack):
    try:
        [found] = user.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except ClientError:
        return True
    return found["StackStatus"] == "DELETE_COMPLETE"


@pytest.mark.slow
@pytest.mark.parametrize("output_format", ["orc"])
def test_without_its_manifests_a_pipeline_is_not_exported(user, output_format):
    table, folder = f"Unlisted_{output_format}", f"exports/manifests_unlisted_{output_format}/"
    user.make_table(table, [{"id": "1", "z": "zed"}], {"id": "S"})
    pipeline = user.deploy_pipeline(table, OutputFormat=output_format)
    export(user, pipeline)
    s3, bucket = user.client("s3"), "table-exports-123456789012-us-east-1"
    for found in s3.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=found["Key"])
    put(user, table, id="1", a="ay", z="zed")

    user.request(pipeline)
    refused = user.ended_exports(pipeline, 2)[0]

    assert (refused["stage"], refused["attempt"]) == ("FAILED", 1)  # another run could not succeed either
    assert 'Restore it with table-exports repair, or start over: docs/schema.md, "Start over"' in refused["reason"]
    assert user.query(f"SELECT * FROM snapshots_{table}") == [
        {"id": "1", "z": "zed", "snapshot_timestamp": user.exports(pipeline)[1]["snapshot_timestamp"]}
    ]
