"""Carries out the remedies that doctor names: commands of the AWS CLI, and of table-exports."""

import json
import shlex
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from botocore import xform_name
from typer.testing import CliRunner

from table_exports_cli import app

SERVICES = {"s3api": "s3"}  # the AWS CLI's name -> that of the SDK


def carry_out(remedy: str, client: Callable[[str], Any]) -> None:
    """Carry out a remedy that is one command. Fails if it is not, or if the command fails."""
    program, *words = shlex.split(remedy)
    if program == "table-exports":
        done = CliRunner().invoke(app.app, ["--region", "us-east-1", *words])
        assert done.exit_code == 0, (remedy, done.output, done.exception)
        return
    assert program == "aws", remedy
    if words[:3] == ["s3", "rm", "--recursive"]:
        remove(*words[3:], client("s3"))
    else:
        call(words, client)


def remove(uri: str, s3: Any) -> None:
    """Delete what the AWS CLI's `aws s3 rm --recursive` deletes."""
    place = urlsplit(uri)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=place.netloc, Prefix=place.path.lstrip("/"))
    for found in [found for page in pages for found in page.get("Contents", [])]:
        s3.delete_object(Bucket=place.netloc, Key=found["Key"])


def call(words: list[str], client: Callable[[str], Any]) -> None:
    """Make the call of an AWS CLI command. Options are the call's parameters, in the AWS CLI's spelling."""
    service, command, *options = words
    made = client(SERVICES.get(service, service))
    operation = next(name for name in made.meta.service_model.operation_names if kebab(name) == command)
    members = made.meta.service_model.operation_model(operation).input_shape.members
    given = {}
    while options:
        option = options.pop(0).removeprefix("--")
        name = next(member for member in members if kebab(member) == option)
        values = []
        while options and not options[0].startswith("--"):
            values.append(options.pop(0))
        kind = members[name].type_name
        if kind == "boolean":
            given[name] = True
        elif kind == "list":
            given[name] = values
        else:
            [value] = values
            given[name] = json.loads(value) if kind in ("structure", "map") else value
    getattr(made, xform_name(operation))(**given)


def kebab(name: str) -> str:
    return xform_name(name, "-")
