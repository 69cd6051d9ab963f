"""What nobody should send: each ends with a message that names the field and the remedy, and with nothing else.

No service raises, so nothing is retried; none calls AWS but for the state records; what is in flight stays as it is.
"""

import json
from dataclasses import dataclass, field
from datetime import timedelta

import hostile
import pytest
from examples import ACCOUNT, NOW, REGION, a_pipeline, a_request, a_resumption, an_export
from fakes import TABLE_EXPORT

from on_crawler_complete.handler import on_crawl_ended
from on_glue_complete.handler import on_job_run_ended
from on_table_exported.handler import on_table_export_ended
from on_view_complete.handler import on_query_ended
from start_export.handler import on_export_requested
from table_exports.domain.public_events import PublicEvent
from table_exports.domain.stages import Stage
from table_exports.functions.telemetry import metrics

ENVELOPE = {"account": ACCOUNT, "region": REGION, "time": "2026-11-23T02:09:21Z"}
EXPORT_ID = "0123456789abcdef0123"  # of the export that is in flight

# What the export in flight waits for, so that each event would move it if it were a good one.
RUN = "jr_abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
CRAWLER = "table-exports-reviews-parquet"
QUERY = "01234567-0123-0123-0123-012345678901"
SUMMARY = "staging/reviews/2026-11-23T02-00-07Z/AWSDynamoDB/01795399210000-06e2188f/manifest-summary.json"
GIVEN_UP = {"exportArn": TABLE_EXPORT, "state": "FAILED", "message": "The export ended FAILED"}
WAITS = {
    on_export_requested: (Stage.EXPORTING, f"glue-job-run/{RUN}"),
    on_table_export_ended: (Stage.STAGING, f"table-export/{TABLE_EXPORT}"),
    on_job_run_ended: (Stage.EXPORTING, f"glue-job-run/{RUN}"),
    on_crawl_ended: (Stage.CATALOGING, f"glue-crawler/{CRAWLER}"),
    on_query_ended: (Stage.PUBLISHING, f"athena-query/{QUERY}"),
}


class Touched(Exception):
    """The service went on to AWS."""


@dataclass
class FactsOnly:
    events: list[PublicEvent] = field(default_factory=list)

    def publish(self, events):
        self.events += events


class Untouchable:
    def __getattr__(self, name):
        raise Touched(name)


class NothingButRecords(Untouchable):
    """A cloud whose every part but the records and the bus gives the service away."""

    account, region = ACCOUNT, REGION

    def __init__(self, records):
        self.records = records
        self.bus = FactsOnly()
        self.glue = Untouchable()  # handed on, to look for what an interrupted step may have started


@pytest.fixture
def cloud(registered):
    return NothingButRecords(registered)


@pytest.fixture
def in_flight(cloud):
    def begin(stage, waiting_on):
        begun = an_export(export_id=EXPORT_ID)
        assert cloud.records.begin(begun)
        since = NOW - timedelta(seconds=30)
        more = {"own_crawl": True} if stage == Stage.CATALOGING else {"read_mode": "export"}
        after = an_export(export_id=EXPORT_ID, stage=stage, waiting_on=waiting_on, waiting_since=since, **more)
        assert cloud.records.move(begun, after)

    return begin


@pytest.fixture
def state(dynamodb, cloud):
    """Every record there is, as it is stored."""
    return lambda: dynamodb.scan(TableName=cloud.records._table)["Items"]


def events_of_kind(source, detail_type, usual):
    """Makes events of one kind, with changes; a change to `...` takes the field out."""

    def event(**changes):
        detail = {name: value for name, value in (usual | changes).items() if value is not ...}
        return ENVELOPE | {"id": "event-1", "source": source, "detail-type": detail_type, "detail": detail}

    return event


