"""Single-table designs, deployed with `make deploy`: each entity's view shows its items, its columns and no others."""

import re
import shutil
import subprocess
from contextlib import suppress
from decimal import Decimal

import pytest
import remedies
from sandbox_operator import SETTINGS, Operator
from sandbox_user import ROOT, WITHOUT_SPARK, sandbox
from typer.testing import CliRunner

from table_exports.aws.records import Records
from table_exports_cli import app, queryable
from table_exports_cli.deployed import Deployed
from tests.single_table.libraries import (
    KEY,
    LATER_ENTITY,
    SHOP_ENTITIES,
    remove_from_shop,
    write_shop,
    write_tracker,
)

pytestmark = pytest.mark.slow

TABLES = """
tables:
  Shop:
    - Entities:
        by: __edb_e__
        types:
          user: {name: users}
          order: {name: orders, when: {pk: "$shop#userid_{of_user}", sk: "$order_1#orderid_{number}"}}
          audit: {omit: true}
    - CatalogName: wrong
      Entities: {by: pk}
  Tracker:
    Entities: {by: _type, wide: true, types: {Comment: {when: {sk: "task#{of_task}#comment#{number}"}}}}
"""
OF_ELECTRODB = {"pk", "sk", "__edb_e__", "__edb_v__", "snapshot_timestamp"}
OF_ITS_INDEX = OF_ELECTRODB | {"gsi1pk", "gsi1sk"}
# Of each view of the shop: the entity, the columns of its attributes with their types, and those of the library.
SHOP_VIEWS = {
    "shop_users": (
        "user",
        {
            "userId": "string",
            "email": "string",
            "name": "string",
            "status": "string",
            "address": "struct<city:string,geo:struct<lat:decimal(38,1),lon:decimal(38,2)>,street:string>",
            "roles": "array<string>",
            "phones": "array<string>",
            "referrer": "string",
        },
        OF_ITS_INDEX,
    ),
    "shop_orders": (
        "order",
        {
            "userId": "string",
            "orderId": "string",
            "placedAt": "bigint",
            "status": "bigint",
            "total": "decimal(38,2)",
            "currency": "string",
            "shipTo": "struct<city:string,geo:struct<lat:decimal(38,1),lon:bigint>>",
            "gift": "boolean",
            "coupon": "string",
        },
        OF_ITS_INDEX | {"of_user", "number"},
    ),
    "shop_orderline": (
        "orderLine",
        {
            "orderId": "string",
            "lineNumber": "bigint",
            "sku": "string",
            "quantity": "bigint",
            "price": "decimal(38,2)",
            "note": "string",
        },
        OF_ELECTRODB,
    ),
    "shop_product": (
        "product",
        {
            "sku": "string",
            "title": "string",
            "price": "decimal(38,2)",
            "tags": "array<string>",
            "weights": "array<decimal(38,1)>",
            "dimensions": "struct<height:decimal(38,1),width:bigint>",
            "details": "struct<care:struct<washable:boolean>,colors:array<string>>",
            "status": "boolean",
        },
        OF_ELECTRODB,
    ),
    "shop_review": (
        "review",
        {"sku": "string", "userId": "string", "stars": "bigint", "text": "string", "verified": "boolean"},
        OF_ELECTRODB,
    ),
    "shop_cart": (
        "cart",
        {
            "userId": "string",
            "updatedAt": "bigint",
            "lines": "array<struct<options:array<string>,quantity:bigint,sku:string>>",
        },
        OF_ELECTRODB,
    ),
    "shop_payment": (
        "payment",
        {
            "orderId": "string",
            "paymentId": "string",
            "status": "string",
            "method": "string",
            "amount": "decimal(38,2)",
        },
        OF_ELECTRODB,
    ),
    "shop_shipment": (
        "shipment",
        {
            "orderId": "string",
            "shipmentId": "string",
            "status": "bigint",
            "carrier": "string",
            "parcels": "array<struct<code:string,kilograms:decimal(38,1)>>",
        },
        OF_ELECTRODB,
    ),
    "shop_coupon": (
        "coupon",
        {"code": "string", "percent": "bigint", "skus": "array<string>", "until": "string"},
        OF_ELECTRODB,
    ),
    "shop_warehouse": (
        "warehouse",
        {
            "warehouseId": "string",
            "location": "struct<city:string,geo:struct<lat:bigint,lon:decimal(38,1)>>",
            "open": "boolean",
        },
        OF_ELECTRODB,
    ),
    "shop_stock": (
        "stock",
        {"warehouseId": "string", "sku": "string", "quantity": "bigint", "shelf": "string"},
        OF_ELECTRODB,
    ),
}
UNSTAMPED = {"pk": "migration", "sk": "2026-11", "status": ["begun"]}


