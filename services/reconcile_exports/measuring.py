"""Measures all pipelines in every pass, because no event reports that nothing happens."""

from datetime import datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from table_exports.aws.cloud import Cloud
from table_exports.aws.records import export_of, pipeline_of
from table_exports.domain.reports import metrics as measurements
from table_exports.functions.telemetry import count, logger, measure, metrics


def measure_pipelines(cloud: Cloud, now: datetime) -> None:
    in_flight = {item["pipeline"]: item for item in cloud.records.in_flight()}
    needing_attention = 0
    for head in cloud.records.pipelines():
        try:
            needing_attention += measure_pipeline(head, in_flight.get(head["pipeline"]), now)
        except Exception:  # one pipeline's error must not affect the others
            logger.exception("Pipeline not measured", extra={"pipeline": head["pipeline"]})
            count("ExportsNotReconciled")
    metrics.add_metric("PipelinesInTrouble", MetricUnit.Count, needing_attention)


def measure_pipeline(head: dict[str, Any], in_flight: dict[str, Any] | None, now: datetime) -> bool:
    """Measure one pipeline. Returns whether it needs attention."""
    pipeline = pipeline_of(head)
    found = measurements.of_pipeline(pipeline, export_of(in_flight) if in_flight else None, now)
    if found is None:
        return False
    measure(found.dimensions, found.values)
    if measurements.needs_attention(found):
        logger.warning("A pipeline needs attention", extra={"pipeline": pipeline.pipeline, **found.values})
        return True
    return False
