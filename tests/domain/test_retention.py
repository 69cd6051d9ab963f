import pytest
from examples import a_pipeline
from hypothesis import given
from hypothesis import strategies as st

from table_exports.domain.errors import InvalidEvent
from table_exports.domain.public_events import ExportSucceeded
from table_exports.domain.retention import superseded


def snapshot(day):
    return f"2026-11-{day:02}T02-00-07Z"


def days(*numbers):
    return [snapshot(day) for day in numbers]


@pytest.mark.parametrize(
    ("keep", "published", "there", "removed"),
    [
        (0, 9, (7, 8, 9), ()),  # all are kept
        (1, 9, (7, 8, 9), (7, 8)),
        (2, 9, (6, 7, 8, 9), (6, 7)),
        (5, 9, (7, 8, 9), ()),
        (1, 9, (8, 9, 10, 11), (8,)),  # newer ones, whose exports failed or are on their way, stay
        (2, 7, (7, 8, 9, 10), ()),  # exports have failed since the 7th
        (2, 9, (7, 8), (7,)),  # of the published one itself nothing may be left: the view is not ours to judge
        (2, None, (7, 8), ()),  # nothing was published yet
    ],
)
def test_the_newest_are_kept_up_to_the_published_one(keep, published, there, removed):
    pipeline = a_pipeline(keep_snapshots=keep, published_snapshot=published and snapshot(published))

    assert superseded(days(*there), pipeline) == days(*removed)


def test_that_of_the_export_in_flight_stays_however_old():
    pipeline = a_pipeline(
        keep_snapshots=1, published_snapshot=snapshot(9), export_in_flight=f"export#{snapshot(7)}#5f0d1c9a7be34f1c2a6e"
    )

    assert superseded(days(6, 7, 8), pipeline) == days(6, 8)


def test_what_is_no_snapshot_is_nobodys_to_remove():
    pipeline = a_pipeline(keep_snapshots=1, published_snapshot=snapshot(9))

    assert superseded(["", "..", "0", "backup", f"{snapshot(1)}.json.publishing"], pipeline) == []


@given(
    there=st.sets(st.integers(1, 28)),
    keep=st.integers(0, 30),
    published=st.integers(1, 28),
    in_flight=st.none() | st.integers(1, 28),
)
def test_what_is_shown_or_in_the_making_is_never_removed(there, keep, published, in_flight):
    record = in_flight and f"export#{snapshot(in_flight)}#5f0d1c9a7be34f1c2a6e"
    pipeline = a_pipeline(keep_snapshots=keep, published_snapshot=snapshot(published), export_in_flight=record)

    there = {*days(*there), snapshot(published)}

    removed = superseded(there, pipeline)

    left = there - set(removed)
    assert removed == sorted(removed)
    assert not {name for name in removed if name >= snapshot(published)}
    assert record is None or snapshot(in_flight) not in removed
    assert len(left) >= min(keep or len(there), len(there))


@pytest.mark.parametrize(
    ("detail", "field"),
    [
        (None, "detail"),
        ({}, "detail.pipeline"),
        ({"pipeline": "a/b", "export_id": "e1"}, "detail.pipeline"),
        ({"pipeline": "reviews-parquet", "export_id": 7}, "detail.export_id"),
    ],
)
def test_an_event_without_a_name_is_refused_with_the_field(detail, field):
    with pytest.raises(InvalidEvent) as refused:
        ExportSucceeded.from_event({"detail": detail})
    assert refused.value.field == field
