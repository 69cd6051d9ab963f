"""Traces of invocations. Only this module knows what makes them, so that replacing it changes one file: ADR 13."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aws_lambda_powertools import Tracer

# All calls of AWS go through botocore. Patching more would slow down the cold start.
_tracer = Tracer(patch_modules=("botocore",))
# A response can be data, and larger than the 64 KB of a segment. Powertools would add it to the trace.
trace_handler = _tracer.capture_lambda_handler(capture_response=False)


@contextmanager
def annotated(name: str, annotations: Mapping[str, str]) -> Iterator[None]:
    """Add a segment to the trace, with annotations by which the trace can be found."""
    with _tracer.provider.in_subsegment(name=name):
        for key, value in annotations.items():
            _tracer.put_annotation(key, value)
        yield
