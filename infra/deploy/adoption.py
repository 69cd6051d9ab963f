"""Finds the resources that a deleted common stack retained, so that a new stack can adopt them.

They have the names that the new stack needs. To import them, CloudFormation needs a template that has only the imported
resources and no outputs. The update that follows adds everything else.
"""

import json
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from samtranslator.yaml_helper import yaml_parse

from infra.deploy import CannotDeploy
from infra.deploy.account import Account

RETAIN = ("Retain", "RetainExceptOnCreate")
NOT_FOUND = ("404", "NoSuchBucket", "NoSuchBucketPolicy", "ResourceNotFoundException", "EntityNotFoundException")


class RetainedResources:
    """The resources that a deleted common stack retained in this account and Region."""

    def __init__(self, account: Account, template: Path, parameters: dict[str, str]) -> None:
        self._account = account
        self._template = yaml_parse(template.read_text())
        given = {
            name: parameter.get("Default") for name, parameter in self._template["Parameters"].items()
        } | parameters
        self._names = {  # values of the references that the template uses in names
            "${AWS::AccountId}": account.id,
            "${AWS::Region}": account.region,
            **{f"${{{name}}}": str(value) for name, value in given.items()},
        }

    def found(self) -> dict[str, str]:
        """Returns the retained resources that exist, as logical id and name."""
        kept = {k: v for k, v in self._template["Resources"].items() if v.get("DeletionPolicy") in RETAIN}
        named = {logical: self._name(resource) for logical, resource in kept.items()}
        return {logical: name for logical, name in named.items() if self._is_there(kept[logical]["Type"], name)}

    def template(self, found: dict[str, str]) -> str:
        resources = {logical: self._template["Resources"][logical] for logical in found}
        parts = {name: self._template[name] for name in ("AWSTemplateFormatVersion", "Parameters", "Conditions")}
        return json.dumps({**parts, "Resources": resources})

    def resources_to_import(self, found: dict[str, str]) -> list[dict[str, Any]]:
        """Returns the resources as CloudFormation identifies them. Raises CannotDeploy if it cannot import one."""
        cloudformation = self._account.client("cloudformation")
        summary = cloudformation.get_template_summary(TemplateBody=self.template(found))
        importable = {
            logical: (each["ResourceType"], each["ResourceIdentifiers"])
            for each in summary.get("ResourceIdentifierSummaries", [])
            for logical in each["LogicalResourceIds"]
        }
        if unlisted := found.keys() - importable.keys():
            raise CannotDeploy(
                f"CloudFormation cannot import {', '.join(f'{name} {found[name]}' for name in sorted(unlisted))}. "
                'Nothing was changed. docs/deploy.md, "Adopt retained resources", lists your options'
            )
        return [
            {
                "LogicalResourceId": logical,
                "ResourceType": kind,
                "ResourceIdentifier": {
                    key: self._account.id if key == "CatalogId" else found[logical] for key in identifiers
                },
            }
            for logical, (kind, identifiers) in importable.items()
        ]

    def _name(self, resource: dict[str, Any]) -> str:
        properties = resource["Properties"]
        match resource["Type"]:
            case "AWS::DynamoDB::Table":
                return self._resolved(properties["TableName"])
            case "AWS::S3::Bucket":
                return self._resolved(properties["BucketName"])
            case "AWS::S3::BucketPolicy":
                return self._name(self._template["Resources"][properties["Bucket"]["Ref"]])
            case "AWS::Glue::Database":
                return self._resolved(properties["DatabaseInput"]["Name"])
            case "AWS::Logs::LogGroup":
                return self._resolved(properties["LogGroupName"])
            case kind:
                raise NotImplementedError(
                    f"{kind} is retained, but adoption.py does not know how to find one: add it to _name and _is_there"
                )

    def _resolved(self, name: str | dict[str, str]) -> str:
        text = name if isinstance(name, str) else name.get("Fn::Sub") or f"${{{name['Ref']}}}"
        for reference, value in self._names.items():
            text = text.replace(reference, value)
        return text

    def _is_there(self, kind: str, name: str) -> bool:
        client = self._account.client
        try:
            match kind:
                case "AWS::DynamoDB::Table":
                    client("dynamodb").describe_table(TableName=name)
                case "AWS::S3::Bucket":
                    client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=self._account.id)
                case "AWS::S3::BucketPolicy":
                    client("s3").get_bucket_policy(Bucket=name, ExpectedBucketOwner=self._account.id)
                case "AWS::Glue::Database":
                    client("glue").get_database(Name=name)
                case "AWS::Logs::LogGroup":
                    groups = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
                    return any(group["logGroupName"] == name for group in groups)
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_FOUND:
                return False
            raise
        return True
