"""Writes which packages of others a build contains, in the format of CycloneDX."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

FILE_NAME = "sbom.cdx.json"
PINNED = ("layer", "job")  # what functions import, and what Glue installs for the job


def write_bill_of_materials(path: Path, root: Path) -> None:
    """Writes the packages that are pinned in `root`, with the digests of their files.

    The document has neither a time nor a serial number, so the same sources give the same bytes.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    build = Component(
        name=project["name"],
        version=project["version"],
        description=project["description"],
        type=ComponentType.APPLICATION,
        bom_ref=project["name"],
    )
    packages = [each for name in PINNED for each in components((root / f"requirements/{name}.txt").read_text())]
    bom = Bom(components=packages)
    bom.serial_number = bom.metadata.timestamp = None  # type: ignore[assignment]  # both are optional in the format
    bom.metadata.component = build
    bom.register_dependency(build, packages)
    JsonV1Dot6(bom).output_to_file(str(path), indent=1)


def components(requirements: str) -> Iterator[Component]:
    """The packages of a requirements file, as `requirements/lock.sh` writes it: `name==version --hash=sha256:…`."""
    for pinned, *hashes in (line.split() for line in requirements.replace("\\\n", "").splitlines()):
        name, version = pinned.split("==")
        url = PackageURL("pypi", name=name, version=version)
        digests = [HashType(alg=HashAlgorithm.SHA_256, content=each.removeprefix("--hash=sha256:")) for each in hashes]
        files = ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(url)), hashes=digests)
        yield Component(name=name, version=version, purl=url, bom_ref=str(url), external_references=[files])
