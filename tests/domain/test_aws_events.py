import json
from datetime import UTC, datetime, timedelta, timezone

import hostile
import pytest
from examples import an_export
from hypothesis import given, settings
from hypothesis import strategies as st

from table_exports.domain.aws_events import (
    NO_MESSAGE,
    ROUNDING,
    CrawlEnded,
    JobRunEnded,
    QueryEnded,
    SummaryWritten,
    TableExportFailed,
    check_envelope,
)
from table_exports.domain.errors import InvalidEvent
from table_exports.domain.stages import Stage

ANY_TIME = settings(deadline=None, database=None)

BEGAN = datetime(
    2026, 11, 23, 2, 8, 13, tzinfo=UTC
)  # of the crawl in tests/events: it ended 02:09:20 and ran for 67 seconds
ENDED = datetime(2026, 11, 23, 2, 9, 20, tzinfo=UTC)
TOLD = datetime(2026, 11, 23, 2, 9, 21, tzinfo=UTC)


def waiting(since, own_crawl=True):
    return an_export(stage=Stage.CATALOGING, waiting_on="glue-crawler/x", waiting_since=since, own_crawl=own_crawl)


ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/Reviews/export/01795399210000-06e2188f"
KEY = "staging/reviews/2026-11-23T02-00-07Z/AWSDynamoDB/01795399210000-06e2188f/manifest-summary.json"


def test_an_event_of_s3_says_where_the_summary_lies_and_not_of_what(aws_event):
    summary = SummaryWritten.from_event(aws_event("s3_object_created"))

    assert summary.uri == f"s3://bucket/{KEY}"
    assert summary.waiting_on == "table-export/unknown"
    assert SummaryWritten(bucket="bucket", key=KEY, arn=ARN).waiting_on == f"table-export/{ARN}"


@pytest.mark.parametrize(
    ("bucket", "key", "ours"),
    [
        ("bucket", KEY, True),
        ("bucket", KEY.replace("01795399210000-06e2188f", "01795399210000-00000000"), False),
        ("bucket", KEY.replace("reviews", "orders"), False),
        ("bucket", KEY.replace("02-00-07Z", "03-00-00Z"), False),
        ("another", KEY, False),
    ],
)
def test_a_summary_counts_only_where_dynamodb_was_asked_to_write_it(bucket, key, ours):
    export = an_export(stage=Stage.STAGING, waiting_on="table-export/x")

    assert SummaryWritten(bucket=bucket, key=key, arn=ARN).completes(export) is ours


def test_a_job_run_is_known_by_its_id(aws_event):
    run = JobRunEnded.from_event(aws_event("glue_job_failed"))

    assert run.waiting_on == "glue-job-run/jr_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    assert run.job_name == "table-exports-reviews-parquet"
    assert run.state == "FAILED"
    assert run.message == "An error occurred while calling o91.getDynamicFrame. Requested resource not found"


def test_a_crawl_began_its_running_time_before_its_end(aws_event):
    crawl = CrawlEnded.from_event(aws_event("glue_crawler_succeeded"))

    assert (crawl.began, crawl.ended) == (BEGAN, ENDED)


def test_a_failed_crawl_tells_its_end_only_by_the_events_own_time(aws_event):
    event = aws_event("glue_crawler_succeeded", state="Failed", errorMessage="Access Denied")
    del event["detail"]["completionDate"], event["detail"]["runningTime (sec)"]

    crawl = CrawlEnded.from_event(event)

    assert (crawl.began, crawl.ended) == (None, TOLD)
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

    assert crawl.completes(waiting(since, own_crawl)) is ends


@pytest.mark.parametrize(
    ("completed", "is_read_as"),
    [
        ("2026-11-23T02:09:20Z", ENDED),
        ("2026-11-23T02:09:20", ENDED),
        ("2026-11-23 02:09:20.000", ENDED),
        ("2026-11-23T07:39:20+05:30", ENDED),
        (None, TOLD),
        ("", TOLD),
        ("N/A", TOLD),
    ],
)
def test_the_end_of_a_crawl_is_in_utc_or_not_given(aws_event, completed, is_read_as):
    crawl = CrawlEnded.from_event(aws_event("glue_crawler_succeeded", completionDate=completed))

    assert (crawl.ended, crawl.ended.tzinfo) == (is_read_as, UTC)


