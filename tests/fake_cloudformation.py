"""A CloudFormation of prepared answers, and the stack that it has."""

from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.stacks import Stack

STACK = Stack(
    name="table-exports-orders-parquet", template_url="https://s3/orders.yaml", parameters={"TableName": "Orders"}
)
ARN = "arn:aws:cloudformation:eu-west-1:123456789012:stack/table-exports-orders-parquet/1"


class FakeCloudFormation:
    """Returns prepared answers, and records the operations."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.done: list[str] = []
        self.requests: dict[str, dict[str, Any]] = {}  # the last one of each operation

    def __getattr__(self, operation: str) -> Any:
        def call(**request: Any) -> Any:
            self.done.append(operation)
            self.requests[operation] = request
            answer = self._answers.get(operation, {"Id": "change-set", "Summaries": []})
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def get_paginator(self, operation: str) -> Any:
        fake = self

        class Pages:
            def paginate(self, **request: Any) -> list[Any]:
                return [getattr(fake, operation)(**request)]

        return Pages()


def stack(status: str, **more: str) -> dict[str, Any]:
    return {"Stacks": [{"StackName": STACK.name, "StackId": ARN, "StackStatus": status, **more}]}


ABSENT = ClientError(
    {"Error": {"Code": "ValidationError", "Message": "Stack with id x does not exist"}}, "DescribeStacks"
)


def in_error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")
