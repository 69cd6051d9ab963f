"""Which of AWS's errors are final. All others rise: Lambda tries again, then a queue keeps the event."""

from collections.abc import Iterator, Set
from contextlib import contextmanager

from botocore.exceptions import ClientError

from table_exports.domain.errors import Refused

FINAL = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "EntityNotFoundException",
        "InvalidInputException",
        "InvalidRequestException",
    }
)


@contextmanager
def final_errors_refuse(what: str, final: Set[str] = FINAL) -> Iterator[None]:
    """Turn an error that another try would not mend into Refused, in AWS's own words."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in final:
            raise
        raise Refused(f"{what}: {error.response['Error']['Code']}: {error.response['Error']['Message']}") from error