@pytest.mark.parametrize("seconds", [None, "", "N/A"])
def test_a_crawl_that_does_not_say_how_long_it_ran_may_have_begun_at_any_time(aws_event, seconds):
    assert CrawlEnded.from_event(aws_event("glue_crawler_succeeded", **{"runningTime (sec)": seconds})).began is None


def test_a_failed_query_brings_athenas_own_words(aws_event):
    error = {"errorCategory": 2.0, "errorType": 1306.0, "errorMessage": "TABLE_NOT_FOUND: line 1:8", "retryable": False}

    query = QueryEnded.from_event(aws_event("athena_query_succeeded", currentState="FAILED", athenaError=error))

    assert query.waiting_on == "athena-query/01234567-0123-0123-0123-012345678901"
    assert (query.state, query.message) == ("FAILED", "TABLE_NOT_FOUND: line 1:8")
    assert (query.error_category, query.error_type, query.retryable) == (2, 1306, False)


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        ({"errorCategory": 2.0, "retryable": True}, True),
        ({"errorCategory": 1.0, "retryable": False}, True),  # Athena's own fault
        ({"errorCategory": 1}, True),
        ({"errorCategory": 2, "retryable": False}, False),
        ({"errorCategory": 3.0}, False),
        ({"retryable": "true"}, False),
        ({"errorCategory": True}, False),
        ({"errorCategory": "1"}, False),
        ({"errorCategory": float("nan"), "errorType": float("inf")}, False),
        ("in words", False),
        (None, False),
        (["in", "a", "list"], False),
    ],
)
def test_a_query_is_retryable_if_athena_calls_it_so_or_failed_itself(aws_event, error, retryable):
    event = aws_event("athena_query_succeeded", currentState="FAILED", athenaError=error)

    assert QueryEnded.from_event(event).retryable is retryable


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (None, NO_MESSAGE),
        ("", NO_MESSAGE),
        ({"code": 7}, '{"code": 7}'),
        ("half \ud800", "half ?"),
        ("x" * 256 * 1024, "x" * 1997 + "..."),
        ("line\nbreaks are fine", "line\nbreaks are fine"),
    ],
)
def test_a_message_is_text_that_can_be_kept_and_told(aws_event, told, message):
    assert JobRunEnded.from_event(aws_event("glue_job_failed", message=told)).message == message


def test_what_aws_adds_one_day_is_passed_over(aws_event):
    run = JobRunEnded.from_event(aws_event("glue_job_succeeded", state="HIBERNATED", dpuSeconds=7))

    assert run.state == "HIBERNATED"


# What makes an event invalid

TABLE_EXPORT_FAILED = {
    "time": "2026-11-23T02:09:21Z",
    "detail-type": "Table Export State Change",
    "detail": {"exportArn": ARN, "state": "FAILED", "message": "The export ended FAILED"},
}


@pytest.fixture
def an_event(aws_event):
    return lambda name: json.loads(json.dumps(TABLE_EXPORT_FAILED)) if name == "ours" else aws_event(name)


KINDS = [
    (SummaryWritten, "s3_object_created", ["detail.bucket.name", "detail.object.key"]),
    (TableExportFailed, "ours", ["detail.exportArn", "detail.state"]),
    (JobRunEnded, "glue_job_failed", ["detail.jobName", "detail.jobRunId", "detail.state"]),
    (CrawlEnded, "glue_crawler_succeeded", ["detail.crawlerName", "detail.state"]),
    (
        QueryEnded,
        "athena_query_succeeded",
        ["detail.workgroupName", "detail.queryExecutionId", "detail.currentState"],
    ),
]
FIELDS = [(kind, name, path) for kind, name, paths in KINDS for path in paths]


def holder_of(event, path):
    *parents, name = path.split(".")
    for parent in parents:
        event = event[parent]
    return event, name


