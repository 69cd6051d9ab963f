"""Exports with entities: their tables need no crawl, and their views are published together, a few at a time."""

import re
import shlex
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatch
from itertools import pairwise

import pytest
from botocore.exceptions import ClientError
from examples import NOW, a_manifest_of, a_section

from on_glue_complete.handler import on_job_run_ended
from on_view_complete.handler import on_query_ended
from reconcile_exports.handler import reconcile
from table_exports.domain.aws_events import QueryEnded
from table_exports.domain.export import CLAIM, VIEWS_AT_ONCE, EntityItems
from table_exports.domain.stages import Stage

SUCCEEDED = "glue-job-run/jr_abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
SNAPSHOT = "2026-11-23T02-00-07Z"
PIPELINE = "reviews-parquet"
ORDERS, OTHER = a_section("reviews_orders", items=3), a_section("reviews_other", items=2, value=None)
WIDE = a_section("reviews", items=5)
MANY = [a_section(f"reviews_e{n:02}") for n in range(23)]


def query_of(name, attempt=1):
    view = "" if name == "reviews" else f"{name}-"
    return f"{view}query-of-e1" + (f"-{attempt}" if attempt > 1 else "")


@pytest.fixture
def publish(cloud, in_flight, aws_event):
    """The job has written a snapshot of these sections, and its event arrives."""

    def write(*sections, at=NOW, **fields):
        cloud.manifests.manifest = a_manifest_of(*sections)
        in_flight(Stage.EXPORTING, SUCCEEDED, **fields)
        on_job_run_ended(aws_event("glue_job_succeeded"), cloud, at)
        return cloud.the_export()

    return write


@pytest.fixture
def ended(cloud, aws_event):
    """A query has ended, and its event arrives. It is of the view with this name, at this attempt."""

    def end(name, state="SUCCEEDED", attempt=1, at=NOW, arrives=True, **error):
        query = query_of(name, attempt)
        more = {"athenaError": error} if error else {}
        event = aws_event("athena_query_succeeded", queryExecutionId=query, currentState=state, **more)
        cloud.athena.ends[query] = QueryEnded.from_event(event)
        if arrives:
            on_query_ended(event, cloud, at)
        return cloud.the_export()

    return end


def test_the_tables_are_cataloged_from_the_manifest_without_a_crawl(cloud, publish):
    cloud.set_head(catalog_update="always")

    export = publish(ORDERS, OTHER)

    assert cloud.glue.crawled == []
    assert cloud.glue.cataloged == [
        "table snapshots_reviews_orders",
        f"partition {SNAPSHOT}",
        "table snapshots_reviews_other",
        f"partition {SNAPSHOT}",
    ]
    assert (export.stage, export.queries) == (
        Stage.PUBLISHING,
        (query_of("reviews_orders"), query_of("reviews_other")),
    )
    assert export.awaited_id == query_of("reviews_other")
    assert export.entities == (EntityItems("reviews_orders", 3, "orders"), EntityItems("reviews_other", 2, None))
    assert (export.items, export.wide, export.appeared) == (5, False, ("reviews_orders", "reviews_other"))


def test_the_table_of_all_items_is_published_with_the_entities(cloud, publish):
    export = publish(ORDERS, OTHER, WIDE)

    assert export.queries == (query_of("reviews"), query_of("reviews_orders"), query_of("reviews_other"))
    assert (export.wide, len(export.entities), export.views_left) == (True, 2, 0)
    assert cloud.records.pipeline(PIPELINE).entities == ("reviews_orders", "reviews_other")


def test_the_names_of_new_entities_are_claimed_and_checked_once(cloud, publish):
    cloud.set_head(entities=("reviews_orders",))

    export = publish(ORDERS, OTHER)

    assert cloud.glue.names_checked == ["reviews_other"]
    assert cloud.records.pipeline(PIPELINE).entities == ("reviews_orders", "reviews_other")
    assert cloud.records.holder("reviews_other") == (PIPELINE, cloud.registered.stack_id)
    assert export.appeared == ("reviews_other",)


