"""The services whose calls the gateway validates: their models, and the error that each returns for an invalid call."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any
from urllib.parse import unquote

from botocore.loaders import Loader
from moto.core.model import OperationModel, ServiceModel

from sandbox.gateway.calls import Call
from sandbox.gateway.constraints import Checks, utf8_length

LOADER = Loader()
LABEL = re.compile(r"\\{(\w+)(\\\+)?\\}")


@dataclass(frozen=True)
class Service:
    model_name: str  # in botocore
    error: str  # the code of the error that the service returns if a request does not match its model
    source: str  # of the error code; `model` if the service's model documents only this error for it
    length: Callable[[str], int] = len  # of text: characters, unless the service's guide counts bytes
    _checks: dict[bool, Checks] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def model(self) -> ServiceModel:
        return ServiceModel(LOADER.load_service_model(self.model_name, "service-2"), self.model_name)

    def checks(self, serialized: bool) -> Checks:
        return self._checks.setdefault(serialized, Checks(self.length, serialized))

    @cached_property
    def paths(self) -> list[tuple[str, re.Pattern[str], str]]:
        """Method, path and operation of a REST service. Literal paths come before those with labels."""
        found = []
        for name in self.model.operation_names:
            http = self.model.operation_model(name).http
            path = re.escape(http["requestUri"].partition("?")[0].rstrip("/"))
            path = LABEL.sub(lambda label: f"(?P<{label[1]}>{'.+' if label[2] else '[^/]+'})", path)
            found.append((http["method"], re.compile(f"{path}/?"), name))
        return sorted(found, key=lambda one: one[1].pattern.count("(?P"))


# The sources are reports of users who quote the error, or the models. Lengths: the guides of Glue (Table API) and
# Athena (service quotas) count bytes.
SERVICES = {
    "athena": Service("athena", "InvalidRequestException", "github.com/Tomme/dbt-athena/issues/136", utf8_length),
    "cloudformation": Service("cloudformation", "ValidationError", "github.com/aws-amplify/amplify-cli/issues/14940"),
    "dynamodb": Service("dynamodb", "ValidationException", "github.com/aws/aws-cli/issues/790"),
    "dynamodbstreams": Service("dynamodbstreams", "ValidationException", "as dynamodb"),
    "events": Service("events", "ValidationException", "github.com/awslabs/aws-service-catalog-puppet/issues/166"),
    "glue": Service("glue", "ValidationException", "github.com/apache/hudi/issues/9806", utf8_length),
    "iam": Service("iam", "ValidationError", "github.com/NixOS/nixops/issues/328"),
    "kms": Service("kms", "ValidationException", "docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html"),
    "lambda": Service("lambda", "ValidationException", "github.com/aws/aws-cli/issues/3229"),
    "logs": Service("logs", "InvalidParameterException", "github.com/lazywithclass/winston-cloudwatch/issues/55"),
    "monitoring": Service("cloudwatch", "ValidationError", "as other services with the query protocol"),
    "scheduler": Service("scheduler", "ValidationException", "github.com/webiny/webiny-js/pull/5445"),
    "sns": Service("sns", "InvalidParameter", "model"),
    "sqs": Service("sqs", "InvalidParameterValue", "as sns"),
    "ssm": Service("ssm", "ValidationException", "model"),
    "sts": Service("sts", "ValidationError", "as iam"),
    "tagging": Service("resourcegroupstaggingapi", "InvalidParameterException", "model"),
    "xray": Service("xray", "InvalidRequestException", "model"),
}


def service_of(call: Call) -> Service | None:
    streams = call.service == "dynamodb" and call.headers.get("X-Amz-Target", "").startswith("DynamoDBStreams_")
    return SERVICES.get("dynamodbstreams" if streams else call.service)


def operation_of(service: Service, call: Call) -> tuple[OperationModel | None, dict[str, str]]:
    """Returns the operation of a call, or None if the model does not have it, and the labels of a REST path."""
    if "rest" not in service.model.metadata["protocol"]:
        known = call.action in operations(service)
        return (service.model.operation_model(call.action) if known else None), {}
    path = call.path.partition("?")[0]
    for method, pattern, name in service.paths:
        if method == call.method and (found := pattern.fullmatch(path)):
            return service.model.operation_model(name), {
                key: unquote(value) for key, value in found.groupdict().items()
            }
    return None, {}


@cache
def operations(service: Any) -> frozenset[str]:
    return frozenset(service.model.operation_names)