@pytest.mark.parametrize("no_name", hostile.NO_NAMES.values(), ids=hostile.NO_NAMES)
@pytest.mark.parametrize(("kind", "name", "path"), FIELDS)
def test_who_ended_is_named_or_the_event_is_invalid(an_event, kind, name, path, no_name):
    event = an_event(name)
    holder, field = holder_of(event, path)
    holder[field] = no_name

    with pytest.raises(InvalidEvent) as refusal:
        kind.from_event(event)

    assert str(refusal.value).startswith(f"{path}: is ")
    assert ": it must be " in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(("kind", "name", "path"), FIELDS)
def test_what_is_missing_is_called_by_its_name(an_event, kind, name, path):
    event = an_event(name)
    holder, field = holder_of(event, path)
    del holder[field]

    with pytest.raises(InvalidEvent, match=f"^{path}: is missing: it must be "):
        kind.from_event(event)


@pytest.mark.parametrize("detail", [None, [], "text", 7, True])
@pytest.mark.parametrize("kind", [kind for kind, _, _ in KINDS])
def test_a_detail_that_is_no_object_is_invalid(kind, detail):
    with pytest.raises(InvalidEvent, match=r"^detail: is .*: it must be an object with "):
        kind.from_event({"time": "2026-11-23T02:09:21Z", "detail": detail})
    with pytest.raises(InvalidEvent, match=r"^detail: is missing"):
        kind.from_event({"time": "2026-11-23T02:09:21Z"})


@pytest.mark.parametrize(
    "key",
    [
        "staging/reviews/t/AWSDynamoDB/1-a/data/x.json.gz",
        "staging/reviews/t/AWSDynamoDB/1-a/manifest-files.json",
        "manifest-summary.json",
        "AWSDynamoDB/1-a/manifest-summary.json",
        "exports/snapshots_reviews/AWSDynamoDB/1-a/manifest-summary.json",
        f"{KEY}?versionId=1/AWSDynamoDB/1-a/manifest-summary.json",
        f"{KEY}#/AWSDynamoDB/1-a/manifest-summary.json",
        KEY.replace("reviews", ".."),
        KEY.replace("reviews", "%2e%2e"),
        f"{KEY}\n",
    ],
)
def test_only_where_dynamodb_writes_a_summary_is_looked_for_one(aws_event, key):
    with pytest.raises(InvalidEvent, match=r"^detail\.object\.key: is "):
        SummaryWritten.from_event(aws_event("s3_object_created", object={"key": key}))


@pytest.mark.parametrize(
    "completed",
    [
        "Mon Nov 23 02:09:20 UTC 2026",
        "yesterday",
        "2026-11-23",
        "2026-13-01T00:00:00Z",
        "2026-11-23T02:09:20Z; DROP TABLE reviews",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "\uff12\uff10\uff12\uff16-11-23T02:09:20Z",
        0,
        1795399760.5,
        True,
        ["2026-11-23T02:09:20Z"],
        {"at": "2026-11-23T02:09:20Z"},
    ],
)
def test_a_time_that_is_none_makes_a_crawls_event_invalid(aws_event, completed):
    remedy = r"it must be a time in UTC, such as 2026-11-23T02:09:20Z$"
    with pytest.raises(InvalidEvent, match=rf"^detail\.completionDate: is .*: {remedy}"):
        CrawlEnded.from_event(aws_event("glue_crawler_succeeded", completionDate=completed))
    event = aws_event("glue_crawler_succeeded", completionDate="N/A")
    with pytest.raises(InvalidEvent, match=rf"^time: is .*: {remedy}"):
        CrawlEnded.from_event(event | {"time": completed})


@pytest.mark.parametrize("seconds", ["a while", "-1", "1e999", "NaN", float("inf"), 10**400, True, [67], "67s"])
def test_a_running_time_that_is_none_makes_a_crawls_event_invalid(aws_event, seconds):
    event = aws_event("glue_crawler_succeeded", **{"runningTime (sec)": seconds})

    with pytest.raises(InvalidEvent, match=r"^detail\.runningTime \(sec\): is .*: it must be a number of seconds"):
        CrawlEnded.from_event(event)


def read(kind, event):
    """What the event tells, or why it is invalid."""
    try:
        return kind.from_event(event)
    except InvalidEvent as error:
        return error


