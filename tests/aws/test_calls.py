"""What goes out to AWS and what its answers become: against botocore's own models, by its Stubber."""

import io
import json
from datetime import UTC, datetime, timedelta
from functools import partial

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from examples import a_manifest, an_export
from moto import mock_aws

from table_exports.aws.athena import Athena
from table_exports.aws.bus import Bus, NotPublished
from table_exports.aws.cloud import _client_without_retries
from table_exports.aws.glue import Glue
from table_exports.aws.manifests import Manifests
from table_exports.domain import catalog, view_sql
from table_exports.domain.aws_events import NO_MESSAGE, JobRunEnded
from table_exports.domain.errors import FinalError, PermanentError, RetryableError
from table_exports.domain.public_events import PublicEvent

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
        "--attempt": "1",
        "--snapshot_timestamp": "2026-11-23T02-00-07Z",
        "--table_name": "Reviews",
        "--read_percentage": "0.25",
        "--read_mode": "scan",
        "--table_export": "-",
        "--output_format": "parquet",
        "--output_prefix": "s3://bucket/exports/snapshots_reviews",
        "--staging_prefix": "s3://bucket/staging/reviews",
        "--manifest": "s3://bucket/exports/manifests_reviews/2026-11-23T02-00-07Z.json",
    }
    glue.add_response("start_job_run", {"JobRunId": "jr_1"}, {"JobName": JOB, "Arguments": arguments})

    assert Glue(client, lambda: client, "db").start_job_run(an_export()) == "jr_1"


def test_a_database_that_lake_formation_denies_ends_the_export_with_the_remedy(stubbed):
    client, glue = stubbed("glue")
    denied = "Insufficient Lake Formation permission(s): Required Describe on db"
    glue.add_client_error("get_database", "AccessDeniedException", denied, expected_params={"Name": "db"})

    with pytest.raises(PermanentError, match=r'(?s)db cannot be used: Insufficient Lake.*docs/runbook.md, "Lake Form'):
        Glue(client, lambda: client, "db").ensure_permitted()


@pytest.mark.parametrize("code", ["AccessDeniedException", "EntityNotFoundException", "ThrottlingException"])
def test_what_else_is_wrong_with_a_database_is_left_to_the_step_that_needs_it(stubbed, code):
    client, glue = stubbed("glue")
    glue.add_client_error("get_database", code, "not authorized to perform: glue:GetDatabase")

    Glue(client, lambda: client, "db").ensure_permitted()


@pytest.mark.parametrize("code", ["EntityNotFoundException", "InvalidInputException", "AccessDeniedException"])
def test_what_glue_refuses_for_good_is_refused_in_its_own_words(stubbed, code):
    client, glue = stubbed("glue")
    glue.add_client_error("start_job_run", code, "No such thing")

    with pytest.raises(PermanentError, match=f"^Glue job {JOB} cannot be started: {code}: No such thing$"):
        Glue(client, lambda: client, "db").start_job_run(an_export())


@pytest.mark.parametrize(
    "code", ["ConcurrentRunsExceededException", "ThrottlingException", "ResourceNumberLimitExceededException"]
)
def test_what_glue_cannot_do_now_is_a_wait(stubbed, code):
    client, glue = stubbed("glue")
    glue.add_client_error("start_job_run", code, "Later")

    with pytest.raises(RetryableError, match=f"^Glue job {JOB} cannot be started: {code}: Later$"):
        Glue(client, lambda: client, "db").start_job_run(an_export())


def test_what_another_try_may_mend_is_left_to_it(stubbed):
    client, glue = stubbed("glue")
    glue.add_client_error("start_job_run", "InternalServiceException", "Who knows")

    with pytest.raises(client.exceptions.ClientError, match="InternalServiceException"):
        Glue(client, lambda: client, "db").start_job_run(an_export())


def test_a_start_whose_answer_is_lost_is_not_repeated_by_botocore(monkeypatch):
    """It may have started a run: the next delivery looks first."""
    sent = []

    def lost(self, request):
        sent.append(request.url)
        raise ReadTimeoutError(endpoint_url=request.url)

    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", lost)

    with pytest.raises(ReadTimeoutError):
        Glue(None, partial(_client_without_retries, "glue"), "db").start_job_run(an_export())

    assert len(sent) == 1


def run(run_id, export_id, started, attempt="1"):
    named = {"--export_id": export_id, "--attempt": attempt}
    return {"Id": run_id, "StartedOn": datetime.fromisoformat(started), "Arguments": named}


