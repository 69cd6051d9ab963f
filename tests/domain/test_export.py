from datetime import timedelta
from decimal import Decimal
from itertools import product

import pytest
from examples import NOW, a_pipeline, an_export

from table_exports.domain.export import IllegalTransition
from table_exports.domain.stages import TERMINAL, Stage

# Written out again on purpose: read from the code, the table would agree with any mistake in it.
ALLOWED = {
    (Stage.STARTING, Stage.STAGING),
    (Stage.STARTING, Stage.EXPORTING),
    (Stage.STAGING, Stage.EXPORTING),
    (Stage.EXPORTING, Stage.EXPORTING),
    (Stage.EXPORTING, Stage.CATALOGING),
    (Stage.EXPORTING, Stage.PUBLISHING),
    (Stage.CATALOGING, Stage.CATALOGING),
    (Stage.CATALOGING, Stage.PUBLISHING),
    (Stage.PUBLISHING, Stage.PUBLISHING),
    (Stage.PUBLISHING, Stage.SUCCEEDED),
}


def accepts(export, after):
    try:
        if after is Stage.SUCCEEDED:
            export.succeed(NOW)
        else:
            export.advance(after, "1", NOW)
    except IllegalTransition:
        return False
    return True


def test_an_export_advances_along_these_steps_and_no_others():
    exports = {stage: an_export(stage=stage) for stage in Stage}

    assert {(a, b) for a, b in product(Stage, Stage) if accepts(exports[a], b)} == ALLOWED


@pytest.mark.parametrize("stage", sorted(set(Stage) - TERMINAL))
def test_every_stage_in_flight_may_fail_and_says_where_and_why(stage):
    failed = an_export(stage=stage).fail("no such table", NOW)

    assert (failed.stage, failed.failed_stage, failed.reason) == (Stage.FAILED, stage, "no such table")
    assert (failed.waiting_on, failed.waiting_since, failed.ended_at) == (None, None, NOW)


@pytest.mark.parametrize("stage", sorted(TERMINAL))
def test_what_has_ended_cannot_fail_any_more(stage):
    with pytest.raises(IllegalTransition):
        an_export(stage=stage).fail("too late", NOW)


@pytest.mark.parametrize(("stage", "waiting_on"), [(Stage.EXPORTING, None), (Stage.SUCCEEDED, "glue-crawler/x")])
def test_an_export_waits_for_something_exactly_while_it_is_in_flight(stage, waiting_on):
    with pytest.raises(IllegalTransition):
        an_export(stage=stage, waiting_on=waiting_on)


def test_a_stage_begins_a_wait_for_its_operation():
    export = an_export(stage=Stage.EXPORTING, crawler_name="x")

    cataloging = export.wrote(items=2, files=1, size=9, warning=None).crawl(True, NOW)

    assert (cataloging.waiting_on, cataloging.waiting_since, cataloging.items) == ("glue-crawler/x", NOW, 2)
    assert cataloging.own_crawl
    assert cataloging.export_id == export.export_id


def test_a_pipelines_export_is_of_now_and_claimed_for_its_first_delivery():
    export = a_pipeline(max_attempts=3).begin("e1", Decimal("0.5"), NOW)

    assert export.record_key == "export#2026-11-23T02-08-10Z#e1"
    assert export.waiting_on == "export-request/e1"
    assert (export.attempt, export.max_attempts) == (1, 3)
    assert export.is_claimed(NOW + timedelta(seconds=59))
    assert not export.is_claimed(NOW + timedelta(seconds=60))


@pytest.mark.parametrize(
    ("stage", "hours"),
    [
        (Stage.STARTING, 1),
        (Stage.STAGING, 24),
        (Stage.EXPORTING, 9),  # of which 8 are the job's own timeout
        (Stage.CATALOGING, 2),
        (Stage.PUBLISHING, 2),
    ],
)
def test_each_wait_has_a_deadline_and_an_hour_later_it_is_given_up(stage, hours):
    export = an_export(stage=stage, waiting_since=NOW, timeout_minutes=480)
    just_after = export.deadline + timedelta(seconds=1)

    assert export.deadline - NOW == timedelta(hours=hours)
    assert (export.is_overdue(export.deadline), export.is_overdue(just_after)) == (False, True)
    assert not export.is_given_up(just_after)
    assert export.is_given_up(just_after + timedelta(hours=1))


