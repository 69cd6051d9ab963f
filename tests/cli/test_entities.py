"""`table-exports entities`: the sample that it reads, within bounds, and the block that it prints. On Dynalite."""

from itertools import count

import boto3
import pytest
import typer
import yaml
from dynalite import dynalite
from single_table_items import Shop

from table_export_job import entities as job_entities
from table_exports_cli import sampling, system
from tests.single_table.libraries import SHOP_STAMP, write_shop

NUMBERS = count()
PROVISIONED = {"ReadCapacityUnits": 40, "WriteCapacityUnits": 40}


@pytest.fixture(scope="module")
def endpoint():
    with dynalite() as endpoint:
        yield endpoint


class Table:
    """A table with these items, and the requests that the command sends."""

    def __init__(self, endpoint, name, items, billing):
        self.client = boto3.client("dynamodb", endpoint_url=endpoint)
        self.name, self.asked, self.units = name, [], 0.0
        keys = [("pk", "HASH"), ("sk", "RANGE")]
        self.client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": type} for key, type in keys],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
            **billing,
        )
        self.client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.05})
        for start in range(0, len(items), 25):
            requests = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            assert not self.client.batch_write_item(RequestItems={name: requests})["UnprocessedItems"]
        self.client.meta.events.register("before-parameter-build.dynamodb.Scan", self._note)
        self.client.meta.events.register("after-call.dynamodb.Scan", self._add)

    def _note(self, params, **_):
        self.asked.append(dict(params))

    def _add(self, parsed, **_):
        self.units += parsed["ConsumedCapacity"]["CapacityUnits"]


@pytest.fixture
def table(monkeypatch, cli, endpoint):
    """Makes the table that all clients of DynamoDB see."""
    made = []

    def make(items, **billing):
        made.append(Table(endpoint, f"App{next(NUMBERS)}", items, billing or {"BillingMode": "PAY_PER_REQUEST"}))
        monkeypatch.setattr(system.System, "client", lambda self, name: made[-1].client)
        return made[-1]

    monkeypatch.setattr(sampling.time, "sleep", lambda seconds: None)
    return make


def test_the_block_is_printed_as_it_can_be_pasted(cli, table):
    shop = Shop()
    made = table(shop.items(400))

    said = cli("entities", made.name, "--yes")

    assert said.code == 0
    block = yaml.safe_load(said.out)["Entities"]
    assert list(job_entities.problems(block, {}, "app")) == []
    assert block["types"]["order"] == {"name": "order", "when": {"pk": "USER#{user_id}", "sk": "ORDER#{order_id}"}}
    orders = [key for key, line in enumerate(said.out.splitlines()) if line.startswith("    order: ")]
    comments = said.out.splitlines()[orders[0] - 2 : orders[0]]
    number = shop.types.count("order")
    assert comments[0] == (
        f"    # {number} items. Columns from created, pk, sk, status, total, version, paid, user_id, order_id"
    )
    assert comments[1].count('{"pk": "USER#') == 3
    assert f"Read 400 items with {made.units:g} read capacity units" in said.err


def test_items_of_electrodb_are_told_apart_by_their_stamp(cli, table, endpoint):
    """Their attributes have what their keys say, so no pattern adds a column."""
    made = table([])
    written = write_shop(endpoint, made.name, "user", "review", "cart", "warehouse")

    said = cli("entities", made.name, "-o", "json")

    names = {name: {"name": name} for name in written}
    assert said.data["entities"] == {"by": SHOP_STAMP, "types": names}
    assert {each["value"]: each["items"] for each in said.data["types"]} == {
        name: len(items) for name, items in written.items()
    }


def test_what_the_scan_can_cost_is_said_before_it_starts(cli, table, monkeypatch):
    """The number of items is the one that DescribeTable has, which may be old."""
    made = table(Shop().items(25))
    asked = []
    monkeypatch.setattr(typer, "confirm", lambda *text, err: asked.append((text, err)))

    said = cli("entities", made.name, "--read-units", "1000000")

    assert (said.code, said.out, made.asked, asked) == (1, "", [], [(("Continue?",), True)])
    assert f"Scan of table {made.name} for at most 5,000 of about 0 items, eventually consistent" in said.err
    assert "It consumes at most 1,000,000 read capacity units" in said.err
    assert "At $0.125 per million (us-east-1), the most that this can cost is $0.12" in said.err
    cli("entities", made.name)
    assert "cost is less than $0.01" in cli("entities", made.name).err


