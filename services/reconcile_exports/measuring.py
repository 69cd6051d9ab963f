"""Measures all pipelines in every pass, because no event reports that nothing happens."""

from datetime import datetime

from aws_lambda_powertools.metrics import MetricUnit

from table_exports.aws.cloud import Cloud
from table_exports.domain.errors import InvalidRecord
from table_exports.domain.export import Export
from table_exports.domain.pipeline import Pipeline
from table_exports.domain.reports import metrics as measurements
from table_exports.functions.event_handling import report_invalid
from table_exports.functions.telemetry import count, logger, measure, metrics


def measure_pipelines(cloud: Cloud, now: datetime) -> None:
    """Measure all pipelines. One with an invalid record counts among those that need attention."""
    found = list(cloud.records.in_flight())
    invalid = {record.pipeline for record in found if isinstance(record, InvalidRecord)}
    in_flight = {export.pipeline: export for export in found if not isinstance(export, InvalidRecord)}
    needing_attention = set(invalid)
    for head in cloud.records.pipelines():
        name = head.pipeline
        if isinstance(head, InvalidRecord):
            report_invalid(head)
            count("ExportsNotReconciled")
            needing_attention.add(name)
            continue
        try:
            if measure_pipeline(head, in_flight.get(name), now):
                needing_attention.add(name)
        except Exception:  # one pipeline's error must not affect the others
            logger.exception("Pipeline not measured", extra={"pipeline": name})
            count("ExportsNotReconciled")
    metrics.add_metric("PipelinesInTrouble", MetricUnit.Count, len(needing_attention))


def measure_pipeline(pipeline: Pipeline, in_flight: Export | None, now: datetime) -> bool:
    """Measure one pipeline. Returns whether it needs attention."""
    found = measurements.of_pipeline(pipeline, in_flight, now)
    if found is None:
        return False
    measure(found.dimensions, found.values)
    logger.warning("A pipeline needs attention", extra={"pipeline": pipeline.pipeline, **found.values})
    return True
