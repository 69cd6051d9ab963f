"""One sandbox for all tests here, with the common stack deployed."""

import socket
import subprocess
import sys
from decimal import Decimal

import pytest
from sandbox_user import ROOT, User


@pytest.fixture(scope="session")
def user(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    state = tmp_path_factory.mktemp("sandbox")
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--state-dir", str(state)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        ready = next((line for line in process.stdout if line.startswith("ready ")), None)
        assert ready, "the sandbox did not start"
        yield User(ready.split()[1])
        process.terminate()


@pytest.fixture(scope="session")
def orders(user):
    """A pipeline of a few thousand items with a composite key, exported once, and its only export."""
    items = [
        {"customer": f"c{n % 97}", "number": n, "total": Decimal(n) / 100}
        | ({"note": f"note {n}"} if n % 1000 == 0 else {})
        | ({"lines": [{"sku": "x", "count": n % 5}]} if n % 2 else {"lines": []})
        for n in range(3000)
    ]
    user.make_table("Customer-Orders.v2", items, {"customer": "S", "number": "N"})
    pipeline = user.deploy_pipeline("Customer-Orders.v2", ReadPercentage="1.0")
    user.request(pipeline, read_percentage=0.5)
    [export] = user.ended_exports(pipeline, 1)
    assert export["stage"] == "SUCCEEDED", export.get("reason")
    return pipeline, export
