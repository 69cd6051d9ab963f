import logging

import pytest

from table_exports.functions import telemetry


@pytest.fixture(autouse=True, scope="module")
def telemetry_is_left_as_it_was():
    """Histories listen to the services' log, and take their metrics and traces away."""
    log = logging.getLogger(telemetry.logger.name)
    handlers, propagate, lines = list(log.handlers), log.propagate, telemetry.EphemeralMetrics
    annotated = telemetry.annotated
    yield
    log.handlers[:], log.propagate, telemetry.EphemeralMetrics = handlers, propagate, lines
    telemetry.annotated = annotated
    vars(telemetry.metrics).pop("add_metric", None)
    vars(telemetry.logger).pop("append_context_keys", None)
