"""What goes out to AWS and what its answers become: against botocore's own models, by its Stubber."""

import io
import json
from datetime import datetime

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from examples import an_export

from table_exports.aws.athena import Athena
from table_exports.aws.bus import Bus, NotPublished
from table_exports.aws.glue import Glue
from table_exports.aws.manifests import Manifests
from table_exports.domain import view_sql
from table_exports.domain.errors import Refused
from table_exports.domain.facts import Fact

JOB = CRAWLER = "table-exports-reviews-parquet"


@pytest.fixture
def stubbed():
    """A client of a service, and the stubber that answers it. Every answer must have been asked for in the end."""
    stubbers = []

    def make(service):
        client = boto3.client(service)
        stubber = Stubber(client)
        stubber.activate()
        stubbers.append(stubber)
        return client, stubber

    yield make
    for stubber in stubbers:
        stubber.assert_no_pending_responses()


def test_the_job_is_told_all_that_its_snapshot_depends_on(stubbed):
    client, glue = stubbed("glue")
    arguments = {
        "--export_id": "e1",
        "--snapshot_timestamp": "2026-11-23T02-00-07Z",
        "--table_name": "Reviews",
        "--read_percentage": "0.25",
        "--read_mode": "scan",
        "--output_format": "parquet",
        "--output_prefix": "s3://bucket/exports/snapshots_reviews",
        "--staging_prefix": "s3://bucket/staging/reviews",
        "--manifest": "s3://bucket/exports/manifests_reviews/2026-11-23T02-00-07Z.json",
    }
    glue.add_response("start_job_run", {"JobRunId": "jr_1"}, {"JobName": JOB, "Arguments": arguments})

    assert Glue(client, "db").start_job_run(an_export()) == "jr_1"


@pytest.mark.parametrize("code", ["EntityNotFoundException", "InvalidInputException", "AccessDeniedException"])
def test_what_glue_refuses_for_good_is_refused_in_its_own_words(stubbed, code):
    client, glue = stubbed("glue")
    glue.add_client_error("start_job_run", code, "No such thing")

    with pytest.raises(Refused, match=f"^Glue job {JOB} cannot be started: {code}: No such thing$"):
        Glue(client, "db").start_job_run(an_export())


@pytest.mark.parametrize("code", ["ConcurrentRunsExceededException", "ThrottlingException", "InternalServiceException"])
def test_what_another_try_may_mend_is_left_to_it(stubbed, code):
    client, glue = stubbed("glue")
    glue.add_client_error("start_job_run", code, "Later")

    with pytest.raises(client.exceptions.ClientError, match=code):
        Glue(client, "db").start_job_run(an_export())


def run(run_id, export_id, started):
    return {"Id": run_id, "StartedOn": datetime.fromisoformat(started), "Arguments": {"--export_id": export_id}}


def test_the_run_of_an_export_is_found_by_its_argument(stubbed):
    client, glue = stubbed("glue")
    newest, ours = run("jr_2", "e2", "2026-11-23T02:05:00Z"), run("jr_1", "e1", "2026-11-23T02:00:08Z")
    glue.add_response("get_job_runs", {"JobRuns": [newest], "NextToken": "t"}, {"JobName": JOB})
    glue.add_response("get_job_runs", {"JobRuns": [ours]}, {"JobName": JOB, "NextToken": "t"})

    assert Glue(client, "db").find_job_run(an_export()) == "jr_1"


def test_runs_from_before_the_request_end_the_search(stubbed):
    client, glue = stubbed("glue")
    older = run("jr_0", "e0", "2026-11-22T02:00:00Z")
    glue.add_response("get_job_runs", {"JobRuns": [older], "NextToken": "t"}, {"JobName": JOB})

    assert Glue(client, "db").find_job_run(an_export()) is None