run = events_of_kind(
    "aws.glue",
    "Glue Job State Change",
    {"jobName": CRAWLER, "severity": "ERROR", "state": "FAILED", "jobRunId": RUN, "message": "?"},
)
crawl = events_of_kind(
    "aws.glue",
    "Glue Crawler State Change",
    {
        "crawlerName": CRAWLER,
        "state": "Failed",
        "errorMessage": "?",
        "completionDate": "2026-11-23T02:09:20Z",
        "runningTime (sec)": "67",
    },
)
query = events_of_kind(
    "aws.athena",
    "Athena Query State Change",
    {"currentState": "CANCELLED", "queryExecutionId": QUERY, "workgroupName": "table-exports"},
)
summary = events_of_kind("aws.s3", "Object Created", {"bucket": {"name": "bucket"}, "object": {"key": SUMMARY}})
given_up = events_of_kind("table-exports.reconciler", "Table Export State Change", GIVEN_UP)

LONG = "x" * 256 * 1024
DEEP = hostile.nested(5000)
OTHER = "999999999999"
INJECTION = 'reviews"; DROP TABLE reviews; --'
A_NAME = "it must be a name of letters, digits, hyphens, underscores and dots"
A_TABLE = "it must be the name of a DynamoDB table"
A_NUMBER = "it must be a number from 0.1 to 1.0"
A_FOLDER = "it must be s3://BUCKET/FOLDER without a slash at the end"
A_FORMAT = "it must be one of parquet, orc, avro, json, csv"
A_TIME = "it must be a time in UTC, such as 2026-11-23T02:"
AN_EXPORT = "it must be the id of an export, 20 hexadecimal digits"
TAKE_OUT = "remove it. The fields are pipeline, table_name"
TAKE_OUT_RULE = "Remove the rule that sends them here"
MUST_SEND = "is deployed with"
OURS = "reviews-parquet"

