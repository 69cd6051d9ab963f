from datetime import timedelta

import pytest
from examples import NOW, a_pipeline, an_export, ends

from table_exports.domain.reports.overview import Cataloged, overview
from table_exports.domain.stages import Stage


def named(name, **more):
    return a_pipeline(pipeline=name, **more)


def test_those_that_need_a_person_come_first_then_those_in_flight_then_by_name():
    pipelines = [named("b"), named("a"), named("d", recent=ends(1, last=Stage.FAILED)), named("c")]

    found = overview(pipelines, [an_export(pipeline="c")], NOW)

    assert [row.name for row in found.rows] == ["d", "c", "a", "b"]
    assert (found.in_flight, found.needing_attention, found.with_problem("failing"), found.with_problem("stale")) == (
        1,
        1,
        1,
        0,
    )


def test_a_row_says_how_old_and_large_the_latest_snapshot_is_and_how_long_exports_take():
    latest = ends(100, 120, 90)
    pipeline = a_pipeline(recent=latest, published_snapshot="2026-11-23T02-00-07Z")

    [row] = overview([pipeline], [an_export(requested_at=NOW - timedelta(seconds=30))], NOW).rows

    assert (row.seconds, row.usual_seconds, row.problems) == (30, 100, ())
    assert row.snapshot_age == timedelta(minutes=8, seconds=3)
    assert row.items is None  # of a version that did not remember
    assert row.last_end == latest[-1]


def test_a_pipeline_that_did_nothing_yet_has_a_row():
    [row] = overview([a_pipeline()], [], NOW).rows

    assert (row.in_flight, row.seconds, row.snapshot_age, row.last_end, row.problems) == (None, None, None, None, ())


def test_without_pipelines_there_is_nothing():
    assert overview([], [], NOW).rows == ()


def test_a_pipeline_that_has_published_and_has_no_view_comes_first():
    published = {"published_snapshot": "2026-11-23T02-00-07Z"}
    lost, whole = a_pipeline(pipeline="z", catalog_name="z", **published), a_pipeline(catalog_name="a", **published)
    failing = a_pipeline(pipeline="b", catalog_name="b", recent=ends(1, last=Stage.FAILED))

    found = overview([whole, lost, failing], [], NOW).with_views(
        Cataloged(frozenset(), {"a": published["published_snapshot"]})
    )

    assert [(row.name, row.problems) for row in found.rows] == [
        ("z", ("unqueryable",)),
        ("b", ("failing",)),
        (whole.pipeline, ()),
    ]
    assert found.needing_attention == 2


NEWER, LATEST, BEFORE = (f"2026-11-{day}T02-00-07Z" for day in (24, 23, 22))
APP = {"catalog_name": "app", "output_prefix": "s3://bucket/exports/snapshots_app", "published_snapshot": LATEST}


@pytest.mark.parametrize(
    ("tables", "views", "lost"),
    [
        (set(), {"app_orders": LATEST, "app_users": LATEST}, ()),
        (set(), {"app_orders": LATEST}, ("app_users",)),
        (set(), {"app_orders": BEFORE, "app_users": LATEST}, ("app_orders",)),
        (set(), {"app_orders": None, "app_users": LATEST}, ("app_orders",)),  # of someone else
        (set(), {"app_orders": LATEST, "app_users": NEWER}, ("app_orders",)),
        (set(), {"app_orders": LATEST, "app_users": LATEST, "app_new": NEWER}, ("app_orders", "app_users")),
        (set(), {"app_orders": NEWER, "app_users": NEWER, "app_new": NEWER}, ()),
        (set(), {}, ("app_orders", "app_users")),
        ({"snapshots_app"}, {"app_orders": LATEST, "app_users": LATEST}, ("app",)),
        ({"snapshots_app"}, {"app_orders": LATEST, "app_users": LATEST, "app": BEFORE}, ("app",)),
        ({"snapshots_app"}, {"app_orders": LATEST, "app_users": LATEST, "app": LATEST}, ()),
    ],
)
def test_a_pipeline_with_entities_needs_all_of_their_views(tables, views, lost):
    """And that of all items, if it has such a table. It needs none yet of an entity that no export has published."""
    pipeline = a_pipeline(**APP, entities=("app_orders", "app_users", "app_new"), new_entities=("app_new",))

    [row] = overview([pipeline], [], NOW).with_views(Cataloged(frozenset(tables), views)).rows

    assert (row.lost_views, row.problems) == (lost, ("unqueryable",) if lost else ())


@pytest.mark.parametrize(
    ("in_flight", "lost"), [(NEWER, ()), ("2026-11-25T02-00-07Z", ("app_orders",)), (None, ("app_orders",))]
)
def test_views_may_show_two_snapshots_only_while_the_newer_one_is_published(in_flight, lost):
    holder = in_flight and f"export#{in_flight}#e1"
    pipeline = a_pipeline(**APP, entities=("app_orders", "app_users"), export_in_flight=holder)
    views = {"app_orders": LATEST, "app_users": NEWER}

    [row] = overview([pipeline], [], NOW).with_views(Cataloged(frozenset(), views)).rows

    assert row.lost_views == lost


def test_without_a_published_snapshot_no_view_is_missing():
    pipeline = a_pipeline(entities=("reviews_a",), new_entities=("reviews_a",))

    [row] = overview([pipeline], [], NOW).with_views(Cataloged(frozenset(), {})).rows

    assert row.problems == ()