def test_the_run_of_an_export_is_found_by_its_argument(stubbed):
    client, glue = stubbed("glue")
    newest, ours = run("jr_2", "e2", "2026-11-23T02:05:00Z"), run("jr_1", "e1", "2026-11-23T02:00:08Z")
    glue.add_response("get_job_runs", {"JobRuns": [newest], "NextToken": "t"}, {"JobName": JOB})
    glue.add_response("get_job_runs", {"JobRuns": [ours]}, {"JobName": JOB, "NextToken": "t"})

    assert Glue(client, lambda: client, "db").find_job_run(an_export()) == "jr_1"


def test_the_run_of_another_attempt_is_another(stubbed):
    client, glue = stubbed("glue")
    first, second = (run(f"jr_{n}", "e1", f"2026-11-23T02:0{n}:08Z", attempt=n) for n in "12")
    glue.add_response("get_job_runs", {"JobRuns": [second, first]}, {"JobName": JOB})
    glue.add_response("get_job_runs", {"JobRuns": [second, first]}, {"JobName": JOB})

    assert Glue(client, lambda: client, "db").find_job_run(an_export()) == "jr_1"
    assert Glue(client, lambda: client, "db").find_job_run(an_export(attempt=3)) is None


def asked_for_a_run(stubbed, **answer):
    client, glue = stubbed("glue")
    described = {"Id": "jr_1", "JobName": JOB} | answer
    glue.add_response("get_job_run", {"JobRun": described}, {"JobName": JOB, "RunId": "jr_1"})
    return Glue(client, lambda: client, "db").job_run_end(an_export(), "jr_1")


@pytest.mark.parametrize("state", ["STARTING", "RUNNING", "STOPPING", "WAITING"])
def test_a_run_that_goes_on_has_no_end(stubbed, state):
    assert asked_for_a_run(stubbed, JobRunState=state) is None


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "TIMEOUT", "STOPPED", "ERROR", "EXPIRED"])
def test_the_end_of_a_run_is_as_its_event_would_tell(stubbed, state):
    end = asked_for_a_run(stubbed, JobRunState=state, ErrorMessage="Out of memory")

    assert (end.job_name, end.run_id, end.state, end.message) == (JOB, "jr_1", state, "Out of memory")


def test_a_run_that_glue_knows_no_more_is_deleted(stubbed):
    client, glue = stubbed("glue")
    glue.add_client_error("get_job_run", "EntityNotFoundException", "No such run")

    end = Glue(client, lambda: client, "db").job_run_end(an_export(), "jr_1")

    assert (end.state, end.message) == ("DELETED", "No such run")


@pytest.mark.parametrize(
    ("described", "why"),
    [
        ({"JobRunState": "WAITING", "StateDetail": "Concurrent runs exceeded"}, "Concurrent runs exceeded"),
        ({"JobRunState": "WAITING"}, NO_MESSAGE),
        ({"JobRunState": "RUNNING", "StateDetail": "of before"}, None),
    ],
)
def test_a_run_in_the_queue_tells_why(stubbed, described, why):
    client, glue = stubbed("glue")
    run = {"Id": "jr_1", "JobName": JOB} | described
    glue.add_response("get_job_run", {"JobRun": run}, {"JobName": JOB, "RunId": "jr_1"})

    assert Glue(client, lambda: client, "db").why_queued(an_export(), "jr_1") == why


def test_a_run_that_could_not_be_stopped_is_no_silence(stubbed):
    client, glue = stubbed("glue")
    error = {"JobName": JOB, "JobRunId": "jr_1", "ErrorDetail": {"ErrorCode": "Oops", "ErrorMessage": "no"}}
    glue.add_response("batch_stop_job_run", {"Errors": [error]}, {"JobName": JOB, "JobRunIds": ["jr_1"]})

    with pytest.raises(ClientError, match="Oops"):
        Glue(client, lambda: client, "db").stop_job_run(an_export(), "jr_1")


SINCE = datetime(2026, 11, 23, 2, 8, 10, tzinfo=UTC)
ASKED_AT = SINCE + timedelta(minutes=11)


def asked_for_a_crawl(stubbed, own_crawl, state="READY", **last_crawl):
    client, glue = stubbed("glue")
    described = {"Name": CRAWLER, "State": state} | ({"LastCrawl": last_crawl} if last_crawl else {})
    glue.add_response("get_crawler", {"Crawler": described}, {"Name": CRAWLER})
    export = an_export(waiting_since=SINCE, own_crawl=own_crawl)
    return export, Glue(client, lambda: client, "db").crawl_end(export, ASKED_AT)


@pytest.mark.parametrize("state", ["RUNNING", "STOPPING"])
def test_a_crawl_that_goes_on_has_no_end(stubbed, state):
    assert asked_for_a_crawl(stubbed, True, state)[1] is None