def another_holds(cloud, name, stack="other-stack"):
    other = replace(
        cloud.registered,
        pipeline=f"{name}-parquet",
        catalog_name=name,
        stack_id=stack,
        output_prefix=f"s3://bucket/exports/snapshots_{name}",
    )
    assert cloud.records.register(other)


def test_a_name_that_another_pipeline_holds_fails_the_export_before_a_view_is_asked_for(cloud, publish):
    another_holds(cloud, "reviews_other")

    export = publish(ORDERS, OTHER)

    assert export.stage == Stage.FAILED
    assert export.reason.startswith(
        "reviews_other, the name of an entity, is taken by the pipeline reviews_other-parquet in stack other-stack. "
    )
    assert "give the type another `name` in Entities" in export.reason
    assert (cloud.glue.cataloged, cloud.athena.published) == ([], [])
    assert cloud.records.pipeline(PIPELINE).entities == ()


def test_a_name_of_a_stack_that_is_gone_is_taken_over(cloud, publish):
    another_holds(cloud, "reviews_other", stack="vanished")
    cloud.stacks.gone.add("vanished")

    assert publish(ORDERS, OTHER).stage == Stage.PUBLISHING

    assert cloud.records.holder("reviews_other") == (PIPELINE, cloud.registered.stack_id)
    assert cloud.records.pipeline("reviews_other-parquet") is None


def test_a_table_or_view_of_someone_else_fails_the_export_before_its_name_is_claimed(cloud, publish):
    cloud.glue.names_taken = "The name of the pipeline's view is taken"

    assert publish(ORDERS, OTHER).reason == cloud.glue.names_taken

    assert cloud.records.pipeline(PIPELINE).entities == ()
    assert cloud.athena.published == []


def test_a_claim_that_lost_a_race_is_tried_again_later(cloud, publish, monkeypatch):
    monkeypatch.setattr(cloud.records, "claim_entities", lambda *_: False)

    export = publish(ORDERS, OTHER)

    assert (export.stage, export.claimed_at) == (Stage.EXPORTING, None)
    assert export.blocked_reason == "A name of an entity, or the record of reviews-parquet, has just changed"


def test_names_are_claimed_in_several_transactions_if_there_are_many(cloud, publish):
    names = [f"reviews_e{n:03}" for n in range(150)]

    publish(*map(a_section, names))

    assert cloud.records.pipeline(PIPELINE).entities == tuple(names)


def test_the_export_succeeds_when_all_queries_have(cloud, publish, ended):
    publish(ORDERS, OTHER)

    export = ended("reviews_other")
    assert (export.stage, export.awaited_id) == (Stage.PUBLISHING, query_of("reviews_orders"))
    assert cloud.records.pipeline(PIPELINE).published_snapshot is None

    export = ended("reviews_orders")

    assert (export.stage, export.queries) == (Stage.SUCCEEDED, ())
    pipeline = cloud.records.pipeline(PIPELINE)
    assert (pipeline.published_snapshot, pipeline.new_entities) == (SNAPSHOT, ())
    assert pipeline.entities == ("reviews_orders", "reviews_other")


def test_athena_is_asked_about_queries_whose_events_came_first_or_never(cloud, publish, ended):
    publish(ORDERS, OTHER, WIDE)
    assert ended("reviews").awaited_id == query_of("reviews_other")
    ended("reviews_orders", arrives=False)

    assert ended("reviews_other").stage == Stage.SUCCEEDED


def test_an_event_that_comes_twice_changes_nothing(cloud, publish, ended):
    publish(ORDERS, OTHER)
    once = ended("reviews_other")

    assert ended("reviews_other") == once


def test_the_reason_says_who_cancelled_the_queries_whichever_ends_first(cloud, publish, ended):
    export = publish(ORDERS, OTHER)
    assert cloud.records.move(export, replace(export, blocked_reason="cancelled by someone"))

    assert ended("reviews_other").stage == Stage.PUBLISHING
    failed = ended("reviews_orders", state="CANCELLED")

    assert failed.stage == Stage.FAILED
    assert failed.reason.endswith("(cancelled by someone)")


