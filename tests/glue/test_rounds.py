"""What each task of a scan reads in a round. No Spark, no AWS."""

import pytest

from table_export_job.reading import SEGMENT_BYTES, segment_count
from table_export_job.rounds import Position, hot_segment, hot_share, next_round, share_out

KEY = {"id": "x"}


def positions(count, begun=()):
    return [Position(n, KEY if n in begun else None, int(n in begun)) for n in range(count)]


def test_the_rate_is_shared_among_the_tasks_of_a_round():
    tasks = next_round(positions(10), 4, 100, 0.5, 0, 0)

    assert [task.rate for task in tasks] == [25] * 4
    assert sorted(position.segment for task in tasks for position in task.positions) == list(range(10))
    assert not any(task.is_alone for task in tasks)


def test_the_last_segment_has_the_whole_rate():
    [task] = next_round([Position(3, KEY, 2)], 4, 100, 0.5, 0, 0)

    assert (task.rate, task.is_alone, task.positions) == (100, True, [Position(3, KEY, 2)])


def test_no_task_reads_faster_than_a_partition_serves():
    assert {task.rate for task in next_round(positions(2), 4, 40_000, 0.5, 0, 0)} == {3000}


@pytest.mark.parametrize(
    ("item_units", "elapsed", "left", "seconds"),
    [
        (0.5, 0, 0, 50),
        (0.5, 0, 10_000, 1_000),
        (0.5, 8_000, 300, 800),
        (50, 0, 0, 2_000),  # ten items, each at a fourth of one unit per second
    ],
)
def test_a_round_is_long_enough_for_its_pages_and_short_beside_the_scan(item_units, elapsed, left, seconds):
    assert {task.seconds for task in next_round(positions(4), 4, 1, item_units, elapsed, left)} == {seconds}


@pytest.mark.parametrize("begun", [(), (5,), (0, 3, 7, 8)])
@pytest.mark.parametrize("count", [9, 10, 40])
def test_a_task_goes_on_with_the_segment_that_was_begun(count, begun):
    lists = share_out(positions(count, begun), 4)

    assert sorted(position.segment for each in lists for position in each) == list(range(count))
    assert [each[0].segment for each in lists[: len(begun)]] == list(begun)
    assert not any(position.start_key for each in lists for position in each[1:])
    sizes = [len(each) for each in lists]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("table_bytes", "segments"),
    [(0, 4), (1, 1), (SEGMENT_BYTES, 1), (SEGMENT_BYTES + 1, 2), (20 * SEGMENT_BYTES, 20), (10**12, 32)],
)
def test_a_large_table_has_many_more_segments_than_tasks(table_bytes, segments):
    assert segment_count(table_bytes, cores=4) == segments


@pytest.mark.parametrize(
    ("units", "hot"),
    [
        ([], False),
        ([9], False),
        ([0, 0], False),
        ([5, 5, 5, 5], False),
        ([1] * 39 + [39], True),
        ([1] * 9 + [3], False),
    ],
)
def test_a_segment_with_much_more_than_its_share_is_named(units, hot):
    assert bool(hot_segment(units)) == hot


def test_a_hot_segment_is_named_with_its_share():
    units = [1] * 30 + [39] + [1] * 9

    assert hot_segment(units).startswith("Segment 30 of 40 has 50% of what was read")
    assert hot_share(units) == 0.5
    assert hot_share([1] * 40) == 0
