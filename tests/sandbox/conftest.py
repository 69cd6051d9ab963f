"""One sandbox for all tests of a worker, with the common stack deployed. Its jobs run without Spark."""

from decimal import Decimal

import pytest
from sandbox_user import WITHOUT_SPARK, User, sandbox

from sandbox.trino.install import why_missing


def pytest_collection_modifyitems(config, items):
    if config.getoption("--engine") == "trino":
        for item in items:
            if marker := item.get_closest_marker("not_on_trino"):
                item.add_marker(pytest.mark.xfail(reason=marker.args[0]))


@pytest.fixture(scope="session")
def engine(request):
    """The sandbox's options for the engine that runs queries."""
    name = request.config.getoption("--engine")
    if name == "trino" and (reason := why_missing()):
        pytest.skip(reason)
    return "--engine", name


@pytest.fixture(scope="session")
def user(tmp_path_factory, engine):
    with sandbox(tmp_path_factory.mktemp("sandbox"), *WITHOUT_SPARK, *engine) as endpoint:
        yield User(endpoint)


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