def test_a_crawler_that_runs_already_is_no_failure(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("start_crawler", {}, {"Name": CRAWLER})
    glue.add_client_error("start_crawler", "CrawlerRunningException")

    assert Glue(client, "db").start_crawler(an_export()) is True
    assert Glue(client, "db").start_crawler(an_export()) is False


def snapshot_table(keys=("snapshot_timestamp",)):
    columns = [{"Name": "asin", "Type": "string"}, {"Name": "stars", "Type": "bigint"}]
    table = {"Name": "snapshots_reviews", "StorageDescriptor": {"Columns": columns}}
    return {"Table": table | {"PartitionKeys": [{"Name": key} for key in keys]}}


def test_the_columns_are_the_catalogs_once_it_has_the_partition(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("get_table", snapshot_table(), {"DatabaseName": "db", "Name": "snapshots_reviews"})
    partition = {"TableName": "snapshots_reviews", "PartitionValues": ["2026-11-23T02-00-07Z"]}
    glue.add_response("get_partition", {"Partition": {}}, {"DatabaseName": "db"} | partition)

    assert Glue(client, "db").snapshot_columns(an_export()) == {"asin": "string", "stars": "bigint"}


@pytest.mark.parametrize("missing", ["get_table", "get_partition"])
def test_a_crawl_that_left_no_table_or_partition_is_refused(stubbed, missing):
    client, glue = stubbed("glue")
    if missing == "get_partition":
        glue.add_response("get_table", snapshot_table())
    glue.add_client_error(missing, "EntityNotFoundException", "Not there")

    with pytest.raises(Refused, match=r"^The crawl left no table snapshots_reviews with the snapshot in the catalog"):
        Glue(client, "db").snapshot_columns(an_export())


def test_a_table_that_is_partitioned_otherwise_is_not_ours(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("get_table", snapshot_table(keys=("partition_0", "snapshot_timestamp")))

    with pytest.raises(Refused, match="another dataset lies in its folder"):
        Glue(client, "db").snapshot_columns(an_export())


def test_a_view_is_asked_for_with_a_token_in_our_workgroup(stubbed):
    client, athena = stubbed("athena")
    sql = view_sql.create_view(an_export(), "db", ["asin"])
    asked = {
        "QueryString": sql,
        "ClientRequestToken": view_sql.request_token(an_export(), sql),
        "QueryExecutionContext": {"Database": "db"},
        "WorkGroup": "table-exports",
    }
    athena.add_response("start_query_execution", {"QueryExecutionId": "q1"}, asked)

    assert Athena(client, "table-exports", "db").create_view(an_export(), ["asin"]) == "q1"


def test_athenas_limits_are_waits_not_refusals(stubbed):
    client, athena = stubbed("athena")
    athena.add_client_error("start_query_execution", "TooManyRequestsException", "CONCURRENT_QUERY_LIMIT_EXCEEDED")

    with pytest.raises(client.exceptions.TooManyRequestsException):
        Athena(client, "table-exports", "db").create_view(an_export(), ["asin"])


def test_a_manifest_is_read_from_beside_the_tables_folder(stubbed):
    client, s3 = stubbed("s3")
    proof = {"version": 1, "export_id": "e1", "snapshot_timestamp": "2026-11-23T02-00-07Z"}
    proof |= {"items_counted": 2, "items_written": 2, "files": 1, "bytes": 9, "schema": []}
    body = json.dumps(proof).encode()
    where = {"Bucket": "bucket", "Key": "exports/manifests_reviews/2026-11-23T02-00-07Z.json"}
    s3.add_response("get_object", {"Body": StreamingBody(io.BytesIO(body), len(body))}, where)

    assert Manifests(client).proof_of(an_export()).items_written == 2


def test_no_manifest_no_proof(stubbed):
    client, s3 = stubbed("s3")
    s3.add_client_error("get_object", "NoSuchKey")

    with pytest.raises(Refused, match=r"^The job run left no manifest at s3://bucket/exports/manifests_reviews/"):
        Manifests(client).proof_of(an_export())


def test_facts_go_out_ten_at_a_time(stubbed):
    client, events = stubbed("events")
    facts = [Fact("Export Started", {"n": n}) for n in range(11)]

    def entries(these):
        envelope = {"EventBusName": "bus", "Source": "table-exports", "DetailType": "Export Started"}
        return {"Entries": [envelope | {"Detail": json.dumps(fact.detail)} for fact in these]}

    for these in (facts[:10], facts[10:]):
        answer = {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}] * len(these)}
        events.add_response("put_events", answer, entries(these))

    Bus(client, "bus").publish(facts)


def test_a_fact_that_the_bus_did_not_take_is_no_silence(stubbed):
    client, events = stubbed("events")
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
    events.add_response("put_events", refused, {"Entries": ANY})

    with pytest.raises(NotPublished, match="ThrottlingException"):
        Bus(client, "bus").publish([Fact("Export Started", {})])
