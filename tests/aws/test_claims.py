"""Names of entities: each is held by one pipeline, and is added to its head together with the claim."""

from dataclasses import replace

import pytest
from examples import NOW, a_pipeline, an_export

from table_exports.aws import records as state
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.export import EntityItems
from table_exports.domain.stages import Stage

OTHER = a_pipeline(
    pipeline="reviews_orders-parquet",
    catalog_name="reviews_orders",
    output_prefix="s3://bucket/exports/snapshots_reviews_orders",
    stack_id="other-stack",
)
NAME = "reviews-parquet"


@pytest.fixture
def begun(records):
    assert records.register(a_pipeline())
    export = an_export()
    assert records.begin(export)
    return export


def claim(records, export, *names):
    return records.claim_entities(export, records.pipeline(NAME), names)


def test_names_are_claimed_together_with_the_head(records, begun):
    assert claim(records, begun, "reviews_orders", "reviews_lines")
    assert claim(records, begun, "reviews_other")

    pipeline = records.pipeline(NAME)
    assert pipeline.entities == ("reviews_orders", "reviews_lines", "reviews_other") == pipeline.new_entities
    assert {records.holder(name) for name in pipeline.entities} == {(NAME, pipeline.stack_id)}
    assert records.holders() == dict.fromkeys(("reviews", *pipeline.entities), (NAME, pipeline.stack_id))


def test_of_names_of_which_one_is_taken_none_is_claimed(records, begun):
    assert records.register(OTHER)

    assert not claim(records, begun, "reviews_lines", "reviews_orders")

    assert records.holder("reviews_lines") is None
    assert records.holder("reviews_orders") == (OTHER.pipeline, "other-stack")
    assert records.pipeline(NAME).entities == ()


def test_a_pipeline_cannot_register_the_name_of_an_entity(records, begun):
    assert claim(records, begun, "reviews_orders")

    assert not records.register(OTHER)

    assert records.pipeline(OTHER.pipeline) is None


def test_a_head_that_has_changed_refuses_the_claim(records, begun):
    before = records.pipeline(NAME)
    assert claim(records, begun, "reviews_orders")

    assert not records.claim_entities(begun, before, ["reviews_lines"])


def test_an_export_without_the_lock_claims_nothing(records, begun):
    assert records.move(begun, begun.fail("cancelled", NOW))

    assert not claim(records, begun, "reviews_orders")


def test_an_export_claims_nothing_for_a_stack_that_is_gone(records, begun):
    before = records.pipeline(NAME)
    records.unregister(NAME, before.stack_id)

    assert not records.claim_entities(begun, before, ["reviews_orders"])


def test_a_deleted_stack_frees_the_names_of_its_entities(records, begun):
    assert claim(records, begun, "reviews_orders", "reviews_lines")

    records.unregister(NAME, a_pipeline().stack_id)

    assert {records.holder(name) for name in ("reviews", "reviews_orders", "reviews_lines")} == {None}
    assert records.register(a_pipeline(stack_id="made-anew"))
    assert records.pipeline(NAME).entities == ()


def test_a_deletion_that_was_interrupted_is_completed(records, begun, monkeypatch):
    """Killed after the head was forgotten, and before the names were free."""
    assert claim(records, begun, "reviews_orders", "reviews_lines")
    monkeypatch.setattr(records, "_delete", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("killed")))
    with pytest.raises(ConnectionError):
        records.unregister(NAME, a_pipeline().stack_id)
    monkeypatch.undo()
    assert not records.register(a_pipeline(stack_id="made-anew"))

    records.unregister(NAME, a_pipeline().stack_id)

    assert records.holder("reviews_orders") is None
    assert records.register(a_pipeline(stack_id="made-anew"))


def test_the_deletion_of_a_stack_leaves_the_names_of_others_alone(records, begun):
    assert claim(records, begun, "reviews_orders")

    records.unregister(NAME, "another-stack")

    assert records.holder("reviews_orders") == (NAME, a_pipeline().stack_id)
    assert records.pipeline(NAME).entities == ("reviews_orders",)


@pytest.mark.parametrize(
    ("succeeds", "left"), [(True, ("reviews_lines",)), (False, ("reviews_orders", "reviews_lines"))]
)
def test_an_entity_is_new_until_an_export_with_it_has_succeeded(records, begun, succeeds, left):
    assert claim(records, begun, "reviews_orders", "reviews_lines")
    run = begun.run_job("jr_1", NOW).wrote(
        items=1, files=1, size=1, warning=None, entities=[EntityItems("reviews_orders", 1, "order")], wide=False
    )
    published = run.advance(Stage.PUBLISHING, "q", NOW)
    published = type(published)(
        **{name: getattr(published, name) for name in published.__slots__} | {"appeared": ("reviews_orders",)}
    )
    assert records.move(begun, published)
    assert records.export(NAME, begun.record_key) == published

    assert records.move(published, published.succeed(NOW) if succeeds else published.fail("no", NOW))

    pipeline = records.pipeline(NAME)
    assert (pipeline.new_entities, pipeline.entities) == (left, ("reviews_orders", "reviews_lines"))