# What is wrong, what is sent, the field and what it is, the remedy, the pipeline that Export Failed names.
BAD_REQUESTS = [
    ("no event", None, "event: is null", "it must be an object", None),
    ("a list", [a_request()], "event: is [", "it must be an object", None),
    ("no detail", ENVELOPE, "detail: is ", "it must be an object with pipeline", None),
    ("null for a detail", ENVELOPE | {"detail": None}, "detail: is null", "it must be an object", None),
    ("text for a detail", ENVELOPE | {"detail": "{}"}, 'detail: is "{}"', "it must be an object", None),
    ("an empty detail", ENVELOPE | {"detail": {}}, "pipeline: is missing", A_NAME, None),
    ("another account", a_request() | {"account": OTHER}, f'account: is "{OTHER}"', TAKE_OUT_RULE, OURS),
    ("no account", {"detail": a_request()["detail"], "region": REGION}, "account: is missing", TAKE_OUT_RULE, OURS),
    ("another Region", a_request() | {"region": "eu-west-1"}, 'region: is "eu-west-1"', TAKE_OUT_RULE, OURS),
    ("no identity", a_request(scheduled_time=...) | {"id": None}, "id: is null", "request_id", OURS),
    ("an id nested deep", a_request(scheduled_time=...) | {"id": DEEP}, "id: is a dict", "request_id", OURS),
    ("a replay nested deep", a_request() | {"replay-name": DEEP}, "replay-name: is a dict", "it must be", OURS),
    ("no pipeline", a_request(pipeline=...), "pipeline: is missing", A_NAME, None),
    ("null for a pipeline", a_request(pipeline=None), "pipeline: is null", A_NAME, None),
    ("an empty pipeline", a_request(pipeline=""), 'pipeline: is ""', A_NAME, None),
    ("many pipelines", a_request(pipeline=[OURS]), "pipeline: is [", A_NAME, None),
    ("an unknown pipeline", a_request(pipeline="nowhere"), "pipeline: nowhere is unknown", "deploy its", "nowhere"),
    ("a claim for a pipeline", a_request(pipeline="catalog-name/reviews"), "pipeline: is", A_NAME, None),
    ("half a surrogate pair", a_request(pipeline="reviews\ud800"), 'pipeline: is "reviews\\ud800"', A_NAME, None),
    ("a line break", a_request(pipeline="reviews-parquet\n"), "pipeline: is", A_NAME, None),
    ("a NUL", a_request(pipeline="reviews-parquet\x00"), "pipeline: is", A_NAME, None),
    ("another script", a_request(pipeline="rev\u0456ews-parquet"), "pipeline: is", A_NAME, None),
    ("a very long pipeline", a_request(pipeline=LONG), "pipeline: is", A_NAME, None),
    ("no table", a_request(table_name=...), "table_name: is missing", A_TABLE, OURS),
    ("a table with quotes", a_request(table_name='Re"views'), 'table_name: is "Re\\"views"', A_TABLE, OURS),
    ("SQL for a table", a_request(table_name=INJECTION), "table_name: is", A_TABLE, OURS),
    ("SQL in single quotes", a_request(table_name="x' OR '1'='1"), "table_name: is", A_TABLE, OURS),
    ("another table", a_request(table_name="Salaries"), "table_name: is Salaries", MUST_SEND, OURS),
    ("too much", a_request(read_percentage=1.5), "read_percentage: is 1.5", A_NUMBER, OURS),
    ("less than nothing", a_request(read_percentage=-0.25), "read_percentage: is -0.25", A_NUMBER, OURS),
    ("nothing", a_request(read_percentage=0), "read_percentage: is 0", A_NUMBER, OURS),
    ("NaN", a_request(read_percentage=float("nan")), "read_percentage: is NaN", A_NUMBER, OURS),
    ("infinity", a_request(read_percentage=float("inf")), "read_percentage: is Infinity", A_NUMBER, OURS),
    ("5000 digits", a_request(read_percentage=10**5000), "read_percentage: is a", A_NUMBER, OURS),
    ("a number in quotes", a_request(read_percentage="0.25"), 'read_percentage: is "0.25"', A_NUMBER, OURS),
    ("a truth", a_request(read_percentage=True), "read_percentage: is true", A_NUMBER, OURS),
    ("nested deep", a_request(read_percentage=DEEP), "read_percentage: is a dict", A_NUMBER, OURS),
    ("up the tree", a_request(output_prefix="s3://bucket/../theirs"), "output_prefix: is", A_FOLDER, OURS),
    ("a file", a_request(output_prefix="file:///etc/passwd"), "output_prefix: is", A_FOLDER, OURS),
    ("a query", a_request(output_prefix="s3://bucket/x?versionId=1"), "output_prefix: is", A_FOLDER, OURS),
    ("no folder", a_request(output_prefix="s3://bucket/"), "output_prefix: is", A_FOLDER, OURS),
    ("another bucket", a_request(output_prefix="s3://theirs/x/y"), "output_prefix: is s3://theirs", MUST_SEND, OURS),
    ("a format that is none", a_request(output_format="xlsx"), 'output_format: is "xlsx"', A_FORMAT, OURS),
    ("another format", a_request(output_format="csv"), "output_format: is csv", MUST_SEND, OURS),
    ("another job", a_request(glue_job_name="nightly-etl"), "glue_job_name: is nightly-etl", MUST_SEND, OURS),
    ("another crawler", a_request(crawler_name="theirs"), "crawler_name: is theirs", MUST_SEND, OURS),
    ("an unknown field", a_request(read_percent=0.5), '"read_percent": is not a field', TAKE_OUT, OURS),
    ("a field of Python's", a_request(__class__="x"), '"__class__": is not a field', TAKE_OUT, OURS),
    ("a very long field", a_request(**{LONG: 1}), '"xxx', TAKE_OUT, OURS),
    ("an unseen field", a_request(**{"\u202e\ud800": 1}), '"\\u202e\\ud800": is not a field', TAKE_OUT, OURS),
    ("no time", a_request(scheduled_time="yesterday"), 'scheduled_time: is "yesterday"', A_TIME, OURS),
    ("other digits", a_request(scheduled_time="\uff12026-11-23T02:00:00Z"), "scheduled_time: is", A_TIME, OURS),
    ("a list of times", a_request(scheduled_time=["2026-11-23T02:00:00Z"]), "scheduled_time: is [", A_TIME, OURS),
    ("an empty request id", a_request(request_id=""), 'request_id: is ""', "it must be 1 to 128 letters", OURS),
    ("null for a request id", a_request(request_id=None), "request_id: is null", "it must be 1 to 128 letters", OURS),
    ("resuming nothing", a_resumption(None), "resume_export_id: is null", AN_EXPORT, OURS),
    ("resuming by SQL", a_resumption("' OR ''='"), "resume_export_id: is", AN_EXPORT, OURS),
    ("resuming a record", a_resumption("export#2026-11-23T02-00-07Z#e1"), "resume_export_id: is", AN_EXPORT, OURS),
    ("resuming many", a_resumption([EXPORT_ID]), "resume_export_id: is [", AN_EXPORT, OURS),
    ("resuming an id in capitals", a_resumption(EXPORT_ID.upper()), "resume_export_id: is", AN_EXPORT, OURS),
    ("resuming an id and a space", a_resumption(f"{EXPORT_ID} "), "resume_export_id: is", AN_EXPORT, OURS),
    ("resuming what never was", a_resumption("f" * 20), "resume_export_id: reviews-parquet has", "a new export", OURS),
    ("resuming into theirs", a_resumption("f" * 20, table_name="Salaries"), "table_name: is Salaries", MUST_SEND, OURS),
    ("resuming elsewhere", a_resumption(EXPORT_ID, pipeline="nowhere"), "pipeline: nowhere is", "deploy", "nowhere"),
]  # fmt: skip

