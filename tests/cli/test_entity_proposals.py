"""The block that a sample suggests, and what it says about each type."""

import random
import re

import pytest
import yaml
from single_table_items import Shop

from table_export_job import entities as job_entities
from table_export_job.routing import Router
from table_exports_cli import proposed_entities
from table_exports_cli.entity_proposals import Sample, propose
from table_exports_cli.sampling import reduced

KEYS = ("pk", "sk")


def proposed(items, keys=KEYS):
    return propose(Sample(keys, [reduced(item) for item in items]))


def ensure_as_said(found, items):
    """The job accepts the block, and finds as many items of each type as the proposal says."""
    block = yaml.safe_load(proposed_entities.block(found))["Entities"]
    assert block == {"rest": "other", **found.block}
    assert list(job_entities.problems(block, {}, "app")) == []
    router = Router(block)
    types = router.types_of(items)
    said = {each.value: each.items for each in found.types} | ({None: found.rest.items} if found.rest else {})
    assert {value: types.count(value) for value in {*types, *said}} == said
    for each in found.types:
        of_type = [item for item, value in zip(items, types, strict=True) if value == each.value]
        of_type = router.with_placeholders(of_type, each.value)
        assert {name.strip("{}") for item in of_type for name in item} == {*each.columns}
    return types


def test_orders_and_their_lines_are_two_types_by_the_patterns_of_their_keys():
    shop = Shop()
    items = shop.items(1500)

    found = proposed(items)
    types = ensure_as_said(found, items)

    assert found.by == "the patterns of sk"
    assert found.rest is None
    assert found.block["types"]["order"]["when"] == {"pk": "USER#{user_id}", "sk": "ORDER#{order_id}"}
    assert found.block["types"]["order_line"]["when"] == {
        "pk": "ORDER#{order_id}",
        "sk": "ORDER#{order_id_2}#LINE#{line_id}",
    }
    names = {each.value: each.name for each in found.types}
    longer = {"line": "order_line", "profile": "user_profile"}
    assert [names[type] for type in types] == [longer.get(type, type) for type in shop.types]
    assert ("sk before #", pytest.approx(0.72, abs=0.05)) in found.others
    assert found.score > 0.9


KINDS = {  # by the name that a type should get: its keys, and what its items have
    "user_profile": ("USER#{0}", "PROFILE", ["email", "city"]),
    "user": ("USER#{0}", "USER#{0}", ["plan"]),
    "order": ("ORDER#{0}", "METADATA", ["total", "status"]),
    "org": ("ORG#{0}", "#METADATA#{0}", ["country", "tax"]),
    "org_profile": ("ORG#{0}", "PROFILE", ["logo", "url"]),
    "line": ("ORDER#{0}", "LINE#{0}", ["quantity"]),
}


def items_of(*names):
    return [
        {"pk": {"S": pk.format(f"{number}f")}, "sk": {"S": sk.format(f"{number}f")}}
        | {attribute: {"S": "x"} for attribute in attributes}
        for pk, sk, attributes in (KINDS[name] for name in names)
        for number in range(30)
    ]


def test_names_say_what_the_items_are_and_not_what_part_of_them():
    items = items_of(*KINDS)

    found = proposed(items)

    ensure_as_said(found, items)
    assert found.block.get("by") is None
    assert {each.name for each in found.types} == {*KINDS}


def test_the_text_before_a_separator_does_not_become_a_name_that_says_nothing():
    items = items_of("order", "user_profile")

    found = proposed(items)

    ensure_as_said(found, items)
    assert found.block["by"]
    assert found.block["by"] == {"key": "pk", "before": "#"}
    assert {each.value: each.name for each in found.types} == {"ORDER": "order", "USER": "user_profile"}


