"""The whole job with entities, on a stand-in for Spark: DynamoDB in, a snapshot of each entity and one manifest out."""

import json
from operator import itemgetter

import boto3
import pytest
from contracts_of_columns import store_contract, store_entities

import export_table
from table_export_job import entity_files
from table_export_job import snapshot as snapshot_module
from table_export_job.arguments import OUTPUT_FORMATS
from table_export_job.errors import ExportFailed, PermanentError
from table_export_job.s3 import get
from tests.glue.job_places import BUCKET, SNAPSHOT_TIMESTAMP, all_objects, keys_below, read_rows, the_day_after

pytestmark = [  # boto3 leaves the closing of sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BLOCK = {
    "by": "type",
    "types": {
        "order": {"name": "orders", "when": {"pk": "USER#{user_id}", "sk": "ORDER#{order_id}"}},
        "audit": {"omit": True},
    },
}


def an_item(pk, sk, type=None, **attributes):
    return {"pk": {"S": pk}, "sk": {"S": sk}} | ({"type": {"S": type}} if type else {}) | attributes


ITEMS = [
    an_item("USER#1", "PROFILE", "User", status={"S": "active"}, user_id={"N": "7"}),
    an_item("USER#1", "ORDER#a", "order", status={"N": "3"}, user_id={"S": "u-1"}),
    an_item("USER#2", "ORDER#b", "order", status={"N": "4"}),
    an_item("USER#2", "ORDER#c#d", "order"),
    an_item("USER#1", "AUDIT#1", "audit", secret={"S": "x"}),
    an_item("SETTINGS", "1", colour={"S": "red"}),
]


@pytest.fixture
def entities(environment):
    return lambda block=BLOCK, **changes: store_entities(boto3.client("s3"), BUCKET, block | changes)


@pytest.fixture
def make_app(make_table):
    """Creates a table with the keys of single-table designs."""
    return lambda name, items=ITEMS: make_table(name, items, hash_key=("pk", "S"), range_key=("sk", "S"))


def rows_of(table, name, timestamp=SNAPSHOT_TIMESTAMP):
    """The rows of an entity, in the order of their keys."""
    folder = table.lower()
    keys = keys_below(f"exports/entities_{folder}/{folder}_{name}/snapshot_timestamp={timestamp}/")
    return sorted((row for key in keys for row in read_rows(key)), key=itemgetter("pk", "sk"))


def sections_of(manifest):
    return {section["name"]: section for section in manifest["entities"]}


def later_manifest(table):
    return json.loads(get(boto3.client("s3"), the_day_after(table)["manifest"]))


@pytest.mark.parametrize("read_mode", ["scan", "export"])
@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_each_entity_has_its_rows_with_its_own_columns(
    make_app, arguments, entities, manifest, export_by_dynamodb, output_format, read_mode
):
    table = f"App-{output_format}-{read_mode}"
    make_app(table)
    summary = export_by_dynamodb(ITEMS, table.lower(), table=table) if read_mode == "export" else "-"

    export_table.main(
        arguments(table, entities=entities(), output_format=output_format, read_mode=read_mode, table_export=summary)
    )

    written, folder = manifest(table), table.lower()
    number = "string" if output_format == "csv" else "bigint"
    columns = {
        name: {column["name"]: (column["type"], column["attribute"]) for column in section["columns"]}
        for name, section in sections_of(written).items()
    }
    assert columns == {
        f"{folder}_orders": {
            "pk": ("string", "pk"),
            "sk": ("string", "sk"),
            "user_id": ("string", "{user_id}"),
            "order_id": ("string", "{order_id}"),
            "status": (number, "status"),
            "type": ("string", "type"),
            "user_id_2": ("string", "user_id"),
        },
        f"{folder}_other": {"pk": ("string", "pk"), "sk": ("string", "sk"), "colour": ("string", "colour")},
        f"{folder}_user": {
            "pk": ("string", "pk"),
            "sk": ("string", "sk"),
            "status": ("string", "status"),
            "type": ("string", "type"),
            "user_id": (number, "user_id"),
        },
    }
    orders = [
        {name: str(value) for name, value in row.items() if value is not None} for row in rows_of(table, "orders")
    ]
    missing = dict.fromkeys(("user_id", "order_id", "status", "user_id_2"), "") if output_format == "csv" else {}
    no_second = {"user_id_2": ""} if output_format == "csv" else {}
    assert orders == [
        {"pk": "USER#1", "sk": "ORDER#a", "user_id": "1", "order_id": "a", "status": "3", "type": "order"}
        | {"user_id_2": "u-1"},
        {"pk": "USER#2", "sk": "ORDER#b", "user_id": "2", "order_id": "b", "status": "4", "type": "order"} | no_second,
        {"pk": "USER#2", "sk": "ORDER#c#d", "type": "order"} | missing,
    ]
    assert [row["colour"] for row in rows_of(table, "other")] == ["red"]
    assert [row["status"] for row in rows_of(table, "user")] == ["active"]
    assert keys_below(f"exports/snapshots_{folder}/") == rows_of(table, "audit") == []


