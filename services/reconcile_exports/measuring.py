"""How the pipelines are, said in every pass: what nothing happens to, no event tells of."""

from datetime import datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from table_exports.aws.cloud import Cloud
from table_exports.aws.records import export_of, pipeline_of
from table_exports.domain import measures
from table_exports.telemetry import count, logger, measure, metrics


def measure_pipelines(cloud: Cloud, now: datetime) -> None:
    in_flight = {record["pipeline"]: record for record in cloud.records.in_flight()}
    in_trouble = 0
    for head in cloud.records.pipelines():
        try:
            in_trouble += measure_pipeline(head, in_flight.get(head["pipeline"]), now)
        except Exception:  # whatever it is, the other pipelines are none the worse
            logger.exception("Pipeline not measured", extra={"pipeline": head["pipeline"]})
            count("ExportsNotReconciled")
    metrics.add_metric("PipelinesInTrouble", MetricUnit.Count, in_trouble)


def measure_pipeline(head: dict[str, Any], in_flight: dict[str, Any] | None, now: datetime) -> bool:
    """Whether it needs a person."""
    pipeline = pipeline_of(head)
    found = measures.of_pipeline(pipeline, export_of(in_flight) if in_flight else None, now)
    if found is None:
        return False
    measure(found.dimensions, found.values)
    if measures.in_trouble(found):
        logger.warning("A pipeline needs a person", extra={"pipeline": pipeline.pipeline} | found.values)
        return True
    return False
