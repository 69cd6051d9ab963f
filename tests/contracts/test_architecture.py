"""What holds the parts apart, checked on the files themselves."""

import ast
import sys
from pathlib import Path

import pytest
from templates import resources

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/handler.py"))
ON_GLUE = {"awsglue", "boto3", "botocore", "numpy", "orjson", "pyarrow", "pyspark"}  # what Glue 5.1 brings
WITH_THE_JOB = {"table_export_job", "fastavro"}  # what we ship with it


def imported(file: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_each_service_is_a_function_of_the_common_stack():
    functions = resources("common", "AWS::Lambda::Function").values()

    assert sorted(found["Properties"]["FunctionName"].removeprefix("table-exports-") for found in functions) == SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_imports_another(service):
    others = set(SERVICES) - {service}

    assert not others & set().union(*(imported(file) for file in files(f"services/{service}")))


@pytest.mark.parametrize("package", ["table_exports", "table_exports_cli"])
def test_neither_the_shared_package_nor_the_command_line_knows_a_service(package):
    assert not set(SERVICES) & set().union(*(imported(file) for file in files(package)))


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_knows_the_command_line(service):
    assert "table_exports_cli" not in set().union(*(imported(file) for file in files(f"services/{service}")))


def test_nothing_that_is_shipped_knows_the_sandbox_or_the_tests():
    shipped = files("services") + files("table_exports") + files("glue")

    assert not {"sandbox", "tests", "infra"} & set().union(*(imported(file) for file in shipped))


def test_the_sandbox_knows_what_is_built_and_none_of_its_sources():
    sources = {"table_exports", "glue", "export_table", "table_export_job", *SERVICES}

    assert not sources & set().union(*(imported(file) for file in files("sandbox")))


def test_the_job_is_a_script_with_its_package_and_imports_only_what_glue_brings_or_we_ship():
    assert {path.name for path in (ROOT / "glue").iterdir()} - {"__pycache__"} == {
        "export_table.py",
        "table_export_job",
    }
    assert set().union(*map(imported, files("glue"))) <= ON_GLUE | WITH_THE_JOB | sys.stdlib_module_names


@pytest.mark.parametrize("service", SERVICES)
def test_the_tests_of_a_service_need_no_other(service):
    assert not reached(ROOT / f"tests/services/test_{service}.py") & set(SERVICES) - {service}


def test_what_the_tests_of_all_services_share_knows_none():
    shared = [
        ROOT / "tests/fakes.py",
        *(ROOT / "tests").glob("conftest.py"),
        *(ROOT / "tests/services").glob("conftest.py"),
    ]

    assert not set().union(*map(reached, shared)) & set(SERVICES)


def reached(file: Path) -> set[str]:
    """The packages that a test imports, itself or by way of what is ours and no service."""
    packages, found = set(), [file]
    for each in found:
        packages |= imported(each)
        ours = packages - set(SERVICES) - {"tests"}
        theirs = [part for name in ours for part in (ROOT / f"tests/{name}.py", *files(name)) if part.exists()]
        found += dict.fromkeys(part for part in theirs if part not in found)
    return packages


@pytest.mark.parametrize("package", ["table_exports", "services", "table_exports_cli"])
def test_partitions_are_read_in_pages_of_a_set_size(package):
    """AWS's own pages have up to a thousand partitions, with all their columns."""
    calls = [node for file in files(package) for node in ast.walk(ast.parse(file.read_text()))]
    paginated = [
        ast.unparse(call)
        for call in calls
        if isinstance(call, ast.Call) and "get_paginator('get_partitions').paginate(" in ast.unparse(call.func) + "("
    ]

    assert (package != "table_exports") or len(paginated) == 2
    assert not [call for call in paginated if "PaginationConfig" not in call]
