from itertools import product

import pytest

from table_exports.domain.stages import CHARTED, IN_FLIGHT, STAGES, TERMINAL, Operation, Stage, events_between
from table_exports.domain.stages import parse_waiting_on as parse


def test_each_stage_has_a_row_and_each_operation_a_stage():
    assert set(STAGES) == set(Stage)
    assert [row.operation for row in STAGES.values() if row.operation] == list(Operation)


def test_what_is_in_flight_waits_and_has_a_deadline():
    for stage in IN_FLIGHT:
        assert STAGES[stage].next_stages
        assert STAGES[stage].max_duration
    assert {Stage.SUCCEEDED, Stage.FAILED} == TERMINAL


def test_next_stages_come_later_in_the_charts_or_are_the_same():
    for stage in IN_FLIGHT:
        assert all(CHARTED.index(stage) <= CHARTED.index(after) for after in STAGES[stage].next_stages)


@pytest.mark.parametrize("operation", Operation)
def test_what_is_waited_for_is_parsed_as_it_is_written(operation):
    awaited = parse(operation.waiting_on("arn:aws:x:y/z"))

    assert awaited == (operation, "arn:aws:x:y/z")


def test_an_operation_of_a_newer_version_is_kept_as_it_is():
    assert parse("quantum-job/q1") == ("quantum-job", "q1")


# Written out again on purpose, as in test_export.
EVENTS = {
    (Stage.STARTING, Stage.STAGING): ["Export Started"],
    (Stage.STARTING, Stage.EXPORTING): ["Export Started"],
    (Stage.EXPORTING, Stage.CATALOGING): ["Snapshot Written"],
    (Stage.EXPORTING, Stage.PUBLISHING): ["Snapshot Written", "Snapshot Cataloged"],
    (Stage.CATALOGING, Stage.PUBLISHING): ["Snapshot Cataloged"],
    (Stage.PUBLISHING, Stage.SUCCEEDED): ["Export Succeeded"],
} | {(stage, Stage.FAILED): ["Export Failed"] for stage in IN_FLIGHT}


POSSIBLE = [
    (before, after)
    for before, after in product(Stage, Stage)
    if after in STAGES[before].next_stages or before == after or (before in IN_FLIGHT and after == Stage.FAILED)
] + [(Stage.FAILED, Stage.STARTING)]


@pytest.mark.parametrize(("before", "after"), POSSIBLE)
def test_each_transition_has_its_events(before, after):
    assert events_between(before, after) == EVENTS.get((before, after), [])
