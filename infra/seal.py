"""Makes the zips of what is laid out in /contents, a folder each, and of the layer the bytecode first.

Runs in WebAssembly, by seal.mjs: bytecode and compression are those of a pinned interpreter, whatever the builder has.
"""

import py_compile
import sys
import zipfile
from pathlib import Path

CONTENTS, ZIPS = Path("/contents"), Path("/zips")
RUNTIME = (3, 13)  # of the functions: bytecode is of one version of Python
ON_LAMBDA = Path("/opt")  # where a layer is
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def seal() -> None:
    assert sys.version_info[:2] == RUNTIME, sys.version
    compile_for_lambda(CONTENTS / "layer")
    for folder in sorted(CONTENTS.iterdir()):
        write_zip(ZIPS / f"{folder.name}.zip", folder)


def compile_for_lambda(layer: Path) -> None:
    """Lambda keeps no bytecode: without any in the layer, each cold start compiles it anew."""
    for source in files(layer):
        if source.suffix == ".py":
            py_compile.compile(
                str(source),
                dfile=str(ON_LAMBDA / source.relative_to(layer)),
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )


def write_zip(path: Path, folder: Path) -> None:
    """Names, order, times and modes depend on the content alone."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in files(folder):
            entry = zipfile.ZipInfo(str(file.relative_to(folder)), LONG_AGO)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)


def files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


seal()
