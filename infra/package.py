"""Builds what the templates deploy: a zip per service, the layer, and the job's script with its modules.

The same sources give the same bytes, whatever Python, zlib, clock, umask or processor the builder has. Dependencies are
unpacked from pinned wheels, and nothing is installed, compiled or compressed.

`python -m infra.package` writes it all to build/, with a version that names the content.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from infra.bill_of_materials import FILE_NAME, write_bill_of_materials

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
NO_BYTECODE = shutil.ignore_patterns("__pycache__")
GLUE = [
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux2014_x86_64",
    "--python-version=3.11",
    "--implementation=cp",
    "--only-binary=:all:",
]
LAMBDA = [
    "--platform=manylinux2014_aarch64",
    "--python-version=3.13",
    "--implementation=cp",
    "--only-binary=:all:",
]


def main() -> None:
    """Builds next to build/ and then replaces it, so that an interrupted run leaves the earlier build."""
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".build-") as aside:
        made = Path(aside) / "build"
        made.mkdir()
        build_zips(made)
        fetch_wheels("job", GLUE, made)  # Glue installs them for the job. Only Avro needs one
        write_bill_of_materials(made / FILE_NAME, ROOT)
        for source in ("glue/export_table.py", "infra/common.yaml", "infra/table.yaml"):
            shutil.copy(ROOT / source, made)
        (made / "version.txt").write_text(version(made))
        shutil.rmtree(BUILD, ignore_errors=True)
        made.rename(BUILD)
    print(f"build/ holds version {version(BUILD)}")


def build_zips(target: Path, root: Path = ROOT) -> None:
    with tempfile.TemporaryDirectory() as contents:
        lay_out(Path(contents), root)
        for folder in Path(contents).iterdir():
            write_zip(target / f"{folder.name}.zip", folder)


def lay_out(target: Path, root: Path) -> None:
    """Makes a folder for each zip. A package keeps its folder, so that a module has one name everywhere."""
    for service in (path.parent for path in (root / "services").glob("*/handler.py")):
        shutil.copytree(service, target / service.name / service.name, ignore=NO_BYTECODE)
    modules = "table_export_job"
    shutil.copytree(root / "glue" / modules, target / modules / modules, ignore=NO_BYTECODE)
    packages = target / "layer/python"
    shutil.copytree(root / "table_exports", packages / "table_exports", ignore=NO_BYTECODE)
    unpack_dependencies(packages)


def unpack_dependencies(target: Path) -> None:
    """Adds the layer's dependencies. boto3 is not one of them: the Lambda runtime has it.

    They are unpacked and not installed, because an installer adds files of its own that differ between its versions.
    """
    with tempfile.TemporaryDirectory() as folder:
        fetch_wheels("layer", LAMBDA, Path(folder))
        for wheel in Path(folder).iterdir():
            with zipfile.ZipFile(wheel) as archive:
                if moved := [name for name in archive.namelist() if name.split("/")[0].endswith(".data")]:
                    raise SystemExit(
                        f"{wheel.name} cannot be packaged: {moved[0]} must be moved on installation, and this build "
                        "only unpacks wheels. Pin another version in requirements/layer.in"
                    )
                archive.extractall(target)


def write_zip(path: Path, folder: Path) -> None:
    """Writes a zip that depends on the content alone: fixed order, times and modes, and no compression.

    Deflated bytes differ between versions of zlib. The layer is small enough to be stored.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), EARLIEST)
            entry.create_system = 3  # Unix, wherever it is built
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_STORED)


def fetch_wheels(requirements: str, platform: list[str], target: Path) -> None:
    quiet = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check"]
    pinned = ["--require-hashes", "--no-deps", "--requirement", str(ROOT / f"requirements/{requirements}.txt")]
    subprocess.run([*quiet, *pinned, *platform, "--dest", str(target)], check=True)


def version(build: Path) -> str:
    """Returns a name for the content. Any change gives another, so that CloudFormation updates the functions."""
    digest = hashlib.sha256()
    for file in sorted(build.iterdir()):
        if file.name != "version.txt":
            digest.update(f"{file.name}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