A_RUN, A_CRAWLER, A_QUERY = "the id of a Glue job run", "the name of a crawler", "the id of a query"
A_SUMMARY = "where DynamoDB writes the summary of a table export"
AN_ARN = "the ARN of a table export"
A_TYPE = "it must be "

# Which function receives it, what is wrong, what is sent, the field and what it is, the remedy.
BAD_EVENTS = [
    (on_job_run_ended, "no event", None, "event: is null", "it must be an object"),
    (on_job_run_ended, "a list", [run()], "event: is [", "it must be an object"),
    (on_job_run_ended, "no detail", run() | {"detail": None}, "detail: is null", "it must be an object"),
    (on_job_run_ended, "another's event", run() | {"detail-type": "Object Created"}, "detail-type: is", A_TYPE),
    (on_job_run_ended, "no type", run() | {"detail-type": None}, "detail-type: is", A_TYPE),
    (on_job_run_ended, "a list of types", run() | {"detail-type": ["x"]}, "detail-type: is", A_TYPE),
    (on_job_run_ended, "another account", run() | {"account": OTHER}, f'account: is "{OTHER}"', TAKE_OUT_RULE),
    (on_job_run_ended, "another Region", run() | {"region": "eu-west-1"}, 'region: is "eu-west-1"', TAKE_OUT_RULE),
    (on_job_run_ended, "a strange id", run(jobRunId="") | {"id": DEEP}, "detail.jobRunId: is", A_RUN),
    (on_job_run_ended, "no run", run(jobRunId=...), "detail.jobRunId: is missing", A_RUN),
    (on_job_run_ended, "null for a run", run(jobRunId=None), "detail.jobRunId: is null", A_RUN),
    (on_job_run_ended, "an empty run", run(jobRunId=""), 'detail.jobRunId: is ""', A_RUN),
    (on_job_run_ended, "many runs", run(jobRunId=[RUN]), "detail.jobRunId: is [", A_RUN),
    (on_job_run_ended, "a number", run(jobRunId=7), "detail.jobRunId: is 7", A_RUN),
    (on_job_run_ended, "a run and a NUL", run(jobRunId=f"{RUN}\x00"), "detail.jobRunId: is", A_RUN),
    (on_job_run_ended, "half a surrogate pair", run(jobRunId="jr_\ud800"), 'detail.jobRunId: is "jr_\\ud800"', A_RUN),
    (on_job_run_ended, "a very long run", run(jobRunId=LONG), "detail.jobRunId: is", A_RUN),
    (on_job_run_ended, "a run nested deep", run(jobRunId=DEEP), "detail.jobRunId: is a dict", A_RUN),
    (on_job_run_ended, "no job", run(jobName=None), "detail.jobName: is null", "the name of a Glue job"),
    (on_job_run_ended, "no state", run(state=None), "detail.state: is null", "a job run's state"),
    (on_job_run_ended, "many states", run(state=["FAILED"]), "detail.state: is [", "a job run's state"),
    (on_crawl_ended, "no crawler", crawl(crawlerName=...), "detail.crawlerName: is missing", A_CRAWLER),
    (on_crawl_ended, "another account", crawl() | {"account": OTHER}, f'account: is "{OTHER}"', TAKE_OUT_RULE),
    (on_crawl_ended, "an object", crawl(crawlerName={"a": CRAWLER}), "detail.crawlerName: is {", A_CRAWLER),
    (on_crawl_ended, "no time", crawl(completionDate="yesterday"), 'detail.completionDate: is "yesterday"', A_TIME),
    (on_crawl_ended, "a number", crawl(completionDate=1795399760), "detail.completionDate: is 1795399760", A_TIME),
    (on_crawl_ended, "before time", crawl(completionDate="0001-01-01T00:00:00Z"), "detail.completionDate", A_TIME),
    (on_crawl_ended, "no time at all", crawl(completionDate=...) | {"time": None}, "time: is null", A_TIME),
    (on_crawl_ended, "NaN", crawl(**{"runningTime (sec)": "NaN"}), 'detail.runningTime (sec): is "NaN"', "a number of"),
    (on_crawl_ended, "for ever", crawl(**{"runningTime (sec)": "1e999"}), "detail.runningTime (sec)", "a number of"),
    (on_crawl_ended, "backwards", crawl(**{"runningTime (sec)": "-67"}), "detail.runningTime (sec)", "a number of"),
    (on_query_ended, "no query", query(queryExecutionId=None), "detail.queryExecutionId: is null", A_QUERY),
    (on_query_ended, "SQL for a query", query(queryExecutionId="x\n; DROP"), "detail.queryExecutionId: is", A_QUERY),
    (on_query_ended, "no workgroup", query(workgroupName=...), "detail.workgroupName: is missing", "a workgroup"),
    (on_query_ended, "no state", query(currentState=0), "detail.currentState: is 0", "a query's state"),
    (on_query_ended, "another Region", query() | {"region": None}, "region: is null", TAKE_OUT_RULE),
    (on_table_export_ended, "no bucket", summary(bucket=None), "detail.bucket: is null", "the name of an S3 bucket"),
    (on_table_export_ended, "a path", summary(bucket={"name": "b/../x"}), "detail.bucket.name: is", "of an S3 bucket"),
    (on_table_export_ended, "no key", summary(object={}), "detail.object.key: is missing", A_SUMMARY),
    (on_table_export_ended, "another object", summary(object={"key": "x.json"}), "detail.object.key: is", A_SUMMARY),
    (on_table_export_ended, "up the tree", summary(object={"key": f"../{SUMMARY}"}), "detail.object.key", A_SUMMARY),
    (on_table_export_ended, "a query", summary(object={"key": f"a?/{SUMMARY}"}), "detail.object.key", A_SUMMARY),
    (on_table_export_ended, "another account", summary() | {"account": OTHER}, "account: is", TAKE_OUT_RULE),
    (on_table_export_ended, "no export", given_up(exportArn=""), 'detail.exportArn: is ""', AN_ARN),
    (on_table_export_ended, "a long ARN", given_up(exportArn=TABLE_EXPORT * 100), "detail.exportArn: is", AN_ARN),
]  # fmt: skip


