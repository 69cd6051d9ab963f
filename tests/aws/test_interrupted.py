"""What an interrupted step may have started, and what is done about it before its export ends."""

from dataclasses import replace
from datetime import timedelta

import pytest
from examples import NOW, an_export
from fakes import FakeGlue

from table_exports.aws.interrupted import settle
from table_exports.domain.aws_events import JobRunEnded
from table_exports.domain.errors import RetryableError
from table_exports.domain.stages import STAGES, Operation, Stage

AGO = NOW - timedelta(minutes=2)
PAST_ITS_CLAIM = NOW + timedelta(minutes=2)


class Heads:
    def __init__(self, snapshot=None):
        self.snapshot = snapshot

    def asked_views(self, export):
        return ("reviews",) if self.snapshot == export.snapshot_timestamp else ()


def interrupted(stage=Stage.STARTING, **known):
    operation = STAGES[stage].operation
    return an_export(stage=stage, waiting_on=operation.waiting_on("x"), claimed_at=AGO, **known)


@pytest.mark.parametrize(
    ("stage", "operations"),
    [
        (Stage.STARTING, (Operation.JOB_RUN,)),
        (Stage.STAGING, (Operation.JOB_RUN,)),
        (Stage.EXPORTING, (Operation.JOB_RUN, Operation.CRAWL, Operation.QUERY)),
        (Stage.CATALOGING, (Operation.CRAWL, Operation.QUERY)),
        (Stage.PUBLISHING, (Operation.QUERY,)),
    ],
)
def test_a_step_may_have_started_what_the_next_stages_wait_for(stage, operations):
    assert interrupted(stage).may_have_started(NOW) == operations


def test_what_a_start_may_have_started_follows_from_its_read_plan():
    planned = interrupted(read_mode="export", read_plan="ReadMode is export")

    assert planned.may_have_started(NOW) == (Operation.TABLE_EXPORT,)
    assert replace(planned, table_export="s3://b/k").may_have_started(NOW) == (Operation.JOB_RUN,)


def test_a_delivery_that_is_at_work_is_not_an_interrupted_one():
    export = interrupted()

    assert replace(export, claimed_at=NOW).may_have_started(NOW) == ()
    assert replace(export, claimed_at=None).may_have_started(NOW) == ()


def test_an_interrupted_step_is_known_until_the_export_moves_on():
    export = replace(interrupted().claim(NOW), read_plan="-")

    assert export.may_have_started(NOW) == (Operation.JOB_RUN,)
    assert export.defer("Glue is busy").may_have_started(NOW) == (Operation.JOB_RUN,)
    assert export.release().may_have_started(NOW) == (Operation.JOB_RUN,)
    assert export.run_job("jr_1", NOW).may_have_started(PAST_ITS_CLAIM) == ()
    assert export.fail("no", NOW).resume("again", 2, NOW).may_have_started(NOW) == ()


def test_an_error_of_aws_interrupts_a_step_and_a_refusal_does_not():
    export = replace(interrupted(), claimed_at=None).claim(NOW)

    assert export.release().may_have_started(NOW) == (Operation.JOB_RUN,)
    assert export.defer("Glue is busy").may_have_started(NOW) == ()


@pytest.mark.parametrize(("stage", "attempt"), [(Stage.STARTING, 1), (Stage.STAGING, 1), (Stage.EXPORTING, 2)])
def test_a_job_run_is_stopped_and_known_to_the_export(stage, attempt):
    export, glue = interrupted(stage), FakeGlue()
    run_id = glue.start_job_run(replace(export, attempt=attempt))

    settled, notes = settle(export, glue, Heads(), NOW)

    assert glue.stopped == [run_id]
    assert (settled.glue_job_run_id, settled.attempt) == (run_id, attempt)
    assert notes == [f"An interrupted step started Glue job run {run_id}, which was stopped"]


def test_a_job_run_that_has_ended_is_reported():
    export, glue = interrupted(), FakeGlue()
    run_id = glue.start_job_run(export)
    glue.ends[run_id] = JobRunEnded(job_name="j", run_id=run_id, state="SUCCEEDED", message="-")

    settled, notes = settle(export, glue, Heads(), NOW)

    assert (glue.stopped, settled.glue_job_run_id) == ([], run_id)
    assert notes == [f"An interrupted step started Glue job run {run_id}, which has ended"]


def test_a_start_that_started_nothing_leaves_nothing_to_report():
    export = interrupted()

    assert settle(export, FakeGlue(), Heads(), NOW) == (export, [])


def test_a_job_that_is_gone_is_reported_because_its_runs_cannot_be_listed():
    export, glue = interrupted(), FakeGlue(refuses="The runs of Glue job j could not be listed")

    _, (note,) = settle(export, glue, Heads(), NOW)

    assert note.startswith(f"An interrupted step may have started a run of Glue job {export.glue_job_name}. The runs")


def test_an_export_does_not_end_before_someone_could_look():
    with pytest.raises(RetryableError):
        settle(interrupted(), FakeGlue(busy="Rate exceeded"), Heads(), NOW)


def test_what_cannot_be_stopped_is_reported():
    by_export = interrupted(read_mode="export", read_plan="-")
    crawled = interrupted(Stage.CATALOGING)

    assert settle(by_export, FakeGlue(), Heads(), NOW)[1] == [
        "An interrupted step may have started an export of table Reviews to S3, which DynamoDB cannot stop"
    ]
    assert settle(crawled, FakeGlue(another_crawl_runs=True), Heads(crawled.snapshot_timestamp), NOW)[1] == [
        f"An interrupted step may have started the crawl of {crawled.crawler_name} that is running",
        f"An interrupted step may have made view {crawled.catalog_name} show this snapshot",
    ]
    assert settle(crawled, FakeGlue(), Heads("an older one"), NOW)[1] == []


def test_a_view_that_already_shows_the_snapshot_makes_it_a_published_one():
    crawled = interrupted(Stage.CATALOGING)
    asked, glue = Heads(crawled.snapshot_timestamp), FakeGlue(shown={"reviews": crawled.snapshot_timestamp})

    settled, notes = settle(crawled, glue, asked, NOW)

    assert (settled.published, notes) == (True, ["An interrupted step made view reviews show this snapshot"])
    ended = settled.cancel("ann", NOW, notes)
    assert ended.published
    assert ended.resume("again", 2, NOW).published is None


@pytest.mark.parametrize("glue", [FakeGlue(views_denied=True), FakeGlue(shown={"reviews": "an older one"})])
def test_an_export_can_end_although_nobody_can_tell_what_its_view_shows(glue):
    crawled = interrupted(Stage.CATALOGING)

    settled, notes = settle(crawled, glue, Heads(crawled.snapshot_timestamp), NOW)

    assert (settled.published, notes) == (None, ["An interrupted step may have made view reviews show this snapshot"])