def test_a_type_can_be_omitted_by_one_word_and_names_can_be_changed_until_the_first_export():
    items = Shop().items(400)
    text = proposed_entities.block(proposed(items))

    assert "# You can change the name of an entity until its first export. Then it keeps its name" in text
    omitted = re.sub(r"^(    order: .*)\}$", r"\1, omit: true}", text, flags=re.MULTILINE)
    block = yaml.safe_load(omitted)["Entities"]
    assert block["types"]["order"]["omit"] is True
    assert list(job_entities.problems(block, {}, "app")) == []
    assert Router(block).omitted == {"order"}


@pytest.mark.parametrize("stamp", ["__edb_e__", "__typename", "_et", "entity", "_type", "__en", "entityType", "type"])
def test_a_known_stamp_is_used_first(stamp):
    shop = Shop()
    items = shop.items(400, stamp)

    found = proposed(items)

    assert ensure_as_said(found, items) == shop.types
    assert found.block["by"] == stamp
    assert found.block["types"]["order"] == {
        "name": "order",
        "when": {"pk": "USER#{user_id}", "sk": "ORDER#{order_id}"},
    }


def test_an_attribute_that_predicts_as_well_as_the_keys_is_simpler():
    items = Shop().items(600, "kind")

    found = proposed(items)

    ensure_as_said(found, items)
    assert found.block["by"] == "kind"


def test_patterns_of_stamped_types_are_proposed_only_for_columns_that_the_items_lack():
    items = Shop().items(400, "_et")
    for item in items:
        parts = item["sk"]["S"].split("#")
        item |= {"orderId": {"S": parts[1]}} if parts[0] == "ORDER" else {}
        item |= {"product": {"S": parts[1]}} if parts[0] == "META" else {}

    found = proposed(items)

    ensure_as_said(found, items)
    whens = {value: rule.get("when") for value, rule in found.block["types"].items()}
    assert whens["order"] == {"pk": "USER#{user_id}"}
    assert whens["line"] == {"sk": "ORDER#{order_id}#LINE#{line_id}"}
    assert whens["product"] is None


def test_items_without_the_stamp_find_their_type_by_their_key_or_form_the_rest():
    items = Shop().items(400, "__edb_e__")
    items += [{key: value for key, value in item.items() if key != "__edb_e__"} for item in Shop(8).items(20)]
    items += [{"pk": {"S": f"x{number}"}, "sk": {"N": "1"}, "__edb_e__": {"BOOL": True}} for number in range(3)]

    found = proposed(items)

    ensure_as_said(found, items)
    assert found.rest.items == 3
    assert found.rest.examples == [{"pk": f"x{number}", "sk": "1"} for number in range(3)]
    assert "3 items have no value of it, and no pattern of a type. They form the table of the rest" in found.unsure


def test_the_text_before_the_separator_is_used_if_it_is_as_good():
    items = [
        {"pk": {"S": f"{type}#{number}"}, "sk": {"S": f"{type}#{number}"}} | {name: {"N": "1"} for name in names}
        for number in range(50)
        for type, names in {"c": ("email", "name"), "o": ("total", "date"), "p": ("price", "stock")}.items()
    ]

    found = proposed(items)

    ensure_as_said(found, items)
    assert found.block["by"] == {"key": "pk", "before": "#"}
    assert found.block["types"]["o"]["when"] == {"pk": "o#{o_id}", "sk": "o#{o_id_2}"}


@pytest.mark.parametrize(
    "optional", [{}, {"published": ("published_at", "published_by")}, {"draft": ("note",), "published": ("url",)}]
)
def test_variants_of_one_type_are_no_types(optional):
    generator = random.Random(3)
    names = ["title", "text", "author", "stars", "lang", "size"]
    items = []
    for number in range(300):
        status = generator.choice(["draft", "published"])
        present = [*names, *optional.get(status, ()), *(["extra"] if generator.random() < 0.3 else [])]
        key = {"pk": {"S": f"{generator.randrange(10**9):x}"}, "sk": {"S": f"2026-11-{number % 30:02}"}}
        items.append(key | {"status": {"S": status}} | {name: {"S": "x"} for name in present})

    assert proposed(items) is None