def said(caplog):
    """All that the log says, with the reasons that stand beside its messages."""
    return [text for line in caplog.records for text in (line.message, getattr(line, "reason", None)) if text]


@pytest.mark.parametrize(
    ("event", "problem", "remedy", "named"), [row[1:] for row in BAD_REQUESTS], ids=[row[0] for row in BAD_REQUESTS]
)
def test_a_bad_request_ends_with_a_message_and_nothing_else(
    cloud, in_flight, state, caplog, event, problem, remedy, named
):
    in_flight(*WAITS[on_export_requested])
    before = state()

    on_export_requested(event, cloud, NOW)

    [published] = cloud.bus.events
    assert published.detail_type == "Export Failed"
    assert published.detail["reason"].startswith(problem)
    assert remedy in published.detail["reason"]
    assert published.detail.get("pipeline") == named
    assert published.detail["reason"] in said(caplog)
    assert len(json.dumps(published.detail).encode()) < 4096
    assert state() == before


@pytest.mark.parametrize(
    ("service", "event", "problem", "remedy"),
    [(service, *row) for service, _, *row in BAD_EVENTS],
    ids=[f"{row[0].__name__}-{row[1]}" for row in BAD_EVENTS],
)
def test_a_bad_event_ends_with_a_message_and_nothing_else(
    cloud, in_flight, state, caplog, service, event, problem, remedy
):
    in_flight(*WAITS[service])
    before = state()
    metrics.clear_metrics()

    service(event, cloud, NOW)

    [line] = [line for line in caplog.records if line.levelname == "ERROR"]
    assert line.message.startswith(problem)
    assert remedy in line.message
    assert len(line.message) < 1000
    assert metrics.metric_set["InvalidEvents"]["Value"] == [1.0]
    assert cloud.bus.events == []
    assert state() == before