@pytest.mark.parametrize("kind", [kind for kind, _, _ in KINDS])
@ANY_TIME
@given(hostile.values, st.dictionaries(hostile.texts, hostile.values, max_size=3))
def test_whatever_comes_is_read_or_refused(kind, detail, more):
    names = [path.split(".")[1] for _, _, path in FIELDS]
    for event in (detail, {"detail": detail}, {"detail": dict.fromkeys(names, detail) | more} | more):
        got = read(kind, event)

        if isinstance(got, InvalidEvent):
            assert str(got).startswith(f"{got.field}: is ")
            assert len(str(got)) < 400
        else:
            assert got.waiting_on.isascii()


@ANY_TIME
@given(hostile.values, hostile.values)
def test_a_crawls_times_are_read_or_refused(completed, ran):
    detail = {"crawlerName": "x", "state": "Succeeded", "completionDate": completed, "runningTime (sec)": ran}

    got = read(CrawlEnded, {"time": "2026-11-23T02:09:21Z", "detail": detail})

    if isinstance(got, InvalidEvent):
        assert got.field in ("detail.completionDate", "detail.runningTime (sec)")
    else:
        assert got.began is None or got.began <= got.ended


# The envelope


def test_an_event_of_this_account_and_region_is_let_through(aws_event):
    check_envelope(aws_event("glue_job_succeeded"), "123456789012", "us-east-1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"account": "999999999999"}, 'account: is "999999999999": the exports are in 123456789012'),
        ({"account": 123456789012}, "account: is 123456789012: the exports are in 123456789012"),
        ({"account": None}, "account: is null"),
        ({"region": "eu-west-1"}, 'region: is "eu-west-1": the exports are in us-east-1'),
        ({"region": ["us-east-1"]}, 'region: is ["us-east-1"]'),
        ({"region": ""}, 'region: is ""'),
    ],
)
def test_an_event_from_elsewhere_is_invalid(aws_event, change, message):
    with pytest.raises(InvalidEvent) as refusal:
        check_envelope(aws_event("glue_job_succeeded") | change, "123456789012", "us-east-1")

    assert str(refusal.value).startswith(message)
    assert "Remove the rule that sends them here" in str(refusal.value)


@pytest.mark.parametrize("name", ["account", "region"])
def test_an_event_that_does_not_say_where_it_is_from_is_invalid(aws_event, name):
    event = aws_event("glue_job_succeeded")
    del event[name]

    with pytest.raises(InvalidEvent, match=f"^{name}: is missing"):
        check_envelope(event, "123456789012", "us-east-1")


@pytest.mark.parametrize("event", [None, [], "text", 7])
def test_what_is_no_event_is_invalid(event):
    with pytest.raises(InvalidEvent, match=r"^event: is .*: it must be an object"):
        check_envelope(event, "123456789012", "us-east-1")


# The reconciler writes what from_event reads, in AWS's shape


def sent(happening):
    """As it arrives: through JSON, with an envelope of EventBridge's."""
    return json.loads(json.dumps({"time": "2026-11-23T02:30:00Z", "detail": happening.detail}))


messages = hostile.unicode_texts.filter(bool)
numbers = st.none() | st.integers(0, 9999)
seconds = st.integers(0, 366 * 24 * 3600).map(lambda seconds: timedelta(seconds=seconds))
moments = st.datetimes(datetime(2026, 1, 1), datetime(2126, 1, 1), timezones=st.just(UTC))


@ANY_TIME
@given(
    st.builds(TableExportFailed, arn=hostile.ids, state=hostile.ids, message=messages)
    | st.builds(JobRunEnded, job_name=hostile.ids, run_id=hostile.ids, state=hostile.ids, message=messages)
    | st.builds(
        QueryEnded,
        workgroup=hostile.ids,
        query_id=hostile.ids,
        state=st.sampled_from(["SUCCEEDED", "FAILED", "CANCELLED", "DELETED"]),
        message=messages | st.just(NO_MESSAGE),
        error_category=numbers,
        error_type=numbers,
        called_retryable=st.booleans(),
    )
    | st.builds(
        SummaryWritten,
        bucket=st.from_regex(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]", fullmatch=True),
        key=st.from_regex(
            r"staging/[A-Za-z0-9_=/\-]{1,99}/AWSDynamoDB/[0-9a-f\-]{1,99}/manifest-summary\.json", fullmatch=True
        ),
    )
)
def test_what_is_written_is_read_as_it_was(happening):
    assert type(happening).from_event(sent(happening)) == happening


