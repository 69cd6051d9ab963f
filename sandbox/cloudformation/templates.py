"""Rewrites templates with SAM, and with types of resources that the emulator does not support.

AWS's own translator expands SAM. The other resources become custom resources with the same properties, which a function
creates. So CloudFormation itself resolves, orders, updates and deletes them.
A rewritten call is no longer signed by its caller. It runs as root, so only root's templates are rewritten.
"""

import inspect
import io
import json
import time
import zipfile
from typing import Any
from urllib.parse import urlsplit

import yaml
from botocore.exceptions import ClientError
from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from sandbox.cloud import ACCOUNT, REGION, ROOT, Cloud
from sandbox.cloudformation import custom_resources
from sandbox.gateway.calls import AwsError, Call
from sandbox.gateway.constraints import utf8_length
from sandbox.gateway.quotas import TEMPLATE_IN_REQUEST, TEMPLATE_IN_S3
from sandbox.gateway.routes import Routes

SAM = "AWS::Serverless-2016-10-31"
CUSTOM_RESOURCES = {
    "AWS::Events::Archive": "Custom::EventsArchive",
    "AWS::Glue::Classifier": "Custom::GlueClassifier",
    "AWS::Glue::SecurityConfiguration": "Custom::GlueSecurityConfiguration",
    "AWS::CloudWatch::Alarm": "Custom::Alarm",  # the emulator does not support metric math
    "AWS::CloudWatch::CompositeAlarm": "Custom::CompositeAlarm",
    "AWS::Logs::QueryDefinition": "Custom::QueryDefinition",
}
FUNCTION = "sandbox-custom-resources"
TEMPLATES = f"sandbox-templates-{ACCOUNT}"

Template = dict[str, Any]


class Templates:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> Routes:
        actions = ("CreateStack", "UpdateStack", "CreateChangeSet", "ValidateTemplate")
        return Routes(requests={("cloudformation", action): self.rewrite for action in actions})

    def rewrite(self, call: Call) -> Call:
        """Returns the call with the rewritten template. Raises AwsError if SAM cannot expand it."""
        if call.access_key != ROOT.access_key:
            return call
        form = dict(call.form)
        template = self._template(form)
        if template is None or not needs_rewriting(template):
            return call
        rewritten = json.dumps(self._rewritten(template, parameters(form, template)))
        form.pop("TemplateURL", None)
        form.pop("TemplateBody", None)
        if len(rewritten) > TEMPLATE_IN_REQUEST.limit:
            form["TemplateURL"] = self._store(rewritten)
        else:
            form["TemplateBody"] = rewritten
        return call.with_form(form)

    def prepare(self) -> None:
        """Creates the function for custom resources, and the bucket for long templates."""
        self._cloud.client("s3").create_bucket(Bucket=TEMPLATES)
        iam = self._cloud.client("iam")
        iam.create_role(RoleName=FUNCTION, AssumeRolePolicyDocument=json.dumps(policy("sts:AssumeRole", trusted=True)))
        allowed = json.dumps(
            policy(["events:*", "glue:*Classifier*", "glue:*SecurityConfiguration", "logs:*QueryDefinition*"])
        )
        iam.put_role_policy(RoleName=FUNCTION, PolicyName="resources", PolicyDocument=allowed)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("custom_resources.py", inspect.getsource(custom_resources))
        self._cloud.client("lambda").create_function(
            FunctionName=FUNCTION,
            Runtime="python3.13",
            Handler="custom_resources.handle",
            Role=f"arn:aws:iam::{ACCOUNT}:role/{FUNCTION}",
            Code={"ZipFile": content.getvalue()},
            Timeout=60,
        )

    def _template(self, form: dict[str, str]) -> Template | None:
        """Returns the template, or None if it is missing or not readable. Then the emulator returns the error."""
        text = form.get("TemplateBody")
        if url := form.get("TemplateURL"):
            bucket, _, key = urlsplit(url).path.lstrip("/").partition("/")
            try:
                text = self._cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
            except ClientError:
                return None
            TEMPLATE_IN_S3.enforce(utf8_length(text))
        try:
            template = yaml_parse(text or "")
        except yaml.YAMLError:
            return None
        return template if isinstance(template, dict) else None

    def _rewritten(self, template: Template, values: dict[str, Any]) -> Template:
        try:
            if SAM in transforms(template):
                template = transform(template, values, ManagedPolicyLoader(self._cloud.client("iam")))
        except InvalidDocumentException as error:
            causes = " ".join(cause.message for cause in error.causes)
            raise AwsError("ValidationError", f"{error.message} {causes}") from error
        for resource in template["Resources"].values():
            if resource["Type"] in CUSTOM_RESOURCES:
                token = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FUNCTION}"
                resource["Type"] = CUSTOM_RESOURCES[resource["Type"]]
                resource["Properties"] = {**resource["Properties"], "ServiceToken": token}
        return template

    def _store(self, template: str) -> str:
        key = f"{time.time_ns()}.json"
        self._cloud.client("s3").put_object(Bucket=TEMPLATES, Key=key, Body=template.encode())
        return f"{self._cloud.endpoint}/{TEMPLATES}/{key}"


def needs_rewriting(template: Template) -> bool:
    resources = template.get("Resources") or {}
    return SAM in transforms(template) or any(
        isinstance(resource, dict) and resource.get("Type") in CUSTOM_RESOURCES for resource in resources.values()
    )


def transforms(template: Template) -> list[Any]:
    declared = template.get("Transform", [])
    return declared if isinstance(declared, list) else [declared]


def parameters(form: dict[str, str], template: Template) -> dict[str, Any]:
    """Returns the parameters of the call. SAM adds the defaults of the template."""
    values: dict[str, Any] = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws"}
    for field, value in form.items():
        if field.startswith("Parameters.member.") and field.endswith(".ParameterKey"):
            values[value] = form.get(field.replace("ParameterKey", "ParameterValue"), "")
    return values


def policy(actions: str | list[str], trusted: bool = False) -> dict[str, Any]:
    whom = {"Principal": {"Service": "lambda.amazonaws.com"}} if trusted else {"Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, **whom}]}
