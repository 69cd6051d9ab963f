from datetime import UTC, datetime, timedelta

import pytest
from examples import NOW, a_manifest

from on_crawler_complete.handler import on_crawl_ended
from table_exports.domain.export import CLAIM
from table_exports.domain.stages import Stage

CRAWLER = "glue-crawler/table-exports-reviews-parquet"
ENDED = datetime(2026, 11, 23, 2, 9, 20, tzinfo=UTC)
BEGAN = datetime(2026, 11, 23, 2, 8, 13, tzinfo=UTC)  # of the crawl in tests/events


@pytest.fixture
def react(cloud):
    return lambda event, at=NOW: on_crawl_ended(event, cloud, at)


@pytest.fixture
def cataloging(in_flight):
    return in_flight(Stage.CATALOGING, CRAWLER, waiting_since=BEGAN - timedelta(seconds=20), own_crawl=True)


def test_a_finished_crawl_publishes_the_snapshot_that_waited_for_it(cloud, cataloging, aws_event, react):
    react(aws_event("glue_crawler_succeeded"))

    assert cloud.athena.published == [("2026-11-23T02-00-07Z", [("asin", "asin"), ("stars", "stars")])]
    assert (cloud.the_export().stage, cloud.the_export().waiting_on) == (Stage.PUBLISHING, "athena-query/query-of-e1")


def test_the_same_event_again_changes_nothing(cloud, cataloging, aws_event, react):
    for _ in range(3):
        react(aws_event("glue_crawler_succeeded"))

    assert len(cloud.athena.published) == 1


def test_a_failed_crawl_fails_the_export_in_glues_own_words(cloud, cataloging, aws_event, react):
    event = aws_event("glue_crawler_succeeded", state="Failed", errorMessage="Access Denied")
    del event["detail"]["completionDate"], event["detail"]["runningTime (sec)"]

    react(event)

    assert cloud.the_export().stage is Stage.FAILED
    assert cloud.the_export().reason == "Crawler table-exports-reviews-parquet ended Failed: Access Denied"
    assert cloud.athena.published == []


def test_a_failed_crawl_is_followed_by_another(cloud, in_flight, aws_event, react):
    in_flight(Stage.CATALOGING, CRAWLER, waiting_since=NOW - timedelta(seconds=30), own_crawl=True, max_attempts=2)
    just_now = {"completionDate": "2026-11-23T02:08:05Z", "runningTime (sec)": "7"}

    for _ in range(2):
        react(aws_event("glue_crawler_succeeded", state="Failed", **just_now))

    export = cloud.the_export()
    assert (export.stage, export.own_crawl, export.attempt) == (Stage.CATALOGING, True, 2)
    assert len(cloud.glue.crawled) == 1


def test_a_crawl_that_a_person_cancelled_fails_the_export(cloud, in_flight, aws_event, react):
    in_flight(Stage.CATALOGING, CRAWLER, waiting_since=BEGAN, own_crawl=True, max_attempts=2)

    react(aws_event("glue_crawler_succeeded", state="Cancelled", errorMessage="by a person"))

    reason = (
        "Crawler table-exports-reviews-parquet ended Cancelled: by a person (resume the export when it may continue)"
    )
    assert cloud.the_export().reason == reason


def test_while_athena_says_not_now_the_export_waits_and_says_why(cloud, cataloging, aws_event, react):
    cloud.athena.busy = "View reviews cannot be created: TooManyRequestsException: 20 queries"

    react(aws_event("glue_crawler_succeeded"))

    assert (cloud.the_export().stage, cloud.the_export().blocked_reason) == (Stage.CATALOGING, cloud.athena.busy)


def test_what_the_crawl_made_of_the_files_is_corrected_before_the_view(cloud, cataloging, aws_event, react):
    react(aws_event("glue_crawler_succeeded"))

    assert cloud.glue.cataloged == ["table", "partitions of before", "partition 2026-11-23T02-00-07Z"]


def test_a_view_of_someone_else_that_was_made_meanwhile_is_left_alone(cloud, cataloging, aws_event, react):
    cloud.glue.view_taken = "view exports.reviews is not a view of snapshots_reviews"

    react(aws_event("glue_crawler_succeeded"))

    assert (cloud.the_export().stage, cloud.the_export().reason) == (Stage.FAILED, cloud.glue.view_taken)
    assert cloud.athena.published == []