@pytest.mark.parametrize(
    ("status", "state"), [("SUCCEEDED", "Succeeded"), ("FAILED", "Failed"), ("CANCELLED", "Cancelled")]
)
@pytest.mark.parametrize("own_crawl", [True, False])
def test_the_end_of_a_crawl_is_as_its_event_would_tell_and_ends_the_wait(stubbed, status, state, own_crawl):
    export, end = asked_for_a_crawl(stubbed, own_crawl, Status=status, StartTime=SINCE, ErrorMessage="Why")

    assert (end.crawler, end.state, end.message) == (CRAWLER, state, "Why")
    assert end.completes(export)


@pytest.mark.parametrize("last_crawl", [{}, {"Status": "SUCCEEDED", "StartTime": SINCE - timedelta(minutes=5)}])
def test_a_crawl_of_its_own_that_the_crawler_does_not_know_has_come_to_nothing(stubbed, last_crawl):
    export, end = asked_for_a_crawl(stubbed, True, **last_crawl)

    assert (end.state, end.message) == ("Cancelled", "The crawler knows of no such crawl")
    assert end.completes(export)


def test_anothers_crawl_that_is_over_ends_the_wait_for_it_whenever_it_began(stubbed):
    export, end = asked_for_a_crawl(stubbed, False, Status="SUCCEEDED", StartTime=SINCE - timedelta(minutes=5))

    assert end.completes(export)