def test_the_manifest_has_a_section_for_each_entity(make_app, arguments, entities, manifest):
    make_app("Sections")

    export_table.main(arguments("Sections", entities=entities(wide=True)))

    written = manifest("Sections")
    sizes = {
        key: boto3.client("s3").head_object(Bucket=BUCKET, Key=key)["ContentLength"]
        for folder in ("entities_sections/", "snapshots_sections/")
        for key in keys_below(f"exports/{folder}")
    }
    assert {name: value for name, value in written.items() if name != "entities"} == {
        "version": 2,
        "export_id": "e1",
        "table_name": "Sections",
        "snapshot_timestamp": SNAPSHOT_TIMESTAMP,
        "read_mode": "scan",
        "output_format": "parquet",
        "location": f"s3://{BUCKET}/exports/snapshots_sections/snapshot_timestamp={SNAPSHOT_TIMESTAMP}/",
        "items_counted": 6,
        "items_written": 5,
        "items_omitted": 1,
        "items_expected": 6,
        "files": 4,
        "bytes": sum(sizes.values()),
        "read_capacity_units": 2.0,
        "hot_share": 0.0,
        "columns": [],
        "comments": {},
        "view_names": {},
        "not_converted": {},
        "contract": "-",
        "hashed": [],
        "fields": {},
        "serde_parameters": {},
        "attributes": {},
    }
    assert [(each["name"], each["value"], each.get("wide"), each["items_written"]) for each in written["entities"]] == [
        ("sections", None, True, 5),
        ("sections_orders", "order", None, 3),
        ("sections_other", None, None, 1),
        ("sections_user", "User", None, 1),
    ]
    location = f"s3://{BUCKET}/exports/entities_sections/sections_user/snapshot_timestamp={SNAPSHOT_TIMESTAMP}/"
    [file] = [key for key in sizes if "sections_user" in key]
    assert sections_of(written)["sections_user"] == {
        "name": "sections_user",
        "value": "User",
        "location": location,
        "items_written": 1,
        "files": 1,
        "bytes": sizes[file],
        "columns": [
            {"name": "pk", "type": "string", "attribute": "pk"},
            {"name": "sk", "type": "string", "attribute": "sk"},
            {"name": "status", "type": "string", "attribute": "status"},
            {"name": "type", "type": "string", "attribute": "type"},
            {"name": "user_id", "type": "bigint", "attribute": "user_id"},
        ],
        "comments": {},
        "fields": {},
        "view_names": {},
        "not_converted": {},
        "serde_parameters": {},
        "attributes": {
            "pk": {"kinds": ["S"]},
            "sk": {"kinds": ["S"]},
            "status": {"kinds": ["S"]},
            "type": {"kinds": ["S"]},
            "user_id": {"kinds": ["N"], "digits": 1},
        },
    }
    assert "secret" not in json.dumps(written)


def test_the_table_of_all_items_is_as_without_entities_but_for_omitted_types(
    make_app, arguments, entities, manifest, snapshot
):
    kept = [item for item in ITEMS if item.get("type") != {"S": "audit"}]
    make_app("Alone", kept)
    make_app("Wide")

    export_table.main(arguments("Alone"))
    export_table.main(arguments("Wide", entities=entities(wide=True)))

    by_keys = itemgetter("pk", "sk")
    assert sorted(snapshot("Wide"), key=by_keys) == sorted(snapshot("Alone"), key=by_keys)
    wide, alone = sections_of(manifest("Wide"))["wide"], manifest("Alone")
    assert {name: wide[name] for name in ("columns", "attributes", "comments")} == {
        name: alone[name] for name in ("columns", "attributes", "comments")
    }