@pytest.mark.parametrize("attribute", ["entities", "new_entities"])
def test_a_name_that_no_entity_can_have_makes_the_head_invalid(records, begun, attribute):
    records._client.update_item(
        TableName=records._table,
        Key={"pipeline": {"S": NAME}, "record": {"S": "pipeline"}},
        UpdateExpression=f"SET {attribute} = :names",
        ExpressionAttributeValues={":names": {"L": [{"S": "../snapshots_theirs"}]}},
    )

    with pytest.raises(InvalidRecord, match=attribute):
        records.pipeline(NAME)

    assert records.register(a_pipeline())
    assert getattr(records.pipeline(NAME), attribute) == ()


def published(records, export, *names):
    """The export, after its views show a snapshot with these entities. It has claimed those that are new."""
    pipeline = records.pipeline(NAME)
    if new := [name for name in names if name not in pipeline.entities]:
        assert claim(records, export, *new)
    entities = [EntityItems(name, 1) for name in names]
    wrote = export.run_job("jr_1", NOW).wrote(items=1, files=1, size=1, warning=None, entities=entities, wide=False)
    after = replace(wrote, appeared=tuple(new)).advance(Stage.PUBLISHING, "q", NOW)
    assert records.move(export, after)
    return after


def succeed(records, export, *names):
    after = published(records, export, *names)
    records.release_entities(after)
    assert records.move(after, after.succeed(NOW))


@pytest.fixture
def next_export(records, begun):
    """The export after one that published two entities."""
    succeed(records, begun, "reviews_orders", "reviews_lines")
    export = an_export(export_id="next", snapshot_timestamp="2026-12-01T02-00-07Z")
    assert records.begin(export)
    return export


def state_of(records):
    pipeline = records.pipeline(NAME)
    names = ("reviews_orders", "reviews_lines", "reviews_other")
    return pipeline.entities, pipeline.new_entities, [name for name in names if records.holder(name)]


BOTH = ("reviews_orders", "reviews_lines")


@pytest.mark.parametrize(
    ("names", "left"),
    [
        pytest.param(BOTH, BOTH, id="all are left"),
        pytest.param(["reviews_lines"], ("reviews_lines",), id="one is gone"),
        pytest.param(["reviews_lines", "reviews_other"], ("reviews_lines", "reviews_other"), id="one for another"),
        pytest.param(["reviews_other"], ("reviews_other",), id="all are others"),
        pytest.param([], (), id="there are no entities any more"),
    ],
)
@pytest.mark.parametrize("at_once", [99, 1])
def test_entities_that_a_published_snapshot_does_not_have_are_released(
    records, next_export, names, left, at_once, monkeypatch
):
    monkeypatch.setattr(state, "NAMES_AT_ONCE", at_once)

    succeed(records, next_export, *names)

    assert state_of(records) == (left, (), [*left])
    assert records.register(OTHER) == ("reviews_orders" not in left)


def test_names_can_be_claimed_again_after_all_were_released(records, next_export):
    succeed(records, next_export)
    third = an_export(export_id="third", snapshot_timestamp="2026-12-02T02-00-07Z")
    assert records.begin(third)

    succeed(records, third, "reviews_orders")

    assert state_of(records) == (("reviews_orders",), (), ["reviews_orders"])


def test_a_name_that_a_failed_export_claimed_is_released_when_its_manifest_was_removed(records, next_export):
    assert claim(records, next_export, "reviews_other")

    succeed(records, next_export, *BOTH)

    assert state_of(records) == (BOTH, (), [*BOTH])


def test_a_name_that_another_pipeline_holds_is_left_to_it(records, next_export):
    records._delete(state._claim("reviews_orders"), held_by=NAME)
    assert records.register(OTHER)

    succeed(records, next_export, "reviews_lines")

    assert records.pipeline(NAME).entities == ("reviews_lines",)
    assert records.holder("reviews_orders") == (OTHER.pipeline, "other-stack")


def test_an_export_without_the_lock_releases_nothing(records, next_export):
    """A delivery that was late: another export has the entities again."""
    after = published(records, next_export, "reviews_lines")
    assert records.move(after, after.fail("cancelled", NOW))
    assert records.begin(an_export(export_id="third", snapshot_timestamp="2026-12-02T02-00-07Z"))

    records.release_entities(after)

    assert state_of(records) == (BOTH, (), [*BOTH])


@pytest.mark.parametrize("moment", ["before", "between"])
def test_the_deletion_of_a_stack_frees_the_names_itself(records, next_export, monkeypatch, moment):
    after, holder = published(records, next_export, "reviews_lines"), records.holder

    def delete(*name):
        monkeypatch.undo()
        records.unregister(NAME, a_pipeline().stack_id)
        return holder(*name) if name else None

    if moment == "before":
        delete()
    else:
        monkeypatch.setattr(records, "holder", delete)
    records.release_entities(after)

    assert records.pipeline(NAME) is None
    assert [records.holder(name) for name in BOTH] == [None, None]
    assert records._get(NAME, "pipeline").keys().isdisjoint({"stack_id", "entities"})
