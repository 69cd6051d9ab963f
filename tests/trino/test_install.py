"""A machine that cannot install Trino says why, and tests that need it are skipped with that reason."""

import pytest

from sandbox.trino import install

MAVEN = """#!/bin/sh
for word; do case $word in -Dmaven.repo.local=*) repository=${word#*=} ;; esac; done
mkdir -p "$repository/org/example/thing/1.0" && echo content > "$repository/org/example/thing/1.0/thing-1.0.jar"
"""
CONTENT = "434728a410a78f56fc1b5899c3593436e61ab0c731e9072d95e96db290205e53"  # SHA-256


@pytest.fixture
def folder(monkeypatch, tmp_path):
    for name, path in (("FOLDER", ""), ("READY", "ready"), ("LEFT_OUT", "left-out.txt")):
        monkeypatch.setattr(install, name, tmp_path / path)
    return tmp_path


def maven(folder, script):
    path = folder / "mvn"
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


def test_without_maven_trino_is_left_out_and_the_reason_kept(folder, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(folder))

    assert install.main() == 1

    reason = "Trino is left out: it comes from Maven Central, and this machine has no mvn"
    assert capsys.readouterr().err == f"{reason}\n"
    assert install.why_missing() == f"{reason}. To try again, run make .trino/ready"


def test_what_is_installed_is_not_missing(folder):
    (folder / "ready").touch()

    assert install.why_missing() == ""


def test_before_an_installation_the_command_is_named(folder):
    assert install.why_missing() == "Trino is not installed: run make .trino/ready"


def test_a_file_with_the_pinned_checksum_is_taken(folder):
    artifact = install.Artifact("org.example", "thing", "1.0", "jar", CONTENT)

    install.download(maven(folder, MAVEN), artifact, folder / "repository")

    assert artifact.path_in(folder / "repository").read_text() == "content\n"


def test_a_file_with_another_checksum_is_refused(folder):
    artifact = install.Artifact("org.example", "thing", "1.0", "jar", "0" * 64)

    with pytest.raises(install.CannotInstall, match=rf"has the SHA-256 {CONTENT}, and requirements/trino/maven.txt"):
        install.download(maven(folder, MAVEN), artifact, folder / "repository")


def test_what_maven_says_when_it_cannot_download_is_passed_on(folder):
    artifact = install.Artifact("org.example", "thing", "1.0", "jar", CONTENT)

    with pytest.raises(install.CannotInstall, match=r"cannot download org.example:thing:1.0:jar. no such host"):
        install.download(maven(folder, "#!/bin/sh\necho no such host; exit 1\n"), artifact, folder / "repository")


def test_every_pin_has_coordinates_and_a_checksum():
    pins = install.artifacts()

    assert [pin.coordinates for pin in pins] == [
        "io.trino:trino-server-core:476:tar.gz",
        "io.trino:trino-hive:476:zip",
        "org.apache.hive.hcatalog:hive-hcatalog-core:2.3.9:jar",
    ]
    assert all(len(pin.sha256) == 64 for pin in pins)