@pytest.fixture(scope="module")
def operator(tmp_path_factory, engine):
    with sandbox(tmp_path_factory.mktemp("sandbox"), "--no-deploy", *WITHOUT_SPARK, *engine) as endpoint:
        operator = Operator(tmp_path_factory.mktemp("operator"), endpoint)
        operator.write("table-exports.toml", SETTINGS)
        operator.write("tables.yaml", TABLES)
        yield operator


@pytest.fixture(scope="module")
def user(operator):
    return operator.user


@pytest.fixture(scope="module")
def exported(operator, user):
    """What both applications wrote, after the first export of each. The pipeline of the shop."""
    user.make_table("Shop", [UNSTAMPED], KEY)
    user.make_table("Tracker", [], KEY)
    shop = write_shop(user.endpoint, "Shop", *SHOP_ENTITIES)
    tracker = write_tracker(user.endpoint, "Tracker")
    code, said, _ = operator.deploy("--yes")
    assert code == 0, said
    pipelines = [operator.outputs(f"table-exports-{name}-parquet") for name in ("shop", "tracker")]
    user.export(*pipelines)
    return shop, tracker, pipelines[0]


def tables(user, prefix):
    """The names of all tables and views in the catalog that begin like this."""
    pages = user.client("glue").get_paginator("get_tables").paginate(DatabaseName="dynamodb_exports")
    return {table["Name"] for page in pages for table in page["TableList"] if table["Name"].startswith(prefix)}


def columns(user, table):
    """The types of the columns of a table or view, by name, with the partition."""
    described = user.client("glue").get_table(DatabaseName="dynamodb_exports", Name=table)["Table"]
    found = [*described["StorageDescriptor"]["Columns"], *described.get("PartitionKeys", [])]
    return {column["Name"]: column["Type"] for column in found}


def shown(user, view, *attributes):
    """What a view shows of these attributes, in any order of the items."""
    listed = ", ".join(f'"{attribute.lower()}"' for attribute in attributes)
    rows = user.query(f"SELECT {listed} FROM {view}")
    return sorted(([row[attribute.lower()] for attribute in attributes] for row in rows), key=repr)


def as_athena_shows(items, types):
    """The values of the attributes that are no structures, as text."""
    scale = {name: int(of[:-1].rpartition(",")[2]) for name, of in types.items() if of.startswith("decimal")}

    def text(name, value):
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, Decimal):
            return f"{value:.{scale.get(name, 0)}f}"
        return value

    return sorted(([text(name, item.get(name)) for name in types] for item in items), key=repr)


def without_structures(types):
    return {name: of for name, of in types.items() if not of.startswith(("struct", "array"))}


def ended(exports, count):
    return True if len(exports) == count and exports[0]["stage"] in ("SUCCEEDED", "FAILED") else None


def test_every_entity_has_a_view_and_there_are_no_others(user, exported):
    views = {*SHOP_VIEWS, "shop_other"}

    assert tables(user, "shop") == views
    assert tables(user, "snapshots_shop") == {f"snapshots_{view}" for view in views}


@pytest.mark.parametrize("view", SHOP_VIEWS)
def test_a_view_has_the_columns_and_the_items_of_its_entity_only(user, exported, view):
    shop, _, _ = exported
    entity, types, of_library = SHOP_VIEWS[view]
    simple = without_structures(types)

    found = columns(user, f"snapshots_{view}")

    assert found == {name.lower(): of for name, of in types.items()} | dict.fromkeys(of_library, "string")
    assert columns(user, view).keys() == found.keys()
    assert shown(user, view, *simple) == as_athena_shows(shop[entity], simple)


def test_structures_of_an_entity_can_be_queried(user, exported):
    assert user.query(
        "SELECT address.city, address.geo.lat, address.street, cardinality(roles) AS roles, "
        "cardinality(phones) AS phones FROM shop_users WHERE userid IN ('u-4', 'u-5') ORDER BY userid"
    ) == [
        {"city": "Bonn", "lat": "45.5", "street": None, "roles": "2", "phones": "1"},
        {"city": "Oslo", "lat": "46.5", "street": "Via 5", "roles": "1", "phones": "2"},
    ]
    assert user.query(
        "SELECT userid, cardinality(lines) AS count, lines[1].sku AS sku, lines[1].quantity AS quantity, "
        "lines[1].options[1] AS option FROM shop_cart WHERE cardinality(lines) > 0 ORDER BY userid"
    ) == [
        {"userid": "u-1", "count": "1", "sku": "s-0", "quantity": "1", "option": "gift"},
        {"userid": "u-2", "count": "2", "sku": "s-0", "quantity": "1", "option": "gift"},
    ]


def test_parts_of_keys_are_columns(user, exported):
    assert user.query(
        "SELECT count(*) AS orders, count_if(of_user = userid AND number = orderid) AS equal FROM shop_orders"
    ) == [{"orders": "120", "equal": "120"}]