def test_a_type_that_appears_gets_a_table_and_one_that_disappears_keeps_its_own(
    make_app, arguments, entities, manifest
):
    make_app("Drift")
    export_table.main(arguments("Drift", entities=entities()))
    dynamodb = boto3.client("dynamodb")
    dynamodb.delete_item(TableName="Drift", Key={"pk": {"S": "USER#1"}, "sk": {"S": "PROFILE"}})
    dynamodb.put_item(TableName="Drift", Item=an_item("USER#3", "CART", "cart", total={"N": "1.5"}))
    dynamodb.put_item(TableName="Drift", Item=an_item("USER#3", "ORDER#e", "order", status={"S": "new"}))

    export_table.main(arguments("Drift", entities=entities(), **the_day_after("Drift")))

    before, after = sections_of(manifest("Drift")), sections_of(later_manifest("Drift"))
    assert {name: section["items_written"] for name, section in after.items()} == {
        "drift_cart": 1,
        "drift_orders": 4,
        "drift_other": 1,
        "drift_user": 0,
    }
    kept = ("name", "value", "columns", "attributes", "comments", "fields", "view_names", "serde_parameters")
    assert {name: after["drift_user"][name] for name in kept} == {name: before["drift_user"][name] for name in kept}
    assert (after["drift_user"]["files"], after["drift_user"]["bytes"]) == (0, 0)
    later = the_day_after("Drift")["snapshot_timestamp"]
    assert rows_of("Drift", "user", later) == []
    assert [(row["status"], row["status_2"]) for row in rows_of("Drift", "orders", later)] == [
        (None, "3"), (None, "4"), (None, None), (None, "new")
    ]  # fmt: skip


def test_a_type_that_is_omitted_later_keeps_its_table_without_files(make_app, arguments, entities, manifest):
    make_app("Hidden")
    export_table.main(arguments("Hidden", entities=entities()))
    block = {"by": "type", "types": {"User": {"omit": True}, "audit": {"omit": True}, "order": {"name": "orders"}}}

    export_table.main(arguments("Hidden", entities=entities(block), **the_day_after("Hidden")))

    written = later_manifest("Hidden")
    assert (written["items_written"], written["items_omitted"]) == (4, 2)
    hidden = sections_of(written)["hidden_user"]
    assert (hidden["items_written"], hidden["files"]) == (0, 0)
    assert rows_of("Hidden", "user", the_day_after("Hidden")["snapshot_timestamp"]) == []


def test_values_that_differ_in_case_are_two_entities(make_app, arguments, entities, manifest):
    make_app("Case", [an_item("1", str(n), value) for n, value in enumerate(["Order", "order", "ORDER", "a b"])])

    export_table.main(arguments("Case", entities=entities({"by": "type"})))

    assert {section["name"]: section["value"] for section in manifest("Case")["entities"]} == {
        "case_a_b": "a b",
        "case_order": "order",
        "case_order_2": "ORDER",
        "case_order_3": "Order",
    }


@pytest.mark.parametrize("wide", [False, True])
def test_an_empty_table_has_a_table_in_the_catalog_too(make_app, arguments, entities, manifest, snapshot_files, wide):
    name = f"Nothing-{wide}"
    make_app(name, [])

    export_table.main(arguments(name, entities=entities(wide=wide)))

    [section] = manifest(name)["entities"]
    assert section["name"] == name.lower() + ("" if wide else "_other")
    assert [column["name"] for column in section["columns"]] == ["pk", "sk"]
    assert (section["items_written"], section["files"], len(snapshot_files(name))) == (0, wide, wide)


def test_a_column_contract_goes_with_entities(make_app, arguments, entities, manifest):
    make_app("Both", [*ITEMS, an_item("USER#9", "ORDER#z", "order", status={"S": "lost"}, at={"N": "0"})])
    columns = {
        "pk": {"name": "partition"},
        "status": {"as": "bigint"},
        "colour": {"omit": True},
        "at": {"as": "timestamp", "from": "epoch_s"},
    }
    uri = store_contract(boto3.client("s3"), BUCKET, columns)

    export_table.main(arguments("Both", columns=uri, entities=entities(wide=True)))

    sections = sections_of(manifest("Both"))
    types = {
        name: {column["name"]: column["type"] for column in section["columns"]} for name, section in sections.items()
    }
    common = {"partition": "string", "sk": "string"}
    assert types["both_other"] == common
    assert types["both_user"] == common | {"status_not_converted": "string", "type": "string", "user_id": "bigint"}
    assert types["both_orders"]["status"] == "bigint"
    assert types["both_orders"]["at"] == "timestamp"
    assert {name: section["not_converted"] for name, section in sections.items()} == {
        "both": {"status": 2},
        "both_orders": {"status": 1},
        "both_other": {},
        "both_user": {"status": 1},
    }
    assert manifest("Both")["not_converted"] == {"status": 2}


