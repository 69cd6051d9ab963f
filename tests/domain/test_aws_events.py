from datetime import UTC, datetime, timedelta

import pytest
from examples import an_export

from table_exports.domain.aws_events import CrawlEnded, JobRunEnded, QueryEnded, SummaryWritten
from table_exports.domain.export import Stage

BEGAN = datetime(
    2026, 11, 23, 2, 8, 13, tzinfo=UTC
)  # of the crawl in tests/events: it ended 02:09:20 and ran for 67 seconds
ENDED = datetime(2026, 11, 23, 2, 9, 20, tzinfo=UTC)


def waiting(since, own_crawl=True):
    return an_export(stage=Stage.CATALOGING, waiting_on="glue-crawler/x", waiting_since=since, own_crawl=own_crawl)


ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews/export/01795399210000-06e2188f"
SUMMARY = "s3://bucket/staging/reviews/2026-11-23T02-00-07Z/AWSDynamoDB/01795399210000-06e2188f/manifest-summary.json"


def test_an_event_of_s3_says_where_the_summary_lies_and_not_of_what(aws_event):
    summary = SummaryWritten.from_event(aws_event("s3_object_created"))

    assert summary.uri == SUMMARY
    assert summary.waiting_on == "table-export/unknown"
    assert SummaryWritten(uri=SUMMARY, arn=ARN).waiting_on == f"table-export/{ARN}"


@pytest.mark.parametrize(
    ("uri", "ours"),
    [
        (SUMMARY, True),
        (SUMMARY.replace("01795399210000-06e2188f", "01795399210000-00000000"), False),
        (SUMMARY.replace("reviews", "orders"), False),
        (SUMMARY.replace("02-00-07Z", "03-00-00Z"), False),
        (SUMMARY.replace("bucket", "another"), False),
    ],
)
def test_a_summary_counts_only_where_dynamodb_was_asked_to_write_it(uri, ours):
    assert SummaryWritten(uri=uri, arn=ARN).is_of(an_export(stage=Stage.STAGING, waiting_on="table-export/x")) is ours


def test_a_job_run_is_known_by_its_id(aws_event):
    run = JobRunEnded.from_event(aws_event("glue_job_failed"))

    assert run.waiting_on == "glue-job-run/jr_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    assert run.state == "FAILED"
    assert run.message == "An error occurred while calling o91.getDynamicFrame. Requested resource not found"


def test_a_crawl_began_its_running_time_before_its_end(aws_event):
    crawl = CrawlEnded.from_event(aws_event("glue_crawler_succeeded"))

    assert (crawl.began, crawl.ended) == (BEGAN, ENDED)


def test_a_failed_crawl_tells_its_end_only_by_the_events_own_time(aws_event):
    event = aws_event("glue_crawler_succeeded", state="Failed", errorMessage="Access Denied")
    del event["detail"]["completionDate"], event["detail"]["runningTime (sec)"]

    crawl = CrawlEnded.from_event(event)

    assert (crawl.began, crawl.ended) == (None, datetime(2026, 11, 23, 2, 9, 21, tzinfo=UTC))
    assert crawl.message == "Access Denied"


@pytest.mark.parametrize(
    ("since", "own_crawl", "ends"),
    [
        (BEGAN, True, True),
        (BEGAN - timedelta(seconds=30), True, True),  # a crawl may take its time to begin
        (BEGAN + timedelta(seconds=1, microseconds=999999), True, True),  # rounding
        (BEGAN + timedelta(seconds=10), True, False),  # began before we asked for ours: a stranger's
        (ENDED + timedelta(seconds=1), True, False),  # ended before we asked
        (BEGAN + timedelta(seconds=10), False, True),  # the stranger's that we wait for
        (ENDED + timedelta(seconds=1), False, False),
    ],
)
def test_times_tell_the_crawl_that_is_waited_for_from_another(aws_event, since, own_crawl, ends):
    crawl = CrawlEnded.from_event(aws_event("glue_crawler_succeeded"))

    assert crawl.ends_the_wait_of(waiting(since, own_crawl)) is ends


def test_a_failed_query_brings_athenas_own_words(aws_event):
    error = {"errorCategory": 2.0, "errorType": 1306.0, "errorMessage": "TABLE_NOT_FOUND: line 1:8", "retryable": False}

    query = QueryEnded.from_event(aws_event("athena_query_succeeded", currentState="FAILED", athenaError=error))

    assert query.waiting_on == "athena-query/01234567-0123-0123-0123-012345678901"
    assert (query.state, query.message) == ("FAILED", "TABLE_NOT_FOUND: line 1:8")


@pytest.mark.parametrize("seconds", ["N/A", None, "", "1e999"])
@pytest.mark.parametrize("completed", ["Mon Nov 23 02:09:20 UTC 2026", None, 0])
def test_times_in_another_form_are_unknown_and_no_error(aws_event, seconds, completed):
    event = aws_event("glue_crawler_succeeded", **{"runningTime (sec)": seconds, "completionDate": completed})

    crawl = CrawlEnded.from_event(event)

    assert (crawl.began, crawl.ended) == (None, datetime(2026, 11, 23, 2, 9, 21, tzinfo=UTC))


@pytest.mark.parametrize("kind", [JobRunEnded, CrawlEnded, QueryEnded])
def test_an_event_that_names_nothing_is_one_that_nobody_waits_for(kind):
    happening = kind.from_event({"time": "2026-11-23T02:09:21Z", "detail": {"athenaError": "in words"}})

    assert happening.waiting_on.endswith("/unknown")