def test_a_query_that_ends_before_it_is_waited_for_is_told_again(cloud, publish, ended, monkeypatch):
    """Its event found no export, so nothing would come before the reconciler does."""
    publish(ORDERS, OTHER)
    move = cloud.records.move

    def ends_meanwhile(before, after):
        if after.waiting_on == f"athena-query/{query_of('reviews_orders')}":
            ended("reviews_orders", arrives=False)
        return move(before, after)

    monkeypatch.setattr(cloud.records, "move", ends_meanwhile)
    ended("reviews_other")

    assert [end.query_id for end in cloud.bus.republished] == [query_of("reviews_orders")]


def test_the_next_views_follow_when_all_of_the_first_have_ended(cloud, publish, ended):
    export = publish(*MANY)
    names = [section.name for section in MANY]
    assert len(export.queries) == VIEWS_AT_ONCE
    assert len(cloud.athena.published) == VIEWS_AT_ONCE
    for name in names[: VIEWS_AT_ONCE - 1]:
        ended(name, arrives=False)

    export = ended(names[VIEWS_AT_ONCE - 1])
    assert export.queries == tuple(map(query_of, names[: 2 * VIEWS_AT_ONCE]))
    assert export.queries_together == export.queries[VIEWS_AT_ONCE:]
    for name in names[VIEWS_AT_ONCE : 2 * VIEWS_AT_ONCE - 1]:
        ended(name, arrives=False)
    export = ended(names[2 * VIEWS_AT_ONCE - 1])
    assert (len(export.queries), len(export.queries_together), export.views_left) == (23, 3, 0)
    assert cloud.records.pipeline(PIPELINE).published_snapshot is None

    ended(names[21])
    ended(names[20], arrives=False)
    assert ended(names[22]).stage == Stage.SUCCEEDED
    assert len(cloud.athena.published) == len(MANY)


ATHENA_ERROR = {"retryable": True, "errorMessage": "internal"}


def test_a_query_that_failed_is_repeated_with_those_of_its_batch_when_all_have_ended(cloud, publish, ended):
    publish(*MANY[:12], max_attempts=2)
    names = [section.name for section in MANY]
    for name in names[:9]:
        ended(name, arrives=False)
    ended(names[9])

    export = ended(names[11], "FAILED", **ATHENA_ERROR)
    assert (export.stage, export.awaited_id, export.attempt) == (Stage.PUBLISHING, query_of(names[10]), 1)

    export = ended(names[10])
    assert (export.attempt, export.awaited_id) == (2, query_of(names[11], 2))
    assert export.queries[10:] == (query_of(names[10], 2), query_of(names[11], 2))
    ended(names[10], attempt=2, arrives=False)
    assert ended(names[11], attempt=2).stage == Stage.SUCCEEDED


@pytest.mark.parametrize(
    ("ends", "decides"),
    [
        ([("SUCCEEDED", {}), ("FAILED", {"errorMessage": "no table"})], "reviews_other"),
        ([("FAILED", {"errorMessage": "no table"}), ("SUCCEEDED", {})], "reviews_orders"),
        ([("FAILED", {"errorMessage": "no table"}), ("FAILED", ATHENA_ERROR)], "reviews_orders"),
        ([("CANCELLED", {}), ("FAILED", ATHENA_ERROR)], "reviews_orders"),
    ],
)
def test_the_worst_end_fails_the_export(cloud, publish, ended, ends, decides):
    publish(ORDERS, OTHER, max_attempts=2)
    (first, first_error), (last, last_error) = ends
    ended("reviews_orders", first, arrives=False, **first_error)

    export = ended("reviews_other", last, **last_error)

    assert export.stage == Stage.FAILED
    assert export.reason.startswith(f"Athena query {query_of(decides)} ended ")
    pipeline = cloud.records.pipeline(PIPELINE)
    assert (pipeline.published_snapshot, pipeline.new_entities) == (None, ("reviews_orders", "reviews_other"))


def test_a_resumed_export_publishes_all_views_and_its_entities_are_still_new(cloud, publish, ended, aws_event):
    publish(ORDERS, OTHER)
    ended("reviews_orders", arrives=False)
    failed = ended("reviews_other", "CANCELLED")
    resumed = failed.resume("again", 1, NOW)
    assert cloud.records.resume(failed, resumed)
    assert cloud.records.move(resumed, resumed.run_job(SUCCEEDED.partition("/")[2], NOW))

    on_job_run_ended(aws_event("glue_job_succeeded"), cloud, NOW)

    export = cloud.the_export()
    assert export.queries == (query_of("reviews_orders", 2), query_of("reviews_other", 2))
    assert export.appeared == ("reviews_orders", "reviews_other")


