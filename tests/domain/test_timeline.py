from datetime import timedelta

import pytest
from examples import NOW, a_pipeline, an_export

from table_exports.domain.reports import console_links
from table_exports.domain.reports.timeline import timeline
from table_exports.domain.stages import Stage


def at(seconds):
    return NOW + timedelta(seconds=seconds)


STARTING = a_pipeline().begin("5f0d1c9a7be34f1c2a6e", None, NOW)
AGAIN = STARTING.run_job("jr_1", at(5)).retry().run_job("jr_2", at(65))
FAILED = AGAIN.fail("out of memory", at(125))


def test_each_wait_is_listed_with_its_time_and_attempt():
    told = timeline(FAILED, a_pipeline(), at(9999))

    assert [(c.stage, c.seconds, c.attempt, c.operation, c.awaited_id) for c in told.waits] == [
        (Stage.STARTING, 5, 1, "export-request", "5f0d1c9a7be34f1c2a6e"),
        (Stage.EXPORTING, 60, 1, "glue-job-run", "jr_1"),
        (Stage.EXPORTING, 60, 2, "glue-job-run", "jr_2"),
    ]
    assert told.seconds == 125


def test_the_last_wait_of_an_export_in_flight_goes_on():
    last = timeline(AGAIN, a_pipeline(export_in_flight=AGAIN.record_key), at(75)).waits[-1]

    assert (last.until, last.seconds) == (None, 10)


def test_an_export_of_an_earlier_version_has_its_last_wait_to_tell():
    older = an_export(stage=Stage.EXPORTING, waiting_on="glue-job-run/jr_1", waiting_since=NOW)

    assert [wait.waiting_on for wait in timeline(older, a_pipeline(), NOW).waits] == ["glue-job-run/jr_1"]
    assert timeline(an_export(stage=Stage.SUCCEEDED), a_pipeline(), NOW).waits == ()


@pytest.mark.parametrize(
    ("export", "pipeline", "may_resume", "may_run", "why_not"),
    [
        (FAILED, a_pipeline(), True, True, None),
        (
            FAILED,
            a_pipeline(export_in_flight="export#x#y"),
            False,
            False,
            "another export of its pipeline is in flight",
        ),
        (FAILED, None, False, False, "its table stack was deleted"),
        (AGAIN, a_pipeline(export_in_flight=AGAIN.record_key), False, False, None),
    ],
)
def test_what_can_be_done_next(export, pipeline, may_resume, may_run, why_not):
    told = timeline(export, pipeline, at(200))

    assert (told.may_resume, told.may_run, told.why_not_resume) == (may_resume, may_run, why_not)


def test_an_older_snapshot_than_the_view_was_asked_for_is_not_resumed():
    told = timeline(FAILED, a_pipeline(published_snapshot="2026-11-24T02-00-00Z"), at(200))

    assert not told.may_resume
    assert "request a new export" in told.why_not_resume


def test_a_wait_ends_with_the_failure_however_long_it_took_to_resume():
    resumed = FAILED.resume("again", 2, FAILED.ended_at + timedelta(hours=7))

    told = timeline(resumed, a_pipeline(), FAILED.ended_at + timedelta(hours=7, seconds=5))

    assert told.waits[:-1] == timeline(FAILED, a_pipeline(), FAILED.ended_at).waits
    assert (told.waits[-1].stage, told.waits[-1].seconds, told.waits[-1].until) == (Stage.STARTING, 5, None)


@pytest.mark.parametrize(
    ("waiting_on", "pages"),
    [
        ("export-request/e1", []),
        ("glue-job-run/jr_1", ["job run", "its log"]),
        ("glue-crawler/c", ["crawler", "its log"]),
        ("athena-query/q", ["query"]),
        ("table-export/arn", ["table export"]),
    ],
)
def test_a_wait_links_to_what_it_waited_for(waiting_on, pages):
    export = an_export(waiting_on=waiting_on)
    [wait] = timeline(export, a_pipeline(), NOW).waits

    assert [text for text, _ in console_links.of_wait(wait, export, "us-east-1")] == pages


def test_nothing_in_a_name_gets_out_of_its_place_in_an_address():
    export = an_export(waiting_on='glue-job-run/"><script>&x=#y?', glue_job_name="a/b c")
    [wait] = timeline(export, a_pipeline(), NOW).waits

    addresses = [address for _, address in console_links.of_wait(wait, export, "us-east-1")]

    assert addresses[0] == (
        "https://us-east-1.console.aws.amazon.com/gluestudio/home?region=us-east-1#/job/a%2Fb%20c/run/"
        "%22%3E%3Cscript%3E%26x%3D%23y%3F"
    )
    assert not any(mark in address for address in addresses for mark in '"<>')
