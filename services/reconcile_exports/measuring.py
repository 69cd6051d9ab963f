"""How the pipelines are, said in every pass: what nothing happens to, no event tells of."""

from datetime import datetime

from aws_lambda_powertools.metrics import MetricUnit

from table_exports.aws.cloud import Cloud
from table_exports.aws.records import export_of, pipeline_of
from table_exports.domain import measures
from table_exports.telemetry import logger, measure, metrics


def measure_pipelines(cloud: Cloud, now: datetime) -> None:
    in_flight = {record["pipeline"]: record for record in cloud.records.in_flight()}
    in_trouble = 0
    for head in cloud.records.pipelines():
        pipeline, record = pipeline_of(head), in_flight.get(head["pipeline"])
        found = measures.of_pipeline(pipeline, export_of(record) if record else None, now)
        if found is None:
            continue
        measure(found.dimensions, found.values)
        if measures.in_trouble(found):
            in_trouble += 1
            logger.warning("A pipeline needs a person", extra={"pipeline": pipeline.pipeline} | found.values)
    metrics.add_metric("PipelinesInTrouble", MetricUnit.Count, in_trouble)
