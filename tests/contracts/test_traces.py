"""What functions add to their traces: no responses, which can be data and exceed what a segment holds."""

import ast
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from table_exports.functions import telemetry

HANDLERS = sorted(Path("services").glob("*/handler.py"))
PAGE = "<p>" + "x" * 70_000


def test_a_response_is_not_added_to_the_trace(monkeypatch):
    segment = Mock()

    @contextmanager
    def in_subsegment(name):
        yield segment

    monkeypatch.setattr(telemetry.tracer, "provider", Mock(in_subsegment=in_subsegment))

    assert telemetry.trace_handler(lambda event, context: PAGE)({}, None) == PAGE

    segment.put_annotation.assert_called()
    segment.put_metadata.assert_not_called()


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.parent.name)
def test_every_function_is_traced_this_way(path):
    tree = ast.parse(path.read_text())
    [handle] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "handle"]

    assert "trace_handler" in [ast.unparse(decorator) for decorator in handle.decorator_list]
    assert "tracer.capture_" not in path.read_text()
