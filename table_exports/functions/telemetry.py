"""The logger and metrics of a function, configured by its POWERTOOLS_* environment."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from table_exports.functions.tracing import annotated

warnings.filterwarnings("ignore", "No application metrics to publish")  # an event need not lead to metrics

logger = Logger()
metrics = Metrics()

UNITS = {
    "ExportDuration": MetricUnit.Seconds,
    "StageDuration": MetricUnit.Seconds,
    "Bytes": MetricUnit.Bytes,
}  # of measurements. Everything else is counted


def count(name: str) -> None:
    """Add one to a counter of this service."""
    metrics.add_metric(name, MetricUnit.Count, 1)


def measure(dimensions: Mapping[str, str], values: Mapping[str, float]) -> None:
    """Send values with dimensions. These must have few values, because CloudWatch charges for each combination."""
    line = EphemeralMetrics(service="")  # without the service's dimension, because an alarm must name all dimensions
    for name, dimension in dimensions.items():
        line.add_dimension(name, dimension)
    for name, value in values.items():
        line.add_metric(name, UNITS.get(name, MetricUnit.Count), value)
    line.flush_metrics()


class AboutAnExport(Protocol):
    """An export, or an event about one."""

    @property
    def pipeline(self) -> str: ...

    @property
    def export_id(self) -> str: ...

    @property
    def stage(self) -> str: ...


@contextmanager
def about(export: AboutAnExport) -> Iterator[None]:
    """Add the export's names to each log line within, and to a segment of the trace.

    A trace ends with its function, because AWS's events carry no trace. The export's id connects them.
    """
    names = {"pipeline": export.pipeline, "export_id": export.export_id, "stage": str(export.stage)}
    with logger.append_context_keys(**names), annotated("## export", names):
        yield
