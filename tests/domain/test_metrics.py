from datetime import timedelta

import pytest
from examples import NOW, a_pipeline, an_export

from table_exports.domain.pipeline import End
from table_exports.domain.reports import metrics as pipeline_metrics
from table_exports.domain.reports.metrics import Measurement
from table_exports.domain.stages import Stage


def at(seconds):
    return NOW + timedelta(seconds=seconds)


STARTING = a_pipeline().begin("e1", None, NOW)
EXPORTING = STARTING.run_job("jr_1", at(5))
AGAIN = EXPORTING.retry().run_job("jr_2", at(65))
CATALOGING = AGAIN.wrote(items=2, files=1, size=1234, warning=None).crawl(True, at(125))
PUBLISHING = CATALOGING.advance(Stage.PUBLISHING, "q", at(185))
SUCCEEDED = PUBLISHING.succeed(at(188))
FAILED = CATALOGING.fail("Crawler x ended Failed", at(200))


@pytest.mark.parametrize(
    ("before", "after", "stage", "seconds"),
    [
        (STARTING, EXPORTING, "STARTING", 5),
        (AGAIN, CATALOGING, "EXPORTING", 120),  # both attempts
        (CATALOGING, PUBLISHING, "CATALOGING", 60),
        (PUBLISHING, SUCCEEDED, "PUBLISHING", 3),
        (CATALOGING, FAILED, "CATALOGING", 75),
    ],
)
def test_the_time_in_a_stage_is_known_when_it_is_left(before, after, stage, seconds):
    assert pipeline_metrics.of_change(before, after)[0] == Measurement({"stage": stage}, {"StageDuration": seconds})


@pytest.mark.parametrize(("before", "after"), [(None, STARTING), (EXPORTING, AGAIN)])
def test_nothing_is_measured_of_a_stage_that_goes_on(before, after):
    assert pipeline_metrics.of_change(before, after) == []


def test_a_success_says_how_long_it_took_and_how_much_it_wrote():
    took = Measurement({"pipeline": "reviews-parquet"}, {"ExportDuration": 188, "Items": 2, "Bytes": 1234})

    assert took in pipeline_metrics.of_change(PUBLISHING, SUCCEEDED)


def test_a_failure_says_at_which_stage_and_of_which_pipeline_at_once():
    assert pipeline_metrics.of_change(CATALOGING, FAILED)[1:] == [
        Measurement({"stage": "CATALOGING"}, {"ExportsFailed": 1}),
        Measurement({"pipeline": "reviews-parquet"}, {"Failing": 1}),
    ]


def test_a_resumption_is_no_time_in_the_stage_failed():
    assert pipeline_metrics.of_change(FAILED, FAILED.resume("by-me", 2, at(5000))) == []


def test_a_stage_of_an_earlier_version_without_steps_is_measured_from_its_wait():
    before = an_export(stage=Stage.PUBLISHING, waiting_on="athena-query/q", waiting_since=NOW)

    assert pipeline_metrics.of_change(before, before.succeed(at(7)))[0].values == {"StageDuration": 7}


def test_a_pipeline_without_problems_costs_no_metric():
    pipeline = a_pipeline(published_snapshot="2026-11-23T02-00-07Z", recent=(End.of(SUCCEEDED),))

    assert pipeline_metrics.of_pipeline(pipeline, None, NOW) is None


def test_a_new_pipeline_has_nothing_to_tell():
    assert pipeline_metrics.of_pipeline(a_pipeline(), None, NOW) is None


def test_a_pipeline_in_trouble_says_so_for_as_long_as_it_is():
    pipeline = a_pipeline(
        recent=(End.of(SUCCEEDED),) * 3 + (End.of(FAILED),),
        scheduled=True,
        scheduled_since=NOW - timedelta(days=9),
        schedule_expression="rate(1 hour)",
    )
    in_flight = a_pipeline().begin("e2", None, NOW - timedelta(hours=2))

    found = pipeline_metrics.of_pipeline(pipeline, in_flight, NOW)

    assert found == Measurement({"pipeline": "reviews-parquet"}, {"Failing": 1, "Stale": 1, "Slow": 1})