@ANY_TIME
@given(
    hostile.ids,
    st.sampled_from(["Succeeded", "Failed", "Cancelled"]),
    st.none() | seconds,
    moments,
    messages,
)
def test_a_crawl_is_read_as_it_was_written_but_for_parts_of_seconds(crawler, state, ran, ended, message):
    began = None if ran is None else ended - ran
    written = CrawlEnded(crawler=crawler, state=state, began=began, ended=ended, message=message)

    crawl = CrawlEnded.from_event(sent(written))

    assert (crawl.crawler, crawl.state, crawl.message) == (crawler, state, message)
    assert crawl.ended == ended.replace(microsecond=0)
    assert (crawl.began is None) == (began is None)
    assert began is None or abs(crawl.began - began) <= ROUNDING / 2


def test_a_job_runs_end_is_written_in_glues_shape(aws_event):
    event = aws_event("glue_job_failed")
    run = JobRunEnded.from_event(event)

    assert (run.detail_type, run.detail) == (event["detail-type"], event["detail"])


@pytest.mark.parametrize(("state", "severity"), [("SUCCEEDED", "INFO"), ("TIMEOUT", "WARN"), ("EXPIRED", "ERROR")])
def test_a_job_run_has_the_severity_that_glue_gives_it(state, severity):
    assert JobRunEnded(job_name="x", run_id="jr_1", state=state, message="?").detail["severity"] == severity


def test_a_crawls_end_is_written_in_glues_shape(aws_event):
    event = aws_event("glue_crawler_succeeded")
    crawl = CrawlEnded.from_event(event)

    assert crawl.detail_type == event["detail-type"]
    assert crawl.detail == {
        "crawlerName": "table-exports-reviews-parquet",
        "state": "Succeeded",
        "completionDate": "2026-11-23T02:09:20Z",
        "runningTime (sec)": "67",
        "message": "Crawler Succeeded",
    }
    assert crawl.detail.items() <= event["detail"].items()


def test_a_crawl_that_was_cancelled_is_written_as_a_failed_one_is():
    india = datetime(2026, 11, 23, 7, 39, 20, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    crawl = CrawlEnded(crawler="x", state="Cancelled", began=None, ended=india, message="Somebody stopped it")

    assert crawl.detail == {
        "crawlerName": "x",
        "state": "Cancelled",
        "completionDate": "2026-11-23T02:09:20Z",
        "message": "Crawler Cancelled",
        "errorMessage": "Somebody stopped it",
    }


def test_a_querys_end_is_written_in_athenas_shape(aws_event):
    error = {"errorCategory": 2.0, "errorType": 1306.0, "errorMessage": "TABLE_NOT_FOUND: line 1:8", "retryable": False}
    event = aws_event("athena_query_succeeded", currentState="FAILED", athenaError=error)
    query = QueryEnded.from_event(event)

    assert query.detail_type == event["detail-type"]
    assert query.detail == {
        "currentState": "FAILED",
        "queryExecutionId": "01234567-0123-0123-0123-012345678901",
        "workgroupName": "table-exports",
        "athenaError": error,
    }
    assert "athenaError" not in QueryEnded.from_event(aws_event("athena_query_succeeded")).detail


def test_a_summarys_event_is_written_in_the_shape_of_s3(aws_event):
    event = aws_event("s3_object_created")
    summary = SummaryWritten.from_event(event)

    assert summary.detail_type == event["detail-type"]
    assert summary.detail == {"bucket": {"name": "bucket"}, "object": {"key": event["detail"]["object"]["key"]}}


def test_a_key_has_the_length_that_s3_allows(aws_event):
    end = "/AWSDynamoDB/1-a/manifest-summary.json"
    longest = "staging/" + "x" * (1024 - len("staging/") - len(end)) + end

    assert len(SummaryWritten.from_event(aws_event("s3_object_created", object={"key": longest})).key) == 1024
    with pytest.raises(InvalidEvent):
        SummaryWritten.from_event(aws_event("s3_object_created", object={"key": longest.replace("/x", "/xx", 1)}))
