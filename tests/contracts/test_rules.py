"""Whether the templates' own rules let an event through: those that AWS documents, and their like."""

import json

import pytest
from examples import NOW, an_export
from moto.events.models import EventPattern, EventPatternParser
from templates import resources

from table_exports.domain.aws_events import CrawlEnded, JobRunEnded, TableExportFailed
from table_exports.domain.request import ResumeRequest


def filled_in(pattern):
    text = (
        json.dumps(pattern).replace('{"Ref": "WorkGroup"}', '"table-exports"').replace('{"Ref": "Bucket"}', '"bucket"')
    )
    return json.loads(text)


def rules():
    """(name, bus, pattern) of each."""
    for rule in resources("common", "AWS::Events::Rule").values():
        properties = rule["Properties"]
        bus = "ours" if "EventBusName" in properties else "default"
        yield properties["Name"], bus, filled_in(properties["EventPattern"])


def lets_through(pattern, event):
    return EventPattern(json.dumps(pattern), EventPatternParser(json.dumps(pattern)).parse()).matches_event(event)


def reached(event, bus="default"):
    return [name for name, on, pattern in rules() if on == bus and lets_through(pattern, event)]


@pytest.mark.parametrize(
    ("event", "changes", "function"),
    [
        ("s3_object_created", {}, "on_table_exported"),
        ("glue_job_succeeded", {}, "on_glue_complete"),
        ("glue_job_failed", {}, "on_glue_complete"),
        ("glue_job_failed", {"state": "TIMEOUT", "severity": "WARN"}, "on_glue_complete"),
        ("glue_job_failed", {"state": "STOPPED", "severity": "INFO"}, "on_glue_complete"),
        ("glue_crawler_succeeded", {}, "on_crawler_complete"),
        ("glue_crawler_succeeded", {"state": "Failed", "errorMessage": "?"}, "on_crawler_complete"),
        ("athena_query_succeeded", {}, "on_view_complete"),
        ("athena_query_succeeded", {"currentState": "FAILED"}, "on_view_complete"),
        ("athena_query_succeeded", {"currentState": "CANCELLED"}, "on_view_complete"),
    ],
)
def test_an_end_reaches_the_one_service_that_reacts_to_it(aws_event, event, changes, function):
    told = aws_event(event, **changes)

    assert reached(told) == [f"table-exports-{function}"]
    assert reached(told | {"source": "table-exports.reconciler"}, bus="ours") == [f"table-exports-{function}"]
    assert reached(told | {"source": "table-exports"}, bus="ours") == []


@pytest.mark.parametrize(
    ("told", "function"),
    [
        (JobRunEnded(job_name="table-exports-x", run_id="jr_1", state="EXPIRED", message="-"), "on_glue_complete"),
        (CrawlEnded(crawler="x", state="Cancelled", began=None, ended=NOW, message="-"), "on_crawler_complete"),
        (TableExportFailed(arn="arn", message="-"), "on_table_exported"),
        (ResumeRequest(an_export()), "start_export"),
    ],
    ids=lambda value: getattr(value, "detail_type", value),
)
def test_what_aws_has_no_event_for_reaches_its_service_too(told, function):
    event = {"source": "table-exports.reconciler", "detail-type": told.detail_type, "detail": told.detail}

    assert reached(event, bus="ours") == [f"table-exports-{function}"]


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        ("glue_job_succeeded", {"jobName": "nightly-etl"}),
        ("glue_job_succeeded", {"jobName": "their-table-exports-job"}),
        ("glue_crawler_succeeded", {"crawlerName": "nightly-crawl"}),
        ("glue_crawler_started", {}),
        ("athena_query_succeeded", {"workgroupName": "primary"}),
        ("athena_query_succeeded", {"currentState": "RUNNING"}),
        ("athena_query_succeeded", {"currentState": "QUEUED"}),
        ("s3_object_created", {"bucket": {"name": "theirs"}}),
        ("s3_object_created", {"object": {"key": "staging/reviews/t/00000-00000.json.gz"}}),
        ("s3_object_created", {"object": {"key": "staging/reviews/t/AWSDynamoDB/1-a/data/x.json.gz"}}),
        ("s3_object_created", {"object": {"key": "staging/reviews/t/AWSDynamoDB/1-a/manifest-files.json"}}),
    ],
)
def test_what_is_not_ours_or_no_end_reaches_nobody(aws_event, event, changes):
    assert reached(aws_event(event, **changes)) == []


def test_no_rule_counts_against_the_quota_of_rules_with_wildcards():
    """A bus has at most 30, which cannot be increased, and other teams share the default bus."""
    patterns = [json.dumps(pattern) for _, _, pattern in rules()] + [
        json.dumps(pattern) for pattern in archives().values()
    ]

    assert [pattern for pattern in patterns if '"wildcard"' in pattern] == []


def test_a_request_reaches_start_export_on_our_bus():
    request = {"source": "table-exports", "detail-type": "Export Requested", "detail": {"pipeline": "x"}}

    assert reached(request, bus="ours") == ["table-exports-start_export"]
    assert reached(request | {"replay-name": "again"}, bus="ours") == ["table-exports-start_export"]
    assert reached(request, bus="default") == []


@pytest.mark.parametrize("fact", ["Export Started", "Export Failed", "Export Skipped"])
def test_a_fact_sets_off_nothing_of_ours(fact):
    assert reached({"source": "table-exports", "detail-type": fact, "detail": {}}, bus="ours") == []


def test_a_success_has_older_snapshots_removed():
    succeeded = {"source": "table-exports", "detail-type": "Export Succeeded", "detail": {}}

    assert reached(succeeded, bus="ours") == ["table-exports-on_export_succeeded"]
    assert reached(succeeded, bus="default") == []


def archives():
    return {
        found["Properties"]["ArchiveName"]: filled_in(found["Properties"]["EventPattern"])
        for found in resources("common", "AWS::Events::Archive").values()
    }


@pytest.mark.parametrize(
    "event",
    ["glue_job_succeeded", "glue_job_failed", "glue_crawler_succeeded", "athena_query_succeeded", "s3_object_created"],
)
def test_what_aws_says_of_our_exports_can_be_replayed(aws_event, event):
    assert lets_through(archives()["table-exports-aws-events"], aws_event(event))


def test_what_aws_says_of_others_is_not_kept(aws_event):
    pattern = archives()["table-exports-aws-events"]

    assert not lets_through(pattern, aws_event("glue_job_succeeded", jobName="nightly-etl"))
    assert not lets_through(pattern, aws_event("athena_query_succeeded", workgroupName="primary"))


def test_requests_are_kept_and_facts_are_not():
    pattern = archives()["table-exports-requests"]

    assert lets_through(pattern, {"source": "table-exports", "detail-type": "Export Requested", "detail": {}})
    assert not lets_through(pattern, {"source": "table-exports", "detail-type": "Export Succeeded", "detail": {}})
