from datetime import timedelta
from decimal import Decimal
from itertools import product

import pytest
from examples import NOW, a_pipeline, an_export

from table_exports.domain.export import TERMINAL, IllegalTransition, Stage

# Written out again on purpose: read from the code, the table would agree with any mistake in it.
ALLOWED = {
    (Stage.STARTING, Stage.STAGING),
    (Stage.STARTING, Stage.EXPORTING),
    (Stage.STAGING, Stage.EXPORTING),
    (Stage.EXPORTING, Stage.CATALOGING),
    (Stage.EXPORTING, Stage.PUBLISHING),
    (Stage.CATALOGING, Stage.CATALOGING),
    (Stage.CATALOGING, Stage.PUBLISHING),
    (Stage.PUBLISHING, Stage.SUCCEEDED),
}


def accepts(export, after):
    try:
        if after is Stage.SUCCEEDED:
            export.succeed(NOW)
        else:
            export.advance(after, waiting_on="any/1", now=NOW)
    except IllegalTransition:
        return False
    return True


def test_an_export_advances_along_these_steps_and_no_others():
    exports = {stage: an_export(stage=stage) for stage in Stage}

    assert {(a, b) for a, b in product(Stage, Stage) if accepts(exports[a], b)} == ALLOWED


@pytest.mark.parametrize("stage", set(Stage) - TERMINAL)
def test_every_stage_in_flight_may_fail_and_says_where_and_why(stage):
    failed = an_export(stage=stage).fail("no such table", NOW)

    assert (failed.stage, failed.failed_stage, failed.reason) == (Stage.FAILED, stage, "no such table")
    assert (failed.waiting_on, failed.waiting_since, failed.ended_at) == (None, None, NOW)


@pytest.mark.parametrize("stage", TERMINAL)
def test_what_has_ended_cannot_fail_any_more(stage):
    with pytest.raises(IllegalTransition):
        an_export(stage=stage).fail("too late", NOW)


@pytest.mark.parametrize(("stage", "waiting_on"), [(Stage.EXPORTING, None), (Stage.SUCCEEDED, "glue-crawler/x")])
def test_an_export_waits_for_something_exactly_while_it_is_in_flight(stage, waiting_on):
    with pytest.raises(IllegalTransition):
        an_export(stage=stage, waiting_on=waiting_on)


def test_a_stage_begins_a_wait_and_keeps_what_was_learned():
    export = an_export(stage=Stage.EXPORTING)

    cataloging = export.advance(Stage.CATALOGING, waiting_on="glue-crawler/x", now=NOW, items=2)

    assert (cataloging.waiting_on, cataloging.waiting_since, cataloging.items) == ("glue-crawler/x", NOW, 2)
    assert cataloging.export_id == export.export_id


def test_a_pipelines_export_is_of_now_and_has_time_for_job_crawl_and_view():
    export = a_pipeline(timeout_minutes=60).begin("e1", Decimal("0.5"), NOW)

    assert export.record_key == "export#2026-11-23T02-08-10Z#e1"
    assert export.waiting_on == "export-request/e1"
    assert export.deadline - NOW == timedelta(minutes=15)  # to start
    assert export.advance(Stage.EXPORTING, waiting_on="glue-job-run/1", now=NOW).deadline - NOW == timedelta(hours=3)


@pytest.mark.parametrize("stage", [Stage.STAGING, Stage.EXPORTING, Stage.CATALOGING, Stage.PUBLISHING])
def test_a_table_export_has_a_day_more(stage):
    export = an_export(stage=stage, read_mode="export", requested_at=NOW, timeout_minutes=60)

    assert export.deadline - NOW == timedelta(hours=27)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ({"export_in_flight": "export#2026-11-23T02-00-07Z#e1"}, None),
        ({"export_in_flight": "export#2026-11-23T02-00-07Z#e1", "published_snapshot": "2026-11-22T02-00-07Z"}, None),
        ({"export_in_flight": "export#2026-11-23T02-00-07Z#e1", "published_snapshot": "2026-11-23T02-00-07Z"}, "newer"),
        ({"export_in_flight": "export#2026-11-23T02-00-07Z#e1", "published_snapshot": "2026-11-24T02-00-07Z"}, "newer"),
        ({"export_in_flight": "export#2026-11-23T05-00-00Z#e2"}, "Another export took over"),
        ({}, "it has ended"),
    ],
)
def test_only_the_export_in_flight_publishes_and_the_view_never_moves_backwards(head, reason):
    found = a_pipeline(**head).why_not_publish(an_export(stage=Stage.CATALOGING))

    assert found is None if reason is None else reason in found
