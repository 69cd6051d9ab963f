"""table-exports.toml is written, read again, and validated."""

from dataclasses import replace

import pytest
from templates import INFRA

from infra.deploy import CannotDeploy, settings
from infra.deploy.parameters import parameters

COMMON_STACK = parameters(INFRA / "common.yaml")
ANSWERS = settings.Settings(
    account="123456789012",
    region="eu-west-1",
    artifacts_bucket="our-artifacts",
    parameters={"HistoryDays": "30", "DatabaseName": "exports"},
    tags={"cost centre": 'the "data" team'},
)


def test_what_was_written_is_read_again(tmp_path):
    settings.write(tmp_path / "s.toml", ANSWERS)

    assert settings.read(tmp_path / "s.toml", COMMON_STACK) == ANSWERS


@pytest.mark.parametrize("wanted", [True, False])
def test_termination_protection_is_read_again(tmp_path, wanted):
    protected = replace(ANSWERS, termination_protection=wanted)
    settings.write(tmp_path / "s.toml", protected)

    assert settings.read(tmp_path / "s.toml", COMMON_STACK) == protected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            'account = "1"\nregion = "r"\nartifacts_bucket = "b"\ntermination_protection = "yes"',
            "termination_protection: must be a boolean",
        ),
        ('accuont = "1"', "accuont: unknown field. Use one of account"),
        ('account = "1"\nregion = "eu-west-1"', "artifacts_bucket: is required"),
        ('account = 1\nregion = "r"\nartifacts_bucket = "b"', "account: must be a string"),
        ("account =", "Invalid value"),
    ],
)
def test_a_mistake_is_named(tmp_path, line, problem):
    (tmp_path / "s.toml").write_text(line)

    with pytest.raises(CannotDeploy, match=problem):
        settings.read(tmp_path / "s.toml", COMMON_STACK)


def test_a_file_in_utf_16_is_told(tmp_path):
    (tmp_path / "s.toml").write_text("account = 1", encoding="utf-16")

    with pytest.raises(CannotDeploy, match="the file is in UTF-16"):
        settings.read(tmp_path / "s.toml", COMMON_STACK)


def test_each_number_of_the_common_stack_is_whole():
    assert [each.name for each in COMMON_STACK.values() if each.type == "Number" and not each.is_whole] == []


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("HistoryDays", 0, "HistoryDays: 0 must be at least 1"),
        ("HistoryDays", 2.5, "HistoryDays: 2.5 must be a whole number"),
        ("ReconcileMinutes", 2.5, "ReconcileMinutes: 2.5 must be a whole number"),
        ("LogDays", 91, "LogDays: 91 must be one of 1, 3, 5"),
        ("DatabaseName", "My-Exports", "DatabaseName: My-Exports must match"),
        ("ArtifactsPrefix", "x", "ArtifactsPrefix: every deployment sets it. Remove it"),
        ("Colour", "red", "Colour: unknown parameter. Use one of "),
    ],
)
def test_parameters_are_held_to_the_template(name, value, problem):
    [found] = settings.parameter_problems({name: value}, COMMON_STACK)

    assert found.startswith(problem)


VALID = 'account = "1"\nregion = "r"\nartifacts_bucket = "our-artifacts"\n[tags]\n'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (VALID + 'table-exports = "x"', "tags.table-exports: every deployment sets it"),
        (VALID + '"aws:team" = "x"', "tags.aws:team: the key must have 1 to 128 characters, and not begin with aws:"),
        (VALID + f'{"k" * 129} = "x"', "the key must have 1 to 128 characters"),
        (VALID + 'team = ""', "tags.team: the value must have 1 to 256 characters"),
        (VALID + "".join(f't{number} = "x"\n' for number in range(50)), "tags: there are 50, and at most 49"),
        (VALID.replace("our-artifacts", "s3://ours"), "artifacts_bucket: s3://ours is not the name of a bucket"),
        (VALID.replace("our-artifacts", "Ours_1"), "artifacts_bucket: Ours_1 is not the name of a bucket"),
    ],
)
def test_what_aws_would_refuse_is_refused_before_anything_is_uploaded(tmp_path, content, problem):
    (tmp_path / "s.toml").write_text(content)

    with pytest.raises(CannotDeploy, match=problem):
        settings.read(tmp_path / "s.toml", COMMON_STACK)


def test_as_many_tags_as_cloudformation_accepts_are_read(tmp_path):
    (tmp_path / "s.toml").write_text(VALID + "".join(f't{number} = "x"\n' for number in range(49)))

    assert len(settings.read(tmp_path / "s.toml", COMMON_STACK).tags) == 49