@pytest.mark.parametrize(
    ("service", "event"),
    [
        (on_export_requested, a_request()),
        (on_table_export_ended, summary()),
        (on_table_export_ended, given_up()),
        (on_job_run_ended, run()),
        (on_crawl_ended, crawl()),
        (on_query_ended, query()),
    ],
)
def test_a_good_one_would_have_been_noticed(cloud, in_flight, state, service, event):
    """Else the tests above could not fail."""
    in_flight(*WAITS[service])
    before = state()

    try:
        service(event, cloud, NOW)
    except Touched:
        return

    assert state() != before or [published.detail_type for published in cloud.bus.events] == ["Export Skipped"]


HARMLESS = [
    (on_job_run_ended, "a state of tomorrow", run(state="HIBERNATED")),
    (on_job_run_ended, "a run of another's", run(jobRunId="jr_1")),
    (on_job_run_ended, "a run that looks like ours", run(jobRunId=RUN.upper())),
    (on_job_run_ended, "SQL for a run", run(jobRunId="' OR '1'='1")),
    (on_job_run_ended, "a run that names a crawler", run(jobRunId=f"../glue-crawler/{CRAWLER}")),
    (on_job_run_ended, "256 KB of what nobody reads", run(jobRunId="jr_1", more=LONG, deep=DEEP)),
    (on_crawl_ended, "a crawl of before", crawl(completionDate="2026-11-22T02:09:20Z")),
    (on_crawl_ended, "a crawler that looks like ours", crawl(crawlerName=f"{CRAWLER}-2")),
    (on_query_ended, "a query that looks like ours", query(queryExecutionId=f"{QUERY} ")),
    (on_table_export_ended, "another table's export", given_up(exportArn=TABLE_EXPORT.replace("Reviews", "Orders"))),
]


@pytest.mark.parametrize(
    ("service", "event"), [row[::2] for row in HARMLESS], ids=[f"{row[0].__name__}-{row[1]}" for row in HARMLESS]
)
def test_what_can_be_read_and_is_of_nobody_changes_nothing(cloud, in_flight, state, caplog, service, event):
    in_flight(*WAITS[service])
    before = state()

    service(event, cloud, NOW)

    assert "No export waits for this event" in said(caplog)
    assert cloud.bus.events == []
    assert state() == before


@pytest.mark.parametrize(
    "words",
    [LONG, {"code": 7}, ["a", "b"], "half \ud800", "\x00", DEEP],
    ids=["long", "object", "list", "surrogate", "NUL", "deep"],
)
def test_whatever_aws_says_the_reason_can_be_kept_and_told(cloud, in_flight, words):
    in_flight(*WAITS[on_query_ended])
    error = {"errorCategory": 2.0, "errorMessage": words}

    on_query_ended(query(currentState="FAILED", athenaError=error), cloud, NOW)

    found = cloud.records.find(a_pipeline().pipeline, EXPORT_ID)
    assert found.stage == Stage.FAILED
    assert found.reason.startswith(f"Athena query {QUERY} ended FAILED: ")
    assert len(found.reason) < 3000
    assert found.reason.encode()


def test_there_are_many_of_them():
    assert len(BAD_REQUESTS) + len(BAD_EVENTS) >= 40