@pytest.mark.parametrize(
    ("part", "step"),
    [
        ("records", "claim_entities"),
        ("glue", "ensure_cataloged"),
        ("glue", "ensure_partition"),
        ("athena", "create_view"),
        ("records", "move"),
    ],
)
def test_a_publication_that_died_goes_on_when_the_event_comes_again(cloud, publish, aws_event, monkeypatch, part, step):
    call = getattr(getattr(cloud, part), step)

    def killed(*arguments):
        if step == "move" and arguments[-1].stage != Stage.PUBLISHING:
            return call(*arguments)
        monkeypatch.setattr(getattr(cloud, part), step, call)
        if step != "move":
            call(*arguments)
        raise ConnectionError("killed")

    monkeypatch.setattr(getattr(cloud, part), step, killed)
    with pytest.raises(ConnectionError):
        publish(ORDERS, OTHER)

    on_job_run_ended(aws_event("glue_job_succeeded"), cloud, NOW + CLAIM)

    export = cloud.the_export()
    assert export.queries == (query_of("reviews_orders"), query_of("reviews_other"))
    assert export.appeared == ("reviews_orders", "reviews_other") == cloud.records.pipeline(PIPELINE).entities


def test_an_export_that_lost_the_lock_publishes_no_more_views(cloud, publish, ended):
    publish(*MANY)
    cloud.set_head(export_in_flight="export#2026-11-23T09-00-00Z#e2")
    for section in MANY[: VIEWS_AT_ONCE - 1]:
        ended(section.name, arrives=False)

    assert ended(MANY[VIEWS_AT_ONCE - 1].name).reason == "Another export took over: e2"
    assert len(cloud.athena.published) == VIEWS_AT_ONCE


def test_a_view_that_is_too_large_fails_the_export_before_any_view_changes(cloud, publish):
    cloud.athena.too_large = MANY[22].name

    export = publish(*MANY)

    assert (export.stage, export.final) == (Stage.FAILED, True)
    assert export.reason == f"View {MANY[22].name} cannot be created: it is too large"
    assert (cloud.athena.published, cloud.records.pipeline(PIPELINE).entities) == ([], ())


def test_each_batch_of_views_has_its_own_attempts(cloud, publish, ended):
    publish(*MANY, max_attempts=2)
    names = [section.name for section in MANY]
    for name in names[:9]:
        ended(name, arrives=False)
    assert ended(names[9], "FAILED", **ATHENA_ERROR).attempt == 2
    for name in names[:9]:
        ended(name, arrives=False, attempt=2)
    assert len(ended(names[9], attempt=2).queries) == 20

    for name in names[10:19]:
        ended(name, arrives=False, attempt=2)
    export = ended(names[19], "FAILED", attempt=2, **ATHENA_ERROR)
    assert (export.stage, export.attempt) == (Stage.PUBLISHING, 3)

    for name in names[10:19]:
        ended(name, arrives=False, attempt=3)
    assert ended(names[19], "FAILED", attempt=3, **ATHENA_ERROR).stage == Stage.FAILED


def test_an_export_whose_next_views_cannot_be_published_is_given_up(cloud, publish, ended):
    publish(*MANY)
    for section in MANY[:9]:
        ended(section.name, arrives=False)
    cloud.athena.busy = "Throttling"
    assert ended(MANY[9].name).views_left == 13

    reconcile(cloud, NOW + timedelta(days=1))

    assert cloud.the_export().stage == Stage.FAILED
    assert cloud.records.pipeline(PIPELINE).published_snapshot is None


def test_an_export_whose_views_all_show_its_snapshot_is_not_given_up(cloud, publish, ended):
    publish(ORDERS, OTHER)
    ended(ORDERS.name, arrives=False)
    ended(OTHER.name, arrives=False)

    for minutes in (0, 5):
        reconcile(cloud, NOW + timedelta(days=1, minutes=minutes))

    assert cloud.the_export().stage == Stage.PUBLISHING
    assert [end.query_id for end in cloud.bus.republished] == [query_of(OTHER.name)]


