"""Makes what the templates deploy: a zip per service, the layer, the job's script and its modules.

The same input gives the same bytes, with or without Lambda's Python at hand: with it the layer has bytecode.

`python -m infra.build` writes it all to build/, with a version that names the content.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build"
NO_BYTECODE = shutil.ignore_patterns("__pycache__")
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
RUNTIME = "3.13"
GLUE = [
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux2014_x86_64",
    "--python-version=3.11",
    "--implementation=cp",
    "--only-binary=:all:",
]
LAMBDA = [
    "--platform=manylinux2014_aarch64",
    f"--python-version={RUNTIME}",
    "--implementation=cp",
    "--only-binary=:all:",
]


def main() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir()
    for service in sorted(path.parent for path in (ROOT / "services").glob("*/handler.py")):
        build_service(service)
    build_layer()
    fetch_job_modules()
    for source in ("glue/export_table.py", "infra/common.yaml", "infra/table.yaml"):
        shutil.copy(ROOT / source, BUILD)
    (BUILD / "version.txt").write_text(version())
    print(f"build/ holds version {version()}")


def build_service(service: Path) -> None:
    """The zip keeps the service's package folder, so that a module has one name wherever it runs."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(service, f"{folder}/{service.name}", ignore=NO_BYTECODE)
        write_zip(BUILD / f"{service.name}.zip", Path(folder))


def build_layer() -> None:
    with tempfile.TemporaryDirectory() as folder:
        packages = Path(folder, "python")
        install_dependencies(packages)
        shutil.copytree(ROOT / "table_exports", packages / "table_exports", ignore=NO_BYTECODE)
        compile_for_lambda(packages)
        write_zip(BUILD / "layer.zip", Path(folder))


def install_dependencies(target: Path) -> None:
    """What the layer brings beside our package. boto3 is the Lambda runtime's own."""
    pip("install", "layer", *LAMBDA, "--no-compile", "--target", str(target))


def fetch_job_modules() -> None:
    """The wheels that Glue installs for the job, of Avro alone."""
    pip("download", "job", *GLUE, "--dest", str(BUILD))


def pip(command: str, requirements: str, *options: str) -> None:
    quiet = [sys.executable, "-m", "pip", command, "-qq", "--disable-pip-version-check"]
    pinned = ["--require-hashes", "--no-deps", "--requirement", str(ROOT / f"requirements/{requirements}.txt")]
    subprocess.run([*quiet, *pinned, *options], check=True)


def compile_for_lambda(folder: Path) -> None:
    """Ship bytecode if Lambda's Python is at hand to make it: Lambda keeps none, and compiles at every cold start."""
    python = f"python{RUNTIME}"
    if not shutil.which(python) or subprocess.run([python, "--version"], capture_output=True).returncode:
        print(f"No {python} here: the layer has no bytecode, and cold starts take a quarter more CPU")
        return
    as_on_lambda = ["--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/opt/python"]
    subprocess.run([python, "-m", "compileall", "-q", *as_on_lambda, str(folder)], check=True)


def write_zip(path: Path, folder: Path) -> None:
    """Names, order, times and modes depend on the content alone."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            if file.name == "RECORD":
                continue
            entry = zipfile.ZipInfo(str(file.relative_to(folder)), LONG_AGO)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


def version() -> str:
    """Names what was built: any change gives another, so that CloudFormation sees that functions changed."""
    digest = hashlib.sha256()
    for file in sorted(BUILD.iterdir()):
        if file.name != "version.txt":
            digest.update(f"{file.name}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
