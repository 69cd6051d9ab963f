"""`table-exports cancel` while the job, the crawl or the query of an export runs: it is stopped. Nothing follows."""

import pytest
from typer.testing import CliRunner

from table_exports_cli import app

pytestmark = pytest.mark.slow

ITEMS = [{"id": str(number), "note": "x" * 200_000} for number in range(40)]  # minutes at the rate of one unit


@pytest.fixture
def cancel(user, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", user.endpoint)

    def run(named):
        return CliRunner().invoke(app.app, ["--region", "us-east-1", "cancel", named, "--output", "json"])

    return run


def made(user, table, items=({"id": "1"},), **settings):
    user.make_table(table, list(items), {"id": "S"})
    return user.deploy_pipeline(table, **settings)


def reach(user, pipeline, stage):
    """The record of the pipeline's only running export, in this stage."""

    def look():
        return next((export for export in user.exports(pipeline) if export["stage"] == stage), None)

    return user.wait_for(look, stage)


def ended(user, pipeline, running, cancelled, note):
    """Checks what was said and recorded."""
    assert cancelled.exit_code == 0, (cancelled.output, cancelled.exception)
    assert note in cancelled.output
    [export] = [export for export in user.exports(pipeline) if export["export_id"] == running["export_id"]]
    by, waiting_on = "ancelled by arn:aws:iam::123456789012:root", running["waiting_on"]
    query = f"Athena query {waiting_on.removeprefix('athena-query/')} ended CANCELLED: no message (c{by})"
    assert export["stage"] == "FAILED"
    assert export["reason"] in (f"C{by} while it waited for {waiting_on}.", query)  # the query's event may come first
    head = user.table("table-exports").get_item(Key={"pipeline": pipeline["Pipeline"], "record": "pipeline"})["Item"]
    assert "export_in_flight" not in head


def test_a_job_run_is_stopped(user, cancel):
    pipeline = made(user, "Cancelled-Runs", ITEMS, ReadCapacityCap="1")
    user.request(pipeline)
    running = reach(user, pipeline, "EXPORTING")
    run = running["waiting_on"].removeprefix("glue-job-run/")

    cancelled = cancel(running["export_id"])

    ended(user, pipeline, running, cancelled, f"Stopped Glue job run {run}")
    look = {"JobName": pipeline["JobName"], "RunId": run}
    glue = user.client("glue")

    def stopped():
        state = glue.get_job_run(**look)["JobRun"]["JobRunState"]
        return state if state not in ("RUNNING", "STOPPING") else None

    assert user.wait_for(stopped, "end of the job run") == "STOPPED"
    assert len(user.exports(pipeline)) == 1  # the event of its end changed nothing
    user.request(pipeline)
    again = reach(user, pipeline, "EXPORTING")
    assert cancel(pipeline["Pipeline"]).exit_code == 0
    assert again["export_id"] != running["export_id"]


def test_a_crawl_is_stopped(user, cancel):
    pipeline = made(user, "Cancelled-Crawls")
    of_crawler = {"crawlerName": [pipeline["CrawlerName"]], "state": ["Started"]}
    user.inject_faults({"when": {"event": {"detail": of_crawler}}, "do": "slow", "seconds": 20})
    user.request(pipeline)
    running = reach(user, pipeline, "CATALOGING")

    cancelled = cancel(running["export_id"])

    ended(user, pipeline, running, cancelled, f"Stopped the crawl of {pipeline['CrawlerName']}")
    glue = user.client("glue")

    def last_crawl():
        crawler = glue.get_crawler(Name=pipeline["CrawlerName"])["Crawler"]
        return crawler.get("LastCrawl") if crawler["State"] == "READY" else None

    assert user.wait_for(last_crawl, "end of the crawl")["Status"] == "CANCELLED"
    [again] = user.export(pipeline)
    assert user.query(f"SELECT count(*) AS n FROM {pipeline['View']}") == [{"n": "1"}]
    assert again["export_id"] != running["export_id"]


def test_a_query_is_stopped_and_the_view_stays(user, cancel):
    pipeline = made(user, "Cancelled-Queries")
    user.export(pipeline)
    user.put_items("Cancelled-Queries", [{"id": "2"}])
    running_query = {"currentState": ["RUNNING"], "statementType": ["DDL"]}
    user.inject_faults({"when": {"event": {"detail": running_query}}, "do": "slow", "seconds": 20})
    user.request(pipeline)
    running = reach(user, pipeline, "PUBLISHING")
    query = running["waiting_on"].removeprefix("athena-query/")

    cancelled = cancel(running["export_id"])

    ended(user, pipeline, running, cancelled, f"Stopped Athena query {query}")
    execution = user.client("athena").get_query_execution(QueryExecutionId=query)["QueryExecution"]
    assert execution["Status"]["State"] == "CANCELLED"
    assert user.query(f"SELECT count(*) AS n FROM {pipeline['View']}") == [{"n": "1"}]
    user.export(pipeline)
    assert user.query(f"SELECT count(*) AS n FROM {pipeline['View']}") == [{"n": "2"}]
