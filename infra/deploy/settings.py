"""table-exports.toml: the answers of the first run, so that the next run does not ask again."""

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from infra.deploy import CannotDeploy, files
from infra.deploy.ownership import TAG
from infra.deploy.parameters import Parameter

BUCKET = r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]"
MOST_TAGS = 49  # CloudFormation accepts 50 of a stack, and every deployment sets one
SET_BY_DEPLOYMENT = ("ArtifactsBucket", "ArtifactsPrefix")  # parameters that every deployment sets
FIELDS = {
    "account": str,
    "region": str,
    "artifacts_bucket": str,
    "termination_protection": bool,
    "parameters": dict,
    "tags": dict,
}
OPTIONAL = ("termination_protection", "parameters", "tags")
TYPE_NAMES = {str: "string", bool: "boolean", dict: "table"}
HEADER = """\
# Settings of `make deploy`. Keep this file together with tables.yaml, in version control.
# parameters: of the common stack. A parameter that is not here gets its default. tags: for all stacks and resources.
"""


@dataclass(frozen=True, kw_only=True)
class Settings:
    account: str
    region: str
    artifacts_bucket: str
    termination_protection: bool | None = None  # None: leave it as it is
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def read(path: Path, parameters: dict[str, Parameter]) -> Settings:
    """Returns the settings. Raises CannotDeploy with all problems of the file."""
    try:
        given = tomllib.loads(files.read(path))
    except tomllib.TOMLDecodeError as error:
        raise CannotDeploy(f"{path}: {error}") from error
    problems = [f"{name}: unknown field. Use one of {', '.join(FIELDS)}" for name in given if name not in FIELDS]
    problems += [
        f"{name}: {'is required' if name not in given else f'must be a {TYPE_NAMES[kind]}'}"
        for name, kind in FIELDS.items()
        if not (isinstance(given.get(name), kind) or (name in OPTIONAL and name not in given))
    ]
    if not problems:
        problems = [f"parameters.{problem}" for problem in parameter_problems(given.get("parameters", {}), parameters)]
        problems += tag_problems(given.get("tags", {}))
        if not re.fullmatch(BUCKET, given["artifacts_bucket"]):
            problems.append(f"artifacts_bucket: {given['artifacts_bucket']} is not the name of a bucket")
    if problems:
        raise CannotDeploy("\n".join(f"{path}: {problem}" for problem in problems))
    tables = {name: {k: str(v) for k, v in given.get(name, {}).items()} for name in ("parameters", "tags")}
    others = {name: given[name] for name, kind in FIELDS.items() if kind is not dict and name in given}
    return Settings(**others, **tables)


def parameter_problems(given: dict[str, object], parameters: dict[str, Parameter]) -> list[str]:
    problems = []
    for name, value in given.items():
        if name in SET_BY_DEPLOYMENT:
            problems.append(f"{name}: every deployment sets it. Remove it")
        elif name not in parameters:
            problems.append(f"{name}: unknown parameter. Use one of {', '.join(askable(parameters))}")
        elif problem := parameters[name].problem(str(value)):
            problems.append(f"{name}: {problem}")
    return problems


def tag_problems(given: dict[str, object]) -> list[str]:
    """Returns what CloudFormation would refuse after the packages are uploaded, and what would have no effect."""
    problems = [] if len(given) <= MOST_TAGS else [f"tags: there are {len(given)}, and at most {MOST_TAGS} can be set"]
    for name, value in given.items():
        if name == TAG:
            problems.append(f"tags.{name}: every deployment sets it. Remove it")
        elif name.lower().startswith("aws:") or not 0 < len(name) <= 128:
            problems.append(f"tags.{name}: the key must have 1 to 128 characters, and not begin with aws:")
        elif not 0 < len(str(value)) <= 256:
            problems.append(f"tags.{name}: the value must have 1 to 256 characters")
    return problems


def askable(parameters: dict[str, Parameter]) -> list[str]:
    return [name for name in parameters if name not in SET_BY_DEPLOYMENT]


def write(path: Path, settings: Settings) -> None:
    lines = [f"{name} = {quoted(getattr(settings, name))}" for name, kind in FIELDS.items() if kind is str]
    if settings.termination_protection is not None:
        lines.append(f"termination_protection = {str(settings.termination_protection).lower()}")
    for name in ("parameters", "tags"):
        if entries := getattr(settings, name):
            lines += ["", f"[{name}]", *(f"{bare(key)} = {quoted(value)}" for key, value in entries.items())]
    path.write_text(HEADER + "\n".join(lines) + "\n")


def bare(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else quoted(key)


def quoted(text: str) -> str:
    """Returns a TOML string. A JSON string is a valid one."""
    return json.dumps(text, ensure_ascii=False)
