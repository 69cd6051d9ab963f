"""Makes what the templates deploy: a zip per service, the layer, the job's script. The same input gives the same bytes.

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
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
LAMBDA = ["--platform=manylinux2014_aarch64", "--python-version=3.13", "--implementation=cp", "--only-binary=:all:"]


def main() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir()
    for service in sorted((ROOT / "services").iterdir()):
        if (service / "handler.py").exists():
            write_zip(BUILD / f"{service.name}.zip", service.parent, [service])  # keeps its package folder
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder)
        install_dependencies(layer / "python")
        shutil.copytree(ROOT / "table_exports", layer / "python" / "table_exports")
        write_zip(BUILD / "layer.zip", layer, [layer])
    for source in ("glue/export_table.py", "infra/common.yaml", "infra/table.yaml"):
        shutil.copy(ROOT / source, BUILD)
    (BUILD / "version.txt").write_text(version())
    print(f"build/ holds version {version()}")


def install_dependencies(target: Path) -> None:
    """What the layer brings beside our package. boto3 is the Lambda runtime's own."""
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-compile"]
    requirements = ["--require-hashes", "--no-deps", "--requirement", str(ROOT / "requirements/layer.txt")]
    subprocess.run([*pip, *LAMBDA, *requirements, "--target", str(target)], check=True)


def write_zip(path: Path, root: Path, folders: list[Path]) -> None:
    """Names, order, times and modes depend on the content alone."""
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            if "__pycache__" in file.parts or file.name == "RECORD":
                continue
            entry = zipfile.ZipInfo(str(file.relative_to(root)), LONG_AGO)
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
