"""Compares the code that the functions run with the build, and restores it. CloudFormation compares no code."""

from pathlib import Path
from typing import Any

from infra.deploy import artifacts
from infra.deploy.account import Account
from infra.deploy.tables_file import COMMON_STACK
from table_exports_cli.deployed_code import LAYER, DeployedCode, artifact, checksum

Missing = dict[str, list[str]]  # by function: the artifacts that it should run, and does not


class Functions:
    """The functions of the common stack."""

    def __init__(self, account: Account, build: Path) -> None:
        self._client = account.client("lambda")
        self._cloudformation = account.client("cloudformation")
        self._build = build

    def with_other_code(self) -> Missing:
        """Returns the functions that do not run what is in build/."""
        deployed = DeployedCode(self._client, self._checksum)
        missing = {function: deployed.missing(function) for function in self._names("AWS::Lambda::Function")}
        return {function: found for function, found in missing.items() if found}

    def restore(self, missing: Missing, bucket: str) -> None:
        """Gives the functions their code from the artifacts bucket, and the layer of the stack."""
        folder = artifacts.prefix(artifacts.version(self._build))
        for function, found in missing.items():
            if artifact(function) in found:
                key = f"{folder}/{artifact(function)}"
                self._client.update_function_code(FunctionName=function, S3Bucket=bucket, S3Key=key)
                self._wait(function)
            if LAYER in found:
                layers = self._names("AWS::Lambda::LayerVersion")
                self._client.update_function_configuration(FunctionName=function, Layers=layers)
                self._wait(function)

    def _wait(self, function: str) -> None:
        """Waits until Lambda has updated the function. It refuses another update until then."""
        self._client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})

    def _names(self, kind: str) -> list[Any]:
        pages = self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=COMMON_STACK)
        found = [resource for page in pages for resource in page["StackResourceSummaries"]]
        return [each["PhysicalResourceId"] for each in found if each["ResourceType"] == kind]

    def _checksum(self, name: str) -> str | None:
        file = self._build / name
        return checksum(file.read_bytes()) if file.exists() else None
