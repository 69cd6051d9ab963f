import pytest
from examples import NOW

from on_view_complete.handler import on_query_ended
from table_exports.domain.stages import Stage

QUERY = "athena-query/01234567-0123-0123-0123-012345678901"


@pytest.fixture
def react(cloud):
    return lambda event: on_query_ended(event, cloud, NOW)


def test_a_published_view_ends_the_export_and_frees_the_lock(cloud, in_flight, aws_event, react):
    in_flight(Stage.PUBLISHING, QUERY)

    react(aws_event("athena_query_succeeded"))

    assert (cloud.the_export().stage, cloud.the_export().ended_at) == (Stage.SUCCEEDED, NOW)
    pipeline = cloud.records.pipeline("reviews-parquet")
    assert (pipeline.export_in_flight, pipeline.published_snapshot) == (None, "2026-11-23T02-00-07Z")
    assert pipeline.last_succeeded_at == NOW


@pytest.mark.parametrize(
    ("state", "more", "words"),
    [
        ("FAILED", {"athenaError": {"errorMessage": "TABLE_NOT_FOUND: line 1:8"}}, "TABLE_NOT_FOUND: line 1:8"),
        ("FAILED", {}, "no message"),
        ("CANCELLED", {}, "no message (resume the export when it may continue)"),
    ],
)
def test_a_view_that_could_not_be_made_fails_the_export(cloud, in_flight, aws_event, react, state, more, words):
    in_flight(Stage.PUBLISHING, QUERY)

    react(aws_event("athena_query_succeeded", currentState=state, **more))

    assert cloud.the_export().stage is Stage.FAILED
    query = QUERY.removeprefix("athena-query/")
    assert cloud.the_export().reason == f"Athena query {query} ended {state}: {words}"
    pipeline = cloud.records.pipeline("reviews-parquet")
    assert (pipeline.export_in_flight, pipeline.published_snapshot) == (None, None)


@pytest.mark.parametrize("error", [{"retryable": True}, {"errorCategory": 1.0, "retryable": False}])
def test_what_athena_failed_at_by_itself_is_asked_for_again(cloud, in_flight, aws_event, react, error):
    in_flight(Stage.PUBLISHING, QUERY, max_attempts=2)

    for _ in range(2):
        react(aws_event("athena_query_succeeded", currentState="FAILED", athenaError=error))

    export = cloud.the_export()
    assert (export.stage, export.waiting_on, export.attempt) == (Stage.PUBLISHING, "athena-query/query-of-e1-2", 2)


def test_a_query_that_is_wrong_is_not_asked_again(cloud, in_flight, aws_event, react):
    in_flight(Stage.PUBLISHING, QUERY, max_attempts=2)

    react(aws_event("athena_query_succeeded", currentState="FAILED", athenaError={"errorCategory": 2.0}))

    assert cloud.the_export().stage is Stage.FAILED


@pytest.mark.parametrize("stranger", [{"queryExecutionId": "theirs"}, {"currentState": "RUNNING"}])
def test_an_event_that_nobody_waits_for_changes_nothing(cloud, in_flight, aws_event, react, stranger):
    export = in_flight(Stage.PUBLISHING, QUERY)

    react(aws_event("athena_query_succeeded", **stranger))

    assert cloud.the_export() == export
