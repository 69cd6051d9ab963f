"""What functions add to their traces: no responses, which can be data and exceed what a segment holds."""

import ast
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from table_exports.functions import tracing

HANDLERS = sorted(Path("services").glob("*/handler.py"))
PAGE = "<p>" + "x" * 70_000


def test_a_response_is_not_added_to_the_trace(monkeypatch):
    segment = Mock()

    @contextmanager
    def in_subsegment(name):
        yield segment

    monkeypatch.setattr(tracing._tracer, "provider", Mock(in_subsegment=in_subsegment))

    assert tracing.trace_handler(lambda event, context: PAGE)({}, None) == PAGE

    segment.put_annotation.assert_called()
    segment.put_metadata.assert_not_called()


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.parent.name)
def test_every_function_is_traced_this_way(path):
    tree = ast.parse(path.read_text())
    [handle] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "handle"]

    assert "trace_handler" in [ast.unparse(decorator) for decorator in handle.decorator_list]


@pytest.mark.parametrize(
    "code",
    [
        "from aws_lambda_powertools import Tracer",
        "from aws_lambda_powertools.tracing import Tracer",
        "from aws_xray_sdk.core import xray_recorder",
        "import aws_xray_sdk",
    ],
)
@pytest.mark.parametrize("path", ["services/start_export/handler.py", "table_exports/functions/telemetry.py"])
def test_only_one_module_may_know_what_makes_traces(path, code):
    found = ruff(path, f"{code}\n")

    assert "TID251" in found
    assert "table_exports.functions.tracing" in found


def test_that_module_is_exempt():
    path = Path("table_exports/functions/tracing.py")

    assert "TID251" not in ruff(path, path.read_text())


def ruff(path, code):
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--stdin-filename", str(path), "-"]
    return subprocess.run(command, input=code, capture_output=True, text=True).stdout
