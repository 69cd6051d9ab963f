import pytest
from examples import NOW, a_pipeline
from hypothesis import given
from hypothesis import strategies as st

from table_exports.domain.errors import InvalidEvent
from table_exports.domain.pipeline import End
from table_exports.domain.public_events import ExportSucceeded
from table_exports.domain.retention import depending_on_records, published_among, published_to_list, superseded
from table_exports.domain.stages import Stage


def snapshot(day):
    return f"2026-11-{day:02}T02-00-07Z"


def days(*numbers):
    return [snapshot(day) for day in numbers]


def published(*numbers, **changes):
    """A pipeline that published the snapshots of these days, the last one last."""
    names = tuple(days(*numbers))
    return a_pipeline(published_snapshots=names, published_snapshot=names[-1] if names else None, **changes)


@pytest.mark.parametrize(
    ("keep", "succeeded", "existing", "removed"),
    [
        (0, (7, 8, 9), (7, 8, 9), ()),  # all are kept
        (1, (7, 8, 9), (7, 8, 9), (7, 8)),
        (2, (6, 7, 8, 9), (6, 7, 8, 9), (6, 7)),
        (5, (7, 8, 9), (7, 8, 9), ()),
        (2, (6, 7, 9), (6, 7, 8, 9), (6, 8)),  # the 8th was written, but its export failed: it does not count
        (3, (6, 7, 9), (6, 7, 8, 9), (8,)),
        (5, (6, 9), (6, 7, 8, 9), (7, 8)),  # superseded, although fewer are kept than may be
        (1, (8, 9), (8, 9, 10, 11), (8,)),  # newer than the published one: their exports can be resumed
        (2, (7,), (7, 8, 9, 10), ()),  # exports have failed since the 7th
        (2, (7, 8, 9), (7, 8), (7,)),  # nothing may be left of the published one: the view is not ours to judge
        (2, (), (7, 8), ()),  # nothing was published yet
        (2, (7, 9), (1, 2, 7, 9), (1, 2)),  # older than all that are kept, whatever they were
        (3, (7, 9), (1, 2, 7, 9), ()),  # it is not known whether the 1st and 2nd were published
        (3, (7, 9), (1, 2, 7, 8, 9), (8,)),
    ],
)
def test_published_snapshots_are_counted_and_superseded_ones_removed(keep, succeeded, existing, removed):
    assert superseded(days(*existing), published(*succeeded, keep_snapshots=keep)) == days(*removed)


@pytest.mark.parametrize(
    ("succeeded", "existing", "unpublished", "found"),
    [
        ((7, 9), (7, 8, 9, 10), (), (7, 9)),  # from the oldest known one, all are known
        ((7, 9), (9,), (), (9,)),  # only those that exist
        ((7, 9), (1, 2, 7, 9), (2,), (1, 7, 9)),  # the record of the 1st has expired
        ((), (7, 8), (), ()),
    ],
)
def test_published_snapshots_are_told_from_others(succeeded, existing, unpublished, found):
    snapshots = [*days(*existing), "temporary", "$folder$"]

    assert published_among(snapshots, published(*succeeded), days(*unpublished)) == days(*found)


@pytest.mark.parametrize(
    ("keep", "succeeded", "unknown", "removed"),
    [
        (3, (1, 2, 5), (3, 4), ()),  # more than three are kept, until three newer ones were published
        (3, (2, 5, 6), (3, 4), ()),
        (3, (5, 6, 7), (3, 4), (3, 4)),
        (3, (1, 2, 5), (4,), (3,)),  # the export of the 3rd has a record, which says that it has failed
        (5, (1, 2, 5), (3, 4), ()),
    ],
)
def test_a_snapshot_whose_export_has_no_record_is_kept_until_enough_newer_ones_were_published(
    keep, succeeded, unknown, removed
):
    pipeline = published(*succeeded, keep_snapshots=keep)
    existing = days(*{*succeeded, 3, 4})

    assert superseded(existing, pipeline, days(*unknown)) == days(*removed)
    assert depending_on_records(existing, pipeline) == ([] if removed == (3, 4) else days(3, 4))


def test_a_head_of_an_earlier_version_knows_what_was_published_from_its_recent_exports():
    ends = tuple(
        End(export_id=f"e{day}", snapshot_timestamp=snapshot(day), stage=stage, ended_at=NOW, seconds=60)
        for day, stage in [(6, Stage.SUCCEEDED), (7, Stage.SUCCEEDED), (8, Stage.FAILED), (9, Stage.SUCCEEDED)]
    )
    pipeline = a_pipeline(keep_snapshots=2, published_snapshot=snapshot(9), recent=ends)

    assert superseded(days(6, 7, 8, 9), pipeline) == days(6, 8)


def test_the_snapshot_of_the_export_in_flight_stays_however_old():
    pipeline = published(6, 8, 9, keep_snapshots=1, export_in_flight=f"export#{snapshot(7)}#5f0d1c9a7be34f1c2a6e")

    assert superseded(days(6, 7, 8, 9), pipeline) == days(6, 8)


def test_other_names_are_nobodys_to_remove():
    pipeline = published(9, keep_snapshots=1)

    assert superseded(["", "..", "0", "backup", f"{snapshot(1)}.json.publishing"], pipeline) == []


@given(
    ended=st.dictionaries(st.integers(1, 28), st.booleans()),  # per day, whether the export published its snapshot
    unknown=st.sets(st.integers(1, 28)),  # exist without a known export
    lost=st.sets(st.integers(1, 28)),  # someone deleted them
    keep=st.integers(0, 30),
    in_flight=st.none() | st.integers(1, 28),
)
def test_the_rules_hold_for_every_history(ended, unknown, lost, keep, in_flight):
    listed = [snapshot(day) for day in sorted(ended) if ended[day]]
    existing = set(days(*((ended.keys() | unknown) - lost)))
    pipeline = a_pipeline(
        keep_snapshots=keep,
        published_snapshot=max(listed, default=None),
        published_snapshots=published_to_list(listed, keep),
        export_in_flight=in_flight and f"export#{snapshot(in_flight)}#5f0d1c9a7be34f1c2a6e",
    )

    removed = superseded(existing, pipeline)

    newest = [name for name in listed if name in existing | {pipeline.published_snapshot}][-keep:] if keep else listed
    assert removed == sorted(set(removed) & existing)
    assert not set(removed) & set(newest)  # the newest published ones stay
    assert not [name for name in removed if name >= (pipeline.published_snapshot or "")]
    assert in_flight is None or snapshot(in_flight) not in removed
    if not keep or not listed:
        assert removed == []
        return
    failed = {snapshot(day) for day in ended if not ended[day]}
    for name in failed & existing - set(removed):  # an unpublished one stays only if it may still be needed
        assert name > pipeline.published_snapshot or name < min(pipeline.published) or name == snapshot(in_flight or 0)
    kept = existing - set(removed)
    superfluous = [name for name in kept if name < min(newest) and len(newest) >= keep]
    assert superfluous in ([], [snapshot(in_flight or 0)])  # as many stay as are to be kept


@given(listed=st.sets(st.integers(1, 28)), keep=st.integers(0, 40))
def test_a_head_lists_as_many_published_snapshots_as_are_counted(listed, keep):
    found = published_to_list(days(*listed), keep)

    assert list(found) == days(*sorted(listed))[-max(keep, 15) :]


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