def test_the_view_shows_each_attribute_under_its_first_name(cloud, cataloging, aws_event, react):
    cloud.manifests.manifest = a_manifest(("price", "bigint"), ("price_2", "string", "price"))

    react(aws_event("glue_crawler_succeeded"))

    assert cloud.athena.published == [("2026-11-23T02-00-07Z", [("price_2", "price")])]


def test_what_the_catalog_refuses_fails_the_export(cloud, cataloging, aws_event, react):
    cloud.glue.refuses = "Table snapshots_reviews cannot be created: AccessDeniedException: no"

    react(aws_event("glue_crawler_succeeded"))

    assert (cloud.the_export().stage, cloud.the_export().reason) == (Stage.FAILED, cloud.glue.refuses)
    assert cloud.athena.published == []


def dies_once_after(monkeypatch, part, step):
    """The function is killed when the step's call has been made, and not yet answered."""
    call = getattr(part, step)

    def killed(*arguments):
        monkeypatch.setattr(part, step, call)
        call(*arguments)
        raise ConnectionError("killed")

    monkeypatch.setattr(part, step, killed)


@pytest.mark.parametrize(
    ("part", "step"),
    [
        ("glue", "ensure_table"),
        ("glue", "correct_partitions"),
        ("glue", "ensure_partition"),
        ("athena", "create_view"),
        ("records", "move"),
    ],
)
def test_a_publication_that_died_goes_on_when_the_event_comes_again(
    cloud, cataloging, aws_event, react, monkeypatch, part, step
):
    dies_once_after(monkeypatch, getattr(cloud, part), step)

    with pytest.raises(ConnectionError):
        react(aws_event("glue_crawler_succeeded"))
    react(aws_event("glue_crawler_succeeded"), at=NOW + CLAIM)

    assert (cloud.the_export().stage, cloud.the_export().waiting_on) == (Stage.PUBLISHING, "athena-query/query-of-e1")
    assert cloud.glue.cataloged[-3:] == ["table", "partitions of before", "partition 2026-11-23T02-00-07Z"]


def test_the_crawl_before_ours_is_not_taken_for_ours(cloud, in_flight, aws_event, react):
    export = in_flight(Stage.CATALOGING, CRAWLER, waiting_since=BEGAN + timedelta(minutes=5), own_crawl=True)

    react(aws_event("glue_crawler_succeeded"))

    assert cloud.the_export() == export
    assert cloud.athena.published == []


def test_when_the_crawl_in_the_way_ends_our_own_begins(cloud, in_flight, aws_event, react):
    in_flight(Stage.CATALOGING, CRAWLER, waiting_since=BEGAN + timedelta(seconds=5), own_crawl=False)

    react(aws_event("glue_crawler_succeeded"), at=ENDED)

    export = cloud.the_export()
    assert (export.stage, export.own_crawl) == (Stage.CATALOGING, True)
    assert export.waiting_since > ENDED  # so that the same event again does not end the new wait
    assert len(cloud.glue.crawled) == 1
    assert cloud.athena.published == []


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (
            {"export_in_flight": "export#2026-11-23T09-00-00Z#e2"},
            "Another export took over: e2",
        ),
        (
            {"published_snapshot": "2026-11-24T02-00-07Z"},
            "The view was already asked to show a newer snapshot: 2026-11-24T02-00-07Z",
        ),
    ],
)
def test_the_view_is_left_alone_by_an_export_whose_time_is_over(cloud, cataloging, aws_event, react, head, reason):
    cloud.set_head(**head)

    react(aws_event("glue_crawler_succeeded"))

    assert (cloud.athena.published, cloud.glue.cataloged) == ([], [])
    assert cloud.the_export().stage is Stage.FAILED
    assert cloud.the_export().reason.startswith(reason)


def test_a_pipeline_that_was_deleted_publishes_no_more(cloud, cataloging, aws_event, react):
    cloud.records.unregister("reviews-parquet", cloud.registered.stack_id)

    react(aws_event("glue_crawler_succeeded"))

    assert cloud.athena.published == []
    assert cloud.the_export().reason.startswith("The table stack was deleted or renamed while the export was running")


@pytest.mark.parametrize("stranger", [{"crawlerName": "someone-elses"}, {"state": "Started"}])
def test_an_event_that_nobody_waits_for_changes_nothing(cloud, cataloging, aws_event, react, stranger):
    react(aws_event("glue_crawler_succeeded", **stranger))

    assert cloud.the_export() == cataloging
