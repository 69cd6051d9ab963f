"""What is deployed works with what it is deployed with, and nothing else."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from infra import build

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/handler.py"))
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


@pytest.mark.parametrize("service", SERVICES)
def test_a_zip_holds_its_service_and_nothing_else(service):
    names = zipfile.ZipFile(BUILD / f"{service}.zip").namelist()

    assert f"{service}/handler.py" in names
    assert all(name.startswith(f"{service}/") and name.endswith(".py") for name in names)


def test_a_zip_of_the_same_files_has_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "BUILD", tmp_path)

    build.build_service(ROOT / "services/start_export")

    assert (tmp_path / "start_export.zip").read_bytes() == (BUILD / "start_export.zip").read_bytes()


def test_the_layer_leaves_boto3_to_the_runtime():
    folders = {name.split("/")[1] for name in zipfile.ZipFile(BUILD / "layer.zip").namelist()}

    assert {"table_exports", "aws_lambda_powertools", "aws_xray_sdk"} <= folders
    assert not {"boto3", "botocore"} & folders