def test_a_strict_attribute_fails_the_run(make_app, arguments, entities):
    make_app("Strict-Entities")
    uri = store_contract(boto3.client("s3"), BUCKET, {"status": {"as": "bigint", "strict": True}})

    with pytest.raises(PermanentError, match=r"with strict: status \(1\)\. Nothing was published"):
        export_table.main(arguments("Strict-Entities", columns=uri, entities=entities()))

    assert keys_below("exports/entities_strict-entities/") == []


# ------------------------------------------------------------------------------------------------------------ refused


def too_many(count):
    return [an_item("1", f"{n:04d}", f"value-{n % 40 if n % 3 else 0}") for n in range(count)]


@pytest.mark.parametrize("sampled", [True, False])
def test_a_wrong_discriminator_fails_the_run_with_the_most_frequent_values(
    make_app, arguments, entities, monkeypatch, sampled
):
    """Whether a sample of the items has so many values, or only all items."""
    if not sampled:
        monkeypatch.setattr(entity_files, "sample_of", lambda files, cores: [])
    table = f"Wrong-{sampled}"
    make_app(table, too_many(120))

    with pytest.raises(PermanentError) as failed:
        export_table.main(arguments(table, entities=entities({"by": "type", "max_entities": 20})))

    message = str(failed.value)
    assert (
        'There are more than 20 entities. The most frequent values of items counted so far: "value-0" (42), ' in message
    )
    assert message.count('"value-') == 10
    assert "correct `by` in Entities. Otherwise increase max_entities" in message
    assert keys_below(f"exports/entities_{table.lower()}/") == keys_below(f"exports/manifests_{table.lower()}/") == []


def test_entities_of_earlier_snapshots_count_too(make_app, arguments, entities):
    make_app("Full")
    export_table.main(arguments("Full", entities=entities(max_entities=3)))
    boto3.client("dynamodb").delete_item(TableName="Full", Key={"pk": {"S": "USER#1"}, "sk": {"S": "PROFILE"}})
    boto3.client("dynamodb").put_item(TableName="Full", Item=an_item("USER#3", "CART", "cart"))

    with pytest.raises(PermanentError, match="more than 3 entities"):
        export_table.main(arguments("Full", entities=entities(max_entities=3), **the_day_after("Full")))


def test_an_attribute_with_the_name_of_a_placeholder_is_refused(make_app, arguments, entities):
    make_app("Taken", [an_item("USER#1", "ORDER#a", "order", **{"{user_id}": {"S": "x"}})])

    with pytest.raises(PermanentError, match=r"An item has an attribute \{user_id\}"):
        export_table.main(arguments("Taken", entities=entities()))


class NoSpark:
    @property
    def builder(self):
        pytest.fail("Spark was started")


RENAMED = {"by": "type", "types": {"order": {"name": "purchases"}, "audit": {"omit": True}}}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (None, BLOCK, r"Entities\.wide: the table kept of all items would no longer be updated\. Set it to true"),
        (BLOCK | {"wide": True}, BLOCK, r"Entities\.wide: the table kept of all items would no longer be updated"),
        (BLOCK, None, r"Entities: the latest snapshot has tables of entities\. Restore this block"),
        (BLOCK, RENAMED, r"Entities\.types\.order\.name: is purchases, but these items are in the table kept_orders"),
        (BLOCK, BLOCK | {"rest": "rest"}, r"Entities\.rest: is rest, but these items are in the table kept_other"),
        (BLOCK, BLOCK | {"max_entities": 2}, r"Entities\.max_entities: is 2, but earlier snapshots have 3 entities"),
    ],
)
def test_what_was_published_goes_on_being_published(make_app, arguments, entities, monkeypatch, before, after, message):
    make_app("Kept")
    given = [{"entities": entities(block)} if block else {} for block in (before, after)]
    export_table.main(arguments("Kept", **given[0]))
    found = all_objects()
    monkeypatch.setattr(export_table, "SparkSession", NoSpark())

    with pytest.raises(PermanentError, match=message):
        export_table.main(arguments("Kept", **given[1], **the_day_after("Kept")))

    assert all_objects() == found
    for key in found:
        if "_kept/" in key:
            boto3.client("s3").delete_object(Bucket=BUCKET, Key=key)


