"""What is deployed works with what it is deployed with, and nothing else."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from templates import template

from infra.bill_of_materials import write_bill_of_materials

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/handler.py"))
AARCH64 = (183).to_bytes(2, "little")  # an ELF file's machine
LIKE_LAMBDA = ROOT / ".venv-emulator/bin/python"  # boto3 and no more of ours


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layer")
    zipfile.ZipFile(BUILD / "layer.zip").extractall(folder)
    return folder / "python"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_from_its_own_zip_and_the_layer_alone(service, layer, tmp_path):
    """As Lambda does it, and with no environment: nothing may be read or called on import."""
    zipfile.ZipFile(BUILD / f"{service}.zip").extractall(tmp_path)
    code = f"import sys; sys.path[:0] = ['.', {str(layer)!r}]; from {service}.handler import handle"

    subprocess.run([LIKE_LAMBDA, "-I", "-c", code], cwd=tmp_path, env={}, check=True, timeout=60)


def test_the_layer_has_time_zones_where_the_system_has_none(layer):
    code = (
        f"import sys; sys.path.insert(0, {str(layer)!r}); from datetime import UTC, datetime as d; "
        "from table_exports.domain.schedules import parse; moment = d(2026, 11, 26, tzinfo=UTC); "
        "print(parse('cron(0 4 * * ? *)', 'Europe/Zurich').after(moment, moment))"
    )

    ran = subprocess.run(
        [LIKE_LAMBDA, "-S", "-c", code], env={"PYTHONTZPATH": ""}, capture_output=True, text=True, timeout=60
    )

    assert ran.stdout.strip() == "2026-11-26 03:00:00+00:00", ran.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_zip_holds_its_service_and_nothing_else(service):
    names = zipfile.ZipFile(BUILD / f"{service}.zip").namelist()

    assert f"{service}/handler.py" in names
    assert all(name.startswith(f"{service}/") and name.endswith(".py") for name in names)


@pytest.mark.slow
def test_the_same_sources_give_the_same_bytes_whoever_builds_them(tmp_path):
    """Elsewhere, under other settings, and beside what an interpreter left."""
    copy = tmp_path / "copy"
    for folder in ("services", "table_exports", "glue"):
        shutil.copytree(ROOT / folder, copy / folder, copy_function=shutil.copyfile)
    left = copy / "services/start_export/__pycache__"
    left.mkdir(exist_ok=True)
    (left / "handler.cpython-311.pyc").write_bytes(b"stale")

    one = build(ROOT, tmp_path / "one", umask="022")
    other = build(copy, tmp_path / "other", umask="077", TZ="Asia/Tokyo", PYTHONHASHSEED="7", SOURCE_DATE_EPOCH="1")

    assert (one.wait(300), other.wait(300)) == (0, 0)
    assert digests(tmp_path / "one") == digests(tmp_path / "other")
    assert digests(tmp_path / "one").keys() == {
        "layer.zip",
        "table_export_job.zip",
        *(f"{service}.zip" for service in SERVICES),
    }


def test_the_bill_of_materials_lists_what_the_build_has():
    """Of others, that is. Lambda has boto3, and Glue has Spark."""
    found = json.loads((BUILD / "sbom.cdx.json").read_text())
    names = zipfile.ZipFile(BUILD / "layer.zip").namelist()
    folders = {name.split("/")[1] for name in names} | {path.name for path in BUILD.glob("*.whl")}
    distributions = [folder for folder in folders if folder.endswith((".dist-info", ".whl"))]
    unpacked = {tuple(name.removesuffix(".dist-info").split("-")[:2]) for name in distributions}

    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["name"] == "table-exports"
    assert {(one["name"].replace("-", "_"), one["version"]) for one in found["components"]} == unpacked
    assert all(one["externalReferences"][0]["hashes"] for one in found["components"])


def test_the_same_sources_give_the_same_bill_of_materials_whoever_builds_them(tmp_path, monkeypatch):
    copy = tmp_path / "elsewhere"
    shutil.copytree(ROOT / "requirements", copy / "requirements")
    shutil.copy(ROOT / "pyproject.toml", copy)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")

    write_bill_of_materials(tmp_path / "bill.json", copy)

    text = (tmp_path / "bill.json").read_text()
    assert text == (BUILD / "sbom.cdx.json").read_text()
    assert all(url.startswith("pkg:pypi/") for url in re.findall(r'"url": "([^"]+)"', text))
    assert str(tmp_path) not in text


def build(sources, target, umask, **settings):
    target.mkdir()
    code = "import os, sys; from pathlib import Path; from infra.package import build_zips; "
    code += "os.umask(int(sys.argv[1], 8)); build_zips(Path(sys.argv[2]), Path(sys.argv[3]))"
    return subprocess.Popen([sys.executable, "-c", code, umask, target, sources], cwd=ROOT, env=os.environ | settings)


def digests(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


@pytest.mark.parametrize("name", ["layer", *SERVICES])
def test_a_zip_holds_nothing_that_differs_between_interpreters(name):
    """Bytecode differs between releases of Python, and compressed bytes between versions of zlib."""
    entries = zipfile.ZipFile(BUILD / f"{name}.zip").infolist()

    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert not [entry.filename for entry in entries if entry.filename.endswith(".pyc")]


def test_what_is_compiled_in_the_layer_is_for_the_functions_processor_and_python():
    with zipfile.ZipFile(BUILD / "layer.zip") as archive:
        modules = [name for name in archive.namelist() if ".so" in name]

        assert modules == ["python/wrapt/_wrappers.cpython-313-aarch64-linux-gnu.so"]
        assert archive.read(modules[0])[18:20] == AARCH64
    assert template("common")["Globals"]["Function"]["Architectures"] == ["arm64"]


def test_the_layer_leaves_boto3_to_the_runtime():
    folders = {name.split("/")[1] for name in zipfile.ZipFile(BUILD / "layer.zip").namelist()}

    assert {"table_exports", "aws_lambda_powertools", "aws_xray_sdk"} <= folders
    assert not {"boto3", "botocore"} & folders