@pytest.mark.parametrize("items", [[], [{"pk": {"N": "1"}}], [{"pk": {"B": b"x"}, "a": {"S": "b"}}] * 9])
def test_a_table_with_few_or_binary_keys_has_nothing_to_propose(items):
    assert proposed(items, ("pk",)) is None


def test_it_says_what_it_is_unsure_about():
    names = ["Order", "order", "2026-11-01", "17", "rare"]
    items = [
        {"pk": {"S": f"{name}-{number}"}, "__typename": {"S": name}, f"of_{name}": {"N": "1"}}
        for name in names
        for number in range(1 if name == "rare" else 20)
    ]

    found = proposed(items, ("pk",))

    ensure_as_said(found, items)
    case, data = "another type differs only in case, and has a table of its own", "the value looks like data, not like"
    unsure = {each.value: each.unsure for each in found.types}
    assert unsure["Order"] == unsure["order"] == [case]
    assert [unsure[value][0].startswith(data) for value in ("2026-11-01", "17")] == [True, True]
    assert unsure["rare"] == ["only 1 item in the sample"]
    assert {each.name for each in found.types} == {"order", "order_2", "type_2026_11_01", "type_17", "rare"}


def test_more_than_a_hundred_types_are_doubtful():
    items = [
        {"pk": {"S": f"{number}"}, "_et": {"S": f"kind {number % 120}"}, f"a{number % 120}": {"N": "1"}}
        for number in range(1200)
    ]

    found = proposed(items, ("pk",))

    ensure_as_said(found, items)
    assert found.block["max_entities"] == 200
    assert "120 types are many: check that their values are not data" in found.unsure


def test_a_type_called_other_gets_the_name_and_the_rest_another():
    items = [
        {"pk": {"S": f"{number}"}, "_et": {"S": name}, f"of_{name}": {"N": "1"}}
        for name in ("other", "order")
        for number in range(20)
    ]

    found = proposed(items, ("pk",))

    ensure_as_said(found, items)
    assert found.block["rest"] == "rest"


def test_hostile_texts_stay_in_their_line():
    hostile = 'a\nby: evil"\\\x1b[31m\u2028'
    items = [
        {"pk": {"S": f"{hostile}{number}"}, "_et": {"S": name}, f"{hostile}{name}": {"N": "1"}}
        for name in (hostile, "order", "null", "yes: no")
        for number in range(20)
    ]

    found = proposed(items, ("pk",))

    ensure_as_said(found, items)
    assert {each.value for each in found.types} == {hostile, "order", "null", "yes: no"}


@pytest.mark.parametrize("seed", range(12))
def test_each_sampled_item_lands_in_the_type_that_the_proposal_says(seed):
    """For random designs: labels, separators, depth of keys, shared attributes, and items of no design."""
    generator = random.Random(seed)
    separator = generator.choice("#|:/~^")
    designs = []
    for number in range(generator.randint(2, 9)):
        labels = generator.sample(["USER", "order", "Line", "ITEM", "config", "$app", "META"], generator.randint(1, 3))
        own = [f"attribute_{number}_{each}" for each in range(generator.randint(1, 4))]
        designs.append((labels, own))
    items = []
    for _ in range(400):
        labels, own = generator.choice(designs)
        parts = [part for label in labels for part in (label, f"{generator.randrange(10**6):x}")]
        keys = {"pk": {"S": separator.join(parts[:2])}, "sk": {"S": separator.join(parts[2:] or parts)}}
        present = [name for name in own if generator.random() < 0.9]
        items.append(keys | {"created": {"N": "1"}} | {name: {"S": "x"} for name in present})
    items += [{"pk": {"S": f"{number}{separator}"}, "sk": {"S": "{x}\n"}} for number in range(5)]

    found = proposed(items)

    assert found is not None
    ensure_as_said(found, items)