def test_the_table_of_all_items_may_be_added(make_app, arguments, entities, snapshot_files):
    make_app("Added")
    export_table.main(arguments("Added", entities=entities()))

    export_table.main(arguments("Added", entities=entities(wide=True), **the_day_after("Added")))

    assert sections_of(later_manifest("Added"))["added"]["items_written"] == 5


def test_a_pipeline_with_a_table_of_all_items_may_get_entities(make_app, arguments, entities):
    make_app("Upgrade")
    export_table.main(arguments("Upgrade"))
    later = the_day_after("Upgrade")

    export_table.main(arguments("Upgrade", entities=entities(wide=True), **later))

    wide = sections_of(later_manifest("Upgrade"))["upgrade"]
    assert [column["name"] for column in wide["columns"]][:2] == ["pk", "sk"]
    assert "secret" in {column["name"] for column in wide["columns"]}  # of earlier snapshots


def test_a_block_that_does_not_go_with_the_contract_is_refused(make_app, arguments, entities, monkeypatch):
    make_app("Clash")
    monkeypatch.setattr(export_table, "SparkSession", NoSpark())
    uri = store_contract(boto3.client("s3"), BUCKET, {"type": {"omit": True}})

    with pytest.raises(PermanentError, match=r"Entities\.by: Columns changes or removes type"):
        export_table.main(arguments("Clash", columns=uri, entities=entities()))


def test_a_block_that_cannot_be_read_is_refused_with_the_remedy(make_app, arguments):
    make_app("Unread")
    uri = f"s3://{BUCKET}/artifacts/entities/{'0' * 64}.json"

    with pytest.raises(PermanentError, match=r"The block Entities s3://.* cannot be read: .*NoSuchKey.*make deploy"):
        export_table.main(arguments("Unread", entities=uri))


def test_a_lost_manifest_of_entities_is_noticed(make_app, arguments, entities):
    make_app("Lost")
    export_table.main(arguments("Lost", entities=entities()))
    boto3.client("s3").delete_object(Bucket=BUCKET, Key=f"exports/manifests_lost/{SNAPSHOT_TIMESTAMP}.json")

    with pytest.raises(PermanentError, match=r"entities_lost/lost_\w+/snapshot_timestamp=.*/ has no manifest in"):
        export_table.main(arguments("Lost", entities=entities(), **the_day_after("Lost")))


# ------------------------------------------------------------------------------------------------------- completeness


def lose_a_file(written):
    [first, *rest] = written.tables
    return written._replace(tables=[first._replace(files=[]), *rest])


def write_a_file_twice(written):
    return written._replace(tables=[each._replace(files=each.files * 2) for each in written.tables])


def count_no_omitted(written):
    return written._replace(items_omitted=0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose_a_file, "6 were staged, 4 written, 1 omitted|6 were staged, 2 written, 1 omitted"),
        (write_a_file_twice, "DynamoDB counted 6 items, 6 were staged, 10 written, 1 omitted"),
        (count_no_omitted, "DynamoDB counted 6 items, 6 were staged, 5 written"),
    ],
)
def test_without_proof_of_completeness_there_is_no_snapshot(
    make_app, arguments, entities, monkeypatch, damage, message
):
    make_app("Proof")
    write = export_table.write_entities
    monkeypatch.setattr(export_table, "write_entities", lambda *given: damage(write(*given)))

    with pytest.raises(ExportFailed, match=message):
        export_table.main(arguments("Proof", entities=entities()))

    assert keys_below("exports/entities_proof/") == keys_below("exports/manifests_proof/") == []


def test_the_table_of_all_items_must_have_all(make_app, arguments, entities, monkeypatch):
    make_app("Proof-Wide")
    write = export_table.write_entities

    def lose_the_wide_files(*given):
        written = write(*given)
        tables = [each._replace(files=[]) if each.key.wide else each for each in written.tables]
        return written._replace(tables=tables)

    monkeypatch.setattr(export_table, "write_entities", lose_the_wide_files)

    with pytest.raises(ExportFailed, match="6 were staged, 0 written, 1 omitted"):
        export_table.main(arguments("Proof-Wide", entities=entities(wide=True)))