@pytest.mark.parametrize(("wide", "published"), [(None, True), (SNAPSHOT, True), ("2026-11-22T02-00-07Z", None)])
def test_a_snapshot_is_published_if_the_view_of_all_items_shows_it_too(cloud, in_flight, aws_event, wide, published):
    cloud.set_head(entities=("reviews_orders", "reviews_other"))
    cloud.glue.shown = {"reviews_orders": SNAPSHOT, "reviews_other": SNAPSHOT} | ({"reviews": wide} if wide else {})
    in_flight(Stage.EXPORTING, SUCCEEDED, interrupted_at=NOW)
    assert cloud.records.ask_to_show(cloud.the_export())
    cloud.manifests.refuses = "The manifest is gone"

    on_job_run_ended(aws_event("glue_job_succeeded"), cloud, NOW)

    assert cloud.the_export().published is published
    assert (cloud.records.pipeline(PIPELINE).published_snapshot == SNAPSHOT) is bool(published)


def test_the_command_that_deletes_a_snapshot_deletes_all_of_it_and_nothing_else(cloud, publish):
    another_holds(cloud, "reviews_orders")
    export = publish(ORDERS, OTHER, WIDE)
    _, _, _, folder, *options = shlex.split(re.search(r"aws s3 rm .*?\.json\"", export.reason)[0])
    patterns = [each for option, each in pairwise(options) if option == "--include"]

    def is_deleted(uri):
        return uri.startswith(folder) and any(fnmatch(uri.removeprefix(folder), each) for each in patterns)

    for section in (ORDERS, OTHER, WIDE):
        assert is_deleted(f"{section.location}part-00000.zstd.parquet")
        assert not is_deleted(f"{section.location.replace('2026-11-23', '2026-11-22')}part-00000.zstd.parquet")
    assert is_deleted(export.manifest_uri)
    assert not is_deleted(export.manifest_uri.replace("2026-11-23", "2026-11-22"))
    assert not is_deleted(export.snapshot_location.replace("snapshots_reviews", "snapshots_reviews_2") + "part")


def test_a_success_releases_the_entities_that_the_snapshot_does_not_have(cloud, publish, ended):
    """Someone started over, and a type has no items any more."""
    names = ("reviews_orders", "reviews_lines", *(section.name for section in MANY))
    cloud.set_head(entities=names)
    publish(*MANY)

    for first in (0, 10, 20):
        assert cloud.records.pipeline(PIPELINE).entities == names
        for section in MANY[first : first + 10]:
            ended(section.name)

    assert cloud.the_export().stage == Stage.SUCCEEDED
    assert cloud.records.pipeline(PIPELINE).entities == names[2:]
    assert cloud.records.pipeline(PIPELINE).export_in_flight is None


@pytest.mark.parametrize(("code", "stage"), [("AccessDeniedException", Stage.SUCCEEDED), ("Throttling", None)])
def test_an_export_succeeds_although_the_names_may_not_be_released(cloud, publish, ended, monkeypatch, code, stage):
    """The views show the snapshot. The next success releases the names."""
    cloud.set_head(entities=("reviews_orders", "reviews_lines"))
    publish(ORDERS)

    def refuse(export):
        raise ClientError({"Error": {"Code": code}}, "TransactWriteItems")

    monkeypatch.setattr(cloud.records, "release_entities", refuse)
    if stage is None:
        with pytest.raises(ClientError):
            ended("reviews_orders")
    else:
        assert ended("reviews_orders").stage == stage
        assert cloud.records.pipeline(PIPELINE).entities == ("reviews_orders", "reviews_lines")


def test_a_failure_releases_no_entities(cloud, publish, ended):
    cloud.set_head(entities=("reviews_orders", "reviews_lines"))
    publish(ORDERS)

    assert ended("reviews_orders", "FAILED").stage == Stage.FAILED

    assert cloud.records.pipeline(PIPELINE).entities == ("reviews_orders", "reviews_lines")
