"""The error that ends a run, and the reason that the run reports."""

import re


class ExportFailed(Exception):
    """The run wrote no snapshot. The message tells the operator what is wrong and what to do about it."""


def failure_reason(error: Exception, table_name: str) -> str:
    """The reason of a failure, for the operator. Spark passes an error of an executor on as text only."""
    text = str(error)
    if isinstance(error, ExportFailed):
        return text
    if failed := re.search(rf"{ExportFailed.__name__}: (.+)", text):
        return failed[1]
    if refused := re.search(
        r"An error occurred \((\w+)\) when calling the (\w+) operation(?: \(reached max retries: \d+\))?: (.*)", text
    ):
        code, operation, message = refused.groups()
        return f"{operation} failed with {code}: {message}. {remedy(code, table_name)}"
    causes = re.findall(
        r"^(?:Caused by: |: )?([\w.$]+(?:Error|Exception): .*(?<!Traceback \(most recent call last\):))$", text, re.M
    )
    return causes[-1] if causes else f"{type(error).__name__}: {text}"


def remedy(code: str, table_name: str) -> str:
    """What the operator can do about an error code of AWS."""
    if code == "ResourceNotFoundException":
        return f"There is no table {table_name} in this account and Region: check --table_name."
    if code in ("AccessDenied", "AccessDeniedException", "UnrecognizedClientException"):
        return "Allow this action in the job's role."
    if code == "NoSuchBucket":
        return "Check --output_prefix, --staging_prefix and --manifest."
    if code in ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"):
        return (
            "Other clients use the table's capacity: lower --read_percentage, raise the capacity, or choose another "
            "time."
        )
    return "Run the export again."