def test_entities_join(user, exported):
    assert user.query(
        "SELECT name, count(DISTINCT o.orderid) AS orders, count(*) AS lines FROM shop_users AS u "
        "JOIN shop_orders AS o ON o.userid = u.userid JOIN shop_orderline AS l ON l.orderid = o.orderid "
        "WHERE u.userid = 'u-3' GROUP BY name"
    ) == [{"name": "User 3", "orders": "6", "lines": "18"}]


def test_an_item_without_a_stamp_is_in_the_rest(user, exported):
    assert columns(user, "snapshots_shop_other") == {
        "pk": "string",
        "sk": "string",
        "status": "array<string>",
        "snapshot_timestamp": "string",
    }
    assert shown(user, "shop_other", "pk", "sk") == [["migration", "2026-11"]]


def test_the_models_of_onetable_have_views_and_the_wide_view_has_all_items(user, exported):
    _, tracker, _ = exported
    counts = {
        "tracker_unique" if name == "_Unique" else f"tracker_{name.lower()}": len(tracker[name]) for name in tracker
    }
    counts["tracker__unique"] = counts.pop("tracker_unique")

    assert tables(user, "tracker") == {*counts, "tracker"}
    for view, count in counts.items():
        assert user.query(f"SELECT count(*) AS items FROM {view}") == [{"items": str(count)}]
    assert user.query('SELECT "_type", count(*) AS items FROM tracker GROUP BY 1 ORDER BY 1') == [
        {"_type": name, "items": str(len(tracker[name]))} for name in sorted(tracker)
    ]
    statuses = {view: columns(user, view).get("status") for view in ("tracker_user", "tracker_project", "tracker_task")}
    assert statuses == {"tracker_user": "string", "tracker_project": "bigint", "tracker_task": "boolean"}
    assert columns(user, "tracker")["status"] == "string"
    assert user.query("SELECT text, of_task, number FROM tracker_comment WHERE taskid = 't2'") == [
        {"text": 'multi\nline "2"', "of_task": "t2", "number": "2"}
    ]


def test_a_wrong_discriminator_publishes_nothing_and_the_reason_names_the_most_frequent_values(
    operator, user, exported
):
    pipeline = operator.outputs("table-exports-wrong-parquet")

    user.request(pipeline)
    [export] = user.ended_exports(pipeline, 1)

    assert export["stage"] == "FAILED"
    assert "$shop#day_2026-11-26" in export["reason"]
    assert "50" in export["reason"]
    assert tables(user, "wrong") | tables(user, "snapshots_wrong") == set()


def test_an_entity_appears_and_another_one_is_empty_once_its_items_are_gone(user, exported):
    _, _, pipeline = exported
    remove_from_shop(user.endpoint, "Shop", "cart")
    [card, *_] = write_shop(user.endpoint, "Shop", LATER_ENTITY)[LATER_ENTITY]

    with user.listening({"detail-type": ["Entity Appeared", "Export Succeeded"]}) as listener:
        [export] = user.export(pipeline)
        appeared = listener.wait_for("Entity Appeared")["detail"]
        succeeded = listener.wait_for("Export Succeeded")["detail"]

    assert appeared | {"entity": "shop_giftcard", "value": LATER_ENTITY, "items": 4} == appeared
    assert appeared["export_id"] == export["export_id"]
    items = {each["name"]: each["items"] for each in succeeded["entities"]}
    assert (items["shop_giftcard"], items["shop_orders"], items.get("shop_cart", 0)) == (4, 120, 0)
    assert ["g-0", str(card["balance"]), "used"] in shown(user, "shop_giftcard", "cardId", "balance", "status")
    assert columns(user, "shop_cart").keys() == {"userid", "updatedat", "lines"} | OF_ELECTRODB
    assert user.query("SELECT count(*) AS items FROM shop_cart") == [{"items": "0"}]
    assert user.query("SELECT count(*) AS items FROM snapshots_shop_cart") == [{"items": "3"}]
    assert user.query("SELECT DISTINCT snapshot_timestamp AS at FROM shop_orderline") == [
        {"at": export["snapshot_timestamp"]}
    ]


def test_views_show_one_snapshot_though_a_function_died_after_the_first_query(user, exported):
    _, _, pipeline = exported
    count = len(user.exports(pipeline))
    user.inject_faults({"when": {"caller": "on_glue_complete", "action": "StartQueryExecution"}, "do": "kill"})

    user.request(pipeline)
    user.wait_for(lambda: True if not user.remaining_faults() else None, "death")
    user.let_claim_lapse(user.exports(pipeline)[0])
    with user.reconciling_at_once():
        user.reconcile_until(lambda: ended(user.exports(pipeline), count + 1), "ended export")

    [export, *_] = user.exports(pipeline)
    assert export["stage"] == "SUCCEEDED", export.get("reason")
    shown = " UNION ".join(f"SELECT snapshot_timestamp FROM {view}" for view in SHOP_VIEWS)
    assert user.query(f"SELECT DISTINCT snapshot_timestamp FROM ({shown})") == [
        {"snapshot_timestamp": export["snapshot_timestamp"]}
    ]


