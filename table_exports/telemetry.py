"""The one logger, tracer and metrics of a service, named by its POWERTOOLS_* environment."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

warnings.filterwarnings("ignore", "No application metrics to publish")  # an event without news is no fault

logger = Logger()
metrics = Metrics()
tracer = Tracer(patch_modules=("botocore",))  # all that we call through; patching all it knows costs a cold start

UNITS = {
    "ExportDuration": MetricUnit.Seconds,
    "StageDuration": MetricUnit.Seconds,
    "SnapshotAge": MetricUnit.Seconds,
    "Bytes": MetricUnit.Bytes,
}  # of what is measured; all else is counted


def count(name: str) -> None:
    """One more, of this service."""
    metrics.add_metric(name, MetricUnit.Count, 1)


def measure(dimensions: Mapping[str, str], values: Mapping[str, float]) -> None:
    """Values of one thing. Each dimension's value must be one of few: CloudWatch charges for each as for a metric."""
    line = EphemeralMetrics(service="")  # not the service's own: an alarm names the dimensions, and has them all
    for name, value in dimensions.items():
        line.add_dimension(name, value)
    for name, value in values.items():
        line.add_metric(name, UNITS.get(name, MetricUnit.Count), value)
    line.flush_metrics()


class OfAnExport(Protocol):
    """An export, or the request for one."""

    pipeline: str
    export_id: str
    stage: str


@contextmanager
def about(export: OfAnExport) -> Iterator[None]:
    """Each log line within names the export, and so does a segment of the trace.

    No trace reaches from one service to the next, for the events of AWS carry none. The export's id does.
    """
    names = {"pipeline": export.pipeline, "export_id": export.export_id, "stage": str(export.stage)}
    with logger.append_context_keys(**names), tracer.provider.in_subsegment(name="## export"):
        for name, value in names.items():
            tracer.put_annotation(name, value)
        yield
