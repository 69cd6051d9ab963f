"""What docs/cost.md says is computed from the templates and what the functions send."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from examples import NOW, a_pipeline

from infra import cost
from table_exports.domain import public_events
from table_exports.domain.reports import metrics
from table_exports.domain.stages import STAGES, Stage

PAGE = (Path(__file__).parents[2] / "docs/cost.md").read_text()


def test_the_page_has_the_table_of_the_templates():
    assert cost.table() in PAGE, "docs/cost.md is of another state of the templates: run python -m infra.cost"


def test_500_pipelines_cost_less_than_20_cents_each():
    assert cost.total(500) / 500 < 0.20


def test_a_pipeline_more_adds_no_alarm_and_no_permanent_metric():
    """These were nine tenths of the cost of 500 pipelines."""
    assert cost.resources("table", "AWS::CloudWatch::Alarm") == []
    assert cost.total(501) - cost.total(500) < 0.10


def test_an_alarm_is_charged_for_each_metric_that_it_watches():
    stat = {"MetricStat": {}}

    assert cost.metrics_watched({"MetricName": "M"}) == 1
    assert cost.metrics_watched({"Metrics": [{"Expression": "SUM(METRICS())"}, stat, stat]}) == 2
    assert cost.metrics_watched({"Metrics": [{"Expression": "SELECT …"}]}) == 0


@pytest.mark.parametrize("price", cost.PRICES.values(), ids=[*cost.PRICES])
def test_a_price_is_on_the_page(price):
    exact = f"{price:.10f}".rstrip("0").rstrip(".")

    assert re.search(rf"\${exact}0?(?![\d.]\d)", PAGE)


def test_the_metrics_of_an_export_are_those_that_are_computed():
    export = a_pipeline().begin("e1", None, NOW)
    succeeded = replace(
        export, stage=Stage.SUCCEEDED, waiting_on=None, ended_at=NOW + timedelta(hours=1), items=1, bytes=1
    )
    found = [measured for measured in metrics.of_change(export, succeeded) if "pipeline" in measured.dimensions]

    assert [{*measured.values} for measured in found] == [{*cost.PIPELINE_METRICS}]


def test_the_events_of_an_export_are_those_that_are_computed():
    events = public_events.events_between(Stage.STARTING, Stage.SUCCEEDED)

    assert [event.replace(" ", "") for event in events] == [*cost.SERVICE_METRICS]


def test_the_stages_of_an_export_are_those_that_are_computed():
    passed = [row.stage for row in STAGES.values() if row.operation]

    assert len(passed) - 1 == cost.STAGES_PASSED  # either STAGING or CATALOGING at most