def test_what_has_ended_is_never_overdue():
    assert not an_export(stage=Stage.FAILED).is_overdue(NOW + timedelta(days=99))
    assert not an_export(stage=Stage.FAILED).is_given_up(NOW + timedelta(days=99))


def test_an_export_that_is_given_up_says_what_it_waited_for_and_what_held_it_up():
    export = an_export(stage=Stage.CATALOGING, waiting_on="glue-crawler/x", waiting_since=NOW)

    assert export.defer("Glue is busy").fail("no such table", NOW).reason == "no such table"
    assert export.give_up(NOW).reason == "Waited for glue-crawler/x since 2026-11-23 02:08:10 UTC, without a result"
    assert export.defer("Glue is busy").give_up(NOW).reason.endswith("UTC, without a result (Glue is busy)")
    unhandled = export.defer("Glue is busy").give_up(NOW, "Export Requested")
    assert unhandled.reason.endswith("Correct the cause, then resume the export (Glue is busy)")


def test_what_held_an_export_up_is_forgotten_when_it_moves_on():
    deferred = an_export(stage=Stage.CATALOGING, claimed_at=NOW).defer("Glue is busy")

    published = deferred.advance(Stage.PUBLISHING, "q", NOW)

    assert (deferred.claimed_at, published.blocked_reason) == (None, None)


def test_a_failed_export_is_resumed_with_attempts_of_its_own():
    failed = an_export(attempt=2, max_attempts=2, read_plan="By scan").fail("no luck", NOW)

    resumed = failed.resume("r1", max_attempts=3, now=NOW)

    assert (resumed.stage, resumed.waiting_on, resumed.claimed_at) == (Stage.STARTING, "export-request/e1", NOW)
    assert (resumed.attempt, resumed.max_attempts) == (3, 3)
    assert (resumed.ended_at, resumed.failed_stage, resumed.reason, resumed.read_plan) == (None, None, None, None)


@pytest.mark.parametrize("known", [{"table_export": "s3://b/k"}, {"glue_job_run_id": "jr_1"}])
def test_what_was_read_already_keeps_its_plan(known):
    failed = an_export(read_plan="By scan", **known).fail("no luck", NOW)

    assert failed.resume("r1", max_attempts=1, now=NOW).read_plan == "By scan"


def test_what_dynamodb_exported_days_ago_has_expired_and_is_planned_anew():
    failed = an_export(read_plan="By export", table_export="s3://b/k", requested_at=NOW).fail("no luck", NOW)

    resumed = failed.resume("r1", max_attempts=1, now=NOW + timedelta(days=2))

    assert (resumed.table_export, resumed.read_plan) == (None, None)


@pytest.mark.parametrize("stage", sorted(set(Stage) - {Stage.FAILED}))
def test_only_what_failed_is_resumed(stage):
    with pytest.raises(IllegalTransition):
        an_export(stage=stage).resume("r1", max_attempts=1, now=NOW)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ({"export_in_flight": "export#2026-11-23T02-00-07Z#e1"}, None),
        ({"export_in_flight": "export#2026-11-23T02-00-07Z#e1", "published_snapshot": "2026-11-22T02-00-07Z"}, None),
        ({"export_in_flight": "export#2026-11-23T02-00-07Z#e1", "asked_to_show": "2026-11-23T02-00-07Z"}, None),
        ({"export_in_flight": "export#2026-11-23T02-00-07Z#e1", "asked_to_show": "2026-11-24T02-00-07Z"}, "newer"),
        ({"export_in_flight": "export#2026-11-23T02-00-07Z#e1", "published_snapshot": "2026-11-24T02-00-07Z"}, "newer"),
        ({"export_in_flight": "export#2026-11-23T05-00-00Z#e2"}, "Another export took over"),
        ({}, "it has ended"),
    ],
)
def test_only_the_export_in_flight_publishes_and_the_view_never_moves_backwards(head, reason):
    found = a_pipeline(**head).why_not_publish(an_export(stage=Stage.CATALOGING))

    assert found is None if reason is None else reason in found
