"""Errors that end a run, permanent or transient, and the reason that the run reports."""

import re

PERMANENT = "Permanent error: "  # on_glue_complete looks for it in the message of a failed run, and starts no other run
NOT_ALLOWED = "Allow this action in the job's role."
RUN_AGAIN = "Run the export again."
START_OVER = 'start over: docs/schema.md, "Start over"'
OVERLOADED = (
    "Other clients use the table's capacity: lower --read_percentage, raise the capacity, or choose another time."
)
OUT_OF_MEMORY = (  # the system ends a process of an executor, or an allocation fails
    r"Python worker exited unexpectedly|ExecutorLostFailure|OutOfMemoryError|(?:Arrow)?MemoryError"
)
MORE_MEMORY = (
    "The usual reason is too little memory: set WorkerType to R.1X, or to a larger R type, then resume the export."
)


class ExportFailed(Exception):
    """The run wrote no snapshot. The message tells the operator what is wrong and what to do about it."""


class PermanentError(ExportFailed):
    """Another run would fail, too, until an operator changes something."""

    def __str__(self) -> str:
        return f"{PERMANENT}{super().__str__()}"


def run_error(error: Exception, table_name: str) -> ExportFailed:
    """The error that ends the run. Errors that are not known to be permanent are transient.

    Spark passes an error of an executor on as text only.
    """
    if isinstance(error, ExportFailed):
        return error
    text = str(error)
    if failed := re.search(rf"{PermanentError.__name__}: {PERMANENT}(.+)", text):
        return PermanentError(failed[1])
    if failed := re.search(rf"{ExportFailed.__name__}: (.+)", text):
        return ExportFailed(failed[1])
    if refused := re.search(
        r"An error occurred \((\w+)\) when calling the (\w+) operation(?: \(reached max retries: \d+\))?: (.*)", text
    ):
        code, operation, message = refused.groups()
        kind, remedy = remedy_of(operation, code, table_name)
        return kind(f"{operation} failed with {code}: {message}. {remedy}")
    causes = re.findall(
        r"^(?:Caused by: |: )?([\w.$]+(?:Error|Exception): .*(?<!Traceback \(most recent call last\):))$", text, re.M
    )
    whole = f"{type(error).__name__}: {text}"
    if lost := re.search(OUT_OF_MEMORY, whole):
        reasons = [cause for cause in causes if lost[0] in cause]
        return ExportFailed(f"{reasons[-1] if reasons else lost[0]}. {MORE_MEMORY}")
    return ExportFailed(causes[-1] if causes else whole)


def remedy_of(operation: str, code: str, table_name: str) -> tuple[type[ExportFailed], str]:
    """The kind of an error that AWS answered with, and what the operator can do about it."""
    match code:
        case "ResourceNotFoundException":
            return PermanentError, f"There is no table {table_name} in this account and Region: check --table_name."
        case "AccessDenied" | "AccessDeniedException":
            return PermanentError, NOT_ALLOWED
        case "UnrecognizedClientException":
            return ExportFailed, NOT_ALLOWED
        case "NoSuchBucket":
            return PermanentError, "Check --output_prefix, --staging_prefix and --manifest."
        case "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded":
            return ExportFailed, RUN_AGAIN if operation == "GetSecretValue" else OVERLOADED
    return ExportFailed, RUN_AGAIN
