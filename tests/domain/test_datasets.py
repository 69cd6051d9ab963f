import json
from dataclasses import asdict, replace

import pytest
from examples import a_manifest, a_manifest_of, a_pipeline, a_section, an_export

from table_exports.domain import catalog
from table_exports.domain.datasets import datasets
from table_exports.domain.errors import PermanentError
from table_exports.domain.manifest import Column, Manifest

ORDERS = a_section("reviews_orders", ("asin", "string"), ("total", "bigint"), items=3)
REST = a_section("reviews_other", items=2, value=None)
WIDE = a_section("reviews", ("asin", "string"), ("total", "string"), items=5)
EXPORT = an_export()


def as_json(manifest, **changes):
    content = asdict(manifest) | {"version": 2}
    if not manifest.entities:
        del content["entities"]
    for section in content.get("entities", []):
        if not section["wide"]:
            del section["wide"]
    return json.dumps(content | changes)


def test_a_snapshot_without_entities_is_one_table():
    assert datasets(EXPORT, a_manifest()) == [(EXPORT, a_manifest())]


def test_each_entity_has_a_table_a_view_and_a_folder_of_its_own():
    [(orders, its_manifest), (rest, _)] = datasets(EXPORT, a_manifest_of(ORDERS, REST))

    assert (orders.catalog_name, orders.snapshot_table) == ("reviews_orders", "snapshots_reviews_orders")
    assert orders.snapshot_location == ORDERS.location
    assert (its_manifest.items_written, its_manifest.files, its_manifest.bytes) == (3, 1, 300)
    assert its_manifest.columns == (Column("asin", "string", "asin"), Column("total", "bigint", "total"))
    its_manifest.prove(orders)
    table = catalog.table_input(orders, its_manifest, None)
    assert table["StorageDescriptor"]["Location"] == "s3://bucket/exports/entities_reviews/reviews_orders/"
    assert rest.catalog_name == "reviews_other"


def test_the_table_of_all_items_has_the_pipelines_own_names():
    [(wide, manifest), *entities] = datasets(EXPORT, a_manifest_of(ORDERS, REST, WIDE))

    assert (wide, manifest.columns) == (EXPORT, WIDE.columns)
    assert [export.catalog_name for export, _ in entities] == ["reviews_orders", "reviews_other"]


@pytest.mark.parametrize(
    "name", ["orders", "reviews_", "reviewsorders", "snapshots_reviews_orders", "reviews_a/b", "reviews_" + "x" * 111]
)
def test_a_name_that_is_not_derived_from_the_pipelines_is_refused(name):
    manifest = a_manifest_of(replace(ORDERS, name=name), REST)

    with pytest.raises(PermanentError, match="no name of an entity of reviews: request a new export"):
        datasets(EXPORT, manifest)


def test_a_table_of_all_items_with_another_name_is_refused():
    with pytest.raises(PermanentError, match="reviews_all, which is no name"):
        datasets(EXPORT, a_manifest_of(ORDERS, replace(WIDE, name="reviews_all", items_written=3)))


@pytest.mark.parametrize("section", [ORDERS, WIDE])
def test_a_folder_that_is_not_the_derived_one_is_refused(section):
    elsewhere = replace(
        section, location="s3://bucket/exports/snapshots_theirs/snapshot_timestamp=2026-11-23T02-00-07Z/"
    )
    others = [REST] if section is WIDE else [REST, WIDE]

    with pytest.raises(PermanentError, match=rf"{section.name} in s3://bucket/exports/snapshots_theirs/"):
        datasets(
            EXPORT, a_manifest_of(elsewhere, *(replace(each, items_written=2) for each in others), items_written=2)
        )


def test_a_manifest_with_sections_is_parsed():
    manifest = a_manifest_of(ORDERS, REST, WIDE, items_counted=9, items_omitted=4)

    parsed = Manifest.from_json(as_json(manifest))

    assert parsed == manifest
    parsed.prove(EXPORT)
    assert parsed.entities[2].value is None


def test_omitted_items_are_counted():
    with pytest.raises(PermanentError, match="DynamoDB counted 9 items, 5 were written, 3 omitted"):
        a_manifest_of(ORDERS, REST, items_counted=9, items_omitted=3).prove(EXPORT)


@pytest.mark.parametrize(
    ("manifest", "changes", "problem"),
    [
        (a_manifest_of(ORDERS, REST), {"entities": []}, "it has no entities"),
        (a_manifest(), {"items_omitted": 1}, "omitted items and no entities"),
        (a_manifest_of(replace(WIDE, items_written=0), items_written=0), {}, "it has no entities"),
        (a_manifest_of(ORDERS, replace(REST, name="reviews_orders")), {}, "two entities have the same name"),
        (a_manifest_of(ORDERS, REST, items_written=4), {}, r"its tables have \[3, 2\] items of 4"),
        (a_manifest_of(ORDERS, REST, replace(WIDE, items_written=4)), {}, r"its tables have \[4\] items of 5"),
        (a_manifest_of(ORDERS, REST, columns=ORDERS.columns), {}, "it has columns"),
        (a_manifest_of(replace(ORDERS, columns=()), REST), {}, "reviews_orders: it has no columns"),
        (a_manifest_of(replace(ORDERS, files=-1), REST), {}, "reviews_orders: files is -1"),
        (a_manifest_of(replace(ORDERS, value=7), REST), {}, "value of reviews_orders is not text"),
    ],
)
def test_a_manifest_whose_sections_do_not_fit_is_refused(manifest, changes, problem):
    with pytest.raises(PermanentError, match=problem):
        Manifest.from_json(as_json(manifest, **changes))


def test_a_section_without_a_field_is_refused():
    content = json.loads(as_json(a_manifest_of(ORDERS, REST)))
    del content["entities"][0]["location"]

    with pytest.raises(PermanentError, match="it lacks 'location'"):
        Manifest.from_json(json.dumps(content))


def test_a_pipeline_has_a_table_for_each_entity():
    pipeline = a_pipeline(entities=("reviews_orders",))

    [itself, orders] = pipeline.tables

    assert itself == pipeline
    assert (orders.catalog_name, orders.output_prefix) == (
        "reviews_orders",
        "s3://bucket/exports/entities_reviews/reviews_orders",
    )