def test_provisioned_capacity_is_used_at_a_quarter(cli, table, monkeypatch):
    made = table(Shop().items(25), ProvisionedThroughput=PROVISIONED)
    slept = []
    monkeypatch.setattr(sampling.time, "sleep", slept.append)

    said = cli("entities", made.name, "--yes", "--read-units", "600")

    assert "At 25% of it, 10 per second, the scan takes up to 60 s" in said.err
    assert sum(slept) == pytest.approx(made.units / 10)


def test_json_has_the_block_and_each_type_and_asks_nothing(cli, table, monkeypatch):
    made = table(Shop().items(200, "_et"))
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: pytest.fail("asked"))

    said = cli("entities", made.name, "-o", "json")

    assert (said.code, said.data["table"], said.data["items_sampled"]) == (0, made.name, 200)
    assert said.data["read_capacity_units"] == made.units
    assert said.data["entities"]["by"] == said.data["by"] == "_et"
    order = next(each for each in said.data["types"] if each["value"] == "order")
    assert {*order} == {"value", "name", "items", "columns", "examples", "unsure"}
    assert len(order["examples"]) == 3
    assert said.data["rest"] is None


@pytest.mark.parametrize(
    ("options", "items", "units"),
    [(["--sample", "100"], 100, 2500), (["--read-units", "50"], 600, 50), (["--read-units", "200"], 600, 200)],
)
def test_neither_bound_is_exceeded(cli, table, options, items, units):
    made = table(Shop().items(600))

    said = cli("entities", made.name, "-o", "json", *options)

    assert said.data["items_sampled"] <= items
    assert said.data["read_capacity_units"] == made.units <= units
    if "--sample" in options:
        assert said.data["items_sampled"] == 100
        assert {asked["Segment"] for asked in made.asked} == {*range(100)}
    for asked in made.asked:
        assert (asked["TotalSegments"], asked["ReturnConsumedCapacity"]) == (100, "TOTAL")
        assert "ConsistentRead" not in asked


def test_items_of_one_partition_key_do_not_crowd_out_the_others(cli, table):
    items = [{"pk": {"S": "USER#1"}, "sk": {"S": f"ORDER#{number:05}"}, "_et": {"S": "order"}} for number in range(900)]
    items += [{"pk": {"S": f"USER#{number}"}, "sk": {"S": "PROFILE"}, "_et": {"S": "profile"}} for number in range(200)]
    made = table(items)

    said = cli("entities", made.name, "-o", "json", "--sample", "300")

    sampled = {each["value"]: each["items"] for each in said.data["types"]}
    assert sum(sampled.values()) == 300
    assert sampled["profile"] > 120


def test_without_two_types_there_is_nothing_to_propose(cli, table):
    items = [{"pk": {"S": f"{number:x}"}, "sk": {"S": "1"}, "title": {"S": "x"}} for number in range(50)]
    made = table(items)

    said = cli("entities", made.name, "--yes")

    assert (said.code, said.out) == (0, "")
    assert said.err.endswith("The items seem to be of one type: nothing to propose\n")
    assert cli("entities", made.name, "-o", "json").data["entities"] is None


def test_a_table_that_does_not_exist(cli, table):
    table([])

    said = cli("entities", "Nope", "--yes")

    assert (said.code, said.out, said.err) == (3, "", "There is no DynamoDB table Nope in us-east-1\n")


def test_an_answer_without_its_consumption_counts_as_the_largest(cli, table):
    made = table(Shop().items(300))
    made.client.meta.events.register_last(
        "after-call.dynamodb.Scan", lambda parsed, **_: parsed.pop("ConsumedCapacity")
    )

    said = cli("entities", made.name, "-o", "json", "--read-units", "400")

    assert said.data["read_capacity_units"] <= 400
    assert len(made.asked) <= 8


def test_long_texts_and_other_kinds_are_known_by_their_kind_only():
    item = {"a": {"S": "x" * 1025}, "b": {"S": "y"}, "c": {"M": {"d": {"S": "z"}}}, "e": {"N": "1.0"}}

    assert sampling.reduced(item) == {"a": ("S", ""), "b": ("S", "y"), "c": ("M", ""), "e": ("N", "1.0")}