class System:
    def __init__(self, user):
        self.client = user.client
        self.records = Records(user.client("dynamodb"), "table-exports")


def problems_of_queries(user, pipeline):
    """What doctor reports of the views and snapshots of a pipeline: the description and the remedy of each problem."""
    deployed = Deployed(System(user))
    deployed.pipelines = [found for found in deployed.pipelines if found.pipeline == pipeline["Pipeline"]]
    found = [problem for check in (queryable.views, queryable.snapshots) for problem in check(deployed)]
    return [(problem.description, problem.remedy) for problem in found]


def test_views_of_two_snapshots_are_reported_and_the_remedy_makes_them_one(user, exported, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", user.endpoint)
    _, _, pipeline = exported
    count = len(user.exports(pipeline))
    query = {"caller": "on_glue_complete", "action": "StartQueryExecution"}
    refused = {"when": query, "do": "refuse", "error": "AccessDeniedException"}
    user.inject_faults({"when": query, "do": "lose"}, refused)  # Athena shows one view, and the export fails

    user.request(pipeline)
    user.wait_for(lambda: ended(user.exports(pipeline), count + 1), "ended export")

    [failed, *_] = user.exports(pipeline)
    assert failed["stage"] == "FAILED"
    [(what, remedy)] = user.wait_for(lambda: problems_of_queries(user, pipeline) or None, "problem")
    assert what.startswith(f"some of its views show {failed['snapshot_timestamp']}, whose export has not succeeded")
    assert remedy == f"table-exports resume {failed['export_id']}"
    remedies.carry_out(remedy, user.client)
    user.wait_for(lambda: True if user.exports(pipeline)[0]["stage"] == "SUCCEEDED" else None, "success")

    assert problems_of_queries(user, pipeline) == []


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_commands_to_start_over_leave_what_the_next_export_needs(user, exported, monkeypatch, tmp_path):
    """Afterwards, the pipeline has no entity without items."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", user.endpoint)
    _, _, pipeline = exported
    records = System(user).records
    before = records.pipeline(pipeline["Pipeline"])
    for item in user.table("Shop").scan()["Items"]:
        if item.get("__edb_e__") in ("cart", "coupon"):
            user.table("Shop").delete_item(Key={name: item[name] for name in KEY})

    for command in commands_to_start_over(pipeline, tmp_path):
        with suppress(user.client("glue").exceptions.EntityNotFoundException):  # there is no view of all items
            remedies.carry_out(command, user.client)

    assert not tables(user, "shop")
    assert not tables(user, "snapshots_shop")
    assert {remedy for _, remedy in problems_of_queries(user, pipeline)} == {f"table-exports run {before.pipeline}"}
    [export] = user.export(pipeline)
    assert problems_of_queries(user, pipeline) == []
    assert tables(user, "shop_") == {*before.entities} - {"shop_coupon", "shop_cart"}
    assert records.holder("shop_coupon") is None
    assert shown(user, "shop_users", "userId")
    assert user.query("SELECT DISTINCT snapshot_timestamp AS at FROM snapshots_shop_orders") == [
        {"at": export["snapshot_timestamp"]}
    ]


def commands_to_start_over(pipeline, folder):
    """The commands of docs/schema.md for a pipeline with entities, which Bash has read."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/schema.md").read_text(), re.DOTALL)
    [block] = [block for block in blocks if "entities=$(" in block]
    for example, own in [
        ("table-exports-ACCOUNT-REGION", "table-exports-123456789012-us-east-1"),
        ("name=reviews pipeline=reviews-parquet", f"name=shop pipeline={pipeline['Pipeline']}"),
    ]:
        assert example in block
        block = block.replace(example, own)
    status = CliRunner().invoke(app.app, ["--region", "us-east-1", "status", "--output", "json"])
    (folder / "status").write_text(status.stdout)
    stand_ins = f'table-exports() {{ cat {folder}/status; }}\naws() {{ echo aws "$@"; }}\n'
    script = ["bash", "-euo", "pipefail", "-c", stand_ins + block]
    return subprocess.run(script, check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_table_stack_of_a_mistaken_block_is_not_deployed(operator, exported):
    operator.write("tables.yaml", TABLES.replace("{omit: true}", "{omitted: true}"))
    code, said, _ = operator.deploy("--plan")
    operator.write("tables.yaml", TABLES)

    assert code == 1
    assert "omitted" in said
