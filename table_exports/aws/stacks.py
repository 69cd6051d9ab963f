"""CloudFormation: whether a table stack still exists."""

from typing import Any

from botocore.exceptions import ClientError


class Stacks:
    def __init__(self, client: Any) -> None:
        self._client = client

    def is_gone(self, stack_id: str) -> bool:
        """Return whether the stack was deleted. CloudFormation knows a deleted stack by its id for a while."""
        try:
            [stack] = self._client.describe_stacks(StackName=stack_id)["Stacks"]
        except ClientError as error:
            message = error.response["Error"].get("Message", "")
            if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in message:
                return True
            raise
        return stack["StackStatus"] == "DELETE_COMPLETE"