def test_a_stranger_in_the_folder_of_an_entity_is_noticed(make_app, arguments, entities, monkeypatch):
    make_app("Stranger")
    verify = export_table.verify_entities

    def meanwhile(*given):
        verify(*given)
        key = f"exports/entities_stranger/stranger_gone/snapshot_timestamp={SNAPSHOT_TIMESTAMP}/theirs.parquet"
        boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")

    monkeypatch.setattr(export_table, "verify_entities", meanwhile)

    with pytest.raises(ExportFailed, match=r"unexpected: 1 \(.*/theirs\.parquet\)"):
        export_table.main(arguments("Stranger", entities=entities()))

    assert keys_below("exports/entities_stranger/") == []


class Killed(BaseException):
    """As a run that is killed from outside: no handler of the job's own runs."""


@pytest.mark.parametrize("calls", [5, 18, 27, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 29, 3))])
def test_wherever_a_run_is_killed_the_next_leaves_whole_snapshots_or_none(
    make_app, arguments, entities, monkeypatch, calls
):
    """The next run is of another snapshot, and without one of the entities."""
    table, folder = f"Killed{calls}", f"killed{calls}"
    make_app(table)
    connect, left = export_table.connect, iter(range(calls))

    def dying(service, region=None):
        client = connect(service, region)
        client.meta.events.register("before-call.s3", kill)
        return client

    def kill(**_):
        if next(left, None) is None:
            raise Killed

    for module in (export_table, entity_files):
        monkeypatch.setattr(module, "connect", dying)
    with pytest.raises(Killed):
        export_table.main(arguments(table, entities=entities()))
    for module in (export_table, entity_files):
        monkeypatch.setattr(module, "connect", connect)
    boto3.client("dynamodb").delete_item(TableName=table, Key={"pk": {"S": "USER#1"}, "sk": {"S": "PROFILE"}})

    later = the_day_after(table)
    export_table.main(arguments(table, entities=entities(), **later))

    manifests = keys_below(f"exports/manifests_{folder}/")
    first = [key for key in keys_below(f"exports/entities_{folder}/") if SNAPSHOT_TIMESTAMP in key]
    assert len(first) == (3 if f"exports/manifests_{folder}/{SNAPSHOT_TIMESTAMP}.json" in manifests else 0)
    assert not [key for key in manifests if not key.endswith(".json")]
    assert len(rows_of(table, "orders", later["snapshot_timestamp"])) == 3


def test_a_run_after_one_that_was_killed_leaves_nothing_of_its_entities(make_app, arguments, entities, monkeypatch):
    """Its entities had other names, and uploads that were not completed."""
    make_app("Again")
    with monkeypatch.context() as patch:
        patch.setattr(export_table, "publish", killed)
        with pytest.raises(Killed):
            export_table.main(arguments("Again", entities=entities(rest="remaining")))
    with monkeypatch.context() as patch:
        patch.setattr(export_table, "write_manifest", killed)
        with pytest.raises(Killed):
            export_table.main(arguments("Again", entities=entities(rest="others")))
    assert keys_below("exports/entities_again/again_others/")

    export_table.main(arguments("Again", entities=entities()))

    assert {key.split("/")[2] for key in keys_below("exports/entities_again/")} == {
        "again_orders", "again_other", "again_user"
    }  # fmt: skip
    uploads = boto3.client("s3").list_multipart_uploads(Bucket=BUCKET, Prefix="exports/entities_again/")
    assert uploads.get("Uploads", []) == []


def killed(*_):
    raise Killed


def test_a_second_run_for_an_export_that_is_done_touches_nothing(make_app, arguments, entities):
    make_app("Once")
    argv = arguments("Once", entities=entities())
    export_table.main(argv)
    before = all_objects()

    export_table.main(argv)

    assert all_objects() == before


def test_run_again_for_another_export_it_replaces_the_snapshot(make_app, arguments, entities, manifest, monkeypatch):
    monkeypatch.setattr(snapshot_module, "file_count", lambda staged_bytes, cores: 2)
    make_app("Replaced-Entities")
    export_table.main(arguments("Replaced-Entities", entities=entities()))

    export_table.main(arguments("Replaced-Entities", entities=entities({"by": "type"}), export_id="e2"))

    assert sorted(sections_of(manifest("Replaced-Entities"))) == [
        f"replaced-entities_{name}" for name in ("audit", "order", "other", "user")
    ]
    assert len(rows_of("Replaced-Entities", "order")) == 3
    assert rows_of("Replaced-Entities", "orders") == []