def test_only_its_own_crawl_is_stopped_and_one_that_is_over_needs_no_stopping(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("stop_crawler", {}, {"Name": CRAWLER})
    glue.add_client_error("stop_crawler", "CrawlerNotRunningException")

    for own_crawl in (True, True, False):
        Glue(client, lambda: client, "db").stop_crawler(an_export(own_crawl=own_crawl))


def asked_for_a_query(stubbed, **status):
    client, athena = stubbed("athena")
    athena.add_response("get_query_execution", {"QueryExecution": {"Status": status}}, {"QueryExecutionId": "q"})
    return Athena(client, "table-exports", "db").query_end("q")


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING"])
def test_a_query_that_goes_on_has_no_end(stubbed, state):
    assert asked_for_a_query(stubbed, State=state) is None


def test_the_end_of_a_query_is_as_its_event_would_tell(stubbed):
    error = {"ErrorCategory": 1, "ErrorType": 233, "Retryable": True, "ErrorMessage": "Internal"}

    end = asked_for_a_query(stubbed, State="FAILED", StateChangeReason="Failed", AthenaError=error)

    assert (end.workgroup, end.query_id, end.state, end.message) == ("table-exports", "q", "FAILED", "Internal")
    assert end.retryable


def test_a_query_is_stopped_by_its_id(stubbed):
    client, athena = stubbed("athena")
    athena.add_response("stop_query_execution", {}, {"QueryExecutionId": "q"})

    Athena(client, "table-exports", "db").stop_query("q")


def test_a_missing_event_is_published_in_the_shape_of_awss(stubbed):
    client, events = stubbed("events")
    end = JobRunEnded(job_name=JOB, run_id="jr_1", state="SUCCEEDED", message="-")
    entry = {
        "EventBusName": "table-exports",
        "Source": "table-exports.reconciler",
        "DetailType": "Glue Job State Change",
        "Detail": json.dumps(end.detail),
    }
    events.add_response("put_events", {"FailedEntryCount": 0, "Entries": []}, {"Entries": [entry]})

    Bus(client, "table-exports").republish_missing([end])


def test_runs_from_before_the_request_end_the_search(stubbed):
    client, glue = stubbed("glue")
    older = run("jr_0", "e0", "2026-11-22T02:00:00Z")
    glue.add_response("get_job_runs", {"JobRuns": [older], "NextToken": "t"}, {"JobName": JOB})

    assert Glue(client, lambda: client, "db").find_job_run(an_export()) is None


def test_a_crawler_that_runs_already_is_no_failure(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("start_crawler", {}, {"Name": CRAWLER})
    glue.add_client_error("start_crawler", "CrawlerRunningException")

    assert Glue(client, lambda: client, "db").start_crawler(an_export()) is True
    assert Glue(client, lambda: client, "db").start_crawler(an_export()) is False


TABLE = {"DatabaseName": "db", "TableName": "snapshots_reviews"}
NAMED = {"DatabaseName": "db", "Name": "snapshots_reviews"}
SNAPSHOT = "2026-11-23T02-00-07Z"
MANIFEST = a_manifest(("asin", "string"), ("stars", "bigint"))
EARLIER = a_manifest(("asin", "string"))


def described(manifest=MANIFEST, version="7", **options):
    """As GetTable answers."""
    table = catalog.table_input(an_export(), manifest, None, **options)
    return {"Table": {**table, "DatabaseName": "db", "VersionId": version, "CreatedBy": "a crawler"}}


def partition(manifest=MANIFEST, timestamp=SNAPSHOT):
    return catalog.partition_input(an_export(), manifest, timestamp, None)


def failure(values, code, key="PartitionValues"):
    return {"Errors": [{key: values, "ErrorDetail": {"ErrorCode": code, "ErrorMessage": "Just so"}}]}


@pytest.mark.parametrize(("manifest", "known"), [(MANIFEST, True), (EARLIER, False)])
def test_the_catalog_is_asked_whether_it_has_the_schema(stubbed, manifest, known):
    client, glue = stubbed("glue")
    glue.add_response("get_table", described(manifest), NAMED)

    assert Glue(client, lambda: client, "db").has_schema(an_export(), MANIFEST) is known


def test_a_crawl_that_was_due_and_never_ended_is_made_by_the_next_try(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("get_table", described(MANIFEST, crawl_due=True), NAMED)

    assert Glue(client, lambda: client, "db").has_schema(an_export(), MANIFEST) is False


def test_a_table_that_is_not_there_has_no_schema(stubbed):
    client, glue = stubbed("glue")
    glue.add_client_error("get_table", "EntityNotFoundException", "Not there")

    assert Glue(client, lambda: client, "db").has_schema(an_export(), MANIFEST) is False


OF_A_STRUCT = a_manifest(("asin", "string"), ("place", "struct<city:string>"))
GROWN = a_manifest(("asin", "string"), ("place", "struct<city:string,zip:bigint>"))
GROWN_AND_MORE = a_manifest(("asin", "string"), ("place", "struct<city:string,zip:bigint>"), ("stars", "bigint"))


def test_a_table_that_lacks_only_fields_of_structs_gets_them_without_a_crawl(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("get_table", described(OF_A_STRUCT), NAMED)
    wanted = catalog.table_input(an_export(), GROWN, None)
    glue.add_response("update_table", {}, {"DatabaseName": "db", "TableInput": wanted, "VersionId": "7"})

    assert Glue(client, lambda: client, "db").has_schema(an_export(), GROWN) is True


def test_before_a_crawl_structs_do_not_grow_because_the_view_would_be_stale(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("get_table", described(OF_A_STRUCT), NAMED)
    kept = a_manifest(*((each.name, each.type) for each in OF_A_STRUCT.columns), ("stars", "bigint"))
    wanted = catalog.table_input(an_export(), kept, None, crawl_due=True)
    glue.add_response("update_table", {}, {"DatabaseName": "db", "TableInput": wanted, "VersionId": "7"})

    Glue(client, lambda: client, "db").prepare_crawl(an_export(), GROWN_AND_MORE)


def test_the_partition_of_an_export_that_failed_after_its_crawl_gets_the_fields_that_its_files_have(stubbed):
    client, glue = stubbed("glue")
    published, failed = partition(OF_A_STRUCT, "2026-11-21T02-00-00Z"), partition(OF_A_STRUCT, "2026-11-22T02-00-00Z")
    glue.add_response("get_partitions", {"Partitions": [published, failed]})
    wanted = partition(GROWN, "2026-11-22T02-00-00Z")
    entries = [{"PartitionValueList": ["2026-11-22T02-00-00Z"], "PartitionInput": wanted}]
    glue.add_response("batch_update_partition", {}, TABLE | {"Entries": entries})

    Glue(client, lambda: client, "db").correct_partitions(an_export(), GROWN, "2026-11-21T02-00-00Z")


@pytest.mark.parametrize("step", ["has_schema", "prepare_crawl", "ensure_table"])
def test_a_table_of_another_dataset_is_refused_and_left_alone(stubbed, step):
    client, glue = stubbed("glue")
    theirs = described()
    theirs["Table"]["PartitionKeys"] = [{"Name": "day"}]
    glue.add_response("get_table", theirs)

    with pytest.raises(PermanentError, match="another dataset has its folder"):
        getattr(Glue(client, lambda: client, "db"), step)(an_export(), MANIFEST)


def test_names_that_are_free_or_of_the_pipeline_may_be_used(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("get_table", described(), NAMED)
    glue.add_client_error("get_table", "EntityNotFoundException", "Not there")

    Glue(client, lambda: client, "db").ensure_own_names(an_export())


def test_a_snapshot_table_of_another_dataset_is_found_before_the_view_is_looked_up(stubbed):
    client, glue = stubbed("glue")
    theirs = described()
    theirs["Table"]["StorageDescriptor"]["Location"] = "s3://theirs/"
    glue.add_response("get_table", theirs, NAMED)

    with pytest.raises(PermanentError, match="another dataset has its name"):
        Glue(client, lambda: client, "db").ensure_own_names(an_export())


def test_a_view_of_someone_else_is_found(stubbed):
    client, glue = stubbed("glue")
    glue.add_client_error("get_table", "EntityNotFoundException", "Not there")
    view = {"Table": {"Name": "reviews", "TableType": "VIRTUAL_VIEW", "ViewOriginalText": "theirs"}}
    glue.add_response("get_table", view, {"DatabaseName": "db", "Name": "reviews"})

    with pytest.raises(PermanentError, match=r"view db\.reviews is not a view of snapshots_reviews"):
        Glue(client, lambda: client, "db").ensure_own_names(an_export())


LISTED = {"DatabaseName": "db", "Expression": "(snapshots_)?reviews_.*", "AttributesToGet": ["NAME"]}


def an_entity(name):
    return an_export(catalog_name=name, output_prefix=f"s3://bucket/exports/entities_reviews/{name}")


@pytest.mark.parametrize("taken", ["reviews_orders", "snapshots_reviews_orders"])
def test_of_the_names_of_entities_only_those_that_exist_are_looked_up(stubbed, taken):
    client, glue = stubbed("glue")
    entities = [an_entity(name) for name in ("reviews_lines", "reviews_orders", "reviews_other")]
    glue.add_response("get_tables", {"TableList": [{"Name": "snapshots_reviews_old"}], "NextToken": "2"}, LISTED)
    glue.add_response("get_tables", {"TableList": [{"Name": taken}]}, LISTED | {"NextToken": "2"})
    for name in ("snapshots_reviews_orders", "reviews_orders"):
        named = {"DatabaseName": "db", "Name": name}
        if name == taken:
            glue.add_response("get_table", {"Table": {"Name": name, "PartitionKeys": [{"Name": "day"}]}}, named)
            break
        glue.add_client_error("get_table", "EntityNotFoundException", "Not there", expected_params=named)

    with pytest.raises(PermanentError, match=taken):
        Glue(client, lambda: client, "db").ensure_own_names_of_entities(an_export(), entities)


def test_names_of_entities_that_cannot_be_listed_are_refused(stubbed):
    client, glue = stubbed("glue")
    glue.add_client_error("get_tables", "AccessDeniedException", "glue:GetTables")

    with pytest.raises(PermanentError, match=r"^The tables of entities cannot be looked up: AccessDeniedException"):
        Glue(client, lambda: client, "db").ensure_own_names_of_entities(an_export(), [an_entity("reviews_orders")])


def test_a_catalog_that_does_not_show_the_view_is_refused_in_its_own_words(stubbed):
    client, glue = stubbed("glue")
    glue.add_client_error("get_table", "AccessDeniedException", "Insufficient Lake Formation permission(s)")

    with pytest.raises(PermanentError, match=r"^View reviews cannot be looked up: AccessDeniedException: Insufficient"):
        Glue(client, lambda: client, "db").ensure_own_view(an_export())


def test_a_table_that_the_crawl_did_not_make_is_created(stubbed):
    client, glue = stubbed("glue")
    glue.add_client_error("get_table", "EntityNotFoundException", "Not there")
    glue.add_response(
        "create_table", {}, {"DatabaseName": "db", "TableInput": catalog.table_input(an_export(), MANIFEST, None)}
    )

    Glue(client, lambda: client, "db").ensure_table(an_export(), MANIFEST)


@pytest.mark.parametrize(("step", "crawl_due"), [("prepare_crawl", True), ("ensure_table", False)])
def test_a_table_with_other_columns_is_updated_if_it_still_is_as_it_was_found(stubbed, step, crawl_due):
    client, glue = stubbed("glue")
    glue.add_response("get_table", described(EARLIER), NAMED)
    wanted = catalog.table_input(an_export(), MANIFEST, None, crawl_due=crawl_due)
    glue.add_response("update_table", {}, {"DatabaseName": "db", "TableInput": wanted, "VersionId": "7"})

    getattr(Glue(client, lambda: client, "db"), step)(an_export(), MANIFEST)


@pytest.mark.parametrize("step", ["prepare_crawl", "ensure_table"])
def test_a_table_that_is_right_is_not_written(stubbed, step):
    client, glue = stubbed("glue")
    glue.add_response("get_table", described(), NAMED)

    getattr(Glue(client, lambda: client, "db"), step)(an_export(), MANIFEST)


def test_a_crawl_is_left_to_make_the_first_table_itself(stubbed):
    client, glue = stubbed("glue")
    glue.add_client_error("get_table", "EntityNotFoundException", "Not there")

    Glue(client, lambda: client, "db").prepare_crawl(an_export(), MANIFEST)


def test_after_the_crawl_it_is_no_longer_due(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("get_table", described(crawl_due=True), NAMED)
    wanted = catalog.table_input(an_export(), MANIFEST, None)
    glue.add_response("update_table", {}, {"DatabaseName": "db", "TableInput": wanted, "VersionId": "7"})

    Glue(client, lambda: client, "db").ensure_table(an_export(), MANIFEST)


@pytest.mark.parametrize("code", ["ConcurrentModificationException", "AlreadyExistsException"])
def test_a_race_that_is_lost_is_left_to_another_try(stubbed, code):
    client, glue = stubbed("glue")
    glue.add_response("get_table", described(EARLIER))
    glue.add_client_error("update_table", code)

    with pytest.raises(client.exceptions.ClientError, match=code):
        Glue(client, lambda: client, "db").ensure_table(an_export(), MANIFEST)


@pytest.mark.parametrize("missing", ["get_table", "create_table"])
def test_a_catalog_that_says_no_is_refused_in_its_own_words(stubbed, missing):
    client, glue = stubbed("glue")
    if missing == "create_table":
        glue.add_client_error("get_table", "EntityNotFoundException")
    glue.add_client_error(missing, "AccessDeniedException", "Not you")

    with pytest.raises(PermanentError, match=r"^Table snapshots_reviews cannot be .*: AccessDeniedException: Not you$"):
        Glue(client, lambda: client, "db").ensure_table(an_export(), MANIFEST)


def test_a_snapshot_becomes_a_partition(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("batch_create_partition", {}, TABLE | {"PartitionInputList": [partition()]})

    Glue(client, lambda: client, "db").ensure_partition(an_export(), MANIFEST)


def test_a_partition_that_is_there_and_right_is_not_written(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("batch_create_partition", failure([SNAPSHOT], "AlreadyExistsException"))
    glue.add_response("get_partition", {"Partition": partition()}, TABLE | {"PartitionValues": [SNAPSHOT]})

    Glue(client, lambda: client, "db").ensure_partition(an_export(), MANIFEST)


def test_a_partition_that_is_there_with_other_columns_is_updated(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("batch_create_partition", failure([SNAPSHOT], "AlreadyExistsException"))
    glue.add_response("get_partition", {"Partition": partition(EARLIER)})
    update = TABLE | {"PartitionValueList": [SNAPSHOT], "PartitionInput": partition()}
    glue.add_response("update_partition", {}, update)

    Glue(client, lambda: client, "db").ensure_partition(an_export(), MANIFEST)


def test_a_partition_that_the_catalog_refuses_is_refused_though_the_call_succeeds(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("batch_create_partition", failure([SNAPSHOT], "InvalidInputException"))

    with pytest.raises(
        PermanentError, match=r"^Snapshot .*cannot be put into the catalog: InvalidInputException: Just so"
    ):
        Glue(client, lambda: client, "db").ensure_partition(an_export(), MANIFEST)


def test_a_partition_that_another_try_may_mend_is_left_to_it(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("batch_create_partition", failure([SNAPSHOT], "InternalServiceException"))

    with pytest.raises(client.exceptions.ClientError, match="InternalServiceException"):
        Glue(client, lambda: client, "db").ensure_partition(an_export(), MANIFEST)


def test_each_page_of_partitions_that_a_crawl_left_otherwise_is_rewritten_before_the_next_is_read(stubbed):
    client, glue = stubbed("glue")
    timestamps = [f"2026-11-22T02-00-00Z-{n}" for n in range(150)]
    inferred = a_manifest(("asin", "string"), ("stars", "double"))
    right = [partition(timestamp=SNAPSHOT), partition(EARLIER, "2026-11-21T02-00-00Z")]
    wrong = [partition(inferred, timestamp) for timestamp in timestamps]
    entries = [{"PartitionValueList": [t], "PartitionInput": partition(timestamp=t)} for t in timestamps]
    page = TABLE | {"MaxResults": 100}
    glue.add_response("get_partitions", {"Partitions": right + wrong[:98], "NextToken": "t"}, page)
    glue.add_response("batch_update_partition", {}, TABLE | {"Entries": entries[:98]})
    glue.add_response("get_partitions", {"Partitions": wrong[98:], "NextToken": "u"}, page | {"NextToken": "t"})
    glue.add_response("batch_update_partition", {}, TABLE | {"Entries": entries[98:]})
    glue.add_response("get_partitions", {"Partitions": right}, page | {"NextToken": "u"})

    Glue(client, lambda: client, "db").correct_partitions(an_export(), MANIFEST, SNAPSHOT)


@mock_aws
def test_all_partitions_in_avro_have_the_schema_of_the_table_when_it_has_changed():
    client = boto3.client("glue")
    client.create_database(DatabaseInput={"Name": "db"})
    glue, columns = Glue(client, lambda: client, "db"), []
    for day, name in enumerate(["asin", "stars", "price"], 1):
        columns.append((name, "string"))
        export = an_export(output_format="avro", export_id=f"e{day}", snapshot_timestamp=f"2026-11-0{day}T00-00-00Z")
        literal = {"avro.schema.literal": json.dumps([name for name, _ in columns])}
        manifest = a_manifest(*columns, output_format="avro", serde_parameters=literal)
        glue.ensure_table(export, manifest)
        glue.correct_partitions(export, manifest, None)
        glue.ensure_partition(export, manifest)

    found = client.get_partitions(**TABLE)["Partitions"]
    descriptors = [client.get_table(**NAMED)["Table"]["StorageDescriptor"], *(p["StorageDescriptor"] for p in found)]
    assert [partition["Values"] for partition in found] == [[f"2026-11-0{day}T00-00-00Z"] for day in (1, 2, 3)]
    assert {each["SerdeInfo"]["Parameters"]["avro.schema.literal"] for each in descriptors} == {
        '["asin", "stars", "price"]'
    }
    assert {len(each["Columns"]) for each in descriptors} == {3}


def test_a_partition_that_was_not_rewritten_is_no_silence(stubbed):
    client, glue = stubbed("glue")
    glue.add_response("get_partitions", {"Partitions": [partition(a_manifest(("stars", "double")))]})
    glue.add_response(
        "batch_update_partition", failure([SNAPSHOT], "InternalServiceException", key="PartitionValueList")
    )

    with pytest.raises(client.exceptions.ClientError, match="InternalServiceException"):
        Glue(client, lambda: client, "db").correct_partitions(an_export(), MANIFEST, SNAPSHOT)


LATER = "2026-11-24T02-00-07Z"


def crawl(client, inferred, timestamp):
    """As a crawler does it that merges new columns, and lets partitions inherit the table's."""
    try:
        table = client.get_table(**NAMED)["Table"]
    except client.exceptions.EntityNotFoundException:
        table = catalog.table_input(an_export(), inferred, None)
        client.create_table(DatabaseName="db", TableInput=table)
    known = {column["Name"] for column in table["StorageDescriptor"]["Columns"]}
    new = [{"Name": column.name, "Type": column.type} for column in inferred.columns if column.name not in known]
    descriptor = table["StorageDescriptor"] | {"Columns": table["StorageDescriptor"]["Columns"] + new}
    kept = {name: table[name] for name in ("Name", "PartitionKeys", "Parameters")}
    client.update_table(DatabaseName="db", TableInput=kept | {"StorageDescriptor": descriptor})
    client.batch_create_partition(
        **TABLE, PartitionInputList=[{"Values": [timestamp], "StorageDescriptor": descriptor}]
    )
    for found in client.get_partitions(**TABLE)["Partitions"]:
        crawled = {"Values": found["Values"], "StorageDescriptor": descriptor}
        client.update_partition(**TABLE, PartitionValueList=found["Values"], PartitionInput=crawled)


def column_types(described):
    return [column["Type"] for column in described["StorageDescriptor"]["Columns"]]


@mock_aws
def test_while_columns_are_added_no_query_meets_a_partition_that_contradicts_its_table():
    client = boto3.client("glue")
    client.create_database(DatabaseInput={"Name": "db"})
    glue, first, second = (
        Glue(client, lambda: client, "db"),
        an_export(),
        an_export(export_id="e2", snapshot_timestamp=LATER),
    )
    before, after = a_manifest(("asin", "string")), a_manifest(("asin", "string"), ("price", "decimal(38,2)"))
    inferred = a_manifest(("asin", "string"), ("price", "double"))
    glue.ensure_table(first, before)
    glue.ensure_partition(first, before)
    seen = []

    def look(**_):
        watching.disable()
        try:
            table = client.get_table(**NAMED)["Table"]
            parts = client.get_partitions(**TABLE)["Partitions"]
            seen.append([(column_types(part), column_types(table)) for part in parts])
        finally:
            watching.enable()

    watching = Watch(client, look)
    watching.enable()
    glue.prepare_crawl(second, after)
    crawl(client, inferred, LATER)
    glue.ensure_table(second, after)
    glue.correct_partitions(second, after, SNAPSHOT)
    glue.ensure_partition(second, after)
    watching.disable()

    contradictions = [
        (part, table)
        for moment in seen
        for part, table in moment
        if any(one != other for one, other in zip(part, table, strict=False))
    ]
    assert contradictions == []
    assert seen[-1] == [(["string", "decimal(38,2)"], ["string", "decimal(38,2)"])] * 2
    assert glue.has_schema(second, after)


class Watch:
    """Looks after each call of a client."""

    def __init__(self, client, look):
        self._events, self._look = client.meta.events, look

    def enable(self):
        self._events.register("after-call.glue", self._look)

    def disable(self):
        self._events.unregister("after-call.glue", self._look)


def test_a_view_is_asked_for_with_a_token_in_our_workgroup(stubbed):
    client, athena = stubbed("athena")
    sql = view_sql.create_view(an_export(), "db", [("asin", "asin")])
    asked = {
        "QueryString": sql,
        "ClientRequestToken": view_sql.request_token(an_export(), sql),
        "QueryExecutionContext": {"Database": "db"},
        "WorkGroup": "table-exports",
    }
    athena.add_response("start_query_execution", {"QueryExecutionId": "q1"}, asked)

    assert Athena(client, "table-exports", "db").create_view(an_export(), a_manifest(("asin", "string"))) == "q1"


def test_a_view_of_more_columns_than_athena_takes_is_refused_with_what_can_be_done(stubbed):
    client, _ = stubbed("athena")
    manifest = a_manifest(*((f"column_{n:05}" + "x" * 210, "string") for n in range(1200)))

    with pytest.raises(PermanentError, match=r"1200 columns, and Athena accepts 262144\. Query snapshots_reviews"):
        Athena(client, "table-exports", "db").create_view(an_export(), manifest)


def test_a_view_of_wider_types_than_glue_stores_is_refused_with_what_can_be_done(stubbed):
    client, _ = stubbed("athena")
    wide = f"struct<{','.join(f'field_{n:04}:bigint' for n in range(4_500))}>"
    manifest = a_manifest(*((f"column_{n}", wide) for n in range(4)))

    with pytest.raises(FinalError, match=r"4 columns, are at least \d+ characters .* Glue accepts 409600\. Query snap"):
        Athena(client, "table-exports", "db").create_view(an_export(), manifest)


def test_what_botocore_refuses_to_send_is_refused(monkeypatch):
    """It would refuse it each time."""
    client = boto3.client("glue")

    with pytest.raises(PermanentError, match="cannot be started: Parameter validation failed"):
        Glue(client, lambda: client, "db").start_job_run(an_export(glue_job_name=""))


def test_a_crawler_that_is_gone_has_come_to_its_end(stubbed):
    client, glue = stubbed("glue")
    glue.add_client_error("get_crawler", "EntityNotFoundException", "Crawler x not found")
    export = an_export(waiting_since=SINCE, own_crawl=True)

    end = Glue(client, lambda: client, "db").crawl_end(export, ASKED_AT)

    assert (end.state, end.message) == ("Cancelled", "Crawler x not found")
    assert end.completes(export)


def test_athenas_limits_are_waits_not_refusals(stubbed):
    client, athena = stubbed("athena")
    athena.add_client_error("start_query_execution", "TooManyRequestsException", "CONCURRENT_QUERY_LIMIT_EXCEEDED")

    with pytest.raises(RetryableError, match="TooManyRequestsException: CONCURRENT_QUERY"):
        Athena(client, "table-exports", "db").create_view(an_export(), a_manifest(("asin", "string")))


def test_a_manifest_is_read_from_beside_the_tables_folder(stubbed):
    client, s3 = stubbed("s3")
    proof = {"version": 2, "export_id": "e1", "snapshot_timestamp": "2026-11-23T02-00-07Z"}
    proof |= {"output_format": "parquet", "items_counted": 2, "items_written": 2, "items_expected": 2, "files": 1}
    proof |= {"bytes": 9, "serde_parameters": {}, "columns": [{"name": "a", "type": "string", "attribute": "A"}]}
    body = json.dumps(proof).encode()
    where = {"Bucket": "bucket", "Key": "exports/manifests_reviews/2026-11-23T02-00-07Z.json"}
    s3.add_response("get_object", {"Body": StreamingBody(io.BytesIO(body), len(body))}, where)

    assert Manifests(client).proof_of(an_export()).items_written == 2


def test_no_manifest_no_proof(stubbed):
    client, s3 = stubbed("s3")
    s3.add_client_error("get_object", "NoSuchKey")

    with pytest.raises(
        PermanentError, match=r"^The job run left no manifest at s3://bucket/exports/manifests_reviews/"
    ):
        Manifests(client).proof_of(an_export())


def test_events_are_published_ten_at_a_time(stubbed):
    client, events = stubbed("events")
    published = [PublicEvent("Export Started", {"n": n}) for n in range(11)]

    def entries(these):
        envelope = {"EventBusName": "bus", "Source": "table-exports", "DetailType": "Export Started"}
        return {"Entries": [envelope | {"Detail": json.dumps(event.detail)} for event in these]}

    for these in (published[:10], published[10:]):
        answer = {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}] * len(these)}
        events.add_response("put_events", answer, entries(these))

    Bus(client, "bus").publish(published)


def test_a_fact_that_the_bus_did_not_take_is_no_silence(stubbed):
    client, events = stubbed("events")
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
    events.add_response("put_events", refused, {"Entries": ANY})

    with pytest.raises(NotPublished, match="ThrottlingException"):
        Bus(client, "bus").publish([PublicEvent("Export Started", {})])
