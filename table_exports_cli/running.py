"""Checks of what runs: that jobs and functions run the artifacts of the common stack's version, as deployed."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from table_exports_cli.deployed import Deployed
from table_exports_cli.deployed_code import JOB_PARAMETERS, LAYER, DeployedCode, artifact, stored_checksum
from table_exports_cli.findings import DEPLOY, RESTORE, Problem

CODE_ARGUMENTS = ("--extra-py-files", "--additional-python-modules")
NONE = "-"  # the job's argument if a parameter is empty: infra/table.yaml
ARGUMENTS = {  # of the job, each with the parameter of the table stack that it has, and what comes before its value
    "--read_capacity_cap": ("ReadCapacityCap", ""),
    "--columns": ("Columns", "s3://"),
    "--entities": ("Entities", "s3://"),
    "--hash_secret": ("HashSecretArn", ""),
}


def versions(deployed: Deployed) -> Iterator[Problem]:
    """the job of each pipeline runs the script and the modules of the common stack's version"""
    folder = "/".join(deployed.artifacts)
    answer = deployed.client("ssm").get_parameters(Names=list(JOB_PARAMETERS))
    found = {parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]}
    for name in JOB_PARAMETERS:
        if name not in found:
            yield Problem(name, "is gone: no table stack can be deployed", RESTORE)
        elif not is_in(folder, found[name]):
            yield Problem(name, f"is {found[name]}, so jobs that are deployed next run another version", RESTORE)
    for pipeline in deployed.pipelines:
        job = deployed.jobs.get(pipeline.glue_job_name)
        if job is None:
            yield Problem(pipeline.pipeline, f"there is no Glue job {pipeline.glue_job_name}", RESTORE)
        elif others := [address for address in addresses(job) if not is_in(f"s3://{folder}", address)]:
            yield Problem(pipeline.pipeline, f"its job is of another version: {' '.join(others)}", RESTORE)


def arguments(deployed: Deployed) -> Iterator[Problem]:
    """the job of each pipeline has the read limit, columns, entities and hash key of its table stack"""
    for pipeline in deployed.pipelines:
        job = deployed.jobs.get(pipeline.glue_job_name)
        if job is None or pipeline.stack_id not in deployed.stacks:
            continue  # the checks of versions and stacks report it
        given = job.get("DefaultArguments", {})
        for name, (parameter, before) in ARGUMENTS.items():
            value = deployed.parameter(pipeline, parameter)
            deployed_as, found = f"{before}{value}" if value else NONE, given.get(name, NONE)
            if found != deployed_as:
                what = f"its job was deployed with {name} {deployed_as}, but has {found}"
                yield Problem(pipeline.pipeline, what, RESTORE)


def addresses(job: dict[str, Any]) -> list[str]:
    """Return where the code of a job is."""
    arguments = job.get("DefaultArguments", {})
    return [job["Command"]["ScriptLocation"], *(arguments[name] for name in CODE_ARGUMENTS if name in arguments)]


def is_in(folder: str, address: str) -> bool:
    """Return whether the address is that of one object of the folder."""
    return address.rpartition("/")[0] == folder


def code(deployed: Deployed) -> Iterator[Problem]:
    """each function runs the code of the common stack's version"""
    bucket, prefix = deployed.artifacts
    stored = cache(lambda name: stored_checksum(deployed.s3, bucket, f"{prefix}/{name}"))
    running = DeployedCode(deployed.client("lambda"), stored)
    functions = deployed.names("::Function")
    if gone := [name for name in [LAYER, *map(artifact, functions)] if stored(name) is None]:
        what = f"lacks {', '.join(gone)}, so no function can be compared with it, or restored"
        yield Problem(f"s3://{bucket}/{prefix}/", what, f"{DEPLOY}: it uploads the artifacts again")
        return
    for function in functions:
        if missing := running.missing(function):
            yield Problem(function, f"runs other code than {' and '.join(missing)} in s3://{bucket}/{prefix}/", RESTORE)


CHECKS = (versions, arguments, code)
